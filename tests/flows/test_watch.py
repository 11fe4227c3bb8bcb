"""A web process notices that no worker is alive, says so, and sends that one letter itself."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from payments_service.domain.errors import StoreUnavailable
from payments_service.flows import liveness, reviews
from payments_service.flows.watch import PATIENCE_SECONDS, Watch
from payments_service.store import outbox
from payments_service.store.db import Database
from tests.flows.delivering import HandClock, Telling, channels
from tests.support.fake_gateway import FakeGateway
from tests.support.mailbox import Mailbox, mailbox

MINUTE = timedelta(minutes=1)


class Process:
    """A web process whose time a test moves."""

    def __init__(self, db: Database, hand: HandClock, smtp_url: str | None = None) -> None:
        self.gateway = FakeGateway()
        began = hand.moment
        self.watch = Watch(
            db,
            [self.gateway],
            channels(smtp_url=smtp_url),
            hand.clock,
            lambda: (hand.moment - began).total_seconds(),
        )


@pytest.fixture
def hand() -> HandClock:
    return HandClock()


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


@pytest.fixture
def told_db(db: Database) -> Database:
    db.destinations = (outbox.OPERATOR,)
    return db


def errors(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.message == "No worker is alive" for record in caplog.records)


def test_one_letter_is_sent_for_an_outage_whatever_the_processes(
    told_db: Database, hand: HandClock, box: Mailbox
) -> None:
    processes = [Process(told_db, hand, box.url).watch for _ in range(2)]
    liveness.beat(told_db, hand.clock)
    for _ in range(10):
        hand.advance(MINUTE)
        for watch in processes:
            watch.look()
    [letter] = box.letters
    assert "worker_silent" in letter["Subject"]
    assert {watch.worker_silent_since() for watch in processes} != {None}
    assert {row.state for row in Telling(told_db).rows()} == {outbox.DELIVERED}
    liveness.beat(told_db, hand.clock)
    assert reviews.open_reviews(told_db) == []
    for _ in range(5):
        hand.advance(MINUTE)
        processes[0].look()
    assert len(box.letters) == 2  # another outage


def test_a_worker_that_stays_away_is_called_to_mind_daily(
    told_db: Database, hand: HandClock, box: Mailbox
) -> None:
    processes = [Process(told_db, hand, box.url).watch for _ in range(2)]
    liveness.beat(told_db, hand.clock)
    hand.advance(4 * MINUTE)
    for hours in range(50):
        for watch in processes:
            watch.look()
        assert len(box.letters) == 1 + hours // 24
        hand.advance(timedelta(hours=1))
    assert {row.state for row in Telling(told_db).rows()} == {outbox.DELIVERED}


def test_a_letter_that_was_refused_is_sent_at_a_later_look(
    told_db: Database, hand: HandClock, box: Mailbox
) -> None:
    watch = Process(told_db, hand, box.url).watch
    liveness.beat(told_db, hand.clock)
    box.answers["DATA"] = "451 later"
    hand.advance(4 * MINUTE)
    watch.look()
    assert box.letters == []
    box.answers.clear()
    hand.advance(MINUTE)
    watch.look()
    assert len(box.letters) == 1


def test_it_leaves_everything_else_to_the_worker(told_db: Database, hand: HandClock, box: Mailbox) -> None:
    Telling(told_db).tell(outbox.OPERATOR, event="payment.review", now=hand.moment - MINUTE)
    liveness.beat(told_db, hand.clock)
    hand.advance(4 * MINUTE)
    Process(told_db, HandClock(hand.moment - 4 * MINUTE)).watch.look()
    watch = Process(told_db, hand, box.url).watch
    hand.advance(4 * MINUTE)
    watch.look()
    [letter] = box.letters
    assert "worker_silent" in letter["Subject"]


def test_the_log_says_so_each_minute_at_most(
    db: Database, hand: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Process(db, hand).watch
    liveness.beat(db, hand.clock)
    hand.advance(4 * MINUTE)
    for _ in range(12):
        watch.look()
        hand.advance(timedelta(seconds=10))
    assert errors(caplog) == 2
    [record] = [record for record in caplog.records if record.message == "No worker is alive"][:1]
    assert record.levelno == logging.ERROR


def test_after_an_outage_of_all_of_it_the_worker_has_time_to_start(db: Database, hand: HandClock) -> None:
    liveness.beat(db, hand.clock)
    hand.advance(timedelta(days=1))
    watch = Process(db, hand).watch
    watch.look()
    hand.advance(2 * MINUTE)
    watch.look()
    assert reviews.open_reviews(db) == []
    hand.advance(2 * MINUTE)
    watch.look()
    assert [review.why for review in reviews.open_reviews(db)] == ["worker_silent"]


def test_a_worker_that_lives_is_no_news(
    db: Database, hand: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Process(db, hand).watch
    for _ in range(30):
        hand.advance(MINUTE)
        liveness.beat(db, hand.clock)
        watch.look()
    assert watch.worker_silent_since() is None
    assert errors(caplog) == 0
    assert reviews.open_reviews(db) == []


def test_a_refused_webhook_is_remembered_until_the_store_takes_it(
    db: Database, hand: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(db, hand)
    process.watch.webhook_refused(process.gateway)
    with monkeypatch.context() as away:
        away.setattr(db, "begin", _unavailable)
        with pytest.raises(StoreUnavailable):
            process.watch.look()
    process.watch.look()
    hand.advance(11 * MINUTE)
    process.watch.look()  # none was refused since
    assert [review.why for review in reviews.open_reviews(db)] == []
    process.watch.webhook_refused(process.gateway)
    process.watch.look()
    assert "webhooks_refused" in [review.why for review in reviews.open_reviews(db)]


def test_what_calls_show_is_raised_by_the_process_that_sees_it(db: Database, hand: HandClock) -> None:
    process = Process(db, hand)
    process.gateway.health.failing = lambda _seconds: ["writes"]  # type: ignore[method-assign]
    process.watch.look()
    assert [review.why for review in reviews.open_reviews(db)] == ["gateway_down"]


def test_a_question_does_not_wait_for_a_database_that_hangs(db: Database) -> None:
    released = threading.Event()
    looks: list[str] = []

    @contextmanager
    def hang() -> Iterator[Session]:
        looks.append(threading.current_thread().name)
        released.wait(30)
        raise StoreUnavailable("gone")
        yield

    db.begin = hang  # type: ignore[method-assign]
    watch = Watch(db, [], channels())
    started = time.monotonic()
    for _ in range(100):
        assert watch.worker_silent_since() is None
    assert time.monotonic() - started < PATIENCE_SECONDS + 5
    assert looks == ["watch"]
    released.set()


def test_a_glance_looks_beside_the_request_each_minute(
    db: Database, hand: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Process(db, hand).watch
    looked = threading.Semaphore(0)
    monkeypatch.setattr(watch, "look", looked.release)
    watch.glance()
    assert not looked.acquire(blocking=False)
    for _ in range(3):
        hand.advance(MINUTE)
        watch.glance()
        assert looked.acquire(timeout=30)
        watch._idle.wait(30)


def _unavailable() -> Any:
    raise StoreUnavailable("away")
