"""Open a payable order: intent first, then the gateway, then its answer."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from payments_service.errors import Conflict, GatewayError, OutcomeUnknown, PaymentsError, UnknownAtGateway
from payments_service.flows import idempotency, intent, sync
from payments_service.flows.idempotency import Claim, StillRunning
from payments_service.flows.intent import BUDGET_SECONDS, LEASE, NewPayment
from payments_service.flows.sync import FollowUp
from payments_service.flows.views import PaymentView, view
from payments_service.gateways.base import (
    Checkout,
    Customer,
    Deadline,
    Gateway,
    NewOrder,
    OrderRef,
    PaymentSnapshot,
)
from payments_service.ledger import payments
from payments_service.ledger.db import Database
from payments_service.ledger.events import Bell
from payments_service.ledger.tables import Payment, PaymentOrder
from payments_service.logs import masked_email
from payments_service.states import PaymentStatus

log = logging.getLogger(__name__)

FOLLOW_UP_SECONDS = 2.0


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

    def __init__(self, cause: GatewayError, payment_id: UUID) -> None:
        super().__init__(
            "Failed to create order", code=cause.code, retryable=cause.retryable, id=str(payment_id)
        )
        self.explanation = cause.message
        self.retry_after_seconds = cause.retry_after_seconds
        self.http_status = cause.http_status
        self.may_have_an_order = isinstance(cause, OutcomeUnknown)


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
    bell: Bell
    deadline: Deadline


def create_order(
    db: Database,
    gateway: Gateway,
    new: NewPayment,
    urls: Urls,
    request_id: str,
    claim: Claim | None = None,
) -> PaymentView:
    """One payment with one order at the gateway, open to be paid.

    With a claim on an idempotency key, or for a reference that the merchant vouches for, a payment that was
    begun before is taken up. Raises CreateOrderFailed and Conflict; the payment is stored all the same, and
    an order whose creation was not confirmed is found again by our wire id.
    """
    call = Call(db, gateway, urls, Bell("create-order", request_id), Deadline(BUDGET_SECONDS))
    about = {"gateway": gateway.name, "amount": str(new.amount), "email": masked_email(new.customer_email)}
    log.info("Creating order", extra={"data": about})
    try:
        with db.begin() as session:
            payment_id, is_new = intent.write(session, gateway, new, claim, call.bell)
        if is_new:
            _open(call, payment_id)
    except (Conflict, CreateOrderFailed) as error:
        # Nothing was begun, or it surely came to nothing: then the same key may start again.
        is_open = isinstance(error, CreateOrderFailed) and error.may_have_an_order
        (idempotency.leave_open if is_open else idempotency.release)(db, claim)
        raise
    if not is_new:
        try:
            _take_up(call, payment_id)
        except (Conflict, CreateOrderFailed):
            idempotency.leave_open(db, claim)
            raise
    return _opened(db, payment_id)


# ── a new payment ───────────────────────────────────────────────────────────────────────────────────


def _open(call: Call, payment_id: UUID) -> None:
    """Make the payment's order, and another one when the first exists and nobody can be sent there."""
    payment, order = _current(call.db, payment_id)
    try:
        snapshot = _make(call, payment, order)
        if snapshot.checkout is None:
            order = _another(call, payment_id, order, "the order's address was lost")
            snapshot = _make(call, payment, order)
    except GatewayError as error:
        _write_refusal(call, order, error)
        raise CreateOrderFailed(error, payment_id) from error
    _settle(call, order, snapshot)


def _make(call: Call, payment: Payment, order: PaymentOrder) -> PaymentSnapshot:
    """Send it once. After an unknown outcome look for it by our id, once: absent now is still unknown.

    A snapshot without a checkout is an order that exists and that nobody can be sent to.
    """
    new, started = _for_the_wire(call, payment, order), datetime.now(UTC)
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


def _for_the_wire(call: Call, payment: Payment, order: PaymentOrder) -> NewOrder:
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
        expires_at=datetime.now(UTC) + (payment.expires_at - payment.created_at),
    )


def _as_snapshot(new: NewOrder, checkout: Checkout, started: datetime) -> PaymentSnapshot:
    """The answer to create-order is news like any other: it ends in the same door."""
    return PaymentSnapshot(
        order=OrderRef(new.wire_id, checkout.gateway_order_id),
        status=PaymentStatus.PENDING,
        gateway_status=checkout.gateway_status,
        amount=checkout.amount,
        observed_at=started,
        fetched=True,
        checkout=checkout,
    )


def _settle(call: Call, order: PaymentOrder, snapshot: PaymentSnapshot) -> None:
    """Write the answer down. When events overtook it and need the gateway's word, ask; if not now, later."""
    follow_up = sync.settle(
        call.db, call.gateway, order.payment_id, order.id, snapshot, call.bell, generation=order.generation
    )
    if follow_up is FollowUp.NOTHING:
        return
    try:
        sync.refresh(call.db, call.gateway, order.payment_id, call.bell, Deadline(FOLLOW_UP_SECONDS))
    except GatewayError as error:
        about = {"id": order.payment_id, "error": error.code}
        log.warning("Follow-up left open", extra={"data": about})


# ── a payment that was begun before ─────────────────────────────────────────────────────────────────


def _take_up(call: Call, payment_id: UUID) -> None:
    """Ask before anything is made: an order that is there is used, one that never came to be is replaced."""
    order = _take_over(call, payment_id)
    if order is None:
        return
    reason = "the order's address was lost"
    try:
        ref = OrderRef(order.wire_id, order.gateway_order_id)
        snapshot = call.gateway.fetch_payment(ref, call.deadline)
        _settle(call, order, snapshot)
    except UnknownAtGateway as error:
        # Too early to believe it, or nonsense about an order that it told us of itself.
        if call.bell.clock.now() < order.created_at + LEASE or order.gateway_order_id:
            _end_call(call.db, order)
            raise OutcomeStillUnknown(payment_id) from error
        reason = "the order never came to be"
    except GatewayError as error:
        _end_call(call.db, order)
        raise OutcomeStillUnknown(payment_id) from error
    payment, current = _current(call.db, payment_id)
    _must_be_open(payment)
    if current.checkout is not None:
        return
    another = _another(call, payment_id, order, reason)
    try:
        _settle(call, another, _make(call, payment, another))
    except GatewayError as error:
        _write_refusal(call, another, error)
        raise CreateOrderFailed(error, payment_id) from error


def _take_over(call: Call, payment_id: UUID) -> PaymentOrder | None:
    """The order, its call now ours to answer for; None when it can be paid as it is."""
    now = call.bell.clock.now()
    with call.db.begin() as session:
        payment = payments.lock(session, payment_id)
        _must_be_open(payment)
        order = payments.current_order(session, payment_id)
        if order.checkout is not None:
            return None
        if order.status == "creating" and order.leased_until > now:
            raise StillRunning("The first request for this order is still running")
        order.generation += 1
        order.status = "open" if order.gateway_order_id else "creating"
        order.leased_until = now + LEASE
        return order


def _must_be_open(payment: Payment) -> None:
    if payment.status in (PaymentStatus.COMPLETED, PaymentStatus.AUTHORIZED):
        raise Conflict("This order is paid", code="order_paid", id=str(payment.id))
    if payment.status in (PaymentStatus.FAILED, PaymentStatus.EXPIRED):
        raise Conflict("This order can no longer be paid", code="order_expired", id=str(payment.id))


# ── what both write ─────────────────────────────────────────────────────────────────────────────────


def _current(db: Database, payment_id: UUID) -> tuple[Payment, PaymentOrder]:
    with db.read() as session:
        return payments.by_id(session, payment_id), payments.current_order(session, payment_id)


def _another(call: Call, payment_id: UUID, lost: PaymentOrder, reason: str) -> PaymentOrder:
    with call.db.begin() as session:
        payment = payments.lock(session, payment_id)
        row = session.get_one(PaymentOrder, lost.id)
        if row.generation != lost.generation:
            raise StillRunning("Another request has taken over")
        return intent.write_another_order(session, call.gateway, payment, row, call.bell, reason)


def _end_call(db: Database, order: PaymentOrder) -> None:
    """Our call has ended, and what it did is unknown: whoever asks for the same may find out at once."""
    with db.begin() as session:
        payments.lock(session, order.payment_id)
        row = session.get_one(PaymentOrder, order.id)
        if row.generation == order.generation and row.status == "creating":
            row.status = "unknown"


def _write_refusal(call: Call, order: PaymentOrder, error: GatewayError) -> None:
    """No order came to be: say so, unless somebody has learnt otherwise meanwhile."""
    with call.db.begin() as session:
        payment = payments.lock(session, order.payment_id)
        row = session.get_one(PaymentOrder, order.id)
        if row.generation != order.generation:
            return
        row.status = "refused"
        if payment.status == PaymentStatus.INITIATED:
            evidence: dict[str, Any] = {
                "error": error.code,
                "gatewayCode": error.gateway_code,
                "httpStatus": error.gateway_status,
            }
            sync.move(session, payment, PaymentStatus.FAILED, call.bell, "no order came to be", evidence)


def _opened(db: Database, payment_id: UUID) -> PaymentView:
    with db.read() as session:
        opened = view(session, payments.by_id(session, payment_id))
    if opened.review:
        raise CreateOrderFailed(GatewayError("the gateway's order is not the one we asked for"), payment_id)
    if opened.checkout is None:
        raise CreateOrderFailed(OutcomeUnknown("the order's address was lost, twice"), payment_id)
    return opened
