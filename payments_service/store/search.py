"""Payments by the beginning of what a person holds in hand, each column by its own index.

A beginning that fits thousands costs as much as one that fits a page: each column gives as many as are
asked for.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, union
from sqlalchemy.orm import InstrumentedAttribute, Session

from payments_service.store import disputes
from payments_service.store.tables import Event, Payment, PaymentAttempt, PaymentOrder, Refund

Text = ColumnElement[str] | InstrumentedAttribute[str] | InstrumentedAttribute[str | None]
LAST = "\U0010ffff"
"""Behind every text that begins alike."""
PEOPLE: tuple[Text, ...] = (Payment.customer_email, Payment.customer_name)
"""Indexed by store/migrations/search.py, without regard to capitals."""


def beginning_with(
    session: Session, text: str, limit: int, *, people: bool, phone: str, includes_labels: bool
) -> list[Payment]:
    """At most `limit` payments, newest first.

    By ids of ours and of the gateway (of payment, order, attempt, refund, dispute), the merchant's reference
    and the bank's; with `people` also by e-mail, name and `phone` (digits). A reference counts where the
    merchant vouches for it, unless `includes_labels`.
    """
    is_postgres = session.get_bind().dialect.name == "postgresql"
    found = [
        select(one.limit(limit).subquery().c[0])
        for one in _selects(text, is_postgres, phone=phone if people else None, labels=includes_labels)
    ]
    query = select(Payment).where(Payment.id.in_(union(*found)))
    return list(session.scalars(query.order_by(Payment.created_at.desc(), Payment.id.desc()).limit(limit)))


def _selects(text: str, is_postgres: bool, *, phone: str | None, labels: bool) -> Iterator[Select[Any]]:
    def begins(column: Text) -> ColumnElement[bool]:
        return _begins(column, text, is_postgres)

    column: Text
    for column in (Payment.order_id, Payment.transaction_id):
        yield select(Payment.id).where(begins(column))
    of_reference = select(Payment.id).where(begins(Payment.reference))
    yield of_reference if labels else of_reference.where(Payment.price_verified)
    for column in (PaymentOrder.wire_id, PaymentOrder.gateway_order_id):
        yield select(PaymentOrder.payment_id).where(begins(column))
    for column in (PaymentAttempt.transaction_id, PaymentAttempt.bank_reference):
        yield select(PaymentOrder.payment_id).join(PaymentAttempt).where(begins(column))
    for column in (Refund.refund_id, Refund.gateway_refund_id, Refund.bank_reference):
        yield select(Refund.payment_id).where(begins(column))
    yield disputes.payment_ids().where(begins(disputes.dispute_id))
    yield select(Event.payment_id).where(Event.event_id == text, Event.payment_id.is_not(None))
    for first, last in _ids(text):
        yield select(Payment.id).where(Payment.id >= first, Payment.id <= last)
        yield select(Refund.payment_id).where(Refund.id >= first, Refund.id <= last)
    if phone is not None:
        for column in PEOPLE:
            yield select(Payment.id).where(_begins_in_any_case(column, text, is_postgres))
        yield select(Payment.id).where(_begins(Payment.customer_phone, phone, is_postgres))


def _begins(column: Text, text: str, is_postgres: bool) -> ColumnElement[bool]:
    """Byte by byte, as the indexes of this order are."""
    if is_postgres:
        return column.op("~>=~", is_comparison=True)(text) & column.op("~<~", is_comparison=True)(text + LAST)
    return (column >= text) & (column < text + LAST)


def _begins_in_any_case(column: Text, text: str, is_postgres: bool) -> ColumnElement[bool]:
    if is_postgres:
        lowered = func.lower(column)
        first, last = func.lower(text), func.lower(text + LAST)
        return lowered.op("~>=~", is_comparison=True)(first) & lowered.op("~<~", is_comparison=True)(last)
    any_case = column.collate("NOCASE")
    return (any_case >= text) & (any_case < text + LAST)


def _ids(text: str) -> Iterator[tuple[UUID, UUID]]:
    """The first and the last id of ours that begins so."""
    digits = text.replace("-", "").lower()
    if 1 <= len(digits) <= 32 and all(digit in "0123456789abcdef" for digit in digits):
        yield UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
