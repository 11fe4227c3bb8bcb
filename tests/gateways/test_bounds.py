"""What one process asks of one gateway: writes pause while they keep failing, reads keep to a budget."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import (
    BudgetUsedUp,
    CircuitOpen,
    GatewayError,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from payments_service.gateways import GATEWAYS, bounds, http
from payments_service.gateways.base import Gateway
from payments_service.gateways.bounds import (
    FAILURES_IN_A_ROW,
    READ_RESET_SECONDS,
    RESET_SECONDS,
    Circuit,
    Places,
    ReadBudget,
)
from payments_service.gateways.http import ErrorFacts, GatewaySession
from tests.gateways.wire import HTML, Answer, Reply, Request, Trouble, Wire, closed_port, wire

OK = Reply(b'{"ok": true}')
BROKEN = Reply(HTML, 502)
PLENTY = 1000.0
SCARCE = 4.0
"""Reads a second: twenty are saved up, and polling may have ten of them at once."""
LEAST = 0.1
"""Four are saved up, and polling may have two of them at once."""


class FakeTime:
    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def read_error(status: int, body: Mapping[str, Any]) -> ErrorFacts:
    return ErrorFacts("CODE", "words", in_progress=status == 409)


@contextmanager
def session_for(reads_per_second: float = PLENTY, **options: Any) -> Iterator[GatewaySession]:
    with GatewaySession("testpay", read_error, reads_per_second, **options) as made:
        yield made


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@pytest.fixture
def session(clock: FakeTime) -> Iterator[GatewaySession]:
    """Its circuit goes by the clock of the test."""
    with session_for() as made:
        made.writes = Circuit("testpay", RESET_SECONDS, clock.now)
        yield made


def write(session: GatewaySession, line: Wire, seconds: float = 5) -> None:
    session.post(line.url, timeout=Deadline(seconds))


def fail(session: GatewaySession, line: Wire, times: int = FAILURES_IN_A_ROW) -> None:
    for _ in range(times):
        with pytest.raises(OutcomeUnknown):
            write(session, line)


def open_circuit(session: GatewaySession) -> None:
    with wire(BROKEN) as line:
        fail(session, line)
    assert is_open(session)


def is_open(session: GatewaySession) -> bool:
    """Asked on a line of its own, whose requests do not count."""
    with wire(OK) as other:
        try:
            write(session, other)
        except CircuitOpen:
            assert other.requests == []
            return True
    return False


def fall(circuit: Circuit) -> None:
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(OutcomeUnknown), circuit.passing():
            raise OutcomeUnknown("trouble")


def until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.005)


# ── writes pause ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "trouble",
    [BROKEN, Reply(b"{}", 500), Reply(b"{}", 408), Trouble.RESET, Trouble.HALF, Trouble.HANG, Reply(HTML)],
)
def test_after_five_failures_in_a_row_nothing_more_is_sent(session: GatewaySession, trouble: Answer) -> None:
    seconds = 0.1 if trouble is Trouble.HANG else 5
    with wire(trouble) as line:
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(OutcomeUnknown):
                write(session, line, seconds)
        for _ in range(3):
            with pytest.raises(CircuitOpen) as caught:
                write(session, line)
        assert len(line.requests) == FAILURES_IN_A_ROW
    assert isinstance(caught.value, Unavailable)
    assert (caught.value.code, caught.value.http_status) == ("gateway_circuit_open", 503)
    assert caught.value.retry_after_seconds == RESET_SECONDS


def test_a_gateway_that_cannot_be_reached_opens_the_circuit_too(session: GatewaySession) -> None:
    with closed_port() as url:
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(Unavailable) as caught:
                session.post(url, timeout=Deadline(5))
            assert not isinstance(caught.value, CircuitOpen)
    assert is_open(session)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 429])
def test_a_gateway_that_says_no_does_its_work(session: GatewaySession, status: int) -> None:
    with wire(Reply(b"{}", status)) as line:
        for _ in range(3 * FAILURES_IN_A_ROW):
            with pytest.raises(GatewayError) as caught:
                write(session, line)
            assert caught.value.gateway_status == status


def test_a_write_without_time_says_nothing_of_the_gateway(session: GatewaySession) -> None:
    with wire(OK) as line:
        for _ in range(2 * FAILURES_IN_A_ROW):
            with pytest.raises(Unavailable, match="No time"):
                write(session, line, seconds=0)
    assert not is_open(session)


@pytest.mark.parametrize(
    ("between", "opens"), [(OK, False), (Reply(b"{}", 400), False), (Reply(b"{}", 429), True)]
)
def test_only_failures_in_a_row_count(session: GatewaySession, between: Reply, opens: bool) -> None:
    """An answer of the gateway's own ends the row; being turned away says neither one nor the other."""
    with wire(BROKEN) as line:
        fail(session, line, FAILURES_IN_A_ROW - 1)
        line.answer = between
        with suppress(GatewayError):
            write(session, line)
        line.answer = BROKEN
        fail(session, line, 1)
    assert is_open(session) == opens


@pytest.mark.usefixtures("no_pauses")
def test_a_gateway_whose_reads_hang_is_left_alone_for_a_while_and_tried_again(
    session: GatewaySession, clock: FakeTime
) -> None:
    session.readings = Circuit("testpay", READ_RESET_SECONDS, clock.now, calls="reads")
    with wire(Trouble.HANG) as line:
        while len(line.requests) < FAILURES_IN_A_ROW:
            with pytest.raises(Unavailable):
                session.get(line.url, timeout=Deadline(0.1))
        with pytest.raises(CircuitOpen):
            session.get(line.url, timeout=Deadline(60))
        assert len(line.requests) == FAILURES_IN_A_ROW
        line.answer = OK
        clock.sleep(READ_RESET_SECONDS)
        assert session.get(line.url, timeout=Deadline(5)).ok
        assert session.get(line.url, timeout=Deadline(5)).ok


def test_a_gateway_that_hangs_takes_its_own_places_only(session: GatewaySession) -> None:
    session.places = Places(session.gateway, 2)
    goes_on = threading.Event()

    def hang(_request: Request) -> Reply:
        goes_on.wait(10)
        return OK

    with wire(hang) as line, session_for() as another, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(write, session, line) for _ in range(2)]
        while len(line.requests) < 2:
            time.sleep(0.01)
        for ask in (session.post, session.get):
            with pytest.raises(BudgetUsedUp):
                ask(line.url, timeout=Deadline(5))
        with wire(OK) as other:
            write(another, other)
        goes_on.set()
        for one in waiting:
            one.result()
        assert session.post(line.url, timeout=Deadline(5)).ok
    assert not is_open(session)


@pytest.mark.usefixtures("no_pauses")
def test_trouble_in_reads_never_stops_writes(session: GatewaySession) -> None:
    with wire(BROKEN) as line:
        for _ in range(FAILURES_IN_A_ROW):
            for harmless in ({}, {"harmless": True}):
                with pytest.raises(Unavailable):
                    session.request("POST" if harmless else "GET", line.url, timeout=Deadline(5), **harmless)
    assert not is_open(session)


def test_reads_go_on_while_writes_pause(session: GatewaySession) -> None:
    open_circuit(session)
    with wire(OK) as line:
        assert session.get(line.url, timeout=Deadline(5)).ok
        assert session.post(line.url, timeout=Deadline(5), harmless=True).ok
    assert is_open(session)  # and their success is no news of writes


def test_one_gateways_trouble_is_not_anothers(session: GatewaySession) -> None:
    open_circuit(session)
    with session_for() as another:
        assert not is_open(another)


def test_after_a_while_one_write_tries_and_its_success_lets_all_through(
    session: GatewaySession, clock: FakeTime
) -> None:
    open_circuit(session)
    answered = threading.Event()

    def answer(_request: Request) -> Reply:
        answered.wait(5)
        return OK

    clock.sleep(RESET_SECONDS)
    with wire(answer) as line, ThreadPoolExecutor(8) as pool:
        tries = [pool.submit(write, session, line) for _ in range(8)]
        until(lambda: sum(one.done() for one in tries) == 7)
        answered.set()
        ends = [one.exception() for one in tries]
        assert len(line.requests) == 1
        assert sum(isinstance(end, CircuitOpen) for end in ends) == 7
        for _ in range(3):
            write(session, line)
        fail_again = [pool.submit(write, session, line) for _ in range(8)]
        assert not any(one.exception() for one in fail_again)


def test_a_trial_that_fails_opens_the_circuit_once_more(session: GatewaySession, clock: FakeTime) -> None:
    open_circuit(session)
    clock.sleep(RESET_SECONDS)
    with wire(BROKEN) as line:
        fail(session, line, 1)
        with pytest.raises(CircuitOpen):
            write(session, line)
        clock.sleep(RESET_SECONDS)
        fail(session, line, 1)
        assert len(line.requests) == 2


def test_a_trial_that_shows_nothing_leaves_the_trial_to_the_next(
    session: GatewaySession, clock: FakeTime
) -> None:
    open_circuit(session)
    clock.sleep(RESET_SECONDS)
    with wire(Reply(b"{}", 429)) as line:
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                write(session, line)
            assert caught.value.gateway_status == 429
    with pytest.raises(KeyboardInterrupt), session.writes.passing():
        raise KeyboardInterrupt
    assert not is_open(session)


def test_writes_do_not_wait_for_each_other(session: GatewaySession) -> None:
    together = threading.Barrier(4)

    def answer(_request: Request) -> Reply:
        together.wait(5)
        return OK

    with wire(answer) as line, ThreadPoolExecutor(4) as pool:
        ends = [pool.submit(write, session, line) for _ in range(4)]
        assert not any(end.exception() for end in ends)


def test_the_length_of_the_pause_is_the_sessions() -> None:
    with session_for(reset_seconds=0.2) as session:
        fall(session.writes)
        until(lambda: not is_open(session))


def test_how_long_the_pause_still_lasts_is_told(clock: FakeTime) -> None:
    circuit = Circuit("testpay", 30, clock.now)
    fall(circuit)
    for passed, left in ((0, 30), (17.5, 13), (12, 1)):
        clock.sleep(passed)
        with pytest.raises(CircuitOpen) as caught, circuit.passing():
            raise AssertionError("must not be sent")
        assert caught.value.retry_after_seconds == left
    clock.sleep(0.5)
    with circuit.passing():
        pass


@pytest.mark.parametrize("error", [None, OutcomeUnknown("late")])
def test_news_of_a_write_that_began_before_the_trouble_change_nothing(
    clock: FakeTime, error: GatewayError | None
) -> None:
    circuit = Circuit("testpay", 30, clock.now)
    with suppress(OutcomeUnknown), circuit.passing():
        fall(circuit)
        clock.sleep(10)
        if error:
            raise error
    with pytest.raises(CircuitOpen) as caught, circuit.passing():
        raise AssertionError("must not be sent")
    assert caught.value.retry_after_seconds == 20


def test_the_log_says_when_a_circuit_opens_and_closes(
    clock: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    circuit = Circuit("testpay", 30, clock.now)
    fall(circuit)
    clock.sleep(30)
    with circuit.passing():
        pass
    said = [(r.levelname, r.__dict__["data"]["circuit"]) for r in caplog.records]
    assert said == [("ERROR", "open"), ("WARNING", "closed")]


# ── reads keep to a budget ──────────────────────────────────────────────────────────────────────────────


class Reader:
    """A budget on a clock of its own, and who takes from it."""

    def __init__(self, per_second: float = SCARCE) -> None:
        self.time = FakeTime()
        self.budget = ReadBudget("testpay", per_second, self.time.now, self.time.sleep)

    def takes(self, urgency: Urgency, seconds: float = 0.0) -> bool:
        try:
            self.budget.take(urgency, Deadline(seconds, urgency, self.time.now))
        except Unavailable:
            return False
        return True

    def at_once(self, urgency: Urgency) -> int:
        """How many are to be had without a wait."""
        count = 0
        while self.takes(urgency) and count < 10_000:
            count += 1
        return count


def test_polling_leaves_half_to_webhooks_and_those_leave_a_rest_to_payers() -> None:
    reader = Reader()
    saved = SCARCE * bounds.SAVED_SECONDS
    assert reader.at_once(Urgency.POLLING) == saved * 0.5
    assert reader.at_once(Urgency.WAKE_UP) == saved * 0.3
    assert reader.at_once(Urgency.PAYER) == saved * 0.2
    assert reader.at_once(Urgency.VERIFY) == saved * 6  # who verifies overdraws, within a bound
    assert not any(reader.takes(urgency) for urgency in Urgency)


def test_a_budget_comes_in_by_the_second_and_is_saved_up_to_a_bound() -> None:
    reader = Reader()
    reader.at_once(Urgency.POLLING)
    reader.time.sleep(2)
    assert reader.at_once(Urgency.POLLING) == 2 * SCARCE
    reader.time.sleep(3600)
    assert reader.at_once(Urgency.POLLING) == SCARCE * bounds.SAVED_SECONDS / 2


def test_what_is_overdrawn_for_verification_is_paid_back_before_anybody_polls() -> None:
    reader = Reader()
    saved = int(SCARCE * bounds.SAVED_SECONDS)
    for _ in range(2 * saved):
        assert reader.takes(Urgency.VERIFY)
    reader.time.sleep(1.4 * bounds.SAVED_SECONDS)
    assert not reader.takes(Urgency.POLLING)
    reader.time.sleep(0.2 * bounds.SAVED_SECONDS)
    assert reader.takes(Urgency.POLLING)


def test_a_payer_never_waits() -> None:
    reader = Reader()
    reader.at_once(Urgency.PAYER)
    assert not reader.takes(Urgency.PAYER, seconds=60)
    assert reader.time.slept == []


def test_who_gives_money_back_waits_its_turn_and_overdraws_nothing() -> None:
    reader = Reader()
    assert reader.at_once(Urgency.REFUND) == SCARCE * bounds.SAVED_SECONDS
    assert reader.takes(Urgency.REFUND, seconds=1)
    assert sum(reader.time.slept) == pytest.approx(1 / SCARCE)
    assert reader.budget.left == pytest.approx(0)


def test_a_webhook_waits_a_little_and_no_longer() -> None:
    reader = Reader()
    reader.at_once(Urgency.WAKE_UP)
    assert reader.takes(Urgency.WAKE_UP, seconds=2)
    assert sum(reader.time.slept) == pytest.approx(1 / SCARCE)
    reader.takes(Urgency.PAYER)
    reader.takes(Urgency.PAYER)
    assert not reader.takes(Urgency.WAKE_UP, seconds=60)
    assert sum(reader.time.slept) == pytest.approx(1 / SCARCE)


def test_polling_waits_its_turn_and_leaves_half_of_its_time_to_the_call() -> None:
    reader = Reader()
    reader.at_once(Urgency.POLLING)
    assert reader.takes(Urgency.POLLING, seconds=1)
    assert sum(reader.time.slept) == pytest.approx(1 / SCARCE)
    assert not reader.takes(Urgency.POLLING, seconds=2 / SCARCE)
    assert sum(reader.time.slept) == pytest.approx(1 / SCARCE)


def test_a_long_queue_of_polls_gets_what_comes_in_and_no_more() -> None:
    reader = Reader()
    began = reader.time.now()
    taken = 0
    while reader.time.now() - began < 60:
        taken += reader.takes(Urgency.POLLING, seconds=10)
    assert taken == pytest.approx(SCARCE * (60 + bounds.SAVED_SECONDS / 2), abs=1)


def test_even_the_smallest_budget_gives_polling_its_turn() -> None:
    reader = Reader(LEAST)
    assert reader.at_once(Urgency.POLLING) == 2
    assert reader.takes(Urgency.POLLING, seconds=60)


@pytest.mark.parametrize(("told", "seconds"), [(7, 7), (None, 60), (0, 60)])
def test_a_429_halves_what_comes_in_for_a_while(told: int | None, seconds: int) -> None:
    reader = Reader(per_second=10)
    reader.budget.lower(told)
    reader.budget.lower(told)  # of calls that were under way together: still half
    assert not reader.takes(Urgency.POLLING)  # and what was saved is gone
    reader.at_once(Urgency.VERIFY)
    reader.time.sleep(seconds)
    assert reader.at_once(Urgency.VERIFY) == 0.5 * 10 * seconds
    reader.time.sleep(1)
    assert reader.at_once(Urgency.VERIFY) == 10


def test_a_payer_who_is_back_is_asked_for_also_while_the_budget_is_lowered() -> None:
    reader = Reader()
    reader.budget.lower(None)
    assert reader.takes(Urgency.VERIFY)
    assert not reader.takes(Urgency.WAKE_UP)


def test_sixty_payers_who_come_back_in_half_a_minute_are_all_asked_for_at_once() -> None:
    """At Cashfree's published limit, three reads each, beside pages and polls that take all they may."""
    reader = Reader(200 / 60)
    for _ in range(60):
        reader.at_once(Urgency.POLLING)
        reader.at_once(Urgency.WAKE_UP)
        reader.at_once(Urgency.PAYER)
        reader.at_once(Urgency.LOOKUP)
        assert all(reader.takes(Urgency.VERIFY) for _ in range(3))
        reader.time.sleep(0.5)


def test_guessed_ids_leave_most_of_the_budget_alone() -> None:
    reader = Reader()
    assert reader.at_once(Urgency.LOOKUP) == SCARCE * bounds.SAVED_SECONDS * 0.4


# ── on the wire ─────────────────────────────────────────────────────────────────────────────────────────


def read(session: GatewaySession, line: Wire, urgency: Urgency, seconds: float = 0.6) -> None:
    session.get(line.url, timeout=Deadline(seconds, urgency))


def test_fifty_polls_at_once_keep_to_the_budget_while_a_payer_passes() -> None:
    def answer(request: Request) -> Reply:
        if request.path == "/poll":
            time.sleep(0.01)
        return OK

    with session_for(SCARCE) as session, wire(answer) as line, ThreadPoolExecutor(50) as pool:
        started = time.monotonic()
        options = Deadline(0.6, Urgency.POLLING)
        polls = [pool.submit(session.get, f"{line.url}/poll", timeout=options) for _ in range(50)]
        time.sleep(0.05)
        asked = time.monotonic()
        assert session.get(f"{line.url}/payer", timeout=Deadline(5)).ok
        assert time.monotonic() - asked < 0.5
        ends = [poll.exception() for poll in polls]
        seconds = time.monotonic() - started
        sent = sum(request.path == "/poll" for request in line.requests)
    assert sum(end is None for end in ends) == sent
    assert 10 <= sent <= 10 + SCARCE * seconds
    assert {type(end) for end in ends if end} == {BudgetUsedUp}
    assert seconds < 0.6 + 1.5


def test_a_poll_whose_turn_does_not_come_is_not_sent() -> None:
    with session_for(SCARCE) as session, wire(OK) as line:
        session.reads.lower(None)
        with pytest.raises(Unavailable, match="used up"):
            read(session, line, Urgency.POLLING, seconds=0.2)
        assert line.requests == []
        read(session, line, Urgency.VERIFY)
        assert len(line.requests) == 1


@pytest.mark.usefixtures("no_pauses")
def test_each_try_of_a_read_takes_its_share() -> None:
    with session_for(LEAST) as session, wire(BROKEN) as line:
        with pytest.raises(Unavailable, match="used up"):
            read(session, line, Urgency.POLLING)
        assert len(line.requests) == 2 < http.READ_TRIES


def test_a_token_is_got_as_if_a_payer_waited_for_it() -> None:
    with session_for(SCARCE) as session, wire(OK) as line:
        session.reads.lower(None)
        assert session.post(line.url, timeout=Deadline(0.2, Urgency.POLLING), harmless=True).ok


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("header", ["Retry-After", "x-wait"])
def test_a_429_on_the_wire_lowers_the_budget(method: str, header: str) -> None:
    told: list[int | None] = []
    with session_for(wait_header="x-wait") as session, wire(Reply(b"{}", 429, {header: "7"})) as line:
        session.reads.lower = told.append
        with pytest.raises(Unavailable):
            session.request(method, line.url, timeout=Deadline(5))
    assert told == [7]


@pytest.mark.parametrize("urgency", Urgency)
def test_neither_turns_nor_pauses_outlast_the_deadline(urgency: Urgency) -> None:
    with session_for(LEAST) as session, wire(BROKEN) as line:
        for _ in range(4):
            started = time.monotonic()
            with pytest.raises(Unavailable):
                read(session, line, urgency, seconds=0.3)
            assert time.monotonic() - started < 1.3


def test_a_refusal_is_not_taken_for_trouble_by_either(session: GatewaySession) -> None:
    with wire(Reply(b"{}", 404)) as line:
        for _ in range(2 * FAILURES_IN_A_ROW):
            with pytest.raises(Rejected):
                read(session, line, Urgency.VERIFY)
            with pytest.raises(Rejected):
                write(session, line)


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda g: g.provider)
def test_each_gateway_declares_what_it_may_be_asked(gateway: type[Gateway]) -> None:
    assert 1 <= vars(gateway)["reads_per_second"] <= 50
    assert not hasattr(Gateway, "reads_per_second")
