"""Log lines: `[time] [LEVEL] sentence {"facts": …}`, or one JSON object a line.

A line's facts come as `extra={"data": {…}}`. No secret, token, signature or personal data is ever
handed to a logger; where a person must be told apart, `masked_email` does it, and what other programs
said goes through `masked_words`.
"""

import json
import logging
import logging.config
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

MAX_WORDS = 200
EMAIL = re.compile(r"[\w.+%-]+@[\w.-]*\w")
"""E-mail and UPI addresses."""
PHONE = re.compile(r"(?<![\w+])(?:\+\d[\d ()-]{6,18}\d|(?:(?:0|91)[ -]?)?[6-9](?:[ -]?\d){9})(?!\w)")
"""A number that begins with +, or one of an Indian mobile; ids hold letters, or begin otherwise."""
CARD = re.compile(r"(?<!\w)[3-6](?:[ -]?\d){12,18}(?!\w)")
SECRET = re.compile(r"[\w+/=.-]{41,}")
"""Longer than any id that a gateway or this service makes: a token, a signature, a session."""
QUERY = re.compile(r"(https?://[^\s?#]+)[?#]\S*")

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def configure(level: str, log_format: str) -> None:
    formatter = JsonFormatter if log_format == "json" else TextFormatter
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": {"()": formatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
            "root": {"level": "WARNING", "handlers": ["stderr"]},
            # Libraries keep to warnings: at DEBUG some of them print headers and bodies.
            "loggers": {"payments_service": {"level": level}},
        }
    )


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = json.dumps(_facts(record), ensure_ascii=False, default=str)
        line = f"[{_time(record)}] [{record.levelname}] {_one_line(record)} {facts}"
        return line + (f"\n{self._trace(record)}" if record.exc_info else "")

    def _trace(self, record: logging.LogRecord) -> str:
        return "\n".join(_trace_lines(record))


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname, "message": _one_line(record)}
        if record.exc_info:
            line["trace"] = "\n".join(_trace_lines(record))
        return json.dumps({**line, **_facts(record)}, ensure_ascii=False, default=str)


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
    words = SECRET.sub("…", words)
    words = CARD.sub(lambda found: _last_four(found[0]) if _is_card(found[0]) else found[0], words)
    words = PHONE.sub(lambda found: _last_four(found[0]), words)
    return words[:MAX_WORDS]


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
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _one_line(record: logging.LogRecord) -> str:
    """The sentence, without line breaks that would forge another line."""
    return record.getMessage().replace("\r", "\\r").replace("\n", "\\n")


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
