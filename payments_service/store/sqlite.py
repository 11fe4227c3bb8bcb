"""SQLite: one writer at a time, who takes that place at once (BEGIN IMMEDIATE).

A writer that read first would find the place taken when it wants to write.
"""

import sqlite3
import sys
import time

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy import Connection as Begun
from sqlalchemy.exc import OperationalError

BUSY_SECONDS = 10
"""For the writer's place that another process holds; then 503."""
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.001, 0.02
"""Between two tries for the writer's place, doubled from the one to the other."""
PRIMARY = 0xFF
"""The bits of a result code that say what it is; the others say of which kind (busy: recovering)."""
POOL_WAIT_SECONDS = 5
"""For a connection while all are in use; then 503."""
WAL_BYTES = 64 * 1024 * 1024
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    # INSERT OR REPLACE deletes rows; only so do the triggers that guard the history hear of it.
    "recursive_triggers=ON",
    "wal_autocheckpoint=1000",
    f"journal_size_limit={WAL_BYTES}",
)


class Connection(sqlite3.Connection):
    """Waits for the disk beside other greenlets: SQLite does so in C, which would stop all of them."""

    is_writing = False
    """Whether it has the writer's place: only its COMMIT waits for the disk."""

    def commit(self) -> None:
        is_writing, self.is_writing = self.is_writing, False
        if is_writing and self.in_transaction and _runs_greenlets():
            from gevent import get_hub  # type: ignore[import-untyped]

            get_hub().threadpool.apply(super().commit)
        else:
            super().commit()


def _runs_greenlets() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("threading")


def sqlite_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": 0, "check_same_thread": False, "factory": Connection},
        pool_timeout=POOL_WAIT_SECONDS,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins too late; we say BEGIN ourselves
    for pragma in PRAGMAS:
        _execute_when_free(connection, f"PRAGMA {pragma}")


def _begin(connection: Begun) -> None:
    if connection.get_execution_options().get("payments_read_only"):
        connection.exec_driver_sql("BEGIN")
        return
    driver = connection.connection.driver_connection
    assert isinstance(driver, Connection)  # noqa: S101 (the engine is SQLite's)
    try:
        begin_immediate(driver)
    except sqlite3.OperationalError as error:
        raise OperationalError("BEGIN IMMEDIATE", None, error) from error


def begin_immediate(connection: Connection) -> None:
    """Take the writer's place. SQLite's own wait for it would stop every greenlet of the process."""
    _execute_when_free(connection, "BEGIN IMMEDIATE")
    connection.is_writing = True


def _execute_when_free(connection: sqlite3.Connection, statement: str) -> None:
    """Execute it again while another process writes, makes a file WAL, or recovers it after a `kill -9`."""
    ends, pause = time.monotonic() + BUSY_SECONDS, SHORTEST_PAUSE_SECONDS
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            return
