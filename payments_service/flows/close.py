"""Stop an open payment: cancelled at the gateway where possible, else expired here, and still watched.

That the merchant closed it is stored first: money that comes later is flagged and never completed.
"""

import logging
from uuid import UUID

from payments_service.domain import decide
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Conflict, GatewayError
from payments_service.domain.news import OrderRef
from payments_service.domain.payment import Actor
from payments_service.domain.states import EntryKind, OrderStatus, PaymentStatus
from payments_service.flows import merchant, sync
from payments_service.flows.payment_view import PaymentView, by_id
from payments_service.gateways.base import Gateway
from payments_service.store import history, payments
from payments_service.store.db import Database
from payments_service.store.record import load_one
from payments_service.store.tables import PaymentOrder

log = logging.getLogger(__name__)

BUDGET_SECONDS = 15.0
"""For all calls to the gateway of one cancellation."""
OPEN_WITHOUT_MONEY = (PaymentStatus.INITIATED, PaymentStatus.PENDING)


class BeingPaid(Conflict):
    """Money is on its way, or the order is being made at this moment."""

    code = "being_paid"
    retry_after_seconds = merchant.RETRY_AFTER_SECONDS

    def __init__(self, status: str) -> None:
        super().__init__(
            "This payment is being paid, so it cannot be closed now", paymentStatus=status, retryable=True
        )


def close(db: Database, gateway: Gateway | None, payment_id: UUID, actor: Actor) -> PaymentView:
    """The payment, which can be paid no more. Harmless when repeated.

    `gateway` is None where it is switched off: then it ends here alone. Raises NotFound and Conflict:
    `order_paid`, `being_paid`.
    """
    known = by_id(db, payment_id)
    deadline = Deadline(BUDGET_SECONDS)
    if gateway and known.status in OPEN_WITHOUT_MONEY:
        with db.read() as session:
            order = payments.current_order(session, known.id)
        _refuse_while_it_is_made(order, known.status, actor)  # asking would end it
        _look(db, gateway, payment_id, actor, deadline)
    left_open = _write_wish(db, payment_id, actor)
    if gateway and left_open is not None:
        _close_there(db, gateway, left_open, actor, deadline)
    _end_here(db, payment_id, actor)
    return by_id(db, payment_id)


def _refuse_while_it_is_made(order: PaymentOrder, status: str, actor: Actor) -> None:
    if order.status == OrderStatus.CREATING and order.leased_until > actor.clock.now():
        raise BeingPaid(status)


def _look(db: Database, gateway: Gateway, payment_id: UUID, actor: Actor, deadline: Deadline) -> None:
    """Whether it is being paid, as far as the gateway can say."""
    try:
        sync.refresh(db, gateway, payment_id, actor, deadline)
    except GatewayError as error:
        log.info("Not asked before closing", extra={"data": {"id": payment_id, "error": error.code}})


def _write_wish(db: Database, payment_id: UUID, actor: Actor) -> PaymentOrder | None:
    """Note that it is closed; the order to close at the gateway, None when that is over."""
    with db.begin() as session:
        payment = payments.lock(session, payment_id)
        order = payments.current_order(session, payment_id)
        if payment.status == PaymentStatus.COMPLETED:
            raise Conflict("This payment is paid", code="order_paid", paymentStatus=payment.status)
        has_money = load_one(session, payment_id).record.standing.stops_our_clock
        if payment.closed_at is None and (payment.status == PaymentStatus.AUTHORIZED or has_money):
            raise BeingPaid(payment.status)
        if payment.closed_at is None:
            # A payer may have come back meanwhile: an order that is being made cannot be ended.
            _refuse_while_it_is_made(order, payment.status, actor)
            payment.closed_at = payment.updated_at = actor.clock.now()
            history.append(session, payment, EntryKind.NOTE, actor, "the merchant closed it", {})
        return order if payment.status in OPEN_WITHOUT_MONEY else None


def _close_there(
    db: Database, gateway: Gateway, order: PaymentOrder, actor: Actor, deadline: Deadline
) -> None:
    """An order that cannot be ended there, or whose end is not confirmed, ends here and is watched."""
    try:
        snapshot = gateway.close(OrderRef(order.wire_id, order.gateway_order_id), deadline)
    except GatewayError as error:
        about = {"id": order.payment_id, "error": error.code}
        log.warning("Order not closed at the gateway for sure", extra={"data": about})
        return
    if snapshot is not None:
        sync.apply(db, gateway, order, snapshot, actor)


def _end_here(db: Database, payment_id: UUID, actor: Actor) -> None:
    with db.begin() as session:
        changes = load_one(session, payment_id)
        known = changes.record
        payment, has_money = known.payment, known.standing.stops_our_clock
        if payment.status in OPEN_WITHOUT_MONEY and not payment.review and not has_money:
            decide.move(known, PaymentStatus.EXPIRED, actor, "the merchant closed it", {})
            changes.write()
