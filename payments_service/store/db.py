"""The database: one engine, and `begin()`, which commits on exit and rolls back on error.

PostgreSQL locks rows with FOR UPDATE; SQLite has one writer at a time. How each is reached: postgres.py and
sqlite.py, beside this.
"""

import logging
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import psycopg
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    CursorResult,
    DateTime,
    Delete,
    Dialect,
    Engine,
    Insert,
    Select,
    TypeDecorator,
    Update,
    literal_column,
    make_url,
    or_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import InstrumentedAttribute, Session

from payments_service.domain.errors import NotMigrated, Outdated, StoreUnavailable
from payments_service.domain.payment import Policy
from payments_service.store import revision, trouble
from payments_service.store.address import normalized_url, without_pooler
from payments_service.store.postgres import BEGIN, POOLER_UNTOLD, leads_nowhere, postgres_engine
from payments_service.store.seal import keys_of
from payments_service.store.sqlite import sqlite_engine
from payments_service.store.wire import BEGIN_IMMEDIATE, Statement, Wire, wire_of

log = logging.getLogger(__name__)

BEGIN_SQLITE = [Statement(BEGIN_IMMEDIATE, ())]
BEGIN_POSTGRES = [Statement(*one) for one in BEGIN]
Row = TypeVar("Row")

AWAY = "The payment store is not available, please try again"
OUTDATED = "The payment was changed at the same moment, please try again"
DRIVER_TROUBLE = (psycopg.OperationalError, psycopg.InterfaceError, sqlite3.OperationalError)
WRITTEN_MEANWHILE = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
MISSING_IN_POSTGRES = ("42P01", "42703", "3F000")
MISSING_IN_SQLITE = re.compile("no such (table|column)|table .* has no column")


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC, aware in Python on every database (SQLite itself forgets the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """An engine and its transactions, and who is told of what they change."""

    def __init__(
        self,
        url: str,
        *,
        destinations: Sequence[str] = (),
        reviews_late_success: bool = False,
        wake: Callable[[str], None] | None = None,
        pool_size: int = 10,
        secrets: Sequence[str] = (),
    ) -> None:
        self.destinations = tuple(destinations)
        """Those that the settings name, of `outbox.MERCHANT`, `CUSTOMER` and `OPERATOR`."""
        self.reviews_late_success = reviews_late_success
        """Whether money that comes after failure or expiry waits for a person (LATE_SUCCESS=review)."""
        self.chain_keys = keys_of(secrets)
        """What seals the history, newest first."""
        self.wake = wake
        """Told after a commit which sweep it has left work for."""
        self.url = normalized_url(url)
        address = make_url(self.url)
        self.is_sqlite = address.drivername.startswith("sqlite")
        self.engine = sqlite_engine(address) if self.is_sqlite else _postgres(address, pool_size)
        self._tables_are_known = False

    @property
    def policy(self) -> Policy:
        return Policy(self.destinations, self.reviews_late_success)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction that may write: commits on exit, rolls back on any error.

        Raises StoreUnavailable when the database is away, full or locked for too long, and NotMigrated when
        its tables are not there. Trouble at COMMIT is an unknown outcome: what was given up may have
        happened, so callers repeat under the same key or id.
        """
        with self._transaction(self.engine) as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads; on SQLite it does not queue with the writers."""
        with self._transaction(self.engine.execution_options(payments_read_only=True)) as session:
            yield session

    @contextmanager
    def wire(self) -> Iterator[tuple[Wire, list[Statement]]]:
        """A connection for statements of our own, and how its transaction begins.

        Raises StoreUnavailable when the database is away. After any other error nothing was kept.
        """
        self._look_at_tables()
        try:
            pooled = self.engine.raw_connection()
        except (DBAPIError, PoolTimeout, psycopg.Error, sqlite3.OperationalError) as error:
            log.error("Database unavailable", extra={"data": _facts(error)})  # noqa: TRY400
            raise StoreUnavailable(AWAY) from error
        try:
            wire = wire_of(pooled.driver_connection)
            yield wire, (BEGIN_SQLITE if self.is_sqlite else BEGIN_POSTGRES)
        except BaseException as error:
            pooled.invalidate(error if isinstance(error, Exception) else None)
            if isinstance(error, DRIVER_TROUBLE) and not isinstance(error, WRITTEN_MEANWHILE):
                raise self._unavailable(error) from error
            raise
        finally:
            pooled.close()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        try:
            self._look_at_tables()
            with self._session(engine) as session, self._trouble_of_the_driver(session.connection()):
                yield session
                session.commit()
            for line in session.info["lines"]:
                logging.getLogger(line.logger).log(line.level, line.message, extra={"data": line.data})
            for sweep in session.info["wakes"]:
                if self.wake:
                    self.wake(sweep)
        except (DBAPIError, PoolTimeout) as error:
            if isinstance(error, DBAPIError) and _is_about_tables(error):
                self._tables_are_known = False
                log.error("Database not migrated", extra={"data": _facts(error)})  # noqa: TRY400
                raise NotMigrated(f"The database lacks what this version needs; {revision.HOW}") from error
            if isinstance(error, DBAPIError) and not _is_trouble_of_the_store(error):
                raise
            log.error("Database unavailable", extra={"data": _facts(error)})  # noqa: TRY400
            raise StoreUnavailable(AWAY) from error

    @contextmanager
    def _trouble_of_the_driver(self, connection: Connection) -> Iterator[None]:
        """What a turn of a Wire raises, SQLAlchemy does not see: the connection is given up here.

        Code that keeps an error as a row's failure cannot know that the row is lost with its connection.
        """
        try:
            yield
        except PendingRollbackError as error:
            if not connection.invalidated:
                raise
            raise StoreUnavailable(AWAY) from error
        except DRIVER_TROUBLE as error:
            connection.invalidate(error)
            if isinstance(error, WRITTEN_MEANWHILE):
                raise Outdated(OUTDATED) from error
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        if not self.is_sqlite and leads_nowhere(error):
            self.engine.dispose()  # every pooled connection leads to the same server
        log.error("Database unavailable", extra={"data": _facts(error)})
        return StoreUnavailable(AWAY)

    def _look_at_tables(self) -> None:
        """Raise NotMigrated unless this version can use the tables; asked until it can, and never again."""
        if self._tables_are_known:
            return
        with self.engine.connect().execution_options(payments_read_only=True) as connection:
            found = revision.current(connection)
        if missing := revision.what_is_missing(found):
            log.error("Database not migrated", extra={"data": {"error": missing}})
            raise NotMigrated(missing)
        if found not in revision.REVISIONS:
            newer = {"database": found, "known": revision.HEAD}
            log.warning("The database is of a newer version than this process", extra={"data": newer})
        self._tables_are_known = True

    def _session(self, engine: Engine) -> Session:
        session = Session(engine, expire_on_commit=False, info=self._info())
        try:
            session.connection()
        except BaseException:
            session.close()
            raise
        return session

    def _info(self) -> dict[str, Any]:
        """What the flows of a transaction may ask it for."""
        return {
            "destinations": self.destinations,
            "reviews_late_success": self.reviews_late_success,
            "wakes": set(),
            "chain_keys": self.chain_keys,
            "lines": [],
        }


def insert_once(session: Session, table: type[Any], unique: list[str] | None, **values: Any) -> bool:
    """Insert unless a row with the same `unique` columns (None: of any constraint) is there; whether it was.

    One atomic statement on both databases.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**values).on_conflict_do_nothing(index_elements=unique)
    return session.execute(statement.returning(literal_column("1"))).first() is not None


def changed_rows(session: Session, statement: Insert | Update | Delete) -> int:
    """Execute, and tell how many rows it changed."""
    return cast("CursorResult[object]", session.execute(statement)).rowcount


def claim(
    session: Session,
    rows: Select[Row],
    due: InstrumentedAttribute[datetime | None],
    now: datetime,
    lease_ends: datetime,
    limit: int,
    *,
    longest_wait: timedelta,
    first: ColumnElement[Any] | None = None,
) -> list[Row]:
    """Those that are due, ours until the lease ends: no other worker gets them meanwhile.

    Those that are due longest come first, unless `first` says otherwise.
    """
    chosen = rows.where(is_due(due, now, longest_wait))
    chosen = chosen.order_by(due if first is None else first).limit(limit)
    query = chosen.with_for_update(skip_locked=True, key_share=True)
    taken = list(session.scalars(query))
    for row in taken:
        setattr(row, due.key, lease_ends)
    return taken


def _postgres(address: URL, pool_size: int) -> Engine:
    address, behind_pooler = without_pooler(address)
    return postgres_engine(address, pool_size, behind_pooler=behind_pooler)


def is_due(
    due: InstrumentedAttribute[datetime | None] | InstrumentedAttribute[datetime],
    now: datetime,
    longest_wait: timedelta,
) -> ColumnElement[bool]:
    """Its moment has come; or it is further off than any wait is long: a clock that leapt wrote it."""
    return or_(due <= now, due > now + longest_wait)


def _is_trouble_of_the_store(error: DBAPIError) -> bool:
    return error.connection_invalidated or type(error).__name__ in ("OperationalError", "InterfaceError")


def _is_about_tables(error: DBAPIError) -> bool:
    """A table or column is missing: a backup of an older version was restored, say."""
    state = getattr(error.orig, "sqlstate", None)
    return state in MISSING_IN_POSTGRES or bool(MISSING_IN_SQLITE.match(str(error.orig)))


def _facts(error: Exception) -> dict[str, str]:
    """What kind of trouble it is, in codes; the driver's words may hold the statement's values."""
    facts = trouble.facts(error)
    if facts.get("sqlstate") in POOLER_UNTOLD:
        facts["hint"] = "behind a pooler in transaction mode set DATABASE_POOLER=true"
    return facts
