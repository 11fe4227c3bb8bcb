"""Log lines: `[time] [LEVEL] sentence {"facts": …}`, or one JSON object a line.

A line's facts come as `extra={"data": {…}}`. No secret, token, signature or personal data is ever
handed to a logger; where a person must be told apart, `masked_email` does it, and what other programs
said goes through `masked_words`.

A *unit* is one piece of work: a request, an event that is sent, a sweep. It writes one wide line when it
ends, also when it crashed: what its steps have noted, and where its time went.
"""

import json
import logging
import logging.config
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from socket import gethostname
from typing import Any

import orjson

from payments_service import build

MAX_WORDS = 200
EMAIL = re.compile(r"[\w.+%-]+@[\w.-]*\w")
"""E-mail and UPI addresses."""
PHONE = re.compile(r"(?<![\w+])(?:\+\d[\d ()-]{6,18}\d|(?:(?:0|91)[ -]?)?[6-9](?:[ -]?\d){9})(?!\w)")
"""A number that begins with +, or one of an Indian mobile; ids hold letters, or begin otherwise."""
CARD = re.compile(r"(?<!\w)[3-6](?:[ -]?\d){12,18}(?!\w)")
MAY_BE_PERSONAL = re.compile(r"@|%40|\+\d|\d(?:[ -]?\d){9}")
"""What each of the three has: a path with none of it is not looked at any further."""
SECRET = re.compile(r"[\w+/=.-]{41,}")
"""Longer than any id that a gateway or this service makes: a token, a signature, a session."""
QUERY = re.compile(r"(https?://[^\s?#]+)[?#]\S*")

UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Controls, line separators and what turns the direction of writing: a line must not show what it is not.
The joiners of Indian scripts (U+200C, U+200D) stay."""

STEPS = {"Creating order": None, "Refused": None, "Webhook": None, "Webhook again": "again"} | {
    "Webhook refused": "refused"
}
"""Lines of steps whose facts are the unit's as well, with the outcome that the sentence itself tells."""

ALWAYS = ("arrived", "outcome", "code", "batch", "gateway", "mode")
"""Members of each unit's line, null where there is nothing to say."""

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
"""A dataclass says what its `repr` does, which keeps personal data to itself."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_unit: ContextVar["Unit | None"] = ContextVar("unit", default=None)
log = logging.getLogger(__name__)


class Unit:
    """One piece of work: what is known of it, and what it has cost so far. It belongs to one thread."""

    __slots__ = ("arrived", "began", "counts", "facts", "level", "name", "seconds")

    def __init__(self, name: str, **facts: Any) -> None:
        self.name, self.facts, self.level = name, facts, logging.INFO
        self.arrived, self.began = datetime.now(UTC), time.monotonic()
        self.seconds = {"database": 0.0, "gateway": 0.0, "lock": 0.0, "pool": 0.0}
        """Seconds at each; waiting for a lock is a part of the database's."""
        self.counts = {"roundTrips": 0, "commits": 0, "gatewayCalls": 0, "retries": 0}

    def note(self, **facts: Any) -> None:
        """What a step knows; None is no knowledge."""
        self.facts.update({name: value for name, value in facts.items() if value is not None})

    def milliseconds(self) -> int:
        return round((time.monotonic() - self.began) * 1000)

    def line(self) -> dict[str, Any]:
        where = {f"{name}Milliseconds": round(spent * 1000, 1) for name, spent in self.seconds.items()}
        known = {**dict.fromkeys(ALWAYS), "arrived": self.arrived.isoformat(), **self.facts}
        cost = {"milliseconds": self.milliseconds(), **where, **self.counts}
        return {**known, **cost, **here(), "version": build.VERSION, "commit": build.COMMIT}


def begin(name: str, **facts: Any) -> Unit:
    """A unit that its caller ends by `end`; for work that is not one block of code."""
    unit = Unit(name, **facts)
    _unit.set(unit)
    return unit


def end(unit: Unit) -> None:
    """Write its line."""
    _unit.set(None)
    log.log(unit.level, unit.name, extra={"data": unit.line()})


@contextmanager
def unit(name: str, *, quiet: bool = False, **facts: Any) -> Iterator[Unit]:
    """A unit for a block of code. When it crashes the line says so, and the error goes on.

    With `quiet` the line is left out unless the block has noted `batch`: it found nothing to do.
    """
    before, mine = _unit.get(), Unit(name, **facts)
    _unit.set(mine)
    try:
        yield mine
    except Exception as error:
        mine.note(outcome="crashed", error=type(error).__name__, code=getattr(error, "code", None))
        log.warning(name, extra={"data": mine.line()})
        raise
    else:
        if not quiet or mine.facts.get("batch"):
            log.log(mine.level, name, extra={"data": mine.line()})
    finally:
        _unit.set(before)


def here() -> dict[str, Any]:
    """Which process of which machine."""
    return {"pid": os.getpid(), "host": _host()}


@cache
def _host() -> str:
    return gethostname()


def within() -> dict[str, Any]:
    """For the line of a step: the unit that it belongs to, and the payment that this is about."""
    if (mine := _unit.get()) is None:
        return {"unit": None, **here()}
    facts = mine.facts
    return {"unit": facts.get("route") or facts.get("sweep") or mine.name, "id": facts.get("id"), **here()}


def current() -> Unit | None:
    return _unit.get()


def note(**facts: Any) -> None:
    """Facts for the line of the unit that this step belongs to; ids, codes and counts, never personal
    data."""
    if (mine := _unit.get()) is not None:
        mine.note(**facts)


def spent(where: str, seconds: float, **counts: int) -> None:
    """Seconds at `database`, `gateway`, `lock` or `pool`, and how many round trips, commits, … it was."""
    if (mine := _unit.get()) is not None:
        mine.seconds[where] += seconds
        for name, count in counts.items():
            mine.counts[name] += count


def configure(level: str, log_format: str) -> None:
    formatter = JsonFormatter if log_format == "json" else TextFormatter
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": {"()": formatter}},
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "lines"},
                "steps": {"()": StepsOfUnits},
            },
            "root": {"level": "WARNING", "handlers": ["stderr"]},
            # Libraries keep to warnings: at DEBUG some of them print headers and bodies.
            "loggers": {"payments_service": {"level": level, "handlers": ["steps"]}},
        }
    )


class StepsOfUnits(logging.Handler):
    """What the lines of some steps say is said in the line of their unit, too."""

    def createLock(self) -> None:
        self.lock = None  # a unit belongs to one thread

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock, which logging takes from Python 3.13 on though there is none."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg in STEPS and (mine := _unit.get()) is not None:
            mine.note(**{**getattr(record, "data", {}), "outcome": self._outcome(record)})

    def _outcome(self, record: logging.LogRecord) -> object:
        told = getattr(record, "data", {}).get("outcome")
        return STEPS[str(record.msg)] or told


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = _json(_facts(record))
        line = _escaped(f"[{_time(record)}] [{record.levelname}] {_one_line(record)} {facts}")
        return line + (f"\n{self._trace(record)}" if record.exc_info else "")

    def _trace(self, record: logging.LogRecord) -> str:
        return "\n".join(_trace_lines(record))


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname, "message": _one_line(record)}
        if record.exc_info:
            line["trace"] = "\n".join(_trace_lines(record))
        return _escaped(_json({**line, **_facts(record)}))


def masked_email(email: str) -> str:
    """j***@example.com"""
    name, _, domain = email.rpartition("@")
    return f"{name[:1]}***@{domain}"


def masked_words(text: str) -> str:
    """What another program says of our request, without personal data and secrets; ids stay.

    E-mails as j***@example.com, of phones and cards the last four digits, addresses without their queries.
    """
    words = " ".join("".join(c if c.isprintable() else " " for c in text[: 10 * MAX_WORDS]).split())
    words = QUERY.sub(r"\1", words)
    words = EMAIL.sub(lambda found: masked_email(found[0]), words)
    words = _without_numbers(SECRET.sub("…", words))
    return words[:MAX_WORDS]


def masked_path(path: str) -> str:
    """The path of a request without e-mails, phones and cards: it may hold what a person typed.

    Ids stay, by which a payer's request is found again; only one of ten digits that begins with 6 to 9 looks
    like a phone.
    """
    if MAY_BE_PERSONAL.search(path) is None:
        return path
    return _without_numbers(EMAIL.sub(lambda found: masked_email(found[0]), path.replace("%40", "@")))


def _without_numbers(words: str) -> str:
    """Of phones and cards the last four digits."""
    words = CARD.sub(lambda found: _last_four(found[0]) if _is_card(found[0]) else found[0], words)
    return PHONE.sub(lambda found: _last_four(found[0]), words)


def _last_four(number: str) -> str:
    return "***" + "".join(c for c in number if c.isdigit())[-4:]


def _is_card(number: str) -> bool:
    """Luhn's check digit; most ids of gateways fail it."""
    digits = [int(c) for c in reversed(number) if c.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts = dict(getattr(record, "data", {}))
    if (current := request_id.get()) is not None:
        facts["requestId"] = current
    return facts


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def _one_line(record: logging.LogRecord) -> str:
    """The sentence, without line breaks that would forge another line."""
    return record.getMessage().replace("\r", "\\r").replace("\n", "\\n")


def _json(facts: dict[str, Any]) -> str:
    try:
        return orjson.dumps(facts, default=str, option=OPTIONS).decode()
    except TypeError:  # half a character of UTF-16, or a number of more than 64 bits
        return json.dumps(facts, ensure_ascii=False, default=str)


def _escaped(line: str) -> str:
    if line.isprintable():
        return line
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _trace_lines(record: logging.LogRecord) -> list[str]:
    """Where an error was raised, and its class, but not its message: messages may quote values."""
    if not record.exc_info or record.exc_info[1] is None:
        return []
    lines: list[str] = []
    error: BaseException | None = record.exc_info[1]
    while error is not None:
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}")
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            lines.append(f"  at {code.co_filename}:{trace.tb_lineno} in {code.co_qualname}")
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    return lines
