"""What became of one sending."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

MAX_WORDS = 200


class Verdict(StrEnum):
    DELIVERED = "delivered"
    NOT_NOW = "not_now"
    """It failed, or its outcome is unknown: to be sent again, under the same id."""
    NEVER = "never"
    """The same words would be refused again."""


@dataclass(frozen=True)
class Answer:
    verdict: Verdict
    reason: str
    """A status or the class of an error; may be logged."""
    words: str = field(default="", repr=False)
    """How the body of a bad answer began; kept beside the event, never logged."""
    status: int | None = None
    retry_after: timedelta | None = None
    """How long the other side asks to be left alone, a day at most."""


def printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
