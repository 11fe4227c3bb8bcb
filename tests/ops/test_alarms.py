"""Each alarm that is measured: raised once in trouble, over by itself, told again when the trouble is back,
daily while it lasts, and not for a day once a person has dismissed it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update
from uuid6 import uuid7

from payments_service.domain.alarms import ALARMS
from payments_service.domain.states import AlertCode
from payments_service.flows import alerts, monitors, reviews, webhook
from payments_service.store import gauges, heartbeats, outbox
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


@pytest.fixture
def ops(db: Database) -> Ops:
    return Ops(db)


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
        order = session.scalars(select(PaymentOrder)).one()
        attempt = PaymentAttempt(
            order_id=order.id,
            provider="fake",
            transaction_id="pay_1",
            status="succeeded",
            gateway_status="paid",
            amount=PRICE.minor,
            currency="INR",
        )
        session.add(attempt)
        session.flush()
        refund = {"payment_id": opened.id, "attempt_id": attempt.id, "provider": "fake", "refund_id": "r_1"}
        session.add(Refund(**refund, amount=100, currency="INR", status="initiated", created_at=past))
    return lambda: ops.change(update(Refund).values(status="completed"))


def capture_window(ops: Ops) -> Mend:
    buy(ops.db, ops.gateway)
    ops.change(update(Payment).values(status="authorized"))
    with ops.db.begin() as session:
        order = session.scalars(select(PaymentOrder)).one()
        session.add(
            PaymentAttempt(
                order_id=order.id,
                provider="fake",
                transaction_id="pay_1",
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
        first = session.scalars(select(PaymentEvent).where(PaymentEvent.sequence == 1)).one()
        row = {
            name: getattr(first, name) for name in [column.name for column in PaymentEvent.__table__.columns]
        }
    _without_guards(ops.db, delete(PaymentEvent).where(PaymentEvent.id == first.id))
    assert row["payment_id"] == opened.id

    def mend() -> None:
        with ops.db.begin() as session:
            session.add(PaymentEvent(**row))

    return mend


def _without_guards(db: Database, statement: Any) -> None:
    """As one who owns the database can."""
    with db.engine.begin() as connection:
        if db.is_sqlite:
            connection.execute(text("DROP TRIGGER payment_events_no_delete"))
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


def test_every_alarm_that_the_worker_compares_is_tried_here() -> None:
    assert {alarm.code for alarm in ALARMS if not alarm.is_heard} == set(TROUBLE)


@pytest.mark.parametrize("code", TROUBLE)
def test_it_is_raised_once_ends_by_itself_and_is_told_again_when_it_is_back(ops: Ops, code: str) -> None:
    make, subject = TROUBLE[code]
    ops.look()
    assert ops.open() == []
    mend = make(ops)
    if code != "outbox_waits":
        ops.everything_is_told()
    ops.look(timedelta(0))
    ops.look(timedelta(seconds=1))
    assert (code, subject) in ops.open()
    expected = [code, "dispute_opened"] if code == "dispute_due" else [code]
    assert sorted(code for code, _ in ops.open()) == sorted(expected), "another alarm is no follower of this"
    [told] = ops.told(code)
    assert told["detail"]["hint"]
    mend()
    ops.look(timedelta(0))
    assert (code, subject) not in ops.open()


def test_what_is_back_is_told_again(ops: Ops) -> None:
    outbox_waits(ops)
    ops.look()
    ops.everything_is_told()
    ops.look()
    outbox_waits(ops)
    ops.look()
    assert len(ops.told("outbox_waits")) == 2
    assert len({told["id"] for told in ops.told("outbox_waits")}) == 2


@pytest.mark.parametrize("make", [review_waits, capture_window, inbox_waits])
def test_an_alarm_about_payments_names_them(ops: Ops, make: Callable[[Ops], Mend]) -> None:
    make(ops)
    with ops.db.read() as session:
        ids = {str(one) for one in session.scalars(select(Payment.id))}
    ops.look()
    [told] = ops.told(make.__name__)
    assert set(told["detail"]["paymentIds"]) == ids


def test_what_lasts_is_told_once_a_day_whatever_the_number_of_looks(ops: Ops) -> None:
    review_waits(ops)
    for _ in range(50):
        ops.look(HOUR)
        ops.everything_is_told()
    told = ops.told("review_waits")
    assert len(told) == 3  # raised in the first hour, reminded in the 25th and the 49th
    assert len({one["id"] for one in told}) == 1


def test_a_person_who_has_dismissed_it_is_left_in_peace_for_a_day(ops: Ops) -> None:
    review_waits(ops)
    ops.look()
    [review] = [one for one in reviews.open_reviews(ops.db) if one.why == "review_waits"]
    assert reviews.clear(ops.db, review.id, "Meera", clock=ops.hand.clock) == "Alert cleared"
    for _ in range(20):
        ops.look(HOUR)
        ops.everything_is_told()
    assert len(ops.told("review_waits")) == 1
    ops.look(5 * HOUR)
    assert len(ops.told("review_waits")) == 2


def test_trouble_that_ended_meanwhile_is_news_when_it_comes_back_within_the_day(ops: Ops) -> None:
    outbox_waits(ops)
    ops.look()
    [review] = reviews.open_reviews(ops.db)
    reviews.clear(ops.db, review.id, "Meera", clock=ops.hand.clock)
    ops.everything_is_told()
    ops.look()
    outbox_waits(ops)
    ops.look()
    assert len(ops.told("outbox_waits")) == 2


def test_a_dead_event_ends_its_alarm_when_it_is_sent_again(ops: Ops) -> None:
    Telling(ops.db).tell(outbox.MERCHANT, now=ops.hand.moment)
    ops.change(update(Outbox).values(state=outbox.DEAD))
    about = {
        "eventId": "evt_1",
        "type": "payment.completed",
        "destination": "merchant",
        "answer": "500",
        "tries": 10,
    }
    with ops.db.begin() as session:
        alerts.raise_alert(session, AlertCode.EVENT_UNDELIVERED, "merchant", about, ops.hand.clock)
    ops.look()
    assert ("event_undelivered", "merchant") in ops.open()
    ops.everything_is_told()
    ops.look()
    assert ops.open() == []


def test_the_worker_looks_once_for_all_its_gateways(ops: Ops) -> None:
    review_waits(ops)
    assert monitors.watch(ops.db, ops.gateway, ops.hand.clock) == 1
    looked = ops.hand.moment
    ops.hand.advance(timedelta(seconds=5))
    monitors.watch(ops.db, ops.gateway, ops.hand.clock)
    with ops.db.read() as session:
        assert heartbeats.last(session, heartbeats.LOOKED) == looked


def test_ids_that_a_leapt_clock_made_hide_no_alarm(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment of last week whose id is of next month is no order of this hour."""
    next_month = int((datetime.now(UTC) + 40 * DAY).timestamp() * 1000)
    monkeypatch.setattr("uuid6._last_v7_timestamp", next_month)
    no_orders(ops)
    ops.look()
    assert [code for code, _ in ops.open()] == ["no_orders"]


def test_the_id_of_a_moment_lies_before_every_id_of_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uuid6._last_v7_timestamp", None)  # tests before this one may have moved the clock
    before, made, after = datetime.now(UTC) - MINUTE, uuid7(), datetime.now(UTC) + MINUTE
    assert gauges.id_at(before) < made < gauges.id_at(after)
    assert gauges.id_at(before).version == 7
