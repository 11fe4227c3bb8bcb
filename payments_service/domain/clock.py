"""What time it is, and how sure that is. Tests let the worker's days pass in seconds.

A machine's wall clock may leap while the service runs, and it may be wrong from the start. Two witnesses are
heard against it: the clock that only counts (it has no date, and none sets it), and the Date of what gateways
answer. All of them can be asked the same question: when was this machine switched on?
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Lock

log = logging.getLogger(__name__)

LEAP = timedelta(minutes=5)
"""Clocks further apart than this do not agree; less is an ordinary correction, which is followed."""


def wall_clock() -> datetime:
    return datetime.now(UTC)


def since_switched_on() -> timedelta:
    """It counts also while the machine sleeps (on Linux only CLOCK_BOOTTIME does)."""
    return timedelta(seconds=time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)))


class Watch:
    """The time of one process: the wall clock's, until that leaps; then it counts on from where it was."""

    def __init__(
        self,
        wall: Callable[[], datetime] = wall_clock,
        elapsed: Callable[[], timedelta] = since_switched_on,
    ) -> None:
        self._wall, self._elapsed = wall, elapsed
        self._lock = Lock()
        self._switched_on = wall() - elapsed()
        """When the machine was switched on, as far as we believe."""
        self._gateways: dict[str, datetime] = {}
        """When it was switched on by the last Date of each gateway."""
        self._doubt: timedelta | None = None
        self.process_started = wall()
        self.untold: timedelta | None = None
        """How far the wall clock is off, until that has been told."""

    def now(self) -> datetime:
        wall, elapsed = self._wall(), self._elapsed()
        off = wall - elapsed - self._switched_on
        if abs(off) <= LEAP:
            self._switched_on = wall - elapsed
            return wall
        # The count stood still while a virtual machine did; or the clock was wrong before, and is set now.
        if any(_agree(wall - elapsed, told) for told in list(self._gateways.values())):
            self._switched_on, self._doubt, self.untold = wall - elapsed, None, None
            return wall
        self.doubt(off)
        return self._switched_on + elapsed

    def hear(self, gateway: str, date: str | None, age: str | None = None) -> None:
        """The Date of an answer; one from a cache (Age) tells another moment, and an unreadable one none."""
        if not date or age not in (None, "0"):
            return
        try:
            told = parsedate_to_datetime(date)
            if told.tzinfo is not None:
                self._gateways[gateway] = told.astimezone(UTC) - self._elapsed()
        except (ValueError, TypeError, IndexError, OverflowError):
            return

    def gateways_agree(self) -> bool | None:
        """Whether any gateway tells our time; None when none has told any yet."""
        ours = self.now() - self._elapsed()
        told = list(self._gateways.values())
        return any(_agree(ours, one) for one in told) if told else None

    def gateways_now(self) -> datetime:
        """What time it is by the gateways; when they differ, by the one in the middle."""
        told = sorted(self._gateways.values())
        return told[len(told) // 2] + self._elapsed()

    def believe_gateways(self) -> None:
        """From now on it is the time that the gateways tell, until the wall clock tells it too."""
        self._switched_on = self.gateways_now() - self._elapsed()

    def doubt(self, off: timedelta) -> None:
        """The wall clock is wrong by so much: the log is told at once and once, and a person by an alert."""
        with self._lock:
            if self._doubt is not None and abs(off - self._doubt) <= LEAP:
                return
            self._doubt = self.untold = off
        about = {"offBySeconds": round(off.total_seconds())}
        log.error("The clock of this machine is not to be believed", extra={"data": about})


def _agree(one: datetime, other: datetime) -> bool:
    return abs(one - other) <= LEAP


WATCH = Watch()


def utc_now() -> datetime:
    """The time of this service: a leap of the wall clock is not in it."""
    return WATCH.now()


@dataclass(frozen=True)
class Clock:
    """`scale` says how often faster waiting goes; moments stay real, ages and waits are scaled."""

    scale: int = 1
    now: Callable[[], datetime] = utc_now
    is_watched: bool = False
    """Whether it is this machine's, which witnesses may contradict; else a test's, which is always right."""

    def age(self, since: datetime) -> timedelta:
        return (self.now() - since) * self.scale

    def after(self, wait: timedelta) -> datetime:
        return self.now() + wait / self.scale


REAL_TIME = Clock(is_watched=True)


def in_words(seconds: float) -> str:
    """How long that is: 90 s, 25 hours, 3 days."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"
