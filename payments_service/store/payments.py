"""Payments and their orders: find, lock, claim."""

import re
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from payments_service.domain import payment as domain
from payments_service.domain.clock import utc_now
from payments_service.domain.money import Money
from payments_service.domain.states import DUE_BY_NEWS, OPEN, OrderStatus, RefundStatus
from payments_service.store.db import changed_rows, claim, insert_once, unindexed
from payments_service.store.tables import (
    Payment,
    PaymentAttempt,
    PaymentOrder,
    PaymentReference,
    Refund,
)
from payments_service.store.wire import Statement, Wire, wire_in

REFERENCE = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What an id of ours or of a gateway can look like; anything else is the id of no payment."""
LONGEST_WAIT = timedelta(days=5)
"""No payment or refund is ever put off for longer: a moment further off was written by a clock that leapt."""


def lock(session: Session, payment_id: UUID) -> Payment:
    """The payment, fresh, its row locked until the transaction ends; before it, the reference it is for."""
    trusted = select(Payment.reference).where(Payment.id == payment_id, Payment.price_verified)
    if (reference := session.execute(trusted).scalar_one_or_none()) is not None:
        lock_reference(session, reference)
    query = select(Payment).where(Payment.id == payment_id).with_for_update(key_share=True)
    return session.execute(query.execution_options(populate_existing=True)).scalar_one()


def lock_reference(session: Session, reference: str) -> PaymentReference:
    """The row of a trusted reference, made where it is missing, locked until the transaction ends."""
    insert_once(session, PaymentReference, ["reference"], reference=reference, created_at=utc_now())
    query = (
        select(PaymentReference)
        .where(PaymentReference.reference == reference)
        .with_for_update(key_share=True)
    )
    return session.execute(query.execution_options(populate_existing=True)).scalar_one()


def reference_paid_by(session: Session, payment: Payment | domain.Payment) -> UUID | None:
    """The payment that has paid what this one is for, where the merchant vouches for the reference."""
    if not (payment.price_verified and payment.reference):
        return None
    paid_by = select(PaymentReference.paid_by).where(PaymentReference.reference == payment.reference)
    return session.execute(paid_by).scalar_one_or_none()


def open_for_reference(session: Session, reference: str) -> list[Payment]:
    """Payments for a trusted reference, at any gateway, that are open or wait for a person; newest first."""
    is_open = or_(Payment.status.in_(OPEN), Payment.review.is_not(None))
    mine = select(Payment).where(Payment.reference == reference, Payment.price_verified, is_open)
    return list(session.scalars(mine.order_by(Payment.created_at.desc(), Payment.id.desc())))


def lock_order_name(session: Session, provider: str, order_id: str) -> None:
    """Wait for other transactions on this order id, known to us or not, and hold it until ours ends.

    A webhook that finds no such order and the transaction that makes it ours must not miss each
    other. SQLite has one writer anyway.
    """
    wire = wire_in(session)
    wire.run(locking_order_name(wire, provider, order_id))


def locking_order_name(wire: Wire, provider: str, order_id: str) -> list[Statement]:
    """The same, for a turn that is needed anyway."""
    lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
    return [] if wire.is_sqlite else [Statement(lock, (f"{provider}:{order_id}",))]


def order_by_reference(
    session: Session, provider: str, *, wire_id: str | None, gateway_order_id: str | None
) -> PaymentOrder | None:
    """The order that news is about. Both ids, where both are known, must be of one order."""
    mine = select(PaymentOrder).where(PaymentOrder.provider == provider)
    if gateway_order_id:
        found = session.scalars(mine.where(PaymentOrder.gateway_order_id == gateway_order_id)).one_or_none()
        if found is not None:
            return found if not wire_id or found.wire_id == wire_id else None
    if not wire_id:
        return None
    found = session.scalars(mine.where(PaymentOrder.wire_id == wire_id)).one_or_none()
    if found is None or (gateway_order_id and found.gateway_order_id):
        return None  # another gateway order carries our wire id: not this order's news
    return found


def watched_orders(session: Session, payment_id: UUID) -> list[PaymentOrder]:
    """The order that the payer is sent to, and after it those that were lost on the way, the newest first.

    Which one is current is told by its status: the clocks of two machines may not agree on which is newer.
    """
    query = select(PaymentOrder).where(PaymentOrder.payment_id == payment_id)
    newest_first = PaymentOrder.created_at.desc(), PaymentOrder.id.desc()
    return list(session.scalars(query.order_by(PaymentOrder.status == OrderStatus.LOST, *newest_first)))


def current_order(session: Session, payment_id: UUID) -> PaymentOrder:
    """The order that the payer is sent to."""
    return watched_orders(session, payment_id)[0]


def by_id(session: Session, payment_id: UUID) -> Payment:
    return session.get_one(Payment, payment_id)


def exists(session: Session, payment_id: UUID) -> bool:
    return session.get(Payment, payment_id) is not None


def claim_asking(session: Session, payment_id: UUID, now: datetime, window: timedelta) -> bool:
    """Whether it is for us to ask the gateway: at most one caller in a window, over all processes."""
    # A moment to come was written by a clock that leapt.
    long_ago = or_(
        Payment.asked_at.is_(None), Payment.asked_at < now - window, Payment.asked_at > now + window
    )
    asking = update(Payment).where(Payment.id == payment_id, long_ago).values(asked_at=now)
    return changed_rows(session, asking) == 1


def could_be_paid(session: Session, payment_id: UUID) -> bool:
    """Whether a payer could ever be sent to an order of this payment."""
    return _has_order(session, payment_id, PaymentOrder.checkout.is_not(None))


def _has_order(session: Session, payment_id: UUID, which: ColumnElement[bool]) -> bool:
    query = select(PaymentOrder.id).where(PaymentOrder.payment_id == payment_id, which)
    return session.scalars(query.limit(1)).first() is not None


def claim_due(
    session: Session,
    provider: str,
    now: datetime,
    lease_ends: datetime,
    limit: int,
    *,
    longest_due_first: bool = False,
) -> list[Payment]:
    """Payments that the worker should ask about, now ours until the lease ends.

    The youngest come first: after an outage a payer who waits now is not behind all that was left open. With
    `longest_due_first` what was claimed in vain goes behind all others.
    """
    theirs, due = select(Payment).where(Payment.provider == provider), Payment.next_check_at
    first = None if longest_due_first else unindexed(Payment.created_at).desc()
    return claim(session, theirs, due, now, lease_ends, limit, longest_wait=LONGEST_WAIT, first=first)


def claim_due_refunds(
    session: Session, provider: str, now: datetime, lease_ends: datetime, limit: int
) -> list[Refund]:
    """Refunds whose end is not known, now ours until the lease ends."""
    theirs = select(Refund).where(unindexed(Refund.provider) == provider)
    due = Refund.next_check_at
    taken = claim(session, theirs, due, now, lease_ends, limit, longest_wait=LONGEST_WAIT)
    for refund in taken:
        refund.generation += 1
    return taken


def attempts(session: Session, payment_id: UUID) -> list[PaymentAttempt]:
    query = select(PaymentAttempt).join(PaymentOrder).where(PaymentOrder.payment_id == payment_id)
    return list(session.scalars(query.order_by(PaymentAttempt.created_at, PaymentAttempt.id)))


def attempt(session: Session, provider: str, transaction_id: str) -> PaymentAttempt | None:
    query = select(PaymentAttempt).where(
        PaymentAttempt.provider == provider, PaymentAttempt.transaction_id == transaction_id
    )
    return session.scalars(query).one_or_none()


def refund(
    session: Session, provider: str, *, refund_id: str | None, gateway_refund_id: str
) -> Refund | None:
    """A refund by our id, else by the gateway's."""
    mine = select(Refund).where(Refund.provider == provider)
    if refund_id and (row := session.scalars(mine.where(Refund.refund_id == refund_id)).one_or_none()):
        return row
    return session.scalars(mine.where(Refund.gateway_refund_id == gateway_refund_id)).one_or_none()


def ask_refunds_at(session: Session, payment_id: UUID, moment: datetime) -> None:
    """Make its refunds due: there is news of one of them, or a person asks."""
    mine = Refund.payment_id == payment_id, Refund.status.in_(DUE_BY_NEWS)
    session.execute(update(Refund).where(*mine).values(next_check_at=moment))


def refunds(session: Session, attempt_id: UUID) -> list[Refund]:
    query = select(Refund).where(Refund.attempt_id == attempt_id)
    return list(session.scalars(query.order_by(Refund.created_at, Refund.id)))


def amount_refunded(session: Session, payment: Payment) -> Money:
    """What went back for good of the attempt that paid; a duplicate that was returned took nothing off it."""
    query = (
        select(func.coalesce(func.sum(Refund.amount), 0))
        .join(PaymentAttempt, Refund.attempt_id == PaymentAttempt.id)
        .where(Refund.payment_id == payment.id, Refund.status == RefundStatus.COMPLETED)
        .where(PaymentAttempt.transaction_id == payment.transaction_id)
    )
    return Money(int(session.execute(query).scalar_one()), payment.currency)


def uuid_or_none(reference: str) -> UUID | None:
    try:
        return UUID(reference) if len(reference) == 36 else None
    except ValueError:
        return None
