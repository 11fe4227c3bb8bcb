"""A few words for tests of refunds: a paid payment, its refunds, and what its merchant is told of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from payments_service.domain.deadline import Deadline
from payments_service.domain.money import Money
from payments_service.domain.news import RefundSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus
from payments_service.flows import refund, sync, webhook
from payments_service.flows.payment_view import PaymentView
from payments_service.flows.refund import RefundView
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.tables import Outbox, PaymentEvent, Refund
from tests.flows.conftest import PRICE, buy
from tests.support.fake_gateway import GENUINE, FakeGateway

MERCHANT, WORKER = Actor("operator", "request-2"), Actor("worker", "sweep")


@dataclass
class Refunding:
    """A completed payment of 499 rupees by pay_1, whose merchant listens."""

    db: Database
    gateway: FakeGateway
    payment: PaymentView

    @classmethod
    def begin(cls, db: Database, gateway: FakeGateway) -> "Refunding":
        db.destinations = (outbox.MERCHANT,)
        opened = buy(db, gateway)
        gateway.paid("pay_1", PRICE)
        begun = cls(db, gateway, opened)
        begun.read_again()
        return begun

    def send(self, paise: int | None = None, **options: str) -> RefundView:
        amount = None if paise is None else Money(paise)
        return refund.refund(
            self.db, self.gateway, self.payment.id, amount, "returned goods", MERCHANT, **options
        )

    def ask(self, row_id: UUID, **options: str) -> RefundView:
        with self.db.read() as session:
            row = session.get_one(Refund, row_id)
        return refund.ask(self.db, self.gateway, row, WORKER, **options)

    def read_again(self) -> None:
        """Whoever asks the gateway about the payment."""
        sync.refresh(self.db, self.gateway, self.payment.id, WORKER, Deadline(5))

    def hear(self, *told: RefundSnapshot, event_id: str = "", **more: object) -> None:
        """A webhook of refunds."""
        event = self.gateway.refund_event(self.payment.order_id, *told, **more)
        headers = {**GENUINE, "x-event-id": event_id} if event_id else GENUINE
        webhook.receive(self.db, self.gateway, headers, event)

    def second_success(self, transaction_id: str = "pay_2") -> None:
        self.gateway.attempts += (self.gateway.attempt(transaction_id, AttemptStatus.SUCCEEDED, PRICE),)
        self.read_again()

    def rows(self) -> list[Refund]:
        with self.db.read() as session:
            query = select(Refund).where(Refund.payment_id == self.payment.id)
            return list(session.scalars(query.order_by(Refund.created_at, Refund.id)))

    def row(self) -> Refund:
        (row,) = self.rows()
        return row

    def moves(self, row_id: UUID) -> list[str | None]:
        """Where a refund moved to, from the trail."""
        return [event.to_status for event in self.trail("refund") if event.evidence["id"] == str(row_id)]

    def reviews(self) -> list[str]:
        return [event.reason for event in self.trail("review")]

    def told(self) -> Sequence[str]:
        """The types of events about refunds and reviews that the merchant is sent."""
        with self.db.read() as session:
            rows = session.scalars(select(Outbox).order_by(Outbox.created_at, Outbox.id))
            return [row.type for row in rows if row.type.startswith("refund.") or "review" in row.type]

    def trail(self, kind: str) -> list[PaymentEvent]:
        with self.db.read() as session:
            query = select(PaymentEvent).where(PaymentEvent.payment_id == self.payment.id)
            return [
                event
                for event in session.scalars(query.order_by(PaymentEvent.sequence))
                if event.kind == kind
            ]
