"""Whether the history is as it was written: every row of it, in its order, up to the last."""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
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


def verify(session: Session, keys: ChainKeys, payment_ids: Iterable[UUID] | None = None) -> Iterator[Finding]:
    """What does not fit: a row that was changed, removed, inserted, or cut off at the end.

    Payments and histories are of one moment, since one statement reads them: a payment may move meanwhile.
    """
    by_name = {key.name: key for key in keys}
    query = (
        select(Payment, PaymentEvent)
        .outerjoin(PaymentEvent, PaymentEvent.payment_id == Payment.id)
        .order_by(Payment.id, PaymentEvent.sequence)
        .execution_options(yield_per=500)
    )
    if payment_ids is not None:
        query = query.where(Payment.id.in_(list(payment_ids)))
    for payment, found in groupby(session.execute(query), key=itemgetter(0)):
        yield from _look_at(payment, [row for _, row in found if row is not None], by_name)


def _look_at(payment: Payment, rows: Sequence[PaymentEvent], keys: dict[str, ChainKey]) -> Iterator[Finding]:
    head, unsealed = None, 0
    for number, row in enumerate(rows, start=1):
        if row.sequence != number:
            yield Finding(payment.id, number, "a row was removed or inserted")
            return
        if row.mac is None:
            unsealed += 1
            continue
        key = keys.get(row.mac_key or "")
        if key is None:
            yield Finding(payment.id, number, f"its key {row.mac_key} is not in SECRET_KEY any more")
            return
        if not hmac.compare_digest(row.mac, seal(key, head, row)):
            yield Finding(payment.id, number, "the row, or the one before it, was changed")
            return
        head = row.mac
    if len(rows) != payment.history_count:
        yield Finding(payment.id, None, f"{payment.history_count} rows were written, {len(rows)} are there")
    elif unsealed != payment.history_unchained:
        yield Finding(
            payment.id, None, f"{unsealed} rows without a seal, {payment.history_unchained} were written"
        )
    elif head != payment.history_head:
        yield Finding(payment.id, None, "the last row is not the one that was written last")
