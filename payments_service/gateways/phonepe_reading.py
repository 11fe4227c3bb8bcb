"""What PhonePe V2 tells by webhook: which event, of which order. Nothing of a body is believed.

Documents (developer.phonepe.com, read 2026-11): v2 webhook, chargeback/webhook, split-settlement/webhook,
health-check/webhook, autopay; CallbackType of phonepe-pg-sdk-python 3.0.1.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from payments_service.domain.news import EventKind, OrderRef, WebhookEvent
from payments_service.domain.states import PaymentStatus
from payments_service.gateways.reading import UNREADABLE, text_or_none

ORDER_STATUS = {
    "CREATED": PaymentStatus.PENDING,  # custom checkout's sample of an order that was never tried
    "PENDING": PaymentStatus.PENDING,  # also after a failed attempt
    "COMPLETED": PaymentStatus.COMPLETED,
    "FAILED": PaymentStatus.FAILED,  # or EXPIRED, see order_status
    "EXPIRED": PaymentStatus.EXPIRED,  # in one sample of a webhook
}
EVENTS = {
    "checkout.order.completed": EventKind.PAYMENT,
    "checkout.order.failed": EventKind.PAYMENT,
    "checkout.transaction.attempt.failed": EventKind.PAYMENT,  # the order stays payable
    "pg.order.completed": EventKind.PAYMENT,
    "pg.order.failed": EventKind.PAYMENT,
    "pg.transaction.attempt.failed": EventKind.PAYMENT,
    "pg.transaction.failed": EventKind.PAYMENT,  # the order stays payable
    "pg.refund.accepted": EventKind.REFUND,
    "pg.refund.completed": EventKind.REFUND,
    "pg.refund.failed": EventKind.REFUND,
    "payment.dispute.created": EventKind.DISPUTE,
    "payment.dispute.action_required": EventKind.DISPUTE,
    "payment.dispute.under_review": EventKind.DISPUTE,
    "payment.dispute.won": EventKind.DISPUTE,
    "payment.dispute.lost": EventKind.DISPUTE,
    "settlement.initiated": EventKind.SETTLEMENT,
    "settlement.processed": EventKind.SETTLEMENT,
    "settlement.attempt.failed": EventKind.SETTLEMENT,
    "order.split.settlement.accepted": EventKind.SETTLEMENT,
    "order.split.settlement.failed": EventKind.SETTLEMENT,
}
OLDER_NAMES = {name.upper().replace(".", "_"): name for name in EVENTS}
"""`type` is the older name of `event`."""
IGNORED_FAMILIES = ("paylink.", "subscription.", "downtime.")
"""Products of the same account that are not ours, and troubles of banks."""
OTHER_PRODUCTS = ("SUBSCRIPTION_", "PAYLINK")
"""How paymentFlow.type begins where another product's order comes under a checkout's event name."""
NAMELESS = "unreadable"
BARE_REFUND = "pg.refund"
"""Our word for the refund events of which the documents show no envelope."""

FINAL = frozenset({PaymentStatus.COMPLETED, PaymentStatus.FAILED, PaymentStatus.EXPIRED})
"""What an event may claim. Anything else is no claim."""
ORDER_EXPIRED = "ORDER_EXPIRED"
PAYMENT_ID = re.compile(r"OM[A-Za-z0-9]{6,60}")
NOT_A_PAYMENTS_ID = ("OMO", "OMR")
"""How the ids of orders and refunds begin."""
DISPUTE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What may stand in a path: the bodies that name a dispute are no proof."""


def order_status(entity: Mapping[str, Any]) -> PaymentStatus | None:
    """The root state decides; the attempts below it may say otherwise."""
    status = ORDER_STATUS.get(text_or_none(entity.get("state")) or "")
    if status is PaymentStatus.FAILED and ORDER_EXPIRED in (
        entity.get("errorCode"),
        entity.get("detailedErrorCode"),
    ):
        return PaymentStatus.EXPIRED
    return status


def says_paid(entity: Mapping[str, Any]) -> bool:
    return order_status(entity) is PaymentStatus.COMPLETED


def read_event(event_id: str, raw_body: bytes) -> WebhookEvent:
    """An authentic body; a member that is missing or spoiled leaves the others as they are."""
    try:
        body = json.loads(raw_body)
        name, payload = _name(body), body.get("payload")
    except UNREADABLE:
        return WebhookEvent(event_id, "unreadable", EventKind.UNREADABLE)
    return _event(event_id, name, payload if isinstance(payload, Mapping) else body)


def _name(body: Mapping[str, Any]) -> str:
    if name := text_or_none(body.get("event")):
        return name
    if older := text_or_none(body.get("type")):
        return OLDER_NAMES.get(older, older.lower().replace("_", "."))
    if "refundId" in body:
        return BARE_REFUND
    return NAMELESS


def _event(event_id: str, name: str, payload: Mapping[str, Any]) -> WebhookEvent:
    """Refund events do not wake, for asking for the order would say nothing of its refunds."""
    kind = _kind(name, payload)
    order, payment_id = _order_of(kind, payload), _payment_of(payload)
    wakes = kind in (EventKind.PAYMENT, EventKind.DISPUTE)
    status = order_status(payload) if kind is EventKind.PAYMENT else None
    return WebhookEvent(
        event_id,
        name,
        kind,
        order,
        wake_up=wakes,
        claims=status if status in FINAL else None,
        transaction_id=None if order and order.wire_id else payment_id,
        refund_id=None if order or payment_id else _refund_of(payload),
        dispute_id=_dispute_of(payload) if kind is EventKind.DISPUTE else None,
    )


def _kind(name: str, payload: Mapping[str, Any]) -> EventKind:
    if name == BARE_REFUND:
        return EventKind.REFUND
    if name == NAMELESS:
        return EventKind.UNREADABLE
    if name.startswith(IGNORED_FAMILIES):
        return EventKind.IGNORED
    kind = EVENTS.get(name, EventKind.UNKNOWN)
    flow = payload.get("paymentFlow")
    product = text_or_none(flow.get("type")) if isinstance(flow, Mapping) else None
    if kind is EventKind.PAYMENT and product and product.startswith(OTHER_PRODUCTS):
        return EventKind.IGNORED
    return kind


def _order_of(kind: EventKind, payload: Mapping[str, Any]) -> OrderRef | None:
    """By our own id where it is told: PhonePe's beside it would be one more thing that is not signed."""
    our_name = "originalMerchantOrderId" if kind is EventKind.REFUND else "merchantOrderId"
    if wire_id := text_or_none(payload.get(our_name)):
        return OrderRef(wire_id)
    gateway_order_id = text_or_none(payload.get("orderId"))
    return OrderRef("", gateway_order_id) if gateway_order_id else None


def _payment_of(payload: Mapping[str, Any]) -> str | None:
    """The payment that an event names, for one without our order id: a dispute's, or that of an attempt."""
    details = payload.get("paymentDetails")
    for entity in (payload, *(details if isinstance(details, list) else ())):
        told = text_or_none(entity.get("transactionId")) if isinstance(entity, Mapping) else None
        if told and PAYMENT_ID.fullmatch(told) and not told.startswith(NOT_A_PAYMENTS_ID):
            return told
    return None


def _refund_of(payload: Mapping[str, Any]) -> str | None:
    """The refund that an event names, by our id where it is told."""
    return text_or_none(payload.get("merchantRefundId")) or text_or_none(payload.get("refundId"))


def _dispute_of(payload: Mapping[str, Any]) -> str | None:
    told = text_or_none(payload.get("disputeId"))
    return told if told and DISPUTE_ID.fullmatch(told) else None
