"""The database: one engine, and `begin()`, which commits on exit and rolls back on error.

PostgreSQL locks rows with FOR UPDATE; SQLite has one writer at a time. How each is reached: postgres.py and
sqlite.py, beside this.
"""

import logging
import math
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast
from uuid import UUID

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
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from payments_service.domain.errors import NotMigrated, OldTables, Outdated, StoreUnavailable
from payments_service.domain.payment import Policy
from payments_service.store import revision, trouble
from payments_service.store.address import normalized_url, without_pooler
from payments_service.store.postgres import BEGIN, POOLER_UNTOLD, leads_nowhere, postgres_engine
from payments_service.store.seal import keys_of
from payments_service.store.sqlite import sqlite_engine
from payments_service.store.transaction import Transaction
from payments_service.store.wire import BEGIN_IMMEDIATE, Statement, Wire, wire_of

log = logging.getLogger(__name__)

Row = TypeVar("Row")

SAID_EVERY_SECONDS = 60.0
"""That the tables are not those of this version is one log line in so long."""
AWAY = "The payment store is not available, please try again"
OUTDATED = "The payment was changed at the same moment, please try again"
TROUBLE_OF_THE_STORE = (
    *(psycopg.OperationalError, psycopg.InterfaceError),
    *(sqlite3.OperationalError, sqlite3.InterfaceError),
)
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


class unindexed(FunctionElement[Any]):
    """A column, by no index of which SQLite finds, sorts or groups the rows.

    SQLite has counted nothing: of two indexes it may take the one that leads through the whole table, where
    the other holds the few rows that are asked for. PostgreSQL has counted, and chooses by itself.
    Source: "Disqualifying WHERE Clause Terms Using Unary-+", sqlite.org/optoverview.html.
    """

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any] | InstrumentedAttribute[Any]) -> None:
        super().__init__(column)
        self.type = column.type


class rarely(FunctionElement[bool]):
    """A condition that few rows of a large table meet: SQLite is told so, and takes the index of its column.

    Source: "unlikely(X)", sqlite.org/lang_corefunc.html.
    """

    inherit_cache = True
    # No type of its own: of a Boolean, SQLAlchemy would write `unlikely(…) = 1`, which no index serves.

    def __init__(self, condition: ColumnElement[bool]) -> None:
        super().__init__(condition)


@compiles(unindexed)
@compiles(rarely)
def _as_it_is(element: FunctionElement[Any], compiler: SQLCompiler, **more: Any) -> str:
    [inner] = element.clauses
    return compiler.process(inner, **more)


@compiles(unindexed, "sqlite")
def _unindexed_on_sqlite(element: unindexed, compiler: SQLCompiler, **more: Any) -> str:
    return f"+{_as_it_is(element, compiler, **more)}"


@compiles(rarely, "sqlite")
def _rarely_on_sqlite(element: rarely, compiler: SQLCompiler, **more: Any) -> str:
    return f"unlikely({_as_it_is(element, compiler, **more)})"


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
        self._said: dict[str, float] = {}
        """When it was last said what is missing."""

    @property
    def policy(self) -> Policy:
        return Policy(self.destinations, self.reviews_late_success)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction that may write: commits on exit, rolls back on any error.

        Raises StoreUnavailable when the database is away, full or locked for too long, and NotMigrated when
        its tables are not there. Trouble at COMMIT is an unknown outcome: what was given up may have
        happened, so callers repeat under the same key or id.
        """
        with self._transaction(self.engine) as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads; on SQLite it does not queue with the writers."""
        with self._transaction(self.engine.execution_options(payments_read_only=True)) as tx:
            yield tx

    @contextmanager
    def wire(self, *, reads: bool = False) -> Iterator[tuple[Wire, list[Statement]]]:
        """A connection for statements of our own, and how its transaction begins.

        Raises StoreUnavailable as `begin` does. After any other error nothing was kept.
        """
        with self._trouble_told_apart():
            self._look_at_tables()
            pooled = self.engine.raw_connection()
            try:
                yield wire_of(pooled.driver_connection), self._beginning(reads)
            except BaseException as error:
                pooled.invalidate(error if isinstance(error, Exception) else None)
                raise
            finally:
                pooled.close()

    def _beginning(self, reads: bool) -> list[Statement]:
        """On SQLite a transaction that only reads does not queue with the writers."""
        if self.is_sqlite:
            return [Statement("BEGIN" if reads else BEGIN_IMMEDIATE, ())]
        return [Statement(*one) for one in BEGIN]

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Transaction]:
        with self._trouble_told_apart():
            self._look_at_tables()
            with self._opened(engine) as tx, _turns_end_their_connection(tx.connection()):
                yield tx
                tx.commit()
        for line in tx.lines:
            logging.getLogger(line.logger).log(line.level, line.message, extra={"data": line.data})
        for sweep in tx.wakes:
            if self.wake:
                self.wake(sweep)

    @contextmanager
    def _trouble_told_apart(self) -> Iterator[None]:
        """Errors of a driver, SQLAlchemy's around them, and its pool's, as what they mean to callers."""
        try:
            yield
        except (DBAPIError, PoolTimeout, psycopg.Error, sqlite3.Error) as error:
            cause = getattr(error, "orig", None) or error
            if _is_about_tables(cause):
                self._tables_are_known = False
                self._say_what_is_missing({**_facts(error), "missing": _missing(cause)})
                raise NotMigrated(f"The database lacks what this version needs; {revision.HOW}") from error
            if isinstance(cause, WRITTEN_MEANWHILE):
                raise Outdated(OUTDATED) from error
            if not isinstance(error, PoolTimeout) and not _is_trouble_of_the_store(cause):
                raise
            if isinstance(cause, psycopg.Error) and leads_nowhere(cause):
                self.engine.dispose()  # every pooled connection leads to the same server
            log.error("Database unavailable", extra={"data": _facts(error)})  # noqa: TRY400
            raise StoreUnavailable(AWAY) from error

    def _look_at_tables(self) -> None:
        """Raise OldTables unless this version can use the tables; asked until it can, and never again."""
        if self._tables_are_known:
            return
        with self.engine.connect().execution_options(payments_read_only=True) as connection:
            found = revision.current(connection)
        if missing := revision.what_is_missing(found):
            self._say_what_is_missing({"error": missing})
            raise OldTables(missing)
        if found not in revision.REVISIONS:
            newer = {"database": found, "known": revision.HEAD}
            log.warning("The database is of a newer version than this process", extra={"data": newer})
        self._tables_are_known = True

    def _say_what_is_missing(self, about: dict[str, str]) -> None:
        """Every request and every sweep finds the same."""
        what, now = about.get("missing", ""), time.monotonic()
        if now - self._said.get(what, -math.inf) >= SAID_EVERY_SECONDS:
            self._said[what] = now
            log.error("Database not migrated", extra={"data": about})

    def _opened(self, engine: Engine) -> Transaction:
        tx = Transaction(engine, self.policy, self.chain_keys)
        try:
            tx.connection()
        except BaseException:
            tx.close()
            raise
        return tx


@contextmanager
def _turns_end_their_connection(connection: Connection) -> Iterator[None]:
    """After an error in a turn of a Wire, of which SQLAlchemy knows nothing, as it does after others.

    Code that keeps an error as a row's failure cannot know that the row is lost with its connection.
    """
    try:
        yield
    except PendingRollbackError as error:
        if not connection.invalidated:
            raise
        raise StoreUnavailable(AWAY) from error
    except (psycopg.Error, sqlite3.Error) as error:
        connection.invalidate(error)
        raise


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
    chosen = rows.where(or_(*map(rarely, _when_due(due, now, longest_wait))))
    chosen = chosen.order_by(unindexed(due) if first is None else first).limit(limit)
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
    return or_(*_when_due(due, now, longest_wait))


def _when_due(
    due: InstrumentedAttribute[datetime | None] | InstrumentedAttribute[datetime],
    now: datetime,
    longest_wait: timedelta,
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return due <= now, due > now + longest_wait


def id_at(moment: datetime) -> UUID:
    """The least id that a row of this moment can have: ids are UUIDs of version 7.

    A process whose wall clock leapt ahead makes ids of the leapt time for as long as it lives, also after the
    clock was set right. What counts rows of a time goes by their created_at, which clock.py corrects.
    """
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)


def _is_trouble_of_the_store(cause: BaseException) -> bool:
    is_in_doubt = getattr(cause, "sqlstate", None) is not None and leads_nowhere(cause)
    return is_in_doubt or isinstance(cause, TROUBLE_OF_THE_STORE)


def _is_about_tables(cause: BaseException) -> bool:
    """A table or column is missing: a backup of an older version was restored, say."""
    state = getattr(cause, "sqlstate", None)
    return state in MISSING_IN_POSTGRES or bool(MISSING_IN_SQLITE.match(str(cause)))


def _missing(cause: BaseException) -> str:
    """The database's own words: they name a table or a column, and no value."""
    if isinstance(cause, psycopg.Error):
        return cause.diag.message_primary or ""
    return str(cause)


def _facts(error: Exception) -> dict[str, str]:
    """What kind of trouble it is, in codes; the driver's words may hold the statement's values."""
    facts = trouble.facts(error)
    if facts.get("sqlstate") in POOLER_UNTOLD:
        facts["hint"] = "behind a pooler in transaction mode set DATABASE_POOLER=true"
    return facts
