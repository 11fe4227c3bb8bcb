"""What `doctor` says of one thing: whether it is well, what was seen, and what to do."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    """It works, and a person should look at it."""
    BAD = "bad"
    """Payments, or what is told of them, suffer from it."""


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`. No secret and no personal data is in it."""

    check: str
    verdict: Verdict
    saw: str
    todo: str = ""

    @property
    def json(self) -> dict[str, str]:
        return asdict(self)


def ok(check: str, saw: str, todo: str = "") -> Finding:
    return Finding(check, Verdict.OK, saw, todo)


def warn(check: str, saw: str, todo: str) -> Finding:
    return Finding(check, Verdict.WARN, saw, todo)


def bad(check: str, saw: str, todo: str) -> Finding:
    return Finding(check, Verdict.BAD, saw, todo)
