"""Payments by any id that a person may hold in hand at night."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CompoundSelect, Select, func, or_, select, union
from sqlalchemy.orm import Session

from payments_service.store import disputes
from payments_service.store.tables import (
    Outbox,
    Payment,
    PaymentAttempt,
    PaymentOrder,
    PaymentWebhook,
    Refund,
)


def behind(session: Session, any_id: str) -> list[Payment]:
    """The payments that bear this id in any column, oldest first.

    Ours and the gateway's, of payment, order, attempt, refund, dispute or event; the merchant's reference;
    the bank's reference. A reference may belong to several payments, the other ids to one.
    """
    if not any_id.isprintable():
        return []
    query = select(Payment).where(Payment.id.in_(_ids_behind(any_id)))
    return list(session.scalars(query.order_by(Payment.created_at, Payment.id)))


def watched(session: Session, since: datetime | None) -> list[Payment]:
    """Those made since a moment, also when they have ended; without one, those that the worker watches."""
    which = Payment.next_check_at.is_not(None) if since is None else Payment.created_at >= since
    return list(session.scalars(select(Payment).where(which).order_by(Payment.created_at, Payment.id)))


def orders(session: Session, payment_id: UUID) -> list[PaymentOrder]:
    mine = select(PaymentOrder).where(PaymentOrder.payment_id == payment_id)
    return list(session.scalars(mine.order_by(PaymentOrder.created_at, PaymentOrder.id)))


def refunds(session: Session, payment_id: UUID) -> list[Refund]:
    mine = select(Refund).where(Refund.payment_id == payment_id)
    return list(session.scalars(mine.order_by(Refund.created_at, Refund.id)))


def webhooks(session: Session, payment_id: UUID) -> list[PaymentWebhook]:
    mine = select(PaymentWebhook).where(PaymentWebhook.payment_id == payment_id)
    return list(session.scalars(mine.order_by(PaymentWebhook.created_at, PaymentWebhook.id)))


def told(session: Session, payment_id: UUID) -> list[Outbox]:
    mine = select(Outbox).where(Outbox.payment_id == payment_id)
    return list(session.scalars(mine.order_by(Outbox.created_at, Outbox.id)))


def _ids_behind(any_id: str) -> CompoundSelect[tuple[UUID]]:
    """One statement a table: an OR over two tables would have the planner read one of them whole."""
    attempts = select(PaymentOrder.payment_id).join(PaymentAttempt)
    own = _uuid(any_id)
    by_own_id = (
        select(Payment.id).where(Payment.id == own),
        select(Refund.payment_id).where(Refund.id == own),
    )
    return union(
        select(Payment.id).where(
            or_(Payment.order_id == any_id, Payment.transaction_id == any_id, Payment.reference == any_id)
        ),
        select(PaymentOrder.payment_id).where(
            or_(PaymentOrder.wire_id == any_id, PaymentOrder.gateway_order_id == any_id)
        ),
        attempts.where(or_(PaymentAttempt.transaction_id == any_id, PaymentAttempt.bank_reference == any_id)),
        select(Refund.payment_id).where(
            or_(
                Refund.refund_id == any_id,
                Refund.gateway_refund_id == any_id,
                Refund.bank_reference == any_id,
            )
        ),
        disputes.payment_ids().where(disputes.dispute_id == any_id),
        select(Outbox.payment_id).where(Outbox.event_id == any_id),
        select(PaymentWebhook.payment_id).where(
            PaymentWebhook.gateway.in_(_gateways_of_the_inbox()), PaymentWebhook.event_id == any_id
        ),
        *(by_own_id if own else ()),
    )


def _gateways_of_the_inbox() -> Select[tuple[str | None]]:
    """The index of event ids begins with the gateway: it is read from one gateway's rows to the next's."""
    name = PaymentWebhook.gateway
    found = select(func.min(name).label("name")).cte("gateways", recursive=True)
    following = select(func.min(name)).where(name > found.c.name).scalar_subquery()
    found = found.union_all(select(following).where(found.c.name.is_not(None)))
    return select(found.c.name)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
