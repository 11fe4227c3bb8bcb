"""One payment and all that a decision about it may ask: loaded once, decided on, written once.

The rows mirror the tables of `store/tables.py` without personal data; `transaction_id` is the API's
`paymentId`. Sums are whole paise, moments are UTC. Decisions change the rows in place and add to the record
what has to be written beside them: history entries, facts to tell, alerts, and lines for the log after the
commit.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.money import Money
from payments_service.domain.states import (
    CAPTURED,
    HOLDS_MONEY,
    AlertCode,
    AttemptStatus,
    EntryKind,
    OrderStatus,
    RefundStatus,
    Source,
)


@dataclass(frozen=True)
class Actor:
    """Who acts, by which id and which clock."""

    source: Source
    id: str
    clock: Clock = REAL_TIME


@dataclass(frozen=True)
class Policy:
    """What the settings say about decisions."""

    destinations: tuple[str, ...] = ()
    """Who is told of facts at all: merchant, customer, operator."""
    reviews_late_success: bool = False
    """Whether money that comes after failure or expiry waits for a person (LATE_SUCCESS=review)."""


@dataclass
class Payment:
    id: UUID
    gateway: str
    provider: str
    mode: str
    order_id: str | None
    transaction_id: str | None
    user_id: str | None
    amount: int
    currency: str
    status: str
    gateway_status: str | None
    payment_method: str | None
    reference: str | None
    price_verified: bool
    metadata: dict[str, Any]
    webhook_data: dict[str, Any] | None
    review: str | None
    expires_at: datetime
    observed_at: datetime | None
    completed_at: datetime | None
    closed_at: datetime | None
    """When the merchant closed it: no machine completes or captures it any more."""
    next_check_at: datetime | None
    created_at: datetime
    updated_at: datetime
    history_count: int
    history_unchained: int
    history_head: str | None

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


@dataclass
class Order:
    id: UUID
    payment_id: UUID
    provider: str
    wire_id: str
    gateway_order_id: str | None
    status: str
    generation: int
    leased_until: datetime
    checkout: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime


@dataclass
class Attempt:
    id: UUID
    order_id: UUID
    provider: str
    transaction_id: str
    status: str
    gateway_status: str
    amount: int
    currency: str
    method: str | None
    error_code: str | None
    bank_reference: str | None
    capture_by: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


@dataclass
class Refund:
    id: UUID
    payment_id: UUID
    attempt_id: UUID
    provider: str
    refund_id: str | None
    reason: str | None
    generation: int
    next_check_at: datetime | None
    gateway_refund_id: str | None
    bank_reference: str | None
    speed: str | None
    amount: int
    currency: str
    status: str
    gateway_status: str | None
    created_at: datetime
    updated_at: datetime


@dataclass
class Review:
    id: UUID
    payment_id: UUID
    reason: str
    evidence: dict[str, Any]
    opened_at: datetime
    closed_at: datetime | None
    resolution: str | None


@dataclass
class Reference:
    """A merchant's order number that the merchant vouches for: one object for all payments of a batch."""

    reference: str
    payment_id: UUID | None
    paid_by: UUID | None
    created_at: datetime


@dataclass(frozen=True)
class Entry:
    """A row of the history, numbered within its payment."""

    payment_id: UUID
    sequence: int
    kind: EntryKind
    from_status: str | None
    to_status: str | None
    source: Source
    actor: str
    reason: str
    evidence: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Fact:
    """What is told, once, to those who are to hear of it."""

    fact: str
    type: str
    payment_id: UUID
    data: dict[str, Any]
    destinations: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True)
class AlertChange:
    """An alert to open, with its detail, or to end (detail None)."""

    code: AlertCode
    subject: str
    detail: dict[str, Any] | None


@dataclass(frozen=True)
class Line:
    """A line for the log, written once the change is committed."""

    level: int
    message: str
    data: dict[str, Any]
    logger: str


@dataclass(frozen=True)
class Standing:
    """What the attempts of one payment add up to. `returned` are those of which all went back."""

    attempts: Sequence[Attempt]
    returned: frozenset[str]

    def of(self, *statuses: AttemptStatus) -> list[Attempt]:
        """Attempts in one of these states whose money has not gone back."""
        return [a for a in self.attempts if a.status in statuses and a.transaction_id not in self.returned]

    @property
    def held(self) -> list[Attempt]:
        """Money that the bank holds and that is not captured."""
        return self.of(AttemptStatus.AUTHORIZED)

    @property
    def captured(self) -> list[Attempt]:
        """Money that the gateway holds for the merchant."""
        return self.of(AttemptStatus.SUCCEEDED)

    @property
    def collected(self) -> list[Attempt]:
        """Cash that the gateway says was collected, and that it does not hold."""
        return self.of(AttemptStatus.COLLECTED)

    @property
    def has_cash(self) -> bool:
        return bool(self.of(AttemptStatus.PLACED, AttemptStatus.COLLECTED))

    @property
    def holds_money(self) -> bool:
        """While this is so, the payment neither fails nor expires."""
        return bool(self.of(*HOLDS_MONEY))

    @property
    def stops_our_clock(self) -> bool:
        """Money, or cash that is still to come: only the gateway or a person says how it ends."""
        return self.holds_money or self.has_cash

    @property
    def ever_captured(self) -> list[Attempt]:
        """Also what has gone back since."""
        return [a for a in self.attempts if a.status in CAPTURED]

    @property
    def is_released(self) -> bool:
        """A hold that was let go uncaptured, and nothing else holds or took money."""
        return any(a.status == AttemptStatus.VOIDED for a in self.attempts) and not any(
            a.status in HOLDS_MONEY | CAPTURED for a in self.attempts
        )

    @property
    def deciding(self) -> Attempt | None:
        """The attempt that paid, else the one that holds money, else the cash that was promised."""
        order = (
            AttemptStatus.SUCCEEDED,
            AttemptStatus.REFUNDED,
            AttemptStatus.AUTHORIZED,
            AttemptStatus.COLLECTED,
            AttemptStatus.PLACED,
        )
        return next((a for status in order for a in self.attempts if a.status == status), None)


@dataclass
class Elsewhere:
    """What the news names and another payment owns, and the trusted references: shared by a whole batch."""

    attempts: dict[tuple[str, str], tuple[UUID, UUID]] = field(default_factory=dict)
    """(provider, payment id of the gateway) → (our order, our payment)."""
    refunds: dict[tuple[str, str], UUID] = field(default_factory=dict)
    """(provider, the gateway's refund id, or ours) → our payment."""
    references: dict[str, Reference] = field(default_factory=dict)


@dataclass
class PaymentRecord:
    """A payment, locked, with its children; and what was decided about it."""

    payment: Payment
    orders: list[Order]
    attempts: list[Attempt]
    refunds: list[Refund]
    reviews: list[Review]
    policy: Policy = field(default_factory=Policy)
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    disputes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The newest evidence of each dispute, by its id; loaded when the news is about one."""
    entries: list[Entry] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    alerts: list[AlertChange] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    asks_for_refunds_at: datetime | None = None
    """Open refunds become due at this moment."""

    # ── what is known ──

    def order(self, order_id: UUID) -> Order:
        return next(order for order in self.orders if order.id == order_id)

    @property
    def current_order(self) -> Order:
        """The order that the payer is sent to: the newest that is not lost."""
        return self.watched_orders[0]

    @property
    def watched_orders(self) -> list[Order]:
        """The order that the payer is sent to, and after it those that were lost on the way, newest first.

        Its status tells which one is current: the clocks of two machines may not agree on which is newer.
        """
        newest_first = sorted(self.orders, key=lambda order: (order.created_at, order.id), reverse=True)
        return sorted(newest_first, key=lambda order: order.status == OrderStatus.LOST)

    @property
    def had_order(self) -> bool:
        """Whether the gateway ever knew an order of this payment."""
        return any(order.gateway_order_id for order in self.orders)

    def attempt(self, transaction_id: str | None) -> Attempt | None:
        return next((a for a in self.attempts if a.transaction_id == transaction_id), None)

    def attempt_of(self, refund: Refund) -> Attempt:
        return next(a for a in self.attempts if a.id == refund.attempt_id)

    def refund(self, refund_row: UUID) -> Refund:
        return next(refund for refund in self.refunds if refund.id == refund_row)

    @property
    def reference(self) -> Reference | None:
        """The reference that this payment is for, where the merchant vouches for it."""
        name = self.payment.reference if self.payment.price_verified else None
        return self.elsewhere.references.get(name) if name else None

    @property
    def standing(self) -> Standing:
        """What the payment's attempts add up to now."""
        back: defaultdict[UUID, int] = defaultdict(int)
        for refund in self.refunds:
            if refund.status == RefundStatus.COMPLETED:
                back[refund.attempt_id] += refund.amount
        returned = (a.transaction_id for a in self.attempts if back and back[a.id] >= a.amount)
        return Standing(self.attempts, frozenset(returned))

    @property
    def amount_refunded(self) -> int:
        """Paise that went back for good of the attempt that paid; a returned duplicate took nothing off."""
        paid = self.attempt(self.payment.transaction_id)
        done = (r for r in self.refunds if paid and r.attempt_id == paid.id)
        return sum(r.amount for r in done if r.status == RefundStatus.COMPLETED)

    # ── what is decided ──

    def append(
        self,
        kind: EntryKind,
        actor: Actor,
        reason: str,
        evidence: dict[str, Any],
        *,
        before: str | None = None,
        after: str | None = None,
    ) -> int:
        """One row of the history; its number."""
        payment = self.payment
        payment.history_count += 1
        self.entries.append(
            Entry(
                payment_id=payment.id,
                sequence=payment.history_count,
                kind=kind,
                from_status=before,
                to_status=after,
                source=actor.source,
                actor=actor.id,
                reason=reason,
                evidence=evidence,
                created_at=actor.clock.now(),
            )
        )
        return payment.history_count

    def mark(self) -> Callable[[], None]:
        """What takes back all that is decided from now on."""
        lists = (self.orders, self.attempts, self.refunds, self.reviews)
        rows = [self.payment, *(row for rows in lists for row in rows), *self.elsewhere.references.values()]
        values = [(row, dict(vars(row))) for row in rows]
        lengths = [(rows, len(rows)) for rows in (*lists, self.entries, self.facts, self.alerts, self.lines)]
        attempts, disputes = dict(self.elsewhere.attempts), dict(self.disputes)
        asks_for_refunds_at = self.asks_for_refunds_at

        def undo() -> None:
            for row, before in values:
                vars(row).update(before)
            for rows, length in lengths:
                del rows[length:]
            self.elsewhere.attempts, self.disputes = attempts, disputes
            self.asks_for_refunds_at = asks_for_refunds_at

        return undo

    def say(self, logger: str, level: int, message: str, data: dict[str, Any]) -> None:
        self.lines.append(Line(level, message, data, logger))

    def complain(self, logger: str, message: str, data: dict[str, Any]) -> None:
        self.say(logger, logging.ERROR, message, data)
