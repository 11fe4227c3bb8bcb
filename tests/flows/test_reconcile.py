"""Nobody rings, and every payment is followed to its end all the same."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update

from payments_service.domain import decide
from payments_service.domain.clock import Clock
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import NotFound, OutcomeUnknown, Unavailable, UnknownAtGateway
from payments_service.domain.news import NewOrder, OrderRef, PaymentSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.schedule import READ_AGAIN, next_check, next_follow_up, polling
from payments_service.domain.states import AttemptStatus, PaymentStatus
from payments_service.flows import intent, reconcile, reviews, webhook
from payments_service.flows.create_order import Urls
from payments_service.flows.lines import FAILURES_IN_A_ROW, Line
from payments_service.flows.status import status
from payments_service.store import outbox, payments
from payments_service.store.db import Database
from payments_service.store.record import load_one
from payments_service.store.tables import Outbox, Payment, PaymentWebhook
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.delivering import HandClock
from tests.support.fake_gateway import GENUINE, FakeGateway
from tests.support.sweeping import sweep_payments

DAY = timedelta(days=1)


@pytest.fixture
def hand() -> HandClock:
    return HandClock()


def follow(db: Database, gateway: FakeGateway, hand: HandClock, for_: timedelta) -> int:
    """Let the worker do what comes due within a time; how often it asked."""
    ends, asked = hand.moment + for_, 0
    while True:
        with db.read() as session:
            moments = [p.next_check_at for p in session.query(Payment) if p.next_check_at]
        if not moments or min(moments) > ends:
            hand.moment = ends
            return asked
        hand.moment = max(hand.moment, min(moments))
        asked += sweep_payments(db, gateway, hand.clock)


def told(db: Database) -> list[str]:
    with db.read() as session:
        return [row.type for row in session.query(Outbox).order_by(Outbox.created_at, Outbox.id)]


# ── schedules ───────────────────────────────────────────────────────────────────────────────────────


def test_the_published_schedule(hand: HandClock) -> None:
    """Dense by the gateway's own table, then 5 minutes to an hour, hourly to a day, 6-hourly to five days."""
    since, dense = hand.moment, polling((60, 20), (1200, 60))
    ages = []
    while (moment := next_follow_up(dense, since, hand.clock)) is not None:
        hand.moment = moment
        ages.append(round((moment - since).total_seconds()))
    assert ages[:4] == [20, 40, 60, 120]
    assert [a for a in ages if 1200 < a <= 3600] == list(range(1500, 3601, 300))
    assert [a for a in ages if 3600 < a <= 86400] == list(range(7200, 86401, 3600))
    assert [a for a in ages if a > 86400] == list(range(108000, 432001, 21600))


def test_a_completed_payment_is_read_again_three_times(hand: HandClock) -> None:
    since = hand.moment
    moments = []
    while moment := next_check(PaymentStatus.COMPLETED, (), since, since, hand.clock):
        hand.moment = moment
        moments.append(moment - since)
    assert moments == list(READ_AGAIN)


def test_a_scaled_clock_lets_the_same_schedule_pass_faster(hand: HandClock) -> None:
    since = hand.moment
    clock = Clock(scale=60, now=lambda: hand.moment)
    assert next_follow_up(polling((60, 20)), since, clock) == since + timedelta(seconds=20) / 60


# ── payments ────────────────────────────────────────────────────────────────────────────────────────


def test_a_payment_that_no_webhook_told_of_completes(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(minutes=1))
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.transaction_id) == ("completed", "pay_1")
    assert ledger.trail(opened.id)[-1].source == "worker"


def test_an_open_payment_is_asked_about_for_five_days_and_then_given_up(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    gateway.our_clock_expires = False  # type: ignore[misc]
    opened = buy(db, gateway)
    asked = follow(db, gateway, hand, 10 * DAY)
    assert 50 < asked < 60
    assert ledger.payment(opened.id).next_check_at is None
    assert ledger.moves(opened.id) == ["initiated", "pending", "expired"]
    gateway.paid("pay_1", PRICE)
    webhook.receive(
        db, gateway, GENUINE, gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor)
    )
    assert ledger.payment(opened.id).status == "completed"


def test_an_expired_payment_is_still_watched(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway, lifetime_seconds=900)
    follow(db, gateway, hand, timedelta(hours=2))
    assert ledger.payment(opened.id).status == "expired"
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, DAY)
    assert ledger.moves(opened.id) == ["initiated", "pending", "expired", "completed"]


def test_what_a_completed_payment_hides_is_found_when_it_is_read_again(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    """A second success and a refund from the dashboard, of which no webhook told."""
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(minutes=2))
    gateway.attempts += (gateway.attempt("pay_2", AttemptStatus.SUCCEEDED, PRICE),)
    gateway.refunds = (gateway.refund("rf_1", "pay_1", PRICE),)
    assert follow(db, gateway, hand, 10 * DAY) == len(READ_AGAIN)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review, payment.transaction_id) == (
        "completed",
        "second_success",
        "pay_1",
    )
    with db.read() as session:
        assert payments.amount_refunded(session, payment) == PRICE


@pytest.mark.parametrize("ends", ["completed", "expired", "expired, as it was given up"])
def test_the_last_question_is_asked_until_it_has_an_answer(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, ends: str
) -> None:
    ends, _, is_given_up = ends.partition(",")
    gateway.our_clock_expires = not is_given_up  # type: ignore[misc]
    opened = buy(db, gateway, lifetime_seconds=900)
    if ends == "completed":
        gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, 4 * DAY)
    gateway.fetch_error = Unavailable("away")
    follow(db, gateway, hand, 10 * DAY)
    assert ledger.payment(opened.id).status == ends
    assert [event.reason for event in ledger.trail(opened.id)].count("no word came for five days") == bool(
        is_given_up
    )
    gateway.fetch_error = None
    gateway.paid("pay_1", PRICE)
    gateway.refunds = (gateway.refund("rf_1", "pay_1", PRICE),)
    assert follow(db, gateway, hand, 10 * DAY) > 0
    payment = ledger.payment(opened.id)
    with db.read() as session:
        assert payments.amount_refunded(session, payment) == PRICE
    follow(db, gateway, hand, 10 * DAY)
    assert ledger.payment(opened.id).next_check_at is None


@pytest.mark.parametrize("is_known", [True, False], ids=["the other is known", "the other is unknown"])
def test_an_order_that_was_lost_is_a_part_of_the_last_question(
    db: Database,
    gateway: FakeGateway,
    ledger: Ledger,
    hand: HandClock,
    monkeypatch: pytest.MonkeyPatch,
    is_known: bool,
) -> None:
    gateway.tells_checkout_again, gateway.create_error = False, OutcomeUnknown("read timeout")

    def recover(_gateway_order_id: str, _order: NewOrder) -> None:
        if len(gateway.orders) == 2:
            gateway.create_error = None

    gateway.during_create = recover
    opened = buy(db, gateway)
    with db.read() as session:
        _, lost = payments.watched_orders(session, opened.id)
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, 4 * DAY)
    fetch = gateway.fetch_payment

    def answers_for_one(order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        if order.wire_id == lost.wire_id:
            raise Unavailable("slow")
        if not is_known:
            raise UnknownAtGateway("no such order")
        return fetch(order, deadline)

    monkeypatch.setattr(gateway, "fetch_payment", answers_for_one)
    follow(db, gateway, hand, 10 * DAY)
    assert ledger.payment(opened.id).next_check_at is not None
    monkeypatch.undo()
    follow(db, gateway, hand, 10 * DAY)
    assert ledger.payment(opened.id).next_check_at is None


def test_refunds_that_could_not_be_read_are_a_part_of_the_last_question(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, 4 * DAY)
    fetch = gateway.fetch_payment
    monkeypatch.setattr(gateway, "fetch_payment", lambda *args: replace(fetch(*args), refunds=None))
    follow(db, gateway, hand, 10 * DAY)
    assert ledger.payment(opened.id).next_check_at is not None
    monkeypatch.undo()
    gateway.refunds = (gateway.refund("rf_1", "pay_1", PRICE),)
    follow(db, gateway, hand, 10 * DAY)
    with db.read() as session:
        assert payments.amount_refunded(session, ledger.payment(opened.id)) == PRICE
    assert ledger.payment(opened.id).next_check_at is None


def test_an_order_that_no_gateway_answers_for_is_asked_about_for_sixty_days(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, 4 * DAY)
    gateway.fetch_error = Unavailable("away")
    assert 50 < follow(db, gateway, hand, 100 * DAY) < 60
    assert ledger.payment(opened.id).next_check_at is None


def test_money_that_is_held_is_captured(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway)
    gateway.held("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(minutes=1))
    assert ledger.payment(opened.id).status == "completed"
    assert gateway.calls.count("capture pay_1") == 1


def test_while_the_gateway_is_away_nothing_changes_and_asking_goes_on(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    gateway.our_clock_expires = False  # type: ignore[misc]
    opened = buy(db, gateway)
    gateway.fetch_error = Unavailable("away")
    assert follow(db, gateway, hand, timedelta(hours=1)) > 5
    assert ledger.payment(opened.id).status == "pending"
    gateway.fetch_error = None
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(hours=1))
    assert ledger.payment(opened.id).status == "completed"


def test_an_order_that_never_came_to_be_is_failed_after_its_time_and_not_announced(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    db.destinations = (outbox.MERCHANT,)
    gateway.during_create = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        buy(db, gateway, lifetime_seconds=900)
    gateway.fetch_error = UnknownAtGateway("no such order")
    follow(db, gateway, hand, timedelta(minutes=10))
    payment = ledger.only_payment()
    assert payment.status == "initiated"
    follow(db, gateway, hand, timedelta(minutes=30))
    assert ledger.moves(payment.id) == ["initiated", "failed"]
    assert told(db) == []


def test_two_workers_never_ask_about_the_same_payment_at_once(
    db: Database, gateway: FakeGateway, hand: HandClock
) -> None:
    for _ in range(12):
        buy(db, gateway)
    hand.advance(timedelta(minutes=1))
    start = Barrier(4)
    gateway.calls.clear()

    def sweep() -> int:
        start.wait()
        return sum(sweep_payments(db, gateway, hand.clock) for _ in range(6))

    with ThreadPoolExecutor(4) as pool:
        counts = [future.result() for future in [pool.submit(sweep) for _ in range(4)]]
    assert sum(counts) == 12
    assert gateway.calls.count("fetch_payment") == 12


def test_a_fresh_payment_is_asked_for_before_all_that_an_outage_left_open(
    db: Database, gateway: FakeGateway, hand: HandClock
) -> None:
    opened = [buy(db, gateway) for _ in range(4)]
    with db.begin() as session:
        for days, one in enumerate(opened):
            payment = payments.by_id(session, one.id)
            payment.created_at = hand.moment - timedelta(days=days)
            payment.next_check_at = hand.moment - timedelta(days=days)
    with db.begin() as session:
        taken = payments.claim_due(session, "fake", hand.moment, hand.moment + reconcile.LEASE, 2)
        assert [payment.id for payment in taken] == [one.id for one in opened[:2]]


def test_what_a_killed_worker_held_is_due_again_when_its_lease_ends(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    hand.advance(timedelta(minutes=1))
    with db.begin() as session:  # claimed, and never heard of again
        payments.claim_due(session, "fake", hand.moment, hand.moment + reconcile.LEASE, 20)
    assert sweep_payments(db, gateway, hand.clock) == 0
    hand.advance(reconcile.LEASE)
    assert sweep_payments(db, gateway, hand.clock) == 1
    assert ledger.payment(opened.id).status == "completed"


# ── events that were kept ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by_wire_id", [False, True], ids=["in a batch", "alone"])
def test_an_event_whose_effect_failed_is_applied_later(
    db: Database,
    gateway: FakeGateway,
    ledger: Ledger,
    hand: HandClock,
    monkeypatch: pytest.MonkeyPatch,
    *,
    by_wire_id: bool,
) -> None:
    opened = buy(db, gateway)
    named = {"wire": ledger.only_order().wire_id} if by_wire_id else {"order": opened.order_id}
    with monkeypatch.context() as broken:
        broken.setattr(decide, "apply_refunds", lambda *_: 1 / 0)
        event = gateway.event(**named, status="completed", amount=PRICE.minor)
        webhook.receive(db, gateway, GENUINE, event)
        assert [row.outcome for row in ledger.inbox()] == ["failed"]
    hand.advance(timedelta(minutes=1))
    assert reconcile.sweep_inbox(db, gateway, hand.clock) == 1
    [row] = ledger.inbox()
    assert (row.outcome, row.next_try_at, row.attempts) == ("applied", None, 2)
    assert ledger.payment(opened.id).status == "completed"
    assert reconcile.sweep_inbox(db, gateway, hand.clock) == 0


def test_a_wake_up_waits_until_the_gateway_says_the_same(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, wake_up=True)
    webhook.receive(db, gateway, GENUINE, event)
    hand.advance(timedelta(minutes=1))
    reconcile.sweep_inbox(db, gateway, hand.clock)
    assert [row.outcome for row in ledger.inbox()] == ["waiting"]
    gateway.paid("pay_1", PRICE)
    hand.advance(timedelta(minutes=2))
    reconcile.sweep_inbox(db, gateway, hand.clock)
    assert [row.outcome for row in ledger.inbox()] == ["applied"]
    assert ledger.payment(opened.id).status == "completed"


def test_what_the_version_before_leaves_due_and_done_with_is_not_taken_in_again(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    """It applies an event, says so in `processed` as well, and leaves the moment when it would try again."""
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, wake_up=True)
    webhook.receive(db, gateway, GENUINE, event)
    due = {"outcome": "applied", "next_try_at": hand.moment}
    with db.begin() as session:
        session.execute(update(PaymentWebhook).values(due))
        session.execute(text("UPDATE payment_webhooks SET processed = true"))
    asked = len(gateway.calls)
    hand.advance(timedelta(minutes=1))
    reconcile.sweep_inbox(db, gateway, hand.clock)
    assert [(row.outcome, row.next_try_at) for row in ledger.inbox()] == [("applied", None)]
    assert len(gateway.calls) == asked
    assert reconcile.sweep_inbox(db, gateway, hand.clock) == 0


def test_a_wake_up_that_is_never_confirmed_ends_so_marked(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, wake_up=True)
    webhook.receive(db, gateway, GENUINE, event)
    for _ in range(8):
        hand.advance(DAY)
        reconcile.sweep_inbox(db, gateway, hand.clock)
    assert [(row.outcome, row.next_try_at) for row in ledger.inbox()] == [("unconfirmed", None)]
    assert ledger.payment(opened.id).status != "completed"


def test_a_wake_up_that_was_left_for_days_is_asked_about_before_it_is_given_up(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    """No worker ran meanwhile."""
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, wake_up=True)
    webhook.receive(db, gateway, GENUINE, event)
    gateway.paid("pay_1", PRICE)
    hand.advance(6 * DAY)
    reconcile.sweep_inbox(db, gateway, hand.clock)
    assert [(row.outcome, row.next_try_at) for row in ledger.inbox()] == [("applied", None)]
    assert ledger.payment(opened.id).status == "completed"


def test_a_wake_up_whose_payment_was_found_paid_in_another_way_is_never_a_persons_to_look_at(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    """The gateway was away each time that this event was to be asked about."""
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    assert status(db, "fake", [gateway], str(opened.id), "r").status == "completed"
    gateway.fetch_error = Unavailable("away")
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, wake_up=True)
    webhook.receive(db, gateway, GENUINE, event)
    assert [row.outcome for row in ledger.inbox()] == ["waiting"]  # it may tell of a second payment
    hand.advance(6 * DAY)
    reconcile.sweep_inbox(db, gateway, hand.clock)
    assert [(row.outcome, row.next_try_at) for row in ledger.inbox()] == [("applied", None)]


@pytest.mark.parametrize(("claim", "outcome"), [("expired", "applied"), ("completed", "waiting")])
def test_a_wake_up_about_the_end_of_a_lost_order_waits_for_nothing(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, claim: str, outcome: str
) -> None:
    """Nobody was ever sent to it; that it was paid all the same must be found out."""
    opened = buy(db, gateway)
    lost, gateway.amount = ledger.only_order(), PRICE
    with db.begin() as session:
        changes = load_one(session, opened.id)
        row = changes.record.order(lost.id)
        actor, lifetime = Actor("create-order", "r"), timedelta(minutes=30)
        intent.add_order(changes.record, gateway, row, lifetime, actor, "lost")
        changes.write()
    event = gateway.event(wire=lost.wire_id, status=claim, amount=PRICE.minor, wake_up=True)
    webhook.receive(db, gateway, GENUINE, event)
    assert [row.outcome for row in ledger.inbox()] == [outcome]
    assert ledger.payment(opened.id).status == "pending"


def test_what_waits_for_one_gateway_holds_up_no_other(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    """Its gateway is down, or was switched off in the settings."""
    other = FakeGateway()
    other.name = other.provider = "other"  # type: ignore[misc]
    for one in (gateway, other):
        event = one.event(order=buy(db, one).order_id, status="completed", amount=PRICE.minor, wake_up=True)
        webhook.receive(db, one, GENUINE, event)
        one.paid("pay_1", PRICE)
    hand.advance(timedelta(minutes=1))
    assert reconcile.sweep_inbox(db, other, hand.clock) == 1
    assert {row.provider: row.outcome for row in ledger.inbox()} == {"fake": "waiting", "other": "applied"}


def test_while_a_gateway_is_down_what_is_due_there_is_left_as_it_is(
    db: Database, gateway: FakeGateway, hand: HandClock
) -> None:
    opened = [buy(db, gateway) for _ in range(8)]
    gateway.fetch_error = Unavailable("away")
    hand.advance(timedelta(minutes=1))
    asked, _, inbox_line = reconcile.lines(db, gateway, Urls("http://x"), hand.clock)
    assert (asked.run_out(), asked.run_out(), inbox_line.run_out()) == (FAILURES_IN_A_ROW, 0, 0)
    with db.read() as session:
        due = [one for one in opened if payments.by_id(session, one.id).next_check_at <= hand.moment]
    assert len(due) == 8 - FAILURES_IN_A_ROW, "asked at once when it is back, and not hours later"


# ── rows that always fail ───────────────────────────────────────────────────────────────────────────


def turns(line: Line[Any], hand: HandClock, count: int) -> None:
    """Each has time for two rows; before the next one the leases of those that failed have ended."""
    for _ in range(count):
        with suppress(ZeroDivisionError):
            line.run_out(2)
        hand.advance(reconcile.LEASE + timedelta(seconds=1))


def test_payments_that_always_fail_do_not_starve_an_older_one(
    db: Database, gateway: FakeGateway, hand: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = [buy(db, gateway) for _ in range(8)]
    with db.begin() as session:
        for minutes, one in enumerate(opened):
            payment = payments.by_id(session, one.id)
            payment.created_at = hand.moment - timedelta(minutes=minutes)
            payment.next_check_at = hand.moment - timedelta(minutes=7 - abs(5 - minutes))
    asked: list[UUID] = []

    def refresh(_db: Database, _gateway: FakeGateway, payment_id: UUID, *_: object) -> bool:
        asked.append(payment_id)
        return bool(payment_id == opened[-1].id or 1 // 0)

    monkeypatch.setattr(reconcile.sync, "refresh", refresh)
    line, *_ = reconcile.lines(db, gateway, Urls("http://x"), hand.clock)
    turns(line, hand, 8)
    assert opened[-1].id in asked


def test_webhooks_that_always_fail_do_not_starve_an_older_one(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        order = buy(db, gateway).order_id
        event = gateway.event(order=order, status="completed", amount=PRICE.minor, wake_up=True)
        webhook.receive(db, gateway, GENUINE, event)
    oldest, *others = sorted(ledger.inbox(), key=lambda row: row.created_at)
    hand.advance(timedelta(minutes=1))
    with db.begin() as session:
        for seconds, row in enumerate((oldest, *others)):
            due = {"next_try_at": hand.moment + timedelta(seconds=seconds - 30)}
            session.execute(update(PaymentWebhook).where(PaymentWebhook.id == row.id).values(due))
    gateway.paid("pay_1", PRICE)
    try_again = webhook.try_again

    def fail_but_for_the_oldest(db: Database, gateway: FakeGateway, row_id: UUID, clock: Clock) -> bool:
        return try_again(db, gateway, row_id, clock) if row_id == oldest.id else bool(1 // 0)

    monkeypatch.setattr(webhook, "try_again", fail_but_for_the_oldest)
    *_, line = reconcile.lines(db, gateway, Urls("http://x"), hand.clock)
    turns(line, hand, 2)
    assert {row.id: row.outcome for row in ledger.inbox()}[oldest.id] == "applied"


# ── what is told ────────────────────────────────────────────────────────────────────────────────────


def test_one_fact_is_told_once_whoever_finds_it(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    db.destinations = (outbox.MERCHANT, outbox.CUSTOMER, outbox.OPERATOR)
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    for number in range(3):
        event = gateway.event(
            order=opened.order_id,
            status="completed",
            amount=PRICE.minor,
            at=f"2026-01-0{number + 1}T00:00+00:00",
        )
        webhook.receive(db, gateway, GENUINE, event)
    follow(db, gateway, hand, 10 * DAY)
    with db.read() as session:
        rows = {(row.type, row.destination) for row in session.query(Outbox)}
        assert len(list(session.query(Outbox))) == 2
    assert rows == {("payment.completed", "merchant"), ("payment.completed", "customer")}


def test_what_is_told_is_the_payment_as_the_change_left_it(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    db.destinations = (outbox.MERCHANT,)
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(minutes=1))
    with db.read() as session:
        [row] = session.query(Outbox)
    body = json.loads(row.body)
    data = body["data"]
    assert body["type"] == "payment.completed"
    assert (data["id"], data["status"], data["paymentId"]) == (str(opened.id), "completed", "pay_1")
    assert (data["amountPaise"], data["currency"], data["method"]) == (PRICE.minor, "INR", "upi")
    assert data["sequence"] == ledger.trail(opened.id)[-1].sequence
    for personal in ("Asha", "asha@example.com", "9876543210"):
        assert personal not in row.body.decode()


# ── a person decides ────────────────────────────────────────────────────────────────────────────────


def test_late_money_waits_for_a_person_where_the_merchant_wants_that(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    db.destinations, db.reviews_late_success = (outbox.MERCHANT,), True
    opened = buy(db, gateway, lifetime_seconds=900)
    follow(db, gateway, hand, timedelta(hours=1))
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, DAY)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review) == ("expired", "late_success")
    assert told(db) == ["payment.expired", "payment.review"]
    [review] = reviews.open_reviews(db)
    assert (review.id, review.why) == (opened.id, "late_success")
    reviews.clear(db, opened.id, "asha", accept=True, clock=hand.clock)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review, payment.transaction_id) == ("completed", None, "pay_1")
    assert told(db) == ["payment.expired", "payment.review", "payment.completed"]
    assert (ledger.trail(opened.id)[-1].source, ledger.trail(opened.id)[-1].actor) == ("operator", "asha")
    with pytest.raises(NotFound):
        reviews.clear(db, opened.id, "asha", accept=True, clock=hand.clock)
