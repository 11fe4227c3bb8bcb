"""Have a person look at a payment: once for the same evidence, with what to do about it."""

import logging
from typing import Any

from sqlalchemy.orm import Session

from payments_service.domain.states import ReviewReason, ReviewResolution
from payments_service.flows import announce
from payments_service.store import history, reviews
from payments_service.store.history import Actor
from payments_service.store.tables import Payment

log = logging.getLogger(__name__)

ADVICE = {
    ReviewReason.AMOUNT_MISMATCH: "Compare the sums at the gateway. Accept if the customer owes nothing "
    "more; else refund there what was paid, and dismiss.",
    ReviewReason.CASH_COLLECTED: "Accept once your courier has handed the cash over; dismiss if it "
    "never comes.",
    ReviewReason.CAPTURED_BUT_NOT_PAID: "Look at the order in the gateway's dashboard. Accept if the money "
    "is there; else refund it there, and dismiss.",
    ReviewReason.PAYMENT_OF_ANOTHER_ORDER: "The gateway books one payment under two of your orders. Ask its "
    "support which one it paid; deliver only that one, and dismiss.",
    ReviewReason.SECOND_SUCCESS: "The customer paid twice. Refund one of the payments, and dismiss.",
    ReviewReason.LATE_SUCCESS: "Accept if you still want to deliver; else refund it, and dismiss.",
    ReviewReason.REFERENCE_PAID_TWICE: "This order number is paid by another payment. Refund this one, and "
    "dismiss.",
    ReviewReason.REFUND_MISMATCH: "Compare the refund at the gateway with the one that you asked for, and "
    "dismiss.",
    ReviewReason.REFUND_NOT_ASKED_FOR: "A refund bears an id of this service that it never asked for. "
    "Find out who made it, and dismiss.",
}
"""What a person can do, in mail, event and command alike."""


def flag(
    session: Session, payment: Payment, reason: ReviewReason, actor: Actor, evidence: dict[str, Any]
) -> bool:
    """Open a review and tell of it; False when the same evidence was flagged before, seen or not.

    The caller holds the payment's lock.
    """
    if not reviews.open_once(session, payment, reason, evidence, actor.clock.now()):
        return False
    sequence = history.append(session, payment, "review", actor, reason, evidence)
    told = {"reason": reason, "evidence": evidence, "whatToDo": ADVICE[reason]}
    announce.review(session, payment, told, sequence, actor.clock)
    log.error("Payment needs review", extra={"data": {"id": payment.id, "why": reason, **evidence}})
    return True


def answer(session: Session, payment: Payment, reason: ReviewReason, actor: Actor) -> None:
    """Close what the gateway's later word has settled."""
    for row in reviews.of_payment(session, payment.id):
        if row.reason == reason and row.closed_at is None:
            reviews.close(session, payment, row, ReviewResolution.ANSWERED, actor.clock.now())
            history.append(session, payment, "review", actor, "cleared", {"was": reason, "how": "answered"})
