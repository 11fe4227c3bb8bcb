"""What goes out: the schemas through which answers are dumped, and from which the document is made.

A member that no schema has is not answered, so the document cannot lack one.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from marshmallow import Schema, fields

from payments_service.domain.money import Money, json_number
from payments_service.domain.states import PaymentStatus
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway

STATUSES = [status.value for status in PaymentStatus]
AN_ID = "019c0f3e-6a63-7d1c-9a58-5f0c8f7b2d11"
MOMENT = "2026-01-31T12:30:05.120000+00:00"


class Rupees(fields.Field[Money]):
    """Money as a JSON number of rupees, with at most two decimals."""

    def _serialize(
        self, value: Money | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> int | float | None:
        return None if value is None else json_number(value)


def told(about: str, example: object = None, **more: Any) -> dict[str, Any]:
    """What the document says of a field."""
    shown = {} if example is None else {"example": example}
    return {"metadata": {"description": about, **shown, **more}}


def text(about: str, example: str, **more: Any) -> fields.String:
    return fields.String(required=True, **told(about, example), **more)


def one_of(values: list[str], about: str) -> fields.String:
    return fields.String(required=True, **told(about, values[0], enum=values))


def success() -> fields.Boolean:
    return fields.Boolean(required=True, **told("always true in an answer of 2xx", True, const=True))


def moment(about: str) -> fields.AwareDateTime:
    return fields.AwareDateTime(required=True, **told(about, MOMENT))


class ErrorSchema(Schema):
    """Every error, of any status."""

    success = fields.Boolean(required=True, **told("always false in an error", False, const=False))
    error = text("a sentence for people", "Minimum amount is ₹1")
    code = text("a word for programs", "validation_error")
    details = fields.Raw(
        **told(
            "by member, the sentences on what is wrong with it; in development also a text on what a "
            "gateway said"
        )
    )
    message = fields.String(**told("beside 404: the address that does not exist"))
    retryable = fields.Boolean(**told("whether the same request may succeed later"))
    id = fields.UUID(**told("our id of the payment that it is about", AN_ID))
    paymentStatus = fields.String(**told("the payment's status", "pending", enum=STATUSES))
    status = fields.String(allow_none=True, **told("the gateway's own word"))
    refundablePaise = fields.Integer(**told("what can still be refunded, in paise", 10000))
    refund = fields.Nested("RefundOut", **told("the refund that it is about, as it stands"))


class ProblemSchema(ErrorSchema):
    """The same error as RFC 9457 has it, for a caller whose Accept names `application/problem+json`."""

    type = fields.Url(
        required=True,
        **told("the page of the code", "https://pay.example.com/docs/errors#validation_error"),
    )
    title = text("the code, for people", "Validation error")
    status = fields.Integer(required=True, **told("the HTTP status", 400))  # type: ignore[assignment]
    detail = text("as `error`", "Minimum amount is ₹1")
    instance = text("the address that was asked, with X-Request-Id", "/api/quote#3f2a9c1e7b5d4f60")
    gatewayStatus = fields.String(allow_none=True, **told("the gateway's own word"))


class WebhookReceivedSchema(Schema):
    success = success()
    message = text("for people", "Webhook received")


class HealthSchema(Schema):
    status = one_of(["ok"], "the process answers")
    message = text("for people", "Payment service is running")
    timestamp = moment("now")


class ReadySchema(Schema):
    """Status and database decide; the rest is told beside them."""

    status = one_of(["ready", "not_ready"], "whether requests can be served now")
    database = text("ok, not_migrated, or the kind of trouble", "ok")
    worker = text("ok, or since when no worker has given a sign of life", "ok")
    gateways = fields.Dict(
        required=True,
        keys=fields.String(),
        values=fields.String(metadata={"enum": ["ok", "failing", "refused"]}),
        **told("by provider, how this process gets on with it", {GATEWAYS[0].provider: "ok"}),
    )
    timestamp = moment("now")


class NotReadySchema(ReadySchema):
    """The same, beside the sentence and the code that every error has."""

    status = one_of(["not_ready"], "no request can be served now")
    database = text("not_migrated, or the kind of trouble", "unreachable")
    error = text("a sentence for people", "The database cannot be reached")
    code = one_of(["store_unavailable", "not_migrated"], "a word for programs")


class QuoteMadeSchema(Schema):
    success = success()
    quote = text(
        "for create-order's `quote`; its content can be read by the buyer", "eyJhbW91bnR….c2lnbmF0dXJl"
    )
    expiresAt = moment("until when an order can be opened with it")


def _other_order_ids() -> dict[str, fields.Field[Any]]:
    names = sorted({name for gateway in GATEWAYS for name in gateway.order_id_names} - {"orderId"})
    return {name: fields.String(**told("the order id, as pages of this gateway call it")) for name in names}


class _Payment(Schema):
    success = success()
    gateway = text("the gateway", GATEWAYS[0].name)
    mode = one_of(["test", "live"], "test: no money moves")
    id = fields.UUID(**told("our id of the payment; not there when asked by a payment id", AN_ID))
    orderId = fields.String(
        allow_none=True, **told("the order, as the browser knows it", "order_RB58MiP5SPFYyM")
    )
    paymentId = fields.String(
        required=True,
        allow_none=True,
        **told("the gateway's payment; null until it is known", "pay_RB58MjKzrS3yzC"),
    )
    status = fields.String(required=True, allow_none=True, **told("the gateway's own word", "captured"))
    amount = Rupees(required=True, **told("rupees", 499))
    currency = text("ISO 4217", "INR")
    method = fields.String(
        required=True, allow_none=True, **told("how it was paid, in the gateway's word", "upi")
    )


PaymentBase = _Payment.from_dict(_other_order_ids(), name="PaymentBase")


class VerifiedSchema(PaymentBase):  # type: ignore[valid-type,misc]
    """A payment that is paid; with manual capture, one whose money is held."""

    paymentStatus = one_of(["completed", "authorized"], "ours")
    timestamp = moment("when it last changed")
    captureBy = fields.AwareDateTime(
        **told("until when held money must be captured, where the gateway says so", MOMENT)
    )


class StatusSchema(PaymentBase):  # type: ignore[valid-type,misc]
    """A payment as it was last stored. No personal data."""

    paymentStatus = one_of(STATUSES, "ours")
    amountRefunded = Rupees(required=True, **told("rupees that went back", 0))
    createdAt = moment("when it was made")
    updatedAt = moment("when it last changed")


def _order(gateway: type[Gateway]) -> type[Schema]:
    """`order`: what is the same for all, under the names that pages of this gateway read, and its own."""
    ids = {name: text("the order, as the browser knows it", "order_1") for name in gateway.order_id_names}
    urls = {
        name: fields.Url(required=True, **told("our hosted page", f"https://pay.example.com/pay/{AN_ID}"))
        for name in gateway.payment_url_names
    }
    own = {
        one.name: fields.String(required=one.required, **told(one.about, one.example))
        for one in gateway.answer_fields
    }
    members: dict[str, fields.Field[Any]] = {
        **ids,
        "amount": fields.Integer(required=True, **told("paise, as checkout.js takes it", 49900)),
        "currency": text("ISO 4217", "INR"),
        "status": fields.String(required=True, allow_none=True, **told("the gateway's own word", "created")),
        **urls,
        **own,
    }
    return Schema.from_dict(members, name=f"Order_{gateway.provider}")


@cache
def created(gateway: type[Gateway]) -> Schema:
    """The schema of create-order's answer for one provider."""
    members: dict[str, fields.Field[Any]] = {
        "success": success(),
        "gateway": one_of([gateway.name], "the gateway"),
        "mode": one_of(["test", "live"], "test: no money moves"),
        "id": fields.UUID(required=True, **told("our id of the payment", AN_ID)),
        "order": fields.Nested(_order(gateway), required=True),
    }
    return Schema.from_dict(members, name=f"Created_{gateway.provider}")()


def dumped(schema: Schema, answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer as it goes out."""
    members: dict[str, Any] = schema.dump(answer)
    return members
