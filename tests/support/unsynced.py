"""SQLite without waiting for the disk: a test's database need not outlive its machine, as PostgreSQL's
(`fsync=off`, tests.support.postgres)."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import Pool

_spared = [True]


def spare_the_disk() -> None:
    """For all engines of this process, whatever they were set to."""
    event.listen(Pool, "checkout", _do_not_wait)


@contextmanager
def waiting_for_the_disk() -> Iterator[None]:
    """As in production, for a test that looks whether it is so."""
    _spared[0] = False
    yield
    _spared[0] = True


def _do_not_wait(connection: Any, *_: object) -> None:
    if _spared[0] and isinstance(connection, sqlite3.Connection) and not connection.in_transaction:
        connection.execute("PRAGMA synchronous=OFF")
