"""Databases that are empty, or of an older revision with rows of every state."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from payments_service.store.db import Database
from tests.support import dumps

_numbers = count(1)


@pytest.fixture
def empty_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'payments.db'}"
    make: Callable[[str], str] = request.getfixturevalue("postgres_database")
    return make(f"ledger_{next(_numbers)}")


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    database = Database(empty_url)
    yield database
    database.engine.dispose()


@pytest.fixture(params=dumps.REVISIONS)
def old(empty: Database, empty_url: str, request: pytest.FixtureRequest) -> Database:
    """One that is still at an older revision (or was dumped at the current one)."""
    dumps.load(empty_url, request.param)
    return empty
