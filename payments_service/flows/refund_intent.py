"""Before a refund is sent: what the gateway has given back already, and our row with our id.

A caller's key is kept for ever: with the payment it names one refund, and our id at the gateway is a function
of both. A database that was restored from yesterday sends nothing twice: what it lost is read at the gateway.
"""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import (
    Conflict,
    GatewayError,
    InvalidInput,
    NotFound,
    PaymentsError,
    Unavailable,
)
from payments_service.domain.money import Money
from payments_service.domain.news import REFUND_PREFIX, OrderRef, RefundSnapshot, new_id
from payments_service.domain.payment import Actor
from payments_service.domain.states import CAPTURED, REFUND_OPEN, EntryKind, PaymentStatus, RefundStatus
from payments_service.flows import sync
from payments_service.flows.idempotency import KeyReused
from payments_service.gateways.base import Gateway
from payments_service.store import disputes, history, payments, refunds
from payments_service.store.db import Database
from payments_service.store.tables import Payment, PaymentAttempt, PaymentOrder, Refund
from payments_service.store.transaction import Transaction

log = logging.getLogger(__name__)

BUDGET_SECONDS = 10.0
"""Of reading what was given back already."""
LEASE = timedelta(seconds=20)
"""Between the commit of the intent and its call: longer than the database may take for both."""
ID_CHARACTERS = 24
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Key:
    """What a caller names its refund by, and a digest of what it asks for under that name."""

    text: str
    fingerprint: str = field(repr=False)


@dataclass(frozen=True)
class Wish:
    """What is asked for: `amount`, or all that is left, of the attempt that paid, else of the named one."""

    payment_id: UUID
    amount: Money | None
    reason: str
    transaction_id: str | None
    key: Key | None
    speed: str
    force: bool
    """Also beside a dispute that is open or took money."""


class NotBegun(PaymentsError):
    """Nothing was sent and nothing stored: what was given back already could not be read."""

    def __init__(self, cause: GatewayError) -> None:
        super().__init__("Failed to refund", code=cause.code, retryable=cause.retryable)
        self.http_status = cause.http_status
        self.retry_after_seconds = cause.retry_after_seconds
        self.explanation = cause.message


# ── what was given back already ─────────────────────────────────────────────────────────────────────


def given_back(db: Database, gateway: Gateway, wish: Wish, actor: Actor) -> tuple[RefundSnapshot, ...]:
    """The refunds of the payment at the gateway, each of them booked; none where it lists none.

    A key that has its refund here needs no look. Raises NotBegun, and what `write` raises.
    """
    if not gateway.lists_refunds:
        return ()
    with db.read() as session:
        if wish.key and refunds.of_key(session, wish.payment_id, wish.key.text):
            return ()
        payment = payments.by_id(session, wish.payment_id)
        attempt = _refundable(session, gateway, payment, wish.transaction_id)
        order = session.get_one(PaymentOrder, attempt.order_id)
    try:
        ref = OrderRef(order.wire_id, order.gateway_order_id)
        snapshot = gateway.fetch_payment(ref, Deadline(BUDGET_SECONDS, Urgency.REFUND))
    except GatewayError as error:
        about = {"id": wish.payment_id, "error": error.code}
        log.warning("Refunds at the gateway not read, so none is sent", extra={"data": about})
        raise NotBegun(error) from error
    sync.apply(db, gateway, order, snapshot, actor)
    if snapshot.refunds is None:
        raise NotBegun(Unavailable("The refunds of this payment could not be read"))
    return snapshot.refunds


def begun_before(
    session: Transaction, payment: Payment, wish: Wish, told: tuple[RefundSnapshot, ...], actor: Actor
) -> Refund | None:
    """The refund that this key has asked for; the caller holds the payment's lock. Raises KeyReused."""
    if wish.key is None:
        return None
    row = refunds.of_key(session, payment.id, wish.key.text)
    if row is None:
        return _remembered(session, payment, wish, wish.key, told, actor)
    if row.fingerprint != wish.key.fingerprint:
        raise KeyReused("This Idempotency-Key was used for another refund of this payment")
    return row


def _remembered(
    session: Transaction,
    payment: Payment,
    wish: Wish,
    key: Key,
    told: tuple[RefundSnapshot, ...],
    actor: Actor,
) -> Refund | None:
    """The refund that this key made before the database lost it, booked anew: it is the key's again."""
    wire_id = _wire_id(payment.id, key)
    theirs = next((one.gateway_refund_id for one in told if one.refund_id == wire_id), None)
    row = refunds.of_gateway(session, payment.id, theirs) if theirs else None
    if row is None or row.refund_id is not None:
        return None
    if wish.amount is not None and wish.amount != Money(row.amount, row.currency):
        raise KeyReused("This Idempotency-Key was used for another refund of this payment")
    row.refund_id, row.idempotency_key, row.fingerprint = wire_id, key.text, key.fingerprint
    row.reason, row.speed = wish.reason, wish.speed
    evidence = {"id": str(row.id), "refundId": row.gateway_refund_id}
    history.append(session, payment, EntryKind.NOTE, actor, "its key asked for this refund again", evidence)
    return row


# ── the intent ──────────────────────────────────────────────────────────────────────────────────────


def write(
    session: Transaction,
    gateway: Gateway,
    payment: Payment,
    wish: Wish,
    told: tuple[RefundSnapshot, ...],
    actor: Actor,
) -> Refund:
    """The row of a refund that does not exceed what was captured: all that did not fail counts.

    Raises InvalidInput, NotFound and Conflict (`not_refundable`, `refund_in_progress`,
    `refund_exceeds_captured`, `disputed`).
    """
    if not wish.force and disputes.takes_the_money(session, payment.id):
        raise Conflict(
            "A dispute of this payment is open or took money: a refund would pay twice. force takes it",
            code="disputed",
        )
    attempt = _refundable(session, gateway, payment, wish.transaction_id)
    earlier = payments.refunds(session, attempt.id)
    _refuse_beside_another(gateway, attempt, earlier, told)
    taken = sum(row.amount for row in earlier if row.status != RefundStatus.FAILED)
    most = min(attempt.amount, payment.amount) if gateway.refunds_up_to_the_order else attempt.amount
    wanted = _wanted(wish.amount, Money(max(0, most - taken), attempt.currency))
    row = Refund(
        payment_id=payment.id,
        attempt_id=attempt.id,
        provider=payment.provider,
        refund_id=_wire_id(payment.id, wish.key),
        reason=wish.reason,
        idempotency_key=wish.key.text if wish.key else None,
        fingerprint=wish.key.fingerprint if wish.key else None,
        speed=wish.speed,
        awaits_first_send=True,
        amount=wanted.minor,
        currency=wanted.currency,
        status=RefundStatus.INITIATED,
        generation=1,
        next_check_at=actor.clock.now() + LEASE,
    )
    session.add(row)
    session.flush()
    evidence = {"id": str(row.id), "amountPaise": wanted.minor}
    why = "a refund is wanted"
    history.append(session, payment, EntryKind.REFUND, actor, why, evidence, after=row.status)
    return row


def _refuse_beside_another(
    gateway: Gateway, attempt: PaymentAttempt, earlier: list[Refund], told: tuple[RefundSnapshot, ...]
) -> None:
    """While one of ours has no answer, one that is not booked may be it or not: the sum is not known yet."""
    is_open = any(row.status in REFUND_OPEN for row in earlier)
    is_unanswered = any(row.status == RefundStatus.INITIATED for row in earlier)
    booked = {row.gateway_refund_id for row in earlier}
    is_unbooked = any(
        one.transaction_id == attempt.transaction_id and one.gateway_refund_id not in booked for one in told
    )
    if (gateway.one_refund_at_a_time and is_open) or (is_unanswered and is_unbooked):
        raise Conflict("Another refund of this payment is under way", code="refund_in_progress")


def _refundable(
    session: Session, gateway: Gateway, payment: Payment, transaction_id: str | None
) -> PaymentAttempt:
    """The attempt to give back of, captured for sure."""
    tries = payments.attempts(session, payment.id)
    if transaction_id is None and payment.status != PaymentStatus.COMPLETED:
        sentence = "Only a completed payment can be refunded"
        if any(one.status in CAPTURED for one in tries):
            sentence = (
                f"This payment is {payment.status}, and money was captured: to refund it, "
                "name the captured payment as paymentId"
            )
        raise Conflict(sentence, code="not_refundable")
    wanted = transaction_id or payment.transaction_id
    attempt = next((one for one in tries if one.transaction_id == wanted), None)
    if attempt is None:
        raise NotFound("This payment has no such attempt")
    if attempt.status not in CAPTURED:
        raise Conflict("Only what was captured can be refunded", code="not_refundable")
    rivals = [one for one in tries if one.order_id == attempt.order_id and one.status in CAPTURED]
    if wanted != payment.transaction_id and len(rivals) > 1 and not gateway.refunds_name_the_attempt:
        raise Conflict(
            "This gateway cannot be told which payment of an order to refund", code="not_refundable"
        )
    return attempt


def _wire_id(payment_id: UUID, key: Key | None) -> str:
    """Ours at the gateway: of payment and key where there is one, so that it is the same after a restore."""
    if key is None:
        return new_id(REFUND_PREFIX)
    number = int.from_bytes(sha256(f"{payment_id}:{key.text}".encode()).digest())
    characters = []
    for _ in range(ID_CHARACTERS):
        number, digit = divmod(number, len(DIGITS))
        characters.append(DIGITS[digit])
    return REFUND_PREFIX + "".join(characters)


def _wanted(amount: Money | None, left: Money) -> Money:
    """What is asked for, else all that is left; never more than that."""
    wanted = left if amount is None else amount
    if wanted.currency != left.currency:
        raise InvalidInput("Invalid amount", details={"amount": [f"must be in {left.currency}"]})
    if amount is not None and amount.minor <= 0:
        raise InvalidInput("Invalid amount", details={"amount": ["must be more than nothing"]})
    if not 0 < wanted.minor <= left.minor:
        raise Conflict(
            f"Only {left} can still be refunded", code="refund_exceeds_captured", refundablePaise=left.minor
        )
    return wanted
