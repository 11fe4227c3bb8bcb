"""Whose turn it is to ask a gateway about one payment: one call in a short window, for all who wait."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from threading import Event, Lock
from uuid import UUID

from cachetools import TTLCache

from payments_service.domain.clock import utc_now
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import GatewayError
from payments_service.domain.payment import Actor
from payments_service.domain.states import PaymentStatus
from payments_service.flows import sync
from payments_service.gateways.base import Gateway
from payments_service.store import payments
from payments_service.store.db import Database

log = logging.getLogger(__name__)

ASK_EVERY = timedelta(seconds=3)
"""However many pages and processes want to know, a gateway is asked about one payment this often."""
LOOK_EVERY_SECONDS = 0.2
"""A request that waits for the question of another looks this often for its outcome."""
MOST_WAITING = 4
"""Requests of one process that wait for the same payment; one that sends more gets the stored state."""


@dataclass
class _Turn:
    """The next call about one payment: the first to come makes it, the others share its answer."""

    waiting: int = 1
    is_over: Event = field(default_factory=Event)
    is_asked: bool = False
    error: GatewayError | None = None


_turns: dict[UUID, _Turn] = {}
"""Calls that have not begun yet. Who comes while a call is under way waits for the next one: that call began
before, so its "not yet" is no answer to them."""
_lock = Lock()
_proofs: TTLCache[tuple[UUID, str], None] = TTLCache(maxsize=10_000, ttl=3600)
MOST_URGENT = 4
"""Verifications of one payment in ten minutes that may take what is left of a gateway's read budget. Further
ones take only what others do not need: a caller who repeats them would keep all payers from their answers."""
_urgent: TTLCache[UUID, int] = TTLCache(maxsize=10_000, ttl=600)


def is_new_proof(payment_id: UUID, fields: Mapping[str, str]) -> bool:
    """Whether this genuine return of a browser comes for the first time: it is worth asking at once."""
    key = payment_id, fields.get("paymentId", "")
    with _lock:
        is_new = key not in _proofs
        _proofs[key] = None
        return is_new


def is_seldom(payment_id: UUID) -> bool:
    """Whether this payment is verified for one of the first times, so that its payer probably waits."""
    with _lock:
        _urgent[payment_id] = times = _urgent.get(payment_id, 0) + 1
        return times <= MOST_URGENT


def may_ask(db: Database, payment_id: UUID) -> bool:
    """Whether it is for the caller to ask now, over all processes."""
    with db.begin() as session:
        return payments.claim_asking(session, payment_id, utc_now(), ASK_EVERY)


def ask_in_turn(
    db: Database,
    gateway: Gateway,
    payment_id: UUID,
    actor: Actor,
    deadline: Deadline,
    *,
    at_once: bool = False,
) -> bool:
    """Have the gateway asked by a call that begins after this one; whether it was, and answered.

    False when too many wait already, or no turn came within the deadline. Raises GatewayError when the
    gateway could not be asked.
    """
    if at_once:
        may_ask(db, payment_id)  # those who come next wait for the window
        sync.refresh(db, gateway, payment_id, actor, deadline)
        return True
    turn, is_first = _join(payment_id)
    if turn is None:
        return False
    if not is_first:
        turn.is_over.wait(deadline.remaining())
        if turn.error:
            raise turn.error
        return turn.is_asked
    try:
        outcome = _wait_for_window(db, payment_id, deadline)
        if outcome is _Wait.OURS:
            _begin(payment_id, turn)
            sync.refresh(db, gateway, payment_id, actor, deadline)
        turn.is_asked = outcome is not _Wait.TOO_LATE
    except GatewayError as error:
        turn.error = error
        raise
    finally:
        _begin(payment_id, turn)
        turn.is_over.set()
    return turn.is_asked


def _join(payment_id: UUID) -> tuple[_Turn | None, bool]:
    """The next turn, and whether the caller is the one who asks; None when too many wait for it."""
    with _lock:
        turn = _turns.get(payment_id)
        if turn is None:
            _turns[payment_id] = turn = _Turn()
            return turn, True
        if turn.waiting >= MOST_WAITING:
            return None, False
        turn.waiting += 1
        return turn, False


def _begin(payment_id: UUID, turn: _Turn) -> None:
    """From now on, who comes waits for the next turn."""
    with _lock:
        if _turns.get(payment_id) is turn:
            del _turns[payment_id]


class _Wait(Enum):
    OURS = auto()
    COMPLETED = auto()
    """Somewhere else, while we waited."""
    TOO_LATE = auto()


def _wait_for_window(db: Database, payment_id: UUID, deadline: Deadline) -> _Wait:
    while not may_ask(db, payment_id):
        if deadline.remaining() < LOOK_EVERY_SECONDS:
            return _Wait.TOO_LATE
        time.sleep(LOOK_EVERY_SECONDS)
        with db.read() as session:
            if payments.by_id(session, payment_id).status == PaymentStatus.COMPLETED:
                return _Wait.COMPLETED
    return _Wait.OURS
