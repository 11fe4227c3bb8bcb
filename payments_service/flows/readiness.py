"""Whether this process can do its work now: the database answers, and its tables are of this version."""

from dataclasses import dataclass

from sqlalchemy import text

from payments_service.domain.errors import NotMigrated, StoreUnavailable
from payments_service.store import revision, trouble
from payments_service.store.db import Database


@dataclass(frozen=True)
class Readiness:
    is_ready: bool
    database: str
    """ok, not_migrated, or the kind of trouble (store/trouble.py)."""


def readiness(db: Database) -> Readiness:
    """Ask the database once; within the seconds that any wait for it may take."""
    try:
        with db.read() as session:
            session.execute(text("SELECT 1"))
            missing = revision.what_is_missing(revision.current(session.connection()))
    except NotMigrated:
        return Readiness(is_ready=False, database="not_migrated")
    except StoreUnavailable as error:
        kind = trouble.facts(error.__cause__)["kind"] if error.__cause__ else "unreachable"
        return Readiness(is_ready=False, database=kind)
    return Readiness(is_ready=missing is None, database="not_migrated" if missing else "ok")
