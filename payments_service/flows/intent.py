"""What a buyer wants, written down before any gateway hears of it; and what was begun for the same before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.domain.clock import Clock
from payments_service.domain.errors import Conflict
from payments_service.domain.money import Money
from payments_service.domain.news import WIRE_PREFIX, new_id
from payments_service.domain.payment import LOST, Actor
from payments_service.domain.states import PaymentStatus
from payments_service.flows import idempotency
from payments_service.flows.idempotency import Claim
from payments_service.gateways.base import Gateway
from payments_service.store import history, payments
from payments_service.store.tables import Payment, PaymentOrder, PaymentReference

BUDGET_SECONDS = 15.0
LEASE = timedelta(seconds=BUDGET_SECONDS + 60)
"""Longer than the whole budget, so that no other request takes over a call that is still running."""


@dataclass(frozen=True)
class NewPayment:
    """What a buyer wants to pay, checked, in the merchant's terms."""

    amount: Money
    customer_name: str = field(repr=False)
    customer_email: str = field(repr=False)
    customer_phone: str = field(repr=False)
    description: str | None
    user_id: str | None
    reference: str | None
    metadata: Mapping[str, str]
    return_url: str
    lifetime: timedelta
    price_verified: bool = False
    """Amount and reference come from the merchant's own server; without it the reference is only a label."""


def write(
    session: Session, gateway: Gateway, new: NewPayment, claim: Claim | None, actor: Actor
) -> tuple[Payment, PaymentOrder | None]:
    """The payment to open an order for, and its order where both are new.

    Raises Conflict: `reference_paid`, or `reference_open` with another amount.
    """
    payment = _begun_before(session, claim)
    reference = None
    if payment is None and new.price_verified and new.reference:
        reference = payments.lock_reference(session, new.reference)
        payment = _open_for(session, reference, gateway, new.amount, actor.clock)
    order = None
    if payment is None:
        payment, order = _write_payment(session, gateway, new, actor)
    if reference:
        reference.payment_id = payment.id
    idempotency.begin(session, claim, payment.id)
    return payment, order


def write_order(session: Session, gateway: Gateway, payment: Payment, clock: Clock) -> PaymentOrder:
    """An order under our wire id, about to be made; the payment's row is locked or new."""
    order = PaymentOrder(
        payment_id=payment.id,
        provider=gateway.provider,
        wire_id=new_id(WIRE_PREFIX),
        status="creating",
        generation=1,
        leased_until=clock.now() + LEASE,
        created_at=clock.now(),
    )
    session.add(order)
    if gateway.browser_knows_wire_id:
        payment.order_id = order.wire_id
    return order


def write_another_order(
    session: Session,
    gateway: Gateway,
    payment: Payment,
    lost: PaymentOrder,
    lifetime: timedelta,
    actor: Actor,
    reason: str,
) -> PaymentOrder:
    """Another order under the same payment, as no payer can be sent to `lost`, which is still watched.

    The time to pay begins anew, because no payer could pay before.
    """
    lost.status = LOST
    order = write_order(session, gateway, payment, actor.clock)
    payment.expires_at = actor.clock.now() + lifetime
    evidence = {"lostWireId": lost.wire_id, "wireId": order.wire_id}
    history.append(session, payment, "note", actor, reason, evidence)
    return order


def _begun_before(session: Session, claim: Claim | None) -> Payment | None:
    """What an earlier request with the same key began, unless it failed before a payer could pay it."""
    if claim is None or claim.payment_id is None:
        return None
    payment = payments.by_id(session, claim.payment_id)
    is_over = payment.status == PaymentStatus.FAILED and not payment.review
    return None if is_over and not payments.could_be_paid(session, payment.id) else payment


def _open_for(
    session: Session, reference: PaymentReference, gateway: Gateway, amount: Money, clock: Clock
) -> Payment | None:
    """The payment that is open for a reference at this gateway; None when there is room for a new one."""
    if reference.paid_by:
        raise Conflict("This reference is paid", code="reference_paid", id=str(reference.paid_by))
    begun = [
        payment
        for payment in payments.unsettled_for_reference(session, reference.reference)
        if payment.review
        or payment.status != PaymentStatus.PENDING
        or not idempotency.is_time_over(session, payment, clock)
    ]
    for payment in begun:
        if trouble := _in_the_way(payment, amount):
            raise Conflict(f"This reference is {trouble}", code="reference_open", id=str(payment.id))
    return next((p for p in begun if (p.provider, p.mode) == (gateway.provider, gateway.mode)), None)


def _in_the_way(payment: Payment, amount: Money) -> str | None:
    """Why there may be no further order for the same reference, at this gateway or another."""
    if payment.review:
        return "under review"
    if payment.status == PaymentStatus.AUTHORIZED:
        return "being paid"
    return f"open with {payment.money}" if payment.money != amount else None


def _write_payment(
    session: Session, gateway: Gateway, new: NewPayment, actor: Actor
) -> tuple[Payment, PaymentOrder]:
    now = actor.clock.now()
    payment = Payment(
        id=uuid7(),
        gateway=gateway.name,
        provider=gateway.provider,
        mode=gateway.mode,
        user_id=new.user_id,
        amount=new.amount.minor,
        currency=new.amount.currency,
        status=PaymentStatus.INITIATED,
        customer_name=new.customer_name,
        customer_email=new.customer_email,
        customer_phone=new.customer_phone,
        description=new.description,
        reference=new.reference,
        price_verified=new.price_verified,
        metadata_=dict(new.metadata),
        return_url=new.return_url,
        created_at=now,
        updated_at=now,
        expires_at=now + new.lifetime,
        next_check_at=now + LEASE,
    )
    session.add(payment)
    session.flush()
    order = write_order(session, gateway, payment, actor.clock)
    evidence = {"amountPaise": payment.amount, "wireId": order.wire_id}
    history.append(session, payment, "status", actor, "a buyer wants to pay", evidence, after=payment.status)
    return payment, order
