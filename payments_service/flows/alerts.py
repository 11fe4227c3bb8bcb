"""Alarms: what a person must look at beside single payments, told once while it lasts."""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain.clock import Clock
from payments_service.store import alerts, outbox

log = logging.getLogger(__name__)


def raise_alert(
    session: Session,
    code: str,
    subject: str,
    detail: dict[str, Any],
    clock: Clock,
    *,
    at_most_every: timedelta = timedelta(0),
) -> bool:
    """Open an alert and tell merchant and operator; whether it is news (the same trouble may be open).

    `detail` is JSON without personal data. `at_most_every` is for trouble that comes and goes: within it,
    the same is not told again although it was over meanwhile. The alert commits with the caller's
    transaction; alerts come last in it, after every other lock.
    """
    now = clock.now()
    if at_most_every and alerts.opened_since(session, code, subject, now - at_most_every):
        return False
    alert_id = note(session, code, subject, detail, clock)
    if alert_id is None:
        return False
    told = [d for d in session.info.get("destinations", ()) if d in (outbox.MERCHANT, outbox.OPERATOR)]
    outbox.put(
        session,
        told,
        fact=fact(alert_id),
        event_type="ops.alert",
        payment_id=None,
        data={"id": str(alert_id), "code": code, "subject": subject, "detail": detail},
        now=now,
    )
    return True


def note(session: Session, code: str, subject: str, detail: dict[str, Any], clock: Clock) -> UUID | None:
    """Open an alert that is told in another way; None when the same is open."""
    alert_id = alerts.open_once(session, code, subject, detail, clock.now())
    if alert_id is not None:
        log.error("Alert", extra={"data": {"alertId": alert_id, "code": code, "subject": subject, **detail}})
    return alert_id


def end(session: Session, code: str, subject: str, clock: Clock) -> bool:
    """Close an alert whose trouble is over; whether it was open."""
    alert = alerts.the_open(session, code, subject)
    if alert is None or not alerts.close(session, alert.id, clock.now()):
        return False
    log.warning("Alert over", extra={"data": {"alertId": alert.id, "code": code, "subject": subject}})
    return True


def fact(alert_id: UUID) -> str:
    """Under which an alert stands in the outbox."""
    return f"ops.alert:{alert_id}"
