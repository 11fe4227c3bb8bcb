"""One fake gateway and a few words for what buyers, gateways and readers of the ledger do."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from payments_service.domain.money import Money
from payments_service.flows.create_order import Urls, create_order
from payments_service.flows.intent import NewPayment
from payments_service.flows.payment_view import PaymentView
from payments_service.store import payments
from payments_service.store.db import Database
from payments_service.store.tables import Payment, PaymentEvent, PaymentOrder, PaymentWebhook
from tests.support.fake_gateway import FakeGateway

PRICE = Money(49900)


@dataclass
class Ledger:
    """Reads of the ledger that tests ask for."""

    db: Database

    def payment(self, payment_id: UUID) -> Payment:
        with self.db.read() as session:
            return payments.by_id(session, payment_id)

    def only_payment(self) -> Payment:
        with self.db.read() as session:
            return session.scalars(select(Payment)).one()

    def only_order(self) -> PaymentOrder:
        with self.db.read() as session:
            return session.scalars(select(PaymentOrder)).one()

    def trail(self, payment_id: UUID, kind: str = "status") -> list[PaymentEvent]:
        with self.db.read() as session:
            query = select(PaymentEvent).where(
                PaymentEvent.payment_id == payment_id, PaymentEvent.kind == kind
            )
            return list(session.scalars(query.order_by(PaymentEvent.sequence)))

    def moves(self, payment_id: UUID) -> list[str | None]:
        return [event.to_status for event in self.trail(payment_id)]

    def inbox(self) -> list[PaymentWebhook]:
        with self.db.read() as session:
            return list(session.scalars(select(PaymentWebhook).order_by(PaymentWebhook.created_at)))


def buy(
    db: Database, gateway: FakeGateway, amount: Money = PRICE, lifetime_seconds: int = 1800
) -> PaymentView:
    return create_order(
        db, gateway, wish(amount, lifetime_seconds), Urls("http://127.0.0.1:5000"), "request-1"
    )


def wish(amount: Money = PRICE, lifetime_seconds: int = 1800) -> NewPayment:
    return NewPayment(
        amount=amount,
        customer_name="Asha Rao",
        customer_email="asha@example.com",
        customer_phone="9876543210",
        description=None,
        user_id=None,
        reference=None,
        metadata={},
        return_url="http://127.0.0.1:3000/done",
        lifetime=timedelta(seconds=lifetime_seconds),
    )


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def ledger(db: Database) -> Ledger:
    return Ledger(db)
