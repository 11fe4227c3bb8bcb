"""The outbox: what is to be told, in the transaction of the change, and what became of telling it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.ledger.db import insert_once
from payments_service.ledger.tables import Outbox

MERCHANT, CUSTOMER, OPERATOR = "merchant", "customer", "operator"


def put(
    session: Session,
    destinations: Sequence[str],
    *,
    fact: str,
    event_type: str,
    payment_id: UUID | None,
    data: dict[str, Any],
    now: datetime,
) -> None:
    """One row per destination; a fact that is there already is not told again.

    The body follows the Standard Webhooks recommendation: type, timestamp, data.
    """
    event_id = f"evt_{uuid7().hex}"
    body = {"type": event_type, "timestamp": now.isoformat(), "data": data}
    for destination in destinations:
        insert_once(
            session,
            Outbox,
            ["fact", "destination"],
            id=uuid7(),
            event_id=event_id,
            fact=fact,
            type=event_type,
            payment_id=payment_id,
            destination=destination,
            body=json.dumps(body, ensure_ascii=False).encode(),
            state="pending",
            attempts=0,
            generation=1,
            next_try_at=now,
            created_at=now,
        )


def claim(session: Session, now: datetime, lease_ends: datetime, limit: int) -> list[Outbox]:
    """Rows that are due, now ours until the lease ends: nobody else sends them meanwhile."""
    due = (
        select(Outbox.id)
        .where(Outbox.state == "pending", Outbox.next_try_at <= now)
        .order_by(Outbox.next_try_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(Outbox)
        .where(Outbox.id.in_(due.scalar_subquery()))
        .values(next_try_at=lease_ends, generation=Outbox.generation + 1)
        .returning(Outbox)
        .execution_options(synchronize_session=False)
    )
    return list(session.scalars(taken))
