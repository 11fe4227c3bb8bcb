"""What a person has to look at, and a person's word that it was looked at."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from payments_service.clock import REAL_TIME, Clock
from payments_service.errors import NotFound
from payments_service.flows import sync
from payments_service.ledger import alerts, events, payments
from payments_service.ledger.db import Database
from payments_service.ledger.events import Bell
from payments_service.ledger.tables import Payment
from payments_service.money import Money
from payments_service.states import AttemptStatus, PaymentStatus


@dataclass(frozen=True)
class Review:
    """A flagged payment, or an open alert (then without gateway and amount)."""

    id: UUID
    why: str
    since: datetime
    subject: str
    detail: dict[str, Any]


def open_reviews(db: Database) -> list[Review]:
    """Oldest first."""
    with db.read() as session:
        flagged = [
            Review(
                id=payment.id,
                why=payment.review or "",
                since=payment.updated_at,
                subject=f"{payment.gateway} {payment.order_id or ''}".strip(),
                detail={"status": payment.status, "amount": str(payment.money)},
            )
            for payment in payments.under_review(session)
        ]
        opened = [
            Review(alert.id, alert.code, alert.created_at, alert.subject, alert.detail)
            for alert in alerts.all_open(session)
        ]
    return sorted([*flagged, *opened], key=lambda review: review.since)


def clear(db: Database, review_id: UUID, operator: str, clock: Clock = REAL_TIME) -> str:
    """A person has looked; the sentence says what followed. NotFound when nothing is open under this id.

    Money that came late is accepted by it: the payment completes. Nothing else changes a status.
    """
    bell = Bell("operator", operator, clock)
    with db.begin() as session:
        if alerts.close(session, review_id, clock.now()):
            return "Alert cleared"
        if not payments.is_under_review(session, review_id):
            raise NotFound(f"Nothing is open for review under {review_id}")
        payment = payments.lock(session, review_id)
        why, payment.review = payment.review, None
        events.append(session, payment, "review", bell, "cleared", {"was": why})
        if why != sync.LATE_SUCCESS:
            return f"Review of {why} cleared"
        paid = [a for a in payments.attempts(session, payment.id) if a.status == AttemptStatus.SUCCEEDED]
        _accept(payment, bool(paid))
        evidence = {"paymentId": payment.transaction_id}
        sync.move(session, payment, PaymentStatus.COMPLETED, bell, "late success, accepted", evidence)
        return f"Late success accepted: {Money(payment.amount, payment.currency)} completed"


def _accept(payment: Payment, is_paid: bool) -> None:
    if not is_paid or payment.status not in (PaymentStatus.FAILED, PaymentStatus.EXPIRED):
        raise NotFound(f"Payment {payment.id} is {payment.status}, with no success to accept")
