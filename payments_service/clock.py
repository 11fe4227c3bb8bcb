"""What time it is, and how fast: tests let the worker's days pass in seconds."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """`scale` says how often faster waiting goes; moments stay real, ages and waits are scaled."""

    scale: int = 1
    now: Callable[[], datetime] = utc_now

    def age(self, since: datetime) -> timedelta:
        return (self.now() - since) * self.scale

    def after(self, wait: timedelta) -> datetime:
        return self.now() + wait / self.scale


REAL_TIME = Clock()
