"""The gateway's word is asked for and written down: every piece of news about a payment ends here or in
`webhook`, under the payment's lock, and what follows from it is decided by `domain/decide.py`.
"""

import logging
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain import decide
from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.deadline import Deadline
from payments_service.domain.decide import FollowUp
from payments_service.domain.errors import GatewayError, MoneyUnreadable, UnknownAtGateway
from payments_service.domain.news import OrderRef, PaymentSnapshot, WebhookEvent
from payments_service.domain.payment import Actor, Order, PaymentRecord
from payments_service.domain.states import InboxOutcome, OrderStatus, PaymentStatus, Source
from payments_service.flows import witnesses
from payments_service.flows.arrivals import LEFT_TO_THE_WORKER
from payments_service.gateways.base import Gateway
from payments_service.store import inbox, payments, record
from payments_service.store.db import Database
from payments_service.store.record import Changes, Names, load_one
from payments_service.store.tables import PaymentOrder, PaymentWebhook
from payments_service.store.transaction import Transaction
from payments_service.store.wire import wire_in

log = logging.getLogger(__name__)


def refresh(db: Database, gateway: Gateway, payment_id: UUID, actor: Actor, deadline: Deadline) -> bool:
    """Ask the gateway about the payment's current order and apply the answer; before it, about those that
    were lost on the way: False when one of these, or the list of refunds, had no answer.

    Money that is held is captured on the way, and what the capture answers is found out by asking again.
    Raises GatewayError when the gateway could not be asked; only our clock has spoken then.
    """
    try:
        follow_up, is_all = _ask(db, gateway, payment_id, actor, deadline)
        if follow_up is FollowUp.CAPTURE:
            _capture(db, gateway, payment_id, deadline)
            follow_up, is_all = _ask(db, gateway, payment_id, actor, deadline)
        if follow_up is FollowUp.FETCH_AGAIN:
            _, is_all = _ask(db, gateway, payment_id, actor, deadline, is_second=True)
    except GatewayError as error:
        _let_time_speak(db, gateway, payment_id, error, actor.clock)
        raise
    return is_all


def apply(
    db: Database,
    gateway: Gateway,
    order: PaymentOrder | Order,
    snapshot: PaymentSnapshot,
    actor: Actor,
    *,
    generation: int | None = None,
    is_second: bool = False,
) -> tuple[FollowUp, PaymentRecord | None]:
    """Write down what the gateway says of an order, and with it what was waiting for that order.

    What is left to do, and the payment as it is then; None when events were waiting, or another answers.
    With `generation`, only while the call is still that caller's to answer for. `is_second`: it was asked
    again, because its first answer contradicted itself.
    """

    theirs = snapshot.order.gateway_order_id if not order.gateway_order_id else None

    def write() -> tuple[FollowUp, PaymentRecord | None]:
        with db.begin() as session:
            changes = _load(session, gateway, order, snapshot, theirs)
            known = changes.record
            row = known.order(order.id)
            if generation is not None and row.generation != generation:
                log.warning("Answer came after a takeover", extra={"data": {"id": order.payment_id}})
                return FollowUp.NOTHING, None
            follow_up, is_new = decide.learn(known, gateway, row, snapshot, actor, is_second=is_second)
            if gateway.our_clock_expires:
                end_if_due(session, known, actor.clock, is_understood=not snapshot.may_hide_money)
            is_awaited = is_new and any(changes.told)
            changes.write(commits=not is_awaited)
            if not is_awaited:
                return follow_up, known
            waiting = inbox.unmatched(session, gateway.provider, _names(row))
            return apply_waiting(session, gateway, row, waiting, follow_up, actor.clock), None

    return record.retried(write)


def _load(
    session: Transaction,
    gateway: Gateway,
    order: PaymentOrder | Order,
    snapshot: PaymentSnapshot,
    name: str | None,
) -> Changes:
    """The payment of an order; where the gateway's id of it may be news, `name` is held, and what waits for
    it is looked up in the same turn."""
    names = Names.of(snapshot)
    if name is None:
        return load_one(session, order.payment_id, names)
    wire = wire_in(session)
    first = payments.locking_order_name(wire, gateway.provider, name)
    awaits = inbox.looking_for_unmatched(wire, gateway.provider, (order.wire_id, name))
    return load_one(session, order.payment_id, names, first=first, last=[awaits])


def apply_event(
    session: Transaction,
    gateway: Gateway,
    order: PaymentOrder,
    event: WebhookEvent,
    row: PaymentWebhook,
    clock: Clock = REAL_TIME,
) -> FollowUp:
    """Apply a stored event of this order and say so in its inbox row.

    An event that cannot be applied is undone, kept with its error, and does not disturb the others.
    """
    changes = load_one(session, order.payment_id, Names.of(event))
    known = changes.record
    current = known.order(order.id)  # `order` was read before the lock was ours
    row.payment_id, row.next_try_at = known.payment.id, clock.after(LEFT_TO_THE_WORKER)
    undo = known.mark()
    try:
        actor = Actor(Source.WEBHOOK, event.event_id, clock)
        follow_up, outcome, is_new = decide.apply_event(known, gateway, current, event, actor)
    except Exception as error:
        undo()
        inbox.move(row, InboxOutcome.FAILED)
        row.error = type(error).__name__
        about = {"eventId": event.event_id, "id": known.payment.id}
        log.exception("Webhook could not be applied", extra={"data": about})
        return FollowUp.FETCH
    inbox.move(row, outcome)
    changes.write()
    if not is_new:
        return follow_up
    waiting = inbox.unmatched(session, gateway.provider, _names(current))
    return apply_waiting(session, gateway, current, waiting, follow_up, clock)


def apply_waiting(
    session: Transaction,
    gateway: Gateway,
    order: Order,
    rows: Sequence[PaymentWebhook],
    follow_up: FollowUp,
    clock: Clock,
) -> FollowUp:
    """Events that came before the gateway's id of this order was known to be ours, oldest first."""
    for row in rows:
        event = gateway.reread_webhook(row.event_id, row.payload)
        its_order = session.get_one(PaymentOrder, order.id)
        waiting = apply_event(session, gateway, its_order, event, row, clock)
        follow_up = follow_up if waiting is FollowUp.NOTHING else waiting
    return follow_up


def _names(order: Order) -> list[str]:
    return [order.wire_id, order.gateway_order_id or ""]


def end_if_due(session: Session, known: PaymentRecord, clock: Clock, *, is_understood: bool = True) -> None:
    """End an open payment whose time has run out, when a witness says that our clock is right.

    A person looks instead where what the gateway says of the payment is not understood.
    """
    if decide.may_expire(known, clock) and witnesses.agree(session, clock):
        end = decide.expire if is_understood else decide.question_unread
        end(known, clock)


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────


def _ask(
    db: Database,
    gateway: Gateway,
    payment_id: UUID,
    actor: Actor,
    deadline: Deadline,
    *,
    is_second: bool = False,
) -> tuple[FollowUp, bool]:
    with db.read() as session:
        watched = payments.watched_orders(session, payment_id)
    # Nothing can be said of an order that was refused, as long as there is another one.
    current, *lost = [order for order in watched if order.status != OrderStatus.REFUSED] or watched
    unasked: GatewayError | None = None
    is_all = True
    for order in lost:
        try:
            is_all &= _ask_about(db, gateway, order, actor, deadline)[1]
        except GatewayError as error:
            if not isinstance(error, UnknownAtGateway):
                unasked = error
            log.info("Lost order not asked", extra={"data": {"wireId": order.wire_id, "error": error.code}})
    try:
        follow_up, is_whole = _ask_about(db, gateway, current, actor, deadline, is_second=is_second)
    except UnknownAtGateway as error:
        if unasked is None:
            raise
        raise unasked from error  # what the current order does not know of may be paid by the lost one
    return follow_up, is_all and is_whole and unasked is None


def _ask_about(
    db: Database,
    gateway: Gateway,
    order: PaymentOrder,
    actor: Actor,
    deadline: Deadline,
    *,
    is_second: bool = False,
) -> tuple[FollowUp, bool]:
    """What is left to do, and whether all was told: the refunds, too, where the gateway lists them."""
    snapshot = gateway.fetch_payment(OrderRef(order.wire_id, order.gateway_order_id), deadline)
    follow_up, _ = apply(db, gateway, order, snapshot, actor, is_second=is_second)
    return follow_up, snapshot.refunds is not None or not gateway.lists_refunds


def _let_time_speak(
    db: Database, gateway: Gateway, payment_id: UUID, error: GatewayError, clock: Clock
) -> None:
    """No answer came: end what our own clock ends, and what the gateway denies after its time."""
    with db.begin() as session:
        changes = load_one(session, payment_id)
        known = changes.record
        if isinstance(error, MoneyUnreadable):
            decide.question_unread(known, clock)
        elif gateway.our_clock_expires:
            end_if_due(session, known, clock)
        overdue = decide.is_over(known.payment, clock) and clock.now() >= known.current_order.leased_until
        denied = isinstance(error, UnknownAtGateway) and known.payment.status == PaymentStatus.INITIATED
        if denied and overdue and witnesses.agree(session, clock):
            actor = Actor(Source.CLOCK, decide.EXPIRY, clock)
            evidence = {"error": error.code}
            decide.move(known, PaymentStatus.FAILED, actor, "no order came to be", evidence)
        changes.write()


def _capture(db: Database, gateway: Gateway, payment_id: UUID, deadline: Deadline) -> None:
    """Take what is held. Sent once; an error may mean that it is captured already, so ask, do not judge."""
    with db.read() as session:
        known = load_one(session, payment_id, lock=False).record
    for attempt in known.standing.held[:1]:
        order = known.order(attempt.order_id)
        try:
            ref = OrderRef(order.wire_id, order.gateway_order_id)
            gateway.capture(ref, attempt.transaction_id, known.payment.money, deadline)
        except GatewayError as error:
            fields = {"id": payment_id, "paymentId": attempt.transaction_id, "error": error.code}
            log.warning("Capture was not confirmed", extra={"data": fields})
