"""Money that is held and that no machine takes: the merchant takes it, or lets it go.

The wish is written down before the call. An error of the call says nothing for sure, so the gateway is asked
what became of it, also after a success: its answer moves the payment, as any other news does.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Conflict, GatewayError, Rejected
from payments_service.domain.money import Money
from payments_service.domain.news import OrderRef
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, EntryKind, PaymentStatus
from payments_service.flows import merchant, sync
from payments_service.flows.payment_view import PaymentView, by_id
from payments_service.gateways.base import Gateway
from payments_service.store import history, payments
from payments_service.store.db import Database

log = logging.getLogger(__name__)

BUDGET_SECONDS = 15.0
"""For all calls to the gateway of one capture or void."""


@dataclass(frozen=True)
class Hold:
    """What is held for one order at a gateway."""

    order: OrderRef
    transaction_id: str
    amount: Money
    """The order's, which is what is captured."""


def capture(db: Database, gateway: Gateway, payment_id: UUID, actor: Actor) -> PaymentView:
    """Take what is held, all of it. Harmless when repeated.

    Raises NotFound and Conflict: `not_capturable`, `payment_review`, `payment_closed`, `reference_paid`,
    `outcome_unknown`.
    """

    def take(hold: Hold, deadline: Deadline) -> None:
        gateway.capture(hold.order, hold.transaction_id, hold.amount, deadline)

    known = by_id(db, payment_id)
    if known.status is PaymentStatus.COMPLETED:
        return known
    hold = _held(db, payment_id, actor, "capture is wanted", "not_capturable", is_capture=True)
    return _end(db, gateway, payment_id, hold, take, PaymentStatus.COMPLETED, "not_capturable", actor)


def void(db: Database, gateway: Gateway, payment_id: UUID, actor: Actor) -> PaymentView:
    """Let go what is held: the payment fails, and the payer has the money back. Harmless when repeated.

    Raises NotFound and Conflict: `not_voidable`, `outcome_unknown`.
    """

    def let_go(hold: Hold, deadline: Deadline) -> None:
        gateway.void(hold.order, hold.transaction_id, deadline)

    known = by_id(db, payment_id)
    if _was_let_go(db, known):
        return known
    hold = _held(db, payment_id, actor, "letting the hold go is wanted", "not_voidable", is_capture=False)
    return _end(db, gateway, payment_id, hold, let_go, PaymentStatus.FAILED, "not_voidable", actor)


def _held(db: Database, payment_id: UUID, actor: Actor, wish: str, code: str, *, is_capture: bool) -> Hold:
    """What the payment holds, and the wish written down."""
    with db.begin() as session:
        payment = payments.lock(session, payment_id)
        tries = payments.attempts(session, payment_id)
        held = next((one for one in tries if one.status == AttemptStatus.AUTHORIZED), None)
        if payment.status != PaymentStatus.AUTHORIZED or held is None:
            raise Conflict("No money is held for this payment", code=code, paymentStatus=payment.status)
        if is_capture:
            _refuse_what_a_person_decides(
                payment.review, payment.closed_at is not None, payments.reference_paid_by(session, payment)
            )
        order = next(o for o in payments.watched_orders(session, payment_id) if o.id == held.order_id)
        evidence = {"paymentId": held.transaction_id, "amountPaise": payment.amount}
        history.append(session, payment, EntryKind.NOTE, actor, wish, evidence)
        ref = OrderRef(order.wire_id, order.gateway_order_id)
        return Hold(ref, held.transaction_id, payment.money)


def _refuse_what_a_person_decides(review: str | None, is_closed: bool, paid_by: UUID | None) -> None:
    if is_closed:
        raise Conflict("This payment was closed", code="payment_closed")
    if paid_by:
        raise Conflict("This reference is paid by another payment", code="reference_paid", id=str(paid_by))
    if review:
        raise Conflict("This payment is under review", code="payment_review")


def _was_let_go(db: Database, known: PaymentView) -> bool:
    """Also while a review keeps the payment from its end: a person decides on that, and the money is gone."""
    with db.read() as session:
        found = {one.status for one in payments.attempts(session, known.id)}
    is_unpaid = known.status in (PaymentStatus.FAILED, PaymentStatus.AUTHORIZED)
    return is_unpaid and AttemptStatus.VOIDED in found and AttemptStatus.AUTHORIZED not in found


def _end(
    db: Database,
    gateway: Gateway,
    payment_id: UUID,
    hold: Hold,
    send: Callable[[Hold, Deadline], None],
    wanted: PaymentStatus,
    code: str,
    actor: Actor,
) -> PaymentView:
    """Send it once, and let the gateway say what became of it."""
    deadline = Deadline(BUDGET_SECONDS)
    refusal = None
    try:
        send(hold, deadline)
    except GatewayError as error:
        refusal = error
        about = {"id": payment_id, "paymentId": hold.transaction_id, "error": error.code}
        log.warning("A hold was not ended for sure", extra={"data": about})
    try:
        sync.refresh(db, gateway, payment_id, actor, deadline)
    except GatewayError as error:
        log.warning("Not asked", extra={"data": {"id": payment_id, "error": error.code}})
    known = by_id(db, payment_id)
    if known.status is wanted or (wanted is PaymentStatus.FAILED and _was_let_go(db, known)):
        return known
    if isinstance(refusal, Rejected):
        raise merchant.RefusedByGateway(refusal, code, known) from refusal
    raise merchant.OutcomeNotKnown(known)
