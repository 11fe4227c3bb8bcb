"""The audit trail: append, never change."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.store.tables import Payment, PaymentEvent


@dataclass(frozen=True)
class Actor:
    """Who rang (webhook, verify, status, create-order, worker, operator, …), by which id, and when."""

    source: str
    id: str
    clock: Clock = REAL_TIME


def append(
    session: Session,
    payment: Payment,
    kind: str,
    actor: Actor,
    reason: str,
    evidence: dict[str, Any],
    *,
    before: str | None = None,
    after: str | None = None,
) -> int:
    """One row of the trail; returns its number. The caller holds the payment's lock, which numbers them."""
    session.flush()
    last: int = session.execute(
        select(func.coalesce(func.max(PaymentEvent.sequence), 0)).where(PaymentEvent.payment_id == payment.id)
    ).scalar_one()
    session.add(
        PaymentEvent(
            payment_id=payment.id,
            sequence=last + 1,
            kind=kind,
            from_status=before,
            to_status=after,
            source=actor.source,
            actor=actor.id,
            reason=reason,
            evidence=evidence,
            created_at=actor.clock.now(),
        )
    )
    return last + 1


def newest(session: Session, before: datetime | None = None) -> datetime | None:
    """When the last row was written, of all payments; or the last one whose id was made before a moment."""
    query = select(PaymentEvent.created_at).order_by(PaymentEvent.id.desc()).limit(1)
    if before is not None:
        first_id = UUID(int=int(before.timestamp() * 1000) << 80)  # ids begin with their time
        query = query.where(PaymentEvent.id < first_id)
    return session.execute(query).scalar_one_or_none()
