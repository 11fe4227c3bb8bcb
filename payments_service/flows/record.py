"""What is written beside a payment's status: the attempts on its orders, and the refunds.

Both only ever go forward; each step is a row in the trail. The caller holds the payment's lock.
"""

import logging

from sqlalchemy.orm import Session

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
    status = refund.status or RefundStatus.PENDING
    row = payments.refund(session, payment.provider, refund.gateway_refund_id)
    before = row.status if row else None
    if row is None:
        row = Refund(
            payment_id=payment.id,
            attempt_id=attempt.id,
            provider=payment.provider,
            gateway_refund_id=refund.gateway_refund_id,
            amount=refund.amount.minor,
            currency=refund.amount.currency,
        )
        session.add(row)
    elif REFUND_RANK[status] <= REFUND_RANK[RefundStatus(row.status)]:
        return
    row.status, row.gateway_status = status, refund.gateway_status
    evidence = {"refundId": refund.gateway_refund_id, "amountPaise": refund.amount.minor}
    events.append(session, payment, "refund", bell, SAYS, evidence, before=before, after=status)
