"""What pretend Cashfree remembers, and how orders, attempts and refunds move; each move tells its webhook.

Sources: docs payments/online/resources/payment-lifecycle, webhooks/signature-verification,
webhooks/reliability-and-operations, refunds, sandbox-environment.
"""

import base64
import hashlib
import hmac
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass

from payments_service.simulator.base import Json
from payments_service.simulator.cashfree.records import (
    DEAD_REFUNDS,
    OPEN_ATTEMPTS,
    Dispute,
    Instrument,
    Order,
    Payment,
    PaymentError,
    Refund,
)
from payments_service.simulator.cashfree.wire import OLD, ist, webhook_text
from payments_service.simulator.deliveries import Deliveries, Message
from payments_service.simulator.world import ALPHANUMERIC, DIGITS, World

APP_ID = "TEST_simulator_app"
APP_SECRET = "simulator_cashfree_app_secret"  # noqa: S105  (well-known on purpose: nothing real is behind it)
OLD_APP_SECRET = "simulator_cashfree_old_app_secret"  # noqa: S105
USUAL_LIFETIME_SECONDS = 29 * 24 * 3600
RESPOND_WITHIN_SECONDS = 3 * 24 * 3600
RETRY_AFTER_SECONDS = (120.0, 600.0, 1800.0)
NEWEST_WEBHOOKS = "2025-01-01"
WEBHOOK_VERSIONS = (OLD, "2023-08-01", NEWEST_WEBHOOKS)
TOLD_REFUNDS = ("SUCCESS", "CANCELLED")

_UPI = {"upi": {"channel": "collect", "upi_id": "testsuccess@gocash"}}
_CARD = {
    "card": {
        "channel": "link",
        "card_number": "XXXXXXXXXXXX1450",
        "card_network": "visa",
        "card_type": "credit_card",
        "card_country": "IN",
        "card_bank_name": "TEST Bank",
    }
}
_BANK = {"netbanking": {"channel": "link", "netbanking_bank_code": 3333, "netbanking_bank_name": "TEST Bank"}}
_WALLET = {"app": {"channel": "link", "provider": "phonepe", "phone": "9999999999"}}
INSTRUMENTS = {
    "upi": Instrument("upi", "upi", _UPI),
    "card": Instrument("card", "credit_card", _CARD),
    "netbanking": Instrument("netbanking", "net_banking", _BANK),
    "wallet": Instrument("wallet", "wallet", _WALLET),
}
DECLINED = PaymentError(
    "TRANSACTION_DECLINED",
    "transaction is rejected at the remitter bank end. Please reach out to issuer bank",
    "bank_rejected",
    "bank",
)
WRONG_OTP = PaymentError("TRANSACTION_DECLINED", "Incorrect OTP", "invalid_otp", "customer")
LATE = "Payment was received after the order was terminated."


@dataclass(frozen=True)
class Settings:
    webhook_version: str = NEWEST_WEBHOOKS
    refund_outcome: str = "SUCCESS"


def signature(secret: str, timestamp: str, body: bytes) -> str:
    digest = hmac.new(secret.encode(), timestamp.encode() + body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class Books:
    """Everything here runs under the world's lock."""

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self.world = world
        self._deliveries = deliveries
        self.reset()

    def reset(self) -> None:
        self.settings = Settings()
        self._orders: dict[str, Order] = {}
        self.payments: dict[str, Payment] = {}
        self.refunds: dict[str, Refund] = {}
        self.disputes: list[Dispute] = []
        self.simulations: dict[str, Json] = {}
        self._payments_by_order: defaultdict[str, list[Payment]] = defaultdict(list)
        # key → the first request with it and what it was answered
        self.answers: dict[str, tuple[tuple[str, str, bytes], int, bytes]] = {}

    def new_number(self, length: int = 10) -> str:
        return self.world.random_text(1, "123456789") + self.world.random_text(length - 1, DIGITS)

    def now(self) -> int:
        return int(self.world.now())

    # Orders

    def add(self, order: Order) -> None:
        self._orders[order.id] = order

    def orders(self) -> list[Order]:
        return [self._aged(order) for order in self._orders.values()]

    def order(self, order_id: str) -> Order | None:
        order = self._orders.get(order_id)
        return self._aged(order) if order else None

    def order_of_session(self, session_id: str) -> Order | None:
        return next((order for order in self.orders() if order.session_id == session_id), None)

    def ahead_seconds(self) -> float:
        """How far the control plane has advanced our clock before that of the merchant."""
        return self.world.now() - time.time()

    def new_session_id(self) -> str:
        return f"session_{self.world.random_text(100, ALPHANUMERIC + '_-')}"

    def new_customer_uid(self) -> str:
        return str(uuid.UUID(self.world.random_text(32, "0123456789abcdef")))

    def terminate(self, order: Order) -> None:
        """At once, or when the attempt that is under way has ended."""
        is_busy = any(payment.status in OPEN_ATTEMPTS for payment in self.payments_of(order))
        order.status = "TERMINATION_REQUESTED" if is_busy else "TERMINATED"

    def _aged(self, order: Order) -> Order:
        if order.status == "ACTIVE" and order.ends_at <= self.world.now():
            order.status = "EXPIRED"
        return order

    # Attempts

    def payments_of(self, order: Order) -> list[Payment]:
        return self._payments_by_order.get(order.id, [])

    def attempt(self, order: Order, instrument: Instrument, amount: int | None) -> Payment:
        """A new attempt, of which the bank has said nothing yet: no webhook."""
        payment = Payment(
            self.new_number(13), order, order.amount if amount is None else amount, self.now(), instrument
        )
        self.payments[payment.id] = payment
        self._payments_by_order[order.id].append(payment)
        return payment

    def succeed(self, payment: Payment) -> None:
        """The order is paid when one attempt brings all of it; after its termination the money goes back."""
        order = payment.order
        payment.error, payment.completed_at = None, self.now()
        payment.bank_reference = self.new_number(12)
        if order.status == "TERMINATED":
            payment.status = "CANCELLED"
            self._refund_by_itself(payment)
            return
        payment.status = "SUCCESS"
        if payment.amount >= order.amount:
            order.status = "PAID"
        self._tell_payment("PAYMENT_SUCCESS_WEBHOOK", payment)

    def fail(self, payment: Payment, error: PaymentError, status: str = "FAILED") -> None:
        payment.status, payment.error, payment.completed_at = status, error, self.now()
        if payment.order.status == "TERMINATION_REQUESTED":
            self.terminate(payment.order)
        self._tell_payment(f"PAYMENT_{status}_WEBHOOK", payment)

    def _tell_payment(self, event: str, payment: Payment) -> None:
        order, version = payment.order, self.settings.webhook_version
        data: Json = {
            "order": order.webhook(),
            "payment": payment.webhook(is_newest=version == NEWEST_WEBHOOKS),
            "customer_details": order.webhook_customer(),
        }
        if payment.status == "FAILED" and payment.error:
            data["error_details"] = payment.error.entity()
        rest = {"payment_gateway_details": payment.gateway_details(), "payment_offers": None}
        self._tell(event, order, {**data, **rest})

    # Refunds

    def refunds_of(self, order: Order) -> list[Refund]:
        return [refund for refund in self.refunds.values() if refund.payment.order is order]

    def left_to_refund(self, payment: Payment) -> int:
        sent = sum(
            r.amount for r in self.refunds.values() if r.payment is payment and r.status not in DEAD_REFUNDS
        )
        return payment.amount - sent

    def refund(self, refund: Refund, outcome: str) -> None:
        self.refunds[refund.id] = refund
        if outcome != "PENDING":
            self.finish_refund(refund, outcome)

    def finish_refund(self, refund: Refund, status: str) -> None:
        refund.status, refund.processed_at = status, self.now()
        refund.arn = self.new_number(12) if status == "SUCCESS" else None
        if status in TOLD_REFUNDS:
            is_old = self.settings.webhook_version == OLD
            self._tell(
                "REFUND_STATUS_WEBHOOK", refund.payment.order, {"refund": refund.webhook(is_old=is_old)}
            )

    def _refund_by_itself(self, payment: Payment) -> None:
        now = self.now()
        refund = Refund("", self.new_number(), payment, payment.amount, now, status="SUCCESS")
        refund.arn, refund.processed_at = self.new_number(12), now
        self._tell("AUTO_REFUND_STATUS_WEBHOOK", payment.order, {"auto_refund": refund.auto_webhook(LATE)})

    # Disputes

    def open_dispute(self, payment: Payment, amount: int) -> None:
        now = self.now()
        dispute = Dispute(self.new_number(9), payment, amount, now, now + RESPOND_WITHIN_SECONDS)
        self.disputes.append(dispute)
        self._tell("DISPUTE_CREATED", payment.order, dispute.webhook(now))

    def close_dispute(self, dispute: Dispute, outcome: str) -> None:
        dispute.outcome = outcome
        self._tell("DISPUTE_CLOSED", dispute.payment.order, dispute.webhook(self.now()))

    # Webhooks

    def _tell(self, event: str, order: Order, data: Json) -> None:
        """Queue a webhook: a snapshot of this moment; every try carries the same bytes and signature."""
        version = self.settings.webhook_version
        body = webhook_text({"data": data, "event_time": ist(self.now()), "type": event}, version)
        timestamp = str(int(self.world.now() * 1000))
        key = base64.b64encode(hashlib.sha256(body + timestamp.encode()).digest()).decode()

        def headers(signed: str) -> dict[str, str]:
            return {
                "Content-Type": "application/json",
                "x-webhook-signature": signed,
                "x-webhook-timestamp": timestamp,
                "x-webhook-version": version,
                **({"x-idempotency-key": key} if version == NEWEST_WEBHOOKS else {}),
            }

        genuine = signature(APP_SECRET, timestamp, body)
        self._deliveries.send(
            Message(
                gateway="cashfree",
                event_id=key,
                event=event,
                order_id=order.id,
                body=body,
                headers=headers(genuine),
                corrupt_headers=headers(genuine[::-1]),
                old_secret_headers=headers(signature(OLD_APP_SECRET, timestamp, body)),
                retry_seconds=RETRY_AFTER_SECONDS,
                successes=frozenset({200}),
                attempt_header="x-webhook-attempt",
            )
        )
