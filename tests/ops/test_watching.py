"""What cannot tell itself: a sweep that hangs, a database that is away; and the call to an address."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from payments_service import notify
from payments_service.domain.alarms import REMINDED_EVERY
from payments_service.domain.errors import NotMigrated, StoreUnavailable
from payments_service.flows import beats as beats_module
from payments_service.flows import liveness, reviews
from payments_service.flows.beats import Beats
from payments_service.flows.watch import AWAY_SECONDS, Watch
from payments_service.store import gauges, heartbeats, outbox, revision
from payments_service.store.db import Database
from payments_service.worker import Sweep, run_once
from tests.flows.delivering import HandClock, channels
from tests.support.fake_gateway import FakeGateway
from tests.support.mailbox import Mailbox, mailbox

MINUTE = timedelta(minutes=1)


@pytest.fixture
def hand() -> HandClock:
    return HandClock()


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


def process(db: Database, hand: HandClock, smtp_url: str | None = None) -> Watch:
    began = hand.moment
    return Watch(
        db,
        [FakeGateway()],
        channels(smtp_url=smtp_url),
        hand.clock,
        lambda: (hand.moment - began).total_seconds(),
    )


class Worker:
    """Beats of a worker whose time is the hand's."""

    def __init__(self, db: Database, hand: HandClock, *names: str) -> None:
        began = hand.moment
        self.db, self.hand = db, hand
        beats = Beats(db, hand.clock, None, lambda: (hand.moment - began).total_seconds())
        self.sweeps = {name: beats.watched(name, lambda: 0) for name in names}

    def run(self, *but: str) -> None:
        liveness.beat(self.db, self.hand.clock)
        for name, sweep in self.sweeps.items():
            if name not in but:
                sweep()


def open_alarms(db: Database) -> list[tuple[str, str]]:
    return [(review.why, review.subject) for review in reviews.open_reviews(db)]


# ── sweeps ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sweep_that_hangs_is_told_by_a_web_process_while_the_others_live(
    db: Database, hand: HandClock
) -> None:
    worker, watch = Worker(db, hand, "inbox", "outbox"), process(db, hand)
    for _ in range(12):
        hand.advance(MINUTE / 2)
        worker.run("outbox")
        watch.look()
    assert open_alarms(db) == [("sweep_silent", "outbox")]


def test_sweeps_that_end_well_are_no_news(db: Database, hand: HandClock) -> None:
    worker, watch = Worker(db, hand, "inbox", "outbox"), process(db, hand)
    for _ in range(12):
        hand.advance(MINUTE)
        worker.run()
        watch.look()
    assert open_alarms(db) == []


def test_a_worker_that_is_back_after_an_hour_raises_no_alarm_of_its_sweeps(
    db: Database, hand: HandClock
) -> None:
    Worker(db, hand, "inbox", "outbox", "refunds of a gateway that is off now").run()
    watch = process(db, hand)
    hand.advance(timedelta(hours=1))
    worker = Worker(db, hand, "inbox", "outbox")
    worker.run()
    watch.look()
    assert open_alarms(db) == []
    with db.read() as session:
        assert set(heartbeats.sweeps(session)) == {"inbox", "outbox"}


def by_cron(
    db: Database, hand: HandClock, *failing: str, names: tuple[str, ...] = ("inbox", "outbox")
) -> None:
    """What a new process does each minute."""

    def run(name: str) -> int:
        if name in failing:
            raise ZeroDivisionError
        return 0

    liveness.beat(db, hand.clock)
    beats = Beats(db, hand.clock)
    found = [Sweep(name, beats.measured(name, partial(run, name)), 1.0) for name in names]
    assert run_once(found, beats.ended).failed == failing


def test_a_sweep_that_always_fails_by_cron_is_told(db: Database, hand: HandClock) -> None:
    watch = process(db, hand)
    for minute in range(6):
        by_cron(db, hand, "inbox")
        watch.look()
        assert open_alarms(db) == ([("sweep_silent", "inbox")] if minute > 3 else [])
        hand.advance(MINUTE)


def test_by_cron_too_a_sweep_that_is_not_run_any_more_is_not_missed(db: Database, hand: HandClock) -> None:
    by_cron(db, hand)
    hand.advance(timedelta(hours=1))
    by_cron(db, hand, names=("inbox",))
    process(db, hand).look()
    assert (open_alarms(db), silences(db, hand)) == ([], [0])


def test_a_sign_of_life_by_a_clock_that_was_ahead_hides_no_silence(db: Database, hand: HandClock) -> None:
    with db.begin() as session:
        heartbeats.beat(session, f"{heartbeats.SWEEP}inbox", hand.moment + timedelta(days=30))
    watch = process(db, hand)
    for _ in range(6):
        by_cron(db, hand, "inbox")
        watch.look()
        hand.advance(MINUTE)
    assert open_alarms(db) == [("sweep_silent", "inbox")]


def test_while_no_worker_lives_that_alone_is_told(db: Database, hand: HandClock) -> None:
    Worker(db, hand, "inbox", "outbox").run()
    watch = process(db, hand)
    hand.advance(timedelta(hours=1))
    watch.look()
    assert open_alarms(db) == [("worker_silent", "worker")]


def test_a_worker_that_dies_leaves_no_sweep_that_is_silent_before_it(db: Database, hand: HandClock) -> None:
    worker, watch = Worker(db, hand, "inbox", "outbox"), process(db, hand)
    hand.advance(timedelta(hours=1))
    worker.run()
    hand.advance(timedelta(seconds=10))
    liveness.beat(db, hand.clock)
    for _ in range(40):
        hand.advance(timedelta(seconds=5))
        watch.look()
        assert {why for why, _ in open_alarms(db)} <= {"worker_silent"}
        assert max(silences(db, hand)) <= 10
    assert open_alarms(db) == [("worker_silent", "worker")]


def test_a_database_that_was_away_leaves_no_sweep_that_is_silent_after_it(
    db: Database, hand: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, watch = Worker(db, hand, "inbox", "outbox"), process(db, hand)
    hand.advance(timedelta(hours=1))
    worker.run()

    def away() -> None:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as outage:
        outage.setattr(db, "begin", away)
        for _ in range(10):
            hand.advance(MINUTE)
            with pytest.raises(StoreUnavailable):
                worker.sweeps["inbox"]()
    hand.advance(MINUTE)
    worker.run("outbox")
    watch.look()
    assert open_alarms(db) == []


def silences(db: Database, hand: HandClock) -> list[float]:
    """As Prometheus sees them."""
    with db.read() as session:
        return [
            one.value
            for one in gauges.read(session, hand.moment, ())
            if one.measure == "sweep_silent_seconds"
        ]


# ── the database ────────────────────────────────────────────────────────────────────────────────────────


def look_in_vain(watch: Watch, hand: HandClock, minutes: int) -> None:
    for _ in range(minutes):
        hand.advance(MINUTE)
        watch.database_is_away(StoreUnavailable("gone"))


def test_a_database_that_is_away_is_told_by_mail_once_and_daily(
    db: Database, hand: HandClock, box: Mailbox
) -> None:
    watch = process(db, hand, box.url)
    look_in_vain(watch, hand, 1)
    assert box.letters == [], "a restart takes less than a minute"
    look_in_vain(watch, hand, 9)
    [letter] = box.letters
    assert "database_away" in letter["Subject"]
    assert "docs/handbook.md" in letter.get_content()
    hand.advance(REMINDED_EVERY)
    look_in_vain(watch, hand, 2)
    assert len(box.letters) == 2


@pytest.mark.parametrize("cause", [None, RuntimeError("no such table: payments")])
def test_a_migration_that_was_not_run_is_told_with_its_command(
    db: Database, hand: HandClock, box: Mailbox, cause: Exception | None
) -> None:
    watch, error = process(db, hand, box.url), NotMigrated(f"The database is at 0001; {revision.HOW}")
    error.__cause__ = cause
    for _ in range(3):
        hand.advance(MINUTE)
        watch.database_is_away(error)
    [letter] = box.letters
    assert "not_migrated" in letter["Subject"]
    assert "flask --app wsgi db upgrade" in letter.get_content()


def test_processes_of_one_machine_send_it_under_one_id(db: Database, hand: HandClock, box: Mailbox) -> None:
    for watch in (process(db, hand, box.url), process(db, hand, box.url)):
        look_in_vain(watch, hand, 3)
    assert len({letter["Message-ID"] for letter in box.letters}) == 1


def test_a_letter_that_was_refused_is_tried_at_the_next_look(
    db: Database, hand: HandClock, box: Mailbox
) -> None:
    box.answers["DATA"] = "451 later"
    watch = process(db, hand, box.url)
    look_in_vain(watch, hand, 3)
    box.answers.clear()
    look_in_vain(watch, hand, 1)
    assert len(box.letters) == 1


def test_one_that_comes_back_and_goes_again_is_told_again(
    db: Database, hand: HandClock, box: Mailbox
) -> None:
    watch = process(db, hand, box.url)
    look_in_vain(watch, hand, 3)
    watch._look_and_tell()  # it answers
    look_in_vain(watch, hand, 3)
    assert len(box.letters) == 2


def test_without_mail_the_log_alone_is_told(
    db: Database, hand: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    look_in_vain(process(db, hand), hand, 5)
    assert [record.levelname for record in caplog.records if record.message == "Database away"] == ["ERROR"]


def test_looks_come_sooner_while_it_is_away(
    db: Database, hand: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = process(db, hand)
    looks = threading.Semaphore(0)

    def fail() -> None:
        looks.release()
        raise StoreUnavailable("gone")

    monkeypatch.setattr(watch, "look", fail)
    hand.advance(MINUTE)
    watch.glance()
    assert looks.acquire(timeout=30)
    watch._idle.wait(30)
    hand.advance(timedelta(seconds=11))
    watch.glance()
    assert looks.acquire(timeout=30)
    watch._idle.wait(30)
    assert AWAY_SECONDS == 60


# ── the address outside ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def outside() -> Iterator[tuple[str, list[str]]]:
    calls: list[str] = []

    class Outside(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append(self.path)
            self.send_response(200 if "well" in self.path else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Outside)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", calls
    server.shutdown()
    server.server_close()


def wait_for(calls: list[str], count: int) -> None:
    ends = time.monotonic() + 20
    while len(calls) < count and time.monotonic() < ends:
        time.sleep(0.01)


def test_the_address_is_called_each_minute_while_the_database_takes_what_is_written(
    db: Database, hand: HandClock, outside: tuple[str, list[str]]
) -> None:
    url, calls = outside
    began = hand.moment
    beats = Beats(db, hand.clock, f"{url}/well?key=1", lambda: (hand.moment - began).total_seconds())
    sweep = beats.watched("inbox", lambda: 0)
    for _ in range(12):
        sweep()
        hand.advance(timedelta(seconds=20))
    wait_for(calls, 4)
    assert calls == ["/well?key=1"] * 4


def test_a_process_that_ends_waits_until_it_was_called(
    db: Database, outside: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, calls = outside

    def slow(url: str, seconds: float) -> notify.Answer:
        time.sleep(0.5)
        return ping(url, seconds)

    ping = notify.ping
    monkeypatch.setattr(beats_module.notify, "ping", slow)
    beats = Beats(db, HandClock().clock, f"{url}/well")
    beats.ended("inbox")
    assert calls == [], "the sweeps go on meanwhile"
    beats.wait()
    assert calls == ["/well"]


def test_it_waits_no_longer_than_for_an_answer(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: object) -> notify.Answer:
        released.wait(20)
        return notify.Answer(notify.Verdict.DELIVERED, "late")

    monkeypatch.setattr(beats_module.notify, "ping", hang)
    monkeypatch.setattr(beats_module, "PATIENCE_SECONDS", 0.2)
    beats = Beats(db, HandClock().clock, "http://127.0.0.1:9/")
    beats.ended("inbox")
    started = time.monotonic()
    beats.wait()
    assert time.monotonic() - started < 5
    released.set()


def test_it_is_not_called_while_the_database_takes_nothing(
    db: Database, hand: HandClock, outside: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, calls = outside

    def away() -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(db, "begin", away)
    sweep = Beats(db, hand.clock, f"{url}/well").watched("inbox", lambda: 0)
    with pytest.raises(StoreUnavailable):
        sweep()
    assert calls == []


def test_an_address_that_fails_or_hangs_holds_up_no_sweep(
    db: Database, outside: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert notify.ping(f"{outside[0]}/ill", 5).verdict is notify.Verdict.NOT_NOW
    assert notify.ping("http://127.0.0.1:9/", 5).verdict is notify.Verdict.NOT_NOW
    released = threading.Event()

    def hang(*_: object) -> notify.Answer:
        released.wait(20)
        return notify.Answer(notify.Verdict.NOT_NOW, "late")

    monkeypatch.setattr(beats_module.notify, "ping", hang)
    started = time.monotonic()
    Beats(db, HandClock().clock, "http://127.0.0.1:9/").watched("inbox", lambda: 0)()
    assert time.monotonic() - started < 5
    released.set()
    db.destinations = (outbox.OPERATOR,)
