"""What a payer finds on our page, and what happens when the gateway sends them back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session

from payments_service.domain.clock import utc_now
from payments_service.domain.errors import NotFound
from payments_service.domain.payment import Actor
from payments_service.domain.states import EntryKind, PaymentStatus, Source
from payments_service.flows import rivals
from payments_service.flows.payment_view import PaymentView, by_id, view
from payments_service.flows.status import ask_if_open
from payments_service.gateways.base import Gateway
from payments_service.store import payments, references
from payments_service.store.db import Database
from payments_service.store.tables import Payment, PaymentEvent


class Stage(StrEnum):
    """What a payer can do here, or has to wait for."""

    PREPARING = "preparing"
    """Whether the gateway has an order is not known yet."""
    PAYABLE = "payable"
    CONFIRMING = "confirming"
    """Money is held, or the time is over and the last word is not in."""
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    REVIEW = "review"
    """A person has to look at it; paying again would be wrong."""
    MOVED = "moved"
    """The same order number goes on in another payment, or was paid by it: nothing is to be paid here."""


STAGE_OF_STATUS = {
    PaymentStatus.INITIATED: Stage.PREPARING,
    PaymentStatus.PENDING: Stage.PAYABLE,
    PaymentStatus.AUTHORIZED: Stage.CONFIRMING,
    PaymentStatus.COMPLETED: Stage.COMPLETED,
    PaymentStatus.FAILED: Stage.FAILED,
    PaymentStatus.EXPIRED: Stage.EXPIRED,
}

LEAVABLE = frozenset({PaymentStatus.PENDING, PaymentStatus.FAILED, PaymentStatus.EXPIRED})
"""Without money in it, a payment may be left for another one."""


@dataclass(frozen=True)
class HostedPage:
    payment: PaymentView
    stage: Stage
    time_left: timedelta
    paid_at: datetime | None
    """When we learned that it is paid; None while it is not."""


def hosted_page(db: Database, payment_id: UUID) -> HostedPage:
    """The payment as its payer may see it, from the database alone; NotFound for an id that is not ours."""
    now = utc_now()
    with db.read() as session:
        payment = _find(session, payment_id)
        known = view(session, payment)
        paid_at = _paid_at(session, payment)
        is_taken = known.status is PaymentStatus.PENDING and rivals.holds_money(session, payment.id)
        has_moved = not is_taken and _has_moved(session, known)
    stage = Stage.MOVED if has_moved else _stage(known, now, is_taken=is_taken)
    return HostedPage(
        payment=known,
        stage=stage,
        time_left=max(timedelta(0), known.expires_at - now),
        paid_at=paid_at,
    )


def come_back(db: Database, providers: Sequence[Gateway], payment_id: UUID, request_id: str) -> PaymentView:
    """The payer is back: ask the gateway once. When it fails, they are sent on all the same."""
    return ask_if_open(db, providers, by_id(db, payment_id), Actor(Source.RETURN, request_id))


def _find(session: Session, payment_id: UUID) -> Payment:
    try:
        return payments.by_id(session, payment_id)
    except NoResultFound as error:
        raise NotFound("Payment not found") from error


def _paid_at(session: Session, payment: Payment) -> datetime | None:
    if payment.status != PaymentStatus.COMPLETED:
        return None
    moves = select(func.max(PaymentEvent.created_at)).where(
        PaymentEvent.payment_id == payment.id,
        PaymentEvent.kind == EntryKind.STATUS,
        PaymentEvent.to_status == PaymentStatus.COMPLETED,
    )
    return session.execute(moves).scalar_one()


def _has_moved(session: Session, payment: PaymentView) -> bool:
    if payment.reference is None or payment.review or payment.status not in LEAVABLE:
        return False
    return references.current_payment(session, payment.reference) not in (None, payment.id)


def _stage(payment: PaymentView, now: datetime, *, is_taken: bool) -> Stage:
    stage = STAGE_OF_STATUS[payment.status]
    if payment.review and stage is not Stage.COMPLETED:
        return Stage.REVIEW
    if stage is Stage.PAYABLE and payment.is_closed and not is_taken:
        return Stage.EXPIRED
    if stage is Stage.PAYABLE and (is_taken or payment.checkout is None or payment.expires_at <= now):
        return Stage.CONFIRMING
    return stage
