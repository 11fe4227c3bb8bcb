"""What is written beside a payment's status: the attempts on its orders, and the refunds.

Both only ever go forward; each step is a row in the trail. The caller holds the payment's lock.
"""

import logging

from sqlalchemy.orm import Session

from payments_service.flows import announce
from payments_service.gateways.base import AttemptSnapshot, PaymentSnapshot, RefundSnapshot
from payments_service.ledger import events, payments
from payments_service.ledger.events import Bell
from payments_service.ledger.tables import Payment, PaymentAttempt, PaymentOrder, Refund
from payments_service.states import ATTEMPT_RANK, REFUND_RANK, AttemptStatus, RefundStatus

log = logging.getLogger(__name__)

SAYS = "the gateway says so"


def attempts(
    session: Session, payment: Payment, order: PaymentOrder, snapshot: PaymentSnapshot, bell: Bell
) -> None:
    for attempt in snapshot.attempts:
        if attempt.status is None:
            about = {"id": payment.id, "paymentId": attempt.transaction_id, "status": attempt.gateway_status}
            log.error("Unknown status from gateway", extra={"data": about})
        _record_attempt(session, payment, order, attempt, bell)
    session.flush()


def _record_attempt(
    session: Session, payment: Payment, order: PaymentOrder, attempt: AttemptSnapshot, bell: Bell
) -> None:
    status = attempt.status or AttemptStatus.PENDING
    row = payments.attempt(session, order.provider, attempt.transaction_id)
    before = row.status if row else None
    if row is None:
        row = PaymentAttempt(
            order_id=order.id,
            provider=order.provider,
            transaction_id=attempt.transaction_id,
            amount=attempt.amount.minor,
            currency=attempt.amount.currency,
        )
        session.add(row)
    elif row.order_id != order.id:
        log.error("Attempt of another order", extra={"data": {"paymentId": attempt.transaction_id}})
        return
    elif ATTEMPT_RANK[status] <= ATTEMPT_RANK[AttemptStatus(row.status)]:
        return
    row.status, row.gateway_status = status, attempt.gateway_status
    row.method, row.error_code = attempt.method, attempt.error_code
    evidence = {
        "paymentId": attempt.transaction_id,
        "gatewayStatus": attempt.gateway_status,
        "amountPaise": attempt.amount.minor,
    }
    events.append(session, payment, "attempt", bell, SAYS, evidence, before=before, after=status)


def refunds(session: Session, payment: Payment, snapshot: PaymentSnapshot, bell: Bell) -> None:
    for refund in snapshot.refunds or ():
        _record_refund(session, payment, refund, bell)
    session.flush()


def _record_refund(session: Session, payment: Payment, refund: RefundSnapshot, bell: Bell) -> None:
    attempt = payments.attempt(session, payment.provider, refund.transaction_id)
    if attempt is None:
        log.error("Refund of an unknown attempt", extra={"data": {"refundId": refund.gateway_refund_id}})
        return
    row = payments.refund(
        session,
        payment.provider,
        refund_id=refund.refund_id,
        gateway_refund_id=refund.gateway_refund_id,
    )
    if row is None and _may_be_ours(session, attempt):
        log.info("Refund not adopted yet", extra={"data": {"refundId": refund.gateway_refund_id}})
        return
    if row is None:
        row = Refund(
            payment_id=payment.id,
            attempt_id=attempt.id,
            provider=payment.provider,
            amount=refund.amount.minor,
            currency=refund.amount.currency,
            next_check_at=bell.clock.now(),
        )
        session.add(row)
    write_refund(session, payment, row, refund, bell)


def _may_be_ours(session: Session, attempt: PaymentAttempt) -> bool:
    """One of ours was sent and has no answer yet: a refund that nobody knows may be that one."""
    return any(
        row.status == RefundStatus.INITIATED and row.refund_id
        for row in payments.refunds(session, attempt.id)
    )


def write_refund(session: Session, payment: Payment, row: Refund, refund: RefundSnapshot, bell: Bell) -> None:
    """Bring a refund forward to what the gateway says of it."""
    before = row.status
    status = refund.status or RefundStatus.PENDING
    if refund.status is None:
        about = {"refundId": refund.gateway_refund_id, "status": refund.gateway_status}
        log.error("Unknown status from gateway", extra={"data": about})
    row.gateway_refund_id = row.gateway_refund_id or refund.gateway_refund_id
    if before and REFUND_RANK[status] <= REFUND_RANK[RefundStatus(before)]:
        return
    row.gateway_status = refund.gateway_status
    move_refund(session, payment, row, status, bell, SAYS)


def move_refund(
    session: Session, payment: Payment, row: Refund, to: RefundStatus, bell: Bell, reason: str
) -> None:
    """Change a refund's status: never without its row in the trail, and told when it is final."""
    before = row.status
    row.status, row.updated_at = to, bell.clock.now()
    if to in (RefundStatus.COMPLETED, RefundStatus.FAILED):
        row.next_check_at = None
    session.flush()
    evidence = {
        "id": str(row.id),
        "refundId": row.gateway_refund_id,
        "amountPaise": row.amount,
        "gatewayStatus": row.gateway_status,
    }
    sequence = events.append(session, payment, "refund", bell, reason, evidence, before=before, after=to)
    announce.refund(session, payment, row, sequence, bell.clock)
    about = {"id": payment.id, "from": before, "to": to, "source": bell.source, "reason": reason}
    log.info("Refund status", extra={"data": {**about, **evidence}})
