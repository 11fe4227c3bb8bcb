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


def takes_the_money(session: Session, payment_id: UUID) -> bool:
    """Whether one is open, or was lost: a refund beside it would pay the payer twice."""
    return any(not one.get("isClosed") or _is_lost(one) for one in of_payment(session, payment_id))


def _is_lost(dispute: dict[str, Any]) -> bool:
    """By the end that the history keeps, in the word of each gateway: lost, or given up."""
    return str(dispute.get("gatewayStatus")).upper().endswith(("LOST", "ACCEPTED"))
