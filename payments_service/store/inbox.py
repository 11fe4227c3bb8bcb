"""The inbox: every authenticated webhook, kept raw, once per event."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.domain.news import WebhookEvent
from payments_service.domain.states import FOREIGN, InboxOutcome, outcome_becomes
from payments_service.store.db import Database, changed_rows, claim, insert_once
from payments_service.store.tables import PaymentWebhook
from payments_service.store.wire import COMMIT, Statement, Table, Wire

LONGEST_WAIT = timedelta(days=1)
"""No event is ever put off for longer: a moment further off was written by a clock that leapt."""
SECRET_HEADERS = ("authorization", "cookie", "signature", "x-verify")
"""Headers whose name holds one of these words authenticate the sender and are not kept."""

UNMATCHED = (InboxOutcome.UNMATCHED.value, FOREIGN)
"""Of an order that is not ours, or not yet; the second is how version 1 says so, which may run beside us."""
AGAIN = (InboxOutcome.FAILED, InboxOutcome.WAITING, InboxOutcome.UNCONFIRMED)
"""What a replay has tried once more."""


@dataclass
class InboxRow:
    """A row as it is inserted."""

    id: UUID
    gateway: str
    provider: str
    payment_id: UUID | None
    order_id: str | None
    transaction_id: str | None
    webhook_type: str
    event_id: str
    headers: dict[str, Any]
    payload: bytes
    outcome: InboxOutcome
    attempts: int
    next_try_at: datetime | None
    error: str | None
    created_at: datetime


INBOX = Table("payment_webhooks", InboxRow)


def new_row(
    gateway: str,
    provider: str,
    event: WebhookEvent,
    headers: Mapping[str, str],
    payload: bytes,
    **more: Any,
) -> InboxRow:
    """The row of an event; `more` are what became of it."""
    named = (event.order.gateway_order_id or event.order.wire_id) if event.order else None
    return InboxRow(
        id=uuid7(),
        gateway=gateway,
        provider=provider,
        order_id=named,
        transaction_id=event.transaction_id,
        webhook_type=event.type,
        event_id=event.event_id,
        headers={k: v for k, v in headers.items() if not _is_secret(k)},
        payload=payload,
        attempts=1,
        **more,
    )


def inserting(wire: Wire, rows: Sequence[InboxRow]) -> Statement:
    """Refused as a conflict when another process has kept one of these ids meanwhile."""
    return wire.insert(INBOX, sorted(rows, key=lambda row: (row.gateway, row.event_id)))


def store(
    session: Session,
    *,
    gateway: str,
    provider: str,
    event_id: str,
    webhook_type: str,
    order_id: str | None,
    transaction_id: str | None,
    headers: Mapping[str, str],
    payload: bytes,
) -> PaymentWebhook | None:
    """Keep the event; None when it is here already. One atomic insert decides, also between processes."""
    row_id: UUID = uuid7()
    insert_once(
        session,
        PaymentWebhook,
        ["gateway", "event_id"],
        id=row_id,
        gateway=gateway,
        provider=provider,
        event_id=event_id,
        webhook_type=webhook_type,
        order_id=order_id,
        transaction_id=transaction_id,
        headers={k: v for k, v in headers.items() if not _is_secret(k)},
        payload=payload,
        outcome=InboxOutcome.RECEIVED,
    )
    return session.get(PaymentWebhook, row_id)


def kept(session: Session, gateway: str, event_id: str) -> PaymentWebhook | None:
    """The row that is kept under this event id."""
    query = select(PaymentWebhook)
    mine = query.where(PaymentWebhook.gateway == gateway, PaymentWebhook.event_id == event_id)
    return session.scalars(mine).one_or_none()


def move(row: PaymentWebhook, to: InboxOutcome) -> None:
    """Raises IllegalMove. What is done with is not due any more."""
    row.outcome = outcome_becomes(row.outcome, to)
    if to.is_done:
        row.next_try_at = None


def unmatched(session: Session, provider: str, order_ids: list[str]) -> list[PaymentWebhook]:
    """Events that were stored before it was known that these order ids are ours, oldest first."""
    query = select(PaymentWebhook).where(
        PaymentWebhook.provider == provider,
        PaymentWebhook.outcome.in_(UNMATCHED),
        PaymentWebhook.order_id.in_(order_ids),
    )
    return list(session.scalars(query.order_by(PaymentWebhook.created_at, PaymentWebhook.id)))


def stop_asking(session: Session, row_id: UUID) -> bool:
    """The order of this event has been asked for; False when the event has found its payment meanwhile."""
    mine = update(PaymentWebhook).where(PaymentWebhook.id == row_id, PaymentWebhook.outcome.in_(UNMATCHED))
    return changed_rows(session, mine.values(next_try_at=None)) == 1


def looking_for_unmatched(wire: Wire, provider: str, order_ids: Collection[str]) -> Statement:
    """Whether `unmatched` would find any, for a turn that is needed anyway."""
    sql = (
        f"SELECT id FROM payment_webhooks WHERE provider = %s AND {wire.among('order_id')}"
        f" AND {wire.among('outcome')}"
    )
    return Statement(sql, (provider, wire.array(order_ids), wire.array(UNMATCHED)))


def has_due(db: Database, provider: str, now: datetime) -> bool:
    """Whether `claim_due` would find any."""
    sql = "SELECT id FROM payment_webhooks WHERE provider = %s AND next_try_at <= %s LIMIT 1"
    with db.wire(reads=True) as (wire, begin):
        due = Statement(sql, (provider, wire.value(now)))
        return bool(wire.run([*begin, due, COMMIT])[-2])


def claim_due(
    session: Session,
    provider: str,
    now: datetime,
    lease_ends: datetime,
    limit: int,
    *,
    longest_due_first: bool = False,
) -> list[PaymentWebhook]:
    """Events of a provider that were kept and could not be applied yet, now ours until the lease ends.

    The youngest come first: their payers wait now. With `longest_due_first` what was claimed in vain goes
    behind all others.
    """
    waiting = select(PaymentWebhook).where(
        PaymentWebhook.next_try_at.is_not(None), PaymentWebhook.provider == provider
    )
    due = PaymentWebhook.next_try_at
    first = None if longest_due_first else PaymentWebhook.created_at.desc()
    taken = claim(session, waiting, due, now, lease_ends, limit, longest_wait=LONGEST_WAIT, first=first)
    for row in taken:
        row.attempts += 1
    return taken


def apply_again(session: Session, since: datetime | None, now: datetime) -> int:
    """Have the worker try events once more that failed or were not confirmed; how many there are."""
    chosen = update(PaymentWebhook).where(PaymentWebhook.outcome.in_(AGAIN))
    if since is not None:
        chosen = chosen.where(PaymentWebhook.created_at >= since)
    given_up = PaymentWebhook.outcome == InboxOutcome.UNCONFIRMED
    becomes = case((given_up, InboxOutcome.RECEIVED), else_=PaymentWebhook.outcome)
    return changed_rows(session, chosen.values(outcome=becomes, next_try_at=now))


def _is_secret(header: str) -> bool:
    return any(word in header.lower() for word in SECRET_HEADERS)
