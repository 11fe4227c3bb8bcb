"""Trouble that no single payment shows."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from payments_service.domain.deadline import Deadline
from payments_service.domain.flag import flag
from payments_service.domain.payment import Actor
from payments_service.domain.states import ReviewReason
from payments_service.flows import monitors, reviews, sync, webhook
from payments_service.flows.alerts import raise_alert
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.tables import Outbox, Payment, PaymentAttempt
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.delivering import HandClock
from tests.support.deciding import deciding
from tests.support.event_samples import UNDELIVERED
from tests.support.fake_gateway import GENUINE, FakeGateway
from tests.support.sweeping import sweep_payments


def pay_without_webhook(db: Database, gateway: FakeGateway, hand: HandClock, count: int) -> None:
    for number in range(count):
        buy(db, gateway)
        gateway.paid(f"pay_{number}", PRICE)
        hand.advance(timedelta(minutes=1))
        sweep_payments(db, gateway, hand.clock)


def alerts(db: Database) -> list[tuple[str, str]]:
    return [(review.why, review.subject) for review in reviews.open_reviews(db)]


def test_silence_of_a_webhook_is_an_alarm_told_once(db: Database, gateway: FakeGateway) -> None:
    db.destinations = (outbox.MERCHANT, outbox.OPERATOR)
    hand = HandClock()
    pay_without_webhook(db, gateway, hand, monitors.SILENT_PAYMENTS)
    assert monitors.watch(db, gateway, hand.clock) == 0  # a webhook may still be on its way
    hand.advance(timedelta(minutes=15))
    monitors.watch(db, gateway, hand.clock)
    assert monitors.watch(db, gateway, hand.clock) == 0
    assert ("webhook_silence", "fake") in alerts(db)
    with db.read() as session:
        assert {(row.type, row.destination) for row in session.query(Outbox)} >= {
            ("ops.alert", "merchant"),
            ("ops.alert", "operator"),
        }


def test_one_webhook_among_the_last_payments_is_no_silence(db: Database, gateway: FakeGateway) -> None:
    hand = HandClock()
    pay_without_webhook(db, gateway, hand, monitors.SILENT_PAYMENTS - 1)
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, payment="pay_told")
    webhook.receive(db, gateway, GENUINE, event)
    hand.advance(timedelta(minutes=15))
    assert monitors.watch(db, gateway, hand.clock) == 0


def test_a_few_payments_without_a_webhook_are_no_alarm(db: Database, gateway: FakeGateway) -> None:
    hand = HandClock()
    pay_without_webhook(db, gateway, hand, monitors.SILENT_PAYMENTS - 1)
    hand.advance(timedelta(minutes=15))
    assert monitors.watch(db, gateway, hand.clock) == 0


def test_money_that_is_held_for_long_is_an_alarm(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    hand = HandClock()
    opened = buy(db, gateway)
    event = gateway.event(
        order=opened.order_id, status="authorized", amount=PRICE.minor, attempt="authorized"
    )
    gateway.held("pay_1", PRICE)
    gateway.capture = lambda *_: None  # type: ignore[assignment, method-assign]
    webhook.receive(db, gateway, GENUINE, event)
    assert ledger.payment(opened.id).status == "authorized"
    assert monitors.watch(db, gateway, hand.clock) == 0
    hand.advance(timedelta(hours=2))
    assert monitors.watch(db, gateway, hand.clock) == 1
    assert alerts(db) == [("capture_fails", str(opened.id))]


@pytest.mark.parametrize("decides", ["a review", "its end by the merchant"])
def test_a_hold_that_a_person_decides_on_is_no_failing_capture(
    db: Database, gateway: FakeGateway, ledger: Ledger, decides: str
) -> None:
    hand = HandClock()
    opened = buy(db, gateway)
    gateway.held("pay_1", PRICE)
    gateway.capture = lambda *_: None  # type: ignore[assignment, method-assign]
    sync.refresh(db, gateway, opened.id, Actor("worker", "w"), Deadline(5))
    if decides == "a review":
        with deciding(db, opened.id) as record:
            flag(
                record, ReviewReason.LATE_SUCCESS, Actor("worker", "w"), {"paymentIds": [], "amountPaise": 1}
            )
    else:
        with db.begin() as session:
            session.execute(update(Payment).values(closed_at=hand.moment))
    hand.advance(timedelta(hours=2))
    monitors.watch(db, gateway, hand.clock)
    assert ("capture_fails", str(opened.id)) not in alerts(db)


def test_money_that_only_the_merchant_takes_is_called_to_mind_a_day_before_it_goes_back(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    hand = HandClock()
    gateway.captures_automatically = False  # type: ignore[misc]
    opened = buy(db, gateway)
    event = gateway.event(
        order=opened.order_id, status="authorized", amount=PRICE.minor, attempt="authorized"
    )
    webhook.receive(db, gateway, GENUINE, event)
    with db.begin() as session:
        session.execute(update(PaymentAttempt).values(capture_by=hand.moment + timedelta(days=3)))
    assert monitors.watch(db, gateway, hand.clock) == 0
    hand.advance(timedelta(days=2, minutes=1))
    assert [monitors.watch(db, gateway, hand.clock) for _ in range(2)] == [1, 0]
    assert alerts(db) == [("capture_ends", str(opened.id))]


def test_an_alert_that_was_cleared_may_be_raised_again(db: Database) -> None:
    hand = HandClock()
    with db.begin() as session:
        assert raise_alert(session, "event_undelivered", "merchant", UNDELIVERED, hand.clock)
    [review] = reviews.open_reviews(db)
    assert reviews.clear(db, review.id, "asha", clock=hand.clock) == "Alert cleared"
    assert alerts(db) == []
    with db.begin() as session:
        assert raise_alert(session, "event_undelivered", "merchant", UNDELIVERED, hand.clock)
