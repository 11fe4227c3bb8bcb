"""What a test looks at behind the doors: the ledger's rows, and what the simulator knows and sent."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from payments_service.store.tables import Alert, Payment, PaymentEvent, PaymentOrder, PaymentWebhook
from tests.support.house import House


def trail(house: House, payment_id: str, kind: str = "status") -> list[str | None]:
    """Where the payment (or its attempts) moved to, in order."""
    with house.database() as db, db.read() as session:
        query = select(PaymentEvent).where(
            PaymentEvent.payment_id == UUID(payment_id), PaymentEvent.kind == kind
        )
        return [e.to_status for e in session.scalars(query.order_by(PaymentEvent.sequence))]


def inbox(house: House, payment_id: str) -> list[PaymentWebhook]:
    with house.database() as db, db.read() as session:
        query = select(PaymentWebhook).where(PaymentWebhook.payment_id == UUID(payment_id))
        return list(session.scalars(query.order_by(PaymentWebhook.created_at)))


def inbox_row(house: House, payload: bytes) -> PaymentWebhook | None:
    with house.database() as db, db.read() as session:
        rows = session.scalars(select(PaymentWebhook).order_by(PaymentWebhook.created_at.desc()).limit(20))
        return next((row for row in rows if row.payload == payload), None)


def alerts(house: House, subject: str) -> list[Alert]:
    with house.database() as db, db.read() as session:
        return list(session.scalars(select(Alert).where(Alert.subject == subject)))


def review(house: House, payment_id: str) -> str | None:
    with house.database() as db, db.read() as session:
        return session.get_one(Payment, UUID(payment_id)).review


def orders(house: House, payment_id: str) -> list[PaymentOrder]:
    with house.database() as db, db.read() as session:
        query = select(PaymentOrder).where(PaymentOrder.payment_id == UUID(payment_id))
        return list(session.scalars(query.order_by(PaymentOrder.created_at)))


def let_time_run_out(house: House, payment_id: str) -> None:
    with house.database() as db, db.begin() as session:
        session.get_one(Payment, UUID(payment_id)).expires_at = datetime.now(UTC) - timedelta(seconds=1)


def deliveries(house: House, order_id: str) -> list[dict[str, Any]]:
    """Webhook tries of the simulator that were answered."""
    sent = house.simulated(f"deliveries?orderId={order_id}")["deliveries"]
    return [delivery for delivery in sent if delivery["status"]]


def payment_id_at_the_gateway(house: House, order_id: str) -> str:
    attempts = house.simulated(f"orders/{order_id}")["attempts"]
    payment_id: str = attempts[-1]["paymentId"]
    return payment_id
