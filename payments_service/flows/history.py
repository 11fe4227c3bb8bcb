"""What has happened to a payment so far: its history and the webhooks about it, no personal data."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from payments_service.store.db import Database
from payments_service.store.tables import PaymentEvent, PaymentWebhook


@dataclass(frozen=True)
class Step:
    """A row of the history, or of the inbox."""

    id: UUID
    at: datetime
    kind: str
    """status · attempt · refund · review · note, as in the history; webhook for a row of the inbox."""
    source: str
    """What caused it, as in the history; for a webhook the gateway that sent it."""
    what: str
    """Why it moved; for a webhook the gateway's name for the event."""
    before: str | None
    after: str | None
    """For a webhook: what became of it."""
    evidence: dict[str, Any]
    actor: str = ""
    """The id of the event or request that caused it; for a webhook empty."""


def steps_of(db: Database, payment_id: UUID) -> list[Step]:
    """Every step, oldest first; none for an id that is not ours."""
    with db.read() as session:
        moves = session.scalars(select(PaymentEvent).where(PaymentEvent.payment_id == payment_id))
        steps = [_of_move(move) for move in moves]
        calls = session.scalars(select(PaymentWebhook).where(PaymentWebhook.payment_id == payment_id))
        steps += [_of_webhook(call) for call in calls]
    return sorted(steps, key=lambda step: (step.at, step.id))


def _of_move(move: PaymentEvent) -> Step:
    return Step(
        id=move.id,
        at=move.created_at,
        kind=move.kind,
        source=move.source,
        what=move.reason,
        before=move.from_status,
        after=move.to_status,
        evidence=move.evidence,
        actor=move.actor,
    )


def _of_webhook(call: PaymentWebhook) -> Step:
    return Step(
        id=call.id,
        at=call.created_at,
        kind="webhook",
        source=call.gateway,
        what=call.webhook_type,
        before=None,
        after=call.outcome,
        evidence={},
    )
