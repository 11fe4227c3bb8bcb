"""The worker asks for every open payment, refund and event until its end is known.

A line claims what is due in a short transaction, asks outside any, and leaves the next moment to ask.
Two workers never ask for the same thing at once; what a killed one held is due again when its lease ends.
Each gateway has lines of its own, so that one which hangs holds up no other.
"""

import logging
import math
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from typing import Any

from sqlalchemy.orm import Session

from payments_service.domain import decide
from payments_service.domain.clock import LEAP, Clock
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import GatewayError, UnknownAtGateway
from payments_service.domain.payment import Actor, PaymentRecord
from payments_service.domain.schedule import next_check, next_refund_check
from payments_service.domain.states import (
    OPEN,
    REFUND_OPEN,
    AlertCode,
    EntryKind,
    PaymentStatus,
    RefundStatus,
    Source,
)
from payments_service.flows import refund, sync, webhook, witnesses
from payments_service.flows.alerts import raise_alert
from payments_service.flows.create_order import Urls
from payments_service.flows.lines import Line, Place, Row, is_well, place
from payments_service.gateways.base import Gateway
from payments_service.store import inbox, payments
from payments_service.store.db import Database
from payments_service.store.record import load_one
from payments_service.store.tables import Payment, PaymentWebhook, Refund

log = logging.getLogger(__name__)

BUDGET_SECONDS = 10.0
"""For all calls of one question of the worker."""
LEASE = timedelta(minutes=2)
"""Longer than any question takes with what is written before and after it."""
BATCH = 100
MOST_AT_ONCE = 20
REFUNDS_AT_ONCE = 4
WAKE_UP_SECONDS = 0.4
"""The read budget lets what a webhook made necessary wait half a second; so many reads as it grants in that
time begin at once, and none of them is refused."""


def lines(
    db: Database, gateway: Gateway, urls: Urls, clock: Clock, stop: Event | None = None
) -> Iterator[Line[Any]]:
    """All that is asked of one gateway; its lines know together whether it answers."""
    at, stop = place_of(db, gateway), stop or Event()
    yield _payments(db, gateway, clock, at, stop)
    yield _refunds(db, gateway, urls, clock, at, stop)
    yield _inbox(db, gateway, clock, at, stop)


def place_of(db: Database, gateway: Gateway) -> Place:
    """No more questions beside each other than the read budget lets begin in a second.

    It bounds what a slow gateway is asked, too, which says by 429 what is too much.
    """
    most = min(MOST_AT_ONCE, math.ceil(gateway.reads_per_second))
    return place(db, most, quick_seconds=BUDGET_SECONDS)


def sweep_refunds(db: Database, gateway: Gateway, urls: Urls, clock: Clock) -> int:
    """Ask what became of refunds; those that never reached the gateway are sent again under their id."""
    return _refunds(db, gateway, urls, clock, place_of(db, gateway), Event()).run_out(BATCH)


def sweep_inbox(db: Database, gateway: Gateway, clock: Clock) -> int:
    """Try again what could not be applied, or waits for the gateway's own word."""
    return _inbox(db, gateway, clock, place_of(db, gateway), Event()).run_out(BATCH)


def _payments(db: Database, gateway: Gateway, clock: Clock, at: Place, stop: Event) -> Line[Payment]:
    def ask(payment: Payment) -> bool | None:
        actor = Actor(Source.WORKER, "reconcile", clock)
        well: bool | None = True
        try:
            deadline = Deadline(BUDGET_SECONDS, Urgency.POLLING)
            was_answered = sync.refresh(db, gateway, payment.id, actor, deadline)
        except GatewayError as error:
            log.info("Not asked", extra={"data": {"id": payment.id, "error": error.code}})
            well, was_answered = is_well(error), isinstance(error, UnknownAtGateway)
        _plan_next(db, gateway, payment, actor, was_answered=was_answered)
        return well

    claim = _claiming(db, gateway, clock, payments.claim_due)
    longest = _claiming(db, gateway, clock, partial(payments.claim_due, longest_due_first=True))
    name = f"payments {gateway.provider}"
    return Line(name, at, claim, ask, stop, gateway=gateway, claim_longest_due=longest)


def _refunds(
    db: Database, gateway: Gateway, urls: Urls, clock: Clock, at: Place, stop: Event
) -> Line[Refund]:
    def ask(row: Refund) -> bool | None:
        actor = Actor(Source.WORKER, "reconcile", clock)
        well: bool | None = True
        was_answered = True
        try:
            refund.ask(db, gateway, row, actor, webhook_url=urls.webhook(gateway.name))
        except GatewayError as error:
            log.info("Refund not asked", extra={"data": {"id": row.id, "error": error.code}})
            well, was_answered = is_well(error), isinstance(error, UnknownAtGateway)
        _plan_next_refund(db, gateway, row, clock, was_answered=was_answered)
        return well

    claim = _claiming(db, gateway, clock, payments.claim_due_refunds)
    return Line(f"refunds {gateway.provider}", at, claim, ask, stop, REFUNDS_AT_ONCE, gateway)


def _inbox(db: Database, gateway: Gateway, clock: Clock, at: Place, stop: Event) -> Line[PaymentWebhook]:
    def apply(row: PaymentWebhook) -> bool | None:
        try:
            return webhook.try_again(db, gateway, row.id, clock) or None
        except GatewayError as error:
            log.info("Event still waits", extra={"data": {"eventId": row.event_id, "error": error.code}})
            return is_well(error)

    claim = _claiming(db, gateway, clock, inbox.claim_due)
    longest = _claiming(db, gateway, clock, partial(inbox.claim_due, longest_due_first=True))
    most = max(1, int(gateway.reads_per_second * WAKE_UP_SECONDS))
    return Line(f"inbox {gateway.provider}", at, claim, apply, stop, most, gateway, longest)


def _claiming(
    db: Database,
    gateway: Gateway,
    clock: Clock,
    claim: Callable[[Session, str, datetime, datetime, int], list[Row]],
) -> Callable[[int], list[Row]]:
    def claiming(limit: int) -> list[Row]:
        with db.begin() as session:
            now = clock.now()
            return claim(session, gateway.provider, now, now + LEASE, limit)

    return claiming


def _plan_next(db: Database, gateway: Gateway, claimed: Payment, actor: Actor, *, was_answered: bool) -> None:
    with db.begin() as session:
        changes = load_one(session, claimed.id)
        known = changes.record
        payment = known.payment
        if payment.next_check_at != claimed.next_check_at:
            return  # the news has set a moment of its own, for a refund that has to wait
        is_sure = witnesses.agree(session, actor.clock)
        if is_sure:
            _set_right(known, actor)
        payment.next_check_at = _next_check(known, gateway, actor.clock, was_answered=was_answered)
        if not is_sure:
            payment.next_check_at = witnesses.look_soon(payment.next_check_at, actor.clock)
        elif payment.next_check_at is None and payment.status in OPEN:
            decide.give_up(known, actor)
            payment.next_check_at = _next_check(known, gateway, actor.clock, was_answered=was_answered)
        changes.write()


def _next_check(
    known: PaymentRecord, gateway: Gateway, clock: Clock, *, was_answered: bool
) -> datetime | None:
    payment = known.payment
    return next_check(
        PaymentStatus(payment.status),
        gateway.polling,
        payment.created_at,
        payment.completed_at,
        clock,
        is_unsettled=bool(payment.review) or known.standing.stops_our_clock,
        was_answered=was_answered,
    )


def _set_right(known: PaymentRecord, actor: Actor) -> None:
    """A payment made by a clock that was ahead begins now; else it would be young until that time comes."""
    payment, now = known.payment, actor.clock.now()
    ahead = payment.created_at - now
    if ahead > LEAP:
        evidence = {"createdAt": payment.created_at.isoformat(), "expiresAt": payment.expires_at.isoformat()}
        payment.created_at, payment.expires_at = now, payment.expires_at - ahead
        known.append(EntryKind.NOTE, actor, "made by a clock that was ahead", evidence)
    if payment.completed_at and payment.completed_at > now + LEAP:
        payment.completed_at = now


def _plan_next_refund(
    db: Database, gateway: Gateway, claimed: Refund, clock: Clock, *, was_answered: bool
) -> None:
    with db.begin() as session:
        payments.lock(session, claimed.payment_id)
        row = session.get_one(Refund, claimed.id)
        if row.next_check_at != claimed.next_check_at:
            return  # an event that came during the question asks for another one, at once
        if row.status == RefundStatus.FAILED:
            row.next_check_at = None
        if row.status not in REFUND_OPEN:
            return
        row.next_check_at = next_refund_check(
            gateway.polling, row.created_at, clock, was_answered=was_answered
        )
        if not witnesses.agree(session, clock):
            row.next_check_at = witnesses.look_soon(row.next_check_at, clock)
        elif row.next_check_at is None:
            about = {"paymentId": str(row.payment_id), "amountPaise": row.amount}
            raise_alert(session, AlertCode.REFUND_UNRESOLVED, str(row.id), about, clock)
