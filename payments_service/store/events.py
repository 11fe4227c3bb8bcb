"""The stream of events: one row a fact, numbered after its commit, so that no reader's cursor passes one.

A number that a transaction gave itself would be seen out of order: its neighbour may commit first, and a
reader that has passed it never comes back. Numbers are therefore given to what is committed, by the
reader, under one lock that lasts until the numbers are committed, too.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.store.db import insert_once
from payments_service.store.tables import Event, Outbox

LOCK = 20_260_101_000_002
"""Of PostgreSQL's advisory locks: who numbers, alone. SQLite has one writer anyway."""
LOOK = 500
"""Events that one page looks at for those that were delivered, or were not."""
BATCH = 5_000
"""Numbered in one statement at most; who finds more to number comes again."""
ADOPTED_AT_ONCE = 500
"""Deliveries whose bodies one transaction holds in memory; who finds more comes again."""


def id_of(fact: str) -> str:
    """The event's id, a function of its fact: a database restored from yesterday tells nothing twice."""
    return f"evt_{sha256(fact.encode()).hexdigest()[:32]}"


def append(
    session: Session,
    *,
    fact: str,
    event_type: str,
    payment_id: UUID | None,
    sequence: int | None,
    body: bytes,
    now: datetime,
) -> str | None:
    """Write a fact down once; its event's id, None when it was there already."""
    event_id = id_of(fact)
    is_new = insert_once(
        session,
        Event,
        ["fact"],
        id=uuid7(),
        event_id=event_id,
        fact=fact,
        type=event_type,
        payment_id=payment_id,
        sequence=sequence,
        body=body,
        created_at=now,
    )
    return event_id if is_new else None


def adopt(session: Session, since: datetime) -> int:
    """Make events of the oldest deliveries that have none; how many, 0 once there are no more.

    A process of the version before writes no others.
    """
    first_id = UUID(int=int(since.timestamp() * 1000) << 80)  # ids begin with their time
    is_known = select(Event.id).where(Event.fact == Outbox.fact).exists()
    orphans = select(Outbox).where(Outbox.id >= first_id, ~is_known)
    return sum(
        insert_once(
            session,
            Event,
            ["fact"],
            id=uuid7(),
            event_id=row.event_id,
            fact=row.fact,
            type=row.type,
            payment_id=row.payment_id,
            sequence=json.loads(row.body)["data"].get("sequence"),
            body=row.body,
            created_at=row.created_at,
        )
        for row in session.scalars(orphans.order_by(Outbox.id).limit(ADOPTED_AT_ONCE))
    )


def has_unnumbered(session: Session) -> bool:
    return session.scalars(select(Event.id).where(Event.position.is_(None)).limit(1)).first() is not None


def number(session: Session, limit: int = BATCH) -> int:
    """Give positions to what is committed and has none; how many there were.

    By time, but never one of a payment before that payment's earlier one, even if the clocks of two
    machines differ: a payment's row lock makes its earlier event visible first, and its `sequence` tells
    which that is.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    not_before = func.max(Event.created_at).over(
        partition_by=func.coalesce(Event.payment_id, Event.id), order_by=Event.sequence, rows=(None, 0)
    )
    unnumbered = select(Event.id, Event.sequence, not_before.label("at")).where(Event.position.is_(None))
    waiting = unnumbered.subquery()
    in_order = (waiting.c.at, waiting.c.sequence, waiting.c.id)
    chosen = select(waiting.c.id, *in_order[:2]).order_by(*in_order).limit(limit).subquery()
    place = func.row_number().over(order_by=(chosen.c.at, chosen.c.sequence, chosen.c.id))
    numbered = select(chosen.c.id, place.label("place")).cte("numbered")
    last = session.execute(select(func.coalesce(func.max(Event.position), 0))).scalar_one()
    given = (
        update(Event)
        .where(Event.id == numbered.c.id)
        .values(position=last + numbered.c.place)
        .returning(Event.id)
        .execution_options(synchronize_session=False)
    )
    return len(session.execute(given).all())


def end_of_look(session: Session, after: int) -> Event | None:
    """The last event that a page looks at which chooses by delivery; None where the stream ends before.

    No index tells what was not delivered, so without an end such a page might look through all there is.
    """
    places = select(Event.position).where(Event.position > after).order_by(Event.position)
    last_and_next = session.scalars(places.offset(LOOK - 1).limit(2)).all()
    return at(session, last_and_next[0] or 0) if len(last_and_next) > 1 else None


def page(
    session: Session,
    after: int,
    limit: int,
    *,
    up_to: int | None = None,
    event_type: str | None = None,
    payment_id: UUID | None = None,
    is_delivered: bool | None = None,
    destination: str,
    delivered: str,
) -> list[Event]:
    """Numbered events behind a position, in order."""
    chosen = select(Event).where(Event.position > after).order_by(Event.position).limit(limit)
    if up_to is not None:
        chosen = chosen.where(Event.position <= up_to)
    if event_type is not None:
        chosen = chosen.where(Event.type == event_type)
    if payment_id is not None:
        chosen = chosen.where(Event.payment_id == payment_id)
    if is_delivered is not None:
        told = _is_told(destination, delivered)
        chosen = chosen.where(told if is_delivered else ~told)
    return list(session.scalars(chosen))


def at(session: Session, position: int) -> Event | None:
    return session.scalars(select(Event).where(Event.position == position)).one_or_none()


def by_event_id(session: Session, event_id: str) -> Event | None:
    return session.scalars(select(Event).where(Event.event_id == event_id)).one_or_none()


def of_payment(session: Session, payment_id: UUID) -> list[Event]:
    mine = select(Event).where(Event.payment_id == payment_id)
    return list(session.scalars(mine.order_by(Event.created_at, Event.sequence, Event.id)))


def deliveries(session: Session, facts: Sequence[str]) -> list[Outbox]:
    """What became of telling these facts, at every destination."""
    told = select(Outbox).where(Outbox.fact.in_(facts))
    return list(session.scalars(told.order_by(Outbox.created_at, Outbox.id)))


def _is_told(destination: str, delivered: str) -> ColumnElement[bool]:
    return (
        select(Outbox.id)
        .where(Outbox.fact == Event.fact, Outbox.destination == destination, Outbox.state == delivered)
        .exists()
    )


def deliver(session: Session, event: Event, destination: str, now: datetime) -> None:
    """Have it told to a destination that there was none of when it came to be."""
    insert_once(
        session,
        Outbox,
        ["fact", "destination"],
        id=uuid7(),
        event_id=event.event_id,
        fact=event.fact,
        type=event.type,
        payment_id=event.payment_id,
        destination=destination,
        body=event.body,
        state="pending",
        attempts=0,
        generation=1,
        next_try_at=now,
        created_at=now,
    )
