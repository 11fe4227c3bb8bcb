"""What pretend Razorpay remembers of orders and payments, and what is new in it: ids and instruments.

Sources: Razorpay docs api/orders/create, payments/payments/capture-settings/api.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from gateway_simulator.razorpay.records import Card, Instrument, Order, Payment, PaymentError
from gateway_simulator.world import DIGITS, World

KEY_ID = "rzp_test_simulator"
KEY_SECRET = "simulator_razorpay_key_secret"  # noqa: S105  (well-known on purpose: nothing real is behind it)
CASH = "cod"
METHODS = frozenset({"upi", "card", "netbanking", "wallet", CASH})

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
    # pending: until the control plane says; …_later: by the clock, after refund_minutes
    refund_outcome: str = "processed"
    refund_minutes: int = 60
    # without them a refund at speed "optimum" falls back to normal
    instant_refunds: bool = True
    # a silent bank's attempt is authorized after all so long after its creation; 0: never
    late_authorization_minutes: int = 0
    # what a late success on a paid order becomes: a second capture, or at once a refund
    late_on_paid_order: str = "captured"
    # customer: fee and GST are paid on top of the order
    fee_bearer: str = "platform"
    # whether the pay page asks for a UPI ID, which ended on 2026-02-28 for most
    upi_collect: bool = False


class Books:
    """Plain state, under the world's lock; what changes it (moves.py, refunds.py …) is above it."""

    def __init__(self, world: World) -> None:
        self.world = world
        # refunds whose request is being answered; a restart has none
        self.running_refund_keys: set[str] = set()
        self.reset()

    def reset(self) -> None:
        self.settings = Settings()
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, Payment] = {}
        self._payments_by_order: defaultdict[str, list[Payment]] = defaultdict(list)
        self.running_refund_keys.clear()

    def state(self) -> dict[str, Any]:
        """What a restart must not lose."""
        return {name: value for name, value in vars(self).items() if name != "running_refund_keys"}

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{self.world.random_text(14)}"

    def now(self) -> int:
        return int(self.world.now())

    def payments_of(self, order_id: str) -> list[Payment]:
        return self._payments_by_order.get(order_id, [])

    # Instruments

    def instrument(
        self, method: str, vpa: str | None = None, bank: str = "HDFC", wallet: str = "olamoney"
    ) -> Instrument:
        """Acquirer data per method: Razorpay docs, api/payments/entity."""
        match method:
            case "upi":
                rrn = self.world.random_text(12, DIGITS)
                references = {"rrn": rrn, "upi_transaction_id": self.world.random_text(32)}
                return Instrument("upi", references, vpa=vpa or "success@razorpay", collect=vpa is not None)
            case "netbanking":
                reference = {"bank_transaction_id": self.world.random_text(10, DIGITS)}
                return Instrument("netbanking", reference, bank=bank)
            case "wallet":
                return Instrument("wallet", {"transaction_id": self.world.random_text(12)}, wallet=wallet)
        return self.card_instrument("1111", "Visa", international=False)

    def card_instrument(self, last4: str, network: str, *, international: bool) -> Instrument:
        approval = {"auth_code": self.world.random_text(6, DIGITS), "rrn": self.world.random_text(12, DIGITS)}
        card = Card(self.new_id("card"), last4, network, international)
        return Instrument("card", approval, card=card)
