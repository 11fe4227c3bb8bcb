"""Send money back: our row and our id first, then the gateway; unknown is resolved by asking for that id."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain import payment as domain
from payments_service.domain import refund_news
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import (
    Conflict,
    GatewayError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    PaymentsError,
    Rejected,
    StoreUnavailable,
    UnknownAtGateway,
)
from payments_service.domain.money import Money
from payments_service.domain.news import REFUND_PREFIX, NewRefund, OrderRef, RefundRef, RefundSnapshot, new_id
from payments_service.domain.payment import Actor
from payments_service.domain.states import CAPTURED, REFUND_OPEN, PaymentStatus, RefundStatus
from payments_service.gateways.base import Gateway
from payments_service.store import history, payments
from payments_service.store.db import Database
from payments_service.store.record import Names, load_one, retried
from payments_service.store.tables import Payment, PaymentAttempt, PaymentOrder, Refund

log = logging.getLogger(__name__)

BUDGET_SECONDS = 15.0
LEASE = timedelta(seconds=BUDGET_SECONDS + 60)
"""Nobody asks for a refund, or sends it again, while the call that sends it may be alive."""


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
    actor: Actor,
    *,
    transaction_id: str | None = None,
    webhook_url: str = "",
) -> RefundView:
    """Give back `amount`, or all that is left, of the attempt that paid, else of the one that is named.

    The answer may be `initiated`: whether the gateway took it is unknown, and the worker finds out.
    Raises InvalidInput, NotFound, Conflict (`not_refundable`, `refund_in_progress`,
    `refund_exceeds_captured`) and RefundFailed.
    """
    with db.begin() as session:
        payment = payments.lock(session, payment_id)
        attempt = _refundable(session, gateway, payment, transaction_id)
        row = _write_intent(session, gateway, payment, attempt, amount, reason, actor)
        new = _for_the_wire(session, row, webhook_url)
    about = {"id": payment_id, "refund": row.id, "amountPaise": row.amount}
    log.info("Refunding", extra={"data": about})
    try:
        return _carry_out(db, gateway, row, new, actor)
    except OutcomeUnknown as error:
        log.warning("Refund not confirmed", extra={"data": {**about, "error": error.code}})
    except StoreUnavailable:
        # Money may have moved, so nobody may be told to send it again: the worker asks and writes it down.
        log.error("Refund not written down", extra={"data": about})  # noqa: TRY400 (the store said why)
    return _view(row)


def settle(
    db: Database, payment_id: UUID, row_id: UUID, snapshot: RefundSnapshot, actor: Actor, generation: int
) -> RefundView:
    """Write down what the gateway says of a refund, while it is still the caller's to write."""

    def write() -> RefundView:
        with db.begin() as session:
            changes = load_one(session, payment_id, Names.of(snapshot))
            row = changes.record.refund(row_id)
            if row.generation == generation:
                refund_news.apply_refund(changes.record, row, snapshot, actor)
                changes.write()
            return _view(row)

    return retried(write)


def ask(db: Database, gateway: Gateway, row_id: UUID, actor: Actor, *, webhook_url: str = "") -> RefundView:
    """Ask what became of a refund; one of ours that the gateway never got is sent again under its id.

    The caller holds its lease. Raises GatewayError when nobody could say.
    """
    with db.read() as session:
        row = session.get_one(Refund, row_id)
        new = _for_the_wire(session, row, webhook_url)
    deadline = Deadline(BUDGET_SECONDS, Urgency.POLLING)
    try:
        snapshot = gateway.fetch_refund(_ref(new, row.gateway_refund_id), deadline)
    except UnknownAtGateway:
        if row.gateway_refund_id or row.status != RefundStatus.INITIATED:
            about = {"id": row.payment_id, "refund": row_id}
            log.error("Refund unknown at the gateway", extra={"data": about})  # noqa: TRY400
            raise
        return _send_again(db, gateway, row, new, actor, deadline)
    return settle(db, row.payment_id, row_id, snapshot, actor, row.generation)


def _carry_out(db: Database, gateway: Gateway, row: Refund, new: NewRefund, actor: Actor) -> RefundView:
    try:
        snapshot = _send(gateway, new, Deadline(BUDGET_SECONDS))
    except OutcomeUnknown:
        raise
    except GatewayError as error:
        current = _write_refusal(db, row, actor)
        if current.status is not RefundStatus.FAILED:
            return current  # in the meantime the gateway told of it: it is there
        raise RefundFailed(error, row.id) from error
    return settle(db, row.payment_id, row.id, snapshot, actor, row.generation)


def _send_again(
    db: Database, gateway: Gateway, row: Refund, new: NewRefund, actor: Actor, deadline: Deadline
) -> RefundView:
    """What the gateway denies to have, once more under the same id, unless there was news of it meanwhile."""
    with db.begin() as session:
        payments.lock(session, row.payment_id)
        current = _lock(session, row.id)
        if current.generation != row.generation or current.status != RefundStatus.INITIATED:
            return _view(current)
    try:
        snapshot = _send(gateway, new, deadline)
    except Rejected:
        # It may have been refused because the first one came through after all: look before believing it.
        try:
            snapshot = gateway.fetch_refund(_ref(new), deadline)
        except UnknownAtGateway:
            return _write_refusal(db, row, actor)
    return settle(db, row.payment_id, row.id, snapshot, actor, row.generation)


def _refundable(
    session: Session, gateway: Gateway, payment: Payment, transaction_id: str | None
) -> PaymentAttempt:
    """The attempt to give back of, captured for sure."""
    if transaction_id is None and payment.status != PaymentStatus.COMPLETED:
        raise Conflict("Only a completed payment can be refunded", code="not_refundable")
    tries = payments.attempts(session, payment.id)
    wanted = transaction_id or payment.transaction_id
    attempt = next((one for one in tries if one.transaction_id == wanted), None)
    if attempt is None:
        raise NotFound("This payment has no such attempt")
    if attempt.status not in CAPTURED:
        raise Conflict("Only what was captured can be refunded", code="not_refundable")
    rivals = [one for one in tries if one.order_id == attempt.order_id and one.status in CAPTURED]
    if wanted != payment.transaction_id and len(rivals) > 1 and not gateway.refunds_name_the_attempt:
        raise Conflict(
            "This gateway cannot be told which payment of an order to refund", code="not_refundable"
        )
    return attempt


def _write_intent(
    session: Session,
    gateway: Gateway,
    payment: Payment,
    attempt: PaymentAttempt,
    amount: Money | None,
    reason: str,
    actor: Actor,
) -> Refund:
    """The row of a refund that does not exceed what was captured: all that did not fail counts."""
    earlier = payments.refunds(session, attempt.id)
    if gateway.one_refund_at_a_time and any(row.status in REFUND_OPEN for row in earlier):
        raise Conflict("Another refund of this payment is under way", code="refund_in_progress")
    taken = sum(row.amount for row in earlier if row.status != RefundStatus.FAILED)
    most = min(attempt.amount, payment.amount) if gateway.refunds_up_to_the_order else attempt.amount
    wanted = _wanted(amount, Money(max(0, most - taken), attempt.currency))
    row = Refund(
        payment_id=payment.id,
        attempt_id=attempt.id,
        provider=payment.provider,
        refund_id=new_id(REFUND_PREFIX),
        reason=reason,
        amount=wanted.minor,
        currency=wanted.currency,
        status=RefundStatus.INITIATED,
        generation=1,
        next_check_at=actor.clock.now() + LEASE,
    )
    session.add(row)
    session.flush()
    evidence = {"id": str(row.id), "amountPaise": wanted.minor}
    history.append(session, payment, "refund", actor, "a refund is wanted", evidence, after=row.status)
    return row


def _wanted(amount: Money | None, left: Money) -> Money:
    """What is asked for, else all that is left; never more than that."""
    wanted = left if amount is None else amount
    if wanted.currency != left.currency:
        raise InvalidInput("Invalid amount", details={"amount": [f"must be in {left.currency}"]})
    if amount is not None and amount.minor <= 0:
        raise InvalidInput("Invalid amount", details={"amount": ["must be more than nothing"]})
    if not 0 < wanted.minor <= left.minor:
        raise Conflict(
            f"Only {left} can still be refunded", code="refund_exceeds_captured", refundablePaise=left.minor
        )
    return wanted


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


def _ref(new: NewRefund, gateway_refund_id: str | None = None) -> RefundRef:
    return RefundRef(new.refund_id, new.order, new.transaction_id, gateway_refund_id)


def _send(gateway: Gateway, new: NewRefund, deadline: Deadline) -> RefundSnapshot:
    """Send it, the same id every time. After an unknown outcome ask once: absent now is still unknown."""
    try:
        return gateway.create_refund(new, deadline)
    except OutcomeUnknown as error:
        try:
            return gateway.fetch_refund(_ref(new), deadline)
        except GatewayError:
            raise error from None


def _write_refusal(db: Database, row: Refund, actor: Actor) -> RefundView:
    """The refund failed, unless somebody else answers for it by now or there is news of it."""
    with db.begin() as session:
        changes = load_one(session, row.payment_id)
        current = changes.record.refund(row.id)
        if current.generation == row.generation and current.status == RefundStatus.INITIATED:
            why = "the gateway did not take it"
            refund_news.move_refund(changes.record, current, RefundStatus.FAILED, actor, why)
            changes.write()
        return _view(current)


def _lock(session: Session, row_id: UUID) -> Refund:
    """The refund's row, after its payment's."""
    return session.get_one(Refund, row_id, with_for_update=True)


def _view(row: Refund | domain.Refund) -> RefundView:
    return RefundView(
        id=row.id,
        payment_id=row.payment_id,
        refund_id=row.gateway_refund_id,
        status=RefundStatus(row.status),
        amount=Money(row.amount, row.currency),
        reason=row.reason,
    )
