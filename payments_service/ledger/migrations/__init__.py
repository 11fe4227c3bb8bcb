"""Alembic, driven from code: no alembic.ini, the engine is the service's own."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.schema import SchemaItem

from payments_service.ledger.db import Database
from payments_service.ledger.tables import Base

VERSION_TABLE = "payments_service_version"
"""Not Alembic's own name, so that a database shared with another application stays in peace."""


def upgrade(database: Database) -> str:
    """Bring the tables to the newest version, and say which that is."""
    with database.engine.begin() as connection:
        config = _config(connection)
        command.upgrade(config, "head")
        return current(connection) or "nothing"


def current(connection: Connection) -> str | None:
    return MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE}
    ).get_current_revision()


def difference(database: Database) -> list[object]:
    """What the tables in code have that the database has not, or otherwise; empty when they agree."""
    with database.engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "include_object": is_ours}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


def is_ours(
    _item: SchemaItem, name: str | None, kind: str, reflected: bool, _compared_to: SchemaItem | None
) -> bool:
    """Leave tables alone that are in the database but not in our code."""
    return not (kind == "table" and reflected and name not in Base.metadata.tables)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
