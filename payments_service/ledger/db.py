"""The database: one engine, and `begin()`, which commits on exit and rolls back on error.

PostgreSQL locks rows with FOR UPDATE. SQLite has one writer at a time: `begin()` takes that place at
once (BEGIN IMMEDIATE), so that nobody reads first and finds the lock taken when it wants to write.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    DateTime,
    Delete,
    Dialect,
    Engine,
    Insert,
    Select,
    TypeDecorator,
    Update,
    create_engine,
    event,
    literal_column,
    make_url,
    or_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import InstrumentedAttribute, Session

from payments_service.errors import StoreUnavailable

log = logging.getLogger(__name__)

Row = TypeVar("Row")

BUSY_SECONDS = 10
POOL_WAIT_SECONDS = 5
STATEMENT_SECONDS = 15


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
    ) -> None:
        self.destinations = tuple(destinations)
        """Those that the settings name, of `outbox.MERCHANT`, `CUSTOMER` and `OPERATOR`."""
        self.reviews_late_success = reviews_late_success
        """Whether money that comes after failure or expiry waits for a person (LATE_SUCCESS=review)."""
        self.wake = wake
        """Told after a commit which sweep it has left work for."""
        self.url = normalized_url(url)
        self.is_sqlite = self.url.startswith("sqlite")
        self.engine = _sqlite_engine(self.url) if self.is_sqlite else _postgres_engine(self.url, pool_size)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction that may write: commits on exit, rolls back on any error.

        Raises StoreUnavailable when the database is away, full or locked for too long.
        """
        with self._transaction(self.engine) as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads; on SQLite it does not queue with the writers."""
        with self._transaction(self.engine.execution_options(payments_read_only=True)) as session:
            yield session

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        try:
            with (
                Session(engine, expire_on_commit=False, info=self._info()) as session,
                session.begin(),
            ):
                yield session
            for sweep in session.info["wakes"]:
                if self.wake:
                    self.wake(sweep)
        except (DBAPIError, PoolTimeout) as error:
            if isinstance(error, DBAPIError) and not _is_trouble_of_the_store(error):
                raise
            # The driver's words may hold the statement's values: only its class is told.
            log.error("Database unavailable", extra={"data": {"error": type(error).__name__}})  # noqa: TRY400
            raise StoreUnavailable("The payment store is not available, please try again") from error

    def _info(self) -> dict[str, Any]:
        """What the flows of a transaction may ask it for."""
        return {
            "destinations": self.destinations,
            "reviews_late_success": self.reviews_late_success,
            "wakes": set(),
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
) -> list[Row]:
    """Those that are due longest, ours until the lease ends: no other worker gets them meanwhile."""
    chosen = rows.where(is_due(due, now, longest_wait)).order_by(due).limit(limit)
    query = chosen.with_for_update(skip_locked=True)
    taken = list(session.scalars(query))
    for row in taken:
        setattr(row, due.key, lease_ends)
    return taken


def is_due(
    due: InstrumentedAttribute[datetime | None] | InstrumentedAttribute[datetime],
    now: datetime,
    longest_wait: timedelta,
) -> ColumnElement[bool]:
    """Its moment has come; or it is further off than any wait is long: a clock that leapt wrote it."""
    return or_(due <= now, due > now + longest_wait)


def normalized_url(url: str) -> str:
    """`postgres://` as platforms hand it out, and plain `postgresql://`, both for psycopg 3."""
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def _is_trouble_of_the_store(error: DBAPIError) -> bool:
    return error.connection_invalidated or type(error).__name__ in ("OperationalError", "InterfaceError")


def _postgres_engine(url: str, pool_size: int) -> Engine:
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": POOL_WAIT_SECONDS,
            "options": f"-c lock_timeout={BUSY_SECONDS}s -c statement_timeout={STATEMENT_SECONDS}s"
            f" -c idle_in_transaction_session_timeout={2 * STATEMENT_SECONDS}s",
            # A server that vanished without a word is noticed in seconds, not in a quarter of an hour.
            "tcp_user_timeout": STATEMENT_SECONDS * 1000,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 2,
        },
    )


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(
        url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS}, pool_timeout=POOL_WAIT_SECONDS
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins too late; we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        read_only = connection.get_execution_options().get("payments_read_only")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
