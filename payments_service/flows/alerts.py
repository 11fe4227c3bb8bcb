"""Alarms: what a person must look at beside single payments, told once while it lasts."""

import logging
from typing import Any

from sqlalchemy.orm import Session

from payments_service.clock import Clock
from payments_service.ledger import alerts, outbox

log = logging.getLogger(__name__)


def raise_alert(session: Session, code: str, subject: str, detail: dict[str, Any], clock: Clock) -> bool:
    """Open an alert and tell merchant and operator; whether it is news (the same trouble may be open).

    `detail` is JSON without personal data. It commits with the caller's transaction; alerts come last
    in it, after every other lock.
    """
    now = clock.now()
    alert_id = alerts.open_once(session, code, subject, detail, now)
    if alert_id is None:
        return False
    log.error("Alert", extra={"data": {"alertId": alert_id, "code": code, "subject": subject, **detail}})
    told = [d for d in session.info.get("destinations", ()) if d in (outbox.MERCHANT, outbox.OPERATOR)]
    outbox.put(
        session,
        told,
        fact=f"ops.alert:{alert_id}",
        event_type="ops.alert",
        payment_id=None,
        data={"id": str(alert_id), "code": code, "subject": subject, "detail": detail},
        now=now,
    )
    return True
