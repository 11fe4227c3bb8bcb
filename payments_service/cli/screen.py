"""How commands write for a tired reader: aligned columns, Indian time, nothing that could move the cursor."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone

IST = timezone(timedelta(hours=5, minutes=30), "IST")


def ist(moment: datetime | None) -> str:
    return moment.astimezone(IST).strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def clean(value: object) -> str:
    """One line without control characters; "-" for nothing."""
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(value))
    return text if value is not None and text else "-"


def table(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Lines whose columns stand under each other; the last column is as long as it is."""
    texts = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        yield "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def section(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A titled table; a title alone says that there is nothing."""
    yield ""
    yield title if rows else f"{title}: none"
    if rows:
        yield from table([heads, *rows])
