"""Reviews: questions for a person about one payment, with the evidence that was shown."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

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
