"""What pretend Cashfree remembers of orders and attempts, and the ids that it makes."""

import uuid
from collections import defaultdict
from dataclasses import dataclass

from gateway_simulator.base import Json
from gateway_simulator.cashfree.records import Order, Payment
from gateway_simulator.cashfree.wire import NEWEST_WEBHOOKS
from gateway_simulator.world import ALPHANUMERIC, DIGITS, World

USUAL_LIFETIME_SECONDS = 29 * 24 * 3600


@dataclass(frozen=True)
class Settings:
    webhook_version: str = NEWEST_WEBHOOKS
    refund_outcome: str = "SUCCESS"
    settlement_days: int = 2
    settlement_outcome: str = "SUCCESS"
    recon_rows: str = "nested"
    upi_collect: bool = False


@dataclass(frozen=True)
class Answer:
    """What the first request with a key was answered; `asked` is its method, path and body."""

    asked: tuple[str, str, bytes]
    status: int
    text: bytes
    at: float


class Books:
    """Plain state, under the world's lock; what changes it (moves.py, refunds.py …) is above it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reset()

    def reset(self) -> None:
        self.settings = Settings()
        self._orders: dict[str, Order] = {}
        self._orders_by_session: dict[str, Order] = {}
        self.payments: dict[str, Payment] = {}
        self.simulations: dict[str, Json] = {}
        self._payments_by_order: defaultdict[str, list[Payment]] = defaultdict(list)
        # by idempotency key
        self.answers: dict[str, Answer] = {}

    def new_number(self, length: int = 10) -> str:
        return self.world.random_text(1, "123456789") + self.world.random_text(length - 1, DIGITS)

    def new_session_id(self) -> str:
        return f"session_{self.world.random_text(100, ALPHANUMERIC + '_-')}"

    def new_customer_uid(self) -> str:
        return str(uuid.UUID(self.world.random_text(32, "0123456789abcdef")))

    def now(self) -> int:
        return int(self.world.now())

    def orders(self) -> list[Order]:
        return list(self._orders.values())

    def order(self, order_id: str) -> Order | None:
        return self._orders.get(order_id)

    def order_of_session(self, session_id: str) -> Order | None:
        return self._orders_by_session.get(session_id)

    def payments_of(self, order: Order) -> list[Payment]:
        return self._payments_by_order.get(order.id, [])
