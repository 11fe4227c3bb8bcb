"""Questions over many payments."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from payments_service.domain.states import OPEN, REFUND_OPEN, AlertCode, AttemptStatus, PaymentStatus
from payments_service.store.db import id_at, unindexed
from payments_service.store.tables import (
    Payment,
    PaymentAttempt,
    PaymentOrder,
    PaymentReview,
    PaymentWebhook,
    Refund,
)

CAPTURE_WINDOW = timedelta(hours=12)
"""So long before money goes back, the alarm `capture_window` names its payment."""
BEHIND = timedelta(days=1)
"""An id tells the time of its machine's clock: one that is so far behind hides no good webhook."""
EXAMPLES = 5
"""How many payments an alarm names."""


def open_by_provider(session: Session) -> dict[str, tuple[int, int]]:
    """By provider, how many payments and how many refunds are open."""
    of_payments = select(Payment.provider, func.count()).where(Payment.status.in_(OPEN))
    of_refunds = select(Refund.provider, func.count()).where(Refund.status.in_(REFUND_OPEN))
    payments = {name: count for name, count in session.execute(of_payments.group_by(Payment.provider))}
    refunds = {name: count for name, count in session.execute(of_refunds.group_by(Refund.provider))}
    return {name: (payments.get(name, 0), refunds.get(name, 0)) for name in {*payments, *refunds}}


def held_since(session: Session, provider: str, before: datetime) -> list[Payment]:
    """Payments whose money is held and was not captured; but for those that a person decides on, of which no
    machine captures anything."""
    query = select(Payment).where(
        Payment.provider == provider,
        Payment.status == PaymentStatus.AUTHORIZED,
        Payment.updated_at < before,
        Payment.review.is_(None),
        Payment.closed_at.is_(None),
    )
    return list(session.scalars(query))


def holds_ending(session: Session, provider: str, before: datetime) -> list[tuple[Payment, datetime]]:
    """Payments whose money is held and goes back by itself before a moment, and when it does."""
    query = (
        select(Payment, PaymentAttempt.capture_by)
        .join(PaymentOrder, PaymentOrder.payment_id == Payment.id)
        .join(PaymentAttempt, PaymentAttempt.order_id == PaymentOrder.id)
        .where(
            Payment.provider == provider,
            Payment.status == PaymentStatus.AUTHORIZED,
            PaymentAttempt.status == AttemptStatus.AUTHORIZED,
            PaymentAttempt.capture_by < before,
        )
    )
    return [(payment, capture_by) for payment, capture_by in session.execute(query) if capture_by]


def is_held(session: Session, payment_id: str) -> bool:
    """Whether this payment's money is held, and not captured."""
    payment = session.get(Payment, UUID(payment_id))
    return payment is not None and payment.status == PaymentStatus.AUTHORIZED


def last_webhook(session: Session, provider: str, since: datetime | None = None) -> datetime | None:
    """When the last genuine event of a provider came (after a moment).

    No index tells a provider's events by time; ids ascend with it, so this goes back from the newest event of
    all providers, to a day before that moment at the furthest.
    """
    query = select(PaymentWebhook.created_at).where(unindexed(PaymentWebhook.provider) == provider)
    if since is not None:
        query = query.where(PaymentWebhook.id >= id_at(since - BEHIND), PaymentWebhook.created_at > since)
    return session.scalars(query.order_by(PaymentWebhook.id.desc()).limit(1)).one_or_none()


def affected(session: Session, code: AlertCode, gateway: str | None, now: datetime) -> list[UUID] | None:
    """Some of the payments that an alarm is about, the oldest trouble first; None where it is about none."""
    if code is AlertCode.REVIEW_WAITS:
        waiting = select(PaymentReview.payment_id).where(PaymentReview.closed_at.is_(None))
        return list(session.scalars(waiting.order_by(PaymentReview.opened_at).limit(EXAMPLES)))
    if code is AlertCode.CAPTURE_WINDOW and gateway:
        ending = sorted(holds_ending(session, gateway, now + CAPTURE_WINDOW), key=lambda one: one[1])
        return [payment.id for payment, _ in ending[:EXAMPLES]]
    if code is AlertCode.INBOX_WAITS and gateway:
        due = PaymentWebhook.next_try_at.is_not(None), PaymentWebhook.payment_id.is_not(None)
        of_it = unindexed(PaymentWebhook.gateway) == gateway
        whose = select(PaymentWebhook.payment_id).where(of_it, *due)
        of_each = whose.group_by(unindexed(PaymentWebhook.payment_id))
        found = session.scalars(of_each.order_by(func.min(PaymentWebhook.created_at)).limit(EXAMPLES))
        return [one for one in found if one]
    return None
