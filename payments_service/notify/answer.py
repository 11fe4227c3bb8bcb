"""What became of one sending."""

import socket
import ssl
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
    """A status, or why there is none; may be logged."""
    words: str = field(default="", repr=False)
    """How the body of a bad answer began; kept beside the event, never logged."""
    status: int | None = None
    retry_after: timedelta | None = None
    """How long the other side asks to be left alone, a day at most."""


def why(error: Exception, seconds: float) -> str:
    """Why no answer came in so long, for people; a library's words may hold an address with a password."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, socket.gaierror):
        return "no such name in DNS"
    if isinstance(error, TimeoutError):
        return f"no answer after {seconds:.0f} s"
    if isinstance(error, ConnectionRefusedError):
        return "refuses to connect"
    if isinstance(error, ConnectionError):
        return "ended the connection before its answer"
    return type(error).__name__


def printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
