"""What is written beside a payment's status: the attempts on its orders, and the refunds.

Both only ever go forward; each step is a row in the trail. The caller holds the payment's lock.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.domain.clock import LEAP
from payments_service.domain.money import Money
from payments_service.domain.news import (
    REFUND_PREFIX,
    AttemptSnapshot,
    DisputeSnapshot,
    PaymentSnapshot,
    RefundSnapshot,
)
from payments_service.domain.states import (
    ATTEMPT_RANK,
    CAPTURED,
    REFUND_OPEN,
    REFUND_RANK,
    AlertCode,
    AttemptStatus,
    RefundStatus,
    ReviewReason,
)
from payments_service.flows import alerts, announce
from payments_service.flows.flag import flag
from payments_service.flows.standing import Standing
from payments_service.store import history, payments
from payments_service.store.db import insert_once
from payments_service.store.history import Actor
from payments_service.store.tables import Payment, PaymentAttempt, PaymentEvent, PaymentOrder, Refund

log = logging.getLogger(__name__)

SAYS = "the gateway says so"
PUT_OFF = timedelta(seconds=90)
"""When the payment is read again for a refund that was not adopted: by then ours is asked for, too."""


@dataclass(frozen=True)
class Elsewhere:
    """A payment id that the gateway tells of one order and that is booked for another payment of ours."""

    transaction_id: str
    status: AttemptStatus
    payment_id: UUID


def standing(session: Session, payment: Payment) -> Standing:
    """What the payment's attempts add up to now."""
    rows = payments.attempts(session, payment.id)
    back: defaultdict[UUID, int] = defaultdict(int)
    for refund in payments.refunds_of_payment(session, payment.id):
        if refund.status == RefundStatus.COMPLETED:
            back[refund.attempt_id] += refund.amount
    returned = (row.transaction_id for row in rows if back and back[row.id] >= row.amount)
    return Standing(rows, frozenset(returned))


def attempts(
    session: Session, payment: Payment, order: PaymentOrder, snapshot: PaymentSnapshot, actor: Actor
) -> list[Elsewhere]:
    """Write down the attempts; those that belong to another payment are returned, and not written."""
    others = []
    for attempt in snapshot.attempts:
        if (other := _record_attempt(session, payment, order, attempt, actor)) is not None:
            others.append(other)
    session.flush()
    return others


def _record_attempt(
    session: Session, payment: Payment, order: PaymentOrder, attempt: AttemptSnapshot, actor: Actor
) -> Elsewhere | None:
    status = attempt.status or AttemptStatus.PENDING
    now = actor.clock.now()
    is_new = insert_once(
        session,
        PaymentAttempt,
        ["provider", "transaction_id"],
        id=uuid7(),
        order_id=order.id,
        provider=order.provider,
        transaction_id=attempt.transaction_id,
        status=status,
        gateway_status=attempt.gateway_status,
        amount=attempt.amount.minor,
        currency=attempt.amount.currency,
        created_at=now,
        updated_at=now,
    )
    row = payments.attempt(session, order.provider, attempt.transaction_id)
    assert row is not None  # noqa: S101 (it was written just now, or stood there before)
    if row.order_id != order.id:
        about = {"paymentId": attempt.transaction_id, "id": payment.id}
        log.error("Attempt of another order", extra={"data": about})
        owner = session.get_one(PaymentOrder, row.order_id).payment_id
        return Elsewhere(attempt.transaction_id, status, owner) if owner != payment.id else None
    before = None if is_new else row.status
    if attempt.status is None and (is_new or row.gateway_status != attempt.gateway_status):
        about = {"id": payment.id, "paymentId": attempt.transaction_id, "status": attempt.gateway_status}
        log.error("Unknown status from gateway", extra={"data": about})
    row.bank_reference = attempt.bank_reference or row.bank_reference
    if before is not None and ATTEMPT_RANK[status] <= ATTEMPT_RANK[AttemptStatus(before)]:
        return None
    row.status, row.gateway_status, row.updated_at = status, attempt.gateway_status, now
    row.method, row.error_code, row.capture_by = attempt.method, attempt.error_code, attempt.capture_by
    evidence = {
        "paymentId": attempt.transaction_id,
        "gatewayStatus": attempt.gateway_status,
        "amountPaise": attempt.amount.minor,
    }
    history.append(session, payment, "attempt", actor, SAYS, evidence, before=before, after=status)
    return None


def dispute(session: Session, payment: Payment, told: DisputeSnapshot, actor: Actor) -> None:
    """A dispute changes no status: the money is the bank's decision, and the merchant is told.

    No word of it is final: one that was won may come back as the next stage, under the same id.
    """
    last, now = _last_of_dispute(session, payment, told.dispute_id), actor.clock.now()
    observed_at = min(told.observed_at, now)
    if last is not None and observed_at < datetime.fromisoformat(last["observedAt"]) <= now + LEAP:
        return
    evidence = {
        "disputeId": told.dispute_id,
        "paymentId": told.transaction_id,
        "gatewayStatus": told.gateway_status,
        "amountPaise": told.amount.minor,
        "phase": told.phase,
        "isClosed": told.is_closed,
        "respondBy": told.respond_by.isoformat() if told.respond_by else None,
        "observedAt": observed_at.isoformat(),
    }
    sequence = history.append(session, payment, "dispute", actor, SAYS, evidence)
    if last is None or _stage(last) != _stage(evidence):
        announce.dispute(session, payment, told, sequence, actor.clock)
        _have_it_answered(session, payment, evidence, actor)


def _have_it_answered(session: Session, payment: Payment, evidence: dict[str, Any], actor: Actor) -> None:
    """An open dispute stands among the reviews, with its date, for as long as this stage of it is open."""
    subject = f"{payment.provider} {evidence['disputeId']}"
    alerts.end(session, AlertCode.DISPUTE_OPENED, subject, actor.clock)
    if not evidence["isClosed"]:
        names = ("paymentId", "amountPaise", "phase", "respondBy")
        detail = {"id": str(payment.id), **{name: evidence[name] for name in names}}
        alerts.note(session, AlertCode.DISPUTE_OPENED, subject, detail, actor.clock)


def _last_of_dispute(session: Session, payment: Payment, dispute_id: str) -> dict[str, Any] | None:
    query = select(PaymentEvent).where(PaymentEvent.payment_id == payment.id, PaymentEvent.kind == "dispute")
    rows = session.scalars(query.order_by(PaymentEvent.sequence.desc()))
    found = (row.evidence for row in rows if row.evidence["disputeId"] == dispute_id)
    return next(({"observedAt": "0001-01-01T00:00:00+00:00", **one} for one in found), None)


def _stage(evidence: dict[str, Any]) -> tuple[object, object]:
    return evidence.get("phase"), evidence.get("isClosed")


def refunds(session: Session, payment: Payment, told_refunds: Sequence[RefundSnapshot], actor: Actor) -> None:
    """Those that are ours first: what is left may be adopted once none of ours waits for its answer."""
    strangers = []
    for told in told_refunds:
        if (row := _row_of(session, payment, told)) is None:
            strangers.append(told)
        else:
            write_refund(session, payment, row, told, actor)
    session.flush()
    for told in strangers:
        _adopt(session, payment, told, actor)
    session.flush()


def write_refund(session: Session, payment: Payment, row: Refund, told: RefundSnapshot, actor: Actor) -> None:
    """Bring a refund forward to what the gateway says of it; what contradicts our books goes to a person."""
    status = told.status or RefundStatus.PENDING
    if told.status is None and row.gateway_status != told.gateway_status:
        about = {"refundId": told.gateway_refund_id, "status": told.gateway_status}
        log.error("Unknown status from gateway", extra={"data": about})
    if told.gateway_chose and row.refund_id:
        _follow(session, payment, row, told, actor)
    if is_another := _differs(session, row, told):
        _flag(session, payment, ReviewReason.REFUND_MISMATCH, told, actor)
        status = RefundStatus.PENDING  # known there, and not the refund that we asked for: never final
    row.bank_reference = told.bank_reference or row.bank_reference
    before, was_known = row.status, row.gateway_refund_id is not None
    if _booked(session, row.provider, told) in (None, row):
        row.gateway_refund_id = row.gateway_refund_id or told.gateway_refund_id
    if not before or REFUND_RANK[status] > REFUND_RANK[RefundStatus(before)]:
        row.gateway_status = told.gateway_status
        move_refund(session, payment, row, status, actor, SAYS)
    elif not is_another:
        _hear_after_the_end(session, payment, row, told, status, actor, was_known=was_known)


def move_refund(
    session: Session, payment: Payment, row: Refund, to: RefundStatus, actor: Actor, reason: str
) -> None:
    """Change a refund's status: never without its row in the trail, and told when it is final."""
    before = row.status
    row.status, row.updated_at = to, actor.clock.now()
    if to not in REFUND_OPEN:
        row.next_check_at = None
    session.flush()
    evidence = {
        "id": str(row.id),
        "refundId": row.gateway_refund_id,
        "amountPaise": row.amount,
        "gatewayStatus": row.gateway_status,
    }
    sequence = history.append(session, payment, "refund", actor, reason, evidence, before=before, after=to)
    announce.refund(session, payment, row, sequence, actor.clock)
    about = {"id": payment.id, "from": before, "to": to, "source": actor.source, "reason": reason}
    log.info("Refund status", extra={"data": {**about, **evidence}})


def _row_of(session: Session, payment: Payment, told: RefundSnapshot) -> Refund | None:
    """By the gateway's id, else by ours: a second refund under one id of ours is not the first one."""
    row = _booked(session, payment.provider, told)
    if row is None and (row := _asked_for(session, payment, told)) and row.gateway_refund_id:
        return None
    return row if row and row.payment_id == payment.id else None


def _booked(session: Session, provider: str, told: RefundSnapshot) -> Refund | None:
    theirs = told.gateway_refund_id
    with session.no_autoflush:  # a row that is being adopted is not whole yet
        return payments.refund(session, provider, refund_id=None, gateway_refund_id=theirs)


def _asked_for(session: Session, payment: Payment, told: RefundSnapshot) -> Refund | None:
    theirs = told.gateway_refund_id
    return payments.refund(session, payment.provider, refund_id=told.refund_id, gateway_refund_id=theirs)


def _adopt(session: Session, payment: Payment, told: RefundSnapshot, actor: Actor) -> None:
    """Book a refund that did not begin here."""
    attempt = payments.attempt(session, payment.provider, told.transaction_id)
    if attempt is None or attempt not in payments.attempts(session, payment.id):
        log.error("Refund of an unknown attempt", extra={"data": {"refundId": told.gateway_refund_id}})
        return
    if _may_be_ours(session, attempt):
        # Whoever reads the payment then, with the answer to ours, can tell the two apart.
        payment.next_check_at = actor.clock.after(PUT_OFF)
        log.info("Refund not adopted yet", extra={"data": {"refundId": told.gateway_refund_id}})
        return
    is_money = told.amount.minor > 0 and told.amount.currency == attempt.currency
    if not is_money or _booked(session, payment.provider, told):
        _flag(session, payment, ReviewReason.REFUND_MISMATCH, told, actor)
        return
    row = Refund(
        payment_id=payment.id,
        attempt_id=attempt.id,
        provider=payment.provider,
        amount=told.amount.minor,
        currency=told.amount.currency,
        next_check_at=actor.clock.now(),
    )
    session.add(row)
    write_refund(session, payment, row, told, actor)
    if told.refund_id and told.refund_id.startswith(REFUND_PREFIX):
        _flag(session, payment, ReviewReason.REFUND_NOT_ASKED_FOR, told, actor)


def _may_be_ours(session: Session, attempt: PaymentAttempt) -> bool:
    """One of ours was sent and has no answer yet: a refund that nobody knows may be that one."""
    return any(
        row.status == RefundStatus.INITIATED and row.refund_id
        for row in payments.refunds(session, attempt.id)
    )


def _follow(session: Session, payment: Payment, row: Refund, told: RefundSnapshot, actor: Actor) -> None:
    """Book our refund under the attempt that the gateway took, if that is a captured one of the same order.

    One that is not known here yet comes with the next reading of the payment, which is made at once, once.
    """
    asked = _attempt_of(session, row)
    taken = payments.attempt(session, row.provider, told.transaction_id)
    if taken is asked:
        return
    if taken is None or taken.status not in CAPTURED:
        if row.gateway_refund_id is None:
            payment.next_check_at = actor.clock.now()
    elif taken.order_id == asked.order_id:
        row.attempt_id = taken.id
        evidence = {"id": str(row.id), "askedOf": asked.transaction_id, "paymentId": taken.transaction_id}
        history.append(session, payment, "note", actor, "the gateway gave back another attempt", evidence)


def _attempt_of(session: Session, row: Refund) -> PaymentAttempt:
    with session.no_autoflush:  # a row that is being adopted is not whole yet
        return session.get_one(PaymentAttempt, row.attempt_id)


def _differs(session: Session, row: Refund, told: RefundSnapshot) -> bool:
    return (
        told.amount != Money(row.amount, row.currency)
        or told.transaction_id != _attempt_of(session, row).transaction_id
        or _booked(session, row.provider, told) not in (None, row)
    )


def _hear_after_the_end(
    session: Session,
    payment: Payment,
    row: Refund,
    told: RefundSnapshot,
    status: RefundStatus,
    actor: Actor,
    *,
    was_known: bool,
) -> None:
    """A refund is told to have failed and to have gone back: a person looks, and money that went back counts.

    That it failed may have been our own conclusion, from a refusal: it gives way to any word of the gateway.
    """
    is_alive = status is RefundStatus.COMPLETED or (status is RefundStatus.PENDING and not was_known)
    if row.status == RefundStatus.FAILED and is_alive:
        row.gateway_status, row.next_check_at = told.gateway_status, actor.clock.now()
        move_refund(session, payment, row, status, actor, "the gateway made it after all")
        _flag(session, payment, ReviewReason.REFUND_MISMATCH, told, actor)
    elif row.status == RefundStatus.COMPLETED and status is RefundStatus.FAILED:
        _flag(session, payment, ReviewReason.REFUND_MISMATCH, told, actor)


def _flag(session: Session, payment: Payment, why: ReviewReason, told: RefundSnapshot, actor: Actor) -> None:
    """Let a person look at it, once for each refund."""
    evidence = {
        "refundId": told.gateway_refund_id,
        "ourRefundId": told.refund_id,
        "paymentId": told.transaction_id,
        "refundPaise": told.amount.minor,
        "currency": told.amount.currency,
    }
    flag(session, payment, why, actor, evidence)
