"""What is told about a change, put into the outbox in the transaction of the change itself."""

from typing import Any

from sqlalchemy.orm import Session

from payments_service.domain.clock import Clock
from payments_service.domain.news import DisputeSnapshot
from payments_service.domain.states import PaymentStatus, RefundStatus
from payments_service.store import outbox, payments
from payments_service.store.tables import Payment, PaymentAttempt, Refund

EVENTS = {
    PaymentStatus.AUTHORIZED: "payment.authorized",
    PaymentStatus.COMPLETED: "payment.completed",
    PaymentStatus.FAILED: "payment.failed",
    PaymentStatus.EXPIRED: "payment.expired",
}
REFUND_EVENTS = {RefundStatus.COMPLETED: "refund.completed", RefundStatus.FAILED: "refund.failed"}
AUTHORIZED, COMPLETED, REVIEW = "payment.authorized", "payment.completed", "payment.review"
DISPUTE_OPENED, DISPUTE_CLOSED = "dispute.opened", "dispute.closed"


def status(session: Session, payment: Payment, sequence: int, clock: Clock) -> None:
    """The payment's new status, unless it never had an order that anybody could have paid."""
    event = EVENTS.get(PaymentStatus(payment.status))
    if event is None or not payments.had_order(session, payment.id):
        return
    # Once in a payment's life it is completed, so there is one such fact, whoever finds it.
    fact = f"{event}:{payment.id}" if event == COMPLETED else f"{event}:{payment.id}:{sequence}"
    more = {"captureBy": _capture_by(session, payment)} if event == AUTHORIZED else {}
    _put(session, payment, event, fact, sequence, clock, more)


def review(session: Session, payment: Payment, told: dict[str, Any], sequence: int, clock: Clock) -> None:
    """One question for a person: its reason, its evidence, and what can be done."""
    fact = f"{REVIEW}:{payment.id}:{sequence}"
    _put(session, payment, REVIEW, fact, sequence, clock, {"review": told})


def dispute(session: Session, payment: Payment, told: DisputeSnapshot, sequence: int, clock: Clock) -> None:
    """Opened and closed, once for each stage, however many events tell of the steps between."""
    event = DISPUTE_CLOSED if told.is_closed else DISPUTE_OPENED
    about = {
        "disputeId": told.dispute_id,
        "paymentId": told.transaction_id,
        "amountPaise": told.amount.minor,
        "gatewayStatus": told.gateway_status,
        "phase": told.phase,
        "reason": told.reason,
        "respondBy": told.respond_by.isoformat() if told.respond_by else None,
    }
    fact = f"{event}:{payment.provider}:{told.dispute_id}:{sequence}"
    _put(session, payment, event, fact, sequence, clock, {"dispute": about})


def refund(session: Session, payment: Payment, refund: Refund, sequence: int, clock: Clock) -> None:
    event = REFUND_EVENTS.get(RefundStatus(refund.status))
    if event is None:
        return
    about = {
        "id": str(refund.id),
        "refundId": refund.gateway_refund_id,
        "paymentId": _attempt_of(session, refund),
        "amountPaise": refund.amount,
        "status": refund.status,
        "bankReference": refund.bank_reference,
    }
    _put(session, payment, event, f"{event}:{refund.id}", sequence, clock, {"refund": about})


def _put(
    session: Session,
    payment: Payment,
    event: str,
    fact: str,
    sequence: int,
    clock: Clock,
    more: dict[str, Any],
) -> None:
    told = {outbox.MERCHANT}
    if event == COMPLETED:
        told.add(outbox.CUSTOMER)
    if event in (REVIEW, DISPUTE_OPENED):
        told.add(outbox.OPERATOR)
    outbox.put(
        session,
        [destination for destination in session.info["destinations"] if destination in told],
        fact=fact,
        event_type=event,
        payment_id=payment.id,
        data={**_snapshot(session, payment), "sequence": sequence, **more},
        now=clock.now(),
    )


def _attempt_of(session: Session, refund: Refund) -> str:
    return session.get_one(PaymentAttempt, refund.attempt_id).transaction_id


def _capture_by(session: Session, payment: Payment) -> str | None:
    attempt = payments.attempt(session, payment.provider, payment.transaction_id or "")
    return attempt.capture_by.isoformat() if attempt and attempt.capture_by else None


def _snapshot(session: Session, payment: Payment) -> dict[str, Any]:
    """The payment as it is in this transaction, without personal data."""
    return {
        "id": str(payment.id),
        "gateway": payment.gateway,
        "mode": payment.mode,
        "orderId": payment.order_id,
        "paymentId": payment.transaction_id,
        "reference": payment.reference,
        "userId": payment.user_id,
        "metadata": payment.metadata_,
        "status": payment.status,
        "amountPaise": payment.amount,
        "amountRefundedPaise": payments.amount_refunded(session, payment).minor,
        "currency": payment.currency,
        "method": payment.payment_method,
        "priceVerified": payment.price_verified,
    }
