"""What a unit of work spends at the database: turns on the wire, waits for locks and for the pool."""

import re
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from sqlalchemy import Connection, Engine, event

from payments_service import logs

WAITS_FOR_A_LOCK = re.compile(r"FOR (NO KEY )?(UPDATE|SHARE)|pg_advisory|BEGIN IMMEDIATE", re.I)
"""Statements that first wait until a row, a name or the place of the writer is free. All their time counts as
waiting, which is a little too much where nothing stood in the way."""


def measure(engine: Engine) -> None:
    """From now on, tell the unit that runs what its statements cost; nothing is kept between units."""
    event.listen(engine, "before_cursor_execute", _begins)
    event.listen(engine, "after_cursor_execute", _ended)
    event.listen(engine, "handle_error", _failed)
    dialect: Any = engine.dialect
    dialect.do_commit = _of_a_transaction(dialect.do_commit, roundTrips=1, commits=1)
    dialect.do_rollback = _of_a_transaction(dialect.do_rollback, roundTrips=1)
    _watch_pool(engine)
    event.listen(engine, "engine_disposed", _watch_pool)  # its pool is another one from now on


def turn(run: Callable[..., Any]) -> Callable[..., Any]:
    """The same `run` of a Wire, told as one round trip; statements of a turn are not timed apart."""

    @wraps(run)
    def timed(wire: Any, statements: Sequence[Any]) -> Any:
        began = time.perf_counter()
        try:
            return run(wire, statements)
        finally:
            seconds = time.perf_counter() - began
            commits = sum(one.sql.startswith("COMMIT") for one in statements)
            logs.spent("database", seconds, roundTrips=1, commits=commits)
            if any("FOR NO KEY UPDATE" in one.sql or one.sql == "BEGIN IMMEDIATE" for one in statements):
                logs.spent("lock", seconds)

    return timed


def _begins(connection: Connection, *_: object) -> None:
    connection.info["began"] = time.perf_counter()


def _ended(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
    began = connection.info.pop("began", None)
    if began is None:
        return
    seconds = time.perf_counter() - began
    logs.spent("database", seconds, roundTrips=1)
    if WAITS_FOR_A_LOCK.search(statement):
        logs.spent("lock", seconds)


def _failed(context: Any) -> None:
    if (
        context.connection is not None
        and context.statement is not None
        and not context.connection.invalidated
    ):
        _ended(context.connection, None, context.statement)


def _watch_pool(engine: Engine) -> None:
    pool: Any = engine.pool
    pool.connect = _timed(pool.connect, where="pool")


def _of_a_transaction(call: Callable[..., Any], **counts: int) -> Callable[..., Any]:
    """Timed where there is something to end; what a turn has committed costs nothing more."""
    timed = _timed(call, "database", **counts)
    return lambda driver: timed(driver) if driver.in_transaction else call(driver)


def _timed(call: Callable[..., Any], where: str = "database", **counts: int) -> Callable[..., Any]:
    def timed(*args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args, **options)
        finally:
            logs.spent(where, time.perf_counter() - began, **counts)

    return timed
