"""Trouble that no single payment shows: numbers that have passed their limits (domain/alarms.py), money that
is held and not taken. The worker looks each minute; what is over ends by itself."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain import clock as clocks
from payments_service.domain.alarms import ALARMS, OPEN_ALERT, Alarm
from payments_service.domain.clock import Clock
from payments_service.domain.errors import StoreUnavailable
from payments_service.domain.states import AlertCode
from payments_service.flows import alerts, liveness, witnesses
from payments_service.flows.alerts import end, raise_alert
from payments_service.flows.idempotency import KEPT
from payments_service.gateways.base import Gateway
from payments_service.store import alerts as rows
from payments_service.store import chain, events, gauges, heartbeats, keys, monitors
from payments_service.store.db import Database
from payments_service.store.gauges import SILENT_PAYMENTS, Sample
from payments_service.store.transaction import Transaction

log = logging.getLogger(__name__)

ROLLING_RESTART = timedelta(hours=1)
"""Processes of the version before may still write; what they cannot know is looked for meanwhile."""
CAPTURE_ENDS_WITHIN = timedelta(days=1)
"""What the merchant captures by hand, or lets go, is called to mind so long before it goes back by itself."""
HELD_TOO_LONG = timedelta(hours=1)
"""An automatic capture takes seconds."""
VERIFIED_AT_A_LOOK = 200
"""Payments whose seals are checked each minute, of the newest, of all in turn (288,000 a day), and in turn of
those that are known as broken. Each is a parameter of one statement, of which no database takes many."""
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
STILL_OPEN = "Set its variables again until nothing is open there: nothing asks about these payments"
LOOKED_LATELY = timedelta(seconds=30)
"""The worker has a look for each gateway; the numbers are of all of them, and compared once."""


@dataclass(frozen=True)
class Verified:
    """Payments whose history was looked at."""

    whole: set[UUID]
    broken: set[UUID]
    """Their history is another than was written."""
    last: UUID | None
    """Up to which payment all are looked at in turn; None where the next one is the first again."""


def watch(db: Database, gateway: Gateway, clock: Clock) -> int:
    """Look around, and raise what is not known yet; how many alerts are new."""
    with db.begin() as session:
        raised = _webhooks_come(session, gateway, clock) + _money_is_taken(session, gateway, clock)
        raised += liveness.hear_of_calls(session, gateway, clock)
    with db.begin() as session:
        if _looked_lately(session, clock):
            return raised
    return raised + look(db, clock)


def miss_gateways(db: Database, configured: Collection[str], clock: Clock) -> int:
    """Payments and refunds that are open at a provider which is not configured: no sweep asks about them."""
    raised = 0
    with db.begin() as session:
        left = monitors.open_by_provider(session)
        for provider, (count, refunds) in sorted(left.items()):
            if provider not in configured:
                about = {"openPayments": count, "openRefunds": refunds, "hint": STILL_OPEN}
                raised += raise_alert(session, AlertCode.GATEWAY_GONE, provider, about, clock)
        for known in rows.all_open(session):
            is_back = known.subject in configured or known.subject not in left
            if known.code == AlertCode.GATEWAY_GONE and is_back:
                end(session, known.code, known.subject, clock)
    return raised


def look(db: Database, clock: Clock) -> int:
    """Compare each number with its limit: raise what passed it, end what is back, remind of what lasts."""
    history = None
    try:
        history = _verify_history(db, clock)
    except StoreUnavailable:
        raise
    except Exception:  # a row that cannot even be read must not keep all alarms silent
        log.exception("History could not be verified")
    with db.begin() as session:
        if history is not None:
            _note_history(session, history, clock)
        found = list(gauges.read(session, clock.now(), session.policy.destinations, scale=clock.scale))
        raised = sum(_compare(session, one, found, clock) for one in ALARMS if one.measure != OPEN_ALERT)
        return raised + alerts.remind(session, clock)


def tidy(db: Database, clock: Clock) -> int:
    """Forget idempotency keys that are older than they are kept, unless our clock may be wrong.

    While this process is young, others of the version before it may still run beside it.
    """
    is_young = clocks.WATCH.now() - clocks.WATCH.process_started < ROLLING_RESTART
    while is_young and _adopt(db, clock):
        pass  # a chunk in each transaction
    with db.begin() as session:
        return keys.forget(session, clock.now() - KEPT) if witnesses.agree(session, clock) else 0


def _adopt(db: Database, clock: Clock) -> int:
    with db.begin() as session:
        return events.adopt(session, clock.now() - ROLLING_RESTART)


def _verify_history(db: Database, clock: Clock) -> Verified:
    with db.read() as session:
        known = heartbeats.oldest(session, heartbeats.BROKEN, clock.now(), VERIFIED_AT_A_LOOK)
        newest, stretch = gauges.to_verify(session, clock.now(), VERIFIED_AT_A_LOOK)
        chosen = {*(UUID(name.removeprefix(heartbeats.BROKEN)) for name in known), *newest, *stretch}
        broken = {one.payment_id for one in chain.verify(session, session.chain_keys, chosen)}
        return Verified(chosen - broken, broken, stretch[-1] if len(stretch) >= VERIFIED_AT_A_LOOK else None)


def _note_history(session: Session, verified: Verified, clock: Clock) -> None:
    heartbeats.forget(session, *(f"{heartbeats.BROKEN}{payment_id}" for payment_id in verified.whole))
    for payment_id in verified.broken:
        if heartbeats.begin_once(session, f"{heartbeats.BROKEN}{payment_id}", clock.now()):
            log.error("History is not as it was written", extra={"data": {"id": payment_id}})
    still_broken = [f"{heartbeats.BROKEN}{payment_id}" for payment_id in verified.broken]
    heartbeats.beat_again(session, still_broken, clock.now())
    last = verified.last
    moment = datetime.fromtimestamp((last.int >> 80) / 1000, UTC) if last else BEGINNING
    heartbeats.beat(session, heartbeats.VERIFIED, moment)


def _webhooks_come(session: Transaction, gateway: Gateway, clock: Clock) -> int:
    code, provider = AlertCode.WEBHOOK_SILENCE, gateway.provider
    moment = gauges.Moment(clock.now(), clock.scale)
    silent = gauges.paid_without_webhook(session, provider, moment)
    if silent < SILENT_PAYMENTS:
        return 0
    about = {"paidWithoutWebhook": silent, "hint": "The webhook is probably switched off at the gateway"}
    return raise_alert(session, code, provider, about, clock)


def _money_is_taken(session: Transaction, gateway: Gateway, clock: Clock) -> int:
    """Captures that fail; one that came about after all ends its alert."""
    held = monitors.held_since(session, gateway.provider, clock.now() - HELD_TOO_LONG / clock.scale)
    raised = 0
    for payment in held if gateway.captures_automatically else ():
        about = {"heldSince": payment.updated_at.isoformat(), "amountPaise": payment.amount}
        raised += raise_alert(session, AlertCode.CAPTURE_FAILS, str(payment.id), about, clock)
    for alert in rows.open_of(session, AlertCode.CAPTURE_FAILS):
        if not monitors.is_held(session, alert.subject):
            end(session, AlertCode.CAPTURE_FAILS, alert.subject, clock)
    return raised + _holds_are_ended(session, gateway, clock)


def _holds_are_ended(session: Transaction, gateway: Gateway, clock: Clock) -> int:
    """Money that only the merchant captures, a day before it goes back."""
    soon = clock.now() + CAPTURE_ENDS_WITHIN
    ending = monitors.holds_ending(session, gateway.provider, soon)
    raised = 0
    for payment, capture_by in () if gateway.captures_automatically else ending:
        about = {"captureBy": capture_by.isoformat(), "amountPaise": payment.amount}
        raised += raise_alert(session, AlertCode.CAPTURE_ENDS, str(payment.id), about, clock)
    for alert in rows.open_of(session, AlertCode.CAPTURE_ENDS):
        if not monitors.is_held(session, alert.subject):
            end(session, AlertCode.CAPTURE_ENDS, alert.subject, clock)
    return raised


def _looked_lately(session: Session, clock: Clock) -> bool:
    last = heartbeats.last(session, heartbeats.LOOKED)
    if last and timedelta(0) <= clock.age(last) < LOOKED_LATELY:
        return True
    heartbeats.beat(session, heartbeats.LOOKED, clock.now())
    return False


def _compare(session: Transaction, alarm: Alarm, found: Iterable[Sample], clock: Clock) -> int:
    """An alarm that is raised elsewhere is only ended here: there it is noticed with more facts."""
    raised, over = 0, set[str]()
    for sample in found:
        if sample.measure != alarm.measure or not alarm.is_over(sample.value):
            continue
        subject = _subject(alarm, sample)
        over.add(subject)
        if not alarm.is_heard:
            raised += raise_alert(session, alarm.code, subject, _about(session, alarm, sample, clock), clock)
    alerts.forget_dismissals(session, alarm.code, over)
    for alert in rows.open_of(session, alarm.code):
        if alert.subject not in over and _may_end(alarm, alert.created_at, clock):
            end(session, alarm.code, alert.subject, clock)
    return raised


def _may_end(alarm: Alarm, since: datetime, clock: Clock) -> bool:
    """What was raised a moment ago by a process that knows more is not ended by an older number."""
    return not alarm.is_heard or clock.now() - since >= LOOKED_LATELY / clock.scale


def _subject(alarm: Alarm, sample: Sample) -> str:
    labels = dict(sample.labels)
    return " ".join(labels[name] for name in alarm.by) or alarm.subject


def _about(session: Session, alarm: Alarm, sample: Sample, clock: Clock) -> dict[str, Any]:
    """What was measured, and the payments that a person would otherwise have to look for."""
    about = {
        "measure": alarm.measure,
        "value": round(sample.value, 3),
        "limit": alarm.limit,
        "hint": alarm.summary,
    }
    whose = monitors.affected(session, alarm.code, dict(sample.labels).get("gateway"), clock.now())
    return about if whose is None else {**about, "paymentIds": [str(one) for one in whose]}
