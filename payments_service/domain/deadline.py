"""How long a request may still wait for a gateway, and who waits."""

import time
from collections.abc import Callable
from enum import Enum, auto


class Urgency(Enum):
    """Who waits for the answer: it decides who goes first when a gateway's read budget runs short."""

    VERIFY = auto()
    """A payer who is back from paying; an old page asks once and believes the answer."""
    PAYER = auto()
    """A person in front of a page that asks again."""
    REFUND = auto()
    """A merchant who gives money back, of which nothing is sent before it is known what went back already."""
    WAKE_UP = auto()
    """A webhook's follow-up, which the worker does again where it was left out."""
    POLLING = auto()
    """The worker, which asks again on its schedule."""
    LOOKUP = auto()
    """What can be left out: an id that a caller may have guessed, or what stands beside the answer."""


class Deadline:
    """The seconds that are left for everything one request still has to do at a gateway, and for whom."""

    CONNECT_SECONDS = 3.0
    READ_SECONDS = 10.0

    def __init__(
        self,
        seconds: float,
        urgency: Urgency = Urgency.PAYER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.urgency = urgency
        self._clock = clock
        self._ends = clock() + seconds

    def remaining(self) -> float:
        return max(0.0, self._ends - self._clock())

    def timeouts(self) -> tuple[float, float]:
        """(connect, read) in seconds for one HTTP call, never zero, which would mean "at once"."""
        left = max(0.05, self.remaining())
        return min(self.CONNECT_SECONDS, left), min(self.READ_SECONDS, left)
