"""Have a person look at a payment: once for the same evidence, with what to do about it."""

from typing import Any

from uuid6 import uuid7

from payments_service.domain import facts
from payments_service.domain.payment import Actor, PaymentRecord, Review
from payments_service.domain.states import EntryKind, ReviewReason, ReviewResolution

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


def flag(record: PaymentRecord, reason: ReviewReason, actor: Actor, evidence: dict[str, Any]) -> bool:
    """Open a review and tell of it; False when the same evidence was flagged before, seen or not."""
    if any(row.reason == reason and _covers(row.evidence, evidence) for row in record.reviews):
        return False
    payment, now = record.payment, actor.clock.now()
    record.reviews.append(Review(uuid7(), payment.id, reason, evidence, now, None, None))
    payment.review = payment.review or reason
    payment.updated_at = now
    payment.next_check_at = payment.next_check_at or now  # what waits for a person is asked about daily
    sequence = record.append(EntryKind.REVIEW, actor, reason, evidence)
    told = {"reason": reason, "evidence": evidence, "whatToDo": ADVICE[reason]}
    facts.tell_review(record, told, sequence, actor)
    record.complain(__name__, "Payment needs review", {"id": payment.id, "why": reason, **evidence})
    return True


def answer(record: PaymentRecord, reason: ReviewReason, actor: Actor) -> None:
    """Close what the gateway's later word has answered."""
    for row in record.reviews:
        if row.reason == reason and row.closed_at is None:
            how = ReviewResolution.ANSWERED
            close(record, row, how, actor)
            record.append(EntryKind.REVIEW, actor, "cleared", {"was": reason, "how": how.value})


def close(record: PaymentRecord, review: Review, resolution: ReviewResolution, actor: Actor) -> None:
    """The payment bears the reason of the oldest review that is left open."""
    now = actor.clock.now()
    review.closed_at, review.resolution = now, resolution
    record.payment.review = next((row.reason for row in record.reviews if row.closed_at is None), None)
    record.payment.updated_at = now


def _covers(seen: dict[str, Any], evidence: dict[str, Any]) -> bool:
    """The same evidence, or fewer payment ids of the same question: one of them has gone back since."""
    if seen == evidence:
        return True
    ids = "paymentIds"
    return ids in seen and ids in evidence and set(evidence[ids]) <= set(seen[ids])
