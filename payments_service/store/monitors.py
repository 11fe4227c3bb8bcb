"""Questions over many payments."""

from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from payments_service.domain.states import AttemptStatus, PaymentStatus
from payments_service.store.tables import Payment, PaymentAttempt, PaymentOrder, PaymentWebhook


def webhooks_of_completed(
    session: Session, provider: str, *, since: datetime, until: datetime, limit: int
) -> list[bool]:
    """Of the payments that completed last: whether any webhook told of each."""
    told = exists().where(PaymentWebhook.payment_id == Payment.id)
    query = (
        select(told)
        .where(Payment.provider == provider, Payment.completed_at.between(since, until))
        .order_by(Payment.completed_at.desc())
        .limit(limit)
    )
    return list(session.scalars(query))


def held_since(session: Session, provider: str, before: datetime) -> list[Payment]:
    """Payments whose money is held and was not captured."""
    query = select(Payment).where(
        Payment.provider == provider,
        Payment.status == PaymentStatus.AUTHORIZED,
        Payment.updated_at < before,
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


def last_webhook(session: Session, provider: str) -> datetime | None:
    """When the last genuine event of a provider came. Ids ascend with time, so this reads few rows."""
    query = select(PaymentWebhook.created_at).where(PaymentWebhook.provider == provider)
    return session.scalars(query.order_by(PaymentWebhook.id.desc()).limit(1)).one_or_none()
