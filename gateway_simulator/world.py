"""What every pretend gateway shares: one lock, one clock with alarms, one source of random ids."""

import heapq
import logging
import random
import string
import threading
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

ALPHANUMERIC = string.ascii_letters + string.digits
DIGITS = string.digits


class World:
    """All state of the simulator is read and written under `lock`; no thread waits while holding it."""

    def __init__(self, seed: int | None = None) -> None:
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        # counts up with everything that may have changed something
        self.changes = 0
        self._initial_seed = seed
        self._restarts = 0
        self.reset(seed)

    def reset(self, seed: int | None) -> None:
        with self.lock:
            self._clock_offset_seconds = 0.0
            self._random = random.Random(self._initial_seed if seed is None else seed)  # noqa: S311
            self._alarms: list[tuple[float, int, Callable[[], None]]] = []
            self._alarms_set = 0
            self._moment: float | None = None

    def touch(self) -> None:
        """Note that something may have changed."""
        with self.lock:
            self.changes += 1

    # The clock

    def now(self) -> float:
        """Simulator time as Unix seconds: real time plus what the control plane advanced.

        While an alarm runs it is the moment that the alarm was set for, also when it runs late.
        """
        # Only the thread that holds the lock is inside an alarm; the others wait until it has run.
        with self.lock:
            return time.time() + self._clock_offset_seconds if self._moment is None else self._moment

    def ahead_seconds(self) -> float:
        """How far the control plane has advanced the clock."""
        return self._clock_offset_seconds

    def advance(self, seconds: float) -> None:
        with self.lock:
            self._clock_offset_seconds += seconds
            self.ring()

    def at(self, moment: float, call: Callable[[], None]) -> None:
        """Have something done at a moment of simulator time, under the lock.

        `call` is a method of a gateway's books, or a functools.partial of one: a restart can keep that.
        """
        with self.lock:
            self._alarms_set += 1
            heapq.heappush(self._alarms, (moment, self._alarms_set, call))

    def ring(self) -> None:
        """Do what is due, oldest first; every request and the server's ticker come by here."""
        with self.lock:
            while self._alarms and self._moment is None and self._alarms[0][0] <= self.now():
                self._moment, _, call = heapq.heappop(self._alarms)
                self.changes += 1
                try:
                    call()
                except Exception:
                    # Neither the clock nor the request that happens to come by has deserved it.
                    log.exception("An alarm of the simulator failed: %r", call)
                finally:
                    self._moment = None

    def sleep(self, real_seconds: float) -> None:
        """Wait in real time; ends early when the process is stopping, so that a hang never delays Ctrl-C."""
        self.stopping.wait(real_seconds)

    # Ids

    def random_text(self, length: int, alphabet: str = ALPHANUMERIC) -> str:
        with self.lock:
            return "".join(self._random.choices(alphabet, k=length))

    # A restart

    def state(self) -> dict[str, Any]:
        kept = ("_clock_offset_seconds", "_random", "_restarts", "_alarms", "_alarms_set")
        return {name: getattr(self, name) for name in kept}

    def resume(self) -> None:
        """Go on with other ids than before: those told after the last save are not known any more."""
        with self.lock:
            self._restarts += 1
            self._random.seed(f"{self._random.random()} {self._restarts}")
