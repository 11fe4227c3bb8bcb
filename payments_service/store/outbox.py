"""The outbox: what is to be told, in the transaction of the change, and what became of telling it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.domain.facts import CUSTOMER as CUSTOMER
from payments_service.domain.facts import MERCHANT as MERCHANT
from payments_service.domain.facts import OPERATOR as OPERATOR
from payments_service.domain.payment import Fact
from payments_service.store import events
from payments_service.store.db import changed_rows, insert_once, is_due
from payments_service.store.tables import Outbox
from payments_service.store.transaction import Transaction
from payments_service.store.wire import Statement, Table, Wire

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"


@dataclass(frozen=True)
class OutboxRow:
    id: UUID
    event_id: str
    fact: str
    type: str
    payment_id: UUID
    destination: str
    body: bytes
    state: str
    attempts: int
    generation: int
    next_try_at: datetime
    created_at: datetime


@dataclass(frozen=True)
class EventRow:
    id: UUID
    event_id: str
    fact: str
    type: str
    payment_id: UUID
    sequence: int
    body: bytes
    created_at: datetime


EVENTS = Table("events", EventRow)
OUTBOX = Table("outbox", OutboxRow)
LONGEST_WAIT = timedelta(days=2)
"""No try is ever put off for longer: a moment further off was written by a clock that leapt."""


def put(
    session: Transaction,
    destinations: Sequence[str],
    *,
    fact: str,
    event_type: str,
    payment_id: UUID | None,
    data: dict[str, Any],
    now: datetime,
) -> None:
    """An event always, and a delivery per destination; a fact that is there already is not told again.

    The body follows the Standard Webhooks recommendation: type, timestamp, data.
    """
    body = json.dumps(
        {"type": event_type, "timestamp": now.isoformat(), "data": data}, ensure_ascii=False
    ).encode()
    event_id = events.append(
        session,
        fact=fact,
        event_type=event_type,
        payment_id=payment_id,
        sequence=data.get("sequence"),
        body=body,
        now=now,
    )
    if event_id is None:
        return
    session.wakes.add("outbox")
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
            body=body,
            state=PENDING,
            attempts=0,
            generation=1,
            next_try_at=now,
            created_at=now,
        )


def rows_of(fact: Fact) -> tuple[EventRow, list[OutboxRow]]:
    """What is written of a fact: the event, and a delivery for each who is told."""
    event_id = events.id_of(fact.fact)
    body = {"type": fact.type, "timestamp": fact.created_at.isoformat(), "data": fact.data}
    encoded = json.dumps(body, ensure_ascii=False).encode()
    event = EventRow(
        id=uuid7(),
        event_id=event_id,
        fact=fact.fact,
        type=fact.type,
        payment_id=fact.payment_id,
        sequence=fact.data["sequence"],
        body=encoded,
        created_at=fact.created_at,
    )
    deliveries = [
        OutboxRow(
            id=uuid7(),
            event_id=event_id,
            fact=fact.fact,
            type=fact.type,
            payment_id=fact.payment_id,
            destination=destination,
            body=encoded,
            state=PENDING,
            attempts=0,
            generation=1,
            next_try_at=fact.created_at,
            created_at=fact.created_at,
        )
        for destination in fact.destinations
    ]
    return event, deliveries


def inserting(wire: Wire, facts: Sequence[Fact]) -> list[Statement]:
    """A fact that is there already is not told again."""
    written = [rows_of(fact) for fact in facts]
    told = sorted((event for event, _ in written), key=lambda row: row.fact)
    sent = sorted((row for _, rows in written for row in rows), key=lambda row: (row.fact, row.destination))
    statements = [wire.insert(EVENTS, told, " ON CONFLICT (fact) DO NOTHING")] if told else []
    if sent:
        statements.append(wire.insert(OUTBOX, sent, " ON CONFLICT (fact, destination) DO NOTHING"))
    return statements


def claim(
    session: Session,
    destination: str,
    now: datetime,
    lease_ends: datetime,
    limit: int = 1,
    fact: str | None = None,
    *,
    longest_due_first: bool = False,
) -> list[Outbox]:
    """Rows (of this fact) that are due, now ours until the lease ends: no other sends them meanwhile.

    What became due last comes first: after an outage of the receiver what happens now does not wait behind
    all that was left. With `longest_due_first` what was claimed in vain goes behind all others. Of those that
    are due since one moment the oldest is first. The try is counted here, so that one which its sender does
    not survive counts too.
    """
    became_due = Outbox.next_try_at.asc() if longest_due_first else Outbox.next_try_at.desc()
    due = (
        select(Outbox.id)
        .where(Outbox.state == PENDING, Outbox.destination == destination, _is_due(now))
        .order_by(became_due, Outbox.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    if fact is not None:
        due = due.where(Outbox.fact == fact)
    ids = list(session.scalars(due))  # a statement of its own: PostgreSQL may run a subquery twice
    if not ids:
        return []
    taken = (
        update(Outbox)
        .where(Outbox.id.in_(ids))
        .values(next_try_at=lease_ends, generation=Outbox.generation + 1, attempts=Outbox.attempts + 1)
        .returning(Outbox)
        .execution_options(synchronize_session=False)
    )
    return sorted(session.scalars(taken), key=lambda row: (row.created_at, row.id))


def write_back(session: Session, claimed: Outbox, **values: Any) -> bool:
    """What became of a try; False, and nothing is written, when another sender has the row by now."""
    still_ours = (
        update(Outbox)
        .where(Outbox.id == claimed.id, Outbox.generation == claimed.generation)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return changed_rows(session, still_ours) == 1


def undelivered(session: Session) -> list[Outbox]:
    """What waits, by its next try, and after it what was given up."""
    query = select(Outbox).where(Outbox.state != DELIVERED)
    return list(session.scalars(query.order_by(Outbox.state.desc(), Outbox.next_try_at, Outbox.id)))


def send_again(
    session: Session,
    destination: str,
    now: datetime,
    *,
    event_id: str | None = None,
    states: Sequence[str] = (),
    since: datetime | None = None,
) -> list[Outbox]:
    """Make rows pending now, also delivered or dead ones, with a schedule from its start; oldest first.

    The event ids stay the same. A sender that is at work on one of them no longer has it.
    """
    chosen = (
        update(Outbox)
        .where(Outbox.destination == destination)
        .values(
            state=PENDING,
            attempts=0,
            generation=Outbox.generation + 1,
            next_try_at=now,
            delivered_at=None,
        )
        .returning(Outbox)
        .execution_options(synchronize_session=False)
    )
    if event_id is not None:
        chosen = chosen.where(Outbox.event_id == event_id)
    if states:
        chosen = chosen.where(Outbox.state.in_(states))
    if since is not None:
        chosen = chosen.where(Outbox.created_at >= since)
    return sorted(session.scalars(chosen), key=lambda row: (row.created_at, row.id))


def _is_due(now: datetime) -> ColumnElement[bool]:
    return is_due(Outbox.next_try_at, now, LONGEST_WAIT)
