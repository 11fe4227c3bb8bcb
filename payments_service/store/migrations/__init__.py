"""Alembic, driven from code: no alembic.ini, the engine is the service's own."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import SchemaItem

from payments_service.domain.errors import StoreUnavailable
from payments_service.store import revision
from payments_service.store.db import Database
from payments_service.store.migrations.guards import guard_history
from payments_service.store.migrations.search import PREFIX, make_indexes
from payments_service.store.postgres import LOCK_SECONDS, driver_of
from payments_service.store.revision import VERSION_TABLE
from payments_service.store.tables import Base

LOCK = 20_260_101_000_001
"""A number of our own for PostgreSQL's advisory lock: upgrades wait for each other, and for nothing else."""
LEAVING = {("payment_webhooks", "processed")}
"""Columns that only the version before has in its code; the next release's migration drops them."""
STEP_SECONDS = 3600
"""A large table takes its time."""
OTHER_UPGRADE_SECONDS = 600
ONE_TRY_MILLISECONDS = 400
"""Less than PostgreSQL lets a deadlock last (deadlock_timeout, 1 s), so that no request is its victim."""
TAKING_SECONDS = 30
HELD = "55P03"


def upgrade(database: Database, target: str = "head") -> str:
    """Bring the tables to the newest version, and say which that is. Several at once wait for each other.

    Raises StoreUnavailable with a sentence when the database is away, locked or of a newer version; then
    nothing has changed.
    """
    try:
        with _alone(database) as connection:
            found = revision.current(connection)
            if found is not None and found not in revision.REVISIONS:
                raise StoreUnavailable(
                    f"The database is at {found}, which this version ({revision.HEAD}) does not know:"
                    " it was upgraded by a newer one; run that"
                )
            if found not in (None, revision.HEAD) and not database.is_sqlite:
                _take_tables(connection)
            command.upgrade(_config(connection), target)
            guard_history(connection)
            if target == "head":
                make_indexes(connection)
            return revision.current(connection) or "nothing"
    except DBAPIError as error:
        raise StoreUnavailable(_what_to_do(error)) from error


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """A transaction of the only upgrade; commits on exit, rolls back on any error."""
    with database.engine.connect() as connection:
        if database.is_sqlite:
            with _keys_checked_at_the_end(connection), connection.begin():
                yield connection
                _refuse_broken_keys(connection)
            return
        with connection.begin():
            driver_of(connection).patience_seconds = STEP_SECONDS
            connection.execute(text(f"SET LOCAL statement_timeout = '{STEP_SECONDS}s'"))
            connection.execute(text(f"SET LOCAL lock_timeout = '{OTHER_UPGRADE_SECONDS}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            yield connection


def _take_tables(connection: Connection) -> None:
    """Lock every table of ours before the first is changed, for the version before serves meanwhile.

    A step locks its tables in an order of its own: it and a request would wait for each other. So all are
    locked before it, in the order of most requests (what others refer to comes first), and let go again where
    that does not come about soon.
    """
    found = inspect(connection).get_table_names()
    names = ", ".join(table.name for table in Base.metadata.sorted_tables if table.name in found)
    ends = time.monotonic() + TAKING_SECONDS
    while True:
        try:
            with connection.begin_nested():
                connection.execute(text(f"SET LOCAL lock_timeout = '{ONE_TRY_MILLISECONDS}ms'"))
                connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
                connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != HELD or time.monotonic() > ends:
                raise
            time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 (a pause is no secret)
        else:
            return


@contextmanager
def _keys_checked_at_the_end(connection: Connection) -> Iterator[None]:
    """SQLite changes a table by making another; rows that point at it would forbid to drop the old one."""
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 (it is connected)
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def _refuse_broken_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken:
        table, _, parent, _ = broken
        raise StoreUnavailable(f"Rows of {table} would lose theirs in {parent}, so nothing was changed")


def _what_to_do(error: DBAPIError) -> str:
    """One sentence. The database's own words are shown for a failed connect only: no row stands in them."""
    code = str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", ""))
    if code == HELD:
        return (
            "Another session uses the tables in an open transaction, so nothing was changed:"
            " let it end (pg_stat_activity shows it), then run this again"
        )
    if code.startswith("SQLITE_BUSY"):
        return (
            "Another program is writing to the file, so nothing was changed: let it end, then run this again"
        )
    if error.statement is None:
        return f"The database cannot be reached: {str(error.orig).splitlines()[0]}"
    return f"The upgrade failed and nothing was changed: {type(error.orig).__name__} {code}"


def difference(database: Database) -> list[object]:
    """What the tables in code have that the database has not, or otherwise; empty when they agree."""
    with database.engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "include_object": is_ours}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


def is_ours(
    item: SchemaItem, name: str | None, kind: str, reflected: bool, _compared_to: SchemaItem | None
) -> bool:
    """Leave tables alone that are in the database but not in our code, columns on their way out, and indexes
    of search.py."""
    if isinstance(item, Column) and reflected and (item.table.name, name) in LEAVING:
        return False
    if kind == "index" and reflected and (name or "").startswith(PREFIX):
        return False
    return not (kind == "table" and reflected and name not in Base.metadata.tables)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
