"""What the merchant's server may send, and the shape of every answer to it. No database, no decisions."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar, cast
from uuid import UUID

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate
from werkzeug.datastructures import MultiDict

from payments_service.api.answers import Rupees, told
from payments_service.api.schemas import (
    MAX_UNKNOWN,
    Amount,
    BodySchema,
    Text,
    Whole,
    json_object,
    nearest_of,
    refusal,
    refuse_what_is_no_text,
)
from payments_service.domain.facts import TYPES
from payments_service.domain.money import Money
from payments_service.domain.states import PaymentStatus
from payments_service.flows.payment_list import Filters, Place

MOST, USUAL = 100, 20
INDIA = timezone(timedelta(hours=5, minutes=30))
SHORTEST_PERSONAL = 4
"""Characters of a search for people: fewer would list the customers."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet runs (owasp.org, CSV Injection)."""


# ── in ──────────────────────────────────────────────────────────────────────────────────────────────


class Moment(fields.Field[datetime]):
    """ISO 8601 with its zone; a date alone is its midnight in India."""

    default_error_messages = {  # noqa: RUF012
        "invalid": "Must be a date, or a time with its zone, like 2026-01-31T18:30:00Z"
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            if len(str(value)) == len("2026-01-31"):
                return datetime.combine(date.fromisoformat(value), time(), INDIA).astimezone(UTC)
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise self.make_error("invalid")
            return moment.astimezone(UTC)
        except (TypeError, ValueError, OverflowError) as error:
            raise self.make_error("invalid") from error


class GatewayName(Text):
    """In any case, as create-order takes it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, attr, data, **kwargs).lower()


class Cursor(fields.Field[Place]):
    """A place in the list of payments, opaque to its reader."""

    default_error_messages = {"invalid": "Must be a cursor of an earlier answer"}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Place:
        try:
            text = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True).decode()
            moment, _, payment_id = text.partition(" ")
            made = datetime.fromisoformat(moment)
            return made.astimezone(UTC), UUID(payment_id)
        except (TypeError, ValueError, OverflowError, binascii.Error) as error:
            raise self.make_error("invalid") from error


def cursor(place: Place) -> str:
    text = f"{place[0].isoformat()} {place[1]}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class _Asked(Schema):
    """A member that is not known is refused by name: a misspelt one would be ignored with money at stake."""

    class Meta:
        unknown = INCLUDE


def _limit() -> fields.Integer:
    return Whole(load_default=USUAL, validate=validate.Range(1, MOST))


class FilterSchema(_Asked):
    """Which payments."""

    status = fields.String(load_default=None, validate=validate.OneOf([one.value for one in PaymentStatus]))
    gateway = GatewayName(load_default=None, validate=validate.Length(max=40))
    mode = fields.String(load_default=None, validate=validate.OneOf(["test", "live"]))
    since = Moment(load_default=None, data_key="from")
    until = Moment(load_default=None, data_key="to")
    reference = Text(load_default=None, validate=validate.Length(max=64))
    user_id = Text(load_default=None, data_key="userId", validate=validate.Length(max=64))
    review = fields.Boolean(load_default=None)
    includes_labels = fields.Boolean(load_default=False, data_key="includeLabels")


class ListSchema(FilterSchema):
    """GET /api/payment."""

    limit = _limit()
    after = Cursor(load_default=None)
    before = Cursor(load_default=None)


class SearchSchema(_Asked, BodySchema):
    """POST /api/payment/search."""

    query = Text(required=True, validate=validate.Length(1, 254))
    limit = _limit()
    includes_labels = fields.Boolean(load_default=False, data_key="includeLabels")


class EventListSchema(_Asked):
    """GET /api/events."""

    event_type = fields.String(load_default=None, data_key="type", validate=validate.OneOf(TYPES))
    payment_id = fields.UUID(load_default=None, data_key="payment")
    is_delivered = fields.Boolean(load_default=None, data_key="delivered")
    after = Text(load_default=None, validate=validate.Length(max=256))
    limit = _limit()


class NewRefundSchema(_Asked, BodySchema):
    """POST /api/payment/{id}/refunds."""

    amount = Amount(load_default=None)
    reason = Text(load_default="", validate=validate.Length(max=200))
    payment_id = Text(load_default=None, data_key="paymentId", validate=validate.Length(max=64))
    speed = fields.String(load_default="normal", validate=validate.OneOf(["normal", "optimum"]))
    force = fields.Boolean(load_default=False)


class NothingSchema(_Asked):
    """A body without members, or none at all."""


def loaded(schema: Schema, given: Mapping[str, Any]) -> dict[str, Any]:
    """The checked members; InvalidInput names all that is wrong, a member that is not known among it."""
    known = {field.data_key or name: name for name, field in schema.fields.items()}
    unknown = islice((name for name in given if name not in known), MAX_UNKNOWN)
    wrong = {name: [nearest_of(name, known)] for name in unknown}
    has_unknown = bool(wrong)
    values: dict[str, Any] = {}
    try:
        values = cast(dict[str, Any], schema.load({n: v for n, v in given.items() if n in known}))
    except ValidationError as error:
        wrong |= cast(dict[str, list[str]], error.messages_dict)
    if isinstance(given, MultiDict):  # a query, which can have a member twice
        twice = [name for name, found in given.lists() if len(found) > 1 and name in known]
        wrong |= {name: ["Must be given once"] for name in twice}
    if wrong:
        raise refusal(wrong, "unknown_field" if has_unknown else None)
    return values


def filters(values: Mapping[str, Any]) -> Filters:
    names = Filters.__dataclass_fields__
    return Filters(**{name: value for name, value in values.items() if name in names})


def body_of(given: object) -> Mapping[str, Any]:
    """The members of a JSON object; InvalidInput for anything else, and for what is no text."""
    members = json_object(given)
    refuse_what_is_no_text(members)
    return members


def fingerprint(values: Mapping[str, Any]) -> str:
    """SHA-256 of what a checked body asks for, however it is spaced, ordered and spelt."""
    plain = {name: value.minor if isinstance(value, Money) else value for name, value in values.items()}
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


# ── out ─────────────────────────────────────────────────────────────────────────────────────────────

Told = TypeVar("Told", bound=type[Schema])
SOMETIMES = ("customer",)
"""Members that are left out for a key which may not see them."""


def always(schema: Told) -> Told:
    """The document promises every other member of this answer, if only as null."""
    for name, field in schema._declared_fields.items():
        field.required = name not in SOMETIMES
    return schema


@always
class CustomerOut(Schema):
    """The payer, shown to keys with the scope `personal` alone."""

    name = fields.String(attribute="customer_name")
    email = fields.String(attribute="customer_email")
    phone = fields.String(attribute="customer_phone")


@always
class PaymentOut(Schema):
    """A payment as it stands in a list."""

    id = fields.UUID(attribute="row.id")
    gateway = fields.String(attribute="row.gateway")
    mode = fields.String(attribute="row.mode")
    orderId = fields.String(attribute="row.order_id", allow_none=True)
    paymentId = fields.String(attribute="row.transaction_id", allow_none=True)
    paymentStatus = fields.String(attribute="row.status")
    status = fields.String(attribute="row.gateway_status", allow_none=True)
    amount = Rupees(**told("rupees", 499.5))
    amountRefunded = Rupees(attribute="amount_refunded", **told("rupees that went back", 0))
    currency = fields.String(attribute="row.currency")
    method = fields.String(attribute="row.payment_method", allow_none=True)
    reference = fields.String(allow_none=True)
    label = fields.String(allow_none=True)
    priceVerified = fields.Boolean(attribute="row.price_verified")
    userId = fields.String(attribute="row.user_id", allow_none=True)
    description = fields.String(attribute="row.description", allow_none=True)
    metadata = fields.Dict(attribute="row.metadata_")
    review = fields.String(attribute="row.review", allow_none=True)
    createdAt = fields.AwareDateTime(attribute="row.created_at")
    updatedAt = fields.AwareDateTime(attribute="row.updated_at")
    expiresAt = fields.AwareDateTime(attribute="row.expires_at")
    completedAt = fields.AwareDateTime(attribute="row.completed_at", allow_none=True)
    closedAt = fields.AwareDateTime(attribute="row.closed_at", allow_none=True)
    customer = fields.Nested(CustomerOut, attribute="row")


@always
class PaymentPageOut(Schema):
    """GET /api/payment, POST /api/payment/search."""

    success = fields.Constant(True)
    payments = fields.List(fields.Nested(PaymentOut))
    hasMore = fields.Boolean()
    after = fields.String(allow_none=True)
    before = fields.String(allow_none=True)


@always
class SearchOut(Schema):
    success = fields.Constant(True)
    payments = fields.List(fields.Nested(PaymentOut))
    hasMore = fields.Boolean()
    searchedPeople = fields.Boolean()


@always
class OrderOut(Schema):
    """One order at the gateway."""

    wireId = fields.String(attribute="wire_id")
    gatewayOrderId = fields.String(attribute="gateway_order_id", allow_none=True)
    status = fields.String()
    createdAt = fields.AwareDateTime(attribute="created_at")
    updatedAt = fields.AwareDateTime(attribute="updated_at")


@always
class AttemptOut(Schema):
    """One try of the payer."""

    paymentId = fields.String(attribute="transaction_id")
    status = fields.String()
    gatewayStatus = fields.String(attribute="gateway_status")
    amount = Rupees(attribute="money", **told("rupees", 499.5))
    currency = fields.String()
    method = fields.String(allow_none=True)
    errorCode = fields.String(attribute="error_code", allow_none=True)
    bankReference = fields.String(attribute="bank_reference", allow_none=True)
    captureBy = fields.AwareDateTime(attribute="capture_by", allow_none=True)
    createdAt = fields.AwareDateTime(attribute="created_at")
    updatedAt = fields.AwareDateTime(attribute="updated_at")


@always
class RefundOut(Schema):
    """A refund as it stands now."""

    id = fields.UUID()
    refundId = fields.String(attribute="refund_id", allow_none=True)
    paymentId = fields.String(attribute="transaction_id", allow_none=True)
    status = fields.String(attribute="status.value")
    gatewayStatus = fields.String(attribute="gateway_status", allow_none=True)
    amount = Rupees(**told("rupees", 499.5))
    currency = fields.String(attribute="amount.currency")
    reason = fields.String(allow_none=True)
    speed = fields.String(allow_none=True)
    bankReference = fields.String(attribute="bank_reference", allow_none=True)
    expectedBy = fields.AwareDateTime(attribute="expected_by", allow_none=True)
    createdAt = fields.AwareDateTime(attribute="created_at")
    updatedAt = fields.AwareDateTime(attribute="updated_at")


@always
class RefundAnswerOut(Schema):
    success = fields.Constant(True)
    refund = fields.Nested(RefundOut)


@always
class RefundListOut(Schema):
    success = fields.Constant(True)
    refunds = fields.List(fields.Nested(RefundOut))


@always
class DisputeOut(Schema):
    """A dispute by its last word. What it has deducted, and whether you have to answer it now, is null where
    the gateway does not say so, or said it to an earlier version."""

    disputeId = fields.String()
    paymentId = fields.String()
    gatewayStatus = fields.String()
    amountPaise = fields.Integer()
    amountDeductedPaise = fields.Integer(allow_none=True, dump_default=None)
    phase = fields.String(allow_none=True)
    isClosed = fields.Boolean()
    needsAnswer = fields.Boolean(allow_none=True, dump_default=None)
    respondBy = fields.String(allow_none=True)


@always
class StepOut(Schema):
    """A row of the history, or a webhook that came."""

    at = fields.AwareDateTime()
    kind = fields.String()
    source = fields.String()
    actor = fields.String()
    what = fields.String()
    before = fields.String(allow_none=True)
    after = fields.String(allow_none=True)
    evidence = fields.Dict()


@always
class DeliveryOut(Schema):
    destination = fields.String()
    state = fields.String()
    attempts = fields.Integer()
    nextTryAt = fields.AwareDateTime(attribute="next_try_at", allow_none=True)
    deliveredAt = fields.AwareDateTime(attribute="delivered_at", allow_none=True)
    error = fields.String(allow_none=True)


@always
class EventOut(Schema):
    """An event: id, type, timestamp and data as the webhook has them, and what became of telling it."""

    id = fields.String()
    type = fields.String()
    timestamp = fields.String()
    data = fields.Dict()
    deliveries = fields.List(fields.Nested(DeliveryOut))


@always
class EventPageOut(Schema):
    success = fields.Constant(True)
    events = fields.List(fields.Nested(EventOut))
    after = fields.String()
    hasMore = fields.Boolean(attribute="has_more")


@always
class EventAnswerOut(Schema):
    success = fields.Constant(True)
    event = fields.Nested(EventOut)


@always
class PaymentDetailOut(PaymentOut):
    """One payment with all that is stored about it."""

    orders = fields.List(fields.Nested(OrderOut))
    attempts = fields.List(fields.Nested(AttemptOut))
    refunds = fields.List(fields.Nested(RefundOut))
    disputes = fields.List(fields.Nested(DisputeOut))
    history = fields.List(fields.Nested(StepOut))
    events = fields.List(fields.Nested(EventOut))


@always
class PaymentAnswerOut(Schema):
    success = fields.Constant(True)
    payment = fields.Nested(PaymentDetailOut)


@always
class StandingOut(Schema):
    """Where a payment stands after capture, void or close."""

    success = fields.Constant(True)
    id = fields.UUID()
    gateway = fields.String()
    mode = fields.String()
    orderId = fields.String(attribute="order_id", allow_none=True)
    paymentId = fields.String(attribute="payment_id", allow_none=True)
    status = fields.String(attribute="gateway_status", allow_none=True)
    paymentStatus = fields.String(attribute="status.value")
    amount = Rupees(**told("rupees", 499.5))
    currency = fields.String(attribute="amount.currency")
    captureBy = fields.AwareDateTime(attribute="capture_by", allow_none=True)
    updatedAt = fields.AwareDateTime(attribute="updated_at")


def dumped(schema: Schema, value: object) -> dict[str, Any]:
    return cast(dict[str, Any], schema.dump(value))


def without_people(*, people: bool, prefix: str = "") -> Sequence[str]:
    """What a schema leaves out for a key that may not see people."""
    return () if people else (f"{prefix}customer",)


# ── CSV ─────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS = (
    *("id", "createdAt", "updatedAt", "completedAt", "gateway", "mode", "orderId", "paymentId"),
    *("paymentStatus", "status", "amount", "amountRefunded", "currency", "method", "reference", "label"),
    *("priceVerified", "userId", "description", "review"),
)
PEOPLE_COLUMNS = ("name", "email", "phone")


def heads(*, people: bool) -> list[str]:
    return [*COLUMNS, *(PEOPLE_COLUMNS if people else ())]


def cells(payments: Sequence[object], *, people: bool) -> Iterator[list[str]]:
    schema = PaymentOut(exclude=without_people(people=people))
    for payment in payments:
        told = dumped(schema, payment)
        told |= told.pop("customer", {})
        yield [_cell(told[name]) for name in heads(people=people)]


def _cell(value: object) -> str:
    """Harmless in a spreadsheet: what a payer typed is never run as a formula."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text
