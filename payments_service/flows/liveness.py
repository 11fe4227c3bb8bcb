"""Whether what this service lives from is alive: a gateway's API, our credentials there, its webhooks, a
worker. Web processes and workers look, each at what it can see; an alarm ends by itself when it is over."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from payments_service.domain.alarms import ALARMS
from payments_service.domain.clock import LEAP, Clock
from payments_service.domain.states import AlertCode
from payments_service.flows.alerts import end, raise_alert, standing
from payments_service.gateways.base import Gateway
from payments_service.store import heartbeats, monitors
from payments_service.store.db import Database
from payments_service.store.transaction import Transaction

DOWN, REFUSED = AlertCode.GATEWAY_DOWN, AlertCode.CREDENTIALS_REFUSED
WEBHOOKS, SILENT = AlertCode.WEBHOOKS_REFUSED, AlertCode.WORKER_SILENT

SWEEPS = next(alarm for alarm in ALARMS if alarm.code is AlertCode.SWEEP_SILENT)

DOWN_FOR = timedelta(minutes=1)
"""Calls of a gateway fail without a success between them; then `gateway_down`."""
REFUSED_FOR = timedelta(seconds=10)
"""A token that has run out is refused, too, and renewed at once."""
NO_GOOD_WEBHOOK_FOR = timedelta(minutes=10)
"""A stray request or two are no sign of a wrong secret."""
AGAIN = timedelta(minutes=10)
"""A gateway may be down for one process and not for another; letters about the same come no more often."""
A_DAY = timedelta(days=1)
"""A refused webhook is news for so long."""
WORKER_SILENT = timedelta(minutes=3)
"""Longer than cron's minute, and than a deployment."""
NO_WORKER_YET = timedelta(minutes=10)
"""After the service's first start: a worker may be deployed later than the web process."""


def hear_of_calls(session: Transaction, gateway: Gateway, clock: Clock) -> int:
    """What this process knows of its calls: raise what is new, and end what is over; how many are new."""
    health, provider = gateway.health, gateway.provider
    raised = 0
    failing = health.failing(DOWN_FOR.total_seconds())
    if failing:
        about = {"calls": failing, "hint": "Look at the gateway's status page, and at the log for the reason"}
        raised += raise_alert(session, DOWN, provider, about, clock, at_most_every=AGAIN)
    elif alert := standing(session, DOWN, provider):
        age = (clock.now() - alert.created_at).total_seconds()
        if all(health.answered_within(age, calls) for calls in alert.detail["calls"]):
            end(session, DOWN, provider, clock)
    if health.credentials_refused(REFUSED_FOR.total_seconds()):
        check = {"check": list(gateway.credential_names)}
        raised += raise_alert(session, REFUSED, provider, check, clock, at_most_every=AGAIN)
    elif alert := standing(session, REFUSED, provider):
        age = (clock.now() - alert.created_at).total_seconds()
        if health.credentials_taken_within(age):
            end(session, REFUSED, provider, clock)
    return raised


def hear_of_refused_webhook(session: Transaction, gateway: Gateway, clock: Clock) -> bool:
    """One was refused just now: whether it is news that no good one has come since the first of them."""
    now = clock.now()
    name = heartbeats.REFUSED_SINCE + gateway.provider
    heartbeats.beat(session, heartbeats.REFUSED_LAST + gateway.provider, now)
    since = heartbeats.last(session, name)
    if since is None or now - since > A_DAY or monitors.last_webhook(session, gateway.provider, since):
        heartbeats.beat(session, name, now)
        return False
    if now - since < NO_GOOD_WEBHOOK_FOR:
        return False
    about = {"refusedSince": since.isoformat(), "check": list(gateway.webhook_secret_names)}
    return raise_alert(session, WEBHOOKS, gateway.provider, about, clock)


def beat(db: Database, clock: Clock) -> int:
    """The worker's sign of life. It leaves no work, so it counts as none."""
    with db.begin() as session:
        heartbeats.beat(session, heartbeats.WORKER, clock.now())
        end(session, SILENT, heartbeats.WORKER, clock)
    return 0


def worker_silent_since(session: Session, clock: Clock) -> datetime | None:
    """Since when no worker gives a sign of life, or, if none ever did, since when one is waited for."""
    now = clock.now()
    last = heartbeats.last(session, heartbeats.WORKER)
    if last and last <= now + LEAP:
        return last if now - last > WORKER_SILENT else None
    # A moment to come was written by a clock that was ahead: it shows no life until that time.
    heartbeats.begin_once(session, heartbeats.WATCH_BEGAN, now)
    began = heartbeats.last(session, heartbeats.WATCH_BEGAN)
    if began and began > now + LEAP:
        heartbeats.beat(session, heartbeats.WATCH_BEGAN, now)
    return began if began and now - began > NO_WORKER_YET else None


def tell_of_silence(session: Transaction, since: datetime, clock: Clock) -> bool:
    hint = "Start a worker: until then no event is sent, and lost webhooks are not made good"
    about = {"since": since.isoformat(), "hint": hint}
    return raise_alert(session, SILENT, heartbeats.WORKER, about, clock)


def tell_of_silent_sweeps(session: Transaction, clock: Clock) -> int:
    """Sweeps that have not ended well for too long, told by a web process: all of them may hang."""
    raised = 0
    for name, silent in heartbeats.silence_of_sweeps(session, clock.now()).items():
        if not SWEEPS.is_over(silent):
            continue
        about = {
            "measure": SWEEPS.measure,
            "value": round(silent),
            "limit": SWEEPS.limit,
            "hint": SWEEPS.summary,
        }
        raised += raise_alert(session, SWEEPS.code, name, about, clock)
    return raised
