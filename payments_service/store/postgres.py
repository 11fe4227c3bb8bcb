"""PostgreSQL: every wait for it ends on our side, and a connection whose server is in doubt is thrown away.

Nothing here needs a setting at connect, which a pooler would refuse: limits travel with BEGIN, in one
message, and hold for that transaction on the server connection that the pooler gave it.
"""

from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event

from payments_service.domain.errors import WrongEncoding

POOL_WAIT_SECONDS = 5
CONNECT_SECONDS = 4
BEGIN_SECONDS = 4
LOCK_SECONDS = 8
STATEMENT_SECONDS = 10
ANSWER_SECONDS = 12
"""Longer than the server itself lets a statement take, so that a server which lives has the word."""
RECYCLE_SECONDS = 300

LIMITS = (
    f"SELECT set_config('lock_timeout', '{LOCK_SECONDS}s', true),"
    f" set_config('statement_timeout', '{STATEMENT_SECONDS}s', true),"
    f" set_config('idle_in_transaction_session_timeout', '{3 * STATEMENT_SECONDS}s', true)"
)
"""The limits of a transaction that was begun in a pipeline, where a message is one statement."""
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

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.patience_seconds if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()
            raise psycopg.OperationalError("the database did not answer in time") from error

    def turn(self, statements: Sequence[tuple[str, Any]]) -> list[psycopg.Cursor[Any]]:
        """Send all statements at once and wait once: a pipeline, without the second wait that its end costs.

        After an error no further statement of the turn has had an effect. Uses what psycopg's own pipeline is
        made of, for the version that requirements.txt pins.
        """
        cursors = [self.cursor() for _ in statements]
        pipeline = psycopg.Pipeline(self)
        with self.lock:
            self.pgconn.enter_pipeline_mode()
            self._pipeline = pipeline
            try:
                self.wait(_sending(pipeline, cursors, statements))
            except psycopg.Error:
                if self.pgconn.status == psycopg.pq.ConnStatus.OK:
                    with suppress(psycopg.Error):
                        self.wait(pipeline._fetch_gen(flush=False))
                raise
            finally:
                self._pipeline = None
                if self.pgconn.status == psycopg.pq.ConnStatus.OK:
                    self.pgconn.exit_pipeline_mode()
        return cursors


def _sending(
    pipeline: psycopg.Pipeline, cursors: Sequence[psycopg.Cursor[Any]], statements: Sequence[tuple[str, Any]]
) -> Generator[Any, Any, None]:
    for cursor, (sql, values) in zip(cursors, statements, strict=True):
        yield from cursor._start_query(sql)
        query = cursor._convert_query(sql, values)
        yield from cursor._maybe_prepare_gen(query)
    yield from pipeline._sync_gen()


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
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        connection.close()
        raise WrongEncoding(
            f"The database's encoding is {encoding}, and names need UTF8: make one with"
            " CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL"
        )
    return connection


def _begin(connection: Connection) -> None:
    """The first message also shows whether a pooled connection still lives, so it is waited for less long."""
    driver = driver_of(connection)
    driver.patience_seconds = BEGIN_SECONDS
    connection.exec_driver_sql(
        f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s';"
        f" SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s';"
        f" SET LOCAL idle_in_transaction_session_timeout = '{3 * STATEMENT_SECONDS}s'"
    )
    driver.patience_seconds = ANSWER_SECONDS


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
