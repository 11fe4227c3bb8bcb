"""Who may import whom. The rooms of the house stay rooms because this test reads every import.

Every import is an arrow, also one inside a function or for types only: who names a type knows its module.
The file of a package (`__init__.py`) counts where it is imported by its name; that Python runs it before
every module below it does not.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from payments_service.gateways import GATEWAYS
from tests.support.environment import environment

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "payments_service"
SIMULATOR = ROOT / "gateway_simulator"
NAMES = {gateway.name for gateway in GATEWAYS}
STANDARD = frozenset(sys.stdlib_module_names)

ALLOWED: dict[str, set[str]] = {
    # room: what of our own house, and which libraries
    "app": {"api", "pages", "cors", "domain", "https", "services", "store.db", "settings", "logs", "commands"}
    | {"flask", "flask_compress", "click", "werkzeug"},
    "services": {"admission", "broker", "flows", "gateways.base", "gateways.measured", "logs", "sentry"}
    | {"settings", "store.db", "store.measure"},
    "environment": {"dotenv"},
    "commands": {"cli", "flask", "click"},
    "admission": {"domain"},
    "cors": {"api", "settings", "flask", "flask_cors", "cachetools"},
    "https": {"api", "settings", "flask"},
    "domain": {"domain", "uuid6"},
    "build": set(),
    "logs": {"build", "orjson"},
    "metrics": {"build", "counter_files", "prometheus_client"},
    "counter_files": {"prometheus_client"},
    "sentry": {"logs", "sentry_sdk"},
    "simulator": {"gateway_simulator"},
    "gateways": {"domain"}
    | {
        "admission",
        "logs",
        "metrics",
        "requests",
        "net",
        "urllib3",
        "cachetools",
        "razorpay",
    },
    "store": {"domain"} | {"store", "logs", "sqlalchemy", "alembic", "psycopg", "gevent", "orjson", "uuid6"},
    "flows": {"domain"}
    | {
        "flows",
        "store",
        "gateways.base",
        "notify",
        "logs",
        "metrics",
        "sqlalchemy",
        "uuid6",
        "cachetools",
        "itsdangerous",
    },
    "net": {"certifi"},
    "notify": {"domain", "net", "notify"} | {"standardwebhooks"},
    "api": {"domain"}
    | {"api", "build", "services", "flows", "gateways", "gateways.base", "logs", "metrics"}
    | {"settings", "flask", "werkzeug"}
    | {"marshmallow", "apispec", "limits", "redis", "_typeshed"},
    "pages": {"domain"} | {"pages", "api", "flows", "gateways.base", "flask", "werkzeug", "markupsafe"},
    "cli": {"domain"}
    | {"cli", "api", "services", "flows", "store", "logs", "notify", "settings", "worker"}
    | {"flask", "click"}
    | {"gateways.base", "net"},
    "broker": {"celery", "kombu"},
    "tasks": {"broker", "domain", "environment", "services", "settings", "worker", "celery"},
    "worker": {"domain", "environment", "flows", "gateways.base", "services", "settings", "store.db"},
    "settings": {
        "settings",
        "gateways",
        "gateways.base",
        "store.address",
        "domain",
        "sqlalchemy",
    },
}

SIMULATOR_ALLOWED: dict[str, set[str]] = {
    # file or folder of the simulator: what of its own house
    "__main__": {"__init__", "serving", "state"},
    "serving": {"__init__"},
    "__init__": {"base", "control", "deliveries", "faults", "state", "world"} | NAMES,
    "control": {"base", "deliveries", "faults", "world"},
    **{name: {name, "base", "deliveries", "world"} for name in NAMES},
    "deliveries": {"faults", "world"},
    "state": {"base", "plain", "world"},
    "faults": {"base", "world"},
    "base": set(),
    "plain": set(),
    "world": set(),
}


def modules() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module that the file imports, at any depth, with our own names relative to the package."""
    return {name.removeprefix("payments_service.") for name in arrows(path)}


def arrows(path: Path) -> set[str]:
    """Every module that the file imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            module = node.module or ""
            ours = (f"{module}.{alias.name}" for alias in node.names)
            names |= {name if is_module(name) else module for name in ours}
    return names


def is_module(name: str) -> bool:
    path = ROOT / Path(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def module_arrows() -> dict[str, set[str]]:
    """Of both houses: module → what it imports."""
    paths = [*PACKAGE.rglob("*.py"), *SIMULATOR.rglob("*.py")]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return {n.removesuffix(".__init__"): arrows(path) for n, path in zip(names, paths, strict=True)}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """One circle of these arrows, if there is one; an arrow to oneself is none."""
    try:
        TopologicalSorter({name: below - {name} for name, below in graph.items()}).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def is_allowed(name: str, allowed: set[str]) -> bool:
    top = name.split(".")[0]
    if top in STANDARD and not (PACKAGE / top).exists() and not (PACKAGE / f"{top}.py").exists():
        return True
    if top == "gateways":  # a concrete gateway is known to its own room only
        return name in allowed or (name.startswith("gateways.") and "razorpay" in allowed)
    if top == "store":
        return "store" in allowed or name in allowed
    return top in allowed


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_what_its_door_allows(path: Path) -> None:
    allowed = ALLOWED[room_of(path)]
    strangers = {name for name in imported(path) if not is_allowed(name, allowed)}
    assert not strangers, f"{path.relative_to(PACKAGE)} imports {sorted(strangers)}"


@pytest.mark.parametrize("room", ALLOWED)
def test_a_door_allows_only_what_its_room_imports(room: str) -> None:
    names = {name for path in modules() if room_of(path) == room for name in imported(path)}
    asked = [name for name in names if not is_allowed(name, set())]
    assert not {one for one in ALLOWED[room] if not any(is_allowed(name, {one}) for name in asked)}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(module_arrows()) == []


def test_no_room_may_import_one_above_it() -> None:
    """The tables are the order of the rooms, as long as they have no circle themselves."""
    assert circle({room: {name.split(".")[0] for name in below} for room, below in ALLOWED.items()}) == []
    assert circle(SIMULATOR_ALLOWED) == []


@pytest.mark.parametrize("path", sorted(SIMULATOR.rglob("*.py")), ids=lambda p: str(p.relative_to(SIMULATOR)))
def test_the_simulator_imports_only_what_stands_below(path: Path) -> None:
    inside = SIMULATOR_ALLOWED[path.relative_to(SIMULATOR).parts[0].removesuffix(".py")]
    ours = {name for name in arrows(path) if name.split(".")[0] in (SIMULATOR.name, PACKAGE.name)}
    allowed = {SIMULATOR.name if room == "__init__" else f"{SIMULATOR.name}.{room}" for room in inside}
    assert not {name for name in ours if ".".join(name.split(".")[:2]) not in allowed}


@pytest.mark.parametrize("gateway", sorted(NAMES))
def test_the_books_of_a_pretend_gateway_are_plain_state(gateway: str) -> None:
    """They know nothing that tells webhooks, not by way of others either."""
    graph, waiting, known = module_arrows(), [f"{SIMULATOR.name}.{gateway}.books"], set[str]()
    while waiting:
        module = waiting.pop()
        waiting += graph.get(module, set()) - known
        known.add(module)
    assert f"{SIMULATOR.name}.world" in known
    assert not known & {f"{SIMULATOR.name}.deliveries", f"{SIMULATOR.name}.{gateway}.moves"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "gateways").glob("*.py")), ids=lambda p: p.name)
def test_gateways_do_not_know_each_other(path: Path) -> None:
    shared = ("base", "bounds", "health", "http", "measured", "reading", "signatures", "tokens", "transport")
    common = {f"gateways.{name}" for name in shared}
    its_own = {f"gateways.{path.stem}_reading"}  # what the answers and events of a large API mean
    others = {n for n in imported(path) if n.startswith("gateways.")} - common - its_own
    assert path.name == "__init__.py" or not others


def test_only_the_rooms_of_gateways_name_one() -> None:
    """A fourth gateway is one file, one line, its simulator, its page: nothing elsewhere says its name."""
    for path in modules():
        if room_of(path) in ("gateways", "simulator", "pages"):
            continue
        text = path.read_text().lower()
        named = sorted({gateway.name for gateway in GATEWAYS if gateway.name in text})
        assert not named, f"{path.relative_to(PACKAGE)} names {named}"


FOR_SENDING = {"smtplib", "email.headerregistry", "standardwebhooks"}
"""They load with the first letter or POST."""


def test_the_worker_loads_nothing_that_only_doors_need() -> None:
    """Flask and what stands on it would be an eighth of the worker's memory."""
    loaded = loaded_by("payments_service.worker", {})
    assert "payments_service.flows.reconcile" in loaded
    assert not loaded & {"flask", "werkzeug", "jinja2", "limits", "apispec", "alembic", "celery", "click"}
    assert not loaded & FOR_SENDING


def test_a_web_worker_loads_nothing_that_only_the_worker_and_commands_need(tmp_path: Path) -> None:
    loaded = loaded_by("wsgi", environment(database_url=f"sqlite:///{tmp_path}/payments.db"))
    assert "payments_service.flows.deliver" in loaded
    assert not loaded & FOR_SENDING
    assert not loaded & {"alembic", "mako", "celery", "kombu", "redis", "sentry_sdk", "apispec"}
    assert not loaded & {"payments_service.cli", "payments_service.worker"}


def loaded_by(module: str, variables: dict[str, str]) -> set[str]:
    """Every module that a new process has once it has imported this one."""
    asked = f"import sys, {module}; print(*sorted(sys.modules))"
    env = {**os.environ, **variables}
    answer = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    return set(answer.stdout.split())
