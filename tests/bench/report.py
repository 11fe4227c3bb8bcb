"""What was found, as a Markdown table and as a picture."""

import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from xml.sax.saxutils import escape

from tests.bench.scenarios import Figure, Findings

HEAD = """\
| Figure | Peer | Service | Service ÷ peer (least to most) | Must |
|---|---|---|---|---|"""

TITLE = "Service ÷ peer, median of the pairs (line: least to most; red: must)"
WIDTH, ROW, LEFT, RIGHT, TOP = 900, 34, 430, 70, 46
LEAST, MOST = 0.01, 2.0
"""The axis of ratios is logarithmic between these."""


@dataclass(frozen=True)
class Ratio:
    """Of pairs: each run of the service by the run of the peer beside it."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g} to {self.most:.3g})"


def ratio(figure: Figure) -> Ratio | None:
    """None where there is no peer, or where it did nothing to compare with."""
    pairs = [ours / theirs for ours, theirs in zip(figure.ours, figure.theirs, strict=False) if theirs > 0]
    return Ratio(median(pairs), min(pairs), max(pairs)) if pairs else None


def table(findings: Findings) -> str:
    return "\n".join([HEAD, *(_row(figure) for figure in findings.figures)])


def _row(figure: Figure) -> str:
    compared = ratio(figure)
    beside = "" if figure.beside == "Express" else f" ({figure.beside})"
    cells = [
        figure.name,
        f"{_middle(figure.theirs, figure.unit)}{beside}" if figure.theirs else "–",
        _middle(figure.ours, figure.unit),
        str(compared) if compared and figure.unit else "–",
        figure.must or "–",
    ]
    return "| " + " | ".join(cells) + " |"


def _middle(values: list[float], unit: str) -> str:
    middle = median(values)
    shown = f"{middle:,.0f}" if abs(middle) >= 100 or not unit else f"{middle:.3g}"
    return f"{shown} {unit}".replace(" /s", "/s").strip()


def circumstances(loads: tuple[float, float]) -> str:
    """The machine and how busy it was: one minute's load before and after."""
    now = datetime.now(UTC)
    before, after = loads
    return (
        f"{now:%Y-%m-%d}, {os.cpu_count()} cores of {_processor()}, Python {platform.python_version()}, "
        f"load {before:.1f} before and {after:.1f} after"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


# ── the picture ─────────────────────────────────────────────────────────────────────────────────────


def picture(findings: Findings) -> str:
    """A bar for each ratio, a whisker from the least to the most, and a mark where it must be."""
    rows = [(figure, compared) for figure in findings.figures if (compared := _of_rate(figure))]
    height = TOP + ROW * len(rows) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="22" font-size="15">{TITLE}</text>',
        *_axis(height),
        *(part for index, row in enumerate(rows) for part in _bar(TOP + ROW * index, *row)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _of_rate(figure: Figure) -> Ratio | None:
    return ratio(figure) if figure.unit == "/s" else None


def _axis(height: int) -> Iterator[str]:
    for mark in (0.01, 0.03, 0.1, 0.3, 1):
        x = _x(mark)
        yield f'<path d="M{x:.0f} {TOP - 6}V{height - 24}" stroke="#ddd"/>'
        yield f'<text x="{x:.0f}" y="{height - 8}" text-anchor="middle" fill="#555">{mark:g}</text>'


def _bar(y: int, figure: Figure, compared: Ratio) -> Iterator[str]:
    start, end, middle = _x(LEAST), _x(compared.median), y + ROW / 2
    yield f'<text x="{LEFT - 8}" y="{middle + 4:.0f}" text-anchor="end">{escape(figure.name)}</text>'
    size = f'width="{end - start:.1f}" height="{ROW - 16}"'
    yield f'<rect x="{start:.0f}" y="{y + 8}" {size} fill="#4a7ab5"/>'
    whisker = f"M{_x(compared.least):.1f} {middle}H{_x(compared.most):.1f}"
    yield f'<path d="{whisker}" stroke="#123" stroke-width="2"/>'
    yield f'<text x="{_x(compared.most) + 6:.0f}" y="{middle + 4:.0f}">{compared.median:.3g}</text>'
    if figure.must:
        yield f'<path d="M{_x(float(figure.must)):.1f} {y + 4}v{ROW - 8}" stroke="#c22" stroke-width="2"/>'


def _x(value: float) -> float:
    share = math.log(min(max(value, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)
