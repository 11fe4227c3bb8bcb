"""Alarms: what a person must look at beside single payments, told once while it lasts, and daily after
that."""

import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from payments_service.domain.alarms import ALARMS, REMINDED_EVERY
from payments_service.domain.clock import LEAP, Clock
from payments_service.domain.facts import ALERT
from payments_service.domain.states import AlertCode
from payments_service.store import alerts, heartbeats, outbox
from payments_service.store.tables import Alert
from payments_service.store.transaction import Transaction

REMINDED = frozenset(alarm.code for alarm in ALARMS)
"""Alerts that end by themselves, so that an open one is trouble that lasts; others are told once."""
FOUND_AGAIN = REMINDED - {AlertCode.EVENT_UNDELIVERED} | {
    AlertCode.CAPTURE_FAILS,
    AlertCode.CAPTURE_ENDS,
    AlertCode.DISPUTE_UNCONFIRMED,
}
"""Alerts that every look raises while the trouble lasts: one that is dismissed stays closed for a day."""


def raise_alert(
    session: Transaction,
    code: str,
    subject: str,
    detail: dict[str, Any],
    clock: Clock,
    *,
    at_most_every: timedelta = timedelta(0),
) -> bool:
    """Open an alert and tell merchant and operator; whether it is told now (the same trouble may be open).

    Nothing is opened while a person knows of it. `detail` is JSON without personal data. `at_most_every` is
    for trouble that comes and goes: each time opens an alert, which is told when the last telling was so long
    ago. The alert commits with the caller's transaction; alerts come last in it, after every other lock.
    """
    if is_dismissed(session, code, subject, clock):
        return False
    alert_id = note(session, code, subject, detail, clock)
    if at_most_every:
        alert_id = _to_be_told(session, code, subject, at_most_every, clock)
    if alert_id is None:
        return False
    _tell(session, fact(alert_id), alert_id, code, subject, detail, clock)
    return True


def _to_be_told(
    session: Transaction, code: str, subject: str, at_most_every: timedelta, clock: Clock
) -> UUID | None:
    """The open alert, unless it was told, or one like it a short time ago."""
    told_last = heartbeats.TOLD + f"{code} {subject}"
    last, alert = heartbeats.last(session, told_last), alerts.the_open(session, code, subject)
    is_pausing = last is not None and timedelta(0) <= clock.age(last) < at_most_every
    if alert is None or is_pausing or alerts.is_told(session, fact(alert.id)):
        return None
    heartbeats.beat(session, told_last, clock.now())
    return alert.id


def remind(session: Transaction, clock: Clock) -> int:
    """Tell once more of each alarm that has been open for another day; how many there were."""
    lasting = [alert for alert in alerts.all_open(session) if alert.code in REMINDED]
    return sum(remind_of(session, alert, clock) for alert in lasting)


def remind_of(session: Transaction, alert: Alert, clock: Clock) -> bool:
    """A day has one reminder, with any number of processes: its fact has the day's number."""
    days, again = _days(alert, clock), fact_of_today(alert, clock)
    if not days or not _destinations(session) or alerts.is_told(session, again):
        return False
    _tell(session, again, alert.id, alert.code, alert.subject, alert.detail, clock)
    session.say(__name__, logging.ERROR, "Alert lasts", {**_about(alert), "days": days})
    return True


def dismissed(session: Transaction, alert: Alert, clock: Clock) -> None:
    """A person knows of it: while it lasts, it is told again in a day."""
    if alert.code in FOUND_AGAIN:
        heartbeats.beat(session, _dismissal(alert.code, alert.subject), clock.now())


def forget_dismissals(session: Transaction, code: str, lasting: Collection[str]) -> None:
    """Trouble that has ended is news when it comes back."""
    for name in heartbeats.names(session, _dismissal(code, "")):
        if name.removeprefix(_dismissal(code, "")) not in lasting:
            heartbeats.forget(session, name)


def is_dismissed(session: Transaction, code: str, subject: str, clock: Clock) -> bool:
    """Not by a moment to come: a clock that was ahead wrote it, and would hide the trouble until then."""
    moment = heartbeats.last(session, _dismissal(code, subject))
    return moment is not None and moment <= clock.now() + LEAP and clock.age(moment) < REMINDED_EVERY


def standing(session: Transaction, code: str, subject: str) -> Alert | None:
    """The open alert, or the last one where a person has dismissed it: its trouble may last."""
    is_known = heartbeats.last(session, _dismissal(code, subject)) is not None
    return (alerts.the_last if is_known else alerts.the_open)(session, code, subject)


def _destinations(session: Transaction) -> list[str]:
    return [d for d in session.policy.destinations if d in (outbox.MERCHANT, outbox.OPERATOR)]


def _dismissal(code: str, subject: str) -> str:
    return f"{heartbeats.DISMISSED}{code} {subject}"


def _tell(
    session: Transaction,
    of: str,
    alert_id: UUID,
    code: str,
    subject: str,
    detail: dict[str, Any],
    clock: Clock,
) -> None:
    outbox.put(
        session,
        _destinations(session),
        fact=of,
        event_type=ALERT,
        payment_id=None,
        data={"id": str(alert_id), "code": code, "subject": subject, "detail": detail},
        now=clock.now(),
    )


def note(session: Transaction, code: str, subject: str, detail: dict[str, Any], clock: Clock) -> UUID | None:
    """Open an alert that is told in another way; None when the same is open."""
    alert_id = alerts.open_once(session, code, subject, detail, clock.now())
    if alert_id is not None:
        about = {"alertId": alert_id, "code": code, "subject": subject, **detail}
        session.say(__name__, logging.ERROR, "Alert", about)
    return alert_id


def end(session: Transaction, code: str, subject: str, clock: Clock) -> bool:
    """Close an alert whose trouble is over, and forget that it was dismissed; whether it was open."""
    heartbeats.forget(session, _dismissal(code, subject))
    alert = alerts.the_open(session, code, subject)
    if alert is None or not alerts.close(session, alert.id, clock.now()):
        return False
    session.say(__name__, logging.WARNING, "Alert over", _about(alert))
    return True


def _about(alert: Alert) -> dict[str, Any]:
    return {"alertId": alert.id, "code": alert.code, "subject": alert.subject}


def _days(alert: Alert, clock: Clock) -> int:
    """For how many it has been open."""
    return int(clock.age(alert.created_at) / REMINDED_EVERY)


def fact(alert_id: UUID) -> str:
    """Under which an alert stands in the outbox."""
    return f"{ALERT}:{alert_id}"


def fact_of_today(alert: Alert, clock: Clock) -> str:
    """The same for its newest telling: on the first day itself, later the day's reminder."""
    days = _days(alert, clock)
    return f"{fact(alert.id)}:{days}" if days else fact(alert.id)
