"""What both generations check alike. An explicit null counts as absent: the SDKs send many."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway_simulator.base import Json, WireError
from gateway_simulator.phonepe.credentials import MERCHANT_ID
from gateway_simulator.phonepe.instruments import METHODS
from gateway_simulator.phonepe.records import Flow

LEAST_PAISE = 100
Refusal = Callable[[str], WireError]


@dataclass(frozen=True)
class NewOrder:
    id: str
    amount: int
    redirect_url: str
    flow: Flow = "PG_CHECKOUT"
    merchant_id: str = MERCHANT_ID
    methods: frozenset[str] = METHODS
    expire_after: int = 0
    may_retry: bool = True
    is_for_app: bool = False
    message: str | None = None
    meta_info: Json | None = None
    redirect_mode: str = "REDIRECT"
    callback_url: str = ""


@dataclass(frozen=True)
class NewRefund:
    id: str
    order_id: str
    amount: int
    callback_url: str | None = None


def json_object(raw: bytes | str, refuse: Refusal) -> Json:
    """Raises the refusal also for text that cannot be sent on: half a surrogate pair."""
    try:
        value = json.loads(raw)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise refuse("the body is not JSON") from None
    if not isinstance(value, dict):
        raise refuse("the body must be an object")
    return value


def members(value: Any, name: str, known: str, refuse: Refusal) -> Json:
    """What an object says, without its nulls; a member that is not in `known` is refused."""
    if not isinstance(value, dict):
        raise refuse(f"{name} must be an object")
    said = {member: given for member, given in value.items() if given is not None}
    for member in said:
        if member not in known.split():
            raise refuse(f"{name} has no member {member}")
    return said


def whole_number(value: Any, name: str, least: int, most: int, refuse: Refusal) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refuse(f"{name} must be an integer from {least} to {most}")
    return value


def amount(value: Any, refuse: Refusal, least: int = LEAST_PAISE) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise refuse(f"amount must be an integer of at least {least} paise")
    return value


def url(value: Any, name: str, refuse: Refusal) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s]+", value):
        raise refuse(f"{name} must be a web address")
    return value


def text_or_none(value: Any, name: str, refuse: Refusal) -> str | None:
    if value is not None and not isinstance(value, str):
        raise refuse(f"{name} must be text")
    return value
