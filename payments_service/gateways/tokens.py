"""A token of an API that is asked for once and then used by all threads."""

import threading
import time
from collections.abc import Callable

from payments_service.admission import waiting_outside
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Unavailable

RENEW_EARLY_SECONDS = 240
"""Three to five minutes before the end, says PhonePe's UAT checklist."""
SHORTEST_USE_SECONDS = 30
"""A token is used at least so long, that a clock of ours that runs ahead does not ask for one each time."""


class SharedToken:
    """One token for all threads: the first that finds it old renews it, the others wait for that one."""

    def __init__(self, renew: Callable[[Deadline], tuple[str, float]]) -> None:
        self._renew = renew
        self._lock = threading.Lock()
        self._current: tuple[str, float] | None = None
        """The token, and until when (monotonic) it is used."""

    def get(self, deadline: Deadline, refused: str | None = None) -> str:
        """A token other than the one that was `refused`."""
        if (text := self._usable(refused)) is not None:
            return text
        # An order that kept its place meanwhile would keep out the one that brings the token.
        with waiting_outside():
            return self._renewed(deadline, refused)

    def _renewed(self, deadline: Deadline, refused: str | None) -> str:
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise Unavailable("No token came in time")
        try:
            if (text := self._usable(refused)) is not None:
                return text
            text, seconds = self._renew(deadline)
            use_seconds = max(seconds - RENEW_EARLY_SECONDS, SHORTEST_USE_SECONDS)
            self._current = text, time.monotonic() + use_seconds
            return text
        finally:
            self._lock.release()

    def _usable(self, refused: str | None) -> str | None:
        text, until = self._current or (None, 0.0)
        return text if text != refused and time.monotonic() < until else None
