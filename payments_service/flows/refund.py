"""Send money back: our row and our id first, then the gateway; unknown is resolved by asking for that id."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain import payment as domain
from payments_service.domain import refund_news
from payments_service.domain.clock import Clock
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import (
    Conflict,
    GatewayError,
    NotFound,
    OutcomeUnknown,
    PaymentsError,
    Rejected,
    StoreUnavailable,
    UnknownAtGateway,
)
from payments_service.domain.money import Money
from payments_service.domain.news import NewRefund, OrderRef, RefundRef, RefundSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.schedule import Polling, next_reference_check, next_refund_check
from payments_service.domain.states import REFUND_OPEN, RefundStatus
from payments_service.flows import refund_intent, witnesses
from payments_service.flows.idempotency import StillRunning
from payments_service.flows.refund_intent import Key, Wish
from payments_service.gateways.base import Gateway
from payments_service.store import payments, refunds
from payments_service.store.db import Database
from payments_service.store.record import Names, load_one, retried
from payments_service.store.tables import PaymentAttempt, PaymentOrder, Refund

log = logging.getLogger(__name__)

BUDGET_SECONDS = 15.0
"""For all calls to the gateway of one refund."""
LEASE = timedelta(seconds=BUDGET_SECONDS + 60)
"""A refund is neither asked for nor sent again while the call that sends it may be alive."""
EXPECTED_WORKING_DAYS = 7
"""Banks credit a refund in five to seven of them, as the documents of the gateways say."""
SATURDAY = 5
NEVER_SENT_AFTER = timedelta(days=1)
"""A refund whose request never reached its call, and was not repeated in this time, is given up."""
RETRY_AFTER_SECONDS = int(refund_intent.LEASE.total_seconds())
"""Told to a repetition that comes before the lease of the first has ended."""
NORMAL, OPTIMUM = "normal", "optimum"


@dataclass(frozen=True)
class RefundView:
    id: UUID
    payment_id: UUID
    refund_id: str | None
    """The gateway's id, once it is known."""
    status: RefundStatus
    amount: Money
    reason: str | None
    speed: str | None
    """normal or optimum, as it was asked for; None for one that began at the gateway."""
    bank_reference: str | None
    """ARN, RRN or UTR, once the gateway has told it."""
    gateway_status: str | None
    created_at: datetime
    updated_at: datetime
    transaction_id: str | None = None
    """The gateway's id of the payment that it gives back, where the caller needs it."""

    @property
    def expected_by(self) -> datetime | None:
        """By when the payer should have the money; None for a refund that failed."""
        if self.status is RefundStatus.FAILED:
            return None
        day, left = self.created_at, EXPECTED_WORKING_DAYS
        while left:
            day += timedelta(days=1)
            left -= day.weekday() < SATURDAY
        return day


class OutcomeStillUnknown(Conflict):
    """Whether the refund will be sent is not known yet; the same request again finds out."""

    code = "outcome_unknown"
    retry_after_seconds = RETRY_AFTER_SECONDS

    def __init__(self, refund: UUID) -> None:
        super().__init__(
            "The outcome is not known yet; repeat with the same key", id=str(refund), retryable=True
        )


class RefundFailed(PaymentsError):
    """The gateway did not take the refund. No money moved; `retryable` says whether a new one may succeed."""

    def __init__(self, cause: GatewayError, refund: UUID) -> None:
        super().__init__("Failed to refund", code=cause.code, retryable=cause.retryable, id=str(refund))
        self.explanation = cause.message
        self.refund_id = refund


def refund(
    db: Database,
    gateway: Gateway,
    payment_id: UUID,
    amount: Money | None,
    reason: str,
    actor: Actor,
    *,
    transaction_id: str | None = None,
    webhook_url: str = "",
    key: Key | None = None,
    speed: str = NORMAL,
    force: bool = False,
) -> RefundView:
    """Give back `amount`, or all that is left, of the attempt that paid, else of the one that is named.

    The answer may be `initiated`: whether the gateway took it is unknown, and the worker finds out. A key
    that was used before brings its refund as it stands now. `force`: also beside a dispute.
    Raises InvalidInput, NotFound, KeyReused, Conflict (`not_refundable`, `refund_in_progress`,
    `refund_exceeds_captured`, `disputed`) and RefundFailed.
    """
    wish = Wish(payment_id, amount, reason, transaction_id, key, speed, force)
    told = refund_intent.given_back(db, gateway, wish, actor)
    with db.begin() as session:
        payment = payments.lock(session, payment_id)
        row = refund_intent.begun_before(session, payment, wish, told, actor)
        is_begun, may_send = row is not None, row is None or _take_over(session, row, actor)
        if row is not None and not may_send:
            if row.awaits_first_send and row.status == RefundStatus.INITIATED:
                raise StillRunning("The first request with this Idempotency-Key is still running")
            if not _may_ask(session, row, actor):
                return _view(row)
        row = row or refund_intent.write(session, gateway, payment, wish, told, actor)
        new = _for_the_wire(session, row, webhook_url)
    if is_begun and not row.awaits_first_send:
        return _find_out(db, gateway, row, actor, webhook_url, may_send=may_send)
    _begin_call(db, row, actor)
    about = {"id": payment_id, "refund": row.id, "amountPaise": row.amount}
    log.info("Refunding", extra={"data": about})
    try:
        return _carry_out(db, gateway, row, new, actor)
    except OutcomeUnknown as error:
        log.warning("Refund not confirmed", extra={"data": {**about, "error": error.code}})
    except StoreUnavailable:
        # Money may have moved: the caller is not told to send it again; the worker asks and writes it down.
        log.error("Refund not written down", extra={"data": about})  # noqa: TRY400 (the store said why)
    return _view(row)


def _take_over(session: Session, row: Refund, actor: Actor) -> bool:
    """Whether the call that sends it has ended without an answer; then it is ours to answer for."""
    now = actor.clock.now()
    is_leased = row.next_check_at is not None and row.next_check_at > now
    if not _is_unanswered(row) or is_leased or not witnesses.agree(session, actor.clock):
        return False
    row.generation += 1
    row.next_check_at = now + (refund_intent.LEASE if row.awaits_first_send else LEASE)
    session.flush()
    return True


def _may_ask(session: Session, row: Refund, actor: Actor) -> bool:
    """Whether its first call has ended for sure. Then the lease is the moment of the worker's next question,
    or the worker asks now and may be sending it again: so an absence is no reason to send it from here.
    """
    is_at_rest = actor.clock.now() >= row.created_at + LEASE and row.generation > 1
    return _is_unanswered(row) and is_at_rest and witnesses.agree(session, actor.clock)


def _is_unanswered(row: Refund) -> bool:
    return row.status == RefundStatus.INITIATED and row.gateway_refund_id is None


def _begin_call(db: Database, row: Refund, actor: Actor) -> None:
    """From now on the refund may be at the gateway, and the worker may send it again under its id.

    Its intent is known to be stored: had that commit been lost, nothing would be sent, and only the same
    request, repeated, would send it. Raises Conflict when another one has taken over, or this may be lost.
    """
    lease_ends = actor.clock.now() + LEASE
    try:
        with db.begin() as session:
            is_ours = refunds.begin_call(session, row, lease_ends)
    except StoreUnavailable as error:
        raise OutcomeStillUnknown(row.id) from error
    if not is_ours:
        raise StillRunning("Another request with this Idempotency-Key has taken over")
    row.awaits_first_send, row.next_check_at = False, lease_ends


def _find_out(
    db: Database, gateway: Gateway, row: Refund, actor: Actor, webhook_url: str, *, may_send: bool
) -> RefundView:
    """The same request again, after a first one whose outcome is unknown: ask, and say what is known now."""
    try:
        return ask(db, gateway, row, actor, webhook_url=webhook_url, may_send=may_send)
    except (GatewayError, StoreUnavailable) as error:
        about = {"id": row.payment_id, "refund": row.id, "error": error.code}
        log.warning("Refund still not confirmed", extra={"data": about})
        return _view(row)


def listed(db: Database, payment_id: UUID) -> list[RefundView]:
    """Every refund of a payment, oldest first, also those that began at the gateway."""
    with db.read() as session:
        if not payments.exists(session, payment_id):
            raise NotFound("Payment not found")
        return views(session, payment_id)


def views(session: Session, payment_id: UUID) -> list[RefundView]:
    found = refunds.with_payment_ids(session, payment_id)
    return [_view(row, transaction_id) for row, transaction_id in found]


def one(db: Database, payment_id: UUID, refund_id: UUID) -> RefundView:
    """One refund by our id of it; NotFound for one of another payment."""
    found = next((view for view in listed(db, payment_id) if view.id == refund_id), None)
    if found is None:
        raise NotFound("Refund not found")
    return found


def apply_answer(
    db: Database,
    payment_id: UUID,
    row_id: UUID,
    snapshot: RefundSnapshot,
    actor: Actor,
    generation: int,
    polling: Polling | None = None,
) -> RefundView:
    """Write down what the gateway says of a refund, also when another request answers for it by now.

    `polling`: when to ask next while it is open, where the caller does not plan that itself. That is for the
    one that answers for it.
    """

    def write() -> RefundView:
        with db.begin() as session:
            changes = load_one(session, payment_id, Names.of(snapshot))
            row = changes.record.refund(row_id)
            refund_news.apply_refund(changes.record, row, snapshot, actor)
            if row.generation == generation:
                _plan_next(row, polling, actor.clock)
            changes.write()
            return _view(row)

    return retried(write)


def _plan_next(row: domain.Refund, polling: Polling | None, clock: Clock) -> None:
    """The call is over, so its lease is, too. The bank's reference often comes after the refund's end."""
    if row.status in REFUND_OPEN and polling:
        row.next_check_at = next_refund_check(polling, row.created_at, clock)
    if row.status != RefundStatus.COMPLETED:
        return
    row.next_check_at = None if row.bank_reference else next_reference_check(row.updated_at, clock)


def ask(
    db: Database,
    gateway: Gateway,
    claimed: Refund,
    actor: Actor,
    *,
    webhook_url: str = "",
    may_send: bool = True,
) -> RefundView:
    """Ask what became of a refund; one of ours that the gateway never got is sent again under its id.

    The caller holds its lease, or may not send. Raises GatewayError when the gateway could not say.
    """
    with db.read() as session:
        row = session.get_one(Refund, claimed.id)
        if row.generation != claimed.generation:
            return _view(row)  # another request answers for it by now
        new = _for_the_wire(session, row, webhook_url)
    deadline = Deadline(BUDGET_SECONDS, Urgency.POLLING)
    if row.status == RefundStatus.COMPLETED:
        _put_off(db, row, actor)  # also when the question fails
    try:
        snapshot = gateway.fetch_refund(_ref(new, row.gateway_refund_id), deadline)
    except UnknownAtGateway:
        if row.awaits_first_send and may_send and _is_given_up(db, row, actor):
            return _write_refusal(db, row, actor, "it was never sent")
        if row.status == RefundStatus.FAILED or not may_send:
            return _view(row)
        if not _is_unanswered(row) or row.awaits_first_send:
            about = {"id": row.payment_id, "refund": row.id}
            log.error("Refund unknown at the gateway", extra={"data": about})  # noqa: TRY400
            raise
        return _send_again(db, gateway, row, new, actor, deadline)
    return apply_answer(db, row.payment_id, row.id, snapshot, actor, row.generation)


def _is_given_up(db: Database, row: Refund, actor: Actor) -> bool:
    """Whether the request was not repeated in time: what it held back can be refunded under another key."""
    with db.read() as session:
        return actor.clock.age(row.created_at) > NEVER_SENT_AFTER and witnesses.agree(session, actor.clock)


def _put_off(db: Database, row: Refund, actor: Actor) -> None:
    """Its end is known, and only the bank's reference is asked for: there is no haste."""
    with db.begin() as session:
        payments.lock(session, row.payment_id)
        _lock(session, row.id).next_check_at = next_reference_check(row.updated_at, actor.clock)


def _carry_out(db: Database, gateway: Gateway, row: Refund, new: NewRefund, actor: Actor) -> RefundView:
    try:
        snapshot = _send(gateway, new, Deadline(BUDGET_SECONDS))
    except OutcomeUnknown:
        raise
    except GatewayError as error:
        current = _write_refusal(db, row, actor)
        if current.status is not RefundStatus.FAILED:
            return current  # in the meantime the gateway told of it: it is there
        raise RefundFailed(error, row.id) from error
    return apply_answer(db, row.payment_id, row.id, snapshot, actor, row.generation, gateway.polling)


def _send_again(
    db: Database, gateway: Gateway, row: Refund, new: NewRefund, actor: Actor, deadline: Deadline
) -> RefundView:
    """What the gateway denies to have, once more under the same id, unless there was news of it meanwhile."""
    with db.begin() as session:
        payments.lock(session, row.payment_id)
        current = _lock(session, row.id)
        if current.generation != row.generation or current.status != RefundStatus.INITIATED:
            return _view(current)
    try:
        snapshot = _send(gateway, new, deadline)
    except Rejected:
        # It may have been refused because the first one came through after all: look before believing it.
        try:
            snapshot = gateway.fetch_refund(_ref(new), deadline)
        except UnknownAtGateway:
            return _write_refusal(db, row, actor)
    return apply_answer(db, row.payment_id, row.id, snapshot, actor, row.generation)


def _for_the_wire(session: Session, row: Refund, webhook_url: str) -> NewRefund:
    attempt = session.get_one(PaymentAttempt, row.attempt_id)
    order = session.get_one(PaymentOrder, attempt.order_id)
    return NewRefund(
        refund_id=row.refund_id or "",
        order=OrderRef(order.wire_id, order.gateway_order_id),
        transaction_id=attempt.transaction_id,
        amount=Money(row.amount, row.currency),
        reason=row.reason or "",
        webhook_url=webhook_url,
        speed=row.speed or NORMAL,
    )


def _ref(new: NewRefund, gateway_refund_id: str | None = None) -> RefundRef:
    return RefundRef(new.refund_id, new.order, new.transaction_id, gateway_refund_id)


def _send(gateway: Gateway, new: NewRefund, deadline: Deadline) -> RefundSnapshot:
    """Send it, the same id every time. After an unknown outcome ask once: absent now is still unknown."""
    try:
        return gateway.create_refund(new, deadline)
    except OutcomeUnknown as error:
        try:
            return gateway.fetch_refund(_ref(new), deadline)
        except GatewayError:
            raise error from None


def _write_refusal(
    db: Database, row: Refund, actor: Actor, reason: str = "the gateway did not take it"
) -> RefundView:
    """The refund failed, unless another request answers for it by now or there is news of it."""
    with db.begin() as session:
        changes = load_one(session, row.payment_id)
        current = changes.record.refund(row.id)
        if current.generation == row.generation and current.status == RefundStatus.INITIATED:
            refund_news.move_refund(changes.record, current, RefundStatus.FAILED, actor, reason)
            changes.write()
        return _view(current)


def _lock(session: Session, row_id: UUID) -> Refund:
    """The refund's row, after its payment's."""
    return session.get_one(Refund, row_id, with_for_update={"key_share": True})


def _view(row: Refund | domain.Refund, transaction_id: str | None = None) -> RefundView:
    return RefundView(
        id=row.id,
        payment_id=row.payment_id,
        refund_id=row.gateway_refund_id,
        status=RefundStatus(row.status),
        amount=Money(row.amount, row.currency),
        reason=row.reason,
        speed=row.speed,
        bank_reference=row.bank_reference,
        gateway_status=row.gateway_status,
        created_at=row.created_at,
        updated_at=row.updated_at,
        transaction_id=transaction_id,
    )
