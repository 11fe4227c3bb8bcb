"""The line of a database in trouble says which kind, by the database's own codes and never in its words."""

import shutil
import sqlite3
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from payments_service.domain.errors import StoreUnavailable
from payments_service.store import trouble
from payments_service.store.db import Database
from tests.flows.conftest import buy
from tests.support.fake_gateway import FakeGateway

SECRET = "asha@example.com"
TOUCH = "UPDATE payments SET status = status"


def of_postgres(state: str | None, words: str = SECRET) -> OperationalError:
    error = psycopg.OperationalError(words)
    error.sqlstate = state
    return OperationalError("INSERT", {}, error)


def of_sqlite(name: str) -> OperationalError:
    error = sqlite3.OperationalError(SECRET)
    error.sqlite_errorname = name
    return OperationalError("INSERT", {}, error)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("53100", "full"),
        ("53300", "too many connections"),
        ("55P03", "locked"),
        ("40P01", "locked"),
        ("57014", "slow"),
        ("57P01", "shutting down"),
        ("57P03", "shutting down"),
        ("28P01", "password"),
        ("28000", "password"),
        ("25006", "read-only"),
        ("08006", "unreachable"),
        ("58030", "disk"),
        ("XX001", "damaged"),
        ("99999", "other"),
    ],
)
def test_a_sqlstate_says_the_kind(state: str, kind: str) -> None:
    assert trouble.facts(of_postgres(state)) == {
        "kind": kind,
        "error": "OperationalError",
        "sqlstate": state,
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_FULL", "full"),
        ("SQLITE_BUSY", "locked"),
        ("SQLITE_BUSY_SNAPSHOT", "locked"),
        ("SQLITE_LOCKED", "locked"),
        ("SQLITE_READONLY_DBMOVED", "read-only"),
        ("SQLITE_CANTOPEN", "unreachable"),
        ("SQLITE_IOERR_WRITE", "disk"),
        ("SQLITE_CORRUPT", "damaged"),
        ("SQLITE_NOTADB", "damaged"),
        ("SQLITE_ERROR", "other"),
    ],
)
def test_a_code_of_sqlite_says_the_kind(name: str, kind: str) -> None:
    assert trouble.facts(of_sqlite(name)) == {"kind": kind, "error": "OperationalError", "code": name}


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (f'FATAL:  password authentication failed for user "{SECRET}"', "password"),
        ("connection failed: fe_sendauth: no password supplied", "password"),
        ('FATAL:  role "asha" does not exist', "password"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "password"),
        ("FATAL:  sorry, too many clients already", "too many connections"),
        ("FATAL:  the database system is starting up", "shutting down"),
        ("session is read-only", "read-only"),
        ("Connection refused; is the server running on that host?", "unreachable"),
        ("the database did not answer in time", "unreachable"),
    ],
)
def test_a_server_that_refuses_to_connect_has_only_words(words: str, kind: str) -> None:
    assert trouble.facts(of_postgres(None, words)) == {"kind": kind, "error": "OperationalError"}


def run(db: Database, *statements: str) -> None:
    with db.read() as session:
        for statement in statements:
            session.execute(text(statement))


def line_of(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    [record] = [record for record in caplog.records if record.message == "Database unavailable"]
    facts: dict[str, str] = record.__dict__["data"]
    return facts


def test_a_server_that_is_not_there_or_knows_another_user_is_told_apart(
    postgres_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    address = make_url(postgres_server)
    for url, kind in ((address.set(port=1), "unreachable"), (address.set(username="stranger"), "password")):
        caplog.clear()
        db = Database(url.set(password="private").render_as_string(hide_password=False))
        with pytest.raises(StoreUnavailable):
            run(db, "SELECT 1")
        assert line_of(caplog)["kind"] == kind
        assert "private" not in str(line_of(caplog))
        db.engine.dispose()


def test_a_lock_that_lasts_too_long_is_locked(
    db: Database, caplog: pytest.LogCaptureFixture, database_kind: str
) -> None:
    buy(db, FakeGateway())
    waiting = Database(db.url)
    limit = "SET LOCAL lock_timeout = '10ms'" if database_kind == "postgresql" else "PRAGMA busy_timeout = 10"
    with db.begin() as holder:
        holder.execute(text(TOUCH))
        with pytest.raises(StoreUnavailable):
            run(waiting, limit, TOUCH)
    waiting.engine.dispose()
    facts = line_of(caplog)
    assert facts["kind"] == "locked"
    assert facts.get("sqlstate", facts.get("code")) in ("55P03", "SQLITE_BUSY")


def test_a_full_disk_is_full(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(request.getfixturevalue("_sqlite_template"), tmp_path / "small.db")
    db = Database(f"sqlite:///{tmp_path / 'small.db'}")
    too_much = "INSERT INTO heartbeats (name, at) VALUES (hex(zeroblob(1000000)), '2026-01-01')"
    with pytest.raises(StoreUnavailable):
        run(db, "PRAGMA max_page_count = 1", too_much)
    db.engine.dispose()
    assert line_of(caplog) == {"kind": "full", "error": "OperationalError", "code": "SQLITE_FULL"}
