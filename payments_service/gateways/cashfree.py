"""Cashfree Payments: Orders API by REST, checkout by payment session, webhooks.

Documents: the OpenAPI contract 2025-01-01 (github.com/cashfree/cashfree-pg at d02bb80, api/openapi.yaml);
www.cashfree.com/docs: api-reference/payments/errors, payments/online/webhooks/signature-verification,
payments/online/webhooks/overview, payments/online/refunds. The official SDK never checks certificates.
"""

import json
import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar

from payments_service.errors import (
    GatewayError,
    MissingCredentials,
    OutcomeUnknown,
    Rejected,
    SignatureInvalid,
    UnknownAtGateway,
)
from payments_service.gateways.base import (
    AttemptSnapshot,
    Checkout,
    Customer,
    Deadline,
    DisputeSnapshot,
    EventKind,
    Gateway,
    NewOrder,
    NewRefund,
    OrderRef,
    PaymentSnapshot,
    Polling,
    RefundRef,
    RefundSnapshot,
    VerifyField,
    WebhookEvent,
    WrongVariable,
    polling,
    variable,
)
from payments_service.gateways.http import ErrorFacts, GatewaySession, decimal_json, reading_answer
from payments_service.gateways.signatures import any_same, hmac_sha256_base64, sha256_hex
from payments_service.money import Money, json_number
from payments_service.states import AttemptStatus, PaymentStatus, RefundStatus

ORDER_STATUS = {
    "ACTIVE": PaymentStatus.PENDING,  # also after a failed attempt
    "PAID": PaymentStatus.COMPLETED,  # stays so even after a full refund
    "EXPIRED": PaymentStatus.EXPIRED,
    "TERMINATION_REQUESTED": PaymentStatus.PENDING,  # an attempt that is under way may still succeed
    "TERMINATED": PaymentStatus.EXPIRED,
}
ATTEMPT_STATUS = {
    "NOT_ATTEMPTED": AttemptStatus.PENDING,
    "PENDING": AttemptStatus.PENDING,
    "FLAGGED": AttemptStatus.PENDING,  # held back by the risk team
    "SUCCESS": AttemptStatus.SUCCEEDED,
    "FAILED": AttemptStatus.FAILED,
    "USER_DROPPED": AttemptStatus.FAILED,
    "CANCELLED": AttemptStatus.VOIDED,  # too late a success: Cashfree sends the money back by itself
    "VOID": AttemptStatus.VOIDED,  # a pre-authorisation that nobody captured
}
REFUND_STATUS = {
    "INITIATED": RefundStatus.PENDING,  # automatic refunds
    "PENDING": RefundStatus.PENDING,
    "ONHOLD": RefundStatus.PENDING,  # the merchant's balance is too low, or the risk team looks at it
    "SUCCESS": RefundStatus.COMPLETED,
    "CANCELLED": RefundStatus.FAILED,
    "FAILED": RefundStatus.FAILED,
}
EVENTS = {
    "PAYMENT_SUCCESS_WEBHOOK": EventKind.PAYMENT,
    "PAYMENT_FAILED_WEBHOOK": EventKind.PAYMENT,
    "PAYMENT_USER_DROPPED_WEBHOOK": EventKind.PAYMENT,
    "REFUND_STATUS_WEBHOOK": EventKind.REFUND,
    "AUTO_REFUND_STATUS_WEBHOOK": EventKind.REFUND,
    "DISPUTE_CREATED": EventKind.DISPUTE,
    "DISPUTE_UPDATED": EventKind.DISPUTE,
    "DISPUTE_CLOSED": EventKind.DISPUTE,
    "SETTLEMENT_INITIATED": EventKind.SETTLEMENT,
    "SETTLEMENT_SUCCESS": EventKind.SETTLEMENT,
    "SETTLEMENT_FAILED": EventKind.SETTLEMENT,
    "SETTLEMENT_REVERSED": EventKind.SETTLEMENT,
    "WEBHOOK": EventKind.IGNORED,  # the dashboard's button "Test"
}
IGNORED_FAMILIES = (
    "VENDOR_SETTLEMENT_",
    "INSTRUMENT_",
    "SUBSCRIPTION_",
    "PAYMENT_LINK_",
    "PAYMENT_FORM_",
    "PAYMENT_CHARGES_",
)
"""Products of the same account that are not ours, and news about charges."""

ORDER_HOLDERS = ("order", "refund", "auto_refund", "order_details")
"""Where in an event's data the order id stands, by the event's family."""

HOSTS = {"sandbox": "https://sandbox.cashfree.com/pg", "production": "https://api.cashfree.com/pg"}
MODES = {"sandbox": "test", "production": "live"}
STANDARD, SHA256_FIELDS = "standard", "sha256-fields"
FIELDS_ONLY = "fields:"
"""How the event ids of webhooks in the sha256-fields scheme begin: what else they say is not signed."""

IDEMPOTENCY = "idempotency_error"
"""A type of error that says more than the code that comes with it."""
ALREADY_THERE = frozenset(
    {"order_already_exists", "refund_id_already_exists", "idempotency_key_mismatch", IDEMPOTENCY}
)
"""What an id or a key that was used before is answered with."""
PERHAPS_THERE = frozenset({400, 409, 422})
"""How a refund is refused, by HTTP status, that may have been made before: the documents disagree."""

KEY_NAMESPACE = uuid.UUID("6f0b8c0e-3b52-4f3e-9d7a-0c6c1a2d7c55")
IST = timezone(timedelta(hours=5, minutes=30))
POLLING = polling((60, 20), (300, 30), (1200, 60))
"""No schedule is published: a few questions with growing gaps."""
LAST_MINUTE = timedelta(minutes=1)
"""Whoever began in time may finish; and 15 minutes, the least, are still that when they arrive."""
NAME_CATEGORIES = ("L", "M", "N", "Zs")
NAME_MARKS = "-'.,&"


@dataclass(frozen=True)
class CashfreeConfig:
    app_id: str = variable("CASHFREE_APP_ID")
    app_secrets: tuple[str, ...] = variable("CASHFREE_APP_SECRET", secret=True, is_list=True)
    """The newest first: that one speaks to the API, all of them sign webhooks while a change is under way."""
    environment: str = variable("CASHFREE_ENV", default="sandbox", choices=tuple(HOSTS))
    other_url: str = variable("CASHFREE_API_URL", default="", is_url=True)
    api_version: str = variable("CASHFREE_API_VERSION", default="2025-01-01")
    webhook_scheme: str = variable(
        "CASHFREE_WEBHOOK_SCHEME", default=STANDARD, choices=(STANDARD, SHA256_FIELDS)
    )

    def __post_init__(self) -> None:
        if not self.app_secrets:
            raise WrongVariable("CASHFREE_APP_SECRET", "must be a secret, or several: new,old")
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", self.api_version):
            raise WrongVariable(
                "CASHFREE_API_VERSION", "must be a version as Cashfree names them: 2025-01-01"
            )

    @property
    def api_url(self) -> str:
        return (self.other_url or HOSTS[self.environment]).rstrip("/")


class CashfreeGateway(Gateway):
    name: ClassVar[str] = "cashfree"
    provider: ClassVar[str] = "cashfree"
    config_type: ClassVar[type] = CashfreeConfig
    verify_fields: ClassVar[tuple[VerifyField, ...]] = (
        VerifyField("orderId", aliases=("order_id",)),
        VerifyField("paymentId", aliases=("cf_payment_id",), required=False),
    )
    minimum_amount: ClassVar[Money] = Money(100)
    browser_knows_wire_id: ClassVar[bool] = True
    order_id_names: ClassVar[tuple[str, ...]] = ("orderId",)
    payment_url_names: ClassVar[tuple[str, ...]] = ("paymentUrl", "paymentLink")
    polling: ClassVar[Polling] = POLLING
    one_refund_at_a_time: ClassVar[bool] = False
    refunds_name_the_attempt: ClassVar[bool] = False
    refunds_up_to_the_order: ClassVar[bool] = False
    returns_are_signed: ClassVar[bool] = False
    our_clock_expires: ClassVar[bool] = False
    # api-reference/payments/rate-limits: 100 reads of payments a minute, and each needs its order read too.
    reads_per_second: ClassVar[float] = 200 / 60

    def __init__(self, config: CashfreeConfig) -> None:
        self.config = config
        self.session = GatewaySession(
            self.provider, _read_error, self.reads_per_second, wait_header="x-ratelimit-retry"
        )
        self.session.headers.update(
            {
                "x-client-id": config.app_id,
                "x-client-secret": config.app_secrets[0],
                "x-api-version": config.api_version,
            }
        )

    @property
    def mode(self) -> str:
        return MODES[self.config.environment]

    @property
    def captures_automatically(self) -> bool:
        return False

    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        key = {"x-idempotency-key": str(uuid.uuid5(KEY_NAMESPACE, order.wire_id))}
        try:
            answer = self._send("POST", "/orders", deadline, json=_order_body(order), headers=key)
        except Rejected as error:
            return self._order_with_our_id(order, error, deadline)
        with reading_answer(self.provider, of_write=True):
            return _checkout(_named(answer, order.wire_id))

    def check_return(self, order: OrderRef, fields: Mapping[str, str]) -> None:
        """Nothing of a return is signed by Cashfree, so nothing can be forged: only a fetch tells."""

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        observed_at = datetime.now(UTC)
        path = f"/orders/{order.wire_id}"
        answer = self._send("GET", path, deadline)
        with reading_answer(self.provider, of_write=False):
            entity = _named(answer, order.wire_id)
            amount = _order_amount(entity)
            payments = _items(self._send("GET", f"{path}/payments", deadline))
            attempts = tuple(_attempt(payment, amount, payment.get("error_details")) for payment in payments)
            is_paid = ORDER_STATUS.get(entity["order_status"]) is PaymentStatus.COMPLETED
            refunds = _items(self._send("GET", f"{path}/refunds", deadline)) if is_paid else []
            return PaymentSnapshot(
                order=OrderRef(order.wire_id, _id(entity["cf_order_id"])),
                status=ORDER_STATUS.get(entity["order_status"]),
                gateway_status=_word(entity["order_status"], attempts),
                amount=amount,
                observed_at=observed_at,
                attempts=attempts,
                refunds=tuple(_refund(refund) for refund in refunds),
                fetched=True,
                checkout=_checkout(entity) if entity["order_status"] == "ACTIVE" else None,
            )

    def capture(self, order: OrderRef, transaction_id: str, amount: Money, deadline: Deadline) -> None:
        """Pre-authorisation is a product of its own that this service does not use: nothing is ever held."""
        raise Rejected(f"{self.provider} holds no money that could be captured")

    def void(self, order: OrderRef, transaction_id: str, deadline: Deadline) -> None:
        raise Rejected(f"{self.provider} holds no money that could be let go")

    def recognises_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> bool:
        return True

    def read_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> WebhookEvent:
        """HMAC over timestamp and body; where the settings allow it, a digest of three fields only wakes."""
        signature, timestamp = headers.get("x-webhook-signature"), headers.get("x-webhook-timestamp")
        if not signature:
            raise MissingCredentials("The header x-webhook-signature is missing")
        if self.config.webhook_scheme == SHA256_FIELDS and self._signs_fields(signature, raw_body):
            return self.reread_webhook(FIELDS_ONLY + sha256_hex(raw_body), raw_body)
        if not timestamp:
            raise MissingCredentials("The header x-webhook-timestamp is missing")
        message = timestamp.encode("utf-8", "surrogatepass") + raw_body
        if not any_same(signature, [hmac_sha256_base64(s, message) for s in self.config.app_secrets]):
            raise SignatureInvalid("The webhook signature is wrong")
        return self.reread_webhook(headers.get("x-idempotency-key") or sha256_hex(raw_body), raw_body)

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        try:
            body = json.loads(raw_body, parse_float=Decimal)
            if event_id.startswith(FIELDS_ONLY):
                order_id, _, _ = _three_fields(body)
                order = OrderRef(order_id)
                return WebhookEvent(event_id, "sha256-fields", EventKind.PAYMENT, order, wake_up=True)
            return _event(event_id, body)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
            return WebhookEvent(event_id, "unreadable", EventKind.UNREADABLE)

    def close(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot | None:
        """Terminated at once, or after the attempt that is under way, which may still pay the order."""
        path, wanted = f"/orders/{order.wire_id}", {"order_status": "TERMINATED"}
        answer = self._send("PATCH", path, deadline, json=wanted)
        with reading_answer(self.provider, of_write=True):
            _named(answer, order.wire_id)
        try:
            return self.fetch_payment(order, deadline)
        except GatewayError as error:
            raise OutcomeUnknown("The order was closed, but could not be read") from error

    def create_refund(self, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        # No idempotency key: under one, Cashfree would repeat even a 500. Our refund id keeps it single.
        path = f"/orders/{refund.order.wire_id}/refunds"
        try:
            answer = self._send("POST", path, deadline, json=_refund_body(refund))
        except Rejected as error:
            return self._refund_with_our_id(refund, error, deadline)
        with reading_answer(self.provider, of_write=True):
            return _refund(answer)

    def fetch_refund(self, refund: RefundRef, deadline: Deadline) -> RefundSnapshot:
        path = f"/orders/{refund.order.wire_id}/refunds"
        if not refund.refund_id:
            return self._refund_with_their_id(refund, path, deadline)
        answer = self._send("GET", f"{path}/{refund.refund_id}", deadline)
        with reading_answer(self.provider, of_write=False):
            return _refund(answer)

    def fetch_dispute(self, dispute_id: str, deadline: Deadline) -> DisputeSnapshot:
        raise UnknownAtGateway(f"{self.provider} cannot be asked for it yet")

    def find_by_payment_id(self, payment_id: str, deadline: Deadline) -> OrderRef | None:
        return None  # Cashfree has no call that leads from a payment to its order

    def _send(self, method: str, path: str, deadline: Deadline, **options: Any) -> Any:
        url = self.config.api_url + path
        return decimal_json(self.session.request(method, url, timeout=deadline, **options))

    def _order_with_our_id(self, order: NewOrder, refusal: Rejected, deadline: Deadline) -> Checkout:
        """After "order_already_exists": our wire id is used once, so that order is ours."""
        if refusal.gateway_code not in ALREADY_THERE:
            raise refusal
        try:
            found = self.fetch_payment(OrderRef(order.wire_id), deadline)
        except GatewayError as error:
            raise OutcomeUnknown("An order with our id is there, but could not be read") from error
        if found.checkout is None or found.amount != order.amount:
            raise refusal
        return found.checkout

    def _refund_with_our_id(self, refund: NewRefund, refusal: Rejected, deadline: Deadline) -> RefundSnapshot:
        """A refusal may mean that the refund is there already: look before believing it."""
        if refusal.gateway_status not in PERHAPS_THERE:
            raise refusal
        try:
            return self.fetch_refund(
                RefundRef(refund.refund_id, refund.order, refund.transaction_id), deadline
            )
        except GatewayError as error:
            if isinstance(error, Rejected) and refusal.gateway_code not in ALREADY_THERE:
                raise refusal from error
            raise OutcomeUnknown("A refund with our id may be there, but could not be read") from error

    def _refund_with_their_id(self, refund: RefundRef, path: str, deadline: Deadline) -> RefundSnapshot:
        """Cashfree's own id leads nowhere, so look for it among all of the order."""
        answer = self._send("GET", path, deadline)
        with reading_answer(self.provider, of_write=False):
            for found in map(_refund, _items(answer)):
                if found.gateway_refund_id == refund.gateway_refund_id:
                    return found
        raise UnknownAtGateway(f"{self.provider} lists no such refund")

    def _signs_fields(self, signature: str, raw_body: bytes) -> bool:
        """The scheme of this service's first design: hex SHA-256 of order id, amount, currency and secret."""
        try:
            fields = "".join(_three_fields(json.loads(raw_body, parse_float=Decimal))).encode()
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
            return False
        return any_same(signature, [sha256_hex(fields + s.encode()) for s in self.config.app_secrets])


def _order_body(order: NewOrder) -> dict[str, Any]:
    meta = {"return_url": order.return_url}
    if order.webhook_url.startswith("https://"):
        meta["notify_url"] = order.webhook_url
    note = _fitting(order.description, 200)
    return {
        "order_id": order.wire_id,
        "order_amount": json_number(order.amount),
        "order_currency": order.amount.currency,
        "customer_details": _customer_body(order.customer),
        "order_meta": meta,
        "order_expiry_time": (order.expires_at + LAST_MINUTE).astimezone(IST).isoformat(timespec="seconds"),
        **({"order_note": note} if note else {}),
    }


def _customer_body(customer: Customer) -> dict[str, str]:
    """What is too short, too long or too strange is left out: an empty text would be refused."""
    name = _fitting(customer.name, 100)
    has_email = customer.email.isascii() and 3 <= len(customer.email) <= 100
    return {
        "customer_id": customer.id,
        "customer_phone": customer.phone,
        **({"customer_name": name} if name else {}),
        **({"customer_email": customer.email} if has_email else {}),
    }


def _refund_body(refund: NewRefund) -> dict[str, Any]:
    note = _fitting(refund.reason, 100)
    return {
        "refund_id": refund.refund_id,
        "refund_amount": json_number(refund.amount),
        "refund_speed": "STANDARD",
        **({"refund_note": note} if note else {}),
    }


def _fitting(text: str, most: int) -> str | None:
    """Letters of every script, digits and a few marks, cut to size; None for less than three characters."""
    kept = (
        c if unicodedata.category(c).startswith(NAME_CATEGORIES) or c in NAME_MARKS else " "
        for c in unicodedata.normalize("NFC", text)
    )
    words = " ".join("".join(kept).split())[:most].strip()
    return words if len(words) >= 3 else None


def _checkout(entity: Mapping[str, Any]) -> Checkout:
    cf_order_id = _id(entity["cf_order_id"])
    return Checkout(
        gateway_order_id=cf_order_id,
        gateway_status=entity["order_status"],
        amount=_order_amount(entity),
        fields={"paymentSessionId": _id(entity["payment_session_id"]), "cfOrderId": cf_order_id},
    )


def _named(entity: Mapping[str, Any], wire_id: str) -> Mapping[str, Any]:
    if entity["order_id"] != wire_id:
        raise ValueError("an answer about another order")
    return entity


def _items(answer: Any) -> list[Mapping[str, Any]]:
    if not isinstance(answer, list):
        raise TypeError("a list was promised")
    return answer


def _word(order_word: str, attempts: tuple[AttemptSnapshot, ...]) -> str:
    """The word of the attempt that paid the order, else the order's own."""
    if ORDER_STATUS.get(order_word) is PaymentStatus.COMPLETED:
        for attempt in attempts:
            if attempt.status is AttemptStatus.SUCCEEDED:
                return attempt.gateway_status
    return order_word


def _attempt(payment: Mapping[str, Any], ordered: Money, error: Mapping[str, Any] | None) -> AttemptSnapshot:
    return AttemptSnapshot(
        transaction_id=_id(payment["cf_payment_id"]),
        status=ATTEMPT_STATUS.get(payment["payment_status"]),
        gateway_status=payment["payment_status"],
        amount=_paid_amount(payment, ordered),
        method=payment.get("payment_group"),
        error_code=(error or {}).get("error_code"),
    )


def _paid_amount(payment: Mapping[str, Any], ordered: Money) -> Money:
    """What the payer paid; in another currency, which Cashfree converts, what was ordered."""
    if payment["payment_currency"] != ordered.currency:
        return ordered
    return Money.from_major(payment["payment_amount"], ordered.currency)


def _order_amount(entity: Mapping[str, Any]) -> Money:
    return Money.from_major(entity["order_amount"], entity["order_currency"])


def _refund(entity: Mapping[str, Any]) -> RefundSnapshot:
    return RefundSnapshot(
        gateway_refund_id=_id(entity["cf_refund_id"]).removeprefix("refund_"),  # so before 2023-08-01
        refund_id=entity.get("refund_id"),
        transaction_id=_id(entity["cf_payment_id"]),
        status=REFUND_STATUS.get(entity["refund_status"]),
        gateway_status=entity["refund_status"],
        amount=Money.from_major(entity["refund_amount"], entity["refund_currency"]),
        gateway_chose=True,
    )


def _dispute(event: str, data: Mapping[str, Any], observed_at: datetime) -> DisputeSnapshot:
    dispute, order = data["dispute"], data["order_details"]
    return DisputeSnapshot(
        dispute_id=_id(dispute["dispute_id"]),
        transaction_id=_id(order["cf_payment_id"]),
        gateway_status=dispute["dispute_status"],
        amount=Money.from_major(dispute["dispute_amount"], order["order_currency"]),
        is_closed=event == "DISPUTE_CLOSED",
        observed_at=observed_at,
    )


def _event(event_id: str, body: Mapping[str, Any]) -> WebhookEvent:
    name, data = body["type"], body.get("data", {})
    kind = EVENTS.get(name, EventKind.UNKNOWN)
    if kind is EventKind.UNKNOWN and name.startswith(IGNORED_FAMILIES):
        kind = EventKind.IGNORED
    if kind is EventKind.PAYMENT:
        snapshot = _event_snapshot(body)
        return WebhookEvent(event_id, name, kind, snapshot.order, snapshot)
    holders = (data[holder] for holder in ORDER_HOLDERS if data.get(holder))
    order_id = next((holder.get("order_id") for holder in holders), None)
    order = OrderRef(order_id) if order_id else None
    if kind is EventKind.DISPUTE:
        return WebhookEvent(
            event_id, name, kind, order, dispute=_dispute(name, data, _time(body["event_time"]))
        )
    return WebhookEvent(event_id, name, kind, order, wake_up=kind is EventKind.REFUND and order is not None)


def _event_snapshot(body: Mapping[str, Any]) -> PaymentSnapshot:
    """What one signed event says of its order: only a whole success speaks for all of it."""
    data = body["data"]
    amount = _order_amount(data["order"])
    attempt = _attempt(data["payment"], amount, data.get("error_details"))
    return PaymentSnapshot(
        order=OrderRef(_id(data["order"]["order_id"])),
        status=_status_by_attempt(attempt, amount),
        gateway_status=attempt.gateway_status,
        amount=amount,
        observed_at=_time(body["event_time"]),
        attempts=(attempt,),
    )


def _status_by_attempt(attempt: AttemptSnapshot, ordered: Money) -> PaymentStatus | None:
    """A success of another amount (an offer, a surcharge) leaves it to the order itself: ask."""
    match attempt.status:
        case AttemptStatus.SUCCEEDED if attempt.amount == ordered:
            return PaymentStatus.COMPLETED
        case None:
            return None
        case _:
            return PaymentStatus.PENDING


def _three_fields(body: Mapping[str, Any]) -> tuple[str, str, str]:
    """Order id, amount and currency, the amount as JavaScript prints the number: 170, 1499.5."""
    order = body["data"]["order"]
    amount = order["order_amount"]
    if isinstance(amount, Decimal):
        amount = f"{amount:f}".rstrip("0").rstrip(".") if amount.is_finite() else None
    return _id(order["order_id"]), _id(amount), _id(order["order_currency"])


def _id(value: Any) -> str:
    """Ids are texts or, in older versions and in some events, numbers."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise TypeError(f"no id: {type(value).__name__}")
    return str(value)


def _time(text: str) -> datetime:
    told = datetime.fromisoformat(text)
    return (told if told.tzinfo else told.replace(tzinfo=IST)).astimezone(UTC)


def _read_error(status: int, body: Mapping[str, Any]) -> ErrorFacts:
    code = IDEMPOTENCY if body.get("type") == IDEMPOTENCY else str(body.get("code") or "")
    is_missing = code.endswith("_not_found")
    return ErrorFacts(
        code=code or None,
        description=str(body.get("message", "")),
        unknown_id=status in (400, 404) and is_missing,  # a wrong address is request_failed
    )
