"""A run of bad calls is told from single ones, by kind, and a good one ends it."""

import pytest

from payments_service.domain.errors import GatewayError, OutcomeUnknown, Rejected, Unavailable
from payments_service.gateways.health import LEAST_FAILURES, READS, WRITES, Health

NO_ANSWER = Unavailable("no answer")
BUSY = Unavailable("busy", gateway_status=429)
REFUSED = Rejected("no", gateway_status=401)
FORBIDDEN = Rejected("no", gateway_status=403, gateway_code="FORBIDDEN")
PAGE = Rejected("a page", gateway_status=403)
WRONG_WORDS = Rejected("no", gateway_status=400, gateway_code="BAD")


class HandTime:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> HandTime:
    return HandTime()


@pytest.fixture
def health(time: HandTime) -> Health:
    return Health(time)


def fail(health: Health, time: HandTime, seconds: float, count: int, error: GatewayError = NO_ANSWER) -> None:
    for number in range(count):
        time.now += seconds / (count - 1) if number else 0
        health.learn(READS, error)


@pytest.mark.parametrize("error", [NO_ANSWER, OutcomeUnknown("?", gateway_status=502), PAGE])
def test_calls_that_fail_for_a_minute_are_a_gateway_that_is_down(
    health: Health, time: HandTime, error: GatewayError
) -> None:
    fail(health, time, 61, LEAST_FAILURES, error)
    assert health.failing(60) == [READS]


@pytest.mark.parametrize(("seconds", "count"), [(59, 50), (600, LEAST_FAILURES - 1)])
def test_too_short_or_too_few_failures_are_not(
    health: Health, time: HandTime, seconds: float, count: int
) -> None:
    fail(health, time, seconds, count)
    assert health.failing(60) == []


def test_a_burst_of_failures_before_a_silence_is_not(health: Health, time: HandTime) -> None:
    fail(health, time, 5, LEAST_FAILURES)
    time.now += 3600
    assert health.failing(60) == []


@pytest.mark.parametrize("good", [None, WRONG_WORDS, REFUSED])
def test_any_answer_of_the_api_in_between_ends_a_run(
    health: Health, time: HandTime, good: GatewayError | None
) -> None:
    fail(health, time, 50, LEAST_FAILURES)
    health.learn(READS, good)
    fail(health, time, 50, LEAST_FAILURES)
    assert health.failing(60) == []


def test_being_too_fast_says_nothing(health: Health, time: HandTime) -> None:
    fail(health, time, 61, 50, BUSY)
    assert health.failing(60) == []
    fail(health, time, 61, LEAST_FAILURES)
    health.learn(READS, BUSY)
    assert health.failing(60) == [READS]


def test_reads_and_writes_are_told_apart(health: Health, time: HandTime) -> None:
    fail(health, time, 61, LEAST_FAILURES)
    health.learn(WRITES, None)
    assert health.failing(60) == [READS]
    assert health.answered_within(1, WRITES)
    assert not health.answered_within(1, READS)


def test_one_401_is_enough_once_it_has_lasted(health: Health, time: HandTime) -> None:
    health.learn(READS, REFUSED)
    assert not health.credentials_refused(10)
    time.now += 10
    assert health.credentials_refused(10)
    health.learn(WRITES, None)
    assert not health.credentials_refused(10)
    assert health.credentials_taken_within(1)


def test_a_single_403_may_be_about_one_operation(health: Health, time: HandTime) -> None:
    fail(health, time, 20, 2, FORBIDDEN)
    assert not health.credentials_refused(10)
    health.learn(READS, FORBIDDEN)
    assert health.credentials_refused(10)


def test_pages_and_silence_say_nothing_of_credentials(health: Health, time: HandTime) -> None:
    for error in (PAGE, NO_ANSWER, BUSY):
        fail(health, time, 20, 5, error)
    assert not health.credentials_refused(10)
    health.learn(READS, REFUSED)
    fail(health, time, 20, 2, NO_ANSWER)
    assert health.credentials_refused(10)
