"""What a buyer wants, written down before any gateway hears of it; and what was begun for the same before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.domain import payment as domain
from payments_service.domain.clock import Clock
from payments_service.domain.errors import Conflict
from payments_service.domain.money import Money
from payments_service.domain.news import WIRE_PREFIX, new_id
from payments_service.domain.payment import Actor, Order, PaymentRecord, Reference
from payments_service.domain.states import EntryKind, OrderStatus, PaymentStatus, order_becomes
from payments_service.flows import idempotency, rivals
from payments_service.flows.idempotency import Claim
from payments_service.gateways.base import Gateway
from payments_service.store import payments, whole
from payments_service.store.tables import Payment
from payments_service.store.transaction import Transaction
from payments_service.store.whole import WholePayment
from payments_service.store.wire import Statement, wire_in

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


@dataclass(frozen=True)
class Intent:
    payment: Begun
    """To open an order for."""
    order: Order | None
    """Of a new payment."""
    is_alone: bool
    """No other payment of the same trusted reference was open. To one that begins later the reference's row
    points then."""


def write(
    session: Transaction, gateway: Gateway, new: NewPayment, claim: Claim | None, actor: Actor
) -> Intent:
    """Raises Conflict: `reference_paid`, or `reference_open` with another amount."""
    payment: Begun | None = _begun_before(session, claim)
    order = reference = None
    begun: Sequence[WholePayment] = ()
    is_alone = payment is None
    wire, statements = wire_in(session), list[Statement]()
    if payment is None and new.price_verified and new.reference:
        reference, begun = whole.lock_with_what_is_open(session, new.reference)
        payment = _open_for(session, reference, begun, gateway, new.amount, actor.clock)
    if payment is None:
        payment, order = _new_payment(gateway, new, actor.clock)
        known = PaymentRecord(payment, [order], [], [], [])
        evidence = {"amountPaise": payment.amount, "wireId": order.wire_id}
        known.append(EntryKind.STATUS, actor, "a buyer wants to pay", evidence, after=payment.status)
        statements += whole.writing_first(wire, known, session.chain_keys)
    if reference:
        statements.append(whole.pointing(wire, reference.reference, payment.id))
    idempotency.begin(session, claim, payment.id, statements)
    return Intent(payment, order, is_alone and all(one.id == payment.id for one in begun))


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
    session: Transaction,
    reference: Reference,
    begun: Sequence[WholePayment],
    gateway: Gateway,
    amount: Money,
    clock: Clock,
) -> WholePayment | None:
    """The payment that is open for a reference at this gateway; None when there is room for a new one."""
    if reference.paid_by:
        raise Conflict("This reference is paid", code="reference_paid", id=str(reference.paid_by))
    in_time = [
        payment
        for payment in begun
        if payment.review
        or payment.status != PaymentStatus.PENDING
        or not (payment.closed_at or idempotency.is_time_over(session, payment, clock))
        or rivals.holds_money(session, payment.id)
    ]
    for payment in in_time:
        if trouble := _in_the_way(session, payment, amount):
            raise Conflict(f"This reference is {trouble}", code="reference_open", id=str(payment.id))
    return next((p for p in in_time if (p.provider, p.mode) == (gateway.provider, gateway.mode)), None)


def _in_the_way(session: Transaction, payment: Begun, amount: Money) -> str | None:
    """Why there may be no further order for the same reference, at this gateway or another."""
    if payment.review:
        return "under review"
    if payment.status == PaymentStatus.AUTHORIZED or rivals.holds_money(session, payment.id):
        return "being paid"
    return f"open with {payment.money}" if payment.money != amount else None


def _new_payment(gateway: Gateway, new: NewPayment, clock: Clock) -> tuple[WholePayment, Order]:
    now = clock.now()
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
    return payment, new_order(gateway, payment, clock)
