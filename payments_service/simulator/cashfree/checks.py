"""What Cashfree accepts, checked the strict way; unknown fields are refused. Source: OpenAPI 2025-01-01."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from payments_service.simulator.base import Json
from payments_service.simulator.cashfree.refusals import refusal

MAX_ORDER_PAISE = 1_000_000_00
MAX_URL = 250
MAX_TAGS = 15
ORDER_ID = r"[A-Za-z0-9_-]{3,45}"
REFUND_ID = r"[A-Za-z0-9_-]{3,40}"
CUSTOMER_ID = r"[A-Za-z0-9_-]{3,50}"
PHONE = r"[0-9]{10}"
ORDER_FIELDS = (
    "order_id",
    "order_amount",
    "order_currency",
    "customer_details",
    "order_meta",
    "order_expiry_time",
    "order_note",
    "order_tags",
)
CUSTOMER_FIELDS = ("customer_id", "customer_phone", "customer_email", "customer_name")
META_FIELDS = ("return_url", "notify_url", "payment_methods")
REFUND_FIELDS = ("refund_id", "refund_amount", "refund_note", "refund_speed")
REFUND_SPEEDS = ("STANDARD", "INSTANT")


def body_of(raw: bytes) -> Json:
    try:
        body = json.loads(raw, parse_float=Decimal)
    except ValueError:
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
    if not is_number or value < 1 or value * 100 != int(value * 100):
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
        meta=_meta(part(data, "order_meta", META_FIELDS)),
        expires_at=_expiry(text(data, "order_expiry_time", 1, 40), now),
        note=text(data, "order_note", 3, 200),
        tags=_tags(data.get("order_tags")),
    )


def _customer(data: Json) -> Json:
    return {
        "customer_id": required(text(data, "customer_id", 3, 50, CUSTOMER_ID), "customer_id"),
        "customer_phone": required(text(data, "customer_phone", 10, 10, PHONE), "customer_phone"),
        "customer_email": text(data, "customer_email", 3, 100),
        "customer_name": text(data, "customer_name", 3, 100),
    }


def _meta(data: Json) -> Json:
    for field, pattern in (("return_url", r"https?://\S+"), ("notify_url", r"https://\S+")):
        value = data.get(field)
        if value is not None and not (
            isinstance(value, str) and len(value) <= MAX_URL and re.fullmatch(pattern, value)
        ):
            raise refusal(f"order_meta.{field} : invalid value", f"{field}_value_invalid")
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
