"""Webhooks: kept once, applied once, never in the way of the next."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event, Thread
from typing import Any

import psycopg
import pytest
from sqlalchemy.event import listen, remove

from payments_service.domain import decide
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import (
    MissingCredentials,
    OutcomeUnknown,
    SignatureInvalid,
    StoreUnavailable,
    Unavailable,
)
from payments_service.domain.money import Money
from payments_service.domain.news import NewOrder, OrderRef
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, OrderStatus, PaymentStatus
from payments_service.flows import sync, unknown_orders, webhook
from payments_service.flows.payment_view import by_id
from payments_service.store import burst, payments
from payments_service.store.db import Database
from tests.flows.conftest import PRICE, Ledger, buy
from tests.support.deciding import deciding
from tests.support.fake_gateway import GENUINE, FakeGateway


@pytest.mark.parametrize(
    ("headers", "error"), [({}, MissingCredentials), ({"x-fake": "forged"}, SignatureInvalid)]
)
def test_what_is_not_authentic_is_not_even_stored(
    db: Database, gateway: FakeGateway, ledger: Ledger, headers: dict[str, str], error: type[Exception]
) -> None:
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor)
    with pytest.raises(error):
        webhook.receive(db, gateway, headers, event)
    assert ledger.inbox() == []
    assert ledger.payment(opened.id).status == "pending"


def test_twenty_deliveries_at_once_have_one_effect(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor)
    start = Barrier(20)

    def deliver(_: int) -> None:
        start.wait()
        webhook.receive(db, gateway, {**GENUINE, "x-event-id": "evt_1"}, event)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(deliver, range(20)))
    assert len(ledger.inbox()) == 1
    assert ledger.moves(opened.id) == ["initiated", "pending", "completed"]
    assert len(ledger.trail(opened.id, "attempt")) == 1


def test_different_events_of_one_fact_at_once_complete_the_payment_once(
    db: Database, gateway: FakeGateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "apply_refunds", lambda *_: time.sleep(0.03))  # widen the window for a race
    opened = buy(db, gateway)
    wire_id = ledger.only_order().wire_id
    gateway.paid("pay_1", PRICE)
    start = Barrier(12)

    def ring(number: int) -> None:
        start.wait()
        if number % 2:
            sync.refresh(db, gateway, opened.id, Actor("verify", f"r{number}"), sync.Deadline(5))
        else:
            event = gateway.event(wire=wire_id, status="completed", amount=PRICE.minor, n=number)
            webhook.receive(db, gateway, GENUINE, event)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ring, range(12)))
    assert {row.outcome for row in ledger.inbox()} == {"applied"}
    assert ledger.moves(opened.id) == ["initiated", "pending", "completed"]
    assert len(ledger.trail(opened.id, "attempt")) == 1


def test_an_event_and_the_answer_that_makes_its_order_ours_never_miss_each_other(
    db: Database, gateway: FakeGateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The webhook has looked for the last time and found no such order; our answer precedes its commit."""
    looked, answered = Event(), Event()
    is_worth_a_question = unknown_orders.is_worth_a_question

    def slow_judgement(*args: Any) -> bool:
        looked.set()
        answered.wait(1)
        return is_worth_a_question(*args)

    monkeypatch.setattr(unknown_orders, "is_worth_a_question", slow_judgement)
    with ThreadPoolExecutor(1) as pool:
        deliveries = []

        def pay(gateway_order_id: str, _order: NewOrder) -> None:
            event = gateway.event(order=gateway_order_id, status="completed", amount=PRICE.minor)
            deliveries.append(pool.submit(webhook.receive, db, gateway, GENUINE, event))
            looked.wait(3)

        gateway.during_create = pay
        opened = buy(db, gateway)
        answered.set()
        deliveries[0].result()
    assert ledger.payment(opened.id).status == "completed"


def test_news_of_an_order_that_was_lost_while_it_waited_for_the_lock_ends_nothing(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    order = ledger.only_order()
    gateway.status = PaymentStatus.EXPIRED
    news = gateway.fetch_payment(OrderRef(order.wire_id, order.gateway_order_id), Deadline(5))
    waiting = Thread(target=sync.apply, args=(db, gateway, order, news, Actor("worker", "r")))
    with db.begin() as session:
        payments.lock(session, opened.id)
        waiting.start()
        time.sleep(0.5)  # it waits for the lock, or has read what is about to change
        payments.current_order(session, opened.id).status = "lost"
    waiting.join()
    assert ledger.payment(opened.id).status == "pending"


def test_an_older_event_is_kept_and_changes_nothing(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    webhook.receive(
        db, gateway, GENUINE, gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor)
    )
    late = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for at in ("2020-01-01T00:00:00+00:00", late):
        for word, attempt in (("authorized", "authorized"), ("failed", "failed"), ("pending", "pending")):
            event = gateway.event(
                order=opened.order_id, status=word, attempt=attempt, amount=PRICE.minor, at=at
            )
            webhook.receive(db, gateway, GENUINE, event)
    assert ledger.payment(opened.id).status == "completed"
    assert len(ledger.inbox()) == 7
    assert {row.outcome for row in ledger.inbox()} == {"applied"}


def test_a_failed_attempt_leaves_the_order_open_and_a_late_success_completes_it(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    failed = gateway.event(order=opened.order_id, status="pending", attempt="failed", amount=PRICE.minor)
    webhook.receive(db, gateway, GENUINE, failed)
    assert ledger.payment(opened.id).status == "pending"
    paid = gateway.event(order=opened.order_id, status="completed", attempt="succeeded", amount=PRICE.minor)
    webhook.receive(db, gateway, GENUINE, paid)
    assert ledger.payment(opened.id).status == "completed"
    attempts = [(e.from_status, e.to_status) for e in ledger.trail(opened.id, "attempt")]
    assert attempts == [(None, "failed"), ("failed", "succeeded")]


def test_an_event_of_a_strange_order_is_kept_as_foreign(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    event = gateway.event(order="somebody_elses", status="completed", amount=100)
    webhook.receive(db, gateway, GENUINE, event)
    assert [(row.outcome, row.order_id) for row in ledger.inbox()] == [("unmatched", "somebody_elses")]


def test_genuine_news_of_another_order_does_not_touch_this_one(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """Our wire id, but another order id of the gateway: believe neither."""
    opened = buy(db, gateway)
    wire_id = ledger.only_order().wire_id
    event = gateway.event(wire=wire_id, order="G_other", status="completed", amount=PRICE.minor)
    webhook.receive(db, gateway, GENUINE, event)
    assert ledger.payment(opened.id).status == "pending"
    assert [row.outcome for row in ledger.inbox()] == ["unmatched"]


def test_a_fetch_that_is_answered_with_another_order_changes_nothing(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened, other = buy(db, gateway), buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    theirs = gateway.fetch_payment(OrderRef("", other.order_id), sync.Deadline(5))
    with db.read() as session:
        order = payments.current_order(session, opened.id)
    sync.apply(db, gateway, order, theirs, Actor("verify", "r"))
    assert ledger.payment(opened.id).status == "pending"
    assert ledger.trail(opened.id, "attempt") == []


def test_an_attempt_of_another_order_is_not_moved_over(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    first, second = buy(db, gateway), buy(db, gateway)
    for order in (first, second):
        event = gateway.event(
            order=order.order_id, status="authorized", attempt="failed", payment="pay_1", amount=PRICE.minor
        )
        webhook.receive(db, gateway, GENUINE, event)
    assert len(ledger.trail(first.id, "attempt")) == 1
    assert ledger.trail(second.id, "attempt") == []


def test_a_wrong_amount_in_an_event_is_checked_at_the_gateway_first(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """What the customer paid may differ by an offer; the order's amount decides."""
    opened = buy(db, gateway)
    gateway.paid("pay_1", Money(44900))
    webhook.receive(
        db, gateway, GENUINE, gateway.event(order=opened.order_id, status="completed", amount=44900)
    )
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review) == ("completed", None)
    assert gateway.calls[-1] == "fetch_payment"


def test_an_event_whose_attempt_moved_another_sum_is_not_believed_unasked(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """The order's amount is right, the payer's is not: only the gateway, asked, may call that paid."""
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, paid=100)
    webhook.receive(db, gateway, GENUINE, event)
    assert ledger.payment(opened.id).status == "pending"
    assert gateway.calls[-1] == "fetch_payment"


def test_a_wrong_amount_that_the_gateway_confirms_is_quarantined_and_never_completed(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    gateway.paid("pay_1", Money(100))
    gateway.amount = Money(100)
    for _ in range(2):
        event = gateway.event(order=opened.order_id, status="completed", amount=100)
        webhook.receive(db, gateway, GENUINE, event)
        sync.refresh(db, gateway, opened.id, Actor("verify", "r"), sync.Deadline(5))
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review) == ("pending", "amount_mismatch")
    assert [event.reason for event in ledger.trail(opened.id, "review")] == ["amount_mismatch"]


def test_another_currency_is_quarantined(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    gateway.amount = Money(PRICE.minor, "USD")
    sync.refresh(db, gateway, opened.id, Actor("verify", "r"), sync.Deadline(5))
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review) == ("pending", "amount_mismatch")


def test_held_money_is_captured_once_the_event_is_stored(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    gateway.held("pay_1", PRICE)
    event = gateway.event(
        order=opened.order_id, status="authorized", attempt="authorized", amount=PRICE.minor
    )
    webhook.receive(db, gateway, GENUINE, event)
    assert gateway.calls.count("capture pay_1") == 1
    assert ledger.moves(opened.id) == ["initiated", "pending", "authorized", "completed"]


def test_a_capture_error_is_settled_by_asking(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:

    opened = buy(db, gateway)
    gateway.held("pay_1", PRICE)
    gateway.capture_error = OutcomeUnknown("timeout")
    sync.refresh(db, gateway, opened.id, Actor("verify", "r"), sync.Deadline(5))
    assert ledger.payment(opened.id).status == "completed"
    assert gateway.calls.count("capture pay_1") == 1


def test_a_hold_that_was_released_uncaptured_fails_the_payment_and_a_later_success_still_counts(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:

    opened = buy(db, gateway)
    gateway.held("pay_1", PRICE)
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()  # their clock, which proves nothing
    event = gateway.event(
        order=opened.order_id, status="authorized", attempt="authorized", amount=PRICE.minor, at=ahead
    )
    gateway.fetch_error = Unavailable("away")
    webhook.receive(db, gateway, GENUINE, event)
    assert ledger.payment(opened.id).status == "authorized"
    gateway.fetch_error = None
    gateway.status = PaymentStatus.PENDING
    gateway.attempts = (gateway.attempt("pay_1", AttemptStatus.VOIDED, PRICE),)
    sync.refresh(db, gateway, opened.id, Actor("status", "r"), sync.Deadline(5))
    assert ledger.payment(opened.id).status == "failed"
    gateway.paid("pay_2", PRICE)
    sync.refresh(db, gateway, opened.id, Actor("status", "r"), sync.Deadline(5))
    assert ledger.payment(opened.id).status == "completed"


def test_an_event_that_needs_the_gateways_word_waits_until_it_is_had(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    gateway.fetch_error = Unavailable("away")
    event = gateway.event(order=opened.order_id, status="completed", amount=44900)
    webhook.receive(db, gateway, GENUINE, event)
    assert [(row.outcome, row.next_try_at is None) for row in ledger.inbox()] == [("waiting", False)]
    gateway.fetch_error = None
    gateway.paid("pay_1", Money(44900))
    webhook.receive(db, gateway, GENUINE, event + b" ")
    assert [row.outcome for row in ledger.inbox()] == ["waiting", "applied"]
    assert ledger.payment(opened.id).status == "completed"


@pytest.mark.parametrize("is_lost", [False, True], ids=["the order", "a lost order"])
def test_an_event_in_a_new_word_has_the_gateway_asked(
    db: Database, gateway: FakeGateway, ledger: Ledger, is_lost: bool
) -> None:
    opened = buy(db, gateway)
    order = ledger.only_order()
    if is_lost:
        with deciding(db, opened.id) as record:
            record.current_order.status = OrderStatus.LOST
    gateway.paid("pay_1", PRICE)
    event = gateway.event(order=order.gateway_order_id, status=None, amount=PRICE.minor, attempt="none")
    webhook.receive(db, gateway, GENUINE, event)
    assert ledger.payment(opened.id).status == "completed"
    assert [row.outcome for row in ledger.inbox()] == ["applied"]


def test_a_new_word_that_the_gateway_repeats_is_asked_about_once(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    gateway.status = None
    event = gateway.event(order=opened.order_id, status=None, amount=PRICE.minor, attempt="none")
    webhook.receive(db, gateway, GENUINE, event)
    assert gateway.calls.count("fetch_payment") == 1
    assert [row.outcome for row in ledger.inbox()] == ["applied"]
    assert ledger.payment(opened.id).status == "pending"


def test_a_return_of_a_duplicate_takes_nothing_off_what_was_paid(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    for payment_id in ("pay_1", "pay_2"):
        event = gateway.event(
            order=opened.order_id, status="completed", payment=payment_id, amount=PRICE.minor
        )
        webhook.receive(db, gateway, GENUINE, event)
    gateway.paid("pay_1", PRICE)
    gateway.refunds = (gateway.refund("rf_2", "pay_2", PRICE), gateway.refund("rf_1", "pay_1", Money(100)))
    sync.refresh(db, gateway, opened.id, Actor("verify", "r"), Deadline(5))
    assert by_id(db, opened.id).amount_refunded == Money(100)


def test_held_money_of_a_payment_under_review_is_not_captured(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    gateway.held("pay_1", PRICE)
    with db.begin() as session:
        payments.lock(session, opened.id).review = "amount_mismatch"
    sync.refresh(db, gateway, opened.id, Actor("verify", "r"), Deadline(5))
    assert "capture pay_1" not in gateway.calls


def test_older_proof_of_a_release_does_not_end_a_newer_hold(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    with db.read() as session:
        order = payments.current_order(session, opened.id)
    gateway.status = PaymentStatus.PENDING
    gateway.attempts = (gateway.attempt("pay_1", AttemptStatus.VOIDED, PRICE),)
    old_news = gateway.fetch_payment(OrderRef(order.wire_id), Deadline(5))
    gateway.held("pay_2", PRICE)
    newer_news = gateway.fetch_payment(OrderRef(order.wire_id), Deadline(5))
    for snapshot in (newer_news, old_news):
        sync.apply(db, gateway, order, snapshot, Actor("status", "r"))
    assert ledger.payment(opened.id).status == "authorized"


def test_trouble_of_the_store_in_the_middle_of_an_effect_is_not_acknowledged(
    db: Database, gateway: FakeGateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = buy(db, gateway)

    def lose_the_store(*_: object, **__: object) -> None:
        raise (sqlite3 if db.is_sqlite else psycopg).OperationalError("gone")

    monkeypatch.setattr(burst, "load", lose_the_store)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor)
    with pytest.raises(StoreUnavailable):
        webhook.receive(db, gateway, GENUINE, event)
    assert ledger.inbox() == []


def test_a_surprise_after_the_event_was_stored_is_no_reason_to_have_it_sent_again(
    db: Database, gateway: FakeGateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = buy(db, gateway)
    monkeypatch.setattr(gateway, "fetch_payment", _explode)
    event = gateway.event(order=opened.order_id, status="completed", amount=44900)
    webhook.receive(db, gateway, GENUINE, event)
    assert [row.outcome for row in ledger.inbox()] == ["waiting"]


def test_a_second_success_is_flagged_and_completes_nothing_twice(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    for payment_id in ("pay_1", "pay_2"):
        event = gateway.event(
            order=opened.order_id, status="completed", payment=payment_id, amount=PRICE.minor
        )
        webhook.receive(db, gateway, GENUINE, event)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review, payment.transaction_id) == (
        "completed",
        "second_success",
        "pay_1",
    )
    assert ledger.moves(opened.id).count("completed") == 1


def test_an_event_of_a_payment_that_cannot_be_read_is_kept_and_both_lines_say_of_which_order(
    db: Database,
    gateway: FakeGateway,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor)
    monkeypatch.setattr(burst, "run", _explode)
    monkeypatch.setattr(payments, "lock", _explode)
    with caplog.at_level(logging.INFO):
        webhook.receive(db, gateway, GENUINE, event)
    assert [row.outcome for row in ledger.inbox()] == ["failed"]
    told = {one.message: vars(one)["data"] for one in caplog.records if one.message.startswith("Webhook")}
    assert told["Webhook could not be applied"]["orderId"] == opened.order_id
    assert (told["Webhook"]["outcome"], told["Webhook"]["orderId"]) == ("failed", opened.order_id)


def test_one_poisonous_event_is_kept_with_its_error_and_the_next_one_goes_through(
    db: Database, gateway: FakeGateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = buy(db, gateway)
    with monkeypatch.context() as patch:
        patch.setattr(decide, "apply_refunds", _explode)
        event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor)
        gateway.fetch_error = Unavailable("away")
        webhook.receive(db, gateway, GENUINE, event)
    row = ledger.inbox()[0]
    assert (row.outcome, row.next_try_at is None, row.error) == ("failed", False, "ZeroDivisionError")
    assert ledger.payment(opened.id).status == "pending"
    assert ledger.trail(opened.id, "attempt") == []
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, again=True)
    webhook.receive(db, gateway, GENUINE, event)
    assert ledger.payment(opened.id).status == "completed"


def test_a_wake_up_sets_nothing_by_itself(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, wake_up=True)
    webhook.receive(db, gateway, GENUINE, event)
    assert ledger.payment(opened.id).status == "pending"
    assert [(row.outcome, row.next_try_at is None) for row in ledger.inbox()] == [("waiting", False)]
    gateway.paid("pay_1", PRICE)
    webhook.receive(db, gateway, GENUINE, event + b" ")
    assert ledger.payment(opened.id).status == "completed"
    assert [(row.outcome, row.next_try_at is None) for row in ledger.inbox()] == [
        ("waiting", False),
        ("applied", True),
    ]


def test_secrets_among_the_headers_are_not_kept(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    event = gateway.event(order="G1", status="completed", amount=100)
    headers = {
        **GENUINE,
        "authorization": "secret-1",
        "x-verify": "secret-2",
        "cookie": "secret-3",
        "x-razorpay-signature": "secret-4",
    }
    webhook.receive(db, gateway, {**headers, "x-event-id": "evt_9"}, event)
    kept = ledger.inbox()[0].headers
    assert kept["x-event-id"] == "evt_9"
    assert "secret" not in str(kept)
    assert ledger.inbox()[0].payload == event


def test_an_event_that_cannot_be_stored_is_not_acknowledged(gateway: FakeGateway) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreUnavailable):
        webhook.receive(nowhere, gateway, GENUINE, gateway.event(order="G1", status="completed", amount=100))


@contextmanager
def full_disk(db: Database) -> Iterator[None]:
    """The database's own error: SQLite may not grow its file, PostgreSQL says 53100 as at a real ENOSPC."""
    if db.is_sqlite:
        with db.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

        def stop_growing(connection: Any, _: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages}")

        db.engine.dispose()
        listen(db.engine, "connect", stop_growing)
        yield
        remove(db.engine, "connect", stop_growing)
        db.engine.dispose()
        return
    with db.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER full_disk BEFORE INSERT ON payment_webhooks EXECUTE FUNCTION full_disk()"
        )
    yield
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER full_disk ON payment_webhooks")


def test_on_a_full_disk_nothing_is_acknowledged_and_with_room_again_nothing_is_lost(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    news = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, padding="x" * 100_000)
    with full_disk(db):
        with pytest.raises(StoreUnavailable):
            webhook.receive(db, gateway, GENUINE, news)
        assert (ledger.inbox(), ledger.payment(opened.id).status) == ([], "pending")
    webhook.receive(db, gateway, GENUINE, news)
    assert (len(ledger.inbox()), ledger.payment(opened.id).status) == (1, "completed")


def _explode(*_: object, **__: object) -> None:
    raise ZeroDivisionError


def test_the_same_event_id_with_another_body_is_another_event(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """The id stands in a header that no signature covers."""
    first, second = buy(db, gateway), buy(db, gateway)
    headers = {**GENUINE, "x-event-id": "evt_1"}
    for opened, payment in ((first, "pay_1"), (second, "pay_2"), (second, "pay_2")):
        body = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, payment=payment)
        webhook.receive(db, gateway, headers, body)
    assert [ledger.payment(opened.id).status for opened in (first, second)] == ["completed", "completed"]
    assert [row.outcome for row in ledger.inbox()] == ["applied", "applied"]
