"""PostgreSQL: every wait for it ends on our side, and a connection whose server is in doubt is thrown away.

Nothing here needs a setting at connect, which a pooler would refuse: limits travel with BEGIN, in one
message, and hold for that transaction on the server connection that the pooler gave it.
"""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import psycopg
from psycopg._preparing import Prepare, PrepareManager
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import fetch_many, send
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import InvalidatePoolError

from payments_service.domain.errors import WrongEncoding

POOL_WAIT_SECONDS = 5
"""For a connection while all are in use; then 503."""
CONNECT_SECONDS = 4
"""For a server that may be gone; then 503."""
BEGIN_SECONDS = 4
"""For the first word of a connection that was idle: a server that died is found out here."""
LOCK_SECONDS = 8
"""For a row that another holds; then 503. Shorter than a statement, so that the cause has its own name."""
STATEMENT_SECONDS = 10
"""The server ends a statement; a transaction that says nothing, after three times as long."""
ANSWER_SECONDS = 12
"""Longer than the server itself lets a statement take, so that a server which lives has the word."""
RECYCLE_SECONDS = 300
"""A connection is replaced: proxies and firewalls forget silent ones."""
STATEMENTS_KEPT = 300
"""Prepared by one connection; one more than are kept costs a wait to let another go."""

LIMITS = (
    f"SELECT set_config('lock_timeout', '{LOCK_SECONDS}s', true),"
    f" set_config('statement_timeout', '{STATEMENT_SECONDS}s', true),"
    f" set_config('idle_in_transaction_session_timeout', '{3 * STATEMENT_SECONDS}s', true)"
)
"""The limits of a transaction that was begun in a pipeline, where a message is one statement."""
BEGIN: tuple[tuple[str, Sequence[Any]], ...] = (("BEGIN", ()), (LIMITS, ()))
READ_ONLY = "25006"
CONNECTION_IS_OVER = ("57P", "08", "25P03")
"""Beginnings of SQLSTATEs: the server is going down or was replaced, the line is broken."""
POOLER_UNTOLD = ("26000", "42P05")
"""A prepared statement is missing or another's: a pooler stands between that the settings do not name."""


class BoundedConnection(psycopg.Connection[Any]):
    """Waits `patience_seconds` for an answer; then it is closed, and never spoken to again.

    What was asked may still be carried out: a COMMIT that was given up has an unknown outcome.
    """

    patience_seconds: float = ANSWER_SECONDS
    is_to_begin = False
    """Whether a transaction is to begin with the next statement, which takes BEGIN along."""

    def __del__(self, *_: Any) -> None:
        """Of a pool that was given up while this connection was in use, which so comes back to no pool."""
        if hasattr(self, "pgconn"):
            self.pgconn.finish()

    @property
    def in_transaction(self) -> bool:
        """The name that the driver of SQLite has for it."""
        return self.pgconn.transaction_status != TransactionStatus.IDLE

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.patience_seconds if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()
            raise psycopg.OperationalError("the database did not answer in time") from error

    def turn(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[list[tuple[Any, ...]]]:
        """Send all statements at once and wait once; the rows of each.

        After an error no further statement of the turn has had an effect. psycopg's own pipeline waits after
        each statement until it may send the next, and its cursors cost more than the statements: here are
        the parts below them, of the version that requirements.txt pins.
        """
        if self.is_to_begin:
            self.is_to_begin = False
            return self.turn([*BEGIN, *statements])[len(BEGIN) :]
        transformer = Transformer(self)
        asked = [_Asked.of(transformer, sql, values) for sql, values in statements]
        with self.lock:
            if self._prepared._to_flush:
                self.wait(self._prepared.maintain_gen(self))
            self.pgconn.enter_pipeline_mode()
            try:
                for one in asked:
                    one.send(self.pgconn, self._prepared)
                self.pgconn.pipeline_sync()
                results = self.wait(_results(self.pgconn))
            finally:
                if self.pgconn.status == ConnStatus.OK:
                    self.pgconn.exit_pipeline_mode()
            failures = [failure for one in asked if (failure := one.take(results, self._prepared))]
            if failures:
                raise psycopg.errors.error_from_result(failures[0], encoding=self.pgconn._encoding)
            return [one.rows(transformer) for one in asked]


class _Query(NamedTuple):
    """What psycopg's cache of prepared statements goes by."""

    query: bytes
    types: tuple[int, ...]


@dataclass
class _Asked:
    """A statement of a turn. One that comes often is prepared, as psycopg decides."""

    query: _Query
    parameters: Sequence[Any]
    formats: Sequence[Any]
    prepare: Prepare = Prepare.NO
    name: bytes = b""
    key: Any = None
    answer: PGresult | None = None

    @classmethod
    def of(cls, transformer: Any, sql: str, values: Sequence[Any]) -> "_Asked":
        parameters = transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
        return cls(
            _Query(_numbered(sql), tuple(transformer.types or ())), parameters, transformer.formats or ()
        )

    def send(self, pgconn: PGconn, prepared: PrepareManager) -> None:
        query: Any = self.query
        self.prepare, self.name = prepared.get(query, None)
        if self.prepare is Prepare.SHOULD:
            pgconn.send_prepare(self.name, *self.query)
        if self.prepare is Prepare.NO:
            pgconn.send_query_params(self.query.query, self.parameters, self.query.types, self.formats)
        else:
            pgconn.send_query_prepared(self.name, self.parameters, self.formats)
        self.key = prepared.maybe_add_to_cache(query, self.prepare, self.name)

    def take(self, results: deque[Sequence[PGresult]], prepared: PrepareManager) -> PGresult | None:
        """Take what came for it: the result that says that it failed, other than by an earlier one."""
        told = [*(results.popleft() if self.prepare is Prepare.SHOULD else ()), *results.popleft()]
        self.answer = told[-1]
        if self.key is not None:
            prepared.validate(self.key, self.prepare, self.name, told[-1:])
        return next((one for one in told if one.status == ExecStatus.FATAL_ERROR), None)

    def rows(self, transformer: Any) -> list[tuple[Any, ...]]:
        if self.answer is None or self.answer.status != ExecStatus.TUPLES_OK:
            return []
        transformer.set_pgresult(self.answer)
        found: list[tuple[Any, ...]] = transformer.load_rows(0, self.answer.ntuples, tuple)
        return found


@cache
def _numbered(sql: str) -> bytes:
    """The statement with $1, $2, … for each %s."""
    first, *rest = sql.split("%s")
    return "".join([first, *(f"${number}{part}" for number, part in enumerate(rest, 1))]).encode()


def _results(pgconn: PGconn) -> Generator[Any, Any, deque[Sequence[PGresult]]]:
    """Send what lies in the buffer, and gather all that comes until the server says that the turn is over."""
    yield from send(pgconn)
    results = deque[Sequence[PGresult]]()
    while True:
        more = yield from fetch_many(pgconn)
        if not more:
            raise psycopg.OperationalError("the database broke off its answer")
        if more[0].status == ExecStatus.PIPELINE_SYNC:
            return results
        results.append(more)


def postgres_engine(url: URL, pool_size: int, *, behind_pooler: bool) -> Engine:
    """Connections that begin their transactions themselves, as those of SQLite do."""
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_recycle=RECYCLE_SECONDS,
        hide_parameters=True,
        use_native_hstore=False,  # a question at the first connect, about a type that no table has
        connect_args=_connect_arguments(url, behind_pooler),
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "before_cursor_execute", _begin_alone)
    event.listen(engine, "checkout", _look_alive)
    event.listen(engine, "handle_error", _doubt)
    return engine


def driver_of(connection: Connection) -> BoundedConnection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, BoundedConnection)  # noqa: S101 (made by _connect)
    return driver


def _connect_arguments(url: URL, behind_pooler: bool) -> dict[str, Any]:
    """What the URL says itself comes first, but for autocommit and encoding, on which this code relies."""
    ours: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        # A demoted server accepts connections too.
        "target_session_attrs": "read-write",
        # A server that vanished without a word is noticed in seconds, not in a quarter of an hour.
        "tcp_user_timeout": ANSWER_SECONDS * 1000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
    }
    arguments = {name: value for name, value in ours.items() if name not in url.query}
    arguments |= {"autocommit": True, "client_encoding": "UTF8"}
    if behind_pooler:
        arguments["prepare_threshold"] = None
    return arguments


def _connect(_dialect: object, _record: object, arguments: Any, parameters: Any) -> BoundedConnection:
    connection = BoundedConnection.connect(*arguments, **parameters)
    if connection.prepare_threshold is not None:
        connection.prepared_max = STATEMENTS_KEPT
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        connection.close()
        raise WrongEncoding(
            f"The database's encoding is {encoding}, and names need UTF8: make one with"
            " CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL"
        )
    return connection


def _begin(connection: Connection) -> None:
    """Nothing is sent yet: a turn takes BEGIN along, and before any other statement it goes alone."""
    driver_of(connection).is_to_begin = True


def _begin_alone(connection: Connection, *_: object) -> None:
    driver = driver_of(connection)
    if driver.is_to_begin:
        driver.is_to_begin, driver.patience_seconds = False, BEGIN_SECONDS
        connection.exec_driver_sql(
            f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s';"
            f" SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s';"
            f" SET LOCAL idle_in_transaction_session_timeout = '{3 * STATEMENT_SECONDS}s'"
        )
        driver.patience_seconds = ANSWER_SECONDS


def _look_alive(driver: Any, _record: object, _pooled: object) -> None:
    """Where the server has ended a connection of the pool, all of them are replaced."""
    if not is_alive(driver):
        raise InvalidatePoolError
    driver.is_to_begin = False


def _doubt(context: ExceptionContext) -> None:
    """After such an error no pooled connection is used again: all led to the same server."""
    error = context.original_exception
    if context.connection and getattr(error, "sqlstate", None) and leads_nowhere(error):
        context.is_disconnect = True


def is_alive(driver: Any) -> bool:
    """Whether the server has left this connection open while it lay in the pool; waits for nothing."""
    try:
        for _ in range(2):  # the server's last word, then the end of the line
            driver.pgconn.consume_input()
    except psycopg.Error:
        return False
    return not driver.closed


def leads_nowhere(error: BaseException | None) -> bool:
    """The connection is broken, or its server is not the primary any more."""
    state = getattr(error, "sqlstate", None)
    return state is None or state.startswith((READ_ONLY, *CONNECTION_IS_OVER, *POOLER_UNTOLD))
