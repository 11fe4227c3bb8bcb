"""The ledger by plain SQL: shares no code with the package, so that it can judge it."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
TABLES = (
    "payments",
    "payment_orders",
    "payment_attempts",
    "payment_webhooks",
    "payment_events",
    "payment_references",
    "payment_reviews",
    "refunds",
    "outbox",
    "idempotency_keys",
    "alerts",
)
JSON_COLUMNS = ("headers", "evidence", "detail", "metadata", "checkout")
ID_COLUMNS = ("id", "payment_id", "order_id", "attempt_id", "paid_by")


class Books:
    def __init__(self, url: str) -> None:
        self._is_sqlite = url.startswith("sqlite")
        self._connection: Any
        if self._is_sqlite:
            path = url.removeprefix("sqlite:///")
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
        else:
            plain = urlsplit(url)._replace(scheme="postgresql").geturl()
            self._connection = psycopg.connect(plain, autocommit=True, row_factory=dict_row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, sql: str) -> list[Row]:
        return [_plain(dict(row)) for row in self._connection.execute(sql).fetchall()]

    def number(self, sql: str) -> int:
        [row] = self._connection.execute(sql).fetchall()
        return int(next(iter(dict(row).values())))

    def everything(self) -> dict[str, list[Row]]:
        return {table: self.rows(f"SELECT * FROM {table}") for table in TABLES}

    def let_waits_end(self) -> None:
        """What waits is due now. Only while nobody works: a moment that was set is also a lease."""
        now = _now()
        text = self._text(now)
        far = now + timedelta(days=1000)
        limit = far.strftime("%Y-%m-%d") if self._is_sqlite else far.isoformat()
        for table, column, more in (
            ("payments", "next_check_at", ""),
            ("refunds", "next_check_at", ""),
            ("payment_webhooks", "next_try_at", ""),
            ("outbox", "next_try_at", " AND state = 'pending'"),
        ):
            waits = f"{column} > '{text}' AND {column} < '{limit}'{more}"
            self._connection.execute(f"UPDATE {table} SET {column} = '{text}' WHERE {waits}")

    def payments_left(self, calm_at: datetime, day: timedelta) -> int:
        """Payments that are not followed to their end yet.

        One that waits for a person is asked about daily for sixty days: it is at its end when the gateway
        was asked since the storm, and is to be asked again in a day.
        """
        planned = f"next_check_at > '{self._text(calm_at)}' AND next_check_at <= '{self._text(_now() + day)}'"
        with_a_person = f"status <> 'completed' AND review IS NOT NULL AND {planned}"
        watched = f"next_check_at IS NOT NULL AND NOT ({with_a_person})"
        return self.number(f"SELECT count(*) FROM payments WHERE {watched}")

    def _text(self, moment: datetime) -> str:
        return moment.strftime("%Y-%m-%d %H:%M:%S.%f") if self._is_sqlite else moment.isoformat()


def _now() -> datetime:
    return datetime.now(UTC)


def _plain(row: Row) -> Row:
    for name, value in row.items():
        if name in ID_COLUMNS and value is not None:
            row[name] = str(value).replace("-", "") if len(str(value)) in (32, 36) else value
        elif name in JSON_COLUMNS and isinstance(value, str):
            row[name] = json.loads(value)
        elif isinstance(value, str) and name.endswith("_at"):
            row[name] = datetime.fromisoformat(value).replace(tzinfo=UTC)
        elif isinstance(value, memoryview):
            row[name] = bytes(value)
    return row


def is_migrated(url: str) -> bool:
    with Books(url) as books:
        try:
            books.number("SELECT count(*) FROM payments_service_version")
        except (sqlite3.OperationalError, psycopg.errors.UndefinedTable):
            return False
    return True
