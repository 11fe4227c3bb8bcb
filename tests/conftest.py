"""Databases and houses for all tests; the summary says how many tests really used which."""

import gc
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

from payments_service import create_app
from payments_service.settings import Settings
from payments_service.store import migrations
from payments_service.store.db import Database
from tests.support import event_schema
from tests.support.environment import environment
from tests.support.house import House, running_house
from tests.support.postgres import running_postgres
from tests.support.recorder import RECORDER, UNSEEN, documented, shown, unseen
from tests.support.recycled import RecycledDatabases
from tests.support.unsynced import spare_the_disk

CONTRACT = ("contract_calls", "contract_webhooks", "hooks", "strange")
pytest.register_assert_rewrite(*(f"tests.gateways.{name}" for name in CONTRACT))

KINDS = ("sqlite", "postgresql")
# Those suites run in environments of their own: `make conformance`.
collect_ignore = ["conformance"]
ON_ONE_DATABASE = {
    **dict.fromkeys(("api", "bench", "browser", "cli", "e2e", "pages"), "sqlite"),
    **dict.fromkeys(("chaos",), "postgresql"),
    # What is decided there, no database sees.
    **dict.fromkeys(
        (
            "flows/test_asking.py",
            "flows/test_attempt_sums.py",
            "flows/test_disputes.py",
            "flows/test_late_money.py",
            "flows/test_lost_answers.py",
            "flows/test_missing_gateways.py",
            "flows/test_money_held.py",
            "flows/test_refund_news.py",
            "flows/test_verify_and_status.py",
        ),
        "sqlite",
    ),
}
"""What stands on the doors' side, and the one database on which `make test` tries it; `make check` tries the
other. What flows and store do is tried on both."""
IN_PAIRS = frozenset({"flows", "gateways", "ops"})
"""Of several cases of a test, `make test` tries each on one database by turns, `make check` on the other."""
SLOWEST_FIRST = (
    "chaos/test_storm.py",
    "chaos/test_races.py",
    "browser",
    "e2e",
    "simulator/test_razorpay_pages_in_browser.py",
    "store/test_upgrade.py",
    "deploy",
    "simulator",
    "flows",
    "store",
    "gateways",
)
"""Files and folders in the order in which they are begun, so that none is left to one process at the end."""
AGAIN_AFTER_A_CRASH = pytest.mark.flaky(reruns=1, only_rerun="Page crashed")
"""A browser whose page crashed has said nothing of the page. Not for all tests: each that may be run again
waits 40 ms for the other processes' word."""
_used: Counter[str] = Counter()
_wrong_events: list[str] = []
event_schema.watch(_wrong_events.append)
spare_the_disk()
_open = FlaskClient.open


def _recorded(self: FlaskClient, *args: Any, **kwargs: Any) -> Any:
    answer = _open(self, *args, **kwargs)
    RECORDER.see(
        answer.request.method,
        answer.request.path,
        answer.status_code,
        dict(answer.headers),
        answer.mimetype,
        answer.get_data(),
    )
    return answer


FlaskClient.open = _recorded  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _events_are_as_documented() -> Iterator[None]:
    """Every event that a test lets this process write is one of docs/events.schema.json."""
    yield
    wrong, _wrong_events[:] = list(_wrong_events), []
    assert wrong == []


@pytest.fixture(autouse=True)
def _answers_are_as_documented(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every answer that a test gets is one of docs/openapi.json."""
    yield
    wrong, RECORDER.problems[:] = list(RECORDER.problems), []
    assert wrong == []


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    # What one test has left must not decide how a statement of the next one is planned.
    with running_postgres("autovacuum=off") as url:
        yield url


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _postgres_databases(postgres_server: str) -> RecycledDatabases:
    _create_database(postgres_server, "template_payments")
    _migrate(postgres_server.replace("/postgres", "/template_payments"))
    return RecycledDatabases(postgres_server.replace("+psycopg", ""), "template_payments")


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Whatever depends on this runs once on each database."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database."""
    _used[database_kind] += 1
    if database_kind == "sqlite":
        shutil.copy(request.getfixturevalue("_sqlite_template"), tmp_path / "payments.db")
        yield f"sqlite:///{tmp_path / 'payments.db'}"
        return
    databases: RecycledDatabases = request.getfixturevalue("_postgres_databases")
    server: str = request.getfixturevalue("postgres_server")
    name = databases.take()
    yield server.replace("/postgres", f"/{name}")
    databases.give_back(name)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.engine.dispose()


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings.from_environment(environment(database_url=database_url, simulator_port=9))


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The service in this process; its gateway's address is one where nobody listens."""
    app = create_app(settings)
    yield app
    app.extensions["payments_service"].db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Callable[[str], str]:
    """The URL of a new, empty database of this name."""

    def make(name: str) -> str:
        _create_database(postgres_server, name)
        return postgres_server.replace("/postgres", f"/{name}")

    return make


@pytest.fixture(scope="session")
def sqlite_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house-sqlite")
    with running_house(f"sqlite:///{folder / 'payments.db'}", folder) as house:
        yield house


@pytest.fixture(scope="session")
def postgresql_house(
    postgres_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    with running_house(postgres_database("house"), tmp_path_factory.mktemp("house-postgresql")) as house:
        yield house


@pytest.fixture
def house(database_kind: str, request: pytest.FixtureRequest) -> Iterator[House]:
    """Service, simulator and database as real processes, one set per database for all tests."""
    _used[database_kind] += 1
    running: House = request.getfixturevalue(f"{database_kind}_house")
    yield running
    running.clear_faults()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """A process whose blocking calls gevent replaced is no place for the tests that come after."""
    patched = getattr(sys.modules.get("gevent.monkey"), "saved", None)
    assert not patched, f"{item.nodeid} has patched the process of the tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make check` what `make test` has no time for, and begin with what takes longest."""
    cases: dict[str, list[tuple[tuple[str, int], ...]]] = {}
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(AGAIN_AFTER_A_CRASH)
        if not isinstance(item, pytest.Function) or "database_kind" not in getattr(item, "fixturenames", ()):
            continue
        kind = item.callspec.params["database_kind"]
        path = _path(item.path)
        folder = path.parts[0]
        case = tuple((name, n) for name, n in item.callspec.indices.items() if name != "database_kind")
        others = cases.setdefault(item.nodeid.partition("[")[0], [])
        if case not in others:
            others.append(case)
        if path.as_posix() in ON_ONE_DATABASE:
            is_tried = kind == ON_ONE_DATABASE[path.as_posix()]
        elif folder in IN_PAIRS and case:
            is_tried = kind == KINDS[others.index(case) % len(KINDS)]
        else:
            is_tried = kind == ON_ONE_DATABASE.get(folder, kind)
        if not is_tried:
            item.add_marker(pytest.mark.check)
    items.sort(key=_turn)  # stable: what stands in one file stays together


@pytest.hookimpl
def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported and collected stays to the end: looking for garbage there was a tenth of all work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Garbage is looked for between tests: at the end of a text that is nested too deeply, finalizers fail
    for want of depth, and pytest blames the test that read it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def _turn(item: pytest.Item) -> int:
    path = str(_path(item.path))
    places = (number for number, name in enumerate(SLOWEST_FIRST) if path.startswith(name))
    return next(places, len(SLOWEST_FIRST))


@cache
def _path(path: Path) -> Path:
    return path.relative_to(Path(__file__).parent)


def count_use(of: str) -> None:
    """Let the summary tell that a test really used this (a browser, a broker)."""
    _used[of] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of `-n` hands its counts to the one that prints the summary, and that judges a whole run."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["used"] = dict(_used)
        session.config.workeroutput["seen"] = sorted(RECORDER.seen)
    elif _is_whole(session.config) and unseen(RECORDER.seen) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_whole(config: pytest.Config) -> bool:
    """Whether this run is all of `make test`, so that every documented answer must have been seen."""
    chosen = config.args != config.getini("testpaths") or config.getoption("keyword")
    return not chosen and config.getoption("markexpr") == "not check"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    told = getattr(node, "workeroutput", {})
    _used.update(told.get("used", {}))
    RECORDER.seen |= {tuple(answer) for answer in told.get("seen", ())}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Twice as many as there are cores, for most tests wait for other processes half of their time."""
    return min(4, 2 * (os.cpu_count() or 1))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a failure at once, for whoever watches and for a run that never comes to its summary."""
    if report.failed and not os.environ.get("PYTEST_XDIST_WORKER"):
        crash = getattr(report.longrepr, "reprcrash", None)
        why = str(crash.message if crash else report.longrepr)[:1000]
        print(f"\nFAILED {report.nodeid} ({report.when}, {report.duration:.0f} s): {why}", flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    used = ", ".join(f"{name}: {count}" for name, count in sorted(_used.items())) or "none"
    terminalreporter.write_line(f"Tests that used a real service: {used}")
    missing = sorted(documented() - RECORDER.seen)
    terminalreporter.write_line(
        f"Documented answers that were seen: {len(documented()) - len(missing)}, not: {len(missing)}"
    )
    if _is_whole(terminalreporter.config) or terminalreporter.config.get_verbosity() > 1:
        for answer in unseen(RECORDER.seen):
            terminalreporter.write_line(f"  never seen: {answer}")
        for answer in sorted(set(UNSEEN.read_text().splitlines()) & set(map(shown, RECORDER.seen))):
            terminalreporter.write_line(f"  seen, so take it out of {UNSEEN.name}: {answer}")


def _create_database(server: str, name: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()


def _migrate(url: str) -> None:
    database = Database(url)
    migrations.upgrade(database)
    database.engine.dispose()
