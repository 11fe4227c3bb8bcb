"""Every wait of the service, with its reason: docs/timing.md is made from the code.

python -m tests.house.waits
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "payments_service"
PAGE = ROOT / "docs" / "timing.md"
NO_WAITS = ("metrics.py", "store/migrations/")
"""Limits of histograms, and what runs once."""
UNIT = re.compile(r"(SECONDS|MINUTES|HOURS|DAYS)$")
TOP = """# How long everything waits

Every limit, lease, period and age of the service, and why it is as long: for the person who changes one, or
asks at night what will happen when. Each stands in the code beside what it bounds; this page is made from
there (`.venv/bin/python -m tests.house.waits`), and a test compares the two. What you can set yourself, as
`ORDER_EXPIRY`, is in [.env.example](../.env.example).

- **A budget** is for all calls to a gateway of one request, retries included. **A lease** is the time for
  which one process has a row or key to itself: always longer than the budget of what is done meanwhile.
- **Database**: pool, connecting, a lock, a statement, each ends on the server or here within 12 seconds, and
  the answer is 503.
"""


@dataclass(frozen=True)
class Wait:
    file: str
    """Below the package."""
    name: str
    value: Any
    reason: str

    @property
    def room(self) -> str:
        return self.file.partition("/")[0]

    @property
    def row(self) -> str:
        where = self.file.partition("/")[2] or self.file
        return f"| {where} | `{self.name}` | {said(self.value, self.name)} | {self.reason} |"


def waits() -> Iterator[Wait]:
    """In the order of the files."""
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        if not file.startswith(NO_WAITS):
            yield from _waits_of(file, ast.parse(path.read_text()).body)


def _waits_of(file: str, body: list[ast.stmt]) -> Iterator[Wait]:
    for statement, following in zip(body, [*body[1:], ast.Pass()], strict=True):
        match statement:
            case ast.Assign(targets=[target], value=ast.expr() as value):
                pass
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                pass
            case _:
                continue
        made_of = ast.unparse(value)
        for name in (node.id for node in ast.walk(target) if isinstance(node, ast.Name)):
            if UNIT.search(name) or ("timedelta(" in made_of and "timezone(" not in made_of):
                yield Wait(file, name, getattr(import_module(_module(file)), name), _words(following))


def _module(file: str) -> str:
    return ".".join(("payments_service", *Path(file).with_suffix("").parts)).removesuffix(".__init__")


def _words(statement: ast.stmt) -> str:
    match statement:
        case ast.Expr(ast.Constant(str(text))):
            return " ".join(text.split())
    return ""


def said(value: Any, name: str) -> str:
    """`1.5 s`, `15 min`, `24 h`, `5 d`; several with commas; of pairs `until`: `every`."""
    if isinstance(value, tuple):
        between = ": " if len(value) == 2 and isinstance(value[0], timedelta) else ", "
        return between.join(said(one, name) for one in value)
    if not isinstance(value, timedelta):
        unit = (UNIT.search(name) or [""])[0].lower() or "seconds"
        value = timedelta(**{unit: value})
    seconds = value.total_seconds()
    for unit, length, least in (("d", 86400, 2), ("h", 3600, 1), ("min", 60, 2)):
        if seconds >= least * length and seconds % length == 0:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:g} s"


def page() -> str:
    parts = [TOP]
    by_room = sorted(waits(), key=lambda wait: (wait.room.endswith(".py"), wait.room))
    for room, found in groupby(by_room, key=lambda wait: "" if wait.room.endswith(".py") else wait.room):
        parts.append(
            f"## {room or 'Top of the package'}\n\n| File | Name | How long | Why |\n|---|---|---|---|"
        )
        parts += [wait.row for wait in found]
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
