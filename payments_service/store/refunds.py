"""Refunds as the merchant's server asks for them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from payments_service.domain.states import RefundStatus
from payments_service.store.db import changed_rows
from payments_service.store.tables import PaymentAttempt, Refund


def of_key(session: Session, payment_id: UUID, key: str) -> Refund | None:
    """The refund that this key has asked for; the caller holds the payment's lock."""
    mine = select(Refund).where(Refund.payment_id == payment_id, Refund.idempotency_key == key)
    return session.scalars(mine.execution_options(populate_existing=True)).one_or_none()


def of_gateway(session: Session, payment_id: UUID, gateway_refund_id: str) -> Refund | None:
    """The refund of a payment by the gateway's id of it."""
    mine = select(Refund).where(
        Refund.payment_id == payment_id, Refund.gateway_refund_id == gateway_refund_id
    )
    return session.scalars(mine).one_or_none()


def with_payment_ids(session: Session, payment_id: UUID) -> list[tuple[Refund, str]]:
    """Each refund of a payment, oldest first, with the gateway's id of the attempt that it gives back."""
    query = (
        select(Refund, PaymentAttempt.transaction_id)
        .join(PaymentAttempt, Refund.attempt_id == PaymentAttempt.id)
        .where(Refund.payment_id == payment_id)
        .order_by(Refund.created_at, Refund.id)
    )
    return [(refund, transaction_id) for refund, transaction_id in session.execute(query)]


def begin_call(session: Session, row: Refund, lease_ends: datetime) -> bool:
    """Note that its call begins; False when another request answers for it by now, or it has ended."""
    is_open = Refund.status == RefundStatus.INITIATED
    still_ours = Refund.id == row.id, Refund.generation == row.generation, is_open
    begun = update(Refund).where(*still_ours).values(awaits_first_send=False, next_check_at=lease_ends)
    return changed_rows(session, begun) == 1
