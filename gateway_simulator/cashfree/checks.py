"""What Cashfree accepts, checked the strict way; unknown fields are refused. Source: OpenAPI 2025-01-01."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway_simulator.base import Json
from gateway_simulator.cashfree.refusals import refusal
from gateway_simulator.cashfree.wire import IST

MAX_ORDER_PAISE = 1_000_000_00
MAX_URL = 250
MAX_TAGS = 15
ORDER_ID = r"[A-Za-z0-9_-]{3,45}"
REFUND_ID = r"[A-Za-z0-9_-]{3,40}"
CUSTOMER_ID = r"[A-Za-z0-9_-]{3,50}"
PHONE = r"[0-9]{10}"
NOTIFY_URL = r"(https://|http://(127\.[0-9.]+|localhost|\[::1\])[:/])\S+"
"""Cashfree wants https; http works here on the machine itself, so that it can be tried."""
ORDER_FIELDS = (
    "order_id",
    "order_amount",
    "order_currency",
    "customer_details",
    "order_meta",
    "order_expiry_time",
    "order_note",
    "order_tags",
    "cart_details",
)
CART_FIELDS = (
    "customer_note",
    "shipping_charge",
    "cart_name",
    "customer_shipping_address",
    "customer_billing_address",
    "cart_items",
)
_CARDS_AND_CREDIT = ("cc", "dc", "ccc", "ppc", "dcemi", "ccemi", "cardlessemi", "paylater")
PAYMENT_METHODS = frozenset((*_CARDS_AND_CREDIT, "nb", "upi", "paypal", "app", "banktransfer", "applepay"))
CUSTOMER_FIELDS = ("customer_id", "customer_phone", "customer_email", "customer_name")
META_FIELDS = ("return_url", "notify_url", "payment_methods")
REFUND_FIELDS = ("refund_id", "refund_amount", "refund_note", "refund_speed")
REFUND_SPEEDS = ("STANDARD", "INSTANT")
ID_FILTERS = ("cf_settlement_ids", "settlement_utrs")
TIME_FILTERS = ("start_date", "end_date")
USUAL_LIMIT, MAX_LIMIT = 10, 1000


def body_of(raw: bytes) -> Json:
    try:
        body = json.loads(raw, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise refusal("invalid JSON", "request_invalid") from None
    if not isinstance(body, dict):
        raise refusal("the body must be a JSON object", "request_invalid")
    return body


def only(data: Json, known: Collection[str]) -> None:
    for name in data:
        if name not in known:
            raise refusal(f"{name} is not known", "request_invalid")


def text(data: Json, field: str, least: int, most: int, pattern: str | None = None) -> str | None:
    """A text of that length, None when it is not there; an empty one is not."""
    value = data.get(field)
    if value is None:
        return None
    is_fitting = isinstance(value, str) and least <= len(value) <= most
    if not is_fitting or (pattern and not re.fullmatch(pattern, value)):
        raise refusal(f"{field} : invalid value", f"{field}_invalid")
    return str(value)


def required(value: str | None, field: str) -> str:
    if value is None:
        raise refusal(f"{field} : is missing in the request", f"{field}_missing")
    return value


def paise(data: Json, field: str) -> int:
    """Rupees as a JSON number with two decimals at most."""
    value = data.get(field)
    if value is None:
        raise refusal(f"{field} : is missing in the request", f"{field}_missing")
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    # the upper end only keeps out numbers that are absurdly large
    if not is_number or not 1 <= value <= MAX_ORDER_PAISE or value * 100 != int(value * 100):
        raise refusal(f"{field} : invalid value", f"{field}_invalid")
    return int(value * 100)


def part(data: Json, field: str, known: Collection[str]) -> Json:
    value = data.get(field, {})
    if not isinstance(value, dict):
        raise refusal(f"{field} : invalid value", f"{field}_invalid")
    only(value, known)
    return value


@dataclass(frozen=True)
class NewOrder:
    id: str | None
    amount: int
    customer: Json
    meta: Json
    expires_at: float | None
    note: str | None
    tags: Json | None
    cart: Json | None


def new_order(data: Json, now: float) -> NewOrder:
    only(data, ORDER_FIELDS)
    amount = paise(data, "order_amount")
    if amount > MAX_ORDER_PAISE:
        raise refusal("order_amount : exceeds the limit", "order_amount_invalid")
    if required(text(data, "order_currency", 3, 3), "order_currency") != "INR":
        raise refusal("order_currency : is not enabled", "order_currency_invalid")
    return NewOrder(
        id=text(data, "order_id", 3, 45, ORDER_ID),
        amount=amount,
        customer=_customer(part(data, "customer_details", CUSTOMER_FIELDS)),
        meta=_meta(part(data, "order_meta", META_FIELDS)) if data.get("order_meta") is not None else {},
        expires_at=_expiry(text(data, "order_expiry_time", 1, 40), now),
        note=text(data, "order_note", 3, 200),
        tags=_tags(data.get("order_tags")),
        cart=part(data, "cart_details", CART_FIELDS) if data.get("cart_details") is not None else None,
    )


def _customer(data: Json) -> Json:
    return {
        "customer_id": required(text(data, "customer_id", 3, 50, CUSTOMER_ID), "customer_id"),
        "customer_phone": required(text(data, "customer_phone", 10, 10, PHONE), "customer_phone"),
        "customer_email": text(data, "customer_email", 3, 100),
        "customer_name": text(data, "customer_name", 3, 100),
    }


def _meta(data: Json) -> Json:
    for field, pattern in (("return_url", r"https?://\S+"), ("notify_url", NOTIFY_URL)):
        value = data.get(field)
        if value is not None and not (
            isinstance(value, str) and len(value) <= MAX_URL and re.fullmatch(pattern, value)
        ):
            raise refusal(f"order_meta.{field} : invalid value", f"{field}_value_invalid")
    methods = data.get("payment_methods")
    if methods is not None and (
        not isinstance(methods, str) or not set(methods.split(",")) <= PAYMENT_METHODS
    ):
        raise refusal("order_meta.payment_methods : invalid value", "payment_methods_invalid")
    return data


def _expiry(value: str | None, now: float) -> float | None:
    if value is None:
        return None
    try:
        expires_at = datetime.fromisoformat(value)
    except ValueError:
        expires_at = None
    if expires_at is None or expires_at.tzinfo is None or expires_at.timestamp() <= now:
        raise refusal("order_expiry_time : invalid value", "order_expiry_time_invalid")
    return expires_at.timestamp()


def _tags(value: Any) -> Json | None:
    if value is None:
        return None
    are_texts = isinstance(value, dict) and all(
        isinstance(one, str) and 1 <= len(one) <= 255 for one in value.values()
    )
    if not are_texts or len(value) > MAX_TAGS:
        raise refusal("order_tags : invalid value", "order_tags_invalid")
    return dict(value)


@dataclass(frozen=True)
class NewRefund:
    id: str
    amount: int
    note: str | None
    speed: str


def new_refund(data: Json) -> NewRefund:
    only(data, REFUND_FIELDS)
    speed = text(data, "refund_speed", 1, 20) or "STANDARD"
    if speed not in REFUND_SPEEDS:
        raise refusal("refund_speed : invalid value", "refund_speed_invalid")
    return NewRefund(
        id=required(text(data, "refund_id", 3, 40, REFUND_ID), "refund_id"),
        amount=paise(data, "refund_amount"),
        note=text(data, "refund_note", 3, 100),
        speed=speed,
    )


@dataclass(frozen=True)
class Report:
    """What a list of settlements or of events is asked for."""

    limit: int
    cursor: str | None
    ids: tuple[str, ...] = ()
    utrs: tuple[str, ...] = ()
    times: tuple[float, float] = (0, float("inf"))


def report(data: Json, *, by_time_only: bool = False) -> Report:
    """`cf_settlement_ids` are texts in one call and numbers in another, if one believes the SDK: both do."""
    only(data, ("pagination", "filters"))
    pages = part(data, "pagination", ("limit", "cursor"))
    filters = part(data, "filters", TIME_FILTERS if by_time_only else (*ID_FILTERS, *TIME_FILTERS))
    limit = pages.get("limit", USUAL_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise refusal("limit : invalid value", "limit_invalid")
    if by_time_only:
        for name in TIME_FILTERS:
            required(text(filters, name, 1, 40), name)
    ids, utrs = (_ids(filters, name) for name in ID_FILTERS)
    begins, ends = (_moment(filters, name) for name in TIME_FILTERS)
    times = (0 if begins is None else begins, float("inf") if ends is None else ends)
    return Report(limit, text(pages, "cursor", 1, 500), ids, utrs, times)


def _ids(data: Json, field: str) -> tuple[str, ...]:
    value = data.get(field) or []
    if not isinstance(value, list) or not all(isinstance(one, str | int) for one in value):
        raise refusal(f"{field} : invalid value", f"{field}_invalid")
    return tuple(str(one) for one in value)


def _moment(data: Json, field: str) -> float | None:
    value = text(data, field, 1, 40)
    try:
        return datetime.fromisoformat(value).astimezone(IST).timestamp() if value else None
    except ValueError:
        raise refusal(f"{field} : invalid value", f"{field}_invalid") from None
