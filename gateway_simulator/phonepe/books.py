"""What pretend PhonePe remembers, and the ids and tokens that it makes."""

from dataclasses import dataclass

from gateway_simulator.base import Json
from gateway_simulator.phonepe.disputes import Dispute
from gateway_simulator.phonepe.records import Order, Refund, of_2026
from gateway_simulator.phonepe.settlements import Settlement
from gateway_simulator.world import DIGITS, World

UNFINISHED = ("PENDING", "CONFIRMED")


@dataclass(frozen=True)
class Settings:
    # how far a refund goes by itself, and in how many seconds: half of them until it is CONFIRMED
    refund_outcome: str = "COMPLETED"
    refund_seconds: int = 0
    # where the documents disagree: the code of a used id, the smallest refund
    duplicate_code: str = "INVALID_TRANSACTION_ID"
    least_refund_paise: int = 100
    token_seconds: int = 24 * 3600
    v1_timeout_seconds: int = 20 * 60
    # which call the client has no permission for
    forbidden: str = "nothing"
    # two samples of refund events have neither `event` nor `payload`
    refund_envelope: bool = True
    # how V2's webhooks prove where they come from: by user and password, or by HMAC
    webhook_kind: str = "basic"
    # whether the pay page offers UPI collect, which NPCI ended in February 2026
    upi_collect: bool = False
    # whether answers and events have the members that came in 2026
    newer_members: bool = True


class Books:
    """Plain state, under the world's lock; what changes it (moves.py) is above it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reset()

    def reset(self) -> None:
        self.settings = Settings()
        self.tokens: dict[str, int] = {}
        """Until when each is good, in seconds."""
        self._orders: dict[str, Order] = {}
        self._by_token: dict[str, Order] = {}
        self._by_transaction: dict[str, Order] = {}
        self._unsettled: list[Order] = []
        self.refunds: dict[str, Refund] = {}
        self.settlements: dict[str, Settlement] = {}
        self.disputes: dict[str, Dispute] = {}

    def now_ms(self) -> int:
        return int(self.world.now() * 1000)

    def new_number(self, prefix: str) -> str:
        return f"{prefix}{self.world.random_text(22, DIGITS)}"

    # Tokens of the API

    def new_token(self) -> tuple[str, int, int]:
        """The token, since when and until when it is good, in seconds."""
        issued_at = int(self.world.now())
        text, expires_at = self.world.random_text(120), issued_at + self.settings.token_seconds
        self.tokens[text] = expires_at
        return text, issued_at, expires_at

    def is_good_token(self, text: str) -> bool:
        return self.world.now() < self.tokens.get(text, 0)

    # Orders

    def order(self, order_id: str) -> Order | None:
        return self._orders.get(order_id)

    def order_of_token(self, token: str) -> Order | None:
        return self._by_token.get(token)

    def order_of_transaction(self, transaction_id: str) -> Order | None:
        return self._by_transaction.get(transaction_id)

    def orders(self) -> list[Order]:
        return list(self._orders.values())

    def disputes_of(self, order: Order) -> list[Dispute]:
        return [dispute for dispute in self.disputes.values() if dispute.order_id == order.id]

    def dressed(self, entity: Json) -> Json:
        """An order or a refund with the members that the settings want."""
        return of_2026(entity) if self.settings.newer_members else entity
