"""Open a payable order: intent first, then the gateway, then its answer."""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from uuid6 import uuid7

from payments_service.errors import GatewayError, OutcomeUnknown, PaymentsError
from payments_service.flows import sync
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
from payments_service.ledger import events, payments
from payments_service.ledger.db import Database
from payments_service.ledger.events import Bell
from payments_service.ledger.tables import LOST, Payment, PaymentOrder
from payments_service.logs import masked_email
from payments_service.money import Money
from payments_service.states import PaymentStatus

log = logging.getLogger(__name__)

BUDGET_SECONDS = 15.0
FOLLOW_UP_SECONDS = 2.0
LEASE = timedelta(seconds=BUDGET_SECONDS + 60)
"""Longer than the whole budget, so that nobody takes over a call that is still alive."""

WIRE_PREFIX = "psv_"
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


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


def create_order(db: Database, gateway: Gateway, new: NewPayment, urls: Urls, request_id: str) -> PaymentView:
    """One payment with one order at the gateway, open to be paid.

    Raises CreateOrderFailed; the payment is stored all the same, and an order whose creation was not
    confirmed is found again by our wire id.
    """
    bell = Bell("create-order", request_id)
    about = {"gateway": gateway.name, "amount": str(new.amount), "email": masked_email(new.customer_email)}
    log.info("Creating order", extra={"data": about})
    payment_id, order = _write_intent(db, gateway, new, bell)
    deadline = Deadline(BUDGET_SECONDS)
    try:
        snapshot = _open(gateway, _for_the_wire(new, order, urls, gateway), payment_id, deadline)
        if snapshot.checkout is None:
            order = _write_another_order(db, gateway, payment_id, bell)
            snapshot = _open(gateway, _for_the_wire(new, order, urls, gateway), payment_id, deadline)
    except GatewayError as error:
        _write_refusal(db, payment_id, order.id, error, bell)
        raise CreateOrderFailed(error, payment_id) from error
    follow_up = sync.settle(db, gateway, payment_id, order.id, snapshot, bell, generation=order.generation)
    if follow_up is not FollowUp.NOTHING:
        _follow_up(db, gateway, payment_id, bell)
    return _opened(db, payment_id)


def new_wire_id() -> str:
    """Ours, for ever unique, at most 34 of `[A-Za-z0-9_]`: the strictest gateway takes it."""
    return WIRE_PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(24))


def _write_intent(db: Database, gateway: Gateway, new: NewPayment, bell: Bell) -> tuple[UUID, PaymentOrder]:
    now = datetime.now(UTC)
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
        metadata_=dict(new.metadata),
        return_url=new.return_url,
        expires_at=now + new.lifetime,
    )
    order = _new_order(gateway, payment)
    with db.begin() as session:
        session.add(payment)
        session.flush()
        session.add(order)
        evidence = {"amountPaise": payment.amount, "wireId": order.wire_id}
        events.append(
            session, payment, "status", bell, "a buyer wants to pay", evidence, after=payment.status
        )
    return payment.id, order


def _new_order(gateway: Gateway, payment: Payment) -> PaymentOrder:
    order = PaymentOrder(
        payment_id=payment.id,
        provider=gateway.provider,
        wire_id=new_wire_id(),
        status="creating",
        generation=1,
        leased_until=datetime.now(UTC) + LEASE,
    )
    if gateway.browser_knows_wire_id:
        payment.order_id = order.wire_id
    return order


def _for_the_wire(new: NewPayment, order: PaymentOrder, urls: Urls, gateway: Gateway) -> NewOrder:
    return NewOrder(
        wire_id=order.wire_id,
        amount=new.amount,
        customer=Customer(
            id=order.payment_id.hex,  # never the e-mail or the phone, which some gateways show around
            name=new.customer_name,
            email=new.customer_email,
            phone=new.customer_phone,
        ),
        description=new.description or "",
        return_url=urls.back_from_gateway(order.payment_id),
        webhook_url=urls.webhook(gateway.name),
        expires_at=datetime.now(UTC) + new.lifetime,
    )


def _open(gateway: Gateway, new: NewOrder, payment_id: UUID, deadline: Deadline) -> PaymentSnapshot:
    """Make the order. After an unknown outcome look for it by our id, once: absent now is still unknown.

    A snapshot without a checkout is an order that exists and that nobody can be sent to.
    """
    started = datetime.now(UTC)
    try:
        return _as_snapshot(new, gateway.create_order(new, deadline), started)
    except OutcomeUnknown as error:
        try:
            return gateway.fetch_payment(OrderRef(new.wire_id), deadline)
        except GatewayError as second:
            about = {"wireId": new.wire_id, "asking": second.code}
            log.warning("Order creation not confirmed", extra={"data": about})
            raise CreateOrderFailed(error, payment_id) from error


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


def _write_another_order(db: Database, gateway: Gateway, payment_id: UUID, bell: Bell) -> PaymentOrder:
    """The first order is there, but its address is lost for ever: another one under the same payment."""
    with db.begin() as session:
        payment = payments.lock(session, payment_id)
        lost = payments.current_order(session, payment_id)
        lost.status = LOST
        order = _new_order(gateway, payment)
        session.add(order)
        evidence = {"lostWireId": lost.wire_id, "wireId": order.wire_id}
        events.append(session, payment, "note", bell, "the order's address was lost", evidence)
    return order


def _follow_up(db: Database, gateway: Gateway, payment_id: UUID, bell: Bell) -> None:
    """Events overtook our own answer and need the gateway's word; if it is not to be had now, it is later."""
    try:
        sync.refresh(db, gateway, payment_id, bell, Deadline(FOLLOW_UP_SECONDS))
    except GatewayError as error:
        log.warning("Follow-up left open", extra={"data": {"id": payment_id, "error": error.code}})


def _write_refusal(db: Database, payment_id: UUID, order_id: UUID, error: GatewayError, bell: Bell) -> None:
    """No order came to be: say so, unless somebody has learnt otherwise meanwhile."""
    with db.begin() as session:
        payment = payments.lock(session, payment_id)
        session.get_one(PaymentOrder, order_id).status = "refused"
        if payment.status == PaymentStatus.INITIATED:
            evidence: dict[str, Any] = {
                "error": error.code,
                "gatewayCode": error.gateway_code,
                "httpStatus": error.gateway_status,
            }
            sync.move(session, payment, PaymentStatus.FAILED, bell, "no order came to be", evidence)


def _opened(db: Database, payment_id: UUID) -> PaymentView:
    with db.read() as session:
        opened = view(session, payments.by_id(session, payment_id))
    if opened.review:
        raise CreateOrderFailed(GatewayError("the gateway's order is not the one we asked for"), payment_id)
    if opened.checkout is None:
        raise CreateOrderFailed(OutcomeUnknown("the order's address was lost, twice"), payment_id)
    return opened
