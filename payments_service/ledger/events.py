"""The audit trail: append, never change."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from payments_service.ledger.tables import Payment, PaymentEvent


def append(
    session: Session,
    payment: Payment,
    kind: str,
    *,
    source: str,
    actor: str,
    reason: str,
    evidence: dict[str, Any],
    from_status: str | None = None,
    to_status: str | None = None,
) -> None:
    """One row of the trail. The caller holds the payment's lock, which numbers the rows."""
    session.flush()
    last = session.execute(
        select(func.coalesce(func.max(PaymentEvent.sequence), 0)).where(PaymentEvent.payment_id == payment.id)
    ).scalar_one()
    session.add(
        PaymentEvent(
            payment_id=payment.id,
            sequence=last + 1,
            kind=kind,
            from_status=from_status,
            to_status=to_status,
            source=source,
            actor=actor,
            reason=reason,
            evidence=evidence,
        )
    )
