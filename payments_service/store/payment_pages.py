"""Payments newest first, a page at a time, at the same cost wherever it begins: a cursor is a row's key."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, and_, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from payments_service.domain.states import RefundStatus
from payments_service.store.db import UtcDateTime
from payments_service.store.tables import Payment, PaymentAttempt, Refund

Place = tuple[datetime, UUID]
"""Of a payment in the list: when it was made, and its id."""


@dataclass(frozen=True)
class Filters:
    """What a list is made of; None leaves it open."""

    status: str | None = None
    gateway: str | None = None
    mode: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Not included."""
    reference: str | None = None
    user_id: str | None = None
    review: bool | None = None
    """Whether a person has to look at it."""
    includes_labels: bool = False
    """Also references that only a browser has named."""


def page(
    session: Session,
    filters: Filters,
    limit: int,
    *,
    after: Place | None = None,
    before: Place | None = None,
) -> list[Payment]:
    """At most `limit` payments, newest first: behind `after`, or next to and newer than `before`."""
    query = _chosen(filters)
    newest_first = Payment.created_at.desc(), Payment.id.desc()
    if before is not None:
        oldest_first = Payment.created_at, Payment.id
        newer = query.where(_place() > _key(before)).order_by(*oldest_first).limit(limit)
        return list(session.scalars(newer))[::-1]
    if after is not None:
        query = query.where(_place() < _key(after))
    return list(session.scalars(query.order_by(*newest_first).limit(limit)))


def amounts_refunded(session: Session, payments: Sequence[Payment]) -> dict[UUID, int]:
    """What went back for good of the attempt that paid, in paise, by payment, asked once for a page."""
    if not payments:
        return {}
    query = (
        select(Refund.payment_id, func.sum(Refund.amount))
        .join(PaymentAttempt, Refund.attempt_id == PaymentAttempt.id)
        .join(Payment, Refund.payment_id == Payment.id)
        .where(
            Refund.payment_id.in_([payment.id for payment in payments]),
            Refund.status == RefundStatus.COMPLETED,
            PaymentAttempt.transaction_id == Payment.transaction_id,
        )
        .group_by(Refund.payment_id)
    )
    return {payment_id: int(paise) for payment_id, paise in session.execute(query)}


def _chosen(filters: Filters) -> Select[Payment]:
    query = select(Payment)
    for column, value in (
        (Payment.status, filters.status),
        (Payment.gateway, filters.gateway),
        (Payment.mode, filters.mode),
        (Payment.user_id, filters.user_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if filters.since is not None:
        query = query.where(Payment.created_at >= filters.since)
    if filters.until is not None:
        query = query.where(Payment.created_at < filters.until)
    if filters.review is not None:
        query = query.where(Payment.review.is_not(None) if filters.review else Payment.review.is_(None))
    if filters.reference is not None:
        is_trusted = or_(Payment.price_verified, literal(value=filters.includes_labels))
        query = query.where(and_(Payment.reference == filters.reference, is_trusted))
    return query


def _place() -> ColumnElement[tuple[datetime, UUID]]:
    return tuple_(Payment.created_at, Payment.id)


def _key(place: Place) -> ColumnElement[tuple[datetime, UUID]]:
    return tuple_(literal(place[0], UtcDateTime()), literal(place[1], Uuid()))
