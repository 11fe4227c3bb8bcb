"""Refunds: what was asked, what became of it, and the keys that make asking twice harmless.

Sources: Razorpay docs api/refunds/entity, create-normal, create-instant, normal-refunds-idempotent,
webhooks/refunds.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from gateway_simulator.base import Json
from gateway_simulator.razorpay.books import Books
from gateway_simulator.razorpay.events import Events
from gateway_simulator.razorpay.records import Notes, Payment, written_notes
from gateway_simulator.razorpay.settlements import Settlements
from gateway_simulator.world import DIGITS

# A payment older than this can no longer be given back (api/refunds: "more than 6 months old").
TOO_OLD_SECONDS = 183 * 24 * 3600


@dataclass(frozen=True)
class Asked:
    """What a refund request may say besides the amount."""

    speed: str | None = None
    receipt: str | None = None
    notes: Notes = field(default_factory=dict)


@dataclass
class Refund:
    id: str
    payment_id: str
    amount: int
    currency: str
    created_at: int
    notes: Notes
    receipt: str | None
    speed_requested: str | None
    speed_processed: str | None
    arn: str | None = None
    status: Literal["pending", "processed", "failed"] = "pending"

    def entity(self) -> Json:
        return {
            "id": self.id,
            "entity": "refund",
            "amount": self.amount,
            "currency": self.currency,
            "payment_id": self.payment_id,
            "notes": written_notes(self.notes),
            "receipt": self.receipt,
            "acquirer_data": {"arn": self.arn},
            "created_at": self.created_at,
            "batch_id": None,
            "status": self.status,
            # there only if the request named a speed (api/refunds/create-normal)
            **({"speed_processed": self.speed_processed} if self.speed_requested else {}),
            "speed_requested": self.speed_requested or "normal",
        }


class Refunds:
    """Everything here runs under the world's lock."""

    def __init__(self, books: Books, events: Events, settlements: Settlements) -> None:
        self._books = books
        self._events = events
        self._settlements = settlements
        self.all: dict[str, Refund] = {}
        self._by_payment: defaultdict[str, list[Refund]] = defaultdict(list)
        # key → what was asked (as canonical JSON) and the refund it made
        self.keys: dict[str, tuple[str, str]] = {}

    def of(self, payment_id: str) -> list[Refund]:
        return self._by_payment.get(payment_id, [])

    def create(self, payment: Payment, amount: int, asked: Asked, *, outcome: str | None = None) -> Refund:
        """`outcome` is one of the setting's; None: as the setting says."""
        refund = self._new(payment, amount, asked)
        outcome = outcome or self._outcome(payment)
        if outcome == "processed":
            self._mark_processed(refund)
        self.tell("refund.created", refund)
        if asked.speed == "optimum" and not self._books.settings.instant_refunds:
            self.slow_down(refund)
        if outcome == "processed":
            self._finished("refund.processed", refund)
        elif outcome != "pending":
            due = self._books.world.now() + 60 * self._books.settings.refund_minutes
            finish = partial(self.finish_pending, refund.id, processed=outcome == "processed_later")
            self._books.world.at(due, finish)
        return refund

    def _new(self, payment: Payment, amount: int, asked: Asked) -> Refund:
        refund = Refund(
            id=self._books.new_id("rfnd"),
            payment_id=payment.id,
            amount=amount,
            currency=payment.currency,
            created_at=self._books.now(),
            notes=asked.notes,
            receipt=asked.receipt,
            speed_requested=asked.speed,
            speed_processed={"optimum": "instant", "normal": "normal"}.get(asked.speed or ""),
        )
        self.all[refund.id] = refund
        self._by_payment[payment.id].append(refund)
        self._count(payment, amount)
        return refund

    def _outcome(self, payment: Payment) -> str:
        too_old = self._books.now() - payment.created_at > TOO_OLD_SECONDS
        return "failed_later" if too_old else str(self._books.settings.refund_outcome)

    def slow_down(self, refund: Refund) -> None:
        """The bank takes no instant refund: it goes the usual way."""
        refund.speed_processed = "normal"
        self.tell("refund.speed_changed", refund)

    def finish_pending(self, refund_id: str, *, processed: bool) -> None:
        refund = self.all[refund_id]
        if refund.status == "pending":
            self.finish(refund, processed=processed)

    def finish(self, refund: Refund, *, processed: bool) -> None:
        if processed:
            self._mark_processed(refund)
            self._finished("refund.processed", refund)
            return
        refund.status = "failed"
        self._count(self._books.payments[refund.payment_id], -refund.amount)
        self._finished("refund.failed", refund)

    def _mark_processed(self, refund: Refund) -> None:
        refund.status = "processed"
        refund.arn = self._books.world.random_text(14, DIGITS)

    def _finished(self, event: str, refund: Refund) -> None:
        payment = self._books.payments[refund.payment_id]
        if refund.status == "processed" and payment.captured and payment.instrument.method != "cod":
            self._settlements.book_refund(payment, refund.id, refund.amount)
        self.tell(event, refund)

    def tell(self, event: str, refund: Refund) -> None:
        payment = self._books.payments[refund.payment_id]
        entities = {"refund": refund.entity(), "payment": payment.entity()}
        self._events.tell(event, payment.order_id, entities)

    def _count(self, payment: Payment, amount: int) -> None:
        payment.amount_refunded += amount
        if payment.refund_status == "full":
            payment.status = "refunded"
        elif payment.status == "refunded":
            payment.status = "captured" if payment.captured else "authorized"
