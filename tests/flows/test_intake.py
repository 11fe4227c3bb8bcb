"""Webhooks that share a commit: each counts as if it had come alone, and none waits for another's trouble."""

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from payments_service.domain import decide
from payments_service.domain.news import EventKind, WebhookEvent
from payments_service.flows import intake, webhook
from payments_service.flows.create_order import Urls, create_order
from payments_service.flows.intake import Arrival, Intake, Outcome
from payments_service.flows.payment_view import PaymentView
from payments_service.store import payments, record, wire
from payments_service.store.db import Database
from tests.flows.conftest import PRICE, Ledger, buy, wish
from tests.support.fake_gateway import GENUINE, FakeGateway


class OtherGateway(FakeGateway):
    name = provider = "other"


def paid(gateway: FakeGateway, opened: PaymentView, payment: str, **more: Any) -> Arrival:
    body = gateway.event(
        order=opened.order_id, amount=PRICE.minor, payment=payment, **{"status": "completed", **more}
    )
    return arrival(gateway, body)


def arrival(gateway: FakeGateway, body: bytes) -> Arrival:
    return Arrival(gateway, gateway.read_webhook(GENUINE, body), GENUINE, body)


def take_together(db: Database, arrivals: Sequence[Arrival]) -> list[Outcome]:
    intake._take_in(db, arrivals)
    return [arrival.outcome for arrival in arrivals]


def test_two_events_of_one_payment_in_one_batch_complete_it_once(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    held = paid(gateway, opened, "pay_1", status="authorized", attempt="authorized")
    assert take_together(db, [held, paid(gateway, opened, "pay_1")]) == [Outcome.KEPT] * 2
    assert ledger.moves(opened.id) == ["initiated", "pending", "authorized", "completed"]
    assert [row.outcome for row in ledger.inbox()] == ["applied"] * 2


def test_the_same_event_twice_in_one_batch_is_kept_once(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    one = paid(gateway, opened, "pay_1")
    again = replace_arrival(one)
    assert take_together(db, [one, again]) == [Outcome.KEPT, Outcome.AGAIN]
    assert len(ledger.inbox()) == 1


def replace_arrival(one: Arrival) -> Arrival:
    return Arrival(one.gateway, one.event, one.headers, one.body)


def test_one_id_with_two_bodies_in_one_batch_are_two_events(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    one, other = (
        paid(gateway, opened, "pay_1", status="pending", attempt="pending"),
        paid(gateway, opened, "pay_1"),
    )
    other.event = replace(other.event, event_id=one.event.event_id)
    other.headers = {**GENUINE, "x-event-id": one.event.event_id}
    assert take_together(db, [one, other]) == [Outcome.KEPT, Outcome.ALONE]
    webhook.receive(db, gateway, other.headers, other.body)
    assert len(ledger.inbox()) == 2
    assert ledger.payment(opened.id).status == "completed"


class Chatty(FakeGateway):
    """It also tells what concerns no payment."""

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        if b"gossip" in raw_body:
            return WebhookEvent(event_id, "fake.gossip", EventKind.IGNORED)
        return super().reread_webhook(event_id, raw_body)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_events_in_the_batches_of_two_processes_count_once(
    db: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Each has them in another order, among some of its own, and both write at the same moment."""
    gateway = Chatty()
    opened = [buy(db, gateway) for _ in range(32)]
    events = [paid(gateway, one, f"pay_{one.id}") for one in opened]
    events += [arrival(gateway, gateway.event(gossip=number)) for number in range(32)]
    shuffle = random.Random(seed)
    shuffle.shuffle(events)
    batches = [[replace_arrival(one) for one in part] for part in (events[:48], events[16:])]
    for batch in batches:
        shuffle.shuffle(batch)
    write, both_are_ready = record.run, threading.Barrier(2)

    def write_beside_the_other(*about: Any) -> None:
        if not db.is_sqlite:  # whose one writer looks and writes without another in between
            both_are_ready.wait(10)
        write(*about)

    with monkeypatch.context() as patch:
        patch.setattr(record, "run", write_beside_the_other)
        in_threads([partial(intake._take_in, db, batch) for batch in batches])
    assert not any(one.error for batch in batches for one in batch)

    def alone(batch: list[Arrival]) -> None:
        for one in batch:
            if one.outcome is Outcome.ALONE:
                webhook.receive(db, gateway, one.headers, one.body)

    in_threads([partial(alone, batch) for batch in batches])
    assert sorted(row.payload for row in ledger.inbox()) == sorted(one.body for one in events)
    assert {row.outcome for row in ledger.inbox()} == {"applied", "ignored"}
    for each in opened:
        assert ledger.moves(each.id) == ["initiated", "pending", "completed"]


def in_threads(works: Sequence[Callable[[], None]]) -> None:
    """All at once; what one of them raises is raised here."""
    with ThreadPoolExecutor(len(works)) as pool:
        for ended in [pool.submit(work) for work in works]:
            ended.result()


def test_an_id_that_another_process_keeps_meanwhile_with_another_body_costs_no_event(
    db: Database, gateway: FakeGateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    if db.is_sqlite:
        pytest.skip("its one writer looks up and writes without another in between")
    opened, headers = buy(db, gateway), {**GENUINE, "x-event-id": "evt_1"}
    held = gateway.event(order=opened.order_id, amount=PRICE.minor, status="authorized", attempt="authorized")
    taken = gateway.event(order=opened.order_id, amount=PRICE.minor, status="completed")
    find = intake._Batch.find

    def find_before_another(batch: Any, *rest: Any) -> Any:
        monkeypatch.setattr(intake._Batch, "find", find)
        webhook.receive(db, gateway, headers, held)
        return find(batch, *rest)

    monkeypatch.setattr(intake._Batch, "find", find_before_another)
    webhook.receive(db, gateway, headers, taken)
    assert [row.payload for row in ledger.inbox()] == [held, taken]
    assert ledger.moves(opened.id) == ["initiated", "pending", "authorized", "completed"]


def test_two_payments_of_one_reference_in_one_batch_see_each_other(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    other = OtherGateway()
    new = replace(wish(), reference="A-1", price_verified=True)
    first, second = (create_order(db, one, new, Urls("http://x"), "r") for one in (gateway, other))
    arrivals = [paid(gateway, first, "pay_1"), paid(other, second, "pay_2")]
    assert take_together(db, arrivals) == [Outcome.KEPT] * 2
    assert [ledger.payment(one.id).review for one in (first, second)] == [None, "reference_paid_twice"]


def test_one_payment_id_in_one_batch_counts_for_one_order(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    first, second = buy(db, gateway), buy(db, gateway)
    take_together(db, [paid(gateway, first, "pay_1"), paid(gateway, second, "pay_1")])
    assert [ledger.payment(one.id).status for one in (first, second)] == ["completed", "pending"]
    assert ledger.payment(second.id).review == "payment_of_another_order"


def test_what_cannot_be_applied_disturbs_no_other(
    db: Database, gateway: FakeGateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = buy(db, gateway), buy(db, gateway)
    apply = decide.apply_event

    def explode(record: Any, *rest: Any) -> Any:
        done = apply(record, *rest)
        if record.payment.id == bad.id:
            raise ZeroDivisionError
        return done

    monkeypatch.setattr(decide, "apply_event", explode)
    gateway.fetch_error = None
    # One payment id in both: what was undone does not own it.
    arrivals = [paid(gateway, bad, "pay_1"), paid(gateway, good, "pay_1")]
    take_together(db, arrivals)
    assert ledger.moves(bad.id) == ["initiated", "pending"]
    assert ledger.trail(bad.id, "attempt") == []
    assert ledger.payment(good.id).status == "completed"
    assert {row.outcome: row.error for row in ledger.inbox()} == {
        "failed": "ZeroDivisionError",
        "applied": None,
    }


def test_one_of_a_full_batch_that_cannot_be_written_with_the_others_costs_none(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """No reading of a gateway lets U+0000 through; should it come all the same, all are kept."""
    opened = [buy(db, gateway) for _ in range(intake.LARGEST)]
    arrivals = [paid(gateway, one, f"pay_{one.id}") for one in opened]
    odd = arrivals[40]
    odd.headers = {**GENUINE, "x-odd": "a\0b"}
    take_together(db, arrivals)
    if not db.is_sqlite:  # which takes it
        assert odd.outcome is Outcome.ALONE
    for one in arrivals:
        if one.outcome is Outcome.ALONE:
            webhook.receive(db, gateway, one.headers, one.body)
    kept = {row.payload: (row.outcome, row.headers) for row in ledger.inbox()}
    assert kept == {one.body: ("applied", one.headers) for one in arrivals}
    assert {ledger.payment(one.id).status for one in opened} == {"completed"}


def test_a_row_that_is_held_for_seconds_keeps_no_other_event_waiting(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    held, *others = [buy(db, gateway) for _ in range(65)]
    queue, answered = Intake(db), {}

    def come(opened: PaymentView) -> None:
        webhook.receive(db, gateway, GENUINE, paid(gateway, opened, f"pay_{opened.id}").body, queue)
        answered[opened.id] = time.monotonic()

    with ThreadPoolExecutor(65) as pool:
        with holding(db, held) as free_at:
            coming = [pool.submit(come, one) for one in (held, *others)]
        for one in coming:
            one.result()
    assert {ledger.payment(one.id).status for one in (held, *others)} == {"completed"}
    if not db.is_sqlite:  # whose one writer all wait for
        assert max(answered[one.id] for one in others) < free_at[0]
    assert answered[held.id] >= free_at[0]


@contextmanager
def holding(db: Database, opened: PaymentView) -> Any:
    """Another transaction is at work on this payment for a while."""
    free_at: list[float] = []
    with db.begin() as session:
        payments.lock(session, opened.id)
        yield free_at
        time.sleep(1 if db.is_sqlite else 3)
        free_at.append(time.monotonic())


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_batch_takes_as_many_turns_whatever_its_size(
    db: Database, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A turn is one wait for the server."""
    arrivals = [paid(gateway, one, f"pay_{one.id}") for one in (buy(db, gateway) for _ in range(size))]
    turns: list[int] = []

    def counted(run: Any) -> Any:
        return lambda self, what: (turns.append(len(what)), run(self, what))[1]

    for kind in (wire.Postgres, wire.Sqlite):
        monkeypatch.setattr(kind, "run", counted(kind.run))
    assert take_together(db, arrivals) == [Outcome.KEPT] * size
    assert len(turns) == 3


def test_a_queue_that_is_too_long_promises_nothing(
    db: Database, gateway: FakeGateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "LONGEST_QUEUE", 0)
    opened = buy(db, gateway)
    with pytest.raises(intake.StoreUnavailable):
        Intake(db).take(paid(gateway, opened, "pay_1"))
    assert ledger.inbox() == []


def test_many_at_once_are_all_kept_and_led_in_turn(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = [buy(db, gateway) for _ in range(12)]
    queue = Intake(db)
    start = threading.Barrier(24)

    def come(one: PaymentView) -> None:
        start.wait()
        webhook.receive(db, gateway, GENUINE, paid(gateway, one, f"pay_{one.id}", at=TIME).body, queue)

    threads = [threading.Thread(target=come, args=(one,)) for one in (*opened, *opened)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.inbox()) == 12
    assert {ledger.payment(one.id).status for one in opened} == {"completed"}
    assert json.loads(ledger.inbox()[0].payload)["status"] == "completed"


TIME = "2026-11-29T00:00:00+00:00"


def test_a_connection_that_its_server_has_ended_costs_no_event(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    if not db.is_sqlite:  # which has no server
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        with db.engine.connect() as connection, connection.begin():
            held = [db.engine.raw_connection() for _ in range(3)]
            connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
            for one in held:  # so that one of these is taken from the pool first
                one.close()
    time.sleep(0.2)
    assert take_together(db, [paid(gateway, opened, "pay_1")]) == [Outcome.KEPT]
    assert ledger.payment(opened.id).status == "completed"
