"""A request of the merchant's server, however often it is sent: the first answer is kept for a day.

Only what was done is kept. A refusal lets the key go; a process that died in the middle
leaves a lease that ends.
"""

from collections.abc import Callable
from datetime import timedelta

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.flows.idempotency import Kept, claim, keep, release
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
    claimed = claim(
        db, endpoint=endpoint, owner=owner, key=key, fingerprint=fingerprint, lease=LEASE, clock=clock
    )
    if isinstance(claimed, Kept):
        return claimed.body, True
    try:
        answer = do()
    except Exception:
        release(db, claimed)
        raise
    keep(db, claimed, answer)
    return answer, False
