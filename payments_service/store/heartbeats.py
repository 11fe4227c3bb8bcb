"""Heartbeats: one moment under each name."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from payments_service.store.db import insert_once
from payments_service.store.tables import Heartbeat

WORKER = "worker"
WATCH_BEGAN = "watch began"
"""When a service first looked for a worker here."""
REFUSED_SINCE = "webhooks refused: "
"""With the provider's name: since when, and no good one came after it."""


def last(session: Session, name: str) -> datetime | None:
    row = session.get(Heartbeat, name)
    return row.at if row else None


def begin_once(session: Session, name: str, now: datetime) -> bool:
    """Whether the name is new; an older moment stays."""
    return insert_once(session, Heartbeat, ["name"], name=name, at=now)


def beat(session: Session, name: str, now: datetime) -> None:
    if not begin_once(session, name, now):
        session.execute(update(Heartbeat).where(Heartbeat.name == name).values(at=now))
