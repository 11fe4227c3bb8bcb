"""Alerts: trouble that a person should look at; the same trouble is one row while it is open."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.ledger.tables import Alert


def open_once(
    session: Session, code: str, subject: str, detail: dict[str, Any], now: datetime
) -> UUID | None:
    """The new alert's id, or None when the same code and subject are open already."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = {"id": uuid7(), "code": code, "subject": subject, "detail": detail, "created_at": now}
    opened = insert(Alert).values(row).on_conflict_do_nothing().returning(Alert.id)
    return session.execute(opened).scalar_one_or_none()


def all_open(session: Session) -> list[Alert]:
    return list(session.scalars(select(Alert).where(Alert.cleared_at.is_(None)).order_by(Alert.created_at)))


def close(session: Session, alert_id: UUID, now: datetime) -> bool:
    """Whether there was an open one of this id."""
    opened = update(Alert).where(Alert.id == alert_id, Alert.cleared_at.is_(None)).values(cleared_at=now)
    return cast("CursorResult[object]", session.execute(opened)).rowcount == 1
