"""A gateway calls: authenticate, keep the event and its effect in one transaction, answer 200."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain import decide
from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.decide import FollowUp
from payments_service.domain.errors import (
    BudgetUsedUp,
    CircuitOpen,
    GatewayError,
    MissingCredentials,
    Outdated,
    PaymentsError,
    Rejected,
    SignatureInvalid,
    StoreUnavailable,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.domain.news import WIRE_PREFIX, OrderRef, WebhookEvent
from payments_service.domain.payment import Actor
from payments_service.domain.schedule import next_follow_up
from payments_service.domain.states import TO_TAKE_EFFECT, AlertCode, InboxOutcome, OrderStatus, Source
from payments_service.flows import sync, unknown_orders, witnesses
from payments_service.flows.alerts import raise_alert
from payments_service.flows.arrivals import (
    LEFT_TO_THE_WORKER,
    NOT_UNDERSTOOD,
    is_for_a_payment,
    names_a_payment_at_least,
    order_name,
    why_left,
)
from payments_service.flows.intake import Arrival, Intake, Outcome
from payments_service.gateways.base import Gateway
from payments_service.store import inbox, payments
from payments_service.store.db import Database
from payments_service.store.record import Names, load_one, retried
from payments_service.store.tables import PaymentAttempt, PaymentOrder, PaymentWebhook
from payments_service.store.transaction import Transaction

log = logging.getLogger(__name__)

SWEEP_SECONDS = 10.0
"""For the question that a stored event makes necessary, when the worker takes it."""
FOLLOW_UP_SECONDS = 2.0
"""Gateways wait three to five seconds for their answer; what takes longer is done by others."""
DISPUTE_MAY_LAG = timedelta(minutes=10)
"""So long after its event a dispute is asked for again, while its answer tells nothing that is new here."""
DISPUTE_MAY_BE_UNHEARD = timedelta(minutes=30)
"""Any answer ends the wait sooner, so an event that is older had none for long, and a person has to look."""


@dataclass(frozen=True)
class Wanted:
    """What a stored event makes necessary at its gateway."""

    gateway: Gateway
    payment_id: UUID | None
    row_id: UUID
    event: WebhookEvent

    @property
    def about(self) -> dict[str, object]:
        return {"id": self.payment_id, "eventId": self.event.event_id}


def receive(
    db: Database,
    gateway: Gateway,
    headers: Mapping[str, str],
    raw_body: bytes,
    intake: Intake | None = None,
    later: Callable[[Wanted], None] | None = None,
) -> None:
    """Take in one webhook, with those that arrive at the same moment (`intake`, one a process).

    What it makes necessary at the gateway is handed to `later`, as the service does; without it (tests) it is
    done before the answer, in two seconds. Raises MissingCredentials, SignatureInvalid, or StoreUnavailable,
    and then nothing was kept; otherwise the event is stored, with any content.
    """
    arrival = Arrival(gateway, _authentic(gateway, headers, raw_body), headers, raw_body)
    intake = intake or Intake(db)
    intake.take(arrival)
    if arrival.outcome is Outcome.ALONE:
        with intake.beside():
            _take_alone(db, arrival)
    if arrival.outcome is Outcome.AGAIN:
        log.info("Webhook again", extra={"data": _about(gateway, arrival.event)})
        _recall(db, arrival)
    if arrival.follow_up is not FollowUp.NOTHING and arrival.row_id is not None:
        wanted = Wanted(gateway, arrival.payment_id, arrival.row_id, arrival.event)
        if later:
            later(wanted)
        else:
            _follow_up_at_once(db, wanted)


def _recall(db: Database, arrival: Arrival) -> None:
    """What an event that was kept before still waits for: the request that kept it may have had no answer
    from the database, and then nothing followed it."""
    with db.read() as session:
        row = inbox.kept(session, arrival.gateway.name, arrival.event.event_id)
        if row is not None and not InboxOutcome(row.outcome).is_done and row.next_try_at is not None:
            arrival.payment_id, arrival.row_id, arrival.follow_up = row.payment_id, row.id, FollowUp.FETCH


def _take_alone(db: Database, arrival: Arrival) -> None:
    """What a batch leaves. An event whose effect cannot be written is kept as failed: no gateway's fact makes
    it unacceptable."""
    try:
        _keep_and_apply(db, arrival)
    except Exception as error:
        if isinstance(error, StoreUnavailable) and not isinstance(error, Outdated):
            raise
        log.exception("Webhook could not be applied", extra={"data": _about(arrival.gateway, arrival.event)})
        _keep_only(db, arrival, type(error).__name__)


def _keep_and_apply(db: Database, arrival: Arrival) -> None:
    gateway, event = arrival.gateway, arrival.event

    def write() -> None:
        with db.begin() as session:
            _lock_payment(session, gateway, event)
            row = _store(session, gateway, event, arrival.headers, arrival.body)
            if row is None:
                arrival.outcome = Outcome.AGAIN
                return
            arrival.payment_id, arrival.follow_up = _take_effect(session, gateway, event, row)
            session.say(__name__, logging.INFO, "Webhook", {**_about(gateway, event), "outcome": row.outcome})
            arrival.outcome, arrival.row_id = Outcome.KEPT, row.id

    retried(write)


def _lock_payment(session: Session, gateway: Gateway, event: WebhookEvent) -> None:
    """Before the event's own row: a batch, too, writes the inbox last, and in another order two transactions
    would wait for each other."""
    is_named = is_for_a_payment(event) or names_a_payment_at_least(event)
    order = _order_of(session, gateway, event) if is_named else None
    if order is not None:
        payments.lock(session, order.payment_id)


def _keep_only(db: Database, arrival: Arrival, error: str) -> None:
    with db.begin() as session:
        row = _store(session, arrival.gateway, arrival.event, arrival.headers, arrival.body)
        if row is not None:
            inbox.move(row, InboxOutcome.FAILED)
            row.error = error
            row.next_try_at = REAL_TIME.after(LEFT_TO_THE_WORKER)
    about = {**_about(arrival.gateway, arrival.event), "outcome": InboxOutcome.FAILED, "error": error}
    log.info("Webhook", extra={"data": about})


def _authentic(gateway: Gateway, headers: Mapping[str, str], raw_body: bytes) -> WebhookEvent:
    """What it says; a refusal is a line that names the variables to look at."""
    try:
        return gateway.read_webhook(headers, raw_body)
    except (MissingCredentials, SignatureInvalid) as error:
        about = {"gateway": gateway.provider, "code": error.code, "why": error.message}
        check = list(gateway.webhook_secret_names)
        log.warning("Webhook refused", extra={"data": {**about, "check": check}})
        raise


def _store(
    session: Session, gateway: Gateway, event: WebhookEvent, headers: Mapping[str, str], raw_body: bytes
) -> PaymentWebhook | None:
    """The event's row; None when it is here already. Its id comes in a header that no signature covers, so
    the same id with another body is another event."""
    about: dict[str, Any] = {
        "gateway": gateway.name,
        "provider": gateway.provider,
        "webhook_type": event.type,
        "order_id": order_name(event),
        "transaction_id": event.transaction_id,
        "headers": headers,
        "payload": raw_body,
    }
    row = inbox.store(session, event_id=event.event_id, **about)
    if row is not None:
        return row
    kept = inbox.kept(session, gateway.name, event.event_id)
    if kept is None or kept.payload == raw_body:
        return None
    return inbox.store(session, event_id=f"{event.event_id}~{sha256(raw_body).hexdigest()}", **about)


def _take_effect(
    session: Transaction, gateway: Gateway, event: WebhookEvent, row: PaymentWebhook
) -> tuple[UUID | None, FollowUp]:
    if not is_for_a_payment(event):
        order = _order_of(session, gateway, event) if names_a_payment_at_least(event) else None
        if order is not None and event.refund_id:
            payments.ask_refunds_at(session, order.payment_id, REAL_TIME.now())
        _leave(session, gateway, event, row)
        if order is None:
            return None, FollowUp.NOTHING
        row.payment_id = order.payment_id
        return order.payment_id, FollowUp.FETCH
    order = _order_of(session, gateway, event)
    if order is None:
        return None, _of_no_order(session, gateway, event, row)
    return order.payment_id, sync.apply_event(session, gateway, order, event, row)


def _order_of(session: Session, gateway: Gateway, event: WebhookEvent) -> PaymentOrder | None:
    if event.order is None:
        attempt = _attempt_of(session, gateway, event)
        return session.get(PaymentOrder, attempt.order_id) if attempt else None
    if event.order.gateway_order_id:
        payments.lock_order_name(session, gateway.provider, event.order.gateway_order_id)
    return payments.order_by_reference(
        session,
        gateway.provider,
        wire_id=event.order.wire_id,
        gateway_order_id=event.order.gateway_order_id,
    )


def _attempt_of(session: Session, gateway: Gateway, event: WebhookEvent) -> PaymentAttempt | None:
    if event.transaction_id:
        return payments.attempt(session, gateway.provider, event.transaction_id)
    named = event.refund_id or ""
    refund = payments.refund(session, gateway.provider, refund_id=named, gateway_refund_id=named)
    return session.get(PaymentAttempt, refund.attempt_id) if refund else None


def _leave(session: Transaction, gateway: Gateway, event: WebhookEvent, row: PaymentWebhook) -> None:
    """Keep it without an effect; what is not understood is loud."""
    inbox.move(row, why_left(event))
    if row.outcome in NOT_UNDERSTOOD:
        session.say(__name__, logging.ERROR, "Webhook not understood", _about(gateway, event))


def _of_no_order(
    session: Transaction, gateway: Gateway, event: WebhookEvent, row: PaymentWebhook
) -> FollowUp:
    """An order that is not ours, or not yet, or was lost; the gateway is asked for what may be ours."""
    if event.refund_id:  # no gateway can be asked whose a refund is
        _leave(session, gateway, event, row)
        return FollowUp.NOTHING
    inbox.move(row, InboxOutcome.UNMATCHED)
    if event.order and not unknown_orders.is_worth_a_question(session, gateway, event.order, row):
        return FollowUp.NOTHING
    row.next_try_at = REAL_TIME.after(LEFT_TO_THE_WORKER)
    return FollowUp.FETCH


def _follow_up_at_once(db: Database, wanted: Wanted) -> None:
    """After a failure the worker asks; the answer is 200."""
    try:
        follow_up(db, wanted, Deadline(FOLLOW_UP_SECONDS, Urgency.WAKE_UP))
    except PaymentsError as error:
        log.warning("Webhook follow-up left open", extra={"data": {**wanted.about, "error": error.code}})
    except Exception:
        log.exception("Webhook follow-up failed", extra={"data": wanted.about})


def follow_up(db: Database, wanted: Wanted, deadline: Deadline) -> bool:
    """Do what the event makes necessary; whether the gateway has said what it told.

    Raises GatewayError when the gateway could not be asked.
    """
    event = wanted.event
    actor = Actor(Source.WEBHOOK, event.event_id)
    return _ask(db, wanted.gateway, wanted.payment_id, wanted.row_id, event, actor, deadline)


def try_again(db: Database, gateway: Gateway, row_id: UUID, clock: Clock) -> bool:
    """Apply an event that was kept: its effect when it failed, then the gateway's own word; whether that was
    asked for.

    The caller holds the row's lease. Raises GatewayError when the gateway could not be asked.
    """
    with db.begin() as session:
        row = session.get_one(PaymentWebhook, row_id)
        if InboxOutcome(row.outcome).is_done:  # meanwhile, or by the version before, which leaves it due
            row.next_try_at = None
            return False
        event = gateway.reread_webhook(row.event_id, row.payload)
        next_try_at = next_follow_up(gateway.polling, row.created_at, clock)
        if not witnesses.agree(session, clock):
            next_try_at = witnesses.look_soon(next_try_at, clock)
        payment_id, follow_up = row.payment_id, FollowUp.FETCH
        if InboxOutcome(row.outcome) in TO_TAKE_EFFECT:
            payment_id, follow_up = _take_effect(session, gateway, event, row)
        if next_try_at is not None and not InboxOutcome(row.outcome).is_done:
            row.next_try_at = next_try_at
    try:
        if follow_up is not FollowUp.NOTHING:
            actor = Actor(Source.WORKER, event.event_id, clock)
            deadline = Deadline(SWEEP_SECONDS, Urgency.WAKE_UP)
            _ask(db, gateway, payment_id, row_id, event, actor, deadline)
    finally:
        if next_try_at is None:  # this was the last time to ask
            _give_up(db, gateway, row_id, event, clock)
    return follow_up is not FollowUp.NOTHING


def _ask(
    db: Database,
    gateway: Gateway,
    payment_id: UUID | None,
    row_id: UUID,
    event: WebhookEvent,
    actor: Actor,
    deadline: Deadline,
) -> bool:
    """Have the gateway's own word on what the event told: its order, its dispute, or whose payment it is.

    Whether it told the same; True as well where there is nothing to wait for.
    """
    order = event.order
    if payment_id is None and event.transaction_id:
        payment_id, order = _find_payment(db, gateway, row_id, event, deadline, actor.clock)
    if payment_id is None:
        if order is not None:
            about = _about(gateway, replace(event, order=order))
            unknown_orders.ask(db, gateway, order, row_id, about, deadline, actor.clock)
        return True
    is_news = False
    if event.asks_for_dispute:
        is_news = _ask_for_dispute(db, gateway, payment_id, row_id, event, actor, deadline)
    else:
        sync.refresh(db, gateway, payment_id, actor, deadline)
    return _confirm(db, payment_id, row_id, event, actor.clock, is_news=is_news)


def _find_payment(
    db: Database, gateway: Gateway, row_id: UUID, event: WebhookEvent, deadline: Deadline, clock: Clock
) -> tuple[UUID | None, OrderRef | None]:
    """The payment behind a payment id that is not known here: the gateway knows its order. Without a payment
    the order is one that remains to be asked for."""
    order, is_denied, transaction_id = event.order, False, event.transaction_id or ""
    try:
        order = gateway.find_by_payment_id(transaction_id, deadline) or order
    except UnknownAtGateway:
        order, is_denied = None, True
    with db.begin() as session:
        row = session.get_one(PaymentWebhook, row_id)
        if InboxOutcome(row.outcome) not in TO_TAKE_EFFECT:
            return row.payment_id, None
        again_at, row.next_try_at = row.next_try_at, None
        if order is None:
            is_unmatched = InboxOutcome(row.outcome) is InboxOutcome.UNMATCHED
            if gateway.browser_knows_wire_id and not is_denied and is_unmatched:
                unknown_orders.alert(session, transaction_id, _about(gateway, event), None, clock)
            return None, None
        row.order_id = order.gateway_order_id or order.wire_id
        payment_id, follow_up = _take_effect(session, gateway, replace(event, order=order), row)
        if payment_id is None and follow_up is FollowUp.FETCH:
            row.next_try_at = again_at
            return None, order
        return payment_id, None


def _ask_for_dispute(
    db: Database,
    gateway: Gateway,
    payment_id: UUID,
    row_id: UUID,
    event: WebhookEvent,
    actor: Actor,
    deadline: Deadline,
) -> bool:
    """Apply the gateway's own word on it; whether that tells something new.

    An answer that does not may lag behind the event. It is not written, for each further one would be one
    more row of the history. Raises GatewayError.
    """
    try:
        told = gateway.fetch_dispute(event.dispute_id or "", deadline)
    except (BudgetUsedUp, CircuitOpen):
        raise
    except GatewayError as error:
        # An account may not be allowed to ask for disputes; the merchant must hear of one all the same.
        with db.begin() as session:
            age = actor.clock.age(session.get_one(PaymentWebhook, row_id).created_at)
            if isinstance(error, Rejected) or age >= DISPUTE_MAY_BE_UNHEARD:
                _alert_dispute(session, gateway, event, error.code, actor.clock)
        raise
    with db.begin() as session:
        changes = load_one(session, payment_id, Names(frozenset({told.transaction_id}), disputes=True))
        record = changes.record
        owner = record.elsewhere.attempts.get((gateway.provider, told.transaction_id))
        if owner is not None and owner[1] != payment_id:  # an event that proves nothing has named the order
            about = {"id": str(payment_id), "disputeId": told.dispute_id}
            log.error("Dispute of another payment", extra={"data": about})
            return True
        last = record.disputes.get(told.dispute_id)
        decide.apply_dispute(record, told, actor)
        is_news = _tells_more(last, record.disputes[told.dispute_id])
        if is_news:
            changes.write()
        return is_news


def _tells_more(last: dict[str, Any] | None, now: dict[str, Any]) -> bool:
    """Whether a dispute's evidence differs in more than its time from what was known before."""
    return last is None or any(last.get(name) != now[name] for name in now if name != "observedAt")


def _alert_dispute(
    session: Transaction, gateway: Gateway, event: WebhookEvent, error: str, clock: Clock
) -> None:
    about = {**_about(gateway, event), "error": error}
    raise_alert(session, AlertCode.DISPUTE_UNCONFIRMED, event.dispute_id or "", about, clock)


def _confirm(
    db: Database, payment_id: UUID, row_id: UUID, event: WebhookEvent, clock: Clock, *, is_news: bool
) -> bool:
    """What had to wait for the gateway's own word is done with when that word is as claimed; whether so.

    An event that only names its dispute claims nothing: it waits for `is_news`, as long as an answer may lag.
    """
    with db.begin() as session:
        row = session.get_one(PaymentWebhook, row_id)
        is_heard = is_news or clock.age(row.created_at) >= DISPUTE_MAY_LAG
        is_reached = _is_reached(session, row, event, is_heard=is_heard)
        if row.outcome != InboxOutcome.WAITING:
            return True
        if is_reached or _is_end_of_a_lost_order(session, row, event):
            inbox.move(row, InboxOutcome.APPLIED)
            return True
        session.say(__name__, logging.WARNING, "Webhook not confirmed by the gateway", {"id": payment_id})
        return False


def _is_reached(
    session: Transaction, row: PaymentWebhook, event: WebhookEvent, *, is_heard: bool = False
) -> bool:
    """Whether the payment of a waiting event is where the event says it is; its row is locked then. Of a
    dispute, which no status shows, it is whether the gateway's word on it `is_heard`."""
    if row.outcome != InboxOutcome.WAITING or row.payment_id is None:
        return False
    payment = load_one(session, row.payment_id).record.payment
    return is_heard if event.asks_for_dispute else decide.has_reached(payment, event)


def _is_end_of_a_lost_order(session: Session, row: PaymentWebhook, event: WebhookEvent) -> bool:
    """No payer was ever sent to this order: its end without money says nothing of the payment."""
    if event.order is None or event.asks_for_dispute or event.claims in decide.PAID_FOR:
        return False
    order = payments.order_by_reference(
        session,
        row.provider,
        wire_id=event.order.wire_id,
        gateway_order_id=event.order.gateway_order_id,
    )
    return order is not None and order.status == OrderStatus.LOST


def _give_up(db: Database, gateway: Gateway, row_id: UUID, event: WebhookEvent, clock: Clock) -> None:
    with db.begin() as session:
        row = session.get_one(PaymentWebhook, row_id)
        was_to_be_asked, row.next_try_at = row.next_try_at is not None, None
        if _is_reached(session, row, event):  # by what was heard of the payment in another way
            inbox.move(row, InboxOutcome.APPLIED)
        elif not InboxOutcome(row.outcome).is_done:
            about = _about(gateway, event)
            wire_id = event.order.wire_id if event.order else ""
            subject = wire_id if wire_id.startswith(WIRE_PREFIX) else event.transaction_id
            is_unmatched = InboxOutcome(row.outcome) is InboxOutcome.UNMATCHED
            if subject and is_unmatched and was_to_be_asked:
                unknown_orders.alert(session, subject, about, None, clock)
            inbox.move(row, InboxOutcome.UNCONFIRMED)
            session.say(__name__, logging.ERROR, "Webhook never confirmed", about)
            if event.asks_for_dispute and not is_unmatched:
                _alert_dispute(session, gateway, event, Unavailable.code, clock)


def _about(gateway: Gateway, event: WebhookEvent) -> dict[str, str | None]:
    return {
        "gateway": gateway.name,
        "type": event.type,
        "kind": event.kind.value,
        "eventId": event.event_id,
        "orderId": order_name(event),
    }
