"""Disputes of one payment, from its history: each row tells the stage that a dispute had reached."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, literal_column, select, text
from sqlalchemy.orm import Session

from payments_service.domain.states import EntryKind
from payments_service.store.tables import PaymentEvent

IS_ONE = "kind = 'dispute'"
ID = "(evidence ->> 'disputeId')"
"""Which rows of the history tell of a dispute, and of which; in the words of their index, so it is used."""
dispute_id: ColumnElement[str] = literal_column(ID, Text())


def payment_ids() -> Select[UUID]:
    """Of the rows that tell of a dispute; `dispute_id` is the gateway's id in them."""
    return select(PaymentEvent.payment_id).where(text(IS_ONE))


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
    """Whether one is open, was lost, or took a part: a refund beside it would pay the payer twice."""
    return any(
        one["takesMoney"] if "takesMoney" in one else _took_money(one)
        for one in of_payment(session, payment_id)
    )


def _took_money(dispute: dict[str, Any]) -> bool:
    """By evidence of an earlier version, which has only the gateway's word: open, lost, or given up."""
    is_lost = str(dispute.get("gatewayStatus")).upper().endswith(("LOST", "ACCEPTED"))
    return not dispute.get("isClosed") or is_lost
