"""The documents are complete and true: what a caller, an operator or a developer meets stands in them.

Every route, error code, event, variable, command, table, alert and review is in them, every file and move
in the pictures of docs/architecture.md; every link leads
somewhere; every block that can be run is run by a test, or blocks.toml says why not.
"""

import ast
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask

from payments_service.api.codes import CODES
from payments_service.api.errors import title_code
from payments_service.domain.states import INBOX_MOVES, MOVES, ORDER_MOVES, AlertCode, ReviewReason
from payments_service.settings import variable_names
from payments_service.store.revision import VERSION_TABLE
from payments_service.store.tables import Base

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "payments_service"
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests/README.md"],
)
BLOCKS = Path(__file__).with_name("blocks.toml")
HTTP_STATUSES = (400, 405, 413, 415)
"""Of HTTP itself, whose codes `title_code` names."""
PARTS_OF_A_PAGE = ("/pay/static/", "/pay/<path:", "/demo/")


def texts(*names: str) -> str:
    """These documents, else all of them."""
    chosen = [ROOT / name for name in names] or DOCUMENTS
    return "\n".join(path.read_text() for path in chosen)


# ── what there is ───────────────────────────────────────────────────────────────────────────────────


def test_every_route_is_documented(app: Flask) -> None:
    documented = texts()
    unknown = []
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(PARTS_OF_A_PAGE) or rule.rule == "/":
            continue
        pattern = re.sub(r"<[^>]+>", r"(?:\\{[^}]+\\}|:[A-Za-z]+|[A-Z_]+)", rule.rule)
        if not re.search(rf"[` |(/]{pattern}[` ,?)\n]", documented):
            unknown.append(rule.rule)
    assert unknown == []


def test_every_error_code_is_documented() -> None:
    codes = {*CODES, *_codes(), *(title_code(status) for status in HTTP_STATUSES)}
    written = set(re.findall(r"^\| `([a-z_]+)` \|", texts("docs/errors.md"), re.M)) - {"code"}
    assert codes - written == set(), "not in docs/errors.md"
    assert written - codes == set(), "docs/errors.md has codes that there are not"


def _codes() -> Iterator[str]:
    """Those of the errors' classes, those that are given where one is raised, and constants of that use."""
    for path in PACKAGE.rglob("*.py"):
        if "simulator" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield from _class_codes(node)
            if isinstance(node, ast.Call):
                yield from (
                    keyword.value.value
                    for keyword in node.keywords
                    if keyword.arg == "code"
                    and isinstance(keyword.value, ast.Constant)
                    and keyword.value.value
                )


def _class_codes(node: ast.ClassDef) -> Iterator[str]:
    for part in node.body:
        if isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant):
            yield from (part.value.value for target in part.targets if ast.unparse(target) == "code")


def test_every_event_is_documented() -> None:
    schema = json.loads((ROOT / "docs/events.schema.json").read_text())
    types = set(re.findall(r'"([a-z]+\.[a-z]+)"', json.dumps(schema)))
    assert len(types) >= 10
    written = texts("docs/events.md")
    assert [one for one in sorted(types) if f"`{one}`" not in written] == []


def test_every_variable_is_documented_beside_the_example() -> None:
    gateways = [str(path.relative_to(ROOT)) for path in (ROOT / "docs/gateways").glob("*.md")]
    written = texts("docs/deployment.md", *gateways)
    names = set(variable_names())
    assert sorted(name for name in names if f"`{name}`" not in written) == []


def test_every_command_is_documented(app: Flask) -> None:
    ours = [name for name in app.cli.list_commands(click.Context(app.cli)) if name != "db"] + ["db upgrade"]
    table = texts("docs/operations.md").partition("## The commands\n")[2].partition("\n## ")[0]
    assert sorted(name for name in ours if not re.search(rf"^\| `{name}[` ]", table, re.M)) == []


def test_every_command_of_the_document_is_there(app: Flask) -> None:
    table = texts("docs/operations.md").partition("## The commands\n")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `([a-z-]+)", table, re.M)
    assert set(named) - set(app.cli.list_commands(click.Context(app.cli))) == set()


def test_every_make_target_is_documented() -> None:
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    written = texts()
    left_out = {"help", "format"}
    assert [name for name in targets if f"make {name}" not in written and name not in left_out] == []


def test_every_table_is_documented() -> None:
    names = {*Base.metadata.tables, VERSION_TABLE}
    written = set(re.findall(r"^\| `([a-z_]+)` \|", texts("docs/operations.md"), re.M))
    assert names - written == set()


def test_every_alert_and_review_is_documented() -> None:
    written = texts("docs/worker.md") + "".join(
        path.read_text() for path in (ROOT / "docs").glob("handbook.md")
    )
    assert [word for word in (*AlertCode, *ReviewReason) if f"`{word}`" not in written] == []


# ── the picture of the house ────────────────────────────────────────────────────────────────────────

ARCHITECTURE = texts("docs/architecture.md")


def test_the_picture_of_rooms_names_every_file() -> None:
    named = set(re.findall(r"(?<![\w.])[a-z_0-9.]+\.py", ARCHITECTURE))
    there = {path.name for path in PACKAGE.rglob("*.py") if not {"versions", "cli"} & set(path.parts)}
    inner = {"__init__.py", *(path.name for path in (PACKAGE / "store/migrations").glob("*.py"))}
    assert there - named - inner == set()
    assert named - {path.name for path in ROOT.rglob("*.py") if ".venv" not in path.parts} == set()


DIAGRAMS: Mapping[str, Mapping[Any, str]] = {
    "paymentStatus": MOVES,
    "payment_orders.status": ORDER_MOVES,
    "payment_webhooks.outcome": INBOX_MOVES,
}
"""What stands in the heading or table before each diagram, and the moves that it draws."""


@pytest.mark.parametrize("name", DIAGRAMS)
def test_the_diagram_of_states_has_every_move_and_no_other(name: str) -> None:
    diagram = ARCHITECTURE.partition(f"`{name}`")[2].partition("```mermaid")[2].partition("```")[0]
    drawn = dict(re.findall(r"^    ([a-z]+ --> [a-z]+): (.+)$", diagram, re.M))
    assert drawn == {f"{before} --> {after}": reason for (before, after), reason in DIAGRAMS[name].items()}


# ── links ───────────────────────────────────────────────────────────────────────────────────────────


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    heads = re.findall(r"^#+ (.+)$", without_blocks(path.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def broken_links(path: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        there = (path.parent / place) if place else path
        if not there.exists():
            yield f"{target}: no such file"
        elif anchor and there.suffix == ".md" and anchor not in anchors(there):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    assert list(broken_links(path)) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading\n[good](#a-heading) [bad](#another) [gone](gone.md) [far](https://example.com)\n"
    )
    assert list(broken_links(page)) == ["#another: no such heading", "gone.md: no such file"]


def test_every_document_is_reached_from_the_readme() -> None:
    seen, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in seen or page.suffix not in (".md", "") or not page.exists():
            continue
        seen.add(page)
        if page.is_dir():
            waiting += page.glob("*.md")
            continue
        links = re.findall(r"\]\(([^)\s#]+)", without_blocks(page.read_text()))
        waiting += [page.parent / link for link in links if not re.match(r"[a-z]+:", link)]
    assert [str(page.relative_to(ROOT)) for page in DOCUMENTS if page.resolve() not in seen] == []


# ── blocks ──────────────────────────────────────────────────────────────────────────────────────────

FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
INDENTED = re.compile(r"(?:^|\n\n|-->\n)((?: {4,}\S.*\n(?:\s*\n(?= {4}))?)+)")
RUNNABLE = ("sh", "bash", "console", "python", "js", "javascript", "html", "php", "ruby", "sql")
PROGRAMS = (
    *(
        "flask",
        "make",
        "curl",
        ".venv",
        "docker",
        "sqlite3",
        "pg_dump",
        "createdb",
        "pg_restore",
        "systemctl",
    ),
    *(
        "systemd",
        "useradd",
        "apt-get",
        "certbot",
        "git",
        "python",
        "pip",
        "gunicorn",
        "cloudflared",
        "mv",
        "cp",
        "nginx",
        "UPSTREAM",
    ),
)
EVERY = "*"


@dataclass(frozen=True)
class Block:
    file: str
    begins: str
    """Its first line."""


def blocks(path: Path) -> Iterator[Block]:
    """Those that a reader may paste and run."""
    text, name = path.read_text(), str(path.relative_to(ROOT))
    for language, body in FENCED.findall(text):
        if language in RUNNABLE:
            yield Block(name, body.splitlines()[0].strip())
    for body in INDENTED.findall(without_blocks(text)):
        first = body.splitlines()[0].strip()
        if first.startswith(PROGRAMS):
            yield Block(name, first)


def listed() -> dict[Block, dict[str, str]]:
    said = tomllib.loads(BLOCKS.read_text())["block"]
    return {Block(one["file"], one["begins"]): one for one in said}


def test_every_block_that_can_be_run_is_run_by_a_test_or_says_why_not() -> None:
    there = {block for path in DOCUMENTS for block in blocks(path)}
    known = set(listed())
    whole_files = {block.file for block in known if block.begins == EVERY}
    single = {block for block in there if block.file not in whole_files}
    assert single - known == set(), "say in tests/house/blocks.toml which test runs them, or why none does"
    gone = {block for block in known if block.begins != EVERY} - there
    assert gone == set(), "tests/house/blocks.toml has blocks that there are not"
    assert whole_files <= {block.file for block in there}


@pytest.mark.parametrize("block", listed(), ids=lambda block: f"{block.file}: {block.begins[:40]}")
def test_the_test_that_runs_a_block_is_there(block: Block) -> None:
    said = listed()[block]
    assert ("run_by" in said) != ("not_run" in said)
    if "run_by" in said:
        file, _, name = said["run_by"].partition("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text()
    else:
        assert len(said["not_run"]) > 10
