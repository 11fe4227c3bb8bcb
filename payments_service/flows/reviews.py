"""What a person has to look at, and a person's word on it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from payments_service.domain import decide, flag
from payments_service.domain import payment as domain
from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.errors import Conflict, NotFound
from payments_service.domain.flag import ADVICE
from payments_service.domain.payment import Actor, PaymentRecord
from payments_service.domain.states import (
    REFUND_OPEN,
    EntryKind,
    PaymentStatus,
    ReviewReason,
    ReviewResolution,
    Source,
)
from payments_service.flows.alerts import dismissed
from payments_service.store import alerts, payments
from payments_service.store import reviews as rows
from payments_service.store.db import Database
from payments_service.store.record import load_one
from payments_service.store.tables import Alert, Payment, PaymentReview


@dataclass(frozen=True)
class Review:
    """An open question about a payment, or an open alert (then without gateway and amount)."""

    id: UUID
    """Of the payment, else of the alert: what `clear` takes."""
    why: str
    since: datetime
    subject: str
    detail: dict[str, Any]
    what_to_do: str


def open_reviews(db: Database) -> list[Review]:
    """Oldest first."""
    with db.read() as session:
        flagged = [_of_payment(review, payment) for review, payment in rows.all_open(session)]
        opened = [
            Review(alert.id, alert.code, alert.created_at, alert.subject, alert.detail, "")
            for alert in alerts.all_open(session)
        ]
    return sorted([*flagged, *opened], key=lambda review: review.since)


def _of_payment(review: PaymentReview, payment: Payment) -> Review:
    return Review(
        id=payment.id,
        why=review.reason,
        since=review.opened_at,
        subject=f"{payment.gateway} {payment.order_id or ''}".strip(),
        detail={"status": payment.status, "amount": str(payment.money), **review.evidence},
        what_to_do=ADVICE[ReviewReason(review.reason)],
    )


def clear(
    db: Database,
    review_id: UUID,
    operator: str,
    *,
    reason: str | None = None,
    accept: bool = False,
    clock: Clock = REAL_TIME,
) -> str:
    """A person has looked; the sentence says what followed.

    To accept completes an unpaid payment whose money the gateway holds, or says was collected; to dismiss
    changes no status. The same evidence is not flagged again. Raises NotFound when nothing is open under
    this id (and reason), Conflict when it is not clear which review is meant, or there is nothing to accept.
    """
    actor = Actor(Source.OPERATOR, operator, clock)
    with db.begin() as session:
        if not accept and alerts.close(session, review_id, clock.now()):
            dismissed(session, session.get_one(Alert, review_id), clock)
            return "Alert cleared"
        if not payments.exists(session, review_id):
            raise NotFound(f"Nothing is open for review under {review_id}")
        changes = load_one(session, review_id)
        said = _decide(changes.record, actor, reason, accept=accept)
        changes.write()
        return said


def _decide(known: PaymentRecord, actor: Actor, reason: str | None, *, accept: bool) -> str:
    payment, review = known.payment, _the_one(known, reason)
    resolution = ReviewResolution.ACCEPTED if accept else ReviewResolution.DISMISSED
    is_late_hold = review.reason == ReviewReason.LATE_SUCCESS and _is_only_held(known)
    deciding = _money_to_accept(known) if accept and not is_late_hold else None
    flag.close(known, review, resolution, actor)
    known.append(EntryKind.REVIEW, actor, "cleared", {"was": review.reason, "how": resolution.value})
    if accept and is_late_hold:
        payment.next_check_at = actor.clock.now()
        return f"{review.reason}, accepted: {payment.money} may be captured now"
    if deciding is None:
        if payment.status != PaymentStatus.COMPLETED:
            payment.next_check_at = actor.clock.now()  # what waited for a person may go on
        return f"Review of {review.reason} {resolution.value}"
    payment.transaction_id, payment.payment_method = deciding
    moved = f"{review.reason}, accepted"
    decide.move(known, PaymentStatus.COMPLETED, actor, moved, {"paymentId": deciding[0]})
    return f"{moved}: {payment.money} completed"


def _the_one(known: PaymentRecord, reason: str | None) -> domain.Review:
    payment = known.payment
    opened = [row for row in known.reviews if row.closed_at is None]
    meant = [row for row in opened if reason in (None, row.reason)]
    if not meant:
        raise NotFound(f"Nothing is open for review under {payment.id}" + (f": {reason}" if reason else ""))
    if len({row.reason for row in meant}) > 1:
        reasons = ", ".join(sorted({row.reason for row in meant}))
        raise Conflict(f"Payment {payment.id} has several open reviews; say which: {reasons}")
    return meant[0]


def _is_only_held(known: PaymentRecord) -> bool:
    """Money that a machine may take once a person has said so; of a closed payment none may."""
    is_held = known.payment.status == PaymentStatus.AUTHORIZED and bool(known.standing.held)
    return is_held and not known.standing.captured and known.payment.closed_at is None


def _money_to_accept(known: PaymentRecord) -> tuple[str, str | None] | None:
    """Payment id and method of what was captured or collected; None when the payment is completed already."""
    payment, standing = known.payment, known.standing
    if payment.status == PaymentStatus.COMPLETED:
        return None
    if not (standing.captured or standing.collected):
        raise Conflict(f"Payment {payment.id} is {payment.status}, and holds no money that could be accepted")
    attempt = (standing.captured or standing.collected)[0]
    on_the_way = [one for one in known.refunds if one.attempt_id == attempt.id and one.status in REFUND_OPEN]
    if sum(one.amount for one in on_the_way) >= attempt.amount:
        raise Conflict(f"The money of payment {payment.id} is on its way back")
    return attempt.transaction_id, attempt.method
