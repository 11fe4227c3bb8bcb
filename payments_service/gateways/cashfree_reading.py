"""What Cashfree's answers and events mean: orders, attempts, refunds, disputes, webhooks.

Documents: the OpenAPI contract 2025-01-01; www.cashfree.com/docs: payments/online/webhooks/overview,
payments/manage/disputes/overview, api-reference/payments/latest/payments/preauthorisation; how cash on
delivery is told: the official WooCommerce plugin 4.7.7.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

from payments_service.domain.money import Money
from payments_service.domain.news import (
    AttemptSnapshot,
    Checkout,
    DisputeSnapshot,
    EventKind,
    OrderRef,
    PaymentSnapshot,
    RefundSnapshot,
    WebhookEvent,
)
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.reading import UNREADABLE, each, text_or_none

ORDER_STATUS = {
    "ACTIVE": PaymentStatus.PENDING,  # also after a failed attempt
    "PAID": PaymentStatus.COMPLETED,  # stays so even after a full refund
    "EXPIRED": PaymentStatus.EXPIRED,
    "TERMINATION_REQUESTED": PaymentStatus.PENDING,  # an attempt that is under way may still succeed
    "TERMINATED": PaymentStatus.EXPIRED,
}
ATTEMPT_STATUS = {
    "NOT_ATTEMPTED": AttemptStatus.PENDING,
    "PENDING": AttemptStatus.PENDING,
    "FLAGGED": AttemptStatus.PENDING,  # held back by the risk team
    "SUCCESS": AttemptStatus.SUCCEEDED,  # unless it is cash or only held, see _attempt_status
    "FAILED": AttemptStatus.FAILED,
    "USER_DROPPED": AttemptStatus.FAILED,
    "CANCELLED": AttemptStatus.VOIDED,  # too late a success: Cashfree sends the money back by itself
    "VOID": AttemptStatus.VOIDED,  # a pre-authorisation that was never captured
}
CASH = {
    "cashondelivery": AttemptStatus.PLACED,
    "cod": AttemptStatus.PLACED,
    "cash": AttemptStatus.COLLECTED,
}
"""Payment groups and methods whose SUCCESS brings Cashfree no money: promised at the door, or taken there.
Their letters alone, as how they are written is not documented."""
CASH_WORDS = {AttemptStatus.PLACED: "CASH_ON_DELIVERY", AttemptStatus.COLLECTED: "CASH"}
HELD, CAPTURE_PENDING, CAPTURED_PARTLY = "AUTHORIZED", "CAPTURE_PENDING", "CAPTURED_PARTLY"
"""Our words for a pre-authorisation, which Cashfree calls SUCCESS as it does captured money."""
MISSES_MONEY = frozenset({*CASH_WORDS.values(), CAPTURED_PARTLY})
"""Words of attempts that explain why an order that is told as PAID is not."""
NO_MONEY = frozenset({AttemptStatus.PENDING, AttemptStatus.FAILED, AttemptStatus.VOIDED})
REFUND_STATUS = {
    "INITIATED": RefundStatus.PENDING,  # automatic refunds
    "PENDING": RefundStatus.PENDING,
    "ONHOLD": RefundStatus.PENDING,  # the merchant's balance is too low, or the risk team looks at it
    "SUCCESS": RefundStatus.COMPLETED,
    "CANCELLED": RefundStatus.FAILED,
    "FAILED": RefundStatus.FAILED,
}
DISPUTE_WON, DISPUTE_LOST, DISPUTE_ACCEPTED = "_MERCHANT_WON", "_MERCHANT_LOST", "_MERCHANT_ACCEPTED"
"""How the status of a closed dispute ends. A later stage may reopen it under the same id."""
DISPUTE_QUESTION = "RETRIEVAL_"
"""How the status begins of a bank's question before any chargeback: to lose it takes no money. But what the
merchant accepts is given back from the balance at every stage (docs: disputes-states, Merchant Accepted)."""
DISPUTE_ASKS, DISPUTE_ASKS_AGAIN = "_CREATED", "_INSUFFICIENT_EVIDENCE"
"""How the status ends of one that the merchant has to answer."""
EVENTS = {
    "PAYMENT_SUCCESS_WEBHOOK": EventKind.PAYMENT,
    "PAYMENT_FAILED_WEBHOOK": EventKind.PAYMENT,
    "PAYMENT_USER_DROPPED_WEBHOOK": EventKind.PAYMENT,
    "REFUND_STATUS_WEBHOOK": EventKind.REFUND,
    "AUTO_REFUND_STATUS_WEBHOOK": EventKind.REFUND,
    "DISPUTE_CREATED": EventKind.DISPUTE,
    "DISPUTE_UPDATED": EventKind.DISPUTE,
    "DISPUTE_CLOSED": EventKind.DISPUTE,
    "SETTLEMENT_INITIATED": EventKind.SETTLEMENT,
    "SETTLEMENT_SUCCESS": EventKind.SETTLEMENT,
    "SETTLEMENT_FAILED": EventKind.SETTLEMENT,
    "SETTLEMENT_REVERSED": EventKind.SETTLEMENT,
    "WEBHOOK": EventKind.IGNORED,  # the dashboard's button "Test"
}
IGNORED_FAMILIES = (
    "VENDOR_",
    "INSTRUMENT_",
    "SUBSCRIPTION_",
    "PAYMENT_LINK_",
    "PAYMENT_FORM_",
    "PAYMENT_CHARGES_",
    "HEALTH_ALERT",
)
"""Products of the same account that are not ours, news about charges, and incidents of banks."""

HOLDERS = ("order", "refund", "auto_refund", "order_details", "payment", "dispute")
"""Where in an event's data the ids of order and payment stand, by the event's family."""
IST = timezone(timedelta(hours=5, minutes=30))


# ── orders ──────────────────────────────────────────────────────────────────────────────────────────


def named(entity: Mapping[str, Any], wire_id: str) -> Mapping[str, Any]:
    if entity["order_id"] != wire_id:
        raise ValueError("an answer about another order")
    return entity


def checkout(entity: Mapping[str, Any]) -> Checkout:
    """Cashfree knows the order by our own id; its number for it, which can be counted, is for its support."""
    cf_order_id = text_or_none(entity.get("cf_order_id"))
    return Checkout(
        gateway_order_id=entity["order_id"],
        gateway_status=order_word(entity),
        amount=order_amount(entity),
        fields={
            "paymentSessionId": id_text(entity["payment_session_id"]),
            **({"cfOrderId": cf_order_id} if cf_order_id else {}),
        },
    )


def checkout_or_none(entity: Mapping[str, Any]) -> Checkout | None:
    """How to open an order that can still be paid: an answer without it is no reason to doubt the rest."""
    if order_word(entity) != "ACTIVE":
        return None
    try:
        return checkout(entity)
    except UNREADABLE:
        return None


def is_open(entity: Mapping[str, Any], now: datetime) -> bool:
    """Whether Cashfree itself will say later how it ended; where its end is not told, it may be over."""
    try:
        ends_at = datetime.fromisoformat(entity["order_expiry_time"])
        return order_word(entity) == "ACTIVE" and now < ends_at
    except UNREADABLE:
        return False


def order_word(entity: Mapping[str, Any]) -> str:
    return _word(entity["order_status"])


def says_paid(entity: Mapping[str, Any]) -> bool:
    return ORDER_STATUS.get(entity["order_status"]) is PaymentStatus.COMPLETED


def order_amount(entity: Mapping[str, Any]) -> Money:
    return Money.from_major(entity["order_amount"], _word(entity["order_currency"]))


def order_claim(
    word: str, attempts: Sequence[AttemptSnapshot], ordered: Money
) -> tuple[PaymentStatus | None, str]:
    """The order's status and the word for it.

    The order's own word decides. But PAID is not believed where cash, a hold or a partial capture stands
    for money that is missing, and money that is held is authorized under every word.
    """
    status = ORDER_STATUS.get(word)
    if status is None:
        return None, word
    captured = [one for one in attempts if one.status is AttemptStatus.SUCCEEDED]
    if sum(one.amount.minor for one in captured) < ordered.minor:
        for one in attempts:
            if one.status is AttemptStatus.AUTHORIZED:
                return PaymentStatus.AUTHORIZED, one.gateway_status
        for one in attempts:
            if one.gateway_status in MISSES_MONEY and word != "TERMINATED":
                return PaymentStatus.PENDING, one.gateway_status
    if status is PaymentStatus.EXPIRED and any(one.status is None for one in attempts):
        return None, word  # a word that we do not know may be one for money
    if status is not PaymentStatus.COMPLETED:
        return status, word
    if captured:
        return status, captured[0].gateway_status
    is_released = any(one.status is AttemptStatus.VOIDED for one in attempts)
    return (PaymentStatus.PENDING if is_released else status), word


# ── attempts ────────────────────────────────────────────────────────────────────────────────────────


def attempts(provider: str, answer: Any, word: str, ordered: Money) -> tuple[AttemptSnapshot, ...]:
    """Each attempt that can be read.

    One that cannot be read decides where it may be what paid the order: not while the order waits for
    its payment, and not beside an attempt that paid all of it.
    """
    payments, read = items(answer), partial(attempt, ordered=ordered)
    found = tuple(each(provider, payments, read, decides=lambda _: False))
    is_paid = any(one.status is AttemptStatus.SUCCEEDED and ordered <= one.amount for one in found)
    if is_paid or ORDER_STATUS.get(word) is PaymentStatus.PENDING:
        return found
    return tuple(each(provider, payments, read, decides=_may_bring_money))


def _may_bring_money(payment: Mapping[str, Any]) -> bool:
    word = payment.get("payment_status")
    return not isinstance(word, str) or ATTEMPT_STATUS.get(word) not in NO_MONEY


def attempt(payment: Mapping[str, Any], ordered: Money, error: Any = None) -> AttemptSnapshot:
    """In an event, `error` stands beside the payment."""
    status, word = _attempt_status(payment)
    error = payment.get("error_details") if error is None else error
    return AttemptSnapshot(
        transaction_id=id_text(payment["cf_payment_id"]),
        status=status,
        gateway_status=word,
        amount=_paid_amount(payment, ordered, status),
        method=text_or_none(payment.get("payment_group")),
        error_code=text_or_none(error.get("error_code")) if isinstance(error, Mapping) else None,
        capture_by=_capture_by(payment) if status is AttemptStatus.AUTHORIZED else None,
        bank_reference=text_or_none(payment.get("bank_reference")),
    )


def _attempt_status(payment: Mapping[str, Any]) -> tuple[AttemptStatus | None, str]:
    """What an attempt came to, and the word for it: SUCCESS alone does not say that there is money."""
    word = _word(payment["payment_status"])
    status = ATTEMPT_STATUS.get(word)
    if status is not AttemptStatus.SUCCEEDED:
        return status, word
    if cash := _cash(payment):
        return cash, CASH_WORDS[cash]
    authorization = _authorization(payment)
    if authorization is None:
        return status, word
    match authorization.get("action"), authorization.get("status"):
        case "CAPTURE", "SUCCESS":
            return status, CAPTURED_PARTLY if _is_captured_partly(payment, authorization) else word
        case "CAPTURE", "PENDING":
            return AttemptStatus.AUTHORIZED, CAPTURE_PENDING
        case "VOID", "SUCCESS" | None:
            return AttemptStatus.VOIDED, "VOID"
    is_captured = payment.get("is_captured") is True and authorization.get("action") != "VOID"
    return (status, word) if is_captured else (AttemptStatus.AUTHORIZED, HELD)


def _cash(payment: Mapping[str, Any]) -> AttemptStatus | None:
    """By the group or by the method, whichever says so: Cashfree documents neither."""
    method = payment.get("payment_method")
    names = [payment.get("payment_group"), *(method if isinstance(method, Mapping) else [method])]
    told = {"".join(filter(str.isalpha, one)).lower() for one in names if isinstance(one, str)}
    return next((status for name, status in CASH.items() if name in told), None)


def _authorization(payment: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a pre-authorisation says of itself; None for money that was taken at once.

    Whether events have it is not documented: their message may be all that tells.
    """
    authorization = payment.get("authorization")
    if authorization is None and str(payment.get("payment_message")).startswith("PRE_AUTH"):
        return {}
    if authorization is not None and not isinstance(authorization, Mapping):
        raise TypeError("an authorization that cannot be read")
    return authorization


def _is_captured_partly(payment: Mapping[str, Any], authorization: Mapping[str, Any]) -> bool:
    captured = authorization.get("captured_amount") or payment["payment_amount"]
    return Money.from_major(captured) < Money.from_major(payment["payment_amount"])


def _paid_amount(payment: Mapping[str, Any], ordered: Money, status: AttemptStatus | None) -> Money:
    """What the payer paid; in another currency, which Cashfree converts, what was ordered."""
    currency = payment.get("payment_currency")
    if currency is not None and _word(currency) != ordered.currency:
        return ordered
    authorization = _authorization(payment)
    if status is AttemptStatus.SUCCEEDED and authorization and authorization.get("captured_amount"):
        return Money.from_major(authorization["captured_amount"], ordered.currency)
    return Money.from_major(payment["payment_amount"], ordered.currency)


def _capture_by(payment: Mapping[str, Any]) -> datetime | None:
    authorization = _authorization(payment) or {}
    times = (_time_or_none(authorization.get(name)) for name in ("approve_by", "end_time"))
    return next((time for time in times if time), None)


# ── refunds and disputes ────────────────────────────────────────────────────────────────────────────


def refunds(provider: str, answer: Any) -> tuple[RefundSnapshot, ...]:
    return tuple(each(provider, items(answer), refund, decides=lambda _: False))


def refund(entity: Mapping[str, Any]) -> RefundSnapshot:
    word = _word(entity["refund_status"])
    return RefundSnapshot(
        gateway_refund_id=id_text(entity["cf_refund_id"]).removeprefix("refund_"),  # so before 2023-08-01
        refund_id=entity.get("refund_id"),
        transaction_id=id_text(entity["cf_payment_id"]),
        status=REFUND_STATUS.get(word),
        gateway_status=word,
        amount=Money.from_major(entity["refund_amount"], _word(entity["refund_currency"])),
        gateway_chose=True,
        bank_reference=text_or_none(entity.get("refund_arn")),
    )


def dispute(
    entity: Mapping[str, Any], order: Mapping[str, Any], observed_at: datetime, *, is_over: bool = False
) -> DisputeSnapshot:
    """A dispute of an answer or an event; `is_over` where the event's name says that it is closed."""
    word = _word(entity["dispute_status"])
    currency = _word(entity.get("dispute_amount_currency") or order["order_currency"])
    amount = Money.from_major(entity["dispute_amount"], currency)
    is_won, is_accepted = word.endswith(DISPUTE_WON), word.endswith(DISPUTE_ACCEPTED)
    says_lost = is_accepted or word.endswith(DISPUTE_LOST)
    is_closed = is_over or says_lost or is_won
    may_cost = is_accepted or not word.startswith(DISPUTE_QUESTION)
    return DisputeSnapshot(
        dispute_id=id_text(entity["dispute_id"]),
        transaction_id=id_text(order["cf_payment_id"]),
        gateway_status=word,
        amount=amount,
        is_closed=is_closed,
        is_lost=is_closed and not is_won and may_cost,  # closed in another word is not won
        needs_answer=not is_closed and word.endswith((DISPUTE_ASKS, DISPUTE_ASKS_AGAIN)),
        asks_again=not is_closed and word.endswith(DISPUTE_ASKS_AGAIN),
        # Cashfree names no sum that was taken: a dispute is lost whole, or won without loss.
        deducted=amount if says_lost and may_cost else Money(0, currency) if is_won else None,
        observed_at=observed_at,
        phase=text_or_none(entity.get("dispute_type")),
        reason=text_or_none(entity.get("reason_description")) or text_or_none(entity.get("reason_code")),
        respond_by=_time_or_none(entity.get("respond_by")),
    )


# ── events ──────────────────────────────────────────────────────────────────────────────────────────


def event(event_id: str, body: Mapping[str, Any]) -> WebhookEvent:
    """What a signed body says. Only one without a type is unreadable: one that lacks or spoils any member
    keeps what it names, so that the order is asked at once."""
    told_type = body.get("type")
    name = text_or_none(told_type) if isinstance(told_type, str) else None
    kind = EVENTS.get(name, EventKind.UNKNOWN) if name else EventKind.UNREADABLE
    name = name or "unreadable"
    if kind is EventKind.UNKNOWN and name.startswith(IGNORED_FAMILIES):
        kind = EventKind.IGNORED
    data = body["data"] if isinstance(body.get("data"), Mapping) else {}
    order_id = _first_id(data, "order_id")
    order = OrderRef(order_id) if order_id else None
    payment_id = None if order else _first_id(data, "cf_payment_id")
    refund_id = _first_id(data, "cf_refund_id") or _first_id(data, "refund_id")
    told = partial(
        WebhookEvent,
        event_id,
        name,
        kind,
        order,
        transaction_id=payment_id,
        refund_id=None if order or payment_id else refund_id,
    )
    if kind not in (EventKind.PAYMENT, EventKind.REFUND, EventKind.DISPUTE):
        return told()
    try:
        if kind is EventKind.PAYMENT:
            return told(snapshot=_event_snapshot(body, order))
        if kind is EventKind.DISPUTE:
            return told(dispute=_event_dispute(body))
    except UNREADABLE:
        dispute_id = _first_id(data, "dispute_id")
        return told(wake_up=bool(order or payment_id or dispute_id), dispute_id=dispute_id)
    return told(wake_up=bool(order or payment_id))


def _event_snapshot(body: Mapping[str, Any], order: OrderRef | None) -> PaymentSnapshot:
    """What one signed event says of its order: only a whole success speaks for all of it."""
    if order is None:
        raise LookupError("an event of no order")
    data = body["data"]
    amount = order_amount(data["order"])
    paid_by = attempt(data["payment"], amount, data.get("error_details"))
    if data["payment"].get("payment_currency") not in (None, amount.currency):
        raise ValueError("paid in another currency: the order says what it comes to")
    return PaymentSnapshot(
        order=OrderRef(order.wire_id, order.wire_id),
        status=_status_by_attempt(paid_by, amount),
        gateway_status=paid_by.gateway_status,
        amount=amount,
        observed_at=_time(body["event_time"]),
        attempts=(paid_by,),
    )


def _status_by_attempt(attempt: AttemptSnapshot, ordered: Money) -> PaymentStatus | None:
    """A success of another amount (an offer, a surcharge) leaves it to the order itself: ask."""
    match attempt.status:
        case AttemptStatus.SUCCEEDED if attempt.amount == ordered:
            return PaymentStatus.COMPLETED
        case AttemptStatus.AUTHORIZED:
            return PaymentStatus.AUTHORIZED
        case None:
            return None
        case _:
            return PaymentStatus.PENDING


def _event_dispute(body: Mapping[str, Any]) -> DisputeSnapshot:
    told, order = body["data"]["dispute"], body["data"]["order_details"]
    observed_at = _time_or_none(body.get("event_time")) or _time(told["updated_at"])
    return dispute(told, order, observed_at, is_over=body["type"] == "DISPUTE_CLOSED")


# ── members ─────────────────────────────────────────────────────────────────────────────────────────


def items(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise TypeError("a list was promised")
    return answer


def id_text(value: Any) -> str:
    """Ids are texts or, in older versions and in some events, numbers."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise TypeError(f"no id: {type(value).__name__}")
    return str(value)


def _first_id(data: Mapping[str, Any], member: str) -> str | None:
    """The id of an order, a payment or a dispute, wherever in an event's data it can be read."""
    holders = (data.get(name) for name in HOLDERS)
    ids: Iterator[str | None] = (
        text_or_none(holder.get(member)) for holder in holders if isinstance(holder, Mapping)
    )
    return next((found for found in ids if found), None)


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"no word: {type(value).__name__}")
    return value


def _time(text: str) -> datetime:
    """Where no zone is told, it is India's."""
    told = datetime.fromisoformat(text)
    return (told if told.tzinfo else told.replace(tzinfo=IST)).astimezone(UTC)


def _time_or_none(text: Any) -> datetime | None:
    try:
        return _time(text)
    except UNREADABLE:
        return None
