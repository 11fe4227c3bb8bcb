"""The hot path of webhooks: one transaction for many events, in three turns on the wire.

The first turn begins and looks the events and orders up, the second locks and loads the payments, the third
writes and commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from payments_service import logs
from payments_service.domain.payment import Policy
from payments_service.store import inbox
from payments_service.store.db import Database
from payments_service.store.inbox import InboxRow
from payments_service.store.record import (
    Names,
    Outdated,
    Records,
    asking_for_refunds,
    load,
    writing,
)
from payments_service.store.seal import ChainKeys
from payments_service.store.wire import Statement, Table, Wire


@dataclass
class KnownOrder:
    """What finds the payment of an event."""

    id: UUID
    payment_id: UUID
    provider: str
    wire_id: str
    gateway_order_id: str


ORDERS = Table("payment_orders", KnownOrder)


class Batch(Protocol):
    """What the flow says of its events."""

    policy: Policy
    chain_keys: ChainKeys
    rows: list[InboxRow]

    def event_ids(self) -> tuple[list[str], list[str]]: ...
    def order_ids(self) -> tuple[list[str], list[str]]: ...
    def find(self, kept: dict[tuple[str, str], bytes], orders: Sequence[KnownOrder]) -> list[UUID]: ...
    def names(self) -> Names: ...
    def decide(self, records: Records) -> None: ...


def run(db: Database, batch: Batch) -> bool:
    """Whether there are facts to tell. Payments whose rows another transaction holds are left out.

    Raises StoreUnavailable; any other error says that nothing of the batch was kept.
    """
    with db.wire() as (wire, begin, commit):
        looked_up = wire.run([*begin, *_looking_up(wire, batch)])[len(begin) :]
        kept = {(gateway, event_id): bytes(payload) for gateway, event_id, payload in looked_up[0]}
        payment_ids = batch.find(kept, wire.read(ORDERS, looked_up[1]))
        records = Records(())
        if payment_ids:
            records = load(wire, payment_ids, batch.names(), batch.policy, skips=True)
        batch.decide(records)
        has_facts = any(record.facts for record in records)
        statements = [inbox.inserting(wire, batch.rows)] if batch.rows else []
        statements += [asking_for_refunds(wire, r) for r in records if r.asks_for_refunds_at is not None]
        statements += writing(wire, records, batch.chain_keys)
        try:
            wire.run([*statements, commit])
        except wire.conflicts as error:
            raise Outdated("A payment or an event was written at the same moment") from error
        logs.note(batch=len(batch.rows))
        return has_facts


def _looking_up(wire: Wire, batch: Batch) -> list[Statement]:
    kept = (
        "SELECT gateway, event_id, payload FROM payment_webhooks"
        f" WHERE {wire.among('gateway')} AND {wire.among('event_id')}"
    )
    orders = (
        f"SELECT {ORDERS.selected} FROM payment_orders"
        f" WHERE {wire.among('provider')} AND {wire.among('gateway_order_id')}"
    )
    return [
        Statement(kept, tuple(wire.array(names) for names in batch.event_ids())),
        Statement(orders, tuple(wire.array(names) for names in batch.order_ids())),
    ]
