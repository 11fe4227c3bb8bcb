"""A gateway calls: authenticate, keep the event and its effect in one transaction, answer 200."""

import logging
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.clock import REAL_TIME, Clock
from payments_service.errors import PaymentsError
from payments_service.flows import sync
from payments_service.flows.alerts import raise_alert
from payments_service.flows.schedule import next_follow_up
from payments_service.flows.sync import FollowUp
from payments_service.gateways.base import WIRE_PREFIX, Deadline, EventKind, Gateway, Urgency, WebhookEvent
from payments_service.ledger import inbox, payments
from payments_service.ledger.db import Database
from payments_service.ledger.events import Bell
from payments_service.ledger.tables import LOST, PaymentWebhook

log = logging.getLogger(__name__)

SWEEP_SECONDS = 10.0
FOLLOW_UP_SECONDS = 2.0
"""Gateways wait three to five seconds for their answer; what takes longer is done by others."""

NOT_OURS_TO_APPLY = (EventKind.IGNORED, EventKind.UNKNOWN, EventKind.UNREADABLE, EventKind.SETTLEMENT)


def receive(db: Database, gateway: Gateway, headers: Mapping[str, str], raw_body: bytes) -> None:
    """Take in one webhook. Raises MissingCredentials, SignatureInvalid, or StoreUnavailable, and then
    nothing was kept; otherwise the event is stored, whatever it says."""
    event = gateway.read_webhook(headers, raw_body)
    with db.begin() as session:
        row = _store(session, gateway, event, headers, raw_body)
        if row is None:
            log.info("Webhook again", extra={"data": _about(gateway, event)})
            return
        payment_id, follow_up = _take_effect(session, gateway, event, row)
        log.info("Webhook", extra={"data": {**_about(gateway, event), "outcome": row.outcome}})
        row_id = row.id
    if payment_id and follow_up is not FollowUp.NOTHING:
        _follow_up(db, gateway, payment_id, row_id, event)


def _store(
    session: Session, gateway: Gateway, event: WebhookEvent, headers: Mapping[str, str], raw_body: bytes
) -> PaymentWebhook | None:
    return inbox.store(
        session,
        gateway=gateway.name,
        provider=gateway.provider,
        event_id=event.event_id,
        webhook_type=event.type,
        order_id=_order_id(event),
        headers=headers,
        payload=raw_body,
    )


def _take_effect(
    session: Session, gateway: Gateway, event: WebhookEvent, row: PaymentWebhook
) -> tuple[UUID | None, FollowUp]:
    if event.kind in NOT_OURS_TO_APPLY or event.order is None:
        row.processed, row.outcome = True, _why_left(event)
        if event.kind in (EventKind.UNKNOWN, EventKind.UNREADABLE):
            log.error("Webhook not understood", extra={"data": _about(gateway, event)})
        return None, FollowUp.NOTHING
    if event.order.gateway_order_id:
        payments.lock_order_name(session, gateway.provider, event.order.gateway_order_id)
    order = payments.order_by_reference(
        session,
        gateway.provider,
        wire_id=event.order.wire_id,
        gateway_order_id=event.order.gateway_order_id,
    )
    if order is None:
        row.outcome = "foreign"
        if event.order.wire_id.startswith(WIRE_PREFIX):
            raise_alert(session, "unknown_order", event.order.wire_id, _about(gateway, event), REAL_TIME)
        return None, FollowUp.NOTHING
    payment = payments.lock(session, order.payment_id)
    session.refresh(order)  # it was read before the lock was ours
    return payment.id, sync.apply_event(session, gateway, payment, order, event, row)


def _why_left(event: WebhookEvent) -> str:
    known = event.kind not in (EventKind.IGNORED, EventKind.UNKNOWN, EventKind.UNREADABLE)
    return "stored" if known else event.kind.value


def _follow_up(db: Database, gateway: Gateway, payment_id: UUID, row_id: UUID, event: WebhookEvent) -> None:
    """What the event makes necessary at the gateway. The answer is 200 whatever comes of it."""
    try:
        deadline = Deadline(FOLLOW_UP_SECONDS, Urgency.WAKE_UP)
        sync.refresh(db, gateway, payment_id, Bell("webhook", event.event_id), deadline)
        _confirm(db, payment_id, row_id, event)
    except PaymentsError as error:
        log.warning("Webhook follow-up left open", extra={"data": {"id": payment_id, "error": error.code}})
    except Exception:
        log.exception("Webhook follow-up failed", extra={"data": {"id": payment_id}})


def try_again(db: Database, gateway: Gateway, row_id: UUID, clock: Clock) -> None:
    """Apply an event that was kept: its effect when it failed, then the gateway's own word.

    The caller holds the row's lease. Raises GatewayError when the gateway could not be asked.
    """
    with db.begin() as session:
        row = session.get_one(PaymentWebhook, row_id)
        event = gateway.reread_webhook(row.event_id, row.payload)
        next_try_at = next_follow_up(gateway.polling, row.created_at, clock)
        payment_id, follow_up = row.payment_id, FollowUp.FETCH
        if row.outcome != "waiting":
            payment_id, follow_up = _take_effect(session, gateway, event, row)
        if next_try_at is not None:
            row.next_try_at = next_try_at
    try:
        if payment_id and follow_up is not FollowUp.NOTHING:
            bell = Bell("worker", event.event_id, clock)
            sync.refresh(db, gateway, payment_id, bell, Deadline(SWEEP_SECONDS, Urgency.WAKE_UP))
            _confirm(db, payment_id, row_id, event)
    finally:
        if next_try_at is None:  # this was the last time to ask
            _give_up(db, row_id, _about(gateway, event))


def _confirm(db: Database, payment_id: UUID, row_id: UUID, event: WebhookEvent) -> None:
    """What had to wait for the gateway's own word is done with when that word was as claimed."""
    with db.begin() as session:
        row = session.get_one(PaymentWebhook, row_id)
        payment = payments.lock(session, payment_id)
        if row.outcome != "waiting":
            return
        if sync.has_reached(payment, event) or _is_end_of_a_lost_order(session, row, event):
            row.processed, row.outcome = True, "applied"
        else:
            log.warning("Webhook not confirmed by the gateway", extra={"data": {"id": payment_id}})


def _is_end_of_a_lost_order(session: Session, row: PaymentWebhook, event: WebhookEvent) -> bool:
    """Nobody was ever sent there: that it ended without money says nothing of the payment."""
    if event.order is None or event.claims in sync.PAID_FOR:
        return False
    order = payments.order_by_reference(
        session,
        row.provider,
        wire_id=event.order.wire_id,
        gateway_order_id=event.order.gateway_order_id,
    )
    return order is not None and order.status == LOST


def _give_up(db: Database, row_id: UUID, about: dict[str, str | None]) -> None:
    with db.begin() as session:
        row = session.get_one(PaymentWebhook, row_id)
        row.next_try_at = None
        if not row.processed:
            row.processed, row.outcome = True, "unconfirmed"
            log.error("Webhook never confirmed", extra={"data": about})


def _about(gateway: Gateway, event: WebhookEvent) -> dict[str, str | None]:
    return {
        "gateway": gateway.name,
        "type": event.type,
        "kind": event.kind.value,
        "eventId": event.event_id,
        "orderId": _order_id(event),
    }


def _order_id(event: WebhookEvent) -> str | None:
    return (event.order.gateway_order_id or event.order.wire_id) if event.order else None
