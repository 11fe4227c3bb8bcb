"""The history: append, never change."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from payments_service.domain.payment import Actor
from payments_service.domain.states import EntryKind
from payments_service.store import seal
from payments_service.store.tables import Payment, PaymentEvent
from payments_service.store.transaction import Transaction


def append(
    session: Transaction,
    payment: Payment,
    kind: EntryKind,
    actor: Actor,
    reason: str,
    evidence: dict[str, Any],
    *,
    before: str | None = None,
    after: str | None = None,
) -> int:
    """One row of the history; returns its number. The caller holds the payment's lock, which numbers them."""
    payment.history_count = (payment.history_count or 0) + 1
    row = PaymentEvent(
        payment_id=payment.id,
        sequence=payment.history_count,
        kind=kind,
        from_status=before,
        to_status=after,
        source=actor.source,
        actor=actor.id,
        reason=reason,
        evidence=evidence,
        created_at=actor.clock.now(),
    )
    row.mac, row.mac_key = seal.link(session.chain_keys, payment.history_head, row)
    if row.mac is None:
        payment.history_unchained = (payment.history_unchained or 0) + 1
    else:
        payment.history_head = row.mac
    session.add(row)
    return payment.history_count


def newest(session: Session, before: datetime | None = None) -> datetime | None:
    """When the last row was written, of all payments; or the last one whose id was made before a moment.

    After a clock leap ids may be ahead of their time, and an older row is told: its readers (`witnesses.py`)
    then doubt their clock, and end nothing until the gateways have told the time.
    """
    query = select(PaymentEvent.created_at).order_by(PaymentEvent.id.desc()).limit(1)
    if before is not None:
        first_id = UUID(int=int(before.timestamp() * 1000) << 80)  # ids begin with their time
        query = query.where(PaymentEvent.id < first_id)
    return session.execute(query).scalar_one_or_none()
