"""Razorpay: Orders API, Standard Checkout, webhooks, through the official SDK.

Documents (razorpay.com/docs): api/orders/create, api/orders/fetch-payments, api/payments/capture,
payments/capture-settings/api, api/refunds/create-normal, webhooks/payments, webhooks/validate-test,
payment-gateway/web-integration/standard/integration-steps; SDK razorpay 2.0.1.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import razorpay

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
    polling,
    variable,
)
from payments_service.gateways.http import ErrorFacts, GatewaySession, reading_answer
from payments_service.gateways.signatures import any_same, hmac_sha256_hex, same, sha256_hex
from payments_service.money import Money
from payments_service.states import AttemptStatus, PaymentStatus, RefundStatus

ORDER_STATUS = {
    "created": PaymentStatus.PENDING,
    "attempted": PaymentStatus.PENDING,
    "paid": PaymentStatus.COMPLETED,  # stays so even after a full refund
}
ATTEMPT_STATUS = {
    "created": AttemptStatus.PENDING,
    "pending": AttemptStatus.PENDING,  # cash on delivery
    "authorized": AttemptStatus.AUTHORIZED,
    "captured": AttemptStatus.SUCCEEDED,
    "refunded": AttemptStatus.REFUNDED,  # or VOIDED, see _attempt
    "failed": AttemptStatus.FAILED,
}
REFUND_STATUS = {
    "created": RefundStatus.PENDING,
    "pending": RefundStatus.PENDING,
    "processed": RefundStatus.COMPLETED,
    "failed": RefundStatus.FAILED,
}
EVENTS = {
    "payment.authorized": EventKind.PAYMENT,
    "payment.captured": EventKind.PAYMENT,
    "payment.failed": EventKind.PAYMENT,
    "payment.pending": EventKind.PAYMENT,
    "order.paid": EventKind.PAYMENT,
    "refund.created": EventKind.REFUND,
    "refund.processed": EventKind.REFUND,
    "refund.failed": EventKind.REFUND,
    "refund.speed_changed": EventKind.REFUND,
    "payment.dispute.created": EventKind.DISPUTE,
    "payment.dispute.under_review": EventKind.DISPUTE,
    "payment.dispute.action_required": EventKind.DISPUTE,
    "payment.dispute.won": EventKind.DISPUTE,
    "payment.dispute.lost": EventKind.DISPUTE,
    "payment.dispute.closed": EventKind.DISPUTE,
    "settlement.processed": EventKind.SETTLEMENT,
}
DISPUTE_ENDS = frozenset({"payment.dispute.won", "payment.dispute.lost", "payment.dispute.closed"})
IGNORED_FAMILIES = (
    "payment.downtime.",
    "payment_link.",
    "invoice.",
    "subscription.",
    "transfer.",
    "qr_code.",
    "virtual_account.",
)
"""Products of the same account that are not ours, and news about methods."""

OFFICIAL_API = "https://api.razorpay.com"
PAYMENT_ID = re.compile(r"pay_[A-Za-z0-9]{6,40}")
UNKNOWN_ID = "The id provided does not exist"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
POLLING = polling((60, 20), (300, 30), (1200, 60))
"""No schedule is published: a few questions with growing gaps."""
CAPTURE_WINDOW_MINUTES = 7200
"""Five days, the longest allowed: a late authorisation is still captured by Razorpay itself."""


@dataclass(frozen=True)
class RazorpayConfig:
    key_id: str = variable("RAZORPAY_KEY_ID")
    key_secret: str = variable("RAZORPAY_KEY_SECRET", secret=True)
    webhook_secrets: tuple[str, ...] = variable("RAZORPAY_WEBHOOK_SECRET", secret=True, is_list=True)
    api_url: str = variable("RAZORPAY_API_URL", default=OFFICIAL_API, is_url=True)
    capture: str = variable("RAZORPAY_CAPTURE", default="automatic", choices=("automatic",))


class RazorpayGateway(Gateway):
    name: ClassVar[str] = "razorpay"
    provider: ClassVar[str] = "razorpay"
    config_type: ClassVar[type] = RazorpayConfig
    verify_fields: ClassVar[tuple[VerifyField, ...]] = (
        VerifyField("orderId", aliases=("razorpay_order_id",)),
        VerifyField("paymentId", aliases=("razorpay_payment_id",)),
        VerifyField("signature", aliases=("razorpay_signature",)),
    )
    minimum_amount: ClassVar[Money] = Money(100)
    browser_knows_wire_id: ClassVar[bool] = False
    order_id_names: ClassVar[tuple[str, ...]] = ("orderId",)
    payment_url_names: ClassVar[tuple[str, ...]] = ("paymentUrl",)
    polling: ClassVar[Polling] = POLLING
    one_refund_at_a_time: ClassVar[bool] = False
    refunds_name_the_attempt: ClassVar[bool] = True
    refunds_up_to_the_order: ClassVar[bool] = False
    returns_are_signed: ClassVar[bool] = True
    our_clock_expires: ClassVar[bool] = True
    reads_per_second: ClassVar[float] = 20.0  # none are published (api/pagination: back off after a 429)

    def __init__(self, config: RazorpayConfig) -> None:
        self.config = config
        session = GatewaySession(self.provider, _read_error, self.reads_per_second)
        self.client = razorpay.Client(
            session=session,
            auth=(config.key_id, config.key_secret),
            base_url=config.api_url.rstrip("/"),
        )

    @property
    def mode(self) -> str:
        return "live" if self.config.key_id.startswith("rzp_live_") else "test"

    @property
    def captures_automatically(self) -> bool:
        return bool(self.config.capture == "automatic")

    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        body = {
            "amount": order.amount.minor,
            "currency": order.amount.currency,
            "receipt": order.wire_id,
            "payment": {
                "capture": self.config.capture,
                "capture_options": {
                    "automatic_expiry_period": CAPTURE_WINDOW_MINUTES,
                    "manual_expiry_period": CAPTURE_WINDOW_MINUTES,
                    "refund_speed": "normal",
                },
            },
        }
        try:
            answer = self.client.order.create(body, timeout=deadline)
        except Rejected as error:
            answer = self._order_with_our_receipt(order, error, deadline)
        with reading_answer(self.provider, of_write=True):
            return self._checkout(answer)

    def check_return(self, order: OrderRef, fields: Mapping[str, str]) -> None:
        """HMAC over our stored order id and the payment id; amount and status are not signed."""
        message = f"{order.gateway_order_id}|{fields['paymentId']}".encode("utf-8", "surrogatepass")
        if not same(fields["signature"], hmac_sha256_hex(self.config.key_secret, message)):
            raise SignatureInvalid("Payment signature verification failed")

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        observed_at = datetime.now(UTC)
        entity = self._fetch_order(order, deadline)
        with reading_answer(self.provider, of_write=False):
            payments = self._items(self.client.order.payments(entity["id"], {"count": 100}, timeout=deadline))
            attempts = tuple(_attempt(payment) for payment in payments)
            refunds = tuple(
                _refund(refund)
                for payment in payments
                if payment.get("amount_refunded")
                for refund in self._list_refunds(payment["id"], deadline)
            )
            return PaymentSnapshot(
                order=OrderRef(order.wire_id, entity["id"]),
                status=_order_status(entity["status"], attempts),
                gateway_status=_word(entity["status"], attempts),
                amount=Money(entity["amount"], entity["currency"]),
                observed_at=observed_at,
                attempts=attempts,
                refunds=refunds,
                fetched=True,
                checkout=self._checkout(entity),
            )

    def capture(self, order: OrderRef, transaction_id: str, amount: Money, deadline: Deadline) -> None:
        # A fresh dict: the SDK writes the amount into a default shared by all threads.
        answer = self.client.payment.capture(
            transaction_id, amount.minor, {"currency": amount.currency}, timeout=deadline
        )
        with reading_answer(self.provider, of_write=True):
            _attempt(answer)

    def void(self, order: OrderRef, transaction_id: str, deadline: Deadline) -> None:
        raise Rejected(f"{self.provider} lets held money go by itself only")

    def recognises_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> bool:
        return True

    def read_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> WebhookEvent:
        signature = headers.get("x-razorpay-signature")
        if not signature:
            raise MissingCredentials("The header X-Razorpay-Signature is missing")
        if not any_same(signature, [hmac_sha256_hex(s, raw_body) for s in self.config.webhook_secrets]):
            raise SignatureInvalid("The webhook signature is wrong")
        return self.reread_webhook(headers.get("x-razorpay-event-id") or sha256_hex(raw_body), raw_body)

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        try:
            return _event(event_id, json.loads(raw_body))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
            return WebhookEvent(event_id, "unreadable", EventKind.UNREADABLE)

    def close(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot | None:
        return None  # Razorpay has no call that ends an order

    def create_refund(self, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        # The SDK defines this method twice; the second, (payment, data), is the one that counts.
        answer = self.client.payment.refund(
            refund.transaction_id,
            {"amount": refund.amount.minor, "speed": "normal", "receipt": refund.refund_id},
            headers={"X-Refund-Idempotency": refund.refund_id},
            timeout=deadline,
        )
        with reading_answer(self.provider, of_write=True):
            return _refund(answer)

    def fetch_refund(self, refund: RefundRef, deadline: Deadline) -> RefundSnapshot:
        with reading_answer(self.provider, of_write=False):
            if refund.gateway_refund_id:
                return _refund(self.client.refund.fetch(refund.gateway_refund_id, timeout=deadline))
            for entity in self._list_refunds(refund.transaction_id, deadline):
                if entity.get("receipt") == refund.refund_id:
                    return _refund(entity)
        raise UnknownAtGateway(f"{self.provider} lists no such refund")

    def fetch_dispute(self, dispute_id: str, deadline: Deadline) -> DisputeSnapshot:
        observed_at = datetime.now(UTC)
        with reading_answer(self.provider, of_write=False):
            return _dispute("", self.client.dispute.fetch(dispute_id, timeout=deadline), observed_at)

    def find_by_payment_id(self, payment_id: str, deadline: Deadline) -> OrderRef | None:
        if not PAYMENT_ID.fullmatch(payment_id):
            return None
        with reading_answer(self.provider, of_write=False):
            entity = self.client.payment.fetch(payment_id, timeout=deadline)
            return OrderRef("", entity["order_id"]) if entity["order_id"] else None

    def _order_with_our_receipt(
        self, order: NewOrder, refusal: Rejected, deadline: Deadline
    ) -> Mapping[str, Any]:
        """After "Order receipt should be unique": our receipt is used once, so that order is ours."""
        if refusal.existing_order_id is None:
            raise refusal
        try:
            found = self._fetch_order(OrderRef(order.wire_id, refusal.existing_order_id), deadline)
        except GatewayError as error:
            raise OutcomeUnknown("An order with our receipt is there, but could not be read") from error
        with reading_answer(self.provider, of_write=True):
            if found["receipt"] == order.wire_id:
                return found
        raise refusal

    def _fetch_order(self, order: OrderRef, deadline: Deadline) -> Mapping[str, Any]:
        with reading_answer(self.provider, of_write=False):
            if order.gateway_order_id:
                answer: Mapping[str, Any] = self.client.order.fetch(order.gateway_order_id, timeout=deadline)
                return answer
            query = {"receipt": order.wire_id, "count": 10}
            for entity in self._items(self.client.order.all(query, timeout=deadline)):
                if entity["receipt"] == order.wire_id:
                    return entity
        raise UnknownAtGateway(f"{self.provider} lists no order with our receipt")

    def _list_refunds(self, payment_id: str, deadline: Deadline) -> list[Mapping[str, Any]]:
        return self._items(
            self.client.payment.fetch_multiple_refund(payment_id, {"count": 100}, timeout=deadline)
        )

    def _checkout(self, entity: Mapping[str, Any]) -> Checkout:
        return Checkout(
            gateway_order_id=entity["id"],
            gateway_status=entity["status"],
            amount=Money(entity["amount"], entity["currency"]),
            fields={
                "razorpayKey": self.config.key_id,
                "createdAt": _time(entity["created_at"]).isoformat(),
            },
        )

    @staticmethod
    def _items(collection: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        items = collection["items"]
        if not isinstance(items, list):
            raise TypeError("items must be a list")
        return items


def _order_status(word: str, attempts: tuple[AttemptSnapshot, ...]) -> PaymentStatus | None:
    status = ORDER_STATUS.get(word)
    if status is PaymentStatus.PENDING and any(a.status is AttemptStatus.AUTHORIZED for a in attempts):
        return PaymentStatus.AUTHORIZED
    return status


def _word(order_word: str, attempts: tuple[AttemptSnapshot, ...]) -> str:
    """The word of the attempt that decides (captured, authorized), else the order's own."""
    for status in (AttemptStatus.SUCCEEDED, AttemptStatus.REFUNDED, AttemptStatus.AUTHORIZED):
        for attempt in attempts:
            if attempt.status is status:
                return attempt.gateway_status
    return order_word


def _attempt(entity: Mapping[str, Any]) -> AttemptSnapshot:
    status = ATTEMPT_STATUS.get(entity["status"])
    if status is AttemptStatus.REFUNDED and not entity["captured"]:
        status = AttemptStatus.VOIDED  # refunded by Razorpay because nobody captured it in time
    return AttemptSnapshot(
        transaction_id=entity["id"],
        status=status,
        gateway_status=entity["status"],
        amount=Money(entity["amount"], entity["currency"]),
        method=entity.get("method"),
        error_code=entity.get("error_code") or None,
        capture_by=_capture_by(entity.get("created_at")),
    )


def _capture_by(created_at: object) -> datetime | None:
    """A convenience of the event out: that it is missing or strange must not hide a payment."""
    if type(created_at) is not int or not 0 <= created_at < 2**35:
        return None
    return _time(created_at) + timedelta(minutes=CAPTURE_WINDOW_MINUTES)


def _refund(entity: Mapping[str, Any]) -> RefundSnapshot:
    return RefundSnapshot(
        gateway_refund_id=entity["id"],
        refund_id=entity.get("receipt"),
        transaction_id=entity["payment_id"],
        status=REFUND_STATUS.get(entity["status"]),
        gateway_status=entity["status"],
        amount=Money(entity["amount"], entity["currency"]),
    )


def _dispute(event: str, entity: Mapping[str, Any], observed_at: datetime) -> DisputeSnapshot:
    return DisputeSnapshot(
        dispute_id=entity["id"],
        transaction_id=entity["payment_id"],
        gateway_status=entity["status"],
        amount=Money(entity["amount"], entity["currency"]),
        is_closed=event in DISPUTE_ENDS,
        observed_at=observed_at,
    )


def _event(event_id: str, body: Mapping[str, Any]) -> WebhookEvent:
    name = body["event"]
    kind = EVENTS.get(name, EventKind.UNKNOWN)
    if kind is EventKind.UNKNOWN and name.startswith(IGNORED_FAMILIES):
        kind = EventKind.IGNORED
    payment = body.get("payload", {}).get("payment", {}).get("entity") or {}
    if not payment.get("order_id"):
        return WebhookEvent(event_id, name, kind)
    order = OrderRef("", payment["order_id"])
    if kind is EventKind.DISPUTE:
        return WebhookEvent(
            event_id,
            name,
            kind,
            order,
            dispute=_dispute(name, body["payload"]["dispute"]["entity"], _time(body["created_at"])),
        )
    if kind not in (EventKind.PAYMENT, EventKind.REFUND):
        return WebhookEvent(event_id, name, kind, order)
    snapshot = _event_snapshot(order, payment, body)
    return WebhookEvent(event_id, name, kind, snapshot.order, snapshot)


def _event_snapshot(order: OrderRef, payment: Mapping[str, Any], body: Mapping[str, Any]) -> PaymentSnapshot:
    """What one signed event says. Without the order's entity the payment's amount stands for it."""
    attempt = _attempt(payment)
    order_entity = body["payload"].get("order", {}).get("entity")
    refund = body["payload"].get("refund", {}).get("entity")
    if order_entity:
        order = OrderRef(order_entity.get("receipt") or "", order.gateway_order_id)
        status = _order_status(order_entity["status"], (attempt,))
        amount = Money(order_entity["amount"], order_entity["currency"])
    else:
        status = _status_by_attempt(attempt)
        amount = attempt.amount
    return PaymentSnapshot(
        order=order,
        status=status,
        gateway_status=attempt.gateway_status,
        amount=amount,
        observed_at=_time(body["created_at"] if "created_at" in body else body["payload"]["created_at"]),
        attempts=(attempt,),
        refunds=(_refund(refund),) if refund else None,
    )


def _status_by_attempt(attempt: AttemptSnapshot) -> PaymentStatus | None:
    match attempt.status:
        case AttemptStatus.SUCCEEDED | AttemptStatus.REFUNDED:
            return PaymentStatus.COMPLETED
        case AttemptStatus.AUTHORIZED:
            return PaymentStatus.AUTHORIZED
        case None:
            return None
        case _:
            return PaymentStatus.PENDING  # a failed attempt says nothing about the order


def _time(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def _read_error(status: int, body: Mapping[str, Any]) -> ErrorFacts:
    error = body.get("error")
    if not isinstance(error, Mapping):  # the edge proxy's own answers: {"message": "…"}
        return ErrorFacts(code=None, description=str(body.get("message", "")))
    metadata = error.get("metadata")
    existing = metadata.get("order_id") if isinstance(metadata, Mapping) else None
    is_receipt = status == 400 and "receipt" in str(error.get("description"))
    return ErrorFacts(
        code=str(error["code"]) if error.get("code") else None,
        description=str(error.get("description", "")),
        unknown_id=error.get("description") == UNKNOWN_ID,  # a 404 is a wrong address, not a wrong id
        in_progress=status == 409,
        existing_order_id=str(existing) if existing and is_receipt else None,
    )
