"""How much one process asks of one gateway: calls pause while they keep failing, reads keep to a budget.

Both are remembered in memory only, by each process for itself: there is no store that must be up before a
gateway can be asked. Processes learn from each other only through the gateway, by its failures and its 429s.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock

from payments_service import metrics
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import BudgetUsedUp, CircuitOpen, GatewayError

log = logging.getLogger(__name__)

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"
CALLS_AT_ONCE = 500
"""Half of the requests that gunicorn lets a process have (`worker_connections`)."""
FAILURES_IN_A_ROW = 5
RESET_SECONDS = 30.0
"""After five failures in a row a gateway gets no new order for so long; then one is a trial."""
READ_RESET_SECONDS = 10.0
"""Reads are tried again sooner: a payer may be waiting, and a read does no harm."""

SAVED_SECONDS = 5.0
"""A budget that was not used is saved up for so long, and can be spent at once."""
LEAST_SAVED = 4.0
LOWERED = 0.5
LOWERED_SECONDS = 60
"""How long a budget stays lowered after a 429 that does not say it."""
SHORTEST_WAIT_SECONDS = 0.01
"""Between two looks at the read budget, so that no look is busy waiting."""


@dataclass(frozen=True)
class Terms:
    """`leaves` is the part of the savings that must be there afterwards; below zero, how far to overdraw."""

    leaves: float
    waits_seconds: float


TERMS = {
    Urgency.VERIFY: Terms(leaves=-6.0, waits_seconds=3.0),
    Urgency.PAYER: Terms(leaves=0.0, waits_seconds=0.0),
    Urgency.REFUND: Terms(leaves=0.0, waits_seconds=math.inf),
    Urgency.WAKE_UP: Terms(leaves=0.2, waits_seconds=0.5),
    Urgency.POLLING: Terms(leaves=0.5, waits_seconds=math.inf),
    Urgency.LOOKUP: Terms(leaves=0.6, waits_seconds=0.0),
}


class Circuit:
    """Open after too many failures in a row: then nothing is sent, until one trial has shown better.

    Writes and reads have one each: a gateway that hangs on reading costs its own payers' threads only.
    """

    def __init__(
        self,
        gateway: str,
        reset_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        calls: str = "writes",
    ) -> None:
        self._gateway = gateway
        self._calls = calls
        self._reset_seconds = reset_seconds
        self._clock = clock
        self._lock = Lock()
        self._trial_at = 0.0
        self._failures = 0
        """In a row."""
        self.state = CLOSED

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Around one call. Raises CircuitOpen, and then nothing may be sent."""
        is_trial = self._enter()
        is_well: bool | None = None
        try:
            yield
            is_well = True
        except GatewayError as error:
            is_well = _is_well(error)
            raise
        finally:
            self._learn(is_well, is_trial=is_trial)

    def _enter(self) -> bool:
        """Whether this one is the trial."""
        with self._lock:
            if self.state == CLOSED:
                return False
            left = self._trial_at - self._clock()
            if self.state == HALF_OPEN or left > 0:
                raise CircuitOpen(
                    f"{self._gateway} failed too often, so nothing is sent to it for now",
                    retry_after_seconds=max(1, math.ceil(left)),
                )
            self.state = HALF_OPEN
            return True

    def _learn(self, is_well: bool | None, *, is_trial: bool) -> None:
        with self._lock:
            before = self.state
            if before != CLOSED and not is_trial:
                return  # it began before the trouble; the trial decides
            if is_well is None:
                if is_trial:
                    self.state = OPEN  # `_trial_at` has passed: the next one is a trial again
                return
            self._failures = 0 if is_well else self._failures + 1
            if is_well:
                self.state = CLOSED
            elif is_trial or self._failures >= FAILURES_IN_A_ROW:
                self.state = OPEN
                self._trial_at = self._clock() + self._reset_seconds
            if self.state != before:
                self._say_so()

    def _say_so(self) -> None:
        about = {"gateway": self._gateway, "calls": self._calls, "circuit": self.state}
        metrics.CIRCUITS.labels(self._gateway, self._calls).set(self.state != CLOSED)
        level = logging.ERROR if self.state == OPEN else logging.WARNING
        log.log(level, "Gateway circuit", extra={"data": about})


class Places:
    """Calls of one process that wait for one gateway: one that hangs leaves the others room."""

    def __init__(self, gateway: str, most: int = CALLS_AT_ONCE) -> None:
        self._gateway, self._free = gateway, BoundedSemaphore(most)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Around one call. Raises BudgetUsedUp where all are taken, and then nothing may be sent."""
        if not self._free.acquire(blocking=False):
            raise BudgetUsedUp(f"Too many calls wait for {self._gateway}")
        try:
            yield
        finally:
            self._free.release()


class ReadBudget:
    """A token bucket: each read takes one, and what is left when it runs short is kept for who waits most."""

    def __init__(
        self,
        gateway: str,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gateway = gateway
        self._per_second = per_second
        self._clock = clock
        self._sleep = sleep
        self._most = max(LEAST_SAVED, per_second * SAVED_SECONDS)
        self._saved = self._most
        self._counted_at = clock()
        self._lowered_until = self._counted_at
        self._lock = Lock()

    def take(self, urgency: Urgency, deadline: Deadline) -> None:
        """One read, perhaps after a wait. Raises BudgetUsedUp: then do not ask."""
        terms = TERMS[urgency]
        half = deadline.remaining() / 2  # the other half is for the call itself
        ends = self._clock() + min(terms.waits_seconds, half)
        while (seconds := self._take_or_wait(terms)) > 0:
            if self._clock() + seconds >= ends:
                raise BudgetUsedUp(f"What may be asked of {self._gateway} is used up for now")
            self._sleep(seconds)

    @property
    def left(self) -> float:
        """Reads that may be made at once; below zero it is overdrawn."""
        with self._lock:
            self._count()
            return self._saved

    def lower(self, seconds: int | None) -> None:
        """The gateway said that it is too much: nothing is saved, and for a while less comes in."""
        with self._lock:
            self._count()
            self._saved = min(0.0, self._saved)
            self._lowered_until = max(self._lowered_until, self._clock() + (seconds or LOWERED_SECONDS))

    def _take_or_wait(self, terms: Terms) -> float:
        """0 when one was taken, else the seconds until there may be one."""
        with self._lock:
            rate = self._count()
            missing = terms.leaves * self._most + 1 - self._saved
            if missing > 0:
                return max(SHORTEST_WAIT_SECONDS, missing / rate)
            self._saved -= 1
            metrics.READS_LEFT.labels(self._gateway).set(self._saved)
            return 0.0

    def _count(self) -> float:
        """Save what has come in meanwhile; how much comes in a second from now on."""
        now = self._clock()
        lowered = max(0.0, min(now, self._lowered_until) - self._counted_at)
        whole = max(0.0, now - self._counted_at - lowered)
        self._saved = min(self._most, self._saved + (whole + lowered * LOWERED) * self._per_second)
        self._counted_at = now
        return self._per_second * (LOWERED if now < self._lowered_until else 1.0)


def _is_well(error: GatewayError) -> bool | None:
    """Whether a gateway that gave this error does its work; None when it does not show."""
    status = error.gateway_status
    if status == 429:
        return None
    return status is not None and 400 <= status < 500 and status != 408
