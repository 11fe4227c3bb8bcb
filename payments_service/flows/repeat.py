"""A request of the merchant's server, however often it is sent: the first answer is kept for a day.

Only what was done is kept. A refusal lets the key go; a process that died in the middle
leaves a lease that ends.
"""

from collections.abc import Callable
from datetime import timedelta

from uuid6 import uuid7

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.flows import witnesses
from payments_service.flows.idempotency import KEPT, Claim, Kept, KeyReused, StillRunning, begun_anew
from payments_service.store import keys
from payments_service.store.db import Database

LEASE = timedelta(seconds=75)
"""Longer than any of these requests may take."""


def once(
    db: Database,
    endpoint: str,
    owner: str,
    key: str | None,
    fingerprint: str,
    do: Callable[[], bytes],
    clock: Clock = REAL_TIME,
) -> tuple[bytes, bool]:
    """The answer, and whether it is that of an earlier request. Raises KeyReused and StillRunning."""
    if key is None:
        return do(), False
    claimed = _claim(db, endpoint, owner, key, fingerprint, clock)
    if isinstance(claimed, Kept):
        return claimed.body, True
    try:
        answer = do()
    except Exception:
        with db.begin() as session:
            keys.release(session, claimed.row_id, claimed.generation)
        raise
    with db.begin() as session:
        keys.write(session, claimed.row_id, claimed.generation, answer=answer, commits=True)
    return answer, False


def _claim(db: Database, endpoint: str, owner: str, key: str, fingerprint: str, clock: Clock) -> Claim | Kept:
    row_id = uuid7()
    with db.begin() as session:
        is_sure, now = witnesses.agree(session, clock), clock.now()
        row = keys.claim(
            session,
            row_id,
            endpoint=endpoint,
            owner=owner,
            key=key,
            fingerprint=fingerprint,
            leased_until=now + LEASE,
            now=now,
            forget_before=now - KEPT if is_sure else None,
        )
        if row is None:
            raise StillRunning("Other requests with this Idempotency-Key are running")
        if row.id == row_id:
            return Claim(row.id, row.generation, None)
        if row.fingerprint != fingerprint:
            raise KeyReused("This Idempotency-Key was used for another request")
        if row.answer is not None:
            return Kept(row.answer)
        ends = begun_anew(row.leased_until, now, LEASE) if is_sure else row.leased_until
        if is_sure and ends <= now:
            taken = row.generation + 1
            keys.write(session, row.id, row.generation, generation=taken, leased_until=now + LEASE)
            return Claim(row.id, taken, None)
        if ends != row.leased_until:
            keys.write(session, row.id, row.generation, leased_until=ends)
    raise StillRunning("A request with this Idempotency-Key is still running")
