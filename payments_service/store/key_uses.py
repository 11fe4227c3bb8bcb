"""When an API key was last used, to the hour: enough to know which of two may go."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from payments_service.store import heartbeats
from payments_service.store.tables import Heartbeat

PREFIX = "key used: "
"""With the key's name and the beginning of its digest: a key that is rotated keeps its name."""


def beat(session: Session, name: str, digest: str, now: datetime) -> None:
    heartbeats.beat(session, _name(name, digest), now.replace(minute=0, second=0, microsecond=0))


def last(session: Session, keys: Sequence[tuple[str, str]]) -> list[datetime | None]:
    """Of each (name, digest), in the same order."""
    names = [_name(*key) for key in keys]
    rows = session.execute(select(Heartbeat.name, Heartbeat.at).where(Heartbeat.name.in_(names)))
    found = {row.name: row.at for row in rows}
    return [found.get(name) for name in names]


def _name(name: str, digest: str) -> str:
    return f"{PREFIX}{name} {digest[:8]}"
