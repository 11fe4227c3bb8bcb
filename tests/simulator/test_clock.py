"""The clock: alarms ring in order, at their moment, whoever comes by; one that fails stops nothing."""

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from gateway_simulator import Simulator, create_simulator
from gateway_simulator.serving import serving
from gateway_simulator.world import World

DAY = 24 * 3600.0


class Diary:
    """Writes down what rang, and what time it was then."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.entries: list[tuple[str, float]] = []

    def note(self, what: str) -> None:
        self.entries.append((what, self.world.now()))

    def note_and_set(self, what: str, next_one: str, moment: float) -> None:
        self.note(what)
        self.world.at(moment, partial(self.note, next_one))

    def fail(self) -> None:
        raise ValueError("a bug")

    @property
    def words(self) -> list[str]:
        return [what for what, _ in self.entries]


@pytest.fixture
def world() -> World:
    return World(seed=1)


@pytest.fixture
def diary(world: World) -> Diary:
    return Diary(world)


def test_alarms_ring_in_order_and_each_at_the_moment_it_was_set_for(world, diary):
    start = world.now()
    world.at(start + 2 * DAY, partial(diary.note, "later"))
    world.at(start + DAY, partial(diary.note, "sooner"))
    world.at(start + DAY, partial(diary.note, "just after"))
    world.at(start + 9 * DAY, partial(diary.note, "not yet"))
    world.advance(5 * DAY)
    assert diary.entries == [
        ("sooner", start + DAY),
        ("just after", start + DAY),
        ("later", start + 2 * DAY),
    ]
    assert 5 * DAY <= world.now() - start < 5 * DAY + 10


def test_an_alarm_that_sets_an_alarm_is_followed_within_the_same_step_of_the_clock(world, diary):
    start = world.now()
    world.at(start + DAY, partial(diary.note_and_set, "first", "second", start + 2 * DAY))
    world.at(start + 3 * DAY, partial(diary.note, "third"))
    world.advance(4 * DAY)
    assert diary.entries == [("first", start + DAY), ("second", start + 2 * DAY), ("third", start + 3 * DAY)]


def test_an_alarm_that_fails_is_told_and_stops_neither_the_clock_nor_the_others(world, diary, caplog):
    start = world.now()
    world.at(start + 1, diary.fail)
    world.at(start + 2, partial(diary.note, "still here"))
    world.advance(3)
    assert diary.words == ["still here"]
    assert world.now() >= start + 3
    assert "ValueError: a bug" in caplog.text


def test_an_alarm_rings_once(world, diary):
    world.at(world.now() + 1, partial(diary.note, "once"))
    for _ in range(3):
        world.advance(1)
    assert diary.words == ["once"]


def test_nobody_else_sees_the_moment_of_an_alarm(world):
    """A webhook is sent by another thread, which must not read the time of an alarm that rings just now."""
    inside, seen = threading.Event(), []

    def ring_for_a_while() -> None:
        inside.set()
        time.sleep(0.2)

    def look() -> None:
        inside.wait(5)
        seen.append(world.now())

    start = world.now()
    world.at(start + DAY, ring_for_a_while)
    onlooker = threading.Thread(target=look)
    onlooker.start()
    world.advance(9 * DAY)
    onlooker.join()
    assert seen[0] >= start + 9 * DAY


def test_a_reset_takes_the_alarms_away(world, diary):
    world.at(world.now() + 1, partial(diary.note, "gone"))
    world.reset(None)
    world.advance(2)
    assert diary.entries == []


def test_looking_whether_something_is_due_costs_the_same_with_many_alarms(world, diary):
    for number in range(50_000):
        world.at(world.now() + DAY + number, partial(diary.note, "far"))
    started = time.perf_counter()
    for _ in range(1000):
        world.ring()
    assert time.perf_counter() - started < 0.5  # 50,000 comparisons a time would take many seconds


@pytest.fixture
def running() -> Iterator[Simulator]:
    app = create_simulator()
    with serving(app):
        yield app.extensions["simulator"]


def test_a_running_simulator_rings_by_itself_also_after_an_alarm_that_failed(running):
    diary, rang = Diary(running.world), threading.Event()
    running.world.at(running.world.now() + 0.1, diary.fail)
    running.world.at(running.world.now() + 0.2, rang.set)
    assert rang.wait(10)
    rang.clear()
    running.world.at(running.world.now() + 0.1, rang.set)
    assert rang.wait(10)
