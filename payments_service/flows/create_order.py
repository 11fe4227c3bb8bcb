"""Open a payable order: intent first, then the gateway, then its answer."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from payments_service import logs
from payments_service.domain import decide
from payments_service.domain.clock import REAL_TIME, Clock, utc_now
from payments_service.domain.deadline import Deadline
from payments_service.domain.decide import FollowUp
from payments_service.domain.errors import (
    Conflict,
    GatewayError,
    OutcomeUnknown,
    PaymentsError,
    UnknownAtGateway,
)
from payments_service.domain.news import Checkout, Customer, NewOrder, OrderRef, PaymentSnapshot
from payments_service.domain.payment import Actor, Order, PaymentRecord
from payments_service.domain.states import OrderStatus, PaymentStatus, Source, order_becomes
from payments_service.flows import idempotency, intent, moving, sync, witnesses
from payments_service.flows.idempotency import Claim, StillRunning, must_be_payable
from payments_service.flows.intent import BUDGET_SECONDS, LEASE, Begun, NewPayment
from payments_service.flows.payment_view import PaymentView, by_id, view_of
from payments_service.gateways.base import Gateway
from payments_service.store import payments
from payments_service.store.db import Database
from payments_service.store.record import load_one
from payments_service.store.tables import Payment, PaymentOrder

log = logging.getLogger(__name__)

AnyOrder = PaymentOrder | Order
FOLLOW_UP_SECONDS = 2.0
"""For the question that an early webhook makes necessary, which the payer waits for; else the worker asks."""
ADDRESS_LOST = "the order's address was lost"


@dataclass(frozen=True)
class Urls:
    """Where the gateway sends the payer and its events, given our own address."""

    backend: str

    def back_from_gateway(self, payment_id: UUID) -> str:
        return f"{self.backend}/pay/{payment_id}/return"

    def webhook(self, gateway: str) -> str:
        return f"{self.backend}/api/webhook/{gateway}"


class CreateOrderFailed(PaymentsError):
    """The gateway did not open an order, or did not say so. `retryable` is the truth about a new try."""

    def __init__(self, cause: GatewayError, payment_id: UUID, *, came_to_nothing: bool = False) -> None:
        super().__init__(
            "Failed to create order", code=cause.code, retryable=cause.retryable, id=str(payment_id)
        )
        self.explanation, self.gateway_code = cause.message, cause.gateway_code
        self.retry_after_seconds = cause.retry_after_seconds
        self.http_status = cause.http_status
        self.came_to_nothing = came_to_nothing
        """The gateway surely never had an order of it."""


class OutcomeStillUnknown(Conflict):
    """Whether the first try made an order cannot be found out yet; the same request again asks again."""

    code = "outcome_unknown"
    retry_after_seconds = 5

    def __init__(self, payment_id: UUID) -> None:
        super().__init__("The outcome of the first try is not known yet", id=str(payment_id), retryable=True)


@dataclass(frozen=True)
class Call:
    """All that one request needs to speak to a gateway."""

    db: Database
    gateway: Gateway
    urls: Urls
    actor: Actor
    deadline: Deadline
    lifetime: timedelta
    """Of an order, from the moment it is made."""


def create_order(
    db: Database,
    gateway: Gateway,
    new: NewPayment,
    urls: Urls,
    request_id: str,
    claim: Claim | None = None,
    clock: Clock = REAL_TIME,
    *,
    others: Sequence[Gateway] = (),
) -> PaymentView:
    """One payment with one order at the gateway, open to be paid.

    With a claim on an idempotency key, or for a reference that the merchant vouches for, a payment that was
    begun before is taken up, and one that is open at one of the `others` is closed. Raises CreateOrderFailed
    and Conflict; the payment is stored all the same, and an order whose creation was not confirmed is found
    again by our wire id.
    """
    actor = Actor(Source.CREATE_ORDER, request_id, clock)
    call = Call(db, gateway, urls, actor, Deadline(BUDGET_SECONDS), new.lifetime)
    email = logs.masked_email(new.customer_email)
    about = {"gateway": gateway.name, "amount": str(new.amount), "email": email}
    log.info("Creating order", extra={"data": about})
    witnesses.tell(db, clock)
    try:
        with db.begin() as session:
            wanted = intent.write(session, gateway, new, claim, actor)
    except Conflict as error:
        logs.note(id=error.extra.get("id"))
        idempotency.release(db, claim)  # nothing was begun
        raise
    payment = wanted.payment
    logs.note(id=str(payment.id), orderId=payment.order_id)
    try:
        if wanted.order is not None:
            opened, is_last = _open(call, payment, wanted.order)
        else:
            _take_up(call, payment.id)
            opened, is_last = _payable(by_id(db, payment.id)), False
        if not (wanted.is_alone and is_last):
            moving.leave_one_order(db, others, opened, request_id)
    except CreateOrderFailed as error:
        logs.note(gatewayCode=error.gateway_code, why=error.explanation)
        if error.came_to_nothing:
            idempotency.release(db, claim)
        else:
            idempotency.leave_open(db, claim, clock)
        raise
    except Conflict:
        idempotency.leave_open(db, claim, clock)
        raise
    return opened


# ── a new payment ───────────────────────────────────────────────────────────────────────────────────


def _open(call: Call, payment: Begun, order: AnyOrder) -> tuple[PaymentView, bool]:
    """Make the payment's order, and another one when the first exists and no payer can be sent there.

    Returns the payment, and True if certainly no other payment of its reference was begun or paid meanwhile.
    """
    snapshot, known = _send(call, payment, order)
    if snapshot.checkout is None and snapshot.status is PaymentStatus.PENDING:
        _send(call, payment, _another(call, order, ADDRESS_LOST))
        known = None
    if known is None:
        return _payable(by_id(call.db, payment.id)), False
    pointing = known.reference
    is_last = pointing is None or (pointing.payment_id == payment.id and pointing.paid_by is None)
    return _payable(view_of(known, payment)), is_last


def _send(call: Call, payment: Begun, order: AnyOrder) -> tuple[PaymentSnapshot, PaymentRecord | None]:
    """Make the order, and write down what came of it: the gateway's word or its refusal.

    Returns the gateway's news, and the payment after it; None in its place when the gateway had to be asked
    again, so that the caller must read it again.
    """
    try:
        snapshot = _make(call, payment, order)
    except GatewayError as error:
        raise _refused(call, order, error) from error
    return snapshot, _apply(call, order, snapshot)


def _make(call: Call, payment: Begun, order: AnyOrder) -> PaymentSnapshot:
    """Send it once. After an unknown outcome look for it by our id, once: absent now is still unknown.

    A snapshot without a checkout is an order that exists and that no payer can be sent to.
    """
    new, started = _for_the_wire(call, payment, order), utc_now()
    try:
        return _as_snapshot(new, call.gateway.create_order(new, call.deadline), started)
    except OutcomeUnknown as error:
        try:
            return call.gateway.fetch_payment(OrderRef(new.wire_id), call.deadline)
        except GatewayError as second:
            _end_call(call.db, order)
            about = {"wireId": new.wire_id, "asking": second.code}
            log.warning("Order creation not confirmed", extra={"data": about})
            raise CreateOrderFailed(error, payment.id) from error


def _for_the_wire(call: Call, payment: Begun, order: AnyOrder) -> NewOrder:
    return NewOrder(
        wire_id=order.wire_id,
        amount=payment.money,
        customer=Customer(
            id=payment.id.hex,  # never the e-mail or the phone, which some gateways show around
            name=payment.customer_name,
            email=payment.customer_email,
            phone=payment.customer_phone,
        ),
        description=payment.description or "",
        return_url=call.urls.back_from_gateway(payment.id),
        webhook_url=call.urls.webhook(call.gateway.name),
        expires_at=call.actor.clock.now() + call.lifetime,
    )


def _as_snapshot(new: NewOrder, checkout: Checkout, started: datetime) -> PaymentSnapshot:
    """The answer to create-order in the form of all other news, so that `decide.learn` applies both."""
    return PaymentSnapshot(
        order=OrderRef(new.wire_id, checkout.gateway_order_id),
        status=PaymentStatus.PENDING,
        gateway_status=checkout.gateway_status,
        amount=checkout.amount,
        observed_at=started,
        fetched=True,
        checkout=checkout,
    )


def _apply(call: Call, order: AnyOrder, snapshot: PaymentSnapshot) -> PaymentRecord | None:
    """Write the answer down. When events overtook it and need the gateway's word, ask; if not now, later."""
    follow_up, known = sync.apply(
        call.db, call.gateway, order, snapshot, call.actor, generation=order.generation
    )
    if follow_up is FollowUp.NOTHING:
        return known
    try:
        sync.refresh(call.db, call.gateway, order.payment_id, call.actor, Deadline(FOLLOW_UP_SECONDS))
    except GatewayError as error:
        about = {"id": order.payment_id, "error": error.code}
        log.warning("Follow-up left open", extra={"data": about})
    return None


# ── a payment that was begun before ─────────────────────────────────────────────────────────────────


def _take_up(call: Call, payment_id: UUID) -> None:
    """Ask before anything is made: an order that is there is used, one that never came to be is replaced."""
    order = _take_over(call, payment_id)
    if order is None:
        return
    reason = _ask_about(call, order)
    payment, current = _current(call.db, payment_id)
    if current.checkout is not None:
        return
    _send(call, payment, _another(call, order, reason))


def _ask_about(call: Call, order: AnyOrder) -> str:
    """Write down what the gateway says of it; why it would need another one if that brought no address."""
    try:
        ref = OrderRef(order.wire_id, order.gateway_order_id)
        snapshot = call.gateway.fetch_payment(ref, call.deadline)
    except GatewayError as error:
        # Right after the call an absence says nothing, and none about an order that it told us of itself.
        with call.db.read() as session:
            is_sure = witnesses.agree(session, call.actor.clock)
        is_early = not is_sure or call.actor.clock.now() < order.created_at + LEASE
        if isinstance(error, UnknownAtGateway) and not is_early and not order.gateway_order_id:
            return "the order never came to be"
        _end_call(call.db, order)
        raise OutcomeStillUnknown(order.payment_id) from error
    _apply(call, order, snapshot)
    return ADDRESS_LOST


def _take_over(call: Call, payment_id: UUID) -> PaymentOrder | None:
    """The order, its call now ours to answer for; None when it can be paid as it is."""
    with call.db.begin() as session:
        payment = payments.lock(session, payment_id)
        is_sure, now = witnesses.agree(session, call.actor.clock), call.actor.clock.now()
        must_be_payable(session, payment, call.actor.clock)
        order = payments.current_order(session, payment_id)
        if order.checkout is not None:
            return None
        if (payment.provider, payment.mode) != (call.gateway.provider, call.gateway.mode):
            # Other credentials than ours could ask for it, and no payer was sent there.
            raise Conflict("This order can no longer be paid", code="order_expired", id=str(payment_id))
        if is_sure:
            order.leased_until = idempotency.begun_anew(order.leased_until, now, LEASE)
            order.created_at = min(order.created_at, now)
        if order.status != OrderStatus.CREATING or (is_sure and order.leased_until <= now):
            order.generation += 1
            order.leased_until = now + LEASE
            is_there = order.gateway_order_id is not None
            order.status = order_becomes(order.status, OrderStatus.OPEN if is_there else OrderStatus.CREATING)
            return order
    raise StillRunning("The first request for this order is still running")


# ── what both write ─────────────────────────────────────────────────────────────────────────────────


def _current(db: Database, payment_id: UUID) -> tuple[Payment, PaymentOrder]:
    with db.read() as session:
        return payments.by_id(session, payment_id), payments.current_order(session, payment_id)


def _another(call: Call, lost: AnyOrder, reason: str) -> Order:
    """Raises Conflict when there was news since we asked: paid, ended, or found with its address."""
    with call.db.begin() as session:
        changes = load_one(session, lost.payment_id)
        known = changes.record
        must_be_payable(session, known.payment, call.actor.clock)
        row = known.order(lost.id)
        if row.generation != lost.generation or row.checkout is not None:
            raise StillRunning("Another request has found out more about this order")
        order = intent.add_order(known, call.gateway, row, call.lifetime, call.actor, reason)
        changes.write(commits=True)
    return order


def _end_call(db: Database, order: AnyOrder) -> None:
    """Our call has ended, and what it did is unknown: the next request for it may find out at once."""
    with db.begin() as session:
        payments.lock(session, order.payment_id)
        row = session.get_one(PaymentOrder, order.id)
        if row.generation == order.generation and row.status == OrderStatus.CREATING:
            row.status = order_becomes(row.status, OrderStatus.UNKNOWN)


def _refused(call: Call, order: AnyOrder, error: GatewayError) -> CreateOrderFailed:
    """No order came to be: say so, unless another request has learnt otherwise meanwhile."""
    with call.db.begin() as session:
        changes = load_one(session, order.payment_id)
        known = changes.record
        payment, row = known.payment, known.order(order.id)
        if row.generation != order.generation or row.gateway_order_id:
            return CreateOrderFailed(error, payment.id)
        row.status = order_becomes(row.status, OrderStatus.REFUSED)
        row.updated_at = call.actor.clock.now()
        if payment.status in (PaymentStatus.INITIATED, PaymentStatus.PENDING):  # one that was lost, at most
            evidence: dict[str, Any] = {
                "error": error.code,
                "gatewayCode": error.gateway_code,
                "httpStatus": error.gateway_status,
            }
            decide.move(known, PaymentStatus.FAILED, call.actor, "no order came to be", evidence)
        changes.write()
        is_nothing = payment.status == PaymentStatus.FAILED and not known.had_order
        return CreateOrderFailed(error, payment.id, came_to_nothing=is_nothing)


def _payable(opened: PaymentView) -> PaymentView:
    if opened.is_closed:
        raise Conflict("This order can no longer be paid", code="order_expired", id=str(opened.id))
    if opened.review:
        if opened.status in (PaymentStatus.COMPLETED, PaymentStatus.AUTHORIZED):  # since we looked for it
            raise Conflict("This order is paid", code="order_paid", id=str(opened.id))
        raise CreateOrderFailed(GatewayError("the gateway's order is not the one we asked for"), opened.id)
    if opened.checkout is None:
        raise CreateOrderFailed(OutcomeUnknown("the order's address was lost, twice"), opened.id)
    return opened
