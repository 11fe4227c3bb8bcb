"""Each alarm that is measured: raised once in trouble, over by itself, told again when the trouble is back,
daily while it lasts, and not for a day once a person has dismissed it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from uuid6 import uuid7

from payments_service.domain.alarms import ALARMS
from payments_service.domain.states import AlertCode
from payments_service.flows import alerts, monitors, reviews
from payments_service.store import gauges, heartbeats, outbox
from payments_service.store.db import Database, id_at
from payments_service.store.tables import Outbox, Payment, PaymentOrder
from tests.flows.conftest import buy
from tests.flows.delivering import Telling
from tests.ops.trouble import (
    DAY,
    HOUR,
    MINUTE,
    TROUBLE,
    Mend,
    Ops,
    capture_window,
    inbox_waits,
    no_orders,
    outbox_waits,
    review_waits,
)


@pytest.fixture
def ops(db: Database) -> Ops:
    return Ops(db)


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
    ops.everything_is_told()
    make(ops)
    ops.look(timedelta(0))
    assert (code, subject) in ops.open()
    assert len({told["id"] for told in ops.told(code)}) == 2


@pytest.mark.parametrize("status", ["refused", "unknown"])
def test_payments_that_got_no_order_are_no_orders(ops: Ops, status: str) -> None:
    no_orders(ops)
    opened = buy(ops.db, ops.gateway)
    its_order = update(PaymentOrder).where(PaymentOrder.payment_id == opened.id)
    ops.change(update(Payment).where(Payment.id == opened.id).values(created_at=ops.hand.moment))
    ops.change(its_order.values(status=status))
    ops.look()
    assert ("no_orders", "service") in ops.open()
    ops.change(its_order.values(status="open"))
    ops.look()
    assert ("no_orders", "service") not in ops.open()


def test_where_orders_are_few_the_last_five_that_failed_are_an_alarm(ops: Ops) -> None:
    """22 of 22 in 14 minutes, say: in no five minutes of them were there ten."""

    def buy_one(status: str) -> None:
        opened = buy(ops.db, ops.gateway)
        its = {"created_at": ops.hand.moment, "status": "completed"}
        ops.change(update(Payment).where(Payment.id == opened.id).values(its))
        ops.change(update(PaymentOrder).where(PaymentOrder.payment_id == opened.id).values(status=status))
        ops.look()

    for status in ("refused", "refused", "open", "refused", "unknown", "refused", "refused"):
        buy_one(status)
    assert ops.open() == [], "of the last five one was made"
    buy_one("creating")
    assert ops.open() == [], "one that is under way says nothing"
    buy_one("refused")
    assert ops.open() == [("orders_fail", "fake")]
    buy_one("open")
    assert ops.open() == []


def test_failures_of_half_an_hour_ago_are_no_alarm(ops: Ops) -> None:
    for _ in range(gauges.LAST_ORDERS):
        buy(ops.db, ops.gateway)
    ops.change(update(PaymentOrder).values(status="refused"))
    ops.change(update(Payment).values(status="completed", created_at=ops.hand.moment - 28 * MINUTE))
    ops.look()
    assert ops.open() == [("orders_fail", "fake")]
    ops.look(2 * MINUTE)
    assert ops.open() == []


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
    assert id_at(before) < made < id_at(after)
    assert id_at(before).version == 7
