"""Connections to a PostgreSQL that hangs, is replaced or only reads: small forms, for every `make test`."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from payments_service.domain.errors import StoreUnavailable
from payments_service.store import migrations, postgres
from payments_service.store.db import Database
from payments_service.store.tables import Alert
from tests.support.house import House
from tests.support.postgres import running_pair
from tests.support.switch import Switch, running_switch

MOST_SECONDS = 15
on_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"])
numbers = count(1)


def write(db: Database) -> None:
    with db.begin() as session:
        session.add(Alert(code="test", subject=str(next(numbers)), detail={}))


def write_in_spite_of_trouble(db: Database) -> None:
    with db.begin() as session:
        session.execute(text("SET LOCAL transaction_read_only = on"))
        with suppress(DBAPIError), session.begin_nested():
            session.add(Alert(code="test", subject="lost", detail={}))
        session.add(Alert(code="test", subject="its failure", detail={}))


def is_well(db: Database) -> bool:
    with suppress(StoreUnavailable):
        write(db)
        return True
    return False


@pytest.fixture
def switch(database_url: str, tmp_path: Path) -> Iterator[Switch]:
    with running_switch(tmp_path, make_url(database_url).port or 0) as switch:
        yield switch


@pytest.fixture
def far(database_url: str, switch: Switch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database behind the switch, of less patience than in life."""
    for name, seconds in (("BEGIN_SECONDS", 2), ("CONNECT_SECONDS", 3), ("ANSWER_SECONDS", 2)):
        monkeypatch.setattr(postgres, name, seconds)
    database = Database(make_url(database_url).set(port=switch.port).render_as_string(hide_password=False))
    yield database
    switch.wake()
    database.engine.dispose()


def an_idle_connection(db: Database, switch: Switch) -> None:
    write(db)
    switch.freeze()
    write(db)


def the_first_connection(db: Database, switch: Switch) -> None:
    switch.freeze()
    write(db)


def a_question(db: Database, switch: Switch) -> None:
    with db.begin() as session:
        session.execute(text("SELECT 1"))
        switch.freeze()
        session.execute(text("SELECT 2"))


def a_commit(db: Database, switch: Switch) -> None:
    with db.begin() as session:
        session.execute(text("SELECT 1"))
        switch.freeze()


@on_postgresql
@pytest.mark.parametrize("hangs", [an_idle_connection, the_first_connection, a_question, a_commit])
def test_a_wait_for_a_database_that_hangs_ends_on_our_side_and_it_is_well_when_it_wakes(
    far: Database, switch: Switch, hangs: Callable[[Database, Switch], None]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(hangs, far, switch)
        try:
            with pytest.raises(StoreUnavailable):
                waiting.result(MOST_SECONDS)
        finally:
            switch.wake()
    House.until(lambda: is_well(far), bool)


@on_postgresql
def test_a_server_that_only_reads_any_more_is_left_at_once(db: Database) -> None:
    """SQLSTATE 25006: what a pooled connection says whose server was demoted without ending it."""
    with db.engine.connect() as connection:
        postgres.driver_of(connection).execute("SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable):
        write(db)
    write(db)


@on_postgresql
def test_trouble_that_was_taken_for_a_rows_own_is_still_the_stores(db: Database) -> None:
    with pytest.raises(StoreUnavailable):
        write_in_spite_of_trouble(db)
    write(db)


@on_postgresql
def test_a_connection_that_died_in_the_pool_costs_no_request(db: Database) -> None:
    write(db)
    other = Database(db.url)
    with other.begin() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    other.engine.dispose()
    write(db)


def test_a_service_follows_its_endpoint_from_a_demoted_node_to_the_new_primary(tmp_path: Path) -> None:
    with running_pair() as (first, second), running_switch(tmp_path, first.port) as switch:
        through = make_url(first.url).set(port=switch.port).render_as_string(hide_password=False)
        db = Database(through)
        migrations.upgrade(db)
        write(db)
        either = "&".join(f"host=127.0.0.1:{node.port}" for node in (second, first))
        knows_both = Database(f"postgresql://payments@/postgres?{either}")
        write(knows_both)
        first.stop()
        second.promote()
        with pytest.raises(StoreUnavailable):
            write(db)
        write(knows_both)
        first.follow(second)
        first.start()
        for act in (write, read):  # a standby would answer the second, with what is old
            with pytest.raises(StoreUnavailable):
                act(db)
        switch.lead_to(second.port)
        write(db)
        with db.read() as session:
            assert session.execute(text("SELECT count(*) FROM alerts")).scalar_one() == 4
        db.engine.dispose()
        knows_both.engine.dispose()


def read(db: Database) -> None:
    with db.read() as session:
        session.execute(text("SELECT count(*) FROM alerts"))


def lose_what_is_prepared(session: Session) -> None:
    for _ in range(9):  # so often that the driver has it prepared
        session.execute(text("SELECT 42"))
    postgres.driver_of(session.connection()).pgconn.exec_(b"DEALLOCATE ALL")  # the driver does not hear of it
    session.execute(text("SELECT 42"))


@on_postgresql
def test_a_pooler_that_the_settings_do_not_name_is_told_by_what_it_mixes_up(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """In transaction mode the next transaction meets another server, which does not know the statement."""
    with pytest.raises(StoreUnavailable), db.begin() as session:
        lose_what_is_prepared(session)
    [record] = [each for each in caplog.records if each.levelname == "ERROR"]
    assert "DATABASE_POOLER=true" in record.__dict__["data"]["hint"]
    write(db)
