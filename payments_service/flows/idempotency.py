"""One request, however often it is sent: the first one runs, the others get its answer.

A key is claimed before anything happens, and its lease is longer than the request may take. What is kept is
the 200; failures that never reached the gateway let the key go, and an unknown outcome keeps the key and
its payment, so that the next request with it asks before it creates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.domain import payment as domain
from payments_service.domain.clock import LEAP, REAL_TIME, Clock
from payments_service.domain.errors import Conflict, PaymentsError
from payments_service.domain.states import PaymentStatus
from payments_service.flows import rivals, witnesses
from payments_service.store import keys, payments
from payments_service.store.db import Database
from payments_service.store.keys import Key
from payments_service.store.tables import Payment
from payments_service.store.transaction import Transaction
from payments_service.store.wire import COMMIT, Statement, wire_in

KEPT = timedelta(hours=24)
"""A key and its answer; Stripe keeps them as long."""
RETRY_AFTER_SECONDS = 2
"""Told to a repetition that comes while the first request is at work."""


class KeyReused(PaymentsError):
    """The key belongs to another request."""

    code = "idempotency_key_reused"
    http_status = 422


class StillRunning(Conflict):
    """The first request has not ended, or it cannot be known that it has."""

    code = "request_in_progress"
    retry_after_seconds = RETRY_AFTER_SECONDS


@dataclass(frozen=True)
class Claim:
    """The right to answer for a key. `payment_id` is what an earlier request with it has begun."""

    row_id: UUID
    generation: int
    payment_id: UUID | None


@dataclass(frozen=True)
class Kept:
    """The answer that the first request got."""

    body: bytes


StillValid = Callable[[Transaction, Key, Clock], None]
"""Raises Conflict when the answer that is kept under a key is of no use any more."""


def buyer(phone: str, email: str) -> str:
    """The owner of a browser's keys: no other buyer can take this buyer's, and the table holds no e-mail."""
    return sha256(f"{phone}\n{email.casefold()}".encode()).hexdigest()


def claim(
    db: Database,
    *,
    endpoint: str,
    owner: str,
    key: str,
    fingerprint: str,
    lease: timedelta,
    clock: Clock = REAL_TIME,
    still_valid: StillValid | None = None,
) -> Claim | Kept:
    """Raises KeyReused, StillRunning, or what `still_valid` raises for a kept answer that is of no use any
    more."""
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
            leased_until=now + lease,
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
            if still_valid:
                still_valid(session, row, clock)
            return Kept(row.answer)
        ends = begun_anew(row.leased_until, now, lease) if is_sure else row.leased_until
        if is_sure and ends <= now:
            taken = row.generation + 1
            keys.write(session, row.id, row.generation, generation=taken, leased_until=now + lease)
            return Claim(row.id, taken, row.payment_id)
        if ends != row.leased_until:
            keys.write(session, row.id, row.generation, leased_until=ends)
    raise StillRunning("A request with this Idempotency-Key is still running")


def begun_anew(leased_until: datetime, now: datetime, lease: timedelta) -> datetime:
    """The end of a lease. One that a clock has written which was ahead begins now: it is not over at once,
    because its request may be alive, and not a year later either."""
    return now + lease if leased_until > now + lease + LEAP else leased_until


def begin(session: Session, claim: Claim | None, payment_id: UUID, intent: Sequence[Statement]) -> None:
    """Write what the request is about to do, and note it under its key, in one turn. Without a key the
    transaction ends with it."""
    wire = wire_in(session)
    if claim is None:
        wire.run([*intent, COMMIT])
        return
    noted = keys.changing(wire, claim.row_id, claim.generation, payment_id=payment_id)
    if not wire.run([*intent, noted])[-1]:
        raise StillRunning("Another request with this Idempotency-Key has taken over")


def keep(db: Database, claim: Claim, body: bytes) -> None:
    with db.begin() as session:
        keys.write(session, claim.row_id, claim.generation, answer=body, commits=True)


def release(db: Database, claim: Claim | None) -> None:
    """Nothing happened at the gateway: the same key may try again from the start."""
    if claim:
        with db.begin() as session:
            keys.release(session, claim.row_id, claim.generation)


def leave_open(db: Database, claim: Claim | None, clock: Clock = REAL_TIME) -> None:
    """The request has ended and its outcome is unknown: the next one with this key finds out."""
    if claim:
        with db.begin() as session:
            keys.write(session, claim.row_id, claim.generation, leased_until=clock.now(), commits=True)


def still_payable(session: Transaction, row: Key, clock: Clock) -> None:
    """Of a kept create-order: whether a payer may still be sent there."""
    if row.payment_id:
        must_be_payable(session, payments.by_id(session, row.payment_id), clock)


def is_time_over(session: Session, payment: Payment | domain.Payment, clock: Clock) -> bool:
    """Whether its time to pay has run out for sure, so that there may be another order for the same."""
    return payment.expires_at <= clock.now() and witnesses.agree(session, clock)


def must_be_payable(session: Transaction, payment: Payment | domain.Payment, clock: Clock) -> None:
    """Raises Conflict when no payer may be sent to this payment any more, however open its order is."""
    if payment.status in (PaymentStatus.COMPLETED, PaymentStatus.AUTHORIZED):
        raise Conflict("This order is paid", code="order_paid", id=str(payment.id))
    rivals.refuse_beside_another(session, payment)
    if payment.review:
        raise Conflict("This payment is under review", code="payment_review", id=str(payment.id))
    if rivals.holds_money(session, payment.id):
        raise Conflict("This order is paid", code="order_paid", id=str(payment.id))
    is_over = payment.status == PaymentStatus.PENDING and is_time_over(session, payment, clock)
    if is_over or payment.closed_at or payment.status in (PaymentStatus.FAILED, PaymentStatus.EXPIRED):
        raise Conflict("This order can no longer be paid", code="order_expired", id=str(payment.id))
