"""What pretend Razorpay remembers, and how orders, payments and refunds move; each move tells its webhook.

Sources: Razorpay docs api/orders/create, payments/payments/late-authorisation, webhooks/payments,
webhooks/refunds, webhooks/disputes.
"""

import hashlib
import hmac
import json
from collections import defaultdict
from dataclasses import dataclass, replace

from payments_service.simulator.base import Json
from payments_service.simulator.deliveries import Deliveries, Message
from payments_service.simulator.razorpay.records import (
    Card,
    Dispute,
    Instrument,
    Order,
    Payer,
    Payment,
    PaymentError,
    Refund,
)
from payments_service.simulator.world import DIGITS, World

KEY_ID = "rzp_test_simulator"
KEY_SECRET = "simulator_razorpay_key_secret"  # noqa: S105  (well-known on purpose: nothing real is behind it)
WEBHOOK_SECRET = "simulator_razorpay_webhook_secret"  # noqa: S105
OLD_WEBHOOK_SECRET = "simulator_razorpay_old_webhook_secret"  # noqa: S105
ACCOUNT_ID = "acc_Simulator00001"
METHODS = frozenset({"upi", "card", "netbanking", "wallet"})
FEE_PERCENT = 2
GST_PERCENT = 18
RESPOND_WITHIN_SECONDS = 7 * 24 * 3600

DECLINED = PaymentError(
    "BAD_REQUEST_ERROR", "Payment failed", "issuer", "payment_authorization", "payment_failed"
)
WRONG_OTP = PaymentError(
    "BAD_REQUEST_ERROR",
    "Authentication failed due to incorrect OTP",
    "customer",
    "payment_authentication",
    "invalid_otp",
)
BANK_DOWN = PaymentError(
    "GATEWAY_ERROR",
    "Payment processing failed due to error at bank/wallet gateway",
    "bank",
    "payment_authorization",
    "gateway_technical_error",
)
TIMED_OUT = PaymentError(
    "BAD_REQUEST_ERROR",
    "Payment was not completed on time.",
    "customer",
    "payment_authentication",
    "payment_timed_out",
)


@dataclass(frozen=True)
class Settings:
    unique_receipts: bool = False
    refund_outcome: str = "processed"


def hex_hmac(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


class Books:
    """Everything here runs under the world's lock."""

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self.world = world
        self._deliveries = deliveries
        self.reset()

    def reset(self) -> None:
        self.settings = Settings()
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, Payment] = {}
        self.refunds: dict[str, Refund] = {}
        self.disputes: dict[str, Dispute] = {}
        self._payments_by_order: defaultdict[str, list[Payment]] = defaultdict(list)
        self._refunds_by_payment: defaultdict[str, list[Refund]] = defaultdict(list)
        # key → what was asked (as canonical JSON) and the refund it made
        self.refund_keys: dict[str, tuple[str, str]] = {}
        self.running_refund_keys: set[str] = set()

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{self.world.random_text(14)}"

    def now(self) -> int:
        return int(self.world.now())

    def payments_of(self, order_id: str) -> list[Payment]:
        return self._payments_by_order.get(order_id, [])

    def refunds_of(self, payment_id: str) -> list[Refund]:
        return self._refunds_by_payment.get(payment_id, [])

    # Payments

    def instrument(self, method: str, vpa: str = "success@razorpay", bank: str = "HDFC") -> Instrument:
        """Acquirer data per method: Razorpay docs, api/payments/entity."""
        match method:
            case "upi":
                rrn = self.world.random_text(12, DIGITS)
                return Instrument(
                    "upi", {"rrn": rrn, "upi_transaction_id": self.world.random_text(32)}, vpa=vpa
                )
            case "netbanking":
                reference = {"bank_transaction_id": self.world.random_text(10, DIGITS)}
                return Instrument("netbanking", reference, bank=bank)
            case "wallet":
                return Instrument("wallet", {"transaction_id": self.world.random_text(12)}, wallet="olamoney")
        return self.card_instrument("1111", "Visa", international=False)

    def card_instrument(self, last4: str, network: str, *, international: bool) -> Instrument:
        approval = {"auth_code": self.world.random_text(6, DIGITS), "rrn": self.world.random_text(12, DIGITS)}
        card = Card(self.new_id("card"), last4, network, international)
        return Instrument("card", approval, card=card)

    def attempt(self, order: Order, instrument: Instrument, amount: int | None, payer: Payer) -> Payment:
        """A new payment on the order, in `created`: the bank has not answered, and no webhook is sent."""
        payment = Payment(
            id=self.new_id("pay"),
            order_id=order.id,
            amount=order.amount_due or order.amount if amount is None else amount,
            currency=order.currency,
            created_at=self.now(),
            instrument=instrument,
            payer=payer,
            notes=dict(payer.notes),
        )
        self.payments[payment.id] = payment
        self._payments_by_order[order.id].append(payment)
        order.attempts += 1
        if order.status == "created":
            order.status = "attempted"
        return payment

    def fail(self, payment: Payment, error: PaymentError) -> None:
        payment.status = "failed"
        payment.error = error
        self._tell("payment.failed", payment=payment.entity())

    def authorize(self, payment: Payment, *, late: bool = False) -> None:
        payment.status = "authorized"
        payment.late_authorized = late
        payment.error = None
        self._tell("payment.authorized", payment=payment.entity())

    def capture(self, payment: Payment) -> None:
        """Money is ours; the order is paid when the whole amount came together, and only once."""
        payment.status = "captured"
        payment.captured = True
        fee = (payment.amount * FEE_PERCENT + 50) // 100
        payment.tax = -(-fee * GST_PERCENT // 100)
        payment.fee = fee + payment.tax
        self._tell("payment.captured", payment=payment.entity())
        order = self.orders[payment.order_id]
        if order.status == "paid":
            return
        order.amount_paid += payment.amount
        if order.amount_due == 0:
            order.status = "paid"
            self._tell("order.paid", payment=payment.entity(), order=order.entity())

    # Refunds

    def refund(
        self, payment: Payment, amount: int, template: Refund | None = None, *, outcome: str
    ) -> Refund:
        """`template` carries notes, receipt and speed of an API request."""
        refund = Refund(self.new_id("rfnd"), payment.id, amount, payment.currency, self.now())
        if template is not None:
            refund = replace(refund, notes=template.notes, receipt=template.receipt, speed=template.speed)
        self.refunds[refund.id] = refund
        self._refunds_by_payment[payment.id].append(refund)
        self._count_refunded(payment, amount)
        if outcome == "processed":
            self._mark_processed(refund)
        self._tell("refund.created", refund=refund.entity(), payment=payment.entity())
        if outcome == "processed":
            self._tell("refund.processed", refund=refund.entity(), payment=payment.entity())
        return refund

    def finish_refund(self, refund: Refund, *, processed: bool) -> None:
        payment = self.payments[refund.payment_id]
        if processed:
            self._mark_processed(refund)
            self._tell("refund.processed", refund=refund.entity(), payment=payment.entity())
            return
        refund.status = "failed"
        self._count_refunded(payment, -refund.amount)
        self._tell("refund.failed", refund=refund.entity(), payment=payment.entity())

    def _mark_processed(self, refund: Refund) -> None:
        refund.status = "processed"
        refund.arn = self.world.random_text(14, DIGITS)

    def _count_refunded(self, payment: Payment, amount: int) -> None:
        payment.amount_refunded += amount
        if payment.refund_status == "full":
            payment.status = "refunded"
        elif payment.status == "refunded":
            payment.status = "captured" if payment.captured else "authorized"

    # Disputes

    def open_dispute(self, payment: Payment, amount: int) -> Dispute:
        now = self.now()
        dispute = Dispute(
            self.new_id("disp"), payment.id, amount, payment.currency, now, now + RESPOND_WITHIN_SECONDS
        )
        self.disputes[dispute.id] = dispute
        self._tell("payment.dispute.created", payment=payment.entity(), dispute=dispute.entity())
        return dispute

    def close_dispute(self, dispute: Dispute, *, won: bool) -> None:
        dispute.status = "won" if won else "lost"
        dispute.amount_deducted = 0 if won else dispute.amount
        payment = self.payments[dispute.payment_id]
        self._tell(f"payment.dispute.{dispute.status}", payment=payment.entity(), dispute=dispute.entity())
        # The documented sample of this event has status "closed"; the API keeps saying how it ended.
        closed = {**dispute.entity(), "status": "closed"}
        self._tell("payment.dispute.closed", payment=payment.entity(), dispute=closed)

    # Signatures

    def checkout_signature(self, order_id: str, payment_id: str) -> str:
        """Razorpay docs, payments/payment-gateway/web-integration/standard/integration-steps, 1.5."""
        return hex_hmac(KEY_SECRET, f"{order_id}|{payment_id}".encode())

    def _tell(self, event: str, **entities: Json) -> None:
        """Queue a webhook: a snapshot of this moment, signed over its bytes (webhooks/validate-test)."""
        envelope = {
            "entity": "event",
            "account_id": ACCOUNT_ID,
            "event": event,
            "contains": list(entities),
            "payload": {name: {"entity": entity} for name, entity in entities.items()},
            "created_at": self.now(),
        }
        body = json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
        event_id = self.world.random_text(14)
        signature = hex_hmac(WEBHOOK_SECRET, body)
        self._deliveries.send(
            Message(
                gateway="razorpay",
                event_id=event_id,
                event=event,
                order_id=str(entities["payment"]["order_id"]),
                body=body,
                headers=_headers(event_id, signature),
                corrupt_headers=_headers(event_id, signature[::-1]),
                old_secret_headers=_headers(event_id, hex_hmac(OLD_WEBHOOK_SECRET, body)),
            )
        )


def _headers(event_id: str, signature: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": "Razorpay-Webhook/v1",
        "X-Razorpay-Signature": signature,
        "x-razorpay-event-id": event_id,
    }
