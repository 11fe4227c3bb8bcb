"""A line of due rows: several beside each other, none twice, and a place that is down is left alone."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from payments_service.domain.errors import (
    BudgetUsedUp,
    CircuitOpen,
    Rejected,
    StoreUnavailable,
    Unavailable,
)
from payments_service.flows import lines, reconcile
from payments_service.flows.lines import FAILURES_IN_A_ROW, LEFT_ALONE_SECONDS, Line, Place, is_well
from payments_service.store.db import Database
from payments_service.worker import Sweep
from tests.support.fake_gateway import FakeGateway

SECONDS = 20
"""How long a test waits for another thread before it fails."""


@dataclass
class Rows:
    """What is due, and what became of it."""

    due: list[int]
    claimed: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def claim(self, limit: int) -> Sequence[int]:
        taken, self.due = self.due[:limit], self.due[limit:]
        self.claimed += taken
        return taken

    def well(self, row: int) -> bool:
        with self.lock:
            self.done.append(row)
        return True


def grown(most: int) -> Place:
    """A place that has answered quickly for a while."""
    place = Place(most)
    for _ in range(most):
        place.learn(True, 0.1)
    return place


def test_all_that_is_due_is_done_once() -> None:
    rows = Rows(list(range(50)))
    assert Line("x", Place(8), rows.claim, rows.well).run_out() == 50
    assert sorted(rows.done) == list(range(50))


def test_no_more_than_the_limit_is_begun() -> None:
    rows = Rows(list(range(50)))
    assert Line("x", grown(8), rows.claim, rows.well).run_out(5) == 5
    assert rows.claimed == list(range(5))


def test_a_quick_place_gets_several_rows_at_once_and_never_more_than_its_most() -> None:
    rows, meeting = Rows(list(range(12))), threading.Barrier(4)
    line = Line("x", grown(4), rows.claim, lambda _: meeting.wait(SECONDS) >= 0)
    assert line.run_out() == 12, "four of them meet, three times"
    assert grown(4).room(0) == 4


def test_a_place_that_is_not_known_yet_or_slow_gets_one_row_at_a_time() -> None:
    place = Place(8)
    assert place.room(0) == 1
    for _ in range(8):
        place.learn(True, lines.QUICK_SECONDS + 1)
    assert (place.room(0), place.room(1)) == (1, 0)


def test_a_slow_gateway_is_asked_several_things_at_once_all_the_same(db: Database) -> None:
    at = reconcile.place_of(db, FakeGateway())
    for _ in range(3):
        at.learn(True, lines.QUICK_SECONDS + 1)
    assert at.room(0) == 4


def test_a_failure_halves_what_a_place_gets_at_once() -> None:
    place = grown(8)
    place.learn(False, 0.1)
    assert place.room(0) == 4


def test_a_row_that_hangs_does_not_hold_up_those_that_become_due() -> None:
    rows, hung = Rows([0]), threading.Event()

    def work(row: int) -> bool:
        if row == 0:
            assert hung.wait(SECONDS)
        return rows.well(row)

    line = Line("x", grown(4), rows.claim, work)
    line.run()
    rows.due = [1, 2]
    while len(rows.done) < 2:
        line.run()
    assert sorted(rows.done) == [1, 2]
    hung.set()
    assert line.wait(SECONDS)
    assert sorted(rows.done) == [0, 1, 2]


def test_stop_is_looked_at_between_two_rows() -> None:
    rows, stop = Rows(list(range(10))), threading.Event()

    def work(row: int) -> bool:
        stop.set()
        return rows.well(row)

    assert Line("x", Place(8), rows.claim, work, stop).run_out() == 1
    assert (rows.claimed, rows.done) == ([0], [0]), "no row is claimed that is not worked on"


def test_a_row_that_fails_is_logged_and_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    rows = Rows(list(range(30)))

    def work(row: int) -> bool:
        if row < 25:
            raise ZeroDivisionError
        return rows.well(row)

    assert Line("x", Place(1), rows.claim, work).run_out() == 30
    assert rows.done == list(range(25, 30))
    failed = [record for record in caplog.records if record.message == "Row failed"]
    assert len(failed) == 25
    assert all(record.levelname == "ERROR" and record.exc_info for record in failed)


def test_a_run_in_which_no_row_goes_well_fails_once_all_were_tried() -> None:
    rows = Rows(list(range(3)))
    line = Line("x", Place(1), rows.claim, lambda row: bool(row // 0))
    with pytest.raises(ZeroDivisionError):
        line.run_out()
    assert rows.claimed == list(range(3))
    assert line.run_out() == 0, "it is told once"


def test_a_database_that_takes_nothing_ends_the_run_at_once() -> None:
    """Else many events would be sent that could not be recorded, and all of them again."""
    rows = Rows(list(range(3)))

    def work(row: int) -> bool:
        if row == 1:
            raise StoreUnavailable("away")
        return rows.well(row)

    line = Line("x", Place(1), rows.claim, work)
    with pytest.raises(StoreUnavailable):
        line.run_out()
    assert rows.claimed == [0, 1]
    assert line.run_out() == 1


def test_while_rows_fail_every_second_turn_is_for_what_waits_longest() -> None:
    young, old = Rows([1, 2, 3, 4, 5, 6]), Rows([0, -1])

    def work(row: int) -> bool:
        if row > 0:
            raise ZeroDivisionError
        return young.well(row)

    line = Line("x", Place(1), young.claim, work, claim_longest_due=old.claim)
    assert line.run_out(4) == 4
    assert (young.claimed, old.claimed) == ([1, 2], [0, -1])


def test_a_row_whose_thread_cannot_start_takes_up_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(list(range(3)))
    line = Line("x", Place(1), rows.claim, rows.well)

    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as crowded:
        crowded.setattr(lines, "Thread", NoThread)
        with pytest.raises(RuntimeError, match="new thread"):
            line.run()
    assert line.busy == 0
    assert line.run_out() == 2


# ── a place that is down ────────────────────────────────────────────────────────────────────────────


@dataclass
class Down:
    """A place whose calls fail until it is back, and a clock that is set by hand."""

    now: float = 0.0
    is_back: bool = False
    asked: int = 0

    def __post_init__(self) -> None:
        self.place = Place(8, lambda: self.now)

    def line(self, rows: Rows) -> Line[int]:
        return Line("x", self.place, rows.claim, self.work)

    def work(self, _row: int) -> bool:
        self.asked += 1
        return self.is_back


def test_a_place_that_keeps_failing_is_left_alone_but_for_one_trial_at_a_time() -> None:
    down, rows = Down(), Rows(list(range(100)))
    line = down.line(rows)
    assert line.run_out() == FAILURES_IN_A_ROW
    assert line.run_out() == 0
    assert len(rows.claimed) == FAILURES_IN_A_ROW, "not even looked for"
    for trial in range(1, 4):
        down.now += LEFT_ALONE_SECONDS
        assert [line.run_out(), line.run_out()] == [1, 0]
        assert down.asked == FAILURES_IN_A_ROW + trial


def test_a_place_that_is_back_gets_all_that_waited() -> None:
    down, rows = Down(), Rows(list(range(100)))
    line = down.line(rows)
    line.run_out()
    down.now += LEFT_ALONE_SECONDS
    down.is_back = True
    assert line.run_out() == 100 - FAILURES_IN_A_ROW


def test_lines_of_one_place_know_together_that_it_is_down() -> None:
    down, some, others = Down(), Rows([1, 2, 3]), Rows([4, 5, 6])
    down.line(some).run_out()
    assert down.line(others).run_out() == 0
    down.now += LEFT_ALONE_SECONDS
    assert down.line(Rows([])).run_out() == 0
    assert down.line(others).run_out() == 1, "a line without work leaves the trial to the others"


def test_a_trial_that_lasts_is_the_only_one() -> None:
    place = Down().place
    for _ in range(FAILURES_IN_A_ROW):
        place.learn(False, 0.1)
    place._trial_at = 0.0
    assert [place.room(0), place.room(1)] == [1, 0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unavailable("no answer"), False),
        (CircuitOpen("failed too often"), False),
        (Unavailable("too much", gateway_status=429), None),
        (BudgetUsedUp("our own limit"), None),
        (Rejected("no"), True),
    ],
)
def test_only_a_gateway_that_gives_no_answer_is_down(error: Unavailable, expected: bool | None) -> None:
    assert is_well(error) is expected
    place = Place(1)
    for _ in range(FAILURES_IN_A_ROW):
        place.learn(is_well(error), 0.1)
    assert place.room(0) == (0 if expected is False else 1)


def test_time_is_the_machines_own() -> None:
    place = Place(1)
    for _ in range(FAILURES_IN_A_ROW):
        place.learn(False, 0.1)
    assert place._trial_at - time.monotonic() <= LEFT_ALONE_SECONDS


def test_sqlite_which_has_one_writer_is_not_crowded(db: Database) -> None:
    one = lines.place(db, 32)
    for _ in range(40):
        one.learn(True, 0.1)
    assert one.room(0) == (lines.AT_ONCE_ON_SQLITE if db.is_sqlite else 32)


def test_a_sweep_that_does_what_is_due_waits_for_what_is_under_way_without_looking_all_the_time() -> None:
    rows, looks = Rows(list(range(3))), []

    def claim(limit: int) -> Sequence[int]:
        looks.append(limit)
        return rows.claim(limit)

    def work(row: int) -> bool:
        time.sleep(0.3)
        return rows.well(row)

    line = Line("x", grown(4), claim, work)
    assert Sweep("x", line.run, 1.0, line).run_out() == 3
    assert len(rows.done) == 3
    assert len(looks) < 10


def test_a_line_may_be_narrower_than_its_place() -> None:
    rows, release = Rows(list(range(8))), threading.Event()
    line = Line("x", grown(8), rows.claim, lambda _: release.wait(SECONDS), most=2)
    running = threading.Thread(target=line.run_out)
    running.start()
    while line.busy < 2:
        time.sleep(0.01)
    time.sleep(0.5)  # a third would come at once
    assert (line.busy, len(rows.claimed)) == (2, 2)
    release.set()
    running.join(SECONDS)
    assert len(rows.claimed) == 8
