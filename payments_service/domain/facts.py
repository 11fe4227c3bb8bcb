"""What is told about a change, and to whom: written in the transaction of the change itself."""

import json
from hashlib import sha256
from typing import Any

from payments_service.domain.news import DisputeSnapshot
from payments_service.domain.payment import Actor, Fact, PaymentRecord, Refund
from payments_service.domain.states import PaymentStatus, RefundStatus

MERCHANT, CUSTOMER, OPERATOR = "merchant", "customer", "operator"
EVENTS = {
    PaymentStatus.AUTHORIZED: "payment.authorized",
    PaymentStatus.COMPLETED: "payment.completed",
    PaymentStatus.FAILED: "payment.failed",
    PaymentStatus.EXPIRED: "payment.expired",
}
REFUND_EVENTS = {RefundStatus.COMPLETED: "refund.completed", RefundStatus.FAILED: "refund.failed"}
AUTHORIZED, COMPLETED, REVIEW = "payment.authorized", "payment.completed", "payment.review"
DISPUTE_OPENED, DISPUTE_CLOSED = "dispute.opened", "dispute.closed"
ALERT = "ops.alert"
TYPES = (*EVENTS.values(), *REFUND_EVENTS.values(), REVIEW, DISPUTE_OPENED, DISPUTE_CLOSED, ALERT)
"""Of all events."""


def tell_status(record: PaymentRecord, sequence: int, actor: Actor) -> None:
    """The payment's new status, unless it never had an order that a payer could have paid."""
    payment = record.payment
    event = EVENTS.get(PaymentStatus(payment.status))
    if event is None or not record.had_order:
        return
    # Once in a payment's life it is completed, so there is one such fact, from whichever source.
    fact = f"{event}:{payment.id}" if event == COMPLETED else f"{event}:{payment.id}:{sequence}"
    more = {"captureBy": _capture_by(record)} if event == AUTHORIZED else {}
    _tell(record, event, fact, sequence, actor, more)


def tell_review(record: PaymentRecord, told: dict[str, Any], sequence: int, actor: Actor) -> None:
    """One question for a person: its reason, its evidence, and what can be done."""
    # Not by its number: in a restored database the same number may be another question.
    evidence = json.dumps(told["evidence"], sort_keys=True, default=str)
    question = f"{told['reason']}:{sha256(evidence.encode()).hexdigest()}"
    fact = f"{REVIEW}:{record.payment.id}:{question}"
    _tell(record, REVIEW, fact, sequence, actor, {"review": told})


def tell_dispute(record: PaymentRecord, told: DisputeSnapshot, sequence: int, actor: Actor) -> None:
    """Opened and closed, once for each stage and each answer that is asked for, however many events tell of
    the steps between."""
    event = DISPUTE_CLOSED if told.is_closed else DISPUTE_OPENED
    about = {
        "disputeId": told.dispute_id,
        "paymentId": told.transaction_id,
        "amountPaise": told.amount.minor,
        "amountDeductedPaise": told.deducted.minor if told.deducted else None,
        "gatewayStatus": told.gateway_status,
        "phase": told.phase,
        "reason": told.reason,
        "respondBy": told.respond_by.isoformat() if told.respond_by else None,
    }
    # The second answer may be asked for in the same word, and in the same second, as the first one.
    again = ":again" if told.asks_again else ""
    stage = f"{told.phase}:{told.gateway_status}:{told.observed_at}{again}"
    fact = f"{event}:{record.payment.provider}:{told.dispute_id}:{stage}"
    _tell(record, event, fact, sequence, actor, {"dispute": about})


def tell_refund(record: PaymentRecord, refund: Refund, sequence: int, actor: Actor) -> None:
    event = REFUND_EVENTS.get(RefundStatus(refund.status))
    if event is None:
        return
    about = {
        "id": str(refund.id),
        "refundId": refund.gateway_refund_id,
        "paymentId": record.attempt_of(refund).transaction_id,
        "amountPaise": refund.amount,
        "status": refund.status,
        "bankReference": refund.bank_reference,
    }
    # Not by our row: a database that was restored has another one for the same refund.
    fact = f"{event}:{refund.provider}:{refund.gateway_refund_id or refund.refund_id}"
    _tell(record, event, fact, sequence, actor, {"refund": about})


def _tell(
    record: PaymentRecord, event: str, fact: str, sequence: int, actor: Actor, more: dict[str, Any]
) -> None:
    told = {MERCHANT}
    if event == COMPLETED:
        told.add(CUSTOMER)
    if event in (REVIEW, DISPUTE_OPENED):
        told.add(OPERATOR)
    record.facts.append(
        Fact(
            fact=fact,
            type=event,
            payment_id=record.payment.id,
            data={**_snapshot(record), "sequence": sequence, **more},
            destinations=tuple(d for d in record.policy.destinations if d in told),
            created_at=actor.clock.now(),
        )
    )


def _capture_by(record: PaymentRecord) -> str | None:
    attempt = record.attempt(record.payment.transaction_id)
    return attempt.capture_by.isoformat() if attempt and attempt.capture_by else None


def _snapshot(record: PaymentRecord) -> dict[str, Any]:
    """The payment as it is now, without personal data."""
    payment = record.payment
    return {
        "id": str(payment.id),
        "gateway": payment.gateway,
        "mode": payment.mode,
        "orderId": payment.order_id,
        "paymentId": payment.transaction_id,
        "reference": payment.reference,
        "userId": payment.user_id,
        "metadata": payment.metadata,
        "status": payment.status,
        "amountPaise": payment.amount,
        "amountRefundedPaise": record.amount_refunded,
        "currency": payment.currency,
        "method": payment.payment_method,
        "priceVerified": payment.price_verified,
    }
