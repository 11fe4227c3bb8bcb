"""Where a trusted reference is being paid now."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from payments_service.domain.states import PaymentStatus
from payments_service.store import payments
from payments_service.store.tables import Payment, PaymentReference


def current_payment(session: Session, reference: str) -> UUID | None:
    """The payment that was opened last for a trusted reference, else the one that paid it."""
    mine = select(PaymentReference.paid_by, PaymentReference.payment_id)
    row = session.execute(mine.where(PaymentReference.reference == reference)).one_or_none()
    return (row.paid_by or row.payment_id) if row else None


def left_open(session: Session, reference: str, current: UUID) -> list[Payment]:
    """Payments of a trusted reference that can still be paid and are not its current one."""
    begun = payments.open_for_reference(session, reference)
    return [p for p in begun if p.id != current and p.status == PaymentStatus.PENDING and not p.review]
