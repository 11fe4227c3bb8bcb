"""Refunds: which of ours the gateway speaks of, which to take on, and how far each has come.

A refund only goes forward; what contradicts our books goes to a person.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta

from uuid6 import uuid7

from payments_service.domain import facts
from payments_service.domain.flag import flag
from payments_service.domain.money import Money
from payments_service.domain.news import REFUND_PREFIX, RefundSnapshot
from payments_service.domain.payment import Actor, Attempt, PaymentRecord, Refund
from payments_service.domain.schedule import next_reference_check
from payments_service.domain.states import (
    CAPTURED,
    REFUND_OPEN,
    REFUND_RANK,
    EntryKind,
    RefundStatus,
    ReviewReason,
)

SAYS = "the gateway says so"
PUT_OFF = timedelta(seconds=90)
"""When the payment is read again for a refund that was not adopted: by then ours is asked for, too."""


def apply_refunds(record: PaymentRecord, told_refunds: Sequence[RefundSnapshot], actor: Actor) -> None:
    """Those that are ours first: what is left may be adopted once none of ours waits for its answer."""
    begun_elsewhere = []
    for told in told_refunds:
        if (row := _row_of(record, told)) is None:
            begun_elsewhere.append(told)
        else:
            apply_refund(record, row, told, actor)
    for told in begun_elsewhere:
        _adopt(record, told, actor)


def apply_refund(record: PaymentRecord, row: Refund, told: RefundSnapshot, actor: Actor) -> None:
    """Bring a refund forward to what the gateway says of it; what contradicts our books goes to a person."""
    status = told.status or RefundStatus.PENDING
    if told.status is None and row.gateway_status != told.gateway_status:
        about = {"refundId": told.gateway_refund_id, "status": told.gateway_status}
        record.complain(__name__, "Unknown status from gateway", about)
    if told.gateway_chose and row.refund_id:
        _follow(record, row, told, actor)
    if is_another := _differs(record, row, told):
        _flag(record, ReviewReason.REFUND_MISMATCH, told, actor)
        status = RefundStatus.PENDING  # known there, and not the refund that we asked for: never final
    row.bank_reference = told.bank_reference or row.bank_reference
    before, was_known = row.status, row.gateway_refund_id is not None
    if not _is_booked_otherwise(record, row, told):
        row.gateway_refund_id = row.gateway_refund_id or told.gateway_refund_id
    if not before or REFUND_RANK[status] > REFUND_RANK[RefundStatus(before)]:
        row.gateway_status = told.gateway_status
        move_refund(record, row, status, actor, SAYS)
    elif not is_another:
        _hear_after_the_end(record, row, told, status, actor, was_known=was_known)
    if before != row.status == RefundStatus.COMPLETED and _is_more_than_was_paid(record, row):
        _flag(record, ReviewReason.REFUND_MISMATCH, told, actor)


def move_refund(record: PaymentRecord, row: Refund, to: RefundStatus, actor: Actor, reason: str) -> None:
    """Change a refund's status: never without its row in the history, and told when it is final."""
    before = row.status or None
    row.status, row.updated_at = to, actor.clock.now()
    if to not in REFUND_OPEN:
        row.next_check_at = None
    if to is RefundStatus.COMPLETED and row.bank_reference is None:
        row.next_check_at = next_reference_check(row.updated_at, actor.clock)
    evidence = {
        "id": str(row.id),
        "refundId": row.gateway_refund_id,
        "amountPaise": row.amount,
        "gatewayStatus": row.gateway_status,
    }
    sequence = record.append(EntryKind.REFUND, actor, reason, evidence, before=before, after=to)
    facts.tell_refund(record, row, sequence, actor)
    about = {"id": record.payment.id, "from": before, "to": to, "source": actor.source, "reason": reason}
    record.say(__name__, logging.INFO, "Refund status", {**about, **evidence})


def _row_of(record: PaymentRecord, told: RefundSnapshot) -> Refund | None:
    """By the gateway's id, else by ours: a second refund under one id of ours is not the first one."""
    if _is_booked_elsewhere(record, told):
        return None
    theirs = (r for r in record.refunds if r.gateway_refund_id == told.gateway_refund_id)
    if (row := next(theirs, None)) is not None:
        return row
    ours = (r for r in record.refunds if told.refund_id and r.refund_id == told.refund_id)
    row = next(ours, None)
    return None if row is None or row.gateway_refund_id else row


def _is_booked_elsewhere(record: PaymentRecord, told: RefundSnapshot) -> bool:
    """Under the gateway's id, for another payment of ours."""
    owner = record.elsewhere.refunds.get((record.payment.provider, told.gateway_refund_id))
    return owner not in (None, record.payment.id)


def _is_booked_otherwise(record: PaymentRecord, row: Refund, told: RefundSnapshot) -> bool:
    """The gateway's id of it stands at another refund, of this payment or of another one."""
    return _is_booked_elsewhere(record, told) or any(
        other is not row and other.gateway_refund_id == told.gateway_refund_id for other in record.refunds
    )


def _adopt(record: PaymentRecord, told: RefundSnapshot, actor: Actor) -> None:
    """Book a refund that did not begin here."""
    payment, now = record.payment, actor.clock.now()
    attempt = record.attempt(told.transaction_id)
    if attempt is None:
        about = {"refundId": told.gateway_refund_id}
        record.complain(__name__, "Refund of an unknown attempt", about)
        return
    if _may_be_ours(record, attempt):
        # The payment, read then with the answer to ours, tells the two apart.
        payment.next_check_at = actor.clock.after(PUT_OFF)
        record.say(__name__, logging.INFO, "Refund not adopted yet", {"refundId": told.gateway_refund_id})
        return
    is_money = told.amount.minor > 0 and told.amount.currency == attempt.currency
    is_booked = any(r.gateway_refund_id == told.gateway_refund_id for r in record.refunds)
    if not is_money or is_booked or _is_booked_elsewhere(record, told):
        _flag(record, ReviewReason.REFUND_MISMATCH, told, actor)
        return
    row = Refund(
        id=uuid7(),
        payment_id=payment.id,
        attempt_id=attempt.id,
        provider=payment.provider,
        refund_id=None,
        reason=None,
        generation=1,
        next_check_at=now,
        gateway_refund_id=None,
        bank_reference=None,
        speed=None,
        amount=told.amount.minor,
        currency=told.amount.currency,
        status="",
        gateway_status=None,
        created_at=now,
        updated_at=now,
    )
    record.refunds.append(row)
    apply_refund(record, row, told, actor)
    if told.refund_id and told.refund_id.startswith(REFUND_PREFIX):
        _flag(record, ReviewReason.REFUND_NOT_ASKED_FOR, told, actor)


def _may_be_ours(record: PaymentRecord, attempt: Attempt) -> bool:
    """One of ours was sent and has no answer yet: a refund that is not known here may be that one."""
    mine = (row for row in record.refunds if row.attempt_id == attempt.id)
    return any(row.status == RefundStatus.INITIATED and row.refund_id for row in mine)


def _follow(record: PaymentRecord, row: Refund, told: RefundSnapshot, actor: Actor) -> None:
    """Book our refund under the attempt that the gateway took, if that is a captured one of the same order.

    One that is not known here yet comes with the next reading of the payment, which is made at once, once.
    """
    asked, taken = record.attempt_of(row), record.attempt(told.transaction_id)
    if taken is asked:
        return
    if taken is None or taken.status not in CAPTURED:
        if row.gateway_refund_id is None:
            record.payment.next_check_at = actor.clock.now()
    elif taken.order_id == asked.order_id:
        row.attempt_id = taken.id
        evidence = {"id": str(row.id), "askedOf": asked.transaction_id, "paymentId": taken.transaction_id}
        record.append(EntryKind.NOTE, actor, "the gateway gave back another attempt", evidence)


def _differs(record: PaymentRecord, row: Refund, told: RefundSnapshot) -> bool:
    return (
        told.amount != Money(row.amount, row.currency)
        or told.transaction_id != record.attempt_of(row).transaction_id
        or _is_booked_otherwise(record, row, told)
    )


def _is_more_than_was_paid(record: PaymentRecord, row: Refund) -> bool:
    """With an offer the payer paid less than the order; some gateways give back the order's amount."""
    attempt = record.attempt_of(row)
    mine = (one for one in record.refunds if one.attempt_id == attempt.id)
    went_back = sum(one.amount for one in mine if one.status == RefundStatus.COMPLETED)
    return went_back > max(attempt.amount, record.payment.amount)


def _hear_after_the_end(
    record: PaymentRecord,
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
        move_refund(record, row, status, actor, "the gateway made it after all")
        _flag(record, ReviewReason.REFUND_MISMATCH, told, actor)
    elif row.status == RefundStatus.COMPLETED and status is RefundStatus.FAILED:
        _flag(record, ReviewReason.REFUND_MISMATCH, told, actor)


def _flag(record: PaymentRecord, why: ReviewReason, told: RefundSnapshot, actor: Actor) -> None:
    """Let a person look at it, once for each refund."""
    evidence = {
        "refundId": told.gateway_refund_id,
        "ourRefundId": told.refund_id,
        "paymentId": told.transaction_id,
        "refundPaise": told.amount.minor,
        "currency": told.amount.currency,
    }
    flag(record, why, actor, evidence)
