"""The lines of a log that are about one payment, in both formats that logs.py writes."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
TEXT = re.compile(rf"\[({STAMP.pattern})\] \[([A-Z]+)\] ")
BEGINNING_OF_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class LogLine:
    at: datetime
    level: str
    text: str


def about(lines: Iterable[str], ids: Iterable[str]) -> Iterator[LogLine]:
    """Those that contain one of the ids as a whole word, and the trace that follows such a line.

    What a platform writes before a line is dropped. A line without a time has that of the line before it.
    """
    any_of_them = "|".join(map(re.escape, ids))
    named = re.compile(rf"(?<![\w-])({any_of_them})(?![\w-])")
    at, level, is_about = BEGINNING_OF_TIME, "", False
    for line in lines:
        begun = _begun(line.rstrip())
        if begun is None:
            if is_about and line.strip():
                yield LogLine(at, level, line.rstrip())
            continue
        at, level, text = begun.at, begun.level, begun.text
        is_about = named.search(text) is not None
        if is_about:
            yield LogLine(at, level, text)


def _begun(line: str) -> LogLine | None:
    """None for a line that goes on with the one before it."""
    if match := TEXT.search(line):
        return LogLine(datetime.fromisoformat(match[1]), match[3], line[match.end() :])
    try:
        told = json.loads(line[line.index("{") :])
        at = datetime.fromisoformat(told.pop("time"))
        level, message = told.pop("level"), told.pop("message")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return LogLine(at, level, f"{message} {json.dumps(told, ensure_ascii=False)}") if at.tzinfo else None
