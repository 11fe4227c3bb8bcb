"""Trouble that no single payment shows."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update

from payments_service.domain.deadline import Deadline
from payments_service.domain.flag import flag
from payments_service.domain.payment import Actor
from payments_service.domain.states import ReviewReason
from payments_service.flows import monitors, reviews, sync, webhook
from payments_service.flows.alerts import raise_alert
from payments_service.store import chain, gauges, heartbeats, outbox, seal
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


ROWS = "SELECT 'history broken: 01900000-0000-7000-8000-' || (100000000000 + i), '2026-01-01 00:00:00' FROM n"
MARKS = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000) {ROWS}"
"""More than any database takes parameters in one statement."""


def broken(db: Database) -> int:
    with db.read() as session:
        return heartbeats.count(session, heartbeats.BROKEN)


def test_more_broken_histories_than_a_statement_takes_parameters_silence_no_alarm(db: Database) -> None:
    """A SECRET_KEY that was changed in the wrong way makes all of them look so."""
    with db.begin() as session:
        made = MARKS if db.is_sqlite else MARKS.replace("00:00'", "00:00+00'::timestamptz")
        session.execute(text(f"INSERT INTO heartbeats (name, at) {made}"))
    hand = HandClock()
    monitors.look(db, hand.clock)
    assert [code for code, _ in alerts(db)] == ["history_broken"]
    assert broken(db) == 70_000 - monitors.VERIFIED_AT_A_LOOK  # there are no such payments


def test_histories_that_are_known_as_broken_are_looked_at_in_turn_and_forgotten_once_they_are_whole(
    db: Database, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = seal.keys_of(["the right secret key"]), seal.keys_of(["a wrong secret key"])
    hand = HandClock()
    db.chain_keys = right
    bought = [buy(db, gateway) for _ in range(8)]
    db.chain_keys = wrong
    monitors.look(db, hand.clock)
    assert broken(db) == len(bought)
    monkeypatch.setattr(monitors, "VERIFIED_AT_A_LOOK", 3)
    monkeypatch.setattr(gauges, "to_verify", lambda *_: ([], []))  # none but those that are known
    looked_at: list[set[UUID]] = []
    verify = chain.verify
    monkeypatch.setattr(
        chain, "verify", lambda s, keys, ids: looked_at.append(set(ids)) or verify(s, keys, ids)
    )
    for _ in range(3):
        hand.advance(timedelta(minutes=1))
        monitors.look(db, hand.clock)
    assert set().union(*looked_at) == {one.id for one in bought}
    assert broken(db) == len(bought)
    db.chain_keys = right
    left = []
    for _ in range(3):
        hand.advance(timedelta(minutes=1))
        monitors.look(db, hand.clock)
        left.append(broken(db))
    assert left == [5, 2, 0]
    assert max(map(len, looked_at)) == 3


def test_all_histories_are_looked_at_in_turn_also_while_there_are_many_new_ones(
    db: Database, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = HandClock()
    bought = [buy(db, gateway).id for _ in range(7)]
    monkeypatch.setattr(monitors, "VERIFIED_AT_A_LOOK", 3)
    in_turn = []
    to_verify = gauges.to_verify

    def noted(*asked: Any) -> tuple[list[UUID], list[UUID]]:
        newest, stretch = to_verify(*asked)
        assert len(newest) == 3
        in_turn.append(stretch)
        return newest, stretch

    monkeypatch.setattr(gauges, "to_verify", noted)
    for _ in range(8):
        hand.advance(timedelta(seconds=1))
        monitors.look(db, hand.clock)
    begun_anew = in_turn[1:].index(in_turn[0])
    assert set().union(*in_turn[: begun_anew + 1]) == set(bought)
