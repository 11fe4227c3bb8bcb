"""Reviews: questions for a person about one payment, with the evidence that was shown."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from payments_service.domain.states import ReviewReason, ReviewResolution
from payments_service.store.tables import Payment, PaymentReview


def of_payment(session: Session, payment_id: UUID) -> list[PaymentReview]:
    """Open and closed, oldest first."""
    query = select(PaymentReview).where(PaymentReview.payment_id == payment_id)
    return list(session.scalars(query.order_by(PaymentReview.opened_at, PaymentReview.id)))


def all_open(session: Session) -> list[tuple[PaymentReview, Payment]]:
    """With their payments, oldest first."""
    query = select(PaymentReview, Payment).join(Payment, Payment.id == PaymentReview.payment_id)
    found = session.execute(query.where(PaymentReview.closed_at.is_(None)).order_by(PaymentReview.opened_at))
    return [(review, payment) for review, payment in found]


def open_once(
    session: Session, payment: Payment, reason: ReviewReason, evidence: dict[str, Any], now: datetime
) -> bool:
    """Whether it is a new question: the same evidence is asked about once. The payment is locked."""
    earlier = of_payment(session, payment.id)
    if any(row.reason == reason and _covers(row.evidence, evidence) for row in earlier):
        return False
    session.add(PaymentReview(payment_id=payment.id, reason=reason, evidence=evidence, opened_at=now))
    payment.review = payment.review or reason
    payment.updated_at = now
    session.flush()
    return True


def close(
    session: Session, payment: Payment, review: PaymentReview, resolution: ReviewResolution, now: datetime
) -> None:
    """The payment is locked, and bears the reason of what is left open."""
    review.closed_at, review.resolution = now, resolution
    session.flush()
    left = [row.reason for row in of_payment(session, payment.id) if row.closed_at is None]
    payment.review = left[0] if left else None
    payment.updated_at = now


def _covers(seen: dict[str, Any], evidence: dict[str, Any]) -> bool:
    """The same evidence, or fewer payment ids of the same question: one of them has gone back since."""
    if seen == evidence:
        return True
    ids = "paymentIds"
    return ids in seen and ids in evidence and set(evidence[ids]) <= set(seen[ids])
