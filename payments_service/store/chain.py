"""Whether the history is as it was written: every row of it, in its order, up to the last."""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from payments_service.store.seal import ChainKey, ChainKeys, seal
from payments_service.store.tables import Payment, PaymentEvent


@dataclass(frozen=True)
class Finding:
    payment_id: UUID
    sequence: int | None
    what: str


class Told(NamedTuple):
    """What a payment's row says of its history. Nothing else of the row is read: it may be damaged."""

    payment_id: UUID
    rows: int
    unsealed: int | None
    head: str | None


def verify(session: Session, keys: ChainKeys, payment_ids: Iterable[UUID] | None = None) -> Iterator[Finding]:
    """What does not fit: a row that was changed, removed, inserted, or cut off at the end.

    Payments and histories are of one moment, since one statement reads them: a payment may move meanwhile.
    """
    by_name = {key.name: key for key in keys}
    query = (
        select(
            Payment.id, Payment.history_count, Payment.history_unchained, Payment.history_head, PaymentEvent
        )
        .outerjoin(PaymentEvent, PaymentEvent.payment_id == Payment.id)
        .order_by(Payment.id, PaymentEvent.sequence)
        .execution_options(yield_per=500)
    )
    if payment_ids is not None:
        query = query.where(Payment.id.in_(list(payment_ids)))
    for told, found in groupby(session.execute(query), key=lambda row: Told(*row[:4])):
        yield from _look_at(told, [row[4] for row in found if row[4] is not None], by_name)


def _look_at(told: Told, rows: Sequence[PaymentEvent], keys: dict[str, ChainKey]) -> Iterator[Finding]:
    head, unsealed = None, 0
    for number, row in enumerate(rows, start=1):
        if row.sequence != number:
            yield Finding(told.payment_id, number, "a row was removed or inserted")
            return
        if row.mac is None:
            unsealed += 1
            continue
        key = keys.get(row.mac_key or "")
        if key is None:
            yield Finding(told.payment_id, number, f"its key {row.mac_key} is not in SECRET_KEY any more")
            return
        if not hmac.compare_digest(row.mac, seal(key, head, row)):
            yield Finding(told.payment_id, number, "the row, or the one before it, was changed")
            return
        head = row.mac
    if len(rows) != told.rows:
        yield Finding(told.payment_id, None, f"{told.rows} rows were written, {len(rows)} are there")
    elif unsealed != told.unsealed:
        yield Finding(told.payment_id, None, f"{unsealed} rows without a seal, {told.unsealed} were written")
    elif head != told.head:
        yield Finding(told.payment_id, None, "the last row is not the one that was written last")
