"""What the database knows of how the service does: numbers that are measured when they are asked for.

They are the same for every process on every machine. `/metrics` shows them, and alarms compare them with
their limits (domain/alarms.py). The rows counted here are few, or found by an index: payments that are
open, rows that wait, the last hour.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import case, distinct, exists, func, select
from sqlalchemy.orm import Session

from payments_service.domain.alarms import ALARMS
from payments_service.domain.states import (
    INBOX_DONE,
    OPEN,
    REFUND_OPEN,
    AlertCode,
    AttemptStatus,
    InboxOutcome,
    OrderStatus,
    PaymentStatus,
    RefundStatus,
)
from payments_service.store import heartbeats, outbox
from payments_service.store.db import id_at, rarely, unindexed
from payments_service.store.monitors import last_webhook
from payments_service.store.tables import (
    Alert,
    Outbox,
    Payment,
    PaymentAttempt,
    PaymentEvent,
    PaymentOrder,
    PaymentReview,
    PaymentWebhook,
    Refund,
)

HELPS = {
    "open": "Payments that have not ended, by gateway.",
    "open_oldest_seconds": "Age of the oldest payment that has not ended.",
    "orders_last_hour": "Payments begun in the last hour that got an order.",
    "orders_hour_last_week": "The same of this hour a week ago.",
    "orders_missing": "Orders of this hour a week ago, when the last hour had none; else 0.",
    "orders_failing_ratio": "Part of the orders of five minutes that failed; of few, 1 if the last five did.",
    "unknown_outcomes": "Orders and refunds of which it is not known whether the gateway made them.",
    "unknown_outcome_oldest_seconds": "Age of the oldest of these, once its order would have expired.",
    "held_payments": "Payments whose money is held and not captured.",
    "capture_window_seconds": "Seconds until held money goes back, of the payment that is next.",
    "paid_without_webhook": "Newest completed payments in a row of which no webhook told, 5 at most.",
    "webhooks_refused_seconds": "Seconds for which webhooks have been refused, and no good one came.",
    "inbox_waiting": "Stored webhooks that are to be applied or confirmed.",
    "inbox_oldest_seconds": "Longest time that one of these has been overdue, or failed.",
    "outbox_waiting": "Events that wait to be told, by destination.",
    "outbox_dead": "Events of the last ten days that were given up.",
    "outbox_oldest_seconds": "Age of the oldest event that waits to be told.",
    "refunds_open": "Refunds that have not ended.",
    "refunds_open_oldest_seconds": "Age of the oldest of these.",
    "reviews_open": "Payments that wait for a person, by reason.",
    "review_oldest_seconds": "Age of the oldest open review.",
    "disputes_open": "Disputes that are to be answered.",
    "dispute_due_seconds": "Seconds until the nearest date of a dispute.",
    "worker_silent_seconds": "Seconds since a worker gave a sign of life.",
    "sweep_silent_seconds": "Seconds from a sweep's last good end to a worker's last sign of life.",
    "history_broken": "Payments whose history is another than was written, as far as it was verified.",
    "alert_open": "1 for each alert that is open.",
}
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
"""The orders of the last hour are compared with those of the same hour a week before."""
FAILING_WINDOW = timedelta(minutes=5)
"""Create-orders of this time are compared: how many failed."""
LEAST_ORDERS, LEAST_FAILURES = 10, 3
"""Fewer in five minutes are no traffic of which a part could be told."""
LAST_ORDERS = 5
"""Where there are fewer, as many in a row that all failed are no accident."""
LAST_ORDERS_WINDOW = timedelta(minutes=30)
"""Older create-orders say nothing of how the next one will go."""
DENIED_AFTER = timedelta(minutes=6)
"""An order that never came to be is given up within minutes after its expiry: the worker asks 5-minutely."""
SILENT_PAYMENTS = 5
"""As many paid orders in a row of which no webhook told are no accident."""
GRACE = timedelta(minutes=10)
"""How late a webhook may be before it counts as missing."""
A_DAY = timedelta(days=1)
"""Gateways and webhooks are judged by what came in this time."""
INSTALLING = timedelta(minutes=7)
"""How much longer than for one that has died a worker is waited for that was never there."""
DEAD_IS_NEWS_FOR = timedelta(days=10)
"""From its creation: 75 hours of tries, and a week in which a person may send it again."""
SUBJECTS_ARE_FEW = {alarm.code for alarm in ALARMS} - {AlertCode.DISPUTE_OPENED}
"""Alerts whose subject is a gateway, a sweep, the service; elsewhere it may be an id, and is left out."""

REAL_SECONDS = 20.0
"""Limits that are shorter are not scaled by a clock that is: what they judge takes its time."""

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sample:
    measure: str
    value: float
    labels: Labels = ()


@dataclass(frozen=True)
class Moment:
    """When it is measured; `scale` is how often faster waits pass (tests)."""

    now: datetime
    scale: int = 1

    def before(self, wait: timedelta) -> datetime:
        return self.now - wait / self.scale

    def age(self, since: datetime) -> float:
        """Seconds. Where waits pass faster, the work itself does not: it has its real seconds first."""
        real = max(0.0, (self.now - since).total_seconds())
        return real * self.scale if real >= REAL_SECONDS else real


def read(session: Session, now: datetime, destinations: Sequence[str], *, scale: int = 1) -> Iterator[Sample]:
    """Every gauge. `destinations` are those that the settings name: what waits for others is no trouble."""
    at = Moment(now, scale)
    yield from _open_payments(session, at)
    yield from _orders(session, at)
    yield from _unknown(session, at)
    yield from _held(session, at)
    yield from _webhooks(session, at)
    yield from _inbox(session, at)
    yield from _outbox(session, at, destinations)
    yield from _refunds(session, at)
    yield from _reviews(session, at)
    yield from _alerts(session, at)
    yield from _signs_of_life(session, at)
    yield Sample("history_broken", heartbeats.count(session, heartbeats.BROKEN))


def to_verify(session: Session, now: datetime, limit: int) -> tuple[list[UUID], list[UUID]]:
    """Payments whose history is looked at now: those with the newest rows, and the next stretch of all.

    Ids that a leapt clock made are the newest until their time comes (`id_at`): meanwhile the histories of
    that hour may be looked at only when the stretch comes to them, and it leaves none out.
    """
    newest = (
        select(PaymentEvent.payment_id)
        .where(PaymentEvent.id >= id_at(now - HOUR))
        .order_by(PaymentEvent.id.desc())
        .limit(limit)
    )
    verified = heartbeats.last(session, heartbeats.VERIFIED)
    stretch = select(Payment.id).order_by(Payment.id).limit(limit)
    if verified is not None:
        stretch = stretch.where(Payment.id > id_at(verified))
    return list(session.scalars(newest)), list(session.scalars(stretch))


def _of(name: str, value: str) -> Labels:
    return ((name, value),)


def _open_payments(session: Session, at: Moment) -> Iterator[Sample]:
    query = select(Payment.gateway, func.count(), func.min(Payment.created_at)).where(
        Payment.status.in_(sorted(OPEN))
    )
    for gateway, count, oldest in session.execute(query.group_by(Payment.gateway)):
        yield Sample("open", count, _of("gateway", gateway))
        yield Sample("open_oldest_seconds", at.age(oldest), _of("gateway", gateway))


def _orders(session: Session, at: Moment) -> Iterator[Sample]:
    got_one = exists().where(PaymentOrder.payment_id == Payment.id, PaymentOrder.status == OrderStatus.OPEN)
    begun = select(func.count()).select_from(Payment).where(got_one)
    week_ago = at.before(WEEK)
    last = session.scalar(begun.where(Payment.created_at >= at.before(HOUR))) or 0
    an_hour = Payment.created_at >= at.before(WEEK + HOUR), Payment.created_at < week_ago
    then = session.scalar(begun.where(*an_hour)) or 0
    yield Sample("orders_last_hour", last)
    yield Sample("orders_hour_last_week", then)
    yield Sample("orders_missing", 0 if last else then)
    made_nothing = case((PaymentOrder.status.in_((OrderStatus.REFUSED, OrderStatus.UNKNOWN)), Payment.id))
    query = (
        select(Payment.gateway, func.count(distinct(Payment.id)), func.count(distinct(made_nothing)))
        .join(PaymentOrder, PaymentOrder.payment_id == Payment.id)
        .where(rarely(Payment.created_at >= at.before(FAILING_WINDOW)))
        .group_by(unindexed(Payment.gateway))
    )
    lately = {gateway: (count, failed) for gateway, count, failed in session.execute(query)}
    recent = select(unindexed(Payment.gateway)).distinct()
    for gateway in sorted(session.scalars(recent.where(Payment.created_at >= at.before(LAST_ORDERS_WINDOW)))):
        count, failed = lately.get(gateway, (0, 0))
        if count < LEAST_ORDERS:
            ratio = 1.0 if _last_orders_failed(session, gateway, at) else 0.0
        else:
            ratio = failed / count if failed >= LEAST_FAILURES else 0.0
        yield Sample("orders_failing_ratio", round(ratio, 4), _of("gateway", gateway))


def _last_orders_failed(session: Session, gateway: str, at: Moment) -> bool:
    """Whether the newest create-orders of a gateway all failed; one under way says nothing yet."""
    ended = OrderStatus.OPEN, OrderStatus.REFUSED, OrderStatus.UNKNOWN
    newest = (
        select(PaymentOrder.status)
        .join(Payment, Payment.id == PaymentOrder.payment_id)
        .where(Payment.gateway == gateway, Payment.created_at >= at.before(LAST_ORDERS_WINDOW))
        .where(PaymentOrder.status.in_(ended))
        .order_by(Payment.created_at.desc())
        .limit(LAST_ORDERS)
    )
    found = list(session.scalars(newest))
    return len(found) == LAST_ORDERS and OrderStatus.OPEN not in found


def _unknown(session: Session, at: Moment) -> Iterator[Sample]:
    begun = select(Payment.gateway, Payment.created_at, Payment.expires_at).where(
        Payment.status == PaymentStatus.INITIATED
    )
    ages: defaultdict[str, list[float]] = defaultdict(list)
    for gateway, created_at, expires_at in session.execute(begun):
        age, lifetime = at.age(created_at), (expires_at - created_at + DENIED_AFTER).total_seconds()
        ages[gateway].append(age if age > lifetime else 0.0)
    for gateway, found in ages.items():
        labels: Labels = (("gateway", gateway), ("kind", "order"))
        yield Sample("unknown_outcomes", len(found), labels)
        yield Sample("unknown_outcome_oldest_seconds", max(found), labels)
    refunds = (
        select(Payment.gateway, func.count(), func.min(Refund.created_at))
        .join(Payment, Payment.id == Refund.payment_id)
        .where(Refund.status == RefundStatus.INITIATED)
    )
    for gateway, count, oldest in session.execute(refunds.group_by(Payment.gateway)):
        labels = (("gateway", gateway), ("kind", "refund"))
        yield Sample("unknown_outcomes", count, labels)
        yield Sample("unknown_outcome_oldest_seconds", at.age(oldest), labels)


def _held(session: Session, at: Moment) -> Iterator[Sample]:
    query = (
        select(Payment.gateway, func.count(distinct(Payment.id)), func.min(PaymentAttempt.capture_by))
        .join(PaymentOrder, PaymentOrder.payment_id == Payment.id)
        .join(PaymentAttempt, PaymentAttempt.order_id == PaymentOrder.id)
        .where(Payment.status == PaymentStatus.AUTHORIZED, PaymentAttempt.status == AttemptStatus.AUTHORIZED)
        .group_by(Payment.gateway)
    )
    for gateway, count, next_end in session.execute(query):
        yield Sample("held_payments", count, _of("gateway", gateway))
        if next_end is not None:
            left = (next_end - at.now).total_seconds()
            yield Sample("capture_window_seconds", left, _of("gateway", gateway))


def paid_without_webhook(session: Session, gateway: str, at: Moment) -> int:
    """Of the payments of a gateway that were completed last, how many in a row no webhook told of."""
    told = exists().where(PaymentWebhook.payment_id == Payment.id)
    query = (
        select(told)
        .where(
            Payment.provider == gateway,
            Payment.completed_at.between(at.before(A_DAY), at.before(GRACE)),
            Payment.created_at >= at.before(7 * A_DAY),
        )
        .order_by(Payment.completed_at.desc())
        .limit(SILENT_PAYMENTS)
    )
    found = list(session.scalars(query))
    return found.index(True) if True in found else len(found)


def _webhooks(session: Session, at: Moment) -> Iterator[Sample]:
    recent = select(Payment.provider).where(Payment.created_at >= at.before(7 * A_DAY)).distinct()
    for provider in sorted(session.scalars(recent)):
        yield Sample(
            "paid_without_webhook", paid_without_webhook(session, provider, at), _of("gateway", provider)
        )
    newest = heartbeats.moments(session, heartbeats.REFUSED_LAST)
    for provider, since in heartbeats.moments(session, heartbeats.REFUSED_SINCE).items():
        last = newest.get(provider, since)
        is_over = at.now - last > A_DAY / at.scale or last_webhook(session, provider, since) is not None
        refused = 0.0 if is_over else (last - since).total_seconds() * at.scale
        yield Sample("webhooks_refused_seconds", refused, _of("gateway", provider))


def _inbox(session: Session, at: Moment) -> Iterator[Sample]:
    """A row that failed is old from its arrival; one that waits, from the moment when it was due."""
    since = case(
        (PaymentWebhook.outcome == InboxOutcome.FAILED, PaymentWebhook.created_at),
        else_=PaymentWebhook.next_try_at,
    )
    query = (
        select(PaymentWebhook.gateway, func.count(), func.min(since))
        .where(PaymentWebhook.next_try_at.is_not(None), PaymentWebhook.outcome.not_in(INBOX_DONE))
        .group_by(unindexed(PaymentWebhook.gateway))
    )
    for gateway, count, oldest in session.execute(query):
        yield Sample("inbox_waiting", count, _of("gateway", gateway))
        yield Sample("inbox_oldest_seconds", at.age(_moment(oldest)), _of("gateway", gateway))


def _outbox(session: Session, at: Moment, destinations: Sequence[str]) -> Iterator[Sample]:
    waiting = select(Outbox.destination, func.count(), func.min(Outbox.created_at)).where(
        Outbox.state == outbox.PENDING
    )
    found = {row[0]: (row[1], row[2]) for row in session.execute(waiting.group_by(Outbox.destination))}
    dead = select(Outbox.destination, func.count()).where(
        Outbox.state == outbox.DEAD, Outbox.created_at > at.before(DEAD_IS_NEWS_FOR)
    )
    given_up = {row[0]: row[1] for row in session.execute(dead.group_by(Outbox.destination))}
    for destination in destinations:
        count, oldest = found.get(destination, (0, None))
        to = _of("destination", destination)
        yield Sample("outbox_waiting", count, to)
        yield Sample("outbox_dead", given_up.get(destination, 0), to)
        yield Sample("outbox_oldest_seconds", at.age(oldest) if oldest else 0.0, to)


def _refunds(session: Session, at: Moment) -> Iterator[Sample]:
    query = select(Refund.provider, func.count(), func.min(Refund.created_at)).where(
        Refund.status.in_(sorted(REFUND_OPEN))
    )
    for provider, count, oldest in session.execute(query.group_by(Refund.provider)):
        yield Sample("refunds_open", count, _of("gateway", provider))
        yield Sample("refunds_open_oldest_seconds", at.age(oldest), _of("gateway", provider))


def _reviews(session: Session, at: Moment) -> Iterator[Sample]:
    query = select(PaymentReview.reason, func.count(), func.min(PaymentReview.opened_at)).where(
        PaymentReview.closed_at.is_(None)
    )
    oldest = None
    for reason, count, since in session.execute(query.group_by(PaymentReview.reason)):
        oldest = min(since, oldest) if oldest else since
        yield Sample("reviews_open", count, _of("reason", reason))
    yield Sample("review_oldest_seconds", at.age(oldest) if oldest else 0.0)


def _alerts(session: Session, at: Moment) -> Iterator[Sample]:
    opened = list(session.scalars(select(Alert).where(Alert.cleared_at.is_(None))))
    shown: defaultdict[Labels, int] = defaultdict(int)
    disputes: defaultdict[str, list[str | None]] = defaultdict(list)
    for alert in opened:
        subject = alert.subject if alert.code in SUBJECTS_ARE_FEW else ""
        shown[("alarm", alert.code), ("subject", subject)] += 1
        if alert.code == AlertCode.DISPUTE_OPENED:
            disputes[alert.subject.partition(" ")[0]].append(alert.detail.get("respondBy"))
    yield from (Sample("alert_open", count, labels) for labels, count in shown.items())
    for gateway, dates in disputes.items():
        yield Sample("disputes_open", len(dates), _of("gateway", gateway))
        if due := [datetime.fromisoformat(date) for date in dates if date]:
            left = (min(due) - at.now).total_seconds()
            yield Sample("dispute_due_seconds", left, _of("gateway", gateway))


def _signs_of_life(session: Session, at: Moment) -> Iterator[Sample]:
    """In real seconds: those who beat know nothing of scaled time."""
    last = heartbeats.last(session, heartbeats.WORKER)
    if last is None and (began := heartbeats.last(session, heartbeats.WATCH_BEGAN)):
        last = began + INSTALLING
    if last is not None:
        yield Sample("worker_silent_seconds", max(0.0, (at.now - last).total_seconds()))
    for name, silent in heartbeats.silence_of_sweeps(session, at.now).items():
        yield Sample("sweep_silent_seconds", silent, _of("sweep", name))


def _moment(found: datetime | str) -> datetime:
    """SQLite forgets the type of a column that came out of an expression."""
    moment = datetime.fromisoformat(found) if isinstance(found, str) else found
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
