"""Each migration meets rows of every state: what was stored stays, and the service works on it."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import MetaData, select, text, update
from sqlalchemy.exc import DBAPIError
from uuid6 import uuid7

from payments_service import create_app
from payments_service.flows import reviews as review_flow
from payments_service.settings import Settings
from payments_service.store import chain, inbox, migrations, reviews, revision
from payments_service.store.db import Database
from payments_service.store.tables import PaymentWebhook
from tests.flows.conftest import buy
from tests.support import dumps
from tests.support.environment import environment
from tests.support.fake_gateway import FakeGateway
from tests.support.house import House

KEYS = {"payment_references": "reference", "heartbeats": "name"}
"""By which a row is found again; elsewhere `id`."""


def rows_of(db: Database) -> dict[str, dict[Any, dict[str, Any]]]:
    """Every row of every table as the database has it, by its key."""
    found = MetaData()
    found.reflect(db.engine)
    with db.engine.connect() as connection:
        return {
            table.name: {
                row[KEYS.get(table.name, "id")]: dict(row)
                for row in connection.execute(select(table)).mappings()
            }
            for table in found.sorted_tables
            if table.name != revision.VERSION_TABLE
        }


def test_the_dumps_begin_with_the_first_revision_and_reach_the_newest_but_one() -> None:
    """Who adds a revision keeps a dump of the one before it: tests/fixtures/databases/README.md says how."""
    assert dumps.REVISIONS[0] == revision.REVISIONS[0]
    assert set(revision.REVISIONS[:-1]) <= set(dumps.REVISIONS)


RENAMED = {"foreign": "unmatched"}
WORDS = tuple(RENAMED)
"""Words of a status that a migration has renamed."""


def test_an_old_database_keeps_every_row_and_column_that_there_still_is(old: Database) -> None:
    before = rows_of(old)
    assert migrations.upgrade(old) == revision.HEAD
    after = rows_of(old)
    for name, rows in before.items():
        assert rows, f"the dump has no row in {name}"
        assert after[name].keys() == rows.keys()
        for key, row in rows.items():
            kept = {column: after[name][key].get(column, value) for column, value in row.items()}
            assert kept == {**row, **{column: RENAMED[word] for column, word in row.items() if word in WORDS}}


def test_what_was_flagged_is_a_review_that_can_be_ended(old: Database) -> None:
    flagged = {key for key, row in rows_of(old)["payments"].items() if row["review"]}
    assert flagged
    migrations.upgrade(old)
    with old.read() as session:
        opened = [(review, payment) for review, payment in reviews.all_open(session)]
    assert [(review.reason, review.payment_id) for review, _ in opened] == [
        (payment.review, payment.id) for _, payment in opened
    ]
    assert len(opened) == len(flagged)
    for _, payment in opened:
        assert "dismissed" in review_flow.clear(old, payment.id, "Meera")
    assert not any(row["review"] for row in rows_of(old)["payments"].values())


def test_an_order_is_named_as_its_gateway_knows_it(old: Database) -> None:
    key, order = next(
        (k, row) for k, row in rows_of(old)["payment_orders"].items() if row["gateway_order_id"]
    )
    with old.engine.begin() as connection:
        table = MetaData()
        table.reflect(connection, only=["payment_orders"])
        orders = table.tables["payment_orders"]
        numbered = update(orders).where(orders.c.id == key).values(checkout={"cfOrderId": "2149460581"})
        connection.execute(numbered)
    with old.engine.connect() as connection:
        is_named_already = (revision.current(connection) or "") >= "0003"
    migrations.upgrade(old)
    after = rows_of(old)["payment_orders"]
    assert after[key]["gateway_order_id"] == order["gateway_order_id" if is_named_already else "wire_id"]


def test_an_upgraded_database_has_the_tables_of_the_code(old: Database) -> None:
    migrations.upgrade(old)
    assert migrations.difference(old) == []


def test_the_service_works_on_an_upgraded_database(old: Database, empty_url: str) -> None:
    migrations.upgrade(old)
    for client in clients(empty_url):
        for payment in rows_of(old)["payments"].values():
            if payment["status"] in ("completed", "failed", "expired"):
                path = f"/api/payment/status/{payment['gateway']}/{payment['order_id']}"
                answer = client.get(path)
                assert (answer.status_code, answer.json["paymentStatus"]) == (200, payment["status"])
    assert buy(old, FakeGateway()).status == "pending"


def clients(url: str) -> Iterator[FlaskClient]:
    app = create_app(Settings.from_environment(environment(database_url=url, simulator_port=9)))
    yield app.test_client()
    app.extensions["payments_service"].db.engine.dispose()


def test_a_watched_payment_of_before_the_worker_is_asked_for(old: Database) -> None:
    migrations.upgrade(old)
    open_ones = [p for p in rows_of(old)["payments"].values() if p["status"] in ("initiated", "pending")]
    assert open_ones
    assert all(payment["next_check_at"] for payment in open_ones)


def test_an_upgrade_makes_no_deadlock_with_the_version_that_serves_meanwhile(
    postgres_database: Callable[[str], str],
) -> None:
    """A request has locked its payment, and writes the history next, which a step changes first."""
    url = postgres_database("upgraded_while_in_use")
    dumps.load(url, dumps.REVISIONS[-1])
    database = Database(url)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'")
    with database.engine.connect() as request, ThreadPoolExecutor() as pool:
        request.execute(text("SELECT id FROM payments LIMIT 1 FOR UPDATE"))
        upgrade = pool.submit(migrations.upgrade, database)
        House.until(lambda: request.execute(waiting).scalar_one(), lambda number: number > 0)
        request.execute(text("LOCK TABLE payment_events IN ROW EXCLUSIVE MODE"))
        request.commit()
        assert upgrade.result(60) == revision.HEAD
    database.engine.dispose()


def test_what_the_version_before_writes_after_the_upgrade_is_counted(old: Database) -> None:
    """It numbers rows by those that are there, and knows nothing of seals and counts."""
    migrations.upgrade(old)
    found, findings = rows_of(old), verified(old)
    last = max(found["payment_events"].values(), key=lambda row: row["sequence"])
    names = ("payment_id", "kind", "source", "actor", "reason", "evidence", "created_at")
    with old.engine.begin() as connection:
        table = MetaData()
        table.reflect(connection, only=["payment_events"])
        row = {name: last[name] for name in names} | {"sequence": last["sequence"] + 1, "id": uuid7().hex}
        connection.execute(table.tables["payment_events"].insert().values(row))
    after = rows_of(old)["payments"][last["payment_id"]]
    assert after["history_count"] == last["sequence"] + 1
    assert verified(old) == findings


@pytest.mark.parametrize("old", dumps.REVISIONS[1:], indirect=True)
def test_an_event_that_is_done_with_is_not_due_and_one_that_is_tried_again_is(old: Database) -> None:
    """The versions before wrote both words, and left what was applied due."""
    due = "UPDATE payment_webhooks SET next_try_at = created_at WHERE outcome IN ('applied', 'unconfirmed')"
    with old.engine.begin() as connection:
        connection.execute(text(due))
    migrations.upgrade(old)
    rows = rows_of(old)["payment_webhooks"].values()
    words = {row["event_id"]: (row["outcome"], row["next_try_at"] is not None) for row in rows}
    assert (words["evt_1"], words["evt_9"]) == (("applied", False), ("received", True))
    assert {word for word, is_due in words.values() if is_due} == {"received", "waiting", "failed"}


def test_a_column_that_goes_is_filled_by_the_database_until_it_is_gone(old: Database) -> None:
    migrations.upgrade(old)
    with old.begin() as session:
        inbox.store(
            session,
            gateway="razorpay",
            provider="razorpay",
            event_id="evt_new",
            webhook_type="order.paid",
            order_id=None,
            transaction_id=None,
            headers={},
            payload=b"{}",
        )
    rows = rows_of(old)["payment_webhooks"].values()
    assert [row["processed"] for row in rows if row["event_id"] == "evt_new"] == [False]
    for _, column in migrations.LEAVING:
        assert column not in PaymentWebhook.__table__.columns


def verified(db: Database) -> list[chain.Finding]:
    """What does not fit; the dumps' histories were made by hand, with gaps."""
    with db.read() as session:
        return list(chain.verify(session, ()))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Opened as another program does, with none of the settings of the service's connections."""
    path = tmp_path / "payments.db"
    dumps.load(f"sqlite:///{path}", dumps.REVISIONS[0])
    database = Database(f"sqlite:///{path}")
    migrations.upgrade(database)
    database.engine.dispose()
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()


def write(history: sqlite3.Connection, verb: str, row: dict[str, Any]) -> None:
    values = ", ".join(f":{name}" for name in row)
    history.execute(f"{verb} INTO payment_events ({', '.join(row)}) VALUES ({values})", row)


@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE", "INSERT"])
@pytest.mark.parametrize("same", ["rowid", "id", "sequence"])
def test_sqlites_history_cannot_be_rewritten_by_another_program(
    history: sqlite3.Connection, verb: str, same: str
) -> None:
    everything = "SELECT rowid, * FROM payment_events ORDER BY rowid"
    before = history.execute(everything).fetchall()
    other_keys = {"rowid": 9999, "id": "f" * 32, "sequence": 9999}
    del other_keys[same]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        write(history, verb, {**before[0], "reason": "forged", **other_keys})
    assert history.execute(everything).fetchall() == before
    write(history, verb, {**before[0], "rowid": 9999, "id": "f" * 32, "sequence": 9999})
    assert len(history.execute(everything).fetchall()) == len(before) + 1


def test_sqlites_connections_of_our_own_tell_the_triggers_of_a_replaced_row(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'payments.db'}")
    dumps.load(database.url, dumps.REVISIONS[0])  # its triggers are those of revision 0001 alone
    replace = "INSERT OR REPLACE INTO payment_events SELECT * FROM payment_events LIMIT 1"
    with database.engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.exec_driver_sql(replace)
    database.engine.dispose()


def test_sqlites_log_of_writes_has_a_size_limit(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'payments.db'}")
    with database.engine.connect() as connection:
        limit = connection.exec_driver_sql("PRAGMA journal_size_limit").scalar_one()
        pages = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()
    database.engine.dispose()
    assert (limit, pages) == (64 * 1024 * 1024, 1000)
