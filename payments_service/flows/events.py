"""What was or will be told, to be pulled and to be told again."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.errors import Conflict, InvalidInput, NotFound
from payments_service.store import events, outbox
from payments_service.store.db import Database
from payments_service.store.tables import Event, Outbox

START = 0


@dataclass(frozen=True)
class Delivery:
    """What became of telling one destination."""

    destination: str
    state: str
    """pending · delivered · dead."""
    attempts: int
    next_try_at: datetime | None
    """None once it is delivered or given up."""
    delivered_at: datetime | None
    error: str | None


@dataclass(frozen=True)
class ToldEvent:
    """A fact, its body as the merchant's webhook gets it, and its deliveries."""

    id: str
    type: str
    timestamp: str
    data: dict[str, Any]
    created_at: datetime
    deliveries: Sequence[Delivery]


@dataclass(frozen=True)
class EventPage:
    events: Sequence[ToldEvent]
    after: str
    """The cursor of the next page, also while there is none yet."""
    has_more: bool


def page(
    db: Database,
    limit: int,
    *,
    after: str | None = None,
    event_type: str | None = None,
    payment_id: UUID | None = None,
    is_delivered: bool | None = None,
) -> EventPage:
    """The next events in order. Raises InvalidInput for a cursor that is none of this database's.

    With `is_delivered` a page may be short, or empty, while there is more: it looks at so many events only.
    """
    number(db)
    with db.read() as session:
        position = _position(session, after)
        end = None if is_delivered is None else events.end_of_look(session, position)
        found = events.page(
            session,
            position,
            limit + 1,
            up_to=end.position if end else None,
            event_type=event_type,
            payment_id=payment_id,
            is_delivered=is_delivered,
            destination=outbox.MERCHANT,
            delivered=outbox.DELIVERED,
        )
        kept = found[:limit]
        has_more = len(found) > limit or end is not None or events.has_unnumbered(session)
        last = end if end is not None and len(found) <= limit else kept[-1] if kept else None
        cursor = _cursor(last) if last else after or ""
        return EventPage(_told(session, kept), cursor, has_more)


def number(db: Database) -> int:
    """Give their place in the stream to events that were committed since; how many there were."""
    with db.read() as session:
        if not events.has_unnumbered(session):
            return 0
    with db.begin() as session:
        return events.number(session)


def of_payment(session: Session, payment_id: UUID) -> Sequence[ToldEvent]:
    return _told(session, events.of_payment(session, payment_id))


def resend(db: Database, event_id: str, clock: Clock = REAL_TIME) -> ToldEvent:
    """Tell the merchant again, under the same id, also what was delivered or given up before.

    Raises NotFound, and Conflict (`no_destination`) where no webhook of the merchant is configured.
    """
    with db.begin() as session:
        event = events.by_event_id(session, event_id)
        if event is None:
            raise NotFound("Event not found")
        if outbox.MERCHANT not in session.policy.destinations:
            raise Conflict("No webhook of the merchant is configured", code="no_destination")
        if not outbox.send_again(session, outbox.MERCHANT, clock.now(), event_id=event_id):
            events.deliver(session, event, outbox.MERCHANT, clock.now())
        session.wakes.add("outbox")
        session.flush()
        [told] = _told(session, [event])
        return told


def _told(session: Session, found: Sequence[Event]) -> list[ToldEvent]:
    deliveries = events.deliveries(session, [event.fact for event in found])
    return [_one(event, [row for row in deliveries if row.fact == event.fact]) for event in found]


def _one(event: Event, rows: Sequence[Outbox]) -> ToldEvent:
    body = json.loads(event.body)
    return ToldEvent(
        id=event.event_id,
        type=event.type,
        timestamp=body["timestamp"],
        data=body["data"],
        created_at=event.created_at,
        deliveries=[_delivery(row) for row in rows],
    )


def _delivery(row: Outbox) -> Delivery:
    return Delivery(
        destination=row.destination,
        state=row.state,
        attempts=row.attempts,
        next_try_at=row.next_try_at if row.state == outbox.PENDING else None,
        delivered_at=row.delivered_at,
        error=row.error,
    )


# ── cursors ─────────────────────────────────────────────────────────────────────────────────────────


def _cursor(event: Event) -> str:
    """Position and id: after a restore another event may stand at the same position."""
    return base64.urlsafe_b64encode(f"{event.position}:{event.event_id}".encode()).decode().rstrip("=")


def _position(session: Session, cursor: str | None) -> int:
    if not cursor:
        return START
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        position, _, event_id = text.partition(":")
        known = events.at(session, int(position)) if position.isdecimal() and len(position) < 19 else None
    except (binascii.Error, ValueError):
        known, event_id = None, ""
    if known is None or known.event_id != event_id or known.position is None:
        message = "This cursor is not of this list; begin again without one, and drop the ids that you know"
        raise InvalidInput(message, code="invalid_cursor", details={"after": [message]})
    return known.position
