"""A house in which trouble is made by hand: each alarm that is a number with a limit, made and ended."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, text, update

from payments_service.flows import monitors, webhook
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.tables import (
    Alert,
    Outbox,
    Payment,
    PaymentAttempt,
    PaymentEvent,
    PaymentOrder,
    PaymentReview,
    PaymentWebhook,
    Refund,
)
from tests.flows.conftest import PRICE, buy
from tests.flows.delivering import HandClock, Telling
from tests.support.fake_gateway import GENUINE, FakeGateway

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


class Ops:
    """A house in which trouble is made by hand, and the look around is taken when a test says so."""

    def __init__(self, db: Database) -> None:
        self.db, self.hand, self.gateway = db, HandClock(), FakeGateway()
        db.destinations = (outbox.MERCHANT, outbox.OPERATOR)

    def look(self, after: timedelta = MINUTE) -> None:
        self.hand.advance(after)
        monitors.look(self.db, self.hand.clock)

    def open(self) -> list[tuple[str, str]]:
        with self.db.read() as session:
            found = session.scalars(select(Alert).where(Alert.cleared_at.is_(None)).order_by(Alert.code))
            return [(alert.code, alert.subject) for alert in found]

    def told(self, code: str) -> list[dict[str, Any]]:
        """Events to the merchant about one alarm, oldest first."""
        with self.db.read() as session:
            query = select(Outbox).where(Outbox.type == "ops.alert", Outbox.destination == outbox.MERCHANT)
            bodies = [json.loads(row.body)["data"] for row in session.scalars(query.order_by(Outbox.id))]
        return [data for data in bodies if data["code"] == code]

    def change(self, statement: Any) -> None:
        with self.db.begin() as session:
            session.execute(statement)

    def everything_is_told(self) -> None:
        """As a worker does: what waits to be told is no trouble of this test."""
        self.change(update(Outbox).values(state=outbox.DELIVERED))


# ── how each trouble is made, and ended ─────────────────────────────────────────────────────────────────

Mend = Callable[[], None]


def no_orders(ops: Ops) -> Mend:
    bought = [buy(ops.db, ops.gateway) for _ in range(5)]
    ids = [one.id for one in bought]
    ops.change(update(Payment).where(Payment.id.in_(ids)).values(status="completed", next_check_at=None))
    ops.hand.advance(timedelta(days=7, minutes=30))

    def mend() -> None:
        ops.hand.moment = datetime.now(UTC)
        buy(ops.db, ops.gateway)
        ops.change(update(Payment).values(status="completed"))

    return mend


def orders_fail(ops: Ops) -> Mend:
    for _ in range(10):
        buy(ops.db, ops.gateway)
    with ops.db.begin() as session:
        few = list(session.scalars(select(PaymentOrder.id).limit(3)))
    ops.change(update(PaymentOrder).where(PaymentOrder.id.in_(few)).values(status="refused"))
    ops.change(update(Payment).values(status="completed"))
    return lambda: ops.change(update(PaymentOrder).values(status="open"))


def inbox_waits(ops: Ops) -> Mend:
    opened = buy(ops.db, ops.gateway)
    ops.change(update(Payment).values(status="completed"))
    event = ops.gateway.event(order=opened.order_id, status="pending", amount=PRICE.minor)
    webhook.receive(ops.db, ops.gateway, GENUINE, event)
    now = ops.hand.moment
    failed = {"outcome": "failed", "next_try_at": now + DAY, "created_at": now - HOUR}
    ops.change(update(PaymentWebhook).values(failed))
    return lambda: ops.change(update(PaymentWebhook).values(outcome="applied", next_try_at=None))


def outbox_waits(ops: Ops) -> Mend:
    Telling(ops.db).tell(outbox.MERCHANT, now=ops.hand.moment - HOUR)
    return ops.everything_is_told


def outcome_unknown(ops: Ops) -> Mend:
    opened = buy(ops.db, ops.gateway)
    past = ops.hand.moment - HOUR
    ops.change(update(Payment).values(status="completed"))
    with ops.db.begin() as session:
        order = session.scalars(select(PaymentOrder).where(PaymentOrder.payment_id == opened.id)).one()
        attempt = PaymentAttempt(
            order_id=order.id,
            provider="fake",
            transaction_id=f"pay_{order.id}",
            status="succeeded",
            gateway_status="paid",
            amount=PRICE.minor,
            currency="INR",
        )
        session.add(attempt)
        session.flush()
        refund = {
            "payment_id": opened.id,
            "attempt_id": attempt.id,
            "provider": "fake",
            "refund_id": str(order.id),
        }
        session.add(Refund(**refund, amount=100, currency="INR", status="initiated", created_at=past))
    return lambda: ops.change(update(Refund).values(status="completed"))


def capture_window(ops: Ops) -> Mend:
    opened = buy(ops.db, ops.gateway)
    ops.change(update(Payment).values(status="authorized"))
    with ops.db.begin() as session:
        order = session.scalars(select(PaymentOrder).where(PaymentOrder.payment_id == opened.id)).one()
        session.add(
            PaymentAttempt(
                order_id=order.id,
                provider="fake",
                transaction_id=f"pay_{order.id}",
                status="authorized",
                gateway_status="authorized",
                amount=PRICE.minor,
                currency="INR",
                capture_by=ops.hand.moment + 11 * HOUR,
            )
        )
    return lambda: ops.change(update(Payment).values(status="completed"))


def dispute_due(ops: Ops) -> Mend:
    date = (ops.hand.moment + 47 * HOUR).isoformat()
    row = {"code": "dispute_opened", "subject": "fake disp_1", "detail": {"respondBy": date}}
    with ops.db.begin() as session:
        session.add(Alert(**row, created_at=ops.hand.moment))
    return lambda: ops.change(delete(Alert).where(Alert.code == "dispute_opened"))


def review_waits(ops: Ops) -> Mend:
    opened = buy(ops.db, ops.gateway)
    ops.change(update(Payment).values(status="completed"))
    asked = {"payment_id": opened.id, "reason": "second_success", "evidence": {}}
    with ops.db.begin() as session:
        session.add(PaymentReview(**asked, opened_at=ops.hand.moment - DAY - HOUR))
    return lambda: ops.change(update(PaymentReview).values(closed_at=ops.hand.moment))


def history_broken(ops: Ops) -> Mend:
    opened = buy(ops.db, ops.gateway)
    ops.change(update(Payment).values(status="completed"))
    with ops.db.read() as session:
        of_it = select(PaymentEvent).where(PaymentEvent.payment_id == opened.id)
        first = session.scalars(of_it.where(PaymentEvent.sequence == 1)).one()
        row = {
            name: getattr(first, name) for name in [column.name for column in PaymentEvent.__table__.columns]
        }
    _without_guards(ops.db, delete(PaymentEvent).where(PaymentEvent.id == first.id))

    def mend() -> None:
        with ops.db.begin() as session:
            session.add(PaymentEvent(**row))

    return mend


def _without_guards(db: Database, statement: Any) -> None:
    """As one who owns the database can."""
    with db.engine.begin() as connection:
        if db.is_sqlite:
            connection.execute(text("DROP TRIGGER IF EXISTS payment_events_no_delete"))
        else:
            connection.execute(text("ALTER TABLE payment_events DISABLE TRIGGER USER"))
        connection.execute(statement)


TROUBLE: dict[str, tuple[Callable[[Ops], Mend], str]] = {
    "no_orders": (no_orders, "service"),
    "orders_fail": (orders_fail, "fake"),
    "inbox_waits": (inbox_waits, "fake"),
    "outbox_waits": (outbox_waits, "merchant"),
    "outcome_unknown": (outcome_unknown, "fake refund"),
    "capture_window": (capture_window, "fake"),
    "dispute_due": (dispute_due, "fake"),
    "review_waits": (review_waits, "service"),
    "history_broken": (history_broken, "service"),
}
