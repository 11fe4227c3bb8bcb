"""A payment as the doors may show it: no row, no personal data."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain import payment as domain
from payments_service.domain.errors import NotFound
from payments_service.domain.money import Money
from payments_service.domain.payment import PaymentRecord
from payments_service.domain.states import PaymentStatus
from payments_service.store import payments, whole
from payments_service.store.db import Database
from payments_service.store.tables import Payment
from payments_service.store.whole import WholePayment


@dataclass(frozen=True)
class PaymentView:
    id: UUID
    gateway: str
    provider: str
    mode: str
    order_id: str | None
    payment_id: str | None
    status: PaymentStatus
    gateway_status: str | None
    amount: Money
    amount_refunded: Money
    method: str | None
    description: str | None
    reference: str | None
    """The merchant's order number where the merchant's server vouches for it; a browser's label is none."""
    review: str | None
    return_url: str
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    checkout: dict[str, Any] | None
    """How to open the current order in a browser; None until it is known."""
    capture_by: datetime | None = None
    """When money that is held goes back unless it is captured."""
    is_closed: bool = False
    """By the merchant: what is still open of it there is none to pay."""
    asked_by_order: bool = True
    """False for a caller who named only a payment id: some gateways count these up, so the caller may
    not be the payer, and the answer names neither our id nor the order's."""


def view(session: Session, payment: Payment) -> PaymentView:
    held = None
    if payment.status == PaymentStatus.AUTHORIZED and payment.transaction_id:
        held = payments.attempt(session, payment.provider, payment.transaction_id)
    return _view(
        payment,
        payment,
        amount_refunded=payments.amount_refunded(session, payment),
        checkout=payments.current_order(session, payment.id).checkout,
        capture_by=held.capture_by if held else None,
    )


def by_id(db: Database, payment_id: UUID) -> PaymentView:
    """The payment as it is stored; NotFound for an id that is not ours."""
    with db.read() as session:
        if not payments.exists(session, payment_id):
            raise NotFound("Payment not found")
        return view(session, payments.by_id(session, payment_id))


Found = tuple[PaymentView, PaymentRecord]


def found(db: Database, gateway: str, reference: str) -> Found | None:
    """A payment by any of its ids, as `whole.find` knows them."""
    stored = whole.find(db, gateway, reference)
    return (view_of(stored.record, stored.row), stored.record) if stored else None


def view_of(known: PaymentRecord, stored: Payment | WholePayment) -> PaymentView:
    """The same of a record; `stored` has what never changes and no decision asks for."""
    payment = known.payment
    held = known.attempt(payment.transaction_id) if payment.status == PaymentStatus.AUTHORIZED else None
    return _view(
        payment,
        stored,
        amount_refunded=Money(known.amount_refunded, payment.currency),
        checkout=known.current_order.checkout,
        capture_by=held.capture_by if held else None,
    )


def _view(
    payment: Payment | domain.Payment,
    stored: Payment | WholePayment,
    *,
    amount_refunded: Money,
    checkout: dict[str, Any] | None,
    capture_by: datetime | None,
) -> PaymentView:
    return PaymentView(
        id=payment.id,
        gateway=payment.gateway,
        provider=payment.provider,
        mode=payment.mode,
        order_id=payment.order_id,
        payment_id=payment.transaction_id,
        status=PaymentStatus(payment.status),
        gateway_status=payment.gateway_status,
        amount=payment.money,
        amount_refunded=amount_refunded,
        method=payment.payment_method,
        description=stored.description,
        reference=payment.reference if payment.price_verified else None,
        review=payment.review,
        return_url=stored.return_url,
        expires_at=payment.expires_at,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
        checkout=checkout,
        capture_by=capture_by,
        is_closed=payment.closed_at is not None,
    )
