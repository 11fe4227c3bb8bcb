"""The one door: every piece of news about a payment ends in `apply`, under the payment's row lock.

A browser's return, a webhook, a status page and the clock ring; none of them sets a status. They bring
a gateway's PaymentSnapshot here, and the questions are always the same: is it this order? do amount and
currency agree? is the move legal? is it newer, or higher? Only then the payment moves, with a row in
the audit trail. Older or doubled news does no harm.
"""

import logging
from datetime import timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from payments_service.domain.clock import LEAP, REAL_TIME, Clock
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import GatewayError, UnknownAtGateway
from payments_service.domain.news import EventKind, OrderRef, PaymentSnapshot, WebhookEvent
from payments_service.domain.schedule import next_follow_up
from payments_service.domain.states import CAPTURED, HOLDS_MONEY, RANK, PaymentStatus, ReviewReason, may_move
from payments_service.flows import announce, record, witnesses
from payments_service.flows.flag import answer, flag
from payments_service.flows.standing import (
    ENDED,
    Standing,
    amounts_differ,
    claimed_status,
    is_stale_word,
)
from payments_service.gateways.base import Gateway
from payments_service.store import history, inbox, payments
from payments_service.store.db import Database
from payments_service.store.history import Actor
from payments_service.store.tables import (
    LOST,
    Payment,
    PaymentOrder,
    PaymentReference,
    PaymentWebhook,
)

log = logging.getLogger(__name__)

PAID_FOR = (PaymentStatus.AUTHORIZED, PaymentStatus.COMPLETED)
LEFT_TO_THE_WORKER = timedelta(seconds=30)
"""An event that could not be applied at once is tried again after this; its request is over then."""
WORD_MAY_LAG = timedelta(minutes=1)
"""For so long after a capture an order may still say that it waits; then a person is told."""
ASK_LAGGING_WORD_AGAIN = timedelta(seconds=15)


class FollowUp(Enum):
    """What is left to do at the gateway once the transaction has been committed."""

    NOTHING = "nothing"
    FETCH = "fetch"
    CAPTURE = "capture"
    FETCH_AGAIN = "fetch again"
    """The gateway's own words do not agree with each other: its next answer decides."""


def refresh(db: Database, gateway: Gateway, payment_id: UUID, actor: Actor, deadline: Deadline) -> None:
    """Ask the gateway about the payment's current order and apply the answer.

    Money that is held is captured on the way, and whatever the capture answers is settled by asking
    again. Raises GatewayError when the gateway could not be asked; only our clock has spoken then.
    """
    try:
        follow_up = _ask(db, gateway, payment_id, actor, deadline)
        if follow_up is FollowUp.CAPTURE:
            _capture(db, gateway, payment_id, deadline)
            follow_up = _ask(db, gateway, payment_id, actor, deadline)
        if follow_up is FollowUp.FETCH_AGAIN:
            _ask(db, gateway, payment_id, actor, deadline, is_second=True)
    except GatewayError as error:
        _let_time_speak(db, gateway, payment_id, error, actor.clock)
        raise


def settle(
    db: Database,
    gateway: Gateway,
    payment_id: UUID,
    order_id: UUID,
    snapshot: PaymentSnapshot,
    actor: Actor,
    *,
    generation: int | None = None,
    is_second: bool = False,
) -> FollowUp:
    """Write down what the gateway says of an order, and with it what was waiting for that order.

    With `generation`, only while the call is still that caller's to answer for. `is_second`: it was asked
    again, because its first answer contradicted itself.
    """
    with db.begin() as session:
        if snapshot.order.gateway_order_id:
            payments.lock_order_name(session, gateway.provider, snapshot.order.gateway_order_id)
        payment = payments.lock(session, payment_id)
        order = session.get_one(PaymentOrder, order_id)
        if generation is not None and order.generation != generation:
            log.warning("Answer came after a takeover", extra={"data": {"id": payment_id}})
            return FollowUp.NOTHING
        follow_up = _learn(session, gateway, payment, order, snapshot, actor, is_second=is_second)
        if gateway.our_clock_expires:
            expire_if_due(session, payment, actor.clock)
        return follow_up


def apply(
    session: Session,
    gateway: Gateway,
    payment: Payment,
    order: PaymentOrder,
    snapshot: PaymentSnapshot,
    actor: Actor,
    *,
    is_second: bool = False,
) -> FollowUp:
    """Apply a snapshot to a payment whose row the caller has locked."""
    if not _is_about(order, snapshot):
        log.error("News of another order", extra={"data": _ids(payment, snapshot)})
        return FollowUp.NOTHING
    # A gateway whose clock runs ahead must not make every later answer look old.
    now = actor.clock.now()
    observed_at = min(snapshot.observed_at, now)
    known_at = payment.observed_at
    newer = known_at is None or observed_at > known_at or known_at > now + LEAP
    others = record.attempts(session, payment, order, snapshot, actor)
    record.refunds(session, payment, snapshot.refunds or (), actor)
    standing = record.standing(session, payment)
    if snapshot.status is None and payment.gateway_status != snapshot.gateway_status:
        log.error("Unknown status from gateway", extra={"data": _ids(payment, snapshot)})
        if payment.status != PaymentStatus.COMPLETED:
            payment.gateway_status = snapshot.gateway_status  # told once, until the word changes
    if amounts_differ(payment, snapshot):
        return _question_amounts(session, payment, snapshot, standing, actor)
    if _is_paid_elsewhere(session, payment, others, standing, actor):
        return FollowUp.NOTHING
    is_lost = order.status == LOST and snapshot.status not in PAID_FOR
    if is_lost and not standing.holds_money:
        return FollowUp.NOTHING  # the payer was never sent there: how it ends says nothing of the payment
    claimed, released = claimed_status(payment, snapshot, standing)
    if _is_cash_part(payment, snapshot, standing):
        return _question_amounts(session, payment, snapshot, standing, actor)
    if standing.collected and claimed is not PaymentStatus.COMPLETED:
        flag(session, payment, ReviewReason.CASH_COLLECTED, actor, standing.evidence(payment))
    if is_stale_word(payment, claimed, standing):
        return _question_word(session, payment, snapshot, standing, claimed, actor, is_second=is_second)
    if claimed is None:
        return FollowUp.NOTHING
    _move_on(session, payment, snapshot, standing, claimed, actor, newer=newer, released=released)
    if newer:
        payment.observed_at = observed_at
    return _after(session, gateway, payment, standing, actor)


def apply_event(
    session: Session,
    gateway: Gateway,
    payment: Payment,
    order: PaymentOrder,
    event: WebhookEvent,
    row: PaymentWebhook,
    clock: Clock = REAL_TIME,
) -> FollowUp:
    """Apply a stored event of this order and say so in its inbox row.

    An event that cannot be applied is undone, kept with its error, and does not disturb the others.
    """
    row.payment_id = payment.id
    row.next_try_at = clock.after(LEFT_TO_THE_WORKER)
    if event.wake_up or event.asks_for_dispute:
        row.outcome = "waiting"
        if event.kind is EventKind.REFUND:
            payments.ask_refunds_at(session, payment.id, clock.now())
        return FollowUp.FETCH
    follow_up = FollowUp.NOTHING
    try:
        actor = Actor("webhook", event.event_id, clock)
        with session.begin_nested():
            if event.dispute is not None:
                record.dispute(session, payment, event.dispute, actor)
            if event.refund is not None:
                record.refunds(session, payment, (event.refund,), actor)
            elif event.kind is EventKind.REFUND and event.snapshot is None:
                payments.ask_refunds_at(session, payment.id, clock.now())
            if event.snapshot is not None:
                follow_up = _learn(session, gateway, payment, order, event.snapshot, actor)
                payment.webhook_data = {"type": event.type, "eventId": event.event_id}
    except OperationalError:
        raise  # the store itself is in trouble: nothing was kept, so nothing may be acknowledged
    except Exception as error:
        row.outcome, row.error = "failed", type(error).__name__
        log.exception("Webhook could not be applied", extra={"data": {"eventId": event.event_id}})
        return FollowUp.FETCH
    row.processed = follow_up is not FollowUp.FETCH
    is_applied = any(part is not None for part in (event.snapshot, event.dispute, event.refund))
    row.outcome = "waiting" if not row.processed else "applied" if is_applied else "stored"
    return follow_up


def has_reached(payment: Payment, event: WebhookEvent) -> bool:
    """Whether the payment is where an event claimed it to be, or further, or with a person."""
    current = PaymentStatus(payment.status)
    claim = event.snapshot.status if event.snapshot else event.claims
    return claim is None or RANK[current] >= RANK[claim] or bool(payment.review)


def move(
    session: Session, payment: Payment, to: PaymentStatus, actor: Actor, reason: str, evidence: dict[str, Any]
) -> None:
    """Change the status: the only place that does, and never without its row in the trail.

    An end without money is refused, loudly, while an attempt holds money or a person has to look.
    """
    if to in ENDED and (payment.review or record.standing(session, payment).holds_money):
        about = {"id": payment.id, "to": to, "review": payment.review, "reason": reason}
        log.error("Payment is not ended: money, or a person, is in the way", extra={"data": about})
        return
    before, now = payment.status, actor.clock.now()
    payment.status, payment.updated_at = to, now
    sequence = history.append(session, payment, "status", actor, reason, evidence, before=before, after=to)
    if to is PaymentStatus.COMPLETED:
        payment.completed_at = now
        answer(session, payment, ReviewReason.CAPTURED_BUT_NOT_PAID, actor)
        if _is_paid_twice(session, payment, actor):
            return
    announce.status(session, payment, sequence, actor.clock)
    fields = {"id": payment.id, "from": before, "to": to, "source": actor.source, "reason": reason}
    log.info("Payment status", extra={"data": {**fields, **evidence}})


def expire_if_due(session: Session, payment: Payment, clock: Clock) -> None:
    """End an open payment whose time has run out. A late success is still welcome."""
    if payment.status != PaymentStatus.PENDING or payment.review or not _is_over(payment, clock):
        return
    if record.standing(session, payment).stops_our_clock or not witnesses.agree(session, clock):
        return
    evidence = {"expiresAt": payment.expires_at.isoformat()}
    actor = Actor("clock", "order-expiry", clock)
    move(session, payment, PaymentStatus.EXPIRED, actor, "time ran out", evidence)


def give_up(session: Session, payment: Payment, actor: Actor) -> None:
    """No source could say how it ended for as long as it is watched. A late success is still welcome."""
    if payment.review or record.standing(session, payment).stops_our_clock:
        return
    if payment.status == PaymentStatus.INITIATED:
        move(session, payment, PaymentStatus.FAILED, actor, "no order came to be", {})
    elif payment.status == PaymentStatus.PENDING:
        move(session, payment, PaymentStatus.EXPIRED, actor, "no word came for five days", {})


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────


def _ask(
    db: Database,
    gateway: Gateway,
    payment_id: UUID,
    actor: Actor,
    deadline: Deadline,
    *,
    is_second: bool = False,
) -> FollowUp:
    with db.read() as session:
        watched = payments.watched_orders(session, payment_id)
    # Nothing can be said of an order that was refused, as long as there is another one.
    current, *lost = [order for order in watched if order.status != payments.REFUSED] or watched
    for order in lost:
        try:
            _ask_about(db, gateway, order, actor, deadline)
        except GatewayError as error:
            log.info("Lost order not asked", extra={"data": {"wireId": order.wire_id, "error": error.code}})
    return _ask_about(db, gateway, current, actor, deadline, is_second=is_second)


def _ask_about(
    db: Database,
    gateway: Gateway,
    order: PaymentOrder,
    actor: Actor,
    deadline: Deadline,
    *,
    is_second: bool = False,
) -> FollowUp:
    snapshot = gateway.fetch_payment(OrderRef(order.wire_id, order.gateway_order_id), deadline)
    return settle(db, gateway, order.payment_id, order.id, snapshot, actor, is_second=is_second)


def _let_time_speak(
    db: Database, gateway: Gateway, payment_id: UUID, error: GatewayError, clock: Clock
) -> None:
    """Nobody could say more: end what our own clock ends, and what the gateway denies after its time."""
    with db.begin() as session:
        payment = payments.lock(session, payment_id)
        if gateway.our_clock_expires:
            expire_if_due(session, payment, clock)
        order = payments.current_order(session, payment_id)
        overdue = _is_over(payment, clock) and clock.now() >= order.leased_until
        denied = isinstance(error, UnknownAtGateway) and payment.status == PaymentStatus.INITIATED
        if denied and overdue and witnesses.agree(session, clock):
            actor = Actor("clock", "order-expiry", clock)
            move(session, payment, PaymentStatus.FAILED, actor, "no order came to be", {"error": error.code})


def _capture(db: Database, gateway: Gateway, payment_id: UUID, deadline: Deadline) -> None:
    """Take what is held. Sent once; an error may mean that it is captured already, so ask, do not judge."""
    with db.read() as session:
        payment = payments.by_id(session, payment_id)
        held = record.standing(session, payment).held
        orders = {order.id: order for order in payments.watched_orders(session, payment_id)}
    for attempt in held[:1]:
        order = orders[attempt.order_id]
        try:
            ref = OrderRef(order.wire_id, order.gateway_order_id)
            gateway.capture(ref, attempt.transaction_id, payment.money, deadline)
        except GatewayError as error:
            fields = {"id": payment_id, "paymentId": attempt.transaction_id, "error": error.code}
            log.warning("Capture was not confirmed", extra={"data": fields})


# ── an order becomes known ──────────────────────────────────────────────────────────────────────────


def _learn(
    session: Session,
    gateway: Gateway,
    payment: Payment,
    order: PaymentOrder,
    snapshot: PaymentSnapshot,
    actor: Actor,
    *,
    is_second: bool = False,
) -> FollowUp:
    """Apply news; when it tells the gateway's id of our order, also what waited for that id."""
    is_new = _open_order(gateway, payment, order, snapshot, actor.clock)
    follow_up = apply(session, gateway, payment, order, snapshot, actor, is_second=is_second)
    if is_new:
        session.flush()
        for row in inbox.foreign(session, gateway.provider, [order.wire_id, order.gateway_order_id or ""]):
            event = gateway.reread_webhook(row.event_id, row.payload)
            waiting = apply_event(session, gateway, payment, order, event, row, actor.clock)
            follow_up = follow_up if waiting is FollowUp.NOTHING else waiting
    return follow_up


def _open_order(
    gateway: Gateway, payment: Payment, order: PaymentOrder, snapshot: PaymentSnapshot, clock: Clock
) -> bool:
    """Note how to open our order and the gateway's id of it, once; whether the id was news."""
    if order.checkout is None and snapshot.checkout is not None:
        order.checkout = dict(snapshot.checkout.fields)
    if order.gateway_order_id or not snapshot.order.gateway_order_id:
        return False
    order.gateway_order_id, order.updated_at = snapshot.order.gateway_order_id, clock.now()
    payment.next_check_at = next_follow_up(gateway.polling, payment.created_at, clock)
    if order.status != LOST:
        order.status = "open"
        payment.order_id = order.wire_id if gateway.browser_knows_wire_id else order.gateway_order_id
    return True


def _is_paid_twice(session: Session, payment: Payment, actor: Actor) -> bool:
    """Whether the reference that the merchant vouches for was paid by another payment. Its row is locked."""
    if not (payment.price_verified and payment.reference):
        return False
    reference = session.get_one(PaymentReference, payment.reference)
    reference.paid_by = reference.paid_by or payment.id
    if reference.paid_by == payment.id:
        return False
    _flag_paid_twice(session, payment, reference.paid_by, actor)
    return True


def _flag_paid_twice(session: Session, payment: Payment, paid_by: UUID, actor: Actor) -> None:
    """Money that is only held names no payment yet: once it is captured, that is another question."""
    is_paid = payment.status == PaymentStatus.COMPLETED
    ids = [payment.transaction_id] if is_paid else []
    evidence = {"paidBy": str(paid_by), "paymentIds": ids, "amountPaise": payment.amount}
    flag(session, payment, ReviewReason.REFERENCE_PAID_TWICE, actor, evidence)


# ── the questions ───────────────────────────────────────────────────────────────────────────────────


def _is_over(payment: Payment, clock: Clock) -> bool:
    return clock.age(payment.created_at) >= payment.expires_at - payment.created_at


def _is_about(order: PaymentOrder, snapshot: PaymentSnapshot) -> bool:
    ref = snapshot.order
    return ref.wire_id in ("", order.wire_id) and ref.gateway_order_id in (None, order.gateway_order_id)


def _is_cash_part(payment: Payment, snapshot: PaymentSnapshot, standing: Standing) -> bool:
    """The order is told as paid, and what was captured is only a part of it, with cash beside it."""
    is_told_paid = snapshot.status is PaymentStatus.COMPLETED and payment.status != PaymentStatus.COMPLETED
    return is_told_paid and bool(standing.captured) and not standing.pays(payment.money)


def _question_amounts(
    session: Session, payment: Payment, snapshot: PaymentSnapshot, standing: Standing, actor: Actor
) -> FollowUp:
    """An event only hints at another sum; what the gateway, asked, says of it goes to a person."""
    if not snapshot.fetched:
        return FollowUp.FETCH
    evidence = {
        **standing.evidence(payment),
        "gatewayPaise": snapshot.amount.minor,
        "gatewayCurrency": snapshot.amount.currency,
    }
    flag(session, payment, ReviewReason.AMOUNT_MISMATCH, actor, evidence)
    return FollowUp.NOTHING


def _question_word(
    session: Session,
    payment: Payment,
    snapshot: PaymentSnapshot,
    standing: Standing,
    claimed: PaymentStatus | None,
    actor: Actor,
    *,
    is_second: bool,
) -> FollowUp:
    """Captured money under a word that does not say paid: ask again, then let a person look.

    A word that waits may lag behind the capture for a moment; one that ends the order may not.
    """
    if not snapshot.fetched:
        return FollowUp.FETCH
    if not is_second:
        return FollowUp.FETCH_AGAIN
    may_lag = claimed is PaymentStatus.PENDING and not _is_over(payment, actor.clock)
    if may_lag and any(actor.clock.age(row.updated_at) < WORD_MAY_LAG for row in standing.captured):
        payment.next_check_at = actor.clock.after(ASK_LAGGING_WORD_AGAIN)
        return FollowUp.NOTHING
    flag(session, payment, ReviewReason.CAPTURED_BUT_NOT_PAID, actor, standing.evidence(payment))
    return FollowUp.NOTHING


def _is_paid_elsewhere(
    session: Session, payment: Payment, others: list[record.Elsewhere], standing: Standing, actor: Actor
) -> bool:
    """One payment of the gateway counts for one order: the second order is not paid by it."""
    with_money = [one for one in others if one.status in {*HOLDS_MONEY, *CAPTURED}]
    for one in with_money:
        evidence = {"paymentIds": [one.transaction_id], "bookedFor": str(one.payment_id)}
        flag(session, payment, ReviewReason.PAYMENT_OF_ANOTHER_ORDER, actor, evidence)
    return bool(with_money) and not standing.holds_money and not standing.ever_captured


def _after(
    session: Session, gateway: Gateway, payment: Payment, standing: Standing, actor: Actor
) -> FollowUp:
    """Money that is held is taken, unless that is left to the merchant, or a person has to look first."""
    if payment.status != PaymentStatus.AUTHORIZED or payment.review or not gateway.captures_automatically:
        return FollowUp.NOTHING
    paid_by = payments.reference_paid_by(session, payment)
    if paid_by not in (None, payment.id):
        _flag_paid_twice(session, payment, paid_by, actor)
        return FollowUp.NOTHING
    return FollowUp.CAPTURE if standing.held else FollowUp.NOTHING


def _move_on(
    session: Session,
    payment: Payment,
    snapshot: PaymentSnapshot,
    standing: Standing,
    claimed: PaymentStatus,
    actor: Actor,
    *,
    newer: bool,
    released: bool,
) -> None:
    current = PaymentStatus(payment.status)
    deciding = standing.deciding
    if current is not PaymentStatus.COMPLETED and newer:
        payment.gateway_status = snapshot.gateway_status
    if deciding and not (current is PaymentStatus.COMPLETED and payment.transaction_id):
        payment.transaction_id, payment.payment_method = deciding.transaction_id, deciding.method
    paid = [row.transaction_id for row in standing.ever_captured]
    is_late = claimed is PaymentStatus.COMPLETED and current in ENDED
    if is_late and session.info["reviews_late_success"]:
        evidence = {"paymentIds": paid, "amountPaise": payment.amount}
        flag(session, payment, ReviewReason.LATE_SUCCESS, actor, evidence)
    elif (reason := may_move(current, claimed, newer=newer, released=released)) is not None:
        payment.gateway_status = snapshot.gateway_status
        move(session, payment, claimed, actor, reason, _evidence(payment, snapshot))
    if len(paid) > 1:
        flag(session, payment, ReviewReason.SECOND_SUCCESS, actor, {"paymentIds": paid})


def _ids(payment: Payment, snapshot: PaymentSnapshot) -> dict[str, Any]:
    return {
        "id": payment.id,
        "orderId": snapshot.order.gateway_order_id or snapshot.order.wire_id,
        "gatewayStatus": snapshot.gateway_status,
    }


def _evidence(payment: Payment, snapshot: PaymentSnapshot) -> dict[str, Any]:
    return {
        "orderId": payment.order_id,
        "gatewayStatus": snapshot.gateway_status,
        "observedAt": snapshot.observed_at.isoformat(),
        "paymentId": payment.transaction_id,
    }
