"""`flask db upgrade` beside others and in their way, and a service whose database is not there yet."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from hmac import new as hmac
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import create_engine, text
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.domain.errors import NotMigrated, WrongEncoding
from payments_service.settings import Settings, SettingsError
from payments_service.store import migrations, revision, sqlite
from payments_service.store.db import Database
from tests.support import dumps
from tests.support.environment import environment
from tests.support.house import CUSTOMER, ROOT

WAIT_SECONDS = 1
SECRET = environment(database_url="sqlite:///x.db")["RAZORPAY_WEBHOOK_SECRET"]
EVENT = b'{"event": "order.paid", "payload": {}, "created_at": 1767225600}'
ID = "01900000-0000-7000-8000-000000000001"
NEEDS_THE_STORE: dict[str, Callable[[Flask], TestResponse]] = {
    "create-order": lambda app: app.test_client().post(
        "/api/payment/create-order", json={"amount": 499, "gateway": "razorpay", "customer": CUSTOMER}
    ),
    "verify": lambda app: app.test_client().post(
        "/api/payment/verify-payment",
        json={"gateway": "razorpay", "orderId": "order_1", "paymentId": "pay_1", "signature": "00"},
    ),
    "status": lambda app: app.test_client().get("/api/payment/status/razorpay/order_1"),
    "webhook": lambda app: app.test_client().post(
        "/api/webhook/razorpay",
        data=EVENT,
        headers={"X-Razorpay-Signature": hmac(SECRET.encode(), EVENT, sha256).hexdigest()},
    ),
    "hosted page": lambda app: app.test_client().get(f"/pay/{ID}"),
}


EXPECTED = {
    "create-order": (500,),  # its gateway is not there
    "verify": (404,),
    "status": (404,),
    "webhook": (200,),
    "hosted page": (404,),
}


def variables(url: str) -> dict[str, str]:
    return environment(database_url=url, simulator_port=9)


@pytest.fixture
def app(empty_url: str) -> Iterator[Flask]:
    """Started before the tables are there."""
    app = create_app(Settings.from_environment(variables(empty_url)))
    yield app
    app.extensions["payments_service"].db.engine.dispose()


def upgrade_by_command(url: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables(url)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def upgrade_in(app: Flask) -> Result:
    """The same command in this process."""
    with app.app_context():
        return app.test_cli_runner().invoke(args=["db", "upgrade"])


OLDEST, *LATER = dumps.REVISIONS


@pytest.mark.parametrize(
    "old", [OLDEST, *(pytest.param(each, marks=pytest.mark.check) for each in LATER)], indirect=True
)
def test_three_upgrades_at_once_all_end_well(old: Database) -> None:
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(upgrade_by_command, [old.url] * 3))
    assert [(each.returncode, each.stdout) for each in ended] == [
        (0, f"Database is at {revision.HEAD}\n")
    ] * 3
    assert migrations.difference(old) == []


def test_three_first_upgrades_at_once_all_end_well(empty_url: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(upgrade_by_command, [empty_url] * 3))
    assert [each.returncode for each in ended] == [0, 0, 0], [each.stderr for each in ended]


def test_an_upgrade_behind_an_open_transaction_says_so_and_changes_nothing(
    empty_url: str, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    dumps.load(empty_url, revision.REVISIONS[0])
    monkeypatch.setattr(migrations, "LOCK_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr(migrations, "TAKING_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", WAIT_SECONDS)
    impatient = create_app(Settings.from_environment(variables(empty_url)))
    other = create_engine(empty_url)
    with other.connect() as holding:
        holding.execute(text("UPDATE payments SET description = 'held'"))
        ended = upgrade_in(impatient)
    other.dispose()
    assert ended.exit_code == 1
    assert ended.output.startswith("Error: Another ")
    assert ended.output.count("\n") == 1
    assert NEEDS_THE_STORE["status"](app).status_code == 503
    assert upgrade_in(impatient).exit_code == 0
    impatient.extensions["payments_service"].db.engine.dispose()


@pytest.mark.parametrize("state", ["empty", *revision.REVISIONS[:-1]])
def test_a_service_without_its_tables_says_what_to_do_and_is_well_once_it_is_done(
    empty_url: str, app: Flask, state: str
) -> None:
    if state != "empty":
        dumps.load(empty_url, state)
    for name, ask in NEEDS_THE_STORE.items():
        answer = ask(app)
        assert answer.status_code == 503, name
        assert int(answer.headers["Retry-After"]) > 0, name
        if answer.is_json:
            assert answer.json["code"] == "not_migrated", name
            assert "flask --app wsgi db upgrade" in answer.json["error"], name
    assert app.test_client().get("/health").status_code == 200
    assert upgrade_in(app).exit_code == 0
    for name, ask in NEEDS_THE_STORE.items():
        assert ask(app).status_code in EXPECTED[name], name


def test_a_table_that_vanishes_is_told_as_one_that_was_never_there(
    db: Database,
) -> None:
    with db.read() as session:
        session.execute(text("SELECT 1"))
    with db.engine.begin() as connection:
        connection.execute(text("DROP TABLE alerts"))
    with pytest.raises(NotMigrated), db.read() as session:
        session.execute(text("SELECT * FROM alerts"))


def test_a_database_of_a_newer_version_is_served_and_never_upgraded(db: Database) -> None:
    """Old and new processes run beside each other during a restart."""
    with db.engine.begin() as connection:
        connection.execute(text(f"UPDATE {revision.VERSION_TABLE} SET version_num = '9999'"))
    with db.read() as session:
        assert session.execute(text("SELECT count(*) FROM payments")).scalar_one() == 0
    ended = upgrade_by_command(db.url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Error: The database is at 9999")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "url", ["postgresql://u:secret-word@127.0.0.1:1/none", "sqlite:////nowhere/at/all/payments.db"]
)
def test_an_upgrade_of_a_database_that_is_away_says_so_in_a_line(url: str) -> None:
    ended = upgrade_by_command(url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Error: The database cannot be reached: ")
    assert ended.stderr.count("\n") == 1
    assert "secret-word" not in ended.stderr


@pytest.mark.parametrize(
    "encoding",
    ["SQL_ASCII", *(pytest.param(each, marks=pytest.mark.check) for each in ("LATIN1", "WIN1252"))],
)
def test_a_database_that_cannot_keep_every_name_stops_the_start_with_a_sentence(
    postgres_server: str, encoding: str
) -> None:
    name = f"in_{encoding.lower()}"
    server = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        like = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        connection.execute(text(f"CREATE DATABASE {name} ENCODING '{encoding}' {like}"))
    server.dispose()
    url = postgres_server.replace("/postgres", f"/{name}")
    with pytest.raises(SettingsError, match=f"DATABASE_URL: The database's encoding is {encoding}"):
        create_app(Settings.from_environment(variables(url)))
    ended = upgrade_by_command(url)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    with pytest.raises(WrongEncoding), Database(url).begin():
        pass


def test_a_start_beside_a_missing_database_is_no_end_of_it(tmp_path: Path) -> None:
    app = create_app(Settings.from_environment(variables("postgresql://nobody@127.0.0.1:1/none")))
    answer = NEEDS_THE_STORE["status"](app)
    assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
    assert answer.headers["Retry-After"]
