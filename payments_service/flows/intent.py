"""What a buyer wants, written down before any gateway hears of it; and what was begun for the same before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.domain import payment as domain
from payments_service.domain.clock import Clock
from payments_service.domain.errors import Conflict
from payments_service.domain.money import Money
from payments_service.domain.news import WIRE_PREFIX, new_id
from payments_service.domain.payment import Actor, Order, PaymentRecord
from payments_service.domain.states import EntryKind, OrderStatus, PaymentStatus, order_becomes
from payments_service.flows import idempotency
from payments_service.flows.idempotency import Claim
from payments_service.gateways.base import Gateway
from payments_service.store import payments, whole
from payments_service.store.tables import Payment, PaymentReference
from payments_service.store.transaction import Transaction
from payments_service.store.whole import WholePayment

Begun = Payment | WholePayment
"""A payment that is there, as its table has it; or a new one."""
BUDGET_SECONDS = 15.0
"""For all calls to the gateway of one create-order; the page's own limit is usually 30."""
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
    session: Transaction, gateway: Gateway, new: NewPayment, claim: Claim | None, actor: Actor
) -> tuple[Begun, Order | None]:
    """The payment to open an order for, and its order where both are new.

    Raises Conflict: `reference_paid`, or `reference_open` with another amount.
    """
    payment: Begun | None = _begun_before(session, claim)
    order = reference = None
    if payment is None and new.price_verified and new.reference:
        reference = payments.lock_reference(session, new.reference)
        payment = _open_for(session, reference, gateway, new.amount, actor.clock)
    if payment is None:
        is_all = claim is None and reference is None
        payment, order = _write_payment(session, gateway, new, actor, is_all=is_all)
    if reference:
        reference.payment_id = payment.id
    idempotency.begin(session, claim, payment.id)
    return payment, order


def new_order(gateway: Gateway, payment: domain.Payment, clock: Clock) -> Order:
    """An order under our wire id, about to be made."""
    now = clock.now()
    order = Order(
        id=uuid7(),
        payment_id=payment.id,
        provider=gateway.provider,
        wire_id=new_id(WIRE_PREFIX),
        gateway_order_id=None,
        status=OrderStatus.CREATING,
        generation=1,
        leased_until=now + LEASE,
        checkout=None,
        created_at=now,
        updated_at=now,
    )
    if gateway.browser_knows_wire_id:
        payment.order_id = order.wire_id
    return order


def add_order(
    known: PaymentRecord, gateway: Gateway, lost: Order, lifetime: timedelta, actor: Actor, reason: str
) -> Order:
    """Another order under the same payment, as no payer can be sent to `lost`, which is still watched.

    The time to pay begins anew, because no payer could pay before.
    """
    lost.status = order_becomes(lost.status, OrderStatus.LOST)
    order = new_order(gateway, known.payment, actor.clock)
    known.orders.append(order)
    known.payment.expires_at = actor.clock.now() + lifetime
    known.append(EntryKind.NOTE, actor, reason, {"lostWireId": lost.wire_id, "wireId": order.wire_id})
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
        for payment in payments.open_for_reference(session, reference.reference)
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
    session: Transaction, gateway: Gateway, new: NewPayment, actor: Actor, *, is_all: bool
) -> tuple[WholePayment, Order]:
    """With `is_all` there is nothing else to write: the transaction is over then."""
    now = actor.clock.now()
    payment = WholePayment(
        id=uuid7(),
        gateway=gateway.name,
        provider=gateway.provider,
        mode=gateway.mode,
        order_id=None,
        transaction_id=None,
        user_id=new.user_id,
        amount=new.amount.minor,
        currency=new.amount.currency,
        status=PaymentStatus.INITIATED,
        gateway_status=None,
        payment_method=None,
        reference=new.reference,
        price_verified=new.price_verified,
        metadata=dict(new.metadata),
        webhook_data=None,
        review=None,
        expires_at=now + new.lifetime,
        observed_at=None,
        completed_at=None,
        closed_at=None,
        next_check_at=now + LEASE,
        created_at=now,
        updated_at=now,
        history_count=0,
        history_unchained=0,
        history_head=None,
        customer_name=new.customer_name,
        customer_email=new.customer_email,
        customer_phone=new.customer_phone,
        description=new.description,
        return_url=new.return_url,
    )
    order = new_order(gateway, payment, actor.clock)
    known = PaymentRecord(payment, [order], [], [], [])
    evidence = {"amountPaise": payment.amount, "wireId": order.wire_id}
    known.append(EntryKind.STATUS, actor, "a buyer wants to pay", evidence, after=payment.status)
    whole.write_first(session, known, commits=is_all)
    return payment, order
