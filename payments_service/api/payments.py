"""The checkout API: what a browser may ask for."""

import logging
import re
from functools import partial
from typing import Any
from urllib.parse import unquote

from flask import Blueprint, Response, g, jsonify, request
from flask.typing import ResponseReturnValue

from payments_service import logs
from payments_service.api import WebServices, answers, guards, request_id, schemas, services
from payments_service.api.answers import dumped
from payments_service.api.bodies import json_body
from payments_service.api.described import described
from payments_service.domain.errors import InvalidInput
from payments_service.flows import quotes
from payments_service.flows.create_order import create_order
from payments_service.flows.idempotency import Claim, Kept, buyer, claim, keep, still_payable
from payments_service.flows.intent import LEASE, NewPayment
from payments_service.flows.payment_view import PaymentView
from payments_service.flows.quotes import Quote
from payments_service.flows.status import status
from payments_service.flows.verify import payment_of, verify
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway

log = logging.getLogger(__name__)

REPLACEMENT = "\ufffd"
"""What decoding puts in the place of bytes that are no UTF-8."""
MEMBER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

VERIFIED, STATUS = answers.VerifiedSchema(), answers.StatusSchema()
blueprint = Blueprint("payments", __name__, url_prefix="/api/payment")


@blueprint.before_request
def refuse_an_address_that_is_no_text() -> None:
    """Bytes that are no UTF-8, such as half of a surrogate pair, name nothing that there is."""
    query = unquote(request.query_string.decode("latin-1"))
    if REPLACEMENT in request.path + query:
        raise InvalidInput("The address is not valid UTF-8", code="invalid_address")


@blueprint.post("/create-order")
@guards.browser_or_key
@described(
    "Open an order",
    about=(
        "From a browser without a key, or from the merchant's server with one. `amount` is needed unless "
        "there is a `quote`. `order.paymentUrl` is the hosted page, for every gateway."
    ),
    tag="Checkout",
    takes=schemas.CreateOrderSchema(schemas.NO_LIMITS),
    headers=(schemas.KEY_HEADER,),
    gives={200: [answers.created(gateway) for gateway in GATEWAYS]},
    refuses={
        400: ("validation_error", "unknown_field", "invalid_address"),
        401: ("quote_required", "quote_expired", "quote_invalid"),
        409: (
            *("reference_paid", "reference_open", "order_paid", "order_expired", "payment_review"),
            *("request_in_progress", "outcome_unknown"),
        ),
        422: ("idempotency_key_reused",),
        429: ("rate_limited",),
        500: (
            "gateway_error",
            "gateway_rejected",
            "gateway_unavailable",
            "unknown_at_gateway",
            "outcome_unknown",
        ),
        503: ("gateway_circuit_open",),
    },
    example={"amount": 499, "gateway": GATEWAYS[0].name, "customer": schemas.EXAMPLE_CUSTOMER},
)
def create_order_() -> ResponseReturnValue:
    house = services()
    if g.api_key is None:
        house.budgets.order_from_here()
    given = json_body()  # before it takes a place, of which a slow sender would hold one without end
    with house.admission.one():
        return _create_order(house, given)


def _create_order(house: WebServices, given: object) -> ResponseReturnValue:
    quote = _quote_of(given)
    header = request.headers.get(schemas.KEY_HEADER)
    if g.api_key is None:
        _log_ignored(given)
    body, key = schemas.create_order(
        given, header, house.limits, knows_all=g.api_key is not None, quote=quote
    )
    if g.api_key is None:
        house.budgets.order_of(body["customer"]["phone"])
    gateway = house.providers(body["gateway"])[0]
    new = NewPayment(
        amount=body["amount"],
        customer_name=body["customer"]["name"],
        customer_email=body["customer"]["email"],
        customer_phone=body["customer"]["phone"],
        description=body["description"],
        user_id=body["userId"],
        reference=body["reference"],
        metadata=body["metadata"],
        return_url=body["returnUrl"] or house.settings.return_url,
        lifetime=house.settings.order_expiry,
        price_verified=g.api_key is not None or quote is not None,
    )
    claim = _claim(key, new, schemas.fingerprint(body)) if key else None
    if isinstance(claim, Kept):
        return Response(claim.body, mimetype="application/json", headers={"Idempotency-Replayed": "true"})
    opened = create_order(house.db, gateway, new, house.urls, request_id(), claim, others=house.gateways)
    logs.note(**_ids(opened))
    answer = jsonify(_created(opened, gateway))
    if claim:
        keep(house.db, claim, answer.get_data())
    return answer


@blueprint.post("/verify-payment")
@guards.open_to_all
@described(
    "Ask whether a payment is paid",
    about=(
        "A 2xx says that it is paid or, where the merchant captures, that the money is held: `paymentStatus` "
        "says which. The browser's word proves nothing: the gateway is asked. The fields of each "
        "gateway have several names; two of them that contradict each other are refused."
    ),
    tag="Checkout",
    takes=schemas.VerifySchema,
    gives={200: answers.VerifiedSchema},
    refuses={
        400: ("validation_error", "missing_fields", "invalid_address", "signature_invalid", "payment_failed"),
        402: ("payment_pending",),
        404: ("not_found",),
        409: ("payment_review",),
        429: ("rate_limited",),
    },
    example=schemas.EXAMPLE_VERIFY,
)
def verify_payment() -> ResponseReturnValue:
    house = services()
    body = schemas.json_object(json_body())
    schemas.refuse_what_is_no_text({name: body[name] for name in schemas.VERIFY_MEMBERS if name in body})
    name = body.get("gateway")
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput("Gateway is required", details={"gateway": ["Gateway is required"]})
    providers = house.providers(name)
    of_order = partial(payment_of, house.db, providers[0].name)
    fields = schemas.verify_fields(providers[0].verify_fields, body, of_order)
    with house.budgets.unknown_lookup():
        payment = verify(house.db, providers[0].name, providers, fields, request_id())
    logs.note(**_ids(payment))
    held = {"captureBy": payment.capture_by} if payment.capture_by else {}
    shown = {**_summary(payment), "timestamp": payment.updated_at, **held}
    return dumped(VERIFIED, shown)


@blueprint.get("/status/<gateway>/<path:reference>")
@guards.open_to_all
@described(
    "The status of a payment",
    about=(
        "While the payment is open the gateway is asked, at most once in three seconds. For a known payment "
        "always 200, also when the gateway cannot be asked: then with the status that was stored last."
    ),
    tag="Checkout",
    gives={200: answers.StatusSchema},
    refuses={400: ("validation_error", "invalid_address"), 404: ("not_found",), 429: ("rate_limited",)},
)
def payment_status(gateway: str, reference: str) -> ResponseReturnValue:
    house = services()
    name, providers = house.known_gateway(gateway)
    with house.budgets.unknown_lookup():
        payment = status(house.db, name, providers, reference, request_id())
    logs.note(**_ids(payment))
    more = {
        "amountRefunded": payment.amount_refunded,
        "createdAt": payment.created_at,
        "updatedAt": payment.updated_at,
    }
    return dumped(STATUS, {**_summary(payment), **more})


def _quote_of(body: object) -> Quote | None:
    """What the merchant has fixed, where the body brings it.

    Raises Unauthorized for one that is forged or expired, and for none where a browser must bring one.
    """
    house = services()
    text = schemas.json_object(body).get("quote")
    if isinstance(text, str) and schemas.is_text(text) and text.strip():
        return quotes.read(text.strip(), house.settings.secret_keys, house.mode)
    if house.settings.requires_quote and g.api_key is None:
        raise quotes.QuoteRequired("This shop fixes its prices: a quote is required")
    return None


def _ids(payment: PaymentView) -> dict[str, Any]:
    """By what the line of this request is found again."""
    return {
        "id": str(payment.id),
        "orderId": payment.order_id,
        "paymentId": payment.payment_id,
        "paymentStatus": payment.status.value,
    }


def _log_ignored(body: object) -> None:
    """Which members of a page's body are not read. An odd name may hold a value, so it is only counted."""
    unknown = schemas.unknown_members(schemas.json_object(body))
    if unknown:
        names = [name for name in unknown if MEMBER_NAME.fullmatch(name)][: schemas.MAX_UNKNOWN]
        log.info("Unknown members ignored", extra={"data": {"members": names, "count": len(unknown)}})


def _claim(key: str, new: NewPayment, fingerprint: str) -> Claim | Kept:
    """The key belongs to this caller, a browser's to its buyer, and to what was asked for."""
    return claim(
        services().db,
        endpoint="create-order",
        owner=g.api_key.name if g.api_key else buyer(new.customer_phone, new.customer_email),
        key=key,
        fingerprint=fingerprint,
        lease=LEASE,
        still_valid=still_payable,
    )


def _created(payment: PaymentView, gateway: Gateway) -> dict[str, Any]:
    payment_url = f"{services().settings.backend_url}/pay/{payment.id}"
    order = {
        **dict.fromkeys(gateway.order_id_names, payment.order_id),
        "amount": payment.amount.minor,
        "currency": payment.amount.currency,
        "status": payment.gateway_status,
        **dict.fromkeys(gateway.payment_url_names, payment_url),
        **(payment.checkout or {}),
    }
    ours = {"gateway": payment.gateway, "mode": payment.mode, "id": str(payment.id)}
    return dumped(answers.created(type(gateway)), {"success": True, **ours, "order": order})


def _summary(payment: PaymentView) -> dict[str, Any]:
    names = {
        "id": str(payment.id),
        **dict.fromkeys(services().order_id_names(payment.provider), payment.order_id),
    }
    return {
        "success": True,
        "gateway": payment.gateway,
        "mode": payment.mode,
        **(names if payment.asked_by_order else {}),
        "paymentId": payment.payment_id,
        "status": payment.gateway_status,
        "paymentStatus": payment.status.value,
        "amount": payment.amount,
        "currency": payment.amount.currency,
        "method": payment.method,
    }
