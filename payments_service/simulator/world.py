"""What every pretend gateway shares: one lock, one clock, one source of random ids."""

import random
import string
import threading
import time

ALPHANUMERIC = string.ascii_letters + string.digits
DIGITS = string.digits


class World:
    """All state of the simulator is read and written under `lock`; nobody waits while holding it."""

    def __init__(self, seed: int | None = None) -> None:
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self._initial_seed = seed
        self._clock_offset_seconds = 0.0
        self._random = random.Random(seed)  # noqa: S311  (ids must repeat for a given seed)

    def now(self) -> float:
        """Simulator time as Unix seconds: real time plus what the control plane advanced."""
        return time.time() + self._clock_offset_seconds

    def advance(self, seconds: float) -> None:
        with self.lock:
            self._clock_offset_seconds += seconds

    def reset(self, seed: int | None) -> None:
        with self.lock:
            self._clock_offset_seconds = 0.0
            self._random = random.Random(self._initial_seed if seed is None else seed)  # noqa: S311

    def random_text(self, length: int, alphabet: str = ALPHANUMERIC) -> str:
        with self.lock:
            return "".join(self._random.choices(alphabet, k=length))

    def sleep(self, real_seconds: float) -> None:
        """Wait in real time; ends early when the process is stopping, so that a hang never delays Ctrl-C."""
        self.stopping.wait(real_seconds)
