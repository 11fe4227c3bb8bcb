"""Alerts: trouble that a person should look at; the same trouble is one row while it is open."""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.domain.payment import AlertChange
from payments_service.store.db import changed_rows, insert_once
from payments_service.store.tables import Alert, Event
from payments_service.store.transaction import Transaction


def open_once(
    session: Session, code: str, subject: str, detail: dict[str, Any], now: datetime
) -> UUID | None:
    """The new alert's id, or None when the same code and subject are open already."""
    alert_id: UUID = uuid7()
    is_new = insert_once(
        session, Alert, None, id=alert_id, code=code, subject=subject, detail=detail, created_at=now
    )
    return alert_id if is_new else None


def all_open(session: Session) -> list[Alert]:
    return list(session.scalars(select(Alert).where(Alert.cleared_at.is_(None)).order_by(Alert.created_at)))


def the_open(session: Session, code: str, subject: str) -> Alert | None:
    about = (Alert.code == code, Alert.subject == subject)
    return session.scalars(select(Alert).where(*about, Alert.cleared_at.is_(None))).one_or_none()


def the_last(session: Session, code: str, subject: str) -> Alert | None:
    """Open or cleared."""
    about = select(Alert).where(Alert.code == code, Alert.subject == subject)
    return session.scalars(about.order_by(Alert.created_at.desc()).limit(1)).one_or_none()


def close(session: Session, alert_id: UUID, now: datetime) -> bool:
    """Whether there was an open one of this id."""
    opened = update(Alert).where(Alert.id == alert_id, Alert.cleared_at.is_(None)).values(cleared_at=now)
    return changed_rows(session, opened) == 1


def change(session: Transaction, told: AlertChange, now: datetime) -> None:
    """Open or end an alert that a decision speaks of."""
    if told.detail is None:
        if (alert := the_open(session, told.code, told.subject)) is not None:
            close(session, alert.id, now)
            about = {"alertId": alert.id, "code": told.code, "subject": told.subject}
            session.say(__name__, logging.WARNING, "Alert over", about)
    elif (alert_id := open_once(session, told.code, told.subject, told.detail, now)) is not None:
        about = {"alertId": alert_id, "code": told.code, "subject": told.subject, **told.detail}
        session.say(__name__, logging.ERROR, "Alert", about)


def open_of(session: Session, code: str) -> list[Alert]:
    """Every open one of this code."""
    return list(session.scalars(select(Alert).where(Alert.code == code, Alert.cleared_at.is_(None))))


def is_told(session: Session, fact: str) -> bool:
    """Whether there is an event of this fact."""
    return session.scalars(select(Event.id).where(Event.fact == fact)).first() is not None
