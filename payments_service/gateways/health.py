"""How this process gets on with one gateway: whether its calls fail one after the other, or its credentials.

In memory, as circuits are: what a person must hear of it, flows/watch.py writes down.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from payments_service.domain.errors import GatewayError

READS, WRITES = "reads", "writes"
LEAST_FAILURES = 5
LEAST_REFUSALS = 3
"""A single 403 may be about one operation that the account may not use."""


@dataclass
class _Run:
    """Calls in a row that went the same bad way; a good one ends it."""

    count: int = 0
    began: float = 0.0
    last: float = 0.0
    answered: float | None = None
    """When a call last went well."""


class Health:
    """Learns the end of every call; moments are on the monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._failures = {READS: _Run(), WRITES: _Run()}
        self._refusals = _Run()

    def learn(self, calls: str, error: GatewayError | None) -> None:
        """`calls` are reads or writes; `error` is None where the answer was good."""
        with self._lock:
            if error and error.gateway_status == 429:
                return  # says nothing of either
            is_answer = error is None or _is_answer(error)
            self._count(self._failures[calls], is_good=is_answer)
            if is_answer:
                refused = _refusal(error)
                self._count(self._refusals, is_good=not refused, by=refused)

    def failing(self, seconds: float) -> list[str]:
        """Reads, writes or both: those of which every call has failed for so long, from first to last."""
        with self._lock:
            return [
                calls
                for calls, run in self._failures.items()
                if run.count >= LEAST_FAILURES and run.last - run.began >= seconds
            ]

    def credentials_refused(self, seconds: float) -> bool:
        """Whether the gateway has refused them for so long, and taken them for no call since."""
        with self._lock:
            run = self._refusals
            return run.count >= LEAST_REFUSALS and self._clock() - run.began >= seconds

    def word(self) -> str:
        """How this process gets on with it, in one word: ok, failing or refused."""
        if self.credentials_refused(0):
            return "refused"
        return "failing" if self.failing(0) else "ok"

    def answered_within(self, seconds: float, calls: str) -> bool:
        """Whether a call of this kind went well in the last `seconds`, and none has failed since."""
        with self._lock:
            return self._is_well_since(self._failures[calls], seconds)

    def credentials_taken_within(self, seconds: float) -> bool:
        with self._lock:
            return self._is_well_since(self._refusals, seconds)

    def _is_well_since(self, run: _Run, seconds: float) -> bool:
        return run.count == 0 and run.answered is not None and self._clock() - run.answered <= seconds

    def _count(self, run: _Run, *, is_good: bool, by: int = 1) -> None:
        now = self._clock()
        if is_good:
            run.count, run.answered = 0, now
            return
        if run.count == 0:
            run.began = now
        run.count += by
        run.last = now


def _is_answer(error: GatewayError) -> bool:
    """A refusal by the API itself; one without a code is a page of what stands before it."""
    status = error.gateway_status
    if status is None or status >= 500 or status == 408:
        return False
    return status == 401 or error.gateway_code is not None


def _refusal(error: GatewayError | None) -> int:
    """How much an answer says against our credentials."""
    if error is None or not _is_answer(error):
        return 0
    if error.refuses_credentials:
        return LEAST_REFUSALS
    return {401: LEAST_REFUSALS, 403: 1}.get(error.gateway_status or 0, 0)
