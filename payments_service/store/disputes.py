"""Disputes of one payment, from its history: each row tells the stage that a dispute had reached."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from payments_service.domain.states import EntryKind
from payments_service.store.tables import PaymentEvent


def of_payment(session: Session, payment_id: UUID) -> list[dict[str, Any]]:
    """The last word of every dispute, in the order in which they began."""
    query = select(PaymentEvent.evidence).where(
        PaymentEvent.payment_id == payment_id, PaymentEvent.kind == EntryKind.DISPUTE
    )
    last = {}
    for evidence in session.scalars(query.order_by(PaymentEvent.sequence)):
        last[evidence["disputeId"]] = evidence
    return list(last.values())


def has_open(session: Session, payment_id: UUID) -> bool:
    return any(not dispute.get("isClosed") for dispute in of_payment(session, payment_id))
