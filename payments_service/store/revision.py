"""Of which version the tables are, told without Alembic, which is a quarter of every start."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

VERSION_TABLE = "payments_service_version"
"""Not Alembic's own name, so that a database shared with another application stays in peace."""
VERSIONS = Path(__file__).parent / "migrations" / "versions"
REVISIONS = sorted(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
HEAD = REVISIONS[-1]
HOW = "run: flask --app wsgi db upgrade"


def current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return revision


def what_is_missing(revision: str | None) -> str | None:
    """What to do before the tables can be used, or None.

    Newer tables can: a change of them is made so that the version before it still works (rolling restarts).
    """
    if revision is None:
        return f"The database has no payment tables yet; {HOW}"
    if revision in REVISIONS[:-1]:
        return f"The database is at {revision}, this version needs {HEAD}; {HOW}"
    return None
