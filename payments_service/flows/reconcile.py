"""The worker asks for every open payment, refund and event until its end is known.

A sweep claims what is due in a short transaction, asks outside any, and leaves the next moment to ask.
Two workers never ask for the same thing at once; what a killed one held is due again when its lease ends.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta

from payments_service.domain import decide
from payments_service.domain.clock import LEAP, Clock
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import GatewayError
from payments_service.domain.payment import Actor, PaymentRecord
from payments_service.domain.schedule import next_check, next_refund_check
from payments_service.domain.states import OPEN, REFUND_OPEN, AlertCode, PaymentStatus
from payments_service.flows import refund, sync, webhook, witnesses
from payments_service.flows.alerts import raise_alert
from payments_service.flows.create_order import Urls
from payments_service.gateways.base import Gateway
from payments_service.store import inbox, payments
from payments_service.store.db import Database
from payments_service.store.record import load_one
from payments_service.store.tables import Payment, Refund

log = logging.getLogger(__name__)

BUDGET_SECONDS = 10.0
LEASE = timedelta(minutes=5)
"""Longer than a whole batch may take."""
BATCH = 10


def sweep_payments(db: Database, gateway: Gateway, clock: Clock, limit: int = BATCH) -> int:
    """Ask about the payments that are due at one gateway; how many there were."""
    with db.begin() as session:
        now = clock.now()
        due = payments.claim_due(session, gateway.provider, now, now + LEASE, limit)
    for payment in due:
        actor = Actor("worker", "reconcile", clock)
        try:
            sync.refresh(db, gateway, payment.id, actor, Deadline(BUDGET_SECONDS, Urgency.POLLING))
        except GatewayError as error:
            log.info("Not asked", extra={"data": {"id": payment.id, "error": error.code}})
        _plan_next(db, gateway, payment, actor)
    return len(due)


def sweep_refunds(db: Database, gateway: Gateway, urls: Urls, clock: Clock, limit: int = BATCH) -> int:
    """Ask what became of refunds; those that never reached the gateway are sent again under their id."""
    with db.begin() as session:
        now = clock.now()
        due = payments.claim_due_refunds(session, gateway.provider, now, now + LEASE, limit)
    for row in due:
        actor = Actor("worker", "reconcile", clock)
        try:
            refund.ask(db, gateway, row.id, actor, webhook_url=urls.webhook(gateway.name))
        except GatewayError as error:
            log.info("Refund not asked", extra={"data": {"id": row.id, "error": error.code}})
        _plan_next_refund(db, gateway, row, clock)
    return len(due)


def sweep_inbox(db: Database, gateways: Sequence[Gateway], clock: Clock, limit: int = BATCH) -> int:
    """Try again what could not be applied, or waits for the gateway's own word."""
    with db.begin() as session:
        now = clock.now()
        due = inbox.claim_due(session, now, now + LEASE, limit)
    for row in due:
        gateway = next((g for g in gateways if g.provider == row.provider), None)
        if gateway is None:
            continue  # switched off; the lease brings the row back
        try:
            webhook.try_again(db, gateway, row.id, clock)
        except GatewayError as error:
            log.info("Event still waits", extra={"data": {"eventId": row.event_id, "error": error.code}})
    return len(due)


def _plan_next(db: Database, gateway: Gateway, claimed: Payment, actor: Actor) -> None:
    with db.begin() as session:
        changes = load_one(session, claimed.id)
        known = changes.record
        payment = known.payment
        if payment.next_check_at != claimed.next_check_at:
            return  # what was heard asks for a look of its own: a refund that has to wait
        is_sure = witnesses.agree(session, actor.clock)
        if is_sure:
            _set_right(known, actor)
        status = PaymentStatus(payment.status)
        payment.next_check_at = next_check(
            status,
            gateway.polling,
            payment.created_at,
            payment.completed_at,
            actor.clock,
            is_unsettled=bool(payment.review) or known.standing.stops_our_clock,
        )
        if not is_sure:
            payment.next_check_at = witnesses.look_soon(payment.next_check_at, actor.clock)
        elif payment.next_check_at is None and status in OPEN:
            decide.give_up(known, actor)
        changes.write()


def _set_right(known: PaymentRecord, actor: Actor) -> None:
    """A payment made by a clock that was ahead begins now; else it would be young until that time comes."""
    payment, now = known.payment, actor.clock.now()
    ahead = payment.created_at - now
    if ahead > LEAP:
        evidence = {"createdAt": payment.created_at.isoformat(), "expiresAt": payment.expires_at.isoformat()}
        payment.created_at, payment.expires_at = now, payment.expires_at - ahead
        known.append("note", actor, "made by a clock that was ahead", evidence)
    if payment.completed_at and payment.completed_at > now + LEAP:
        payment.completed_at = now


def _plan_next_refund(db: Database, gateway: Gateway, claimed: Refund, clock: Clock) -> None:
    with db.begin() as session:
        payments.lock(session, claimed.payment_id)
        row = session.get_one(Refund, claimed.id)
        if row.status not in REFUND_OPEN:
            return
        row.next_check_at = next_refund_check(gateway.polling, row.created_at, clock)
        if not witnesses.agree(session, clock):
            row.next_check_at = witnesses.look_soon(row.next_check_at, clock)
        elif row.next_check_at is None:
            about = {"paymentId": str(row.payment_id), "amountPaise": row.amount}
            raise_alert(session, AlertCode.REFUND_UNRESOLVED, str(row.id), about, clock)
