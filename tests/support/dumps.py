"""Databases as they were at older revisions, with rows of every state: tests/fixtures/databases."""

import sqlite3
from pathlib import Path

import psycopg
from sqlalchemy import make_url

FOLDER = Path(__file__).parents[1] / "fixtures" / "databases"
REVISIONS = sorted({path.stem.split("-")[1] for path in FOLDER.glob("*.sql")})


def load(url: str, revision: str) -> None:
    """Fill an empty database with the dump of this revision."""
    address = make_url(url)
    if address.drivername == "sqlite":
        assert address.database is not None
        connection = sqlite3.connect(address.database)
        connection.executescript((FOLDER / f"sqlite-{revision}.sql").read_text())
        connection.close()
        return
    plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as dumped:
        dumped.execute((FOLDER / f"postgresql-{revision}.sql").read_bytes())
