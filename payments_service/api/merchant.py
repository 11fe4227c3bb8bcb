"""The merchant API: what the merchant's own server may ask and do, by API key."""

import csv
import io
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from uuid import UUID

from flask import Blueprint, Response, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue

from payments_service.api import guards, schemas, services
from payments_service.api import merchant_schemas as shapes
from payments_service.api.bodies import raw_body
from payments_service.api.described import described
from payments_service.domain.errors import Conflict, InvalidInput
from payments_service.domain.states import RefundStatus
from payments_service.flows import capture, close, merchant, payment_list, refund, repeat
from payments_service.flows.payment_details import details
from payments_service.flows.payment_list import ListedPayment, Page
from payments_service.flows.payment_view import PaymentView, by_id
from payments_service.flows.refund import RefundFailed, RefundView
from payments_service.flows.refund_intent import Key
from payments_service.gateways.base import Gateway, gateway_of

log = logging.getLogger(__name__)

CSV = "text/csv"
PAUSE_SECONDS = 0.001
"""After each piece of an export other requests have their turn: on SQLite, and to a caller that reads as fast
as it comes, nothing else waits. (gevent's sleep(0) lets nothing in that has to be read first.)"""
GATEWAY_CODES = ("gateway_error", "gateway_rejected", "gateway_unavailable", "unknown_at_gateway")

blueprint = Blueprint("merchant", __name__, url_prefix="/api/payment")


# ── look ────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("")
@guards.key_with("read")
@described(
    "List payments, newest first",
    about=(
        "With `Accept: text/csv` all that the filters choose, as CSV. Personal data only with the scope "
        "personal."
    ),
    query=shapes.ListSchema,
    gives={200: shapes.PaymentPageOut},
    also={200: (CSV,)},
    refuses={400: ("validation_error", "unknown_field")},
)
def payments_() -> ResponseReturnValue:
    is_export = request.accept_mimetypes.best_match(["application/json", CSV]) == CSV
    schema = shapes.FilterSchema() if is_export else shapes.ListSchema()
    asked = shapes.loaded(schema, request.args)
    chosen = shapes.filters(asked)
    if is_export:
        return _export(chosen)
    if asked["after"] and asked["before"]:
        message = "Say either after or before"
        raise InvalidInput(message, details={"before": [message]})
    found = payment_list.page(
        services().db, chosen, asked["limit"], after=asked["after"], before=asked["before"]
    )
    _note_people("list", count=len(found.payments))
    first, last = asked["before"], asked["after"]  # an empty page is read on from where it was asked for
    if found.payments:
        first, last = found.payments[0].place, found.payments[-1].place
    cursors = {"after": last and shapes.cursor(last), "before": first and shapes.cursor(first)}
    return {**_listed(found), "hasMore": found.has_more, **cursors}


@blueprint.post("/search")
@guards.key_with("read")
@described(
    "Search payments",
    about=(
        "Any id, reference, UTR or RRN; with the scope personal also e-mail, phone and name. Whole, or how "
        "it begins. An Idempotency-Key changes nothing: every search looks anew."
    ),
    takes=shapes.SearchSchema,
    headers=(schemas.KEY_HEADER,),
    replays=False,
    gives={200: shapes.SearchOut},
    refuses={400: ("validation_error", "unknown_field")},
    example={"query": "ORDER-1001"},
)
def search() -> ResponseReturnValue:
    asked = shapes.loaded(shapes.SearchSchema(), body())
    text, people = asked["query"], guards.may_see_people()
    if "@" in text:
        guards.must_see_people()
    people = people and len(text) >= shapes.SHORTEST_PERSONAL
    schemas.idempotency_key(request.headers.get(schemas.KEY_HEADER))  # a look is not kept: it holds people
    found = payment_list.find(
        services().db,
        text,
        asked["limit"],
        people=people,
        phone=schemas.phone_in(text),
        includes_labels=asked["includes_labels"],
    )
    _note_people("search", count=len(found.payments))
    return {**_listed(found), "hasMore": found.has_more, "searchedPeople": people}


@blueprint.get("/<uuid:payment_id>")
@guards.key_with("read")
@described(
    "One payment with all that is stored about it",
    gives={200: shapes.PaymentAnswerOut},
    refuses={404: ("not_found",)},
)
def payment(payment_id: UUID) -> ResponseReturnValue:
    found = details(services().db, payment_id)
    _note_people("payment", id=payment_id)
    hidden = shapes.without_people(people=guards.may_see_people())
    return {"success": True, "payment": shapes.dumped(shapes.PaymentDetailOut(exclude=hidden), found)}


@blueprint.get("/<uuid:payment_id>/refunds")
@guards.key_with("read")
@described(
    "The refunds of a payment",
    gives={200: shapes.RefundListOut},
    refuses={404: ("not_found",)},
)
def refunds(payment_id: UUID) -> ResponseReturnValue:
    found = refund.listed(services().db, payment_id)
    return shapes.dumped(shapes.RefundListOut(), {"refunds": found})


@blueprint.get("/<uuid:payment_id>/refunds/<uuid:refund_id>")
@guards.key_with("read")
@described(
    "One refund as it stands now",
    gives={200: shapes.RefundAnswerOut},
    refuses={404: ("not_found",)},
)
def refund_(payment_id: UUID, refund_id: UUID) -> ResponseReturnValue:
    return shapes.dumped(
        shapes.RefundAnswerOut(), {"refund": refund.one(services().db, payment_id, refund_id)}
    )


# ── do ──────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.post("/<uuid:payment_id>/refunds")
@guards.key_with("refund")
@described(
    "Send money back",
    about=(
        "All that is left, or `amount` rupees. The Idempotency-Key is kept for ever: the same key is the "
        "same refund, as it stands then. 202: whether the gateway took it is not known yet; the service "
        "finds out."
    ),
    takes=shapes.NewRefundSchema,
    may_be_empty=True,
    headers=(schemas.KEY_HEADER,),
    needs=(schemas.KEY_HEADER,),
    replays=False,
    gives={201: shapes.RefundAnswerOut, 202: shapes.RefundAnswerOut},
    refuses={
        400: ("validation_error", "unknown_field"),
        404: ("not_found",),
        409: (
            *(
                "refund_exceeds_captured",
                "refund_in_progress",
                "not_refundable",
                "disputed",
                "outcome_unknown",
            ),
            *("refund_failed", "request_in_progress", "gateway_off"),
        ),
        422: ("idempotency_key_reused",),
        500: GATEWAY_CODES,
        503: ("gateway_circuit_open",),
    },
    example={"amount": 100, "reason": "one of two came back"},
)
def new_refund(payment_id: UUID) -> ResponseReturnValue:
    house = services()
    asked = shapes.loaded(shapes.NewRefundSchema(), body())
    key = schemas.idempotency_key(request.headers.get(schemas.KEY_HEADER))
    if key is None:
        message = f"{schemas.KEY_HEADER} is required"
        raise InvalidInput(message, details={schemas.KEY_HEADER: [message]})
    known = by_id(house.db, payment_id)
    gateway = _gateway_of(known)
    try:
        made = refund.refund(
            house.db,
            gateway,
            payment_id,
            asked["amount"],
            asked["reason"],
            merchant.actor(g.api_key.name),
            transaction_id=asked["payment_id"],
            webhook_url=house.urls.webhook(gateway.name),
            key=Key(key, shapes.fingerprint(asked)),
            speed=asked["speed"],
            force=asked["force"],
        )
    except RefundFailed as error:
        made = refund.one(house.db, payment_id, error.refund_id)
        raise RefundFailedForGood(made, error.explanation) from error
    made = refund.one(house.db, payment_id, made.id)
    if made.status is RefundStatus.FAILED:
        raise RefundFailedForGood(made, None)
    answer = jsonify(shapes.dumped(shapes.RefundAnswerOut(), {"refund": made}))
    answer.status_code = 202 if made.status is RefundStatus.INITIATED else 201
    answer.headers["Location"] = f"/api/payment/{payment_id}/refunds/{made.id}"
    return answer


@blueprint.post("/<uuid:payment_id>/capture")
@guards.key_with("write")
@described(
    "Take money that is held",
    about="Harmless when repeated: the answer tells where the payment stands.",
    takes=shapes.NothingSchema,
    may_be_empty=True,
    headers=(schemas.KEY_HEADER,),
    gives={200: shapes.StandingOut},
    refuses={
        400: ("validation_error", "unknown_field"),
        404: ("not_found",),
        409: (
            "not_capturable",
            "payment_review",
            "payment_closed",
            "reference_paid",
            "gateway_off",
            "request_in_progress",
            "outcome_unknown",
        ),
    },
)
def capture_(payment_id: UUID) -> ResponseReturnValue:
    return _act("capture", payment_id, capture.capture)


@blueprint.post("/<uuid:payment_id>/void")
@guards.key_with("refund")
@described(
    "Let go of money that is held",
    about="Harmless when repeated: the answer tells where the payment stands.",
    takes=shapes.NothingSchema,
    may_be_empty=True,
    headers=(schemas.KEY_HEADER,),
    gives={200: shapes.StandingOut},
    refuses={
        400: ("validation_error", "unknown_field"),
        404: ("not_found",),
        409: ("not_voidable", "gateway_off", "request_in_progress", "outcome_unknown"),
    },
)
def void(payment_id: UUID) -> ResponseReturnValue:
    return _act("void", payment_id, capture.void)


@blueprint.post("/<uuid:payment_id>/close")
@guards.key_with("write")
@described(
    "Stop an open payment",
    about="Harmless when repeated. Money that comes later is flagged, never completed.",
    takes=shapes.NothingSchema,
    may_be_empty=True,
    headers=(schemas.KEY_HEADER,),
    gives={200: shapes.StandingOut},
    refuses={
        400: ("validation_error", "unknown_field"),
        404: ("not_found",),
        409: ("being_paid", "order_paid", "request_in_progress"),
    },
)
def close_(payment_id: UUID) -> ResponseReturnValue:
    return _act("close", payment_id, close.close, needs_gateway=False)


def _act(
    name: str, payment_id: UUID, do: Callable[..., PaymentView], *, needs_gateway: bool = True
) -> ResponseReturnValue:
    """Do it to a payment; the answer tells where the payment stands."""
    house, actor = services(), merchant.actor(g.api_key.name)
    shapes.loaded(shapes.NothingSchema(), body())

    def act() -> bytes:
        known = by_id(house.db, payment_id)
        gateway = _gateway_of(known) if needs_gateway else _gateway_that_is_on(known)
        standing = do(house.db, gateway, payment_id, actor)
        return json_bytes(shapes.dumped(shapes.StandingOut(), standing))

    return once(f"{name} {payment_id}", "", act)


class RefundFailedForGood(Conflict):
    """Nothing was sent back, and this key will not try again."""

    code = "refund_failed"

    def __init__(self, made: RefundView, explanation: str | None) -> None:
        super().__init__(
            "This refund failed and nothing was sent back; to try again, use a new Idempotency-Key",
            refund=shapes.dumped(shapes.RefundOut(), made),
        )
        self.explanation = explanation


# ── shared ──────────────────────────────────────────────────────────────────────────────────────────


def body() -> dict[str, object]:
    raw = raw_body()
    if not raw.strip():
        return {}
    try:
        return dict(shapes.body_of(current_app.json.loads(raw)))
    except ValueError as error:
        raise InvalidInput("The body is not valid JSON", code="invalid_json") from error


def _gateway_that_is_on(known: PaymentView) -> Gateway | None:
    return gateway_of(known.provider, services().gateways)


def _gateway_of(known: PaymentView) -> Gateway:
    gateway = _gateway_that_is_on(known)
    if gateway is None:
        raise Conflict("The gateway of this payment is switched off", code="gateway_off")
    return gateway


def json_bytes(answer: object) -> bytes:
    return jsonify(answer).get_data()


def once(endpoint: str, fingerprint: str, do: Callable[[], bytes]) -> Response:
    """The answer of the first request with this Idempotency-Key, if there is a key."""
    key = schemas.idempotency_key(request.headers.get(schemas.KEY_HEADER))
    body, is_replayed = repeat.once(services().db, endpoint, g.api_key.name, key, fingerprint, do)
    headers = {"Idempotency-Replayed": "true"} if is_replayed else {}
    return Response(body, mimetype="application/json", headers=headers)


def _listed(found: Page) -> dict[str, object]:
    hidden = shapes.without_people(people=guards.may_see_people(), prefix="payments.")
    return shapes.dumped(shapes.PaymentPageOut(exclude=(*hidden, "hasMore", "after", "before")), found)


def _note_people(what: str, **about: object) -> None:
    """Who looked at personal data, by the name of the key; never at what was looked for."""
    if guards.may_see_people():
        log.info("Personal data shown", extra={"data": {"key": g.api_key.name, "what": what, **about}})


# ── CSV ─────────────────────────────────────────────────────────────────────────────────────────────


def _export(chosen: payment_list.Filters) -> Response:
    """All that the filters choose. Its first piece is read before the answer begins, so trouble is told."""
    people = guards.may_see_people()
    _note_people("export")
    pieces = payment_list.export(services().db, chosen)
    first = next(pieces, ())
    lines = _lines(first, pieces, people=people)
    disposition = 'attachment; filename="payments.csv"'
    return Response(lines, content_type=f"{CSV}; charset=utf-8", headers={"Content-Disposition": disposition})


def _lines(
    first: Sequence[ListedPayment], others: Iterable[Sequence[ListedPayment]], *, people: bool
) -> Iterator[str]:
    yield _written([shapes.heads(people=people)])
    for piece in chain((first,), others):
        yield _written(shapes.cells(piece, people=people))
        time.sleep(PAUSE_SECONDS)


def _written(rows: Iterable[Sequence[str]]) -> str:
    page = io.StringIO()
    csv.writer(page).writerows(rows)
    return page.getvalue()
