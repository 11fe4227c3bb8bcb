"""A gateway by hand: it answers what a test told it to, and lets a test act in the middle of a call."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import (
    GatewayError,
    MissingCredentials,
    SignatureInvalid,
    UnknownAtGateway,
)
from payments_service.domain.money import Money
from payments_service.domain.news import (
    AttemptSnapshot,
    Checkout,
    DisputeSnapshot,
    EventKind,
    NewOrder,
    NewRefund,
    OrderRef,
    PaymentSnapshot,
    RefundRef,
    RefundSnapshot,
    WebhookEvent,
)
from payments_service.domain.schedule import polling
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.base import AnswerField, Gateway, VerifyField
from payments_service.gateways.health import Health
from payments_service.gateways.signatures import sha256_hex


class FakeGateway(Gateway):
    name = "fake"
    provider = "fake"
    config_type = object
    verify_fields = (VerifyField("orderId"), VerifyField("proof"))
    answer_fields = (AnswerField("key", "what it is opened with", "k"),)
    webhook_headers = ("X-Fake",)
    minimum_amount = Money(100)
    browser_knows_wire_id = False
    order_id_names = ("orderId",)
    payment_url_names = ("paymentUrl",)
    our_clock_expires = True
    returns_are_signed = False
    lists_refunds = True
    one_refund_at_a_time = False
    refunds_name_the_attempt = True
    refunds_up_to_the_order = False
    captures_automatically = True
    webhook_secret_names = ("FAKE_WEBHOOK_SECRET",)
    credential_names = ("FAKE_KEY", "FAKE_SECRET")
    polling = polling((60, 20))
    reads_per_second = 20.0

    def __init__(self, config: Any = None) -> None:
        self.health = Health()
        self.calls: list[str] = []
        self.orders: dict[str, NewOrder] = {}
        self.during_create: Callable[[str, NewOrder], None] | None = None
        self.create_error: GatewayError | None = None
        self.fetch_error: GatewayError | None = None
        self.capture_error: GatewayError | None = None
        self.status: PaymentStatus | None = PaymentStatus.PENDING
        self.attempts: tuple[AttemptSnapshot, ...] = ()
        self.amount: Money | None = None
        self.tells_checkout_again = True
        self.misses_money = False
        self.refunds: tuple[RefundSnapshot, ...] = ()
        """Those that began in its dashboard."""
        self.made: dict[str, RefundSnapshot] = {}
        """Those that it made for us, by our id."""
        self.sent: list[NewRefund] = []
        """What it was asked to refund, as often as it was asked."""
        self.refund_status: RefundStatus | None = RefundStatus.COMPLETED
        self.refund_error: GatewayError | None = None
        self.refund_is_lost = False
        self.refund_fetch_error: GatewayError | None = None
        self.during_refund: Callable[[NewRefund], None] | None = None
        self.tells_refund: Callable[[RefundSnapshot], RefundSnapshot] = lambda refund: refund
        """How it tells a refund, for a test that lets it tell another one."""
        self.owner_of_payment_id: OrderRef | None = None
        self.lookup_error: GatewayError | None = None
        self.dispute: DisputeSnapshot | None = None

    @property
    def mode(self) -> str:
        return "test"

    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        self.calls.append("create_order")
        gateway_order_id = f"G{order.wire_id}"
        if self.create_error is None or self.create_error.code == "outcome_unknown":
            self.orders[gateway_order_id] = order
        if self.during_create:
            self.during_create(gateway_order_id, order)
        if self.create_error:
            raise self.create_error
        return Checkout(gateway_order_id, "created", self.amount or order.amount, {"key": "k"})

    def check_return(self, order: OrderRef, fields: Mapping[str, str]) -> None:
        if fields["proof"] != f"proof of {order.gateway_order_id}":
            raise SignatureInvalid("forged")

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        self.calls.append("fetch_payment")
        observed_at = datetime.now(UTC)
        if self.fetch_error:
            raise self.fetch_error
        gateway_order_id = order.gateway_order_id or f"G{order.wire_id}"
        made = self.orders.get(gateway_order_id)
        amount = self.amount or (made and made.amount)
        if amount is None:
            raise UnknownAtGateway("no such order")
        return PaymentSnapshot(
            order=OrderRef(order.wire_id or (made.wire_id if made else ""), gateway_order_id),
            status=self.status,
            gateway_status=str(self.status),
            amount=amount,
            observed_at=observed_at,
            attempts=self.attempts,
            refunds=tuple(self.tells_refund(refund) for refund in (*self.refunds, *self.made.values())),
            fetched=True,
            checkout=Checkout(gateway_order_id, "created", amount, {"key": "k"})
            if self.tells_checkout_again
            else None,
            misses_money=self.misses_money,
        )

    def capture(self, order: OrderRef, transaction_id: str, amount: Money, deadline: Deadline) -> None:
        self.calls.append(f"capture {transaction_id}")
        self.paid(transaction_id, amount)
        if self.capture_error:
            raise self.capture_error

    def void(self, order: OrderRef, transaction_id: str, deadline: Deadline) -> None:
        self.calls.append(f"void {transaction_id}")

    def recognises_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> bool:
        return True

    def read_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> WebhookEvent:
        if "x-fake" not in headers:
            raise MissingCredentials("no credentials")
        if headers["x-fake"] != "genuine":
            raise SignatureInvalid("wrong")
        return self.reread_webhook(headers.get("x-event-id") or sha256_hex(raw_body), raw_body)

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        body = json.loads(raw_body)
        order = OrderRef(body.get("wire", ""), body.get("order"))
        word = body.get("attempt", "succeeded")
        amount = Money(body.get("paid", body["amount"]))
        attempts = ()
        if word != "none":
            attempts = (self.attempt(body.get("payment", "pay_1"), AttemptStatus(word), amount),)
        snapshot = PaymentSnapshot(
            order=order,
            status=PaymentStatus(body["status"]) if body["status"] else None,
            gateway_status=body["status"] or "a new word",
            amount=Money(body["amount"]),
            observed_at=datetime.fromisoformat(body["at"]) if "at" in body else datetime.now(UTC),
            attempts=attempts,
            refunds=tuple(self._told(refund) for refund in body["refunds"]) if "refunds" in body else None,
        )
        if body.get("wake_up"):
            claims = PaymentStatus(body["status"])
            return WebhookEvent(event_id, "fake.wake", EventKind.PAYMENT, order, wake_up=True, claims=claims)
        return WebhookEvent(event_id, "fake.event", EventKind.PAYMENT, order, snapshot)

    def close(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot | None:
        return None

    def create_refund(self, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        self.sent.append(refund)
        error = self.refund_error
        is_made = error is None or (error.code == "outcome_unknown" and not self.refund_is_lost)
        if is_made and refund.refund_id not in self.made:
            self.made[refund.refund_id] = RefundSnapshot(
                f"rf_{refund.refund_id}",
                refund.refund_id,
                refund.transaction_id,
                self.refund_status,
                str(self.refund_status),
                refund.amount,
            )
        if self.during_refund:
            self.during_refund(refund)
        if error:
            raise error
        return self.tells_refund(self.made[refund.refund_id])

    def fetch_refund(self, refund: RefundRef, deadline: Deadline) -> RefundSnapshot:
        self.calls.append(f"fetch_refund {refund.refund_id or refund.gateway_refund_id}")
        if self.refund_fetch_error:
            raise self.refund_fetch_error
        for known in (*self.made.values(), *self.refunds):
            if refund.refund_id == known.refund_id or refund.gateway_refund_id == known.gateway_refund_id:
                return self.tells_refund(known)
        raise UnknownAtGateway("no such refund")

    def fetch_dispute(self, dispute_id: str, deadline: Deadline) -> DisputeSnapshot:
        self.calls.append(f"fetch_dispute {dispute_id}")
        if self.dispute is None:
            raise UnknownAtGateway("no such dispute")
        return self.dispute

    def find_by_payment_id(self, payment_id: str, deadline: Deadline) -> OrderRef | None:
        self.calls.append("find_by_payment_id")
        if self.lookup_error:
            raise self.lookup_error
        return self.owner_of_payment_id

    # ── what a test says happened at the gateway ────────────────────────────────────────────────

    def paid(self, transaction_id: str, amount: Money) -> None:
        self.status = PaymentStatus.COMPLETED
        self.attempts = (self.attempt(transaction_id, AttemptStatus.SUCCEEDED, amount),)

    def held(self, transaction_id: str, amount: Money) -> None:
        self.status = PaymentStatus.AUTHORIZED
        self.attempts = (self.attempt(transaction_id, AttemptStatus.AUTHORIZED, amount),)

    @staticmethod
    def attempt(transaction_id: str, status: AttemptStatus | None, amount: Money) -> AttemptSnapshot:
        """None is a word that is not known."""
        return AttemptSnapshot(transaction_id, status, status or "a new word", amount, "upi")

    @staticmethod
    def refund(refund_id: str, transaction_id: str, amount: Money) -> RefundSnapshot:
        return RefundSnapshot(refund_id, None, transaction_id, RefundStatus.COMPLETED, "processed", amount)

    def ends(self, refund_id: str, status: RefundStatus) -> None:
        self.made[refund_id] = replace(self.made[refund_id], status=status, gateway_status=status.value)

    def refund_event(self, order_id: str | None, *refunds: RefundSnapshot, **more: Any) -> bytes:
        """What it tells of refunds of a paid order of 499 rupees."""
        told = [asdict(self.tells_refund(refund)) for refund in refunds]
        return self.event(order=order_id, status="completed", amount=49900, refunds=told, **more)

    @staticmethod
    def _told(refund: dict[str, Any]) -> RefundSnapshot:
        status = RefundStatus(refund["status"]) if refund["status"] else None
        return RefundSnapshot(**{**refund, "status": status, "amount": Money(**refund["amount"])})

    @staticmethod
    def event(**body: Any) -> bytes:
        return json.dumps(body).encode()


GENUINE = {"x-fake": "genuine"}
