"""PostgreSQL databases that one test after the other uses: emptied in between, for one is slow to make.

A database whose tables a test has changed is dropped.
"""

from itertools import count

import psycopg
from psycopg import sql

SHAPE = """
SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
    SELECT format('%s %s %s %s %s', relname, attname, atttypid, attnotnull, relkind) AS line
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0
    UNION ALL SELECT format('trigger %s %s', tgrelid::regclass, tgname) FROM pg_trigger
    UNION ALL SELECT format('constraint %s %s', conrelid::regclass, conname)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT format('schema %s', nspname) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
    UNION ALL SELECT format('revision %s', version_num) FROM payments_service_version
    UNION ALL SELECT format('setting %s', setconfig) FROM pg_db_role_setting
) AS shape
"""
TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'payments_service_version'
"""
OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class RecycledDatabases:
    """Of one server, to which `url` (libpq's) leads; `template` is a migrated database there."""

    def __init__(self, url: str, template: str) -> None:
        self._url, self._template = url, template
        self._numbers, self._free = count(1), list[str]()
        with psycopg.connect(self._of(template)) as connection:
            self._shape = _shape(connection)

    def take(self) -> str:
        """The name of an empty database."""
        if self._free:
            return self._free.pop()
        name = f"test_{next(self._numbers)}"
        self._on_server(sql.SQL("CREATE DATABASE {} TEMPLATE {}"), name, self._template)
        return name

    def give_back(self, name: str) -> None:
        try:
            is_as_before = self._empty(name)
        except psycopg.Error:
            is_as_before = False
        if is_as_before:
            self._free.append(name)
        else:
            self._on_server(sql.SQL("DROP DATABASE {} WITH (FORCE)"), name)

    def _empty(self, name: str) -> bool:
        """Whether it can be used again: then it is as the template."""
        with psycopg.connect(self._of(name)) as connection:
            connection.execute(OTHERS)
            if _shape(connection) != self._shape:
                return False
            connection.execute("SET session_replication_role = replica")  # the history refuses to be emptied
            tables = [sql.Identifier(row[0]) for row in connection.execute(TABLES)]
            asked = [sql.SQL("EXISTS (SELECT 1 FROM {})").format(table) for table in tables]
            found = connection.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(asked))).fetchone()
            filled = [table for table, is_filled in zip(tables, found or (), strict=True) if is_filled]
            if filled:
                rest = sql.SQL(", ").join(filled)
                connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(rest))
        return True

    def _on_server(self, statement: sql.SQL, *names: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement.format(*map(sql.Identifier, names)))

    def _of(self, name: str) -> str:
        return self._url.replace("/postgres", f"/{name}")


def _shape(connection: psycopg.Connection) -> str:
    [shape] = connection.execute(SHAPE).fetchone() or ("",)
    return str(shape)
