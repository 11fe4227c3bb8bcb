"""SQL of the hot paths in each database's words: many rows in one statement, many statements in one turn.

A turn is one wait for the server. PostgreSQL takes rows as one JSON parameter, so that a statement is the
same text for one row or for sixty; SQLite, which has no network between, takes them one by one.
"""

import json
import sqlite3
from base64 import b64encode
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import cached_property
from types import NoneType
from typing import Any, NamedTuple, get_args, get_type_hints
from uuid import UUID

import orjson
import psycopg
from sqlalchemy.orm import Session

from payments_service.store import sqlite
from payments_service.store.measure import turn
from payments_service.store.postgres import BoundedConnection

Row = tuple[Any, ...]
BEGIN_IMMEDIATE = "BEGIN IMMEDIATE"
SQL_TYPES = {
    UUID: "uuid",
    datetime: "timestamptz",
    dict: "json",
    int: "bigint",
    bool: "boolean",
    bytes: "text",
}


class Statement(NamedTuple):
    sql: str
    values: Any
    many: bool = False
    """SQLite: `values` are rows, one execution each."""


COMMIT = Statement("COMMIT", ())


class Table:
    """A table as a dataclass mirrors it: every field is a column."""

    def __init__(self, name: str, kind: type, *, key: str = "id", fixed: Collection[str] = ()) -> None:
        """`fixed` are columns that no update changes."""
        self.name, self.kind, self.key = name, kind, key
        self.columns = [field.name for field in fields(kind)]
        self.changing = [column for column in self.columns if column not in {key, *fixed}]
        hints = get_type_hints(kind)
        self.types = [_plain(hints[column]) for column in self.columns]
        self._decoders = [_SQLITE_DECODERS.get(kind) for kind in self.types]

    @cached_property
    def selected(self) -> str:
        return ", ".join(f"{self.name}.{column}" for column in self.columns)

    @cached_property
    def _recordset(self) -> str:
        return ", ".join(
            f"{column} {SQL_TYPES.get(kind, 'text')}"
            for column, kind in zip(self.columns, self.types, strict=True)
        )

    def row(self, values: Row) -> Any:
        """Of PostgreSQL, whose driver makes values by itself; moments are made UTC."""
        return self.kind(*(v.astimezone(UTC) if isinstance(v, datetime) else v for v in values))

    def sqlite_row(self, values: Row) -> Any:
        pairs = zip(self._decoders, values, strict=True)
        return self.kind(*(value if make is None or value is None else make(value) for make, value in pairs))

    def values(self, row: Any) -> dict[str, Any]:
        return {column: getattr(row, column) for column in self.columns}

    # ── statements ──

    @cached_property
    def postgres_insert(self) -> str:
        columns = ", ".join(self.columns)
        values = ", ".join(
            f"decode({column}, 'base64')" if kind is bytes else column
            for column, kind in zip(self.columns, self.types, strict=True)
        )
        return (
            f"INSERT INTO {self.name} ({columns})"
            f" SELECT {values} FROM jsonb_to_recordset(%s::jsonb) AS new({self._recordset})"
        )

    @cached_property
    def postgres_update(self) -> str:
        return self._postgres_update(f"jsonb_to_recordset(%s::jsonb) AS new({self._recordset})")

    @cached_property
    def postgres_update_one(self) -> str:
        """PostgreSQL expects a hundred rows of such a parameter, for which it reads a small table whole."""
        rows = f"jsonb_to_recordset(%s::jsonb) AS rows({self._recordset})"
        return self._postgres_update(f"(SELECT * FROM {rows} LIMIT 1) AS new")

    def _postgres_update(self, new: str) -> str:
        changes = ", ".join(f"{column} = new.{column}" for column in self.changing)
        return f"UPDATE {self.name} SET {changes} FROM {new} WHERE {self.name}.{self.key} = new.{self.key}"

    @cached_property
    def sqlite_insert(self) -> str:
        marks = ", ".join(f":{column}" for column in self.columns)
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES ({marks})"

    @cached_property
    def sqlite_update(self) -> str:
        changes = ", ".join(f"{column} = :{column}" for column in self.changing)
        return f"UPDATE {self.name} SET {changes} WHERE {self.key} = :{self.key}"


class Postgres:
    """A connection of psycopg: a turn is one pipeline."""

    is_sqlite = False
    lock = " FOR NO KEY UPDATE"
    skip_locked = " FOR NO KEY UPDATE SKIP LOCKED"
    conflicts: tuple[type[Exception], ...] = (psycopg.errors.UniqueViolation,)

    def __init__(self, connection: BoundedConnection) -> None:
        self._connection = connection

    @staticmethod
    def among(column: str) -> str:
        return f"{column} = ANY(%s)"

    @staticmethod
    def array(values: Iterable[Any]) -> Any:
        return list(values)

    @staticmethod
    def read(table: Table, found: Sequence[Row]) -> list[Any]:
        return [table.row(values) for values in found]

    @staticmethod
    def insert(table: Table, rows: Sequence[Any], more: str = "") -> Statement:
        return Statement(table.postgres_insert + more, (_json(rows),))

    @staticmethod
    def update(table: Table, rows: Sequence[Any]) -> Statement:
        sql = table.postgres_update_one if len(rows) == 1 else table.postgres_update
        return Statement(sql, (_json(rows),))

    @staticmethod
    def value(value: Any) -> Any:
        return value

    @turn
    def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """All in one turn; the rows of each."""
        return self._connection.turn([one[:2] for one in statements])


class Sqlite:
    """A connection of sqlite3: there is no wire, so a turn is a row of calls."""

    is_sqlite = True
    lock = skip_locked = ""
    conflicts: tuple[type[Exception], ...] = (sqlite3.IntegrityError,)

    def __init__(self, connection: sqlite.Connection) -> None:
        self._connection = connection

    @staticmethod
    def among(column: str) -> str:
        return f"{column} IN (SELECT value FROM json_each(?))"

    @staticmethod
    def array(values: Iterable[Any]) -> Any:
        return json.dumps([value.hex if isinstance(value, UUID) else value for value in values])

    @staticmethod
    def read(table: Table, found: Sequence[Row]) -> list[Any]:
        return [table.sqlite_row(values) for values in found]

    @staticmethod
    def insert(table: Table, rows: Sequence[Any], more: str = "") -> Statement:
        return Statement(
            table.sqlite_insert + more, [_for_sqlite(table.values(row)) for row in rows], many=True
        )

    @staticmethod
    def update(table: Table, rows: Sequence[Any]) -> Statement:
        return Statement(table.sqlite_update, [_for_sqlite(table.values(row)) for row in rows], many=True)

    @staticmethod
    def value(value: Any) -> Any:
        return _sqlite_value(value)

    @turn
    def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        found: list[list[Row]] = []
        for one in statements:
            if one.sql == BEGIN_IMMEDIATE:
                sqlite.begin_immediate(self._connection)
                found.append([])
            elif one is COMMIT:
                self._connection.commit()
                found.append([])
            elif one.many:
                self._connection.executemany(one.sql, one.values)
                found.append([])
            else:
                found.append(self._connection.execute(one.sql.replace("%s", "?"), one.values).fetchall())
        return found


Wire = Postgres | Sqlite


def wire_of(driver: Any) -> Wire:
    return Sqlite(driver) if isinstance(driver, sqlite.Connection) else Postgres(driver)


def wire_in(session: Session) -> Wire:
    """Of a session's own transaction, with all that it has changed written."""
    session.flush()
    return wire_of(session.connection().connection.driver_connection)


def _plain(hint: Any) -> type:
    """The type beside None, and `dict` for a dict of anything."""
    kinds = (
        [kind for kind in get_args(hint) if kind is not NoneType] if NoneType in get_args(hint) else [hint]
    )
    kind = kinds[0]
    return dict if getattr(kind, "__origin__", None) is dict else kind


def _json(rows: Sequence[Any]) -> str:
    return orjson.dumps(rows, default=_encode).decode()


def _encode(value: Any) -> str:
    """What orjson does not write by itself: bytes, and ids of uuid6's own class."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _for_sqlite(values: dict[str, Any]) -> dict[str, Any]:
    """As SQLAlchemy's types write them, so that both read the same."""
    return {name: _sqlite_value(value) for name, value in values.items()}


def _sqlite_value(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value) if isinstance(value, str) else value


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


_SQLITE_DECODERS: dict[type, Any] = {UUID: UUID, datetime: _utc, dict: json.loads, bool: bool}
