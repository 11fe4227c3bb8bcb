"""Alerts: trouble that a person should look at; the same trouble is one row while it is open."""

from datetime import datetime
from typing import Any
from uuid import UUID

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
