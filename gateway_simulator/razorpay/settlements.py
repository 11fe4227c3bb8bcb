"""Settlements: the bank's transfers of what was captured, less fees, refunds and lost disputes.

Sources: Razorpay docs api/settlements/entity, payments/settlements; a payment's fee includes
its GST, and net = credits − debits. The hour of the transfer is assumed; bank holidays are not known here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from gateway_simulator.base import Json
from gateway_simulator.razorpay.books import Books
from gateway_simulator.razorpay.events import Events
from gateway_simulator.razorpay.records import Payment

INDIA = timezone(timedelta(hours=5, minutes=30))
WORKING_DAYS = 2
TRANSFER_HOUR = 11
SATURDAY = 5


@dataclass(frozen=True)
class Settlement:
    id: str
    amount: int
    fees: int
    tax: int
    utr: str
    created_at: int

    def entity(self) -> Json:
        return {
            "id": self.id,
            "entity": "settlement",
            "amount": self.amount,
            "status": "processed",
            "fees": self.fees,
            "tax": self.tax,
            "utr": self.utr,
            "created_at": self.created_at,
        }


@dataclass
class Line:
    """One row of the reconciliation; it belongs to no settlement yet when `settlement_id` is None."""

    entity_id: str
    kind: str
    debit: int
    credit: int
    amount: int
    created_at: int
    due_at: int
    order_id: str
    fee: int = 0
    tax: int = 0
    # of a refund or an adjustment; a payment's own line has its id in entity_id
    payment_id: str | None = None
    description: str | None = None
    dispute_id: str | None = None
    settlement_id: str | None = None


class Settlements:
    """Everything here runs under the world's lock."""

    def __init__(self, books: Books, events: Events) -> None:
        self._books = books
        self._events = events
        self.all: dict[str, Settlement] = {}
        self.lines: list[Line] = []
        self._planned: set[int] = set()

    # What there is to settle

    def book_payment(self, payment: Payment) -> None:
        now, due = self._books.now(), transfer_after(self._books.now())
        fee, tax, order_id = payment.fee or 0, payment.tax or 0, payment.order_id
        line = Line(payment.id, "payment", 0, payment.amount - fee, payment.amount, now, due, order_id)
        line.fee, line.tax, line.description = fee, tax, payment.payer.description
        self.lines.append(line)
        if due not in self._planned:
            self._planned.add(due)
            self._books.world.at(due, self.transfer_what_is_due)

    def book_refund(self, payment: Payment, refund_id: str, amount: int) -> None:
        """Goes off the next transfer."""
        now = self._books.now()
        line = Line(refund_id, "refund", amount, 0, amount, now, now, payment.order_id, payment_id=payment.id)
        self.lines.append(line)

    def book_lost_dispute(self, payment: Payment, dispute_id: str, amount: int) -> None:
        now, entity_id = self._books.now(), self._books.new_id("adj")
        line = Line(entity_id, "adjustment", amount, 0, amount, now, now, payment.order_id)
        line.description, line.dispute_id = "Dispute lost", dispute_id
        self.lines.append(line)

    # Transfers

    def transfer_what_is_due(self) -> None:
        self._transfer([line for line in self._open_lines() if line.due_at <= self._books.now()])

    def transfer_everything(self) -> None:
        self._transfer(self._open_lines())

    def _open_lines(self) -> list[Line]:
        return [line for line in self.lines if line.settlement_id is None]

    def _transfer(self, lines: list[Line]) -> None:
        """One settlement; where more is owed than earned, all of it waits for the next one."""
        net = sum(line.credit - line.debit for line in lines)
        if net <= 0:
            return
        now = self._books.now()
        settlement = Settlement(
            id=self._books.new_id("setl"),
            amount=net,
            fees=sum(line.fee for line in lines),
            tax=sum(line.tax for line in lines),
            utr=f"{now}{self._books.world.random_text(6).lower()}",
            created_at=now,
        )
        self.all[settlement.id] = settlement
        for line in lines:
            line.settlement_id = settlement.id
        self.tell(settlement)

    def tell(self, settlement: Settlement, order_id: str = "") -> None:
        self._events.tell("settlement.processed", order_id, {"settlement": settlement.entity()})

    def of_order(self, order_id: str) -> Settlement | None:
        settled = [line for line in self.lines if line.order_id == order_id and line.settlement_id]
        return self.all[settled[-1].settlement_id or ""] if settled else None


def transfer_after(captured_at: int) -> int:
    """T+2: Unix seconds of the transfer, two working days after the day of the capture."""
    day = datetime.fromtimestamp(captured_at, INDIA).replace(
        hour=TRANSFER_HOUR, minute=0, second=0, microsecond=0
    )
    for _ in range(WORKING_DAYS):
        day += timedelta(days=1)
        while day.weekday() >= SATURDAY:
            day += timedelta(days=1)
    return int(day.timestamp())
