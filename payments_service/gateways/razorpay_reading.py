"""What Razorpay says, read: its words, entities and events. Asking and authenticating is razorpay.py's.

Documents (razorpay.com/docs): api/orders/entity, api/payments/entity, api/refunds/entity,
api/disputes/entity, payments/magic-checkout/web (cash on delivery), webhooks/payments, webhooks/refunds,
webhooks/disputes. An answer is read as far as it can be; an event that is not exactly as documented is a
wake-up.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from payments_service.domain.clock import utc_now
from payments_service.domain.money import Money
from payments_service.domain.news import (
    AttemptSnapshot,
    DisputeSnapshot,
    EventKind,
    OrderRef,
    PaymentSnapshot,
    RefundSnapshot,
    WebhookEvent,
)
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.reading import UNREADABLE, text_or_none, whole, whole_or_none

Entity = Mapping[str, Any]

ORDER_STATUS = {
    "created": PaymentStatus.PENDING,
    "attempted": PaymentStatus.PENDING,
    "placed": PaymentStatus.PENDING,  # cash on delivery was promised
    "paid": PaymentStatus.COMPLETED,  # stays so even after a full refund
    # Magic Checkout's, of which the documents say no more than the name: see order_status
    "refunded": PaymentStatus.COMPLETED,
    "cancelled": PaymentStatus.FAILED,
    "expired": PaymentStatus.EXPIRED,
}
ATTEMPT_STATUS = {
    "created": AttemptStatus.PENDING,
    "pending": AttemptStatus.PENDING,
    "authorized": AttemptStatus.AUTHORIZED,
    "captured": AttemptStatus.SUCCEEDED,
    "refunded": AttemptStatus.REFUNDED,  # or VOIDED, see _attempt_status
    "failed": AttemptStatus.FAILED,
}
CASH_STATUS = {
    "created": AttemptStatus.PENDING,
    "pending": AttemptStatus.PLACED,
    "authorized": AttemptStatus.PLACED,  # still no cash
    "captured": AttemptStatus.COLLECTED,
    "refunded": AttemptStatus.VOIDED,  # Razorpay never held it
    "failed": AttemptStatus.FAILED,  # not confirmed within 45 days
}
"""Of cash on delivery, none of which passes through Razorpay."""
REFUND_STATUS = {
    "created": RefundStatus.PENDING,
    "pending": RefundStatus.PENDING,
    "processed": RefundStatus.COMPLETED,
    "failed": RefundStatus.FAILED,
}
EVENTS = {
    "payment.authorized": EventKind.PAYMENT,
    "payment.captured": EventKind.PAYMENT,
    "payment.failed": EventKind.PAYMENT,
    "payment.pending": EventKind.PAYMENT,
    "order.paid": EventKind.PAYMENT,
    "order.placed": EventKind.PAYMENT,
    "refund.created": EventKind.REFUND,
    "refund.processed": EventKind.REFUND,
    "refund.failed": EventKind.REFUND,
    "refund.speed_changed": EventKind.REFUND,
    "payment.dispute.created": EventKind.DISPUTE,
    "payment.dispute.under_review": EventKind.DISPUTE,
    "payment.dispute.action_required": EventKind.DISPUTE,
    "payment.dispute.won": EventKind.DISPUTE,
    "payment.dispute.lost": EventKind.DISPUTE,
    "payment.dispute.closed": EventKind.DISPUTE,
    "settlement.processed": EventKind.SETTLEMENT,
    "order.created": EventKind.IGNORED,
    "order.expired": EventKind.IGNORED,
}
IGNORED_FAMILIES = (
    "account.",
    "fulfillment.",
    "fund_account.",
    "invoice.",
    "order.notification.",
    "payment.downtime.",
    "payment_link.",
    "payout.",
    "payout_link.",
    "product.",
    "qr_code.",
    "subscription.",
    "token.",
    "transaction.",
    "transfer.",
    "virtual_account.",
)
"""Products of the same account that are not ours, and news about methods."""
DISPUTE_ENDS = frozenset({"won", "lost", "closed"})
DISPUTE_LOST = "lost"
DISPUTE_OPEN, DISPUTE_OPEN_AGAIN = "open", "action_required"
"""Of a dispute that has to be answered: its status, and the event's word when the evidence was not enough."""

PAYMENT_REFERENCES = ("rrn", "bank_transaction_id", "upi_transaction_id", "transaction_id", "auth_code")
REFUND_REFERENCES = ("arn", "rrn", "utr")
"""Members of acquirer_data, the one that a bank is asked by first; null until the bank has told it."""
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CAPTURE_WINDOW_MINUTES = 7200
"""Five days, the longest allowed: a late authorisation is still captured by Razorpay itself."""

# ── orders ──────────────────────────────────────────────────────────────────────────────────────────


def order_status(order: Entity, attempts: tuple[AttemptSnapshot, ...]) -> PaymentStatus | None:
    """What the order's own word comes to beside its attempts; None for a word that we do not know.

    Cash does not pay an order, held money makes it authorized, and an order that money has come to is
    not over, whichever word it bears: then it is asked for again.
    """
    word = order["status"]
    if not isinstance(word, str):
        raise TypeError("a status is a word")
    status = ORDER_STATUS.get(word)
    found = {attempt.status for attempt in attempts}
    if word == "refunded" and not is_covered(order, attempts):
        status = PaymentStatus.PENDING
    if status is PaymentStatus.COMPLETED and found.intersection(CASH) and not is_covered(order, attempts):
        return PaymentStatus.PENDING
    if status in (None, PaymentStatus.COMPLETED):
        return status
    if AttemptStatus.AUTHORIZED in found:
        return PaymentStatus.AUTHORIZED
    if found & MONEY or order.get("amount_paid"):
        return PaymentStatus.PENDING
    return status


def order_word(order: Entity, status: PaymentStatus | None, attempts: tuple[AttemptSnapshot, ...]) -> str:
    """The word of the attempt that decides, else the order's own; `cod_` before that of cash on delivery."""
    is_open = status not in (PaymentStatus.COMPLETED, PaymentStatus.AUTHORIZED)
    for wanted in () if status is None else (*CASH, *DECIDING) if is_open else DECIDING:
        for attempt in attempts:
            if attempt.status is wanted:
                return f"cod_{attempt.gateway_status}" if wanted in CASH else attempt.gateway_status
    word: str = order["status"]
    return word


CASH = (AttemptStatus.COLLECTED, AttemptStatus.PLACED)
PAID = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.REFUNDED})
MONEY = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.COLLECTED, None})
"""Attempts beside which an order is not over. None is a word that we do not know."""
BELIEVED_FOR = timedelta(minutes=14)
"""For so long an order's own count of attempts is enough: less than the shortest ORDER_EXPIRY."""
DECIDING = (AttemptStatus.SUCCEEDED, AttemptStatus.REFUNDED, AttemptStatus.AUTHORIZED)


def order_amount(order: Entity) -> Money:
    return Money(whole(order["amount"]), order["currency"])


def is_untouched(order: Entity, now: datetime) -> bool:
    """Whether no payer has tried to pay it yet, by its own word and count, which may lag behind: an order
    that our clock could end is not believed, and its payments are listed."""
    made = time_or_none(order.get("created_at"))
    is_young = made is not None and abs(now - made) < BELIEVED_FOR
    has_none = type(order.get("attempts")) is int and order["attempts"] == 0
    return is_young and order.get("status") == "created" and has_none and not order.get("amount_paid")


def misses_money(order: Entity, attempts: tuple[AttemptSnapshot, ...]) -> bool:
    """Whether money came to it by its own sum, and its payments, which may lag behind, show none."""
    is_seen = any(attempt.status in {*PAID, AttemptStatus.COLLECTED} for attempt in attempts)
    return bool(order.get("amount_paid")) and not is_seen


def is_covered(order: Entity, attempts: tuple[AttemptSnapshot, ...]) -> bool:
    """Whether what was captured comes to the order's amount."""
    paid = (attempt.amount.minor for attempt in attempts if attempt.status in PAID)
    return sum(paid) >= order_amount(order).minor


# ── attempts, refunds, disputes ─────────────────────────────────────────────────────────────────────


def attempt(entity: Entity) -> AttemptSnapshot:
    """A payment of Razorpay's. Only id, amount and currency are needed; without a status it is unknown."""
    word, method = _word(entity), text_or_none(entity.get("method"))
    return AttemptSnapshot(
        transaction_id=identifier(entity["id"]),
        status=_attempt_status(word, entity),
        gateway_status=word,
        amount=Money(whole(entity["amount"]), entity["currency"]),
        method=method,
        error_code=text_or_none(entity.get("error_code")),
        capture_by=None if method == "cod" else _capture_by(entity.get("created_at")),
        bank_reference=_reference(entity, PAYMENT_REFERENCES),
    )


def _word(entity: Entity) -> str:
    return text_or_none(entity.get("status")) or ""


def _attempt_status(word: str, entity: Entity) -> AttemptStatus | None:
    if str(entity.get("method")).strip().lower() == "cod":
        return CASH_STATUS.get(word)
    status = ATTEMPT_STATUS.get(word)
    if status is AttemptStatus.REFUNDED and entity.get("captured") is not True:
        # Refunded by Razorpay as it was not captured in time; without the member that says so, unknown.
        return AttemptStatus.VOIDED if entity.get("captured") is False else None
    return status


def says_paid(order: Entity) -> bool:
    return order.get("status") == "paid" or bool(order.get("amount_paid"))


def gave_back(entity: Entity) -> bool:
    """By its amount; where that is missing, by the members that say so beside it."""
    if (told := entity.get("amount_refunded")) is not None:
        return bool(told)
    return bool(entity.get("refund_status")) or _word(entity) == "refunded"


def moved_money(entity: Entity) -> bool:
    """Whether a payment that cannot be read says that money may have moved, or cash was promised."""
    return _word(entity) not in ("", "created", "failed")


def refund(entity: Entity) -> RefundSnapshot:
    """Refunds of accounts from before statuses were added have none: None then."""
    word = _word(entity)
    return RefundSnapshot(
        gateway_refund_id=identifier(entity["id"]),
        refund_id=text_or_none(entity.get("receipt")),
        transaction_id=identifier(entity["payment_id"]),
        status=REFUND_STATUS.get(word),
        gateway_status=word,
        amount=Money(whole(entity["amount"]), entity["currency"]),
        bank_reference=_reference(entity, REFUND_REFERENCES),
    )


def dispute(entity: Entity, observed_at: datetime, event: str = "") -> DisputeSnapshot:
    """Its own status says whether it is over; beside an event's name, either does.

    What it took is said by amount_deducted, in any status: one that was won may have taken a part.
    """
    words = {entity["status"], event.rpartition(".")[2]}
    is_closed = not DISPUTE_ENDS.isdisjoint(words)
    deducted = whole_or_none(entity.get("amount_deducted"))
    return DisputeSnapshot(
        dispute_id=identifier(entity["id"]),
        transaction_id=identifier(entity["payment_id"]),
        gateway_status=entity["status"],
        amount=Money(whole(entity["amount"]), entity["currency"]),
        is_closed=is_closed,
        is_lost=DISPUTE_LOST in words,
        needs_answer=not is_closed and not words.isdisjoint((DISPUTE_OPEN, DISPUTE_OPEN_AGAIN)),
        asks_again=not is_closed and DISPUTE_OPEN_AGAIN in words,
        deducted=None if deducted is None else Money(deducted, entity["currency"]),
        observed_at=observed_at,
        phase=text_or_none(entity.get("phase")),
        reason=text_or_none(entity.get("reason_code")),
        respond_by=time_or_none(entity.get("respond_by")),
    )


def identifier(value: object) -> str:
    """An id of Razorpay's, which goes into paths and rows; ValueError for what cannot be one."""
    if not isinstance(value, str) or not IDENTIFIER.fullmatch(value):
        raise ValueError("not an id")
    return value


def time_or_none(seconds: object) -> datetime | None:
    """A time beside the facts: that it is missing or strange must not hide them."""
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit() and len(seconds) <= 11:
        seconds = int(seconds)
    if type(seconds) is not int or not 0 < seconds < 2**35:
        return None
    return EPOCH + timedelta(seconds=seconds)


def _capture_by(created_at: object) -> datetime | None:
    created = time_or_none(created_at)
    return created and created + timedelta(minutes=CAPTURE_WINDOW_MINUTES)


def _reference(entity: Entity, names: tuple[str, ...]) -> str | None:
    told = entity.get("acquirer_data")
    if not isinstance(told, Mapping):
        return None
    return next(filter(None, (text_or_none(told.get(name)) for name in names)), None)


# ── events ──────────────────────────────────────────────────────────────────────────────────────────


def event(event_id: str, body: Any) -> WebhookEvent:
    """What an authentic event says, or that its order is to be asked for; UNREADABLE without a type."""
    if not isinstance(body, Mapping):
        return WebhookEvent(event_id, "unreadable", EventKind.UNREADABLE)
    told = body.get("event")
    name = text_or_none(told) if isinstance(told, str) else None
    entities = {part: _entity(body, part) for part in ("payment", "order", "refund", "dispute")}
    order_id = _id_or_none(entities["payment"], "order_id") or _id_or_none(entities["order"], "id")
    payment_ids = (
        _id_or_none(entities["refund"], "payment_id"),
        _id_or_none(entities["dispute"], "payment_id"),
        _id_or_none(entities["payment"], "id"),
    )
    payment_id = next(filter(None, payment_ids), None)
    bare = WebhookEvent(
        event_id,
        name or "unreadable",
        _kind(name) if name else EventKind.UNREADABLE,
        order=OrderRef("", order_id) if order_id else None,
        transaction_id=None if order_id else payment_id,
        refund_id=None if order_id or payment_id else _id_or_none(entities["refund"], "id"),
    )
    if bare.kind not in READ:
        return bare
    try:
        return READ[bare.kind](bare, body, entities)
    except UNREADABLE:
        dispute_id = _id_or_none(entities["dispute"], "id")
        names_it = bool(bare.order or bare.transaction_id or dispute_id)
        return replace(bare, wake_up=names_it, dispute_id=dispute_id)


def _payment_event(bare: WebhookEvent, body: Entity, entities: Mapping[str, Entity | None]) -> WebhookEvent:
    """Without the order's entity the payment's amount stands for the order's."""
    if bare.order is None:
        raise LookupError("no order: its payment leads to it")
    tried = attempt(_genuine(entities["payment"], "method"))  # unless it is told, it may be cash
    needs_order = bare.type.startswith("order.") or "order" in body["payload"]
    needs_refund = bare.kind is EventKind.REFUND or "refund" in body["payload"]
    status, amount, about = _status_by_attempt(tried), tried.amount, bare.order
    if needs_order:
        told = _genuine(entities["order"])
        about = OrderRef(text_or_none(told.get("receipt")) or "", bare.order.gateway_order_id)
        status, amount = order_status(told, (tried,)), order_amount(told)
    if status in (PaymentStatus.FAILED, PaymentStatus.EXPIRED):
        raise ValueError("one attempt of perhaps many does not say that an order is over")
    snapshot = PaymentSnapshot(
        order=about,
        status=status,
        gateway_status=f"cod_{tried.gateway_status}" if tried.status in CASH else tried.gateway_status,
        amount=amount,
        observed_at=_happened_at(body),
        attempts=(tried,),
        refunds=(refund(_genuine(entities["refund"])),) if needs_refund else None,
    )
    return replace(bare, order=about, snapshot=snapshot)


def _refund_event(bare: WebhookEvent, body: Entity, entities: Mapping[str, Entity | None]) -> WebhookEvent:
    """Its payment need not be there, nor say of which order it is: the refund names it."""
    if bare.order is not None and entities["payment"] is not None:
        return _payment_event(bare, body, entities)
    told = refund(_genuine(entities["refund"]))
    return replace(bare, refund=told, transaction_id=None if bare.order else told.transaction_id)


def _dispute_event(bare: WebhookEvent, body: Entity, entities: Mapping[str, Entity | None]) -> WebhookEvent:
    """In documented samples the payment beside it has an old status and no order: only the dispute counts."""
    told = _genuine(entities["dispute"])
    observed_at = _time_of(body) or utc_now()
    return replace(bare, dispute=dispute(told, observed_at, bare.type))


READ = {
    EventKind.PAYMENT: _payment_event,
    EventKind.REFUND: _refund_event,
    EventKind.DISPUTE: _dispute_event,
}


def _kind(name: str) -> EventKind:
    unknown = EventKind.IGNORED if name.startswith(IGNORED_FAMILIES) else EventKind.UNKNOWN
    return EVENTS.get(name, unknown)


def _entity(body: Entity, part: str) -> Entity | None:
    for member in ("payload", part, "entity"):
        inner = body.get(member)
        if not isinstance(inner, Mapping):
            return None
        body = inner
    return body


def _genuine(entity: Entity | None, *words: str) -> Entity:
    """An event's entity, if amount, currency, status and further words are as in the documents; else ask."""
    if entity is None:
        raise TypeError("no entity")
    told = tuple(entity[name] for name in ("currency", "status", *words))
    if type(entity["amount"]) is not int or not all(isinstance(w, str) and text_or_none(w) for w in told):
        raise TypeError("not as documented")
    return entity


def _id_or_none(entity: Entity | None, member: str) -> str | None:
    value = (entity or {}).get(member)
    return value if isinstance(value, str) and IDENTIFIER.fullmatch(value) else None


def _time_of(body: Entity) -> datetime | None:
    """In one documented sample it stands inside the payload."""
    seconds = body["created_at"] if "created_at" in body else body["payload"].get("created_at")
    return time_or_none(seconds) if type(seconds) is int else None


def _happened_at(body: Entity) -> datetime:
    happened_at = _time_of(body)
    if happened_at is None:
        raise ValueError("no time")
    return happened_at


def _status_by_attempt(tried: AttemptSnapshot) -> PaymentStatus | None:
    match tried.status:
        case AttemptStatus.SUCCEEDED | AttemptStatus.REFUNDED:
            return PaymentStatus.COMPLETED
        case AttemptStatus.AUTHORIZED:
            return PaymentStatus.AUTHORIZED
        case None:
            return None
        case _:
            return PaymentStatus.PENDING  # a failed attempt says nothing about the order, and cash pays none
