"""News and a payment's record make a decision: the one place that moves a payment.

A browser's return, a webhook, a status page and the clock bring news; none of them sets a status. The
questions are always the same: is it this order? do amount and currency agree? is the move legal? is it newer,
or higher? Older or doubled news does no harm. Nothing here asks a database or a gateway: what is left to ask
is said by the `FollowUp`.
"""

import logging
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from uuid6 import uuid7

from payments_service.domain import facts
from payments_service.domain.clock import LEAP, Clock
from payments_service.domain.flag import answer, flag
from payments_service.domain.news import (
    AttemptSnapshot,
    DisputeSnapshot,
    EventKind,
    PaymentSnapshot,
    WebhookEvent,
)
from payments_service.domain.payment import (
    Actor,
    AlertChange,
    Attempt,
    Order,
    Payment,
    PaymentRecord,
    Standing,
)
from payments_service.domain.refund_news import SAYS, apply_refunds
from payments_service.domain.schedule import Polling, next_follow_up
from payments_service.domain.standing import (
    ENDED,
    amounts_differ,
    both_sums,
    claimed_status,
    is_stale_word,
    pays,
)
from payments_service.domain.states import (
    ATTEMPT_RANK,
    CAPTURED,
    HOLDS_MONEY,
    RANK,
    AlertCode,
    AttemptStatus,
    EntryKind,
    InboxOutcome,
    OrderStatus,
    PaymentStatus,
    ReviewReason,
    ReviewResolution,
    Source,
    may_move,
    order_becomes,
)

PAID_FOR = (PaymentStatus.AUTHORIZED, PaymentStatus.COMPLETED)
WORD_MAY_LAG = timedelta(minutes=1)
"""For so long after a capture an order may still say that it waits; then a person is told."""
ASK_LAGGING_WORD_AGAIN = timedelta(seconds=15)
"""While the order's word lags behind its payment's."""
CAPTURE_TAKEN_OVER = timedelta(seconds=30)
"""By then the worker looks whether the process that took a webhook has captured what it told of."""
EXPIRY = "order-expiry"
"""Who ends a payment whose time has run out."""


class GatewayFacts(Protocol):
    """What a decision must know of the gateway."""

    @property
    def provider(self) -> str: ...
    @property
    def browser_knows_wire_id(self) -> bool: ...
    @property
    def captures_automatically(self) -> bool: ...
    @property
    def polling(self) -> Polling: ...


class FollowUp(Enum):
    """What is left to do at the gateway once the decision is committed."""

    NOTHING = "nothing"
    FETCH = "fetch"
    CAPTURE = "capture"
    FETCH_AGAIN = "fetch again"
    """The gateway's own words do not agree with each other: its next answer decides."""


def learn(
    record: PaymentRecord,
    gateway: GatewayFacts,
    order: Order,
    snapshot: PaymentSnapshot,
    actor: Actor,
    *,
    is_second: bool = False,
) -> tuple[FollowUp, bool]:
    """Apply news of an order.

    Returns what is left to do, and True if the gateway's id of the order was not known before: events that
    name this id may wait for it.
    """
    is_new = _open_order(record, gateway, order, snapshot, actor.clock)
    return apply(record, gateway, order, snapshot, actor, is_second=is_second), is_new


def apply(
    record: PaymentRecord,
    gateway: GatewayFacts,
    order: Order,
    snapshot: PaymentSnapshot,
    actor: Actor,
    *,
    is_second: bool = False,
) -> FollowUp:
    """`is_second`: it was asked again, because its first answer contradicted itself."""
    payment = record.payment
    if not _is_about(order, snapshot):
        record.complain(__name__, "News of another order", _ids(payment, snapshot))
        return FollowUp.NOTHING
    # A gateway whose clock runs ahead must not make every later answer look old.
    now = actor.clock.now()
    observed_at = min(snapshot.observed_at, now)
    known_at = payment.observed_at
    newer = known_at is None or observed_at > known_at or known_at > now + LEAP
    others = _apply_attempts(record, order, snapshot, actor)
    apply_refunds(record, snapshot.refunds or (), actor)
    standing = record.standing
    if snapshot.status is None and payment.gateway_status != snapshot.gateway_status:
        record.complain(__name__, "Unknown status from gateway", _ids(payment, snapshot))
        if payment.status != PaymentStatus.COMPLETED:
            payment.gateway_status = snapshot.gateway_status  # told once, until the word changes
    if amounts_differ(payment, snapshot):
        return _question_amounts(record, snapshot, standing, actor)
    if _is_paid_elsewhere(record, others, standing, actor):
        return FollowUp.NOTHING
    is_odd_news = snapshot.status is None and not snapshot.fetched
    is_lost = order.status == OrderStatus.LOST and snapshot.status not in PAID_FOR
    if is_lost and not standing.holds_money and not is_odd_news:
        return FollowUp.NOTHING  # the payer was never sent there: how it ends says nothing of the payment
    claimed, released = claimed_status(payment, snapshot, standing)
    if _is_cash_part(payment, snapshot, standing) or _was_paid_by_word_alone(payment, snapshot, standing):
        return _question_amounts(record, snapshot, standing, actor)
    if standing.collected and claimed is not PaymentStatus.COMPLETED:
        flag(record, ReviewReason.CASH_COLLECTED, actor, both_sums(standing, payment))
    if is_stale_word(payment, claimed, standing):
        return _question_word(record, snapshot, standing, claimed, actor, is_second=is_second)
    if claimed is None:
        return FollowUp.FETCH if is_odd_news else FollowUp.NOTHING
    _move_on(record, snapshot, standing, claimed, actor, newer=newer, released=released)
    if newer:
        payment.observed_at = observed_at
    return _after(record, gateway, standing, actor)


def apply_event(
    record: PaymentRecord, gateway: GatewayFacts, order: Order, event: WebhookEvent, actor: Actor
) -> tuple[FollowUp, InboxOutcome, bool]:
    """Apply an event of this order: what is left to do, the event's outcome, and whether the order's id at
    the gateway was news."""
    if event.wake_up or event.asks_for_dispute:
        if event.kind is EventKind.REFUND:
            record.asks_for_refunds_at = actor.clock.now()
        return FollowUp.FETCH, InboxOutcome.WAITING, False
    follow_up, is_new = FollowUp.NOTHING, False
    if event.dispute is not None:
        apply_dispute(record, event.dispute, actor)
    if event.refund is not None:
        apply_refunds(record, (event.refund,), actor)
    elif event.kind is EventKind.REFUND and event.snapshot is None:
        record.asks_for_refunds_at = actor.clock.now()
    if event.snapshot is not None:
        follow_up, is_new = learn(record, gateway, order, event.snapshot, actor)
        record.payment.webhook_data = {"type": event.type, "eventId": event.event_id}
    if follow_up is FollowUp.FETCH:
        return follow_up, InboxOutcome.WAITING, is_new
    if follow_up is FollowUp.CAPTURE:
        payment, due = record.payment, actor.clock.after(CAPTURE_TAKEN_OVER)
        payment.next_check_at = min(payment.next_check_at or due, due)
    is_applied = any(part is not None for part in (event.snapshot, event.dispute, event.refund))
    return follow_up, InboxOutcome.APPLIED if is_applied else InboxOutcome.STORED, is_new


def has_reached(payment: Payment, event: WebhookEvent) -> bool:
    """Whether the payment is where an event claimed it to be, or further, or with a person."""
    current = PaymentStatus(payment.status)
    claim = event.snapshot.status if event.snapshot else event.claims
    return claim is None or RANK[current] >= RANK[claim] or bool(payment.review)


def move(
    record: PaymentRecord, to: PaymentStatus, actor: Actor, reason: str, evidence: dict[str, Any]
) -> None:
    """Change the status: the only place that does, and never without its row in the history.

    An end without money is refused, loudly, while an attempt holds money or a person has to look.
    """
    payment = record.payment
    if to in ENDED and (payment.review or record.standing.holds_money):
        about = {"id": payment.id, "to": to, "review": payment.review, "reason": reason}
        record.complain(__name__, "Payment is not ended: money, or a person, is in the way", about)
        return
    before, now = payment.status, actor.clock.now()
    payment.status, payment.updated_at = to, now
    if to in PAID_FOR:
        payment.next_check_at = payment.next_check_at or now  # money came after the watch had ended
    sequence = record.append(EntryKind.STATUS, actor, reason, evidence, before=before, after=to)
    if to is PaymentStatus.COMPLETED:
        payment.completed_at = now
        answer(record, ReviewReason.CAPTURED_BUT_NOT_PAID, actor)
        if _is_paid_twice(record, actor):
            return
    facts.tell_status(record, sequence, actor)
    about = {"id": payment.id, "from": before, "to": to, "source": actor.source, "reason": reason}
    record.say(__name__, logging.INFO, "Payment status", {**about, **evidence})


def is_over(payment: Payment, clock: Clock) -> bool:
    """Whether the payer's time has run out."""
    return clock.age(payment.created_at) >= payment.expires_at - payment.created_at


def may_expire(record: PaymentRecord, clock: Clock) -> bool:
    """Whether our clock would end it: an open payment whose time is over, without money and questions."""
    payment = record.payment
    is_open = payment.status == PaymentStatus.PENDING and not payment.review
    return is_open and is_over(payment, clock) and not record.standing.stops_our_clock


def expire(record: PaymentRecord, clock: Clock) -> None:
    """End it by our clock. A late success is still welcome."""
    evidence = {"expiresAt": record.payment.expires_at.isoformat()}
    move(record, PaymentStatus.EXPIRED, Actor(Source.CLOCK, EXPIRY, clock), "time ran out", evidence)


def question_unread(record: PaymentRecord, clock: Clock) -> None:
    """The gateway says that money may have come, in words that cannot be read: once the payer's time is over
    a person looks, where our clock would else end it."""
    payment, actor = record.payment, Actor(Source.CLOCK, EXPIRY, clock)
    if payment.status != PaymentStatus.COMPLETED and is_over(payment, clock):
        flag(record, ReviewReason.CAPTURED_BUT_NOT_PAID, actor, both_sums(record.standing, payment))


def give_up(record: PaymentRecord, actor: Actor) -> None:
    """No source could say how it ended for as long as it is watched. A late success is still welcome."""
    payment = record.payment
    if payment.review or record.standing.stops_our_clock:
        return
    if payment.status == PaymentStatus.INITIATED:
        move(record, PaymentStatus.FAILED, actor, "no order came to be", {})
    elif payment.status == PaymentStatus.PENDING:
        move(record, PaymentStatus.EXPIRED, actor, "no word came for five days", {})


# ── an order becomes known ──────────────────────────────────────────────────────────────────────────


def _open_order(
    record: PaymentRecord, gateway: GatewayFacts, order: Order, snapshot: PaymentSnapshot, clock: Clock
) -> bool:
    """Note how to open our order and the gateway's id of it, once; whether the id was news."""
    if order.checkout is None and snapshot.checkout is not None:
        order.checkout, order.updated_at = dict(snapshot.checkout.fields), clock.now()
    if order.gateway_order_id or not snapshot.order.gateway_order_id:
        return False
    payment = record.payment
    order.gateway_order_id, order.updated_at = snapshot.order.gateway_order_id, clock.now()
    planned = next_follow_up(gateway.polling, payment.created_at, clock)
    payment.next_check_at = planned or payment.next_check_at
    if order.status != OrderStatus.LOST:
        order.status = order_becomes(order.status, OrderStatus.OPEN)
        payment.order_id = order.wire_id if gateway.browser_knows_wire_id else order.gateway_order_id
    return True


def _is_paid_twice(record: PaymentRecord, actor: Actor) -> bool:
    """Whether the reference that the merchant vouches for was paid by another payment."""
    reference, payment = record.reference, record.payment
    if reference is None:
        return False
    reference.paid_by = reference.paid_by or payment.id
    if reference.paid_by == payment.id:
        return False
    _flag_paid_twice(record, reference.paid_by, actor)
    return True


def _flag_paid_twice(record: PaymentRecord, paid_by: UUID, actor: Actor) -> None:
    """Money that is only held names no payment yet: once it is captured, that is another question."""
    payment = record.payment
    is_paid = payment.status == PaymentStatus.COMPLETED
    ids = [payment.transaction_id] if is_paid else []
    evidence = {"paidBy": str(paid_by), "paymentIds": ids, "amountPaise": payment.amount}
    flag(record, ReviewReason.REFERENCE_PAID_TWICE, actor, evidence)


# ── attempts and disputes ───────────────────────────────────────────────────────────────────────────


def _apply_attempts(
    record: PaymentRecord, order: Order, snapshot: PaymentSnapshot, actor: Actor
) -> list[tuple[str, AttemptStatus, UUID]]:
    """Write down the attempts; those that belong to another payment are returned, and not written."""
    others = []
    for attempt in snapshot.attempts:
        status = attempt.status or AttemptStatus.PENDING
        owner = record.elsewhere.attempts.get((order.provider, attempt.transaction_id))
        if owner is not None and owner[1] != record.payment.id:
            about = {"paymentId": attempt.transaction_id, "id": record.payment.id}
            record.complain(__name__, "Attempt of another order", about)
            others.append((attempt.transaction_id, status, owner[1]))
        else:
            _apply_attempt(record, order, attempt, status, actor)
    return others


def _apply_attempt(
    record: PaymentRecord, order: Order, told: AttemptSnapshot, status: AttemptStatus, actor: Actor
) -> None:
    payment, now = record.payment, actor.clock.now()
    row = record.attempt(told.transaction_id)
    if row is not None and row.order_id != order.id:
        about = {"paymentId": told.transaction_id, "id": payment.id}
        record.complain(__name__, "Attempt of another order", about)
        return
    before = row.status if row else None
    if told.status is None and (row is None or row.gateway_status != told.gateway_status):
        about = {"id": payment.id, "paymentId": told.transaction_id, "status": told.gateway_status}
        record.complain(__name__, "Unknown status from gateway", about)
    if row is None:
        row = Attempt(
            id=uuid7(),
            order_id=order.id,
            provider=order.provider,
            transaction_id=told.transaction_id,
            status=status,
            gateway_status=told.gateway_status,
            amount=told.amount.minor,
            currency=told.amount.currency,
            method=None,
            error_code=None,
            bank_reference=None,
            capture_by=None,
            created_at=now,
            updated_at=now,
        )
        record.attempts.append(row)
        record.elsewhere.attempts[order.provider, told.transaction_id] = (order.id, payment.id)
    row.bank_reference = told.bank_reference or row.bank_reference
    if before is not None and ATTEMPT_RANK[status] <= ATTEMPT_RANK[AttemptStatus(before)]:
        return
    row.status, row.gateway_status, row.updated_at = status, told.gateway_status, now
    row.amount, row.currency = told.amount.minor, told.amount.currency  # an offer, or a capture of a part
    row.method, row.error_code, row.capture_by = told.method, told.error_code, told.capture_by
    evidence = {
        "paymentId": told.transaction_id,
        "gatewayStatus": told.gateway_status,
        "amountPaise": told.amount.minor,
    }
    record.append(EntryKind.ATTEMPT, actor, SAYS, evidence, before=before, after=status)


def apply_dispute(record: PaymentRecord, told: DisputeSnapshot, actor: Actor) -> None:
    """A dispute changes no status: the money is the bank's decision, and the merchant is told.

    No word of it is final: one that was won may come back as the next stage, under the same id.
    """
    last, now = record.disputes.get(told.dispute_id), actor.clock.now()
    observed_at = min(told.observed_at, now)
    if last is not None and observed_at < _observed(last) <= now + LEAP:
        return
    evidence = {
        "disputeId": told.dispute_id,
        "paymentId": told.transaction_id,
        "gatewayStatus": told.gateway_status,
        "amountPaise": told.amount.minor,
        "phase": told.phase,
        "isClosed": told.is_closed,
        "needsAnswer": told.needs_answer,
        "asksAgain": told.asks_again,
        "amountDeductedPaise": told.deducted.minor if told.deducted else None,
        "takesMoney": told.takes_money,
        "respondBy": told.respond_by.isoformat() if told.respond_by else None,
        "observedAt": observed_at.isoformat(),
    }
    record.disputes[told.dispute_id] = evidence
    sequence = record.append(EntryKind.DISPUTE, actor, SAYS, evidence)
    if last is None or _stage(last) != _stage(evidence) or _asks_anew(last, evidence):
        facts.tell_dispute(record, told, sequence, actor)
        _have_it_answered(record, evidence)


def _have_it_answered(record: PaymentRecord, evidence: dict[str, Any]) -> None:
    """An open dispute stands among the reviews, with its date, for as long as this stage of it is open."""
    payment = record.payment
    subject = f"{payment.provider} {evidence['disputeId']}"
    record.alerts.append(AlertChange(AlertCode.DISPUTE_OPENED, subject, None))
    if not evidence["isClosed"]:
        names = ("paymentId", "amountPaise", "phase", "respondBy")
        detail = {"id": str(payment.id), **{name: evidence[name] for name in names}}
        record.alerts.append(AlertChange(AlertCode.DISPUTE_OPENED, subject, detail))


def _observed(evidence: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(evidence.get("observedAt", "0001-01-01T00:00:00+00:00"))


def _stage(evidence: dict[str, Any]) -> tuple[object, ...]:
    """What the merchant is told of once: an open one by its date, which may come again, a closed one by its
    end, which a later word may turn."""
    is_closed = evidence.get("isClosed")
    return evidence.get("phase"), is_closed, evidence.get("gatewayStatus" if is_closed else "respondBy")


def _asks_anew(last: dict[str, Any], evidence: dict[str, Any]) -> bool:
    """Whether the merchant must answer now who did not have to by the word before, or must answer again:
    mostly the date is the same.

    Evidence of earlier versions does not say so: then the same word of the gateway asks for the same answer.
    """
    is_same_word = last.get("gatewayStatus") == evidence["gatewayStatus"]
    return any(evidence[name] and not last.get(name, is_same_word) for name in ("needsAnswer", "asksAgain"))


# ── the questions ───────────────────────────────────────────────────────────────────────────────────


def _is_about(order: Order, snapshot: PaymentSnapshot) -> bool:
    ref = snapshot.order
    return ref.wire_id in ("", order.wire_id) and ref.gateway_order_id in (None, order.gateway_order_id)


def _is_cash_part(payment: Payment, snapshot: PaymentSnapshot, standing: Standing) -> bool:
    """The order is told as paid, and what was captured is only a part of it, with cash beside it."""
    is_told_paid = snapshot.status is PaymentStatus.COMPLETED and payment.status != PaymentStatus.COMPLETED
    return is_told_paid and bool(standing.captured) and not pays(standing, payment.money)


def _was_paid_by_word_alone(payment: Payment, snapshot: PaymentSnapshot, standing: Standing) -> bool:
    """The order was told as paid before an attempt was listed, and now it is a hold or cash, and no money."""
    is_completed = payment.status == PaymentStatus.COMPLETED and snapshot.fetched
    has_money = standing.ever_captured or standing.collected
    return is_completed and not has_money and bool(standing.held or standing.has_cash)


def _question_amounts(
    record: PaymentRecord, snapshot: PaymentSnapshot, standing: Standing, actor: Actor
) -> FollowUp:
    """An event only hints at another sum; what the gateway, asked, says of it goes to a person."""
    if not snapshot.fetched:
        return FollowUp.FETCH
    evidence = {
        **both_sums(standing, record.payment),
        "gatewayPaise": snapshot.amount.minor,
        "gatewayCurrency": snapshot.amount.currency,
    }
    flag(record, ReviewReason.AMOUNT_MISMATCH, actor, evidence)
    return FollowUp.NOTHING


def _question_word(
    record: PaymentRecord,
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
    payment, clock = record.payment, actor.clock
    may_lag = claimed is PaymentStatus.PENDING and not is_over(payment, clock)
    if may_lag and any(clock.age(row.updated_at) < WORD_MAY_LAG for row in standing.captured):
        payment.next_check_at = clock.after(ASK_LAGGING_WORD_AGAIN)
        return FollowUp.NOTHING
    flag(record, ReviewReason.CAPTURED_BUT_NOT_PAID, actor, both_sums(standing, payment))
    return FollowUp.NOTHING


def _is_paid_elsewhere(
    record: PaymentRecord,
    others: list[tuple[str, AttemptStatus, UUID]],
    standing: Standing,
    actor: Actor,
) -> bool:
    """One payment of the gateway counts for one order: the second order is not paid by it."""
    with_money = [one for one in others if one[1] in {*HOLDS_MONEY, *CAPTURED}]
    for transaction_id, _, owner in with_money:
        evidence = {"paymentIds": [transaction_id], "bookedFor": str(owner)}
        flag(record, ReviewReason.PAYMENT_OF_ANOTHER_ORDER, actor, evidence)
    return bool(with_money) and not standing.holds_money and not standing.ever_captured


def _after(record: PaymentRecord, gateway: GatewayFacts, standing: Standing, actor: Actor) -> FollowUp:
    """Money that is held is taken, unless that is left to the merchant, or a person has to look first."""
    payment, reference = record.payment, record.reference
    if payment.status != PaymentStatus.AUTHORIZED or payment.review:
        return FollowUp.NOTHING
    if payment.closed_at and standing.held:
        _flag_late_hold(record, actor)
        return FollowUp.NOTHING
    if _is_late_for_a_person(record):
        return FollowUp.NOTHING
    if reference is not None and reference.paid_by not in (None, payment.id):
        _flag_paid_twice(record, reference.paid_by, actor)
        return FollowUp.NOTHING
    return FollowUp.CAPTURE if standing.held and gateway.captures_automatically else FollowUp.NOTHING


def _move_on(
    record: PaymentRecord,
    snapshot: PaymentSnapshot,
    standing: Standing,
    claimed: PaymentStatus,
    actor: Actor,
    *,
    newer: bool,
    released: bool,
) -> None:
    payment = record.payment
    current, deciding = PaymentStatus(payment.status), standing.deciding
    if current is not PaymentStatus.COMPLETED and newer:
        payment.gateway_status = snapshot.gateway_status
    if deciding and not (current is PaymentStatus.COMPLETED and payment.transaction_id):
        payment.transaction_id, payment.payment_method = deciding.transaction_id, deciding.method
    # Sorted: in any order of the news it is the same question to a person.
    paid = sorted(row.transaction_id for row in standing.ever_captured)
    is_paid_now = claimed is PaymentStatus.COMPLETED and current is not PaymentStatus.COMPLETED
    is_late = record.policy.reviews_late_success and (current in ENDED or _is_late_for_a_person(record))
    if is_paid_now and (is_late or payment.closed_at):
        evidence = {"paymentIds": paid, "amountPaise": payment.amount}
        flag(record, ReviewReason.LATE_SUCCESS, actor, evidence)
    elif (reason := may_move(current, claimed, newer=newer, released=released)) is not None:
        payment.gateway_status = snapshot.gateway_status
        move(record, claimed, actor, reason, _evidence(payment, snapshot))
        if is_late and claimed is PaymentStatus.AUTHORIZED:
            _flag_late_hold(record, actor)
    if len(paid) > 1:
        flag(record, ReviewReason.SECOND_SUCCESS, actor, {"paymentIds": paid})


def _flag_late_hold(record: PaymentRecord, actor: Actor) -> None:
    """Before money comes: its capture would be other evidence, and a question of its own."""
    flag(record, ReviewReason.LATE_SUCCESS, actor, {"paymentIds": [], "amountPaise": record.payment.amount})


def _is_late_for_a_person(record: PaymentRecord) -> bool:
    """Its money came after its end, and no person has taken it: no machine captures or completes it."""
    late = (review for review in record.reviews if review.reason == ReviewReason.LATE_SUCCESS)
    return any(review.resolution != ReviewResolution.ACCEPTED for review in late)


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
