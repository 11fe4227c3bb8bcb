"""Send money back: our row and our id first, then the gateway; unknown is resolved by asking for that id."""

import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.errors import (
    Conflict,
    GatewayError,
    NotFound,
    OutcomeUnknown,
    PaymentsError,
    UnknownAtGateway,
)
from payments_service.flows import record
from payments_service.gateways.base import (
    REFUND_PREFIX,
    Deadline,
    Gateway,
    NewRefund,
    OrderRef,
    RefundRef,
    RefundSnapshot,
)
from payments_service.ledger import events, payments
from payments_service.ledger.db import Database
from payments_service.ledger.events import Bell
from payments_service.ledger.tables import Payment, PaymentAttempt, PaymentOrder, Refund
from payments_service.money import Money
from payments_service.states import PaymentStatus, RefundStatus

log = logging.getLogger(__name__)

BUDGET_SECONDS = 15.0
LEASE = timedelta(seconds=BUDGET_SECONDS + 60)
"""Nobody asks for a refund, or sends it again, while the call that sends it may be alive."""
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
OPEN = (RefundStatus.INITIATED, RefundStatus.PENDING)


@dataclass(frozen=True)
class RefundView:
    id: UUID
    payment_id: UUID
    refund_id: str | None
    """The gateway's id, once it is known."""
    status: RefundStatus
    amount: Money
    reason: str | None


class RefundFailed(PaymentsError):
    """The gateway did not take the refund. No money moved; `retryable` says whether a new one may succeed."""

    def __init__(self, cause: GatewayError, refund: UUID) -> None:
        super().__init__("Failed to refund", code=cause.code, retryable=cause.retryable, id=str(refund))
        self.explanation = cause.message


def refund(
    db: Database,
    gateway: Gateway,
    payment_id: UUID,
    amount: Money | None,
    reason: str,
    bell: Bell,
    *,
    webhook_url: str = "",
) -> RefundView:
    """Give back `amount`, or all that is left, of the attempt that paid.

    The answer may be `initiated`: whether the gateway took it is unknown, and the worker finds out.
    Raises Conflict (`not_refundable`, `refund_in_progress`, `refund_exceeds_captured`) and RefundFailed.
    """
    with db.begin() as session:
        payment = payments.lock(session, payment_id)
        attempt = _refundable(session, payment)
        row = _write_intent(session, gateway, payment, attempt, amount, reason, bell)
        new = _for_the_wire(session, row, webhook_url)
    deadline = Deadline(BUDGET_SECONDS)
    try:
        snapshot = _send(gateway, new, deadline)
    except OutcomeUnknown as error:
        log.warning("Refund not confirmed", extra={"data": {"id": row.id, "error": error.code}})
        return _view(row)
    except GatewayError as error:
        _write_refusal(db, payment_id, row, bell)
        raise RefundFailed(error, row.id) from error
    return settle(db, payment_id, row.id, snapshot, bell, row.generation)


def settle(
    db: Database, payment_id: UUID, row_id: UUID, snapshot: RefundSnapshot, bell: Bell, generation: int
) -> RefundView:
    """Write down what the gateway says of a refund, while it is still the caller's to write."""
    with db.begin() as session:
        payment = payments.lock(session, payment_id)
        row = session.get_one(Refund, row_id)
        if row.generation == generation:
            record.write_refund(session, payment, row, snapshot, bell)
        return _view(row)


def ask(db: Database, gateway: Gateway, row_id: UUID, bell: Bell, *, webhook_url: str = "") -> RefundView:
    """Ask what became of a refund of ours; one that the gateway never got is sent again under its id.

    The caller holds its lease. Raises GatewayError when nobody could say.
    """
    with db.read() as session:
        row = session.get_one(Refund, row_id)
        new = _for_the_wire(session, row, webhook_url)
    deadline = Deadline(BUDGET_SECONDS)
    ref = RefundRef(new.refund_id, new.order, new.transaction_id, row.gateway_refund_id)
    try:
        snapshot = gateway.fetch_refund(ref, deadline)
    except UnknownAtGateway:
        if row.gateway_refund_id or row.status != RefundStatus.INITIATED:
            raise
        snapshot = _send(gateway, new, deadline)
    return settle(db, row.payment_id, row_id, snapshot, bell, row.generation)


def _refundable(session: Session, payment: Payment) -> PaymentAttempt:
    if payment.status != PaymentStatus.COMPLETED or not payment.transaction_id:
        raise Conflict("Only a completed payment can be refunded", code="not_refundable")
    attempt = payments.attempt(session, payment.provider, payment.transaction_id)
    if attempt is None:
        raise NotFound("Payment not found")
    return attempt


def _write_intent(
    session: Session,
    gateway: Gateway,
    payment: Payment,
    attempt: PaymentAttempt,
    amount: Money | None,
    reason: str,
    bell: Bell,
) -> Refund:
    """The row of a refund that does not exceed what was captured: all that did not fail counts."""
    earlier = payments.refunds(session, attempt.id)
    if gateway.one_refund_at_a_time and any(row.status in OPEN for row in earlier):
        raise Conflict("Another refund of this payment is under way", code="refund_in_progress")
    left = attempt.amount - sum(row.amount for row in earlier if row.status != RefundStatus.FAILED)
    wanted = left if amount is None else amount.minor
    if not 0 < wanted <= left or (amount and amount.currency != attempt.currency):
        raise Conflict(
            f"Only {Money(left, attempt.currency)} can still be refunded",
            code="refund_exceeds_captured",
            refundablePaise=left,
        )
    row = Refund(
        payment_id=payment.id,
        attempt_id=attempt.id,
        provider=payment.provider,
        refund_id=REFUND_PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(24)),
        reason=reason,
        amount=wanted,
        currency=attempt.currency,
        status=RefundStatus.INITIATED,
        generation=1,
        next_check_at=bell.clock.now() + LEASE,
    )
    session.add(row)
    session.flush()
    evidence = {"id": str(row.id), "amountPaise": wanted}
    events.append(session, payment, "refund", bell, "a refund is wanted", evidence, after=row.status)
    return row


def _for_the_wire(session: Session, row: Refund, webhook_url: str) -> NewRefund:
    attempt = session.get_one(PaymentAttempt, row.attempt_id)
    order = session.get_one(PaymentOrder, attempt.order_id)
    return NewRefund(
        refund_id=row.refund_id or "",
        order=OrderRef(order.wire_id, order.gateway_order_id),
        transaction_id=attempt.transaction_id,
        amount=Money(row.amount, row.currency),
        reason=row.reason or "",
        webhook_url=webhook_url,
    )


def _send(gateway: Gateway, new: NewRefund, deadline: Deadline) -> RefundSnapshot:
    """Send it, the same id every time. After an unknown outcome ask once: absent now is still unknown."""
    try:
        return gateway.create_refund(new, deadline)
    except OutcomeUnknown as error:
        try:
            return gateway.fetch_refund(RefundRef(new.refund_id, new.order, new.transaction_id), deadline)
        except GatewayError:
            raise error from None


def _write_refusal(db: Database, payment_id: UUID, row: Refund, bell: Bell) -> None:
    with db.begin() as session:
        payment = payments.lock(session, payment_id)
        current = session.get_one(Refund, row.id)
        if current.generation == row.generation and current.status == RefundStatus.INITIATED:
            record.move_refund(
                session, payment, current, RefundStatus.FAILED, bell, "the gateway did not take it"
            )


def _view(row: Refund) -> RefundView:
    return RefundView(
        id=row.id,
        payment_id=row.payment_id,
        refund_id=row.gateway_refund_id,
        status=RefundStatus(row.status),
        amount=Money(row.amount, row.currency),
        reason=row.reason,
    )
