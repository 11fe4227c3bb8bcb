"""What PhonePe accepts, checked the strict way. An explicit null counts as absent: the SDKs send many.

Sources: docs v2 create-payment, refund; metaInfo as in meta_info.py of phonepe-pg-sdk-python 3.0.1;
v1 pay-api-1, refund-8, pg-standard-checklist.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from payments_service.simulator.base import Json, WireError
from payments_service.simulator.phonepe.refusals import bad_request, v1_bad_request, v1_refusal

LEAST_PAISE = 100
V2_ID = re.compile(r"[A-Za-z0-9_-]{1,63}")
V1_ID = re.compile(r"[A-Za-z0-9_-]{1,34}")
V1_USER_ID = re.compile(r"[A-Za-z0-9_-]{1,35}")
EXPIRE_AFTER_SECONDS = (300, 3600)
USUAL_EXPIRE_AFTER_SECONDS = 1200
MODES = frozenset(
    {"UPI_INTENT", "UPI_COLLECT", "UPI_QR", "CARD", "NET_BANKING", "WALLET", "EMI", "CORPORATE_NET_BANKING"}
)
FREE_TEXT = re.compile(r"(?s:.{0,256})")
NARROW_TEXT = re.compile(r"[a-zA-Z0-9_\- @.+]{0,50}")
META_INFO = {f"udf{number}": FREE_TEXT if number <= 10 else NARROW_TEXT for number in range(1, 16)}
Refusal = Callable[[str], WireError]


@dataclass(frozen=True)
class NewOrder:
    id: str
    amount: int
    redirect_url: str
    expire_after: int = 0
    may_retry: bool = True
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
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise refuse("the body is not JSON") from None
    return _object(value, "the body", refuse)


def new_order(body: Json) -> NewOrder:
    flow = _object(body.get("paymentFlow"), "paymentFlow", bad_request)
    if flow.get("type") != "PG_CHECKOUT":
        raise bad_request("paymentFlow.type must be PG_CHECKOUT")
    _check_modes(flow.get("paymentModeConfig"))
    urls = _object(flow.get("merchantUrls"), "merchantUrls", bad_request)
    no_retry = body.get("disablePaymentRetry")
    if no_retry is not None and not isinstance(no_retry, bool):
        raise bad_request("disablePaymentRetry must be true or false")
    return NewOrder(
        id=_id(body.get("merchantOrderId"), "merchantOrderId"),
        amount=_amount(body.get("amount"), bad_request),
        redirect_url=_url(urls.get("redirectUrl"), "redirectUrl", bad_request),
        expire_after=_expire_after(body.get("expireAfter")),
        may_retry=not no_retry,
        message=_text_or_none(flow.get("message"), "message"),
        meta_info=_meta_info(body.get("metaInfo")),
    )


def new_refund(body: Json) -> NewRefund:
    return NewRefund(
        id=_id(body.get("merchantRefundId"), "merchantRefundId"),
        order_id=_id(body.get("originalMerchantOrderId"), "originalMerchantOrderId"),
        amount=_amount(body.get("amount"), bad_request),
    )


def new_v1_order(body: Json) -> NewOrder:
    user = body.get("merchantUserId")
    if not isinstance(user, str) or not V1_USER_ID.fullmatch(user):
        raise v1_bad_request("merchantUserId must have less than 36 of A-Z a-z 0-9 _ -")
    mode = body.get("redirectMode")
    if mode not in ("REDIRECT", "POST"):
        raise v1_bad_request("redirectMode must be REDIRECT or POST")
    instrument = _object(body.get("paymentInstrument"), "paymentInstrument", v1_bad_request)
    if instrument.get("type") != "PAY_PAGE":
        raise v1_bad_request("of the instruments only PAY_PAGE is simulated")
    return NewOrder(
        id=_v1_id(body.get("merchantTransactionId")),
        amount=_amount(body.get("amount"), v1_bad_request),
        redirect_url=_url(body.get("redirectUrl"), "redirectUrl", v1_bad_request),
        redirect_mode=str(mode),
        callback_url=_url(body.get("callbackUrl"), "callbackUrl", v1_bad_request),
    )


def new_v1_refund(body: Json) -> NewRefund:
    callback = body.get("callbackUrl")
    return NewRefund(
        id=_v1_id(body.get("merchantTransactionId")),
        order_id=str(body.get("originalTransactionId")),
        amount=_amount(body.get("amount"), v1_bad_request),
        callback_url=None if callback is None else _url(callback, "callbackUrl", v1_bad_request),
    )


def _check_modes(config: Any) -> None:
    if config is None:
        return
    config = _object(config, "paymentModeConfig", bad_request)
    lists = [config[name] for name in ("enabledPaymentModes", "disabledPaymentModes") if config.get(name)]
    if len(lists) > 1:
        raise bad_request("enabledPaymentModes and disabledPaymentModes exclude each other")
    for mode in lists[0] if lists and isinstance(lists[0], list) else lists:
        if not isinstance(mode, dict) or mode.get("type") not in MODES:
            raise bad_request(f"a payment mode must have a type of {', '.join(sorted(MODES))}")


def _expire_after(value: Any) -> int:
    if value is None:
        return USUAL_EXPIRE_AFTER_SECONDS
    least, most = EXPIRE_AFTER_SECONDS
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise bad_request(f"expireAfter must be an integer from {least} to {most}")
    return value


def _meta_info(value: Any) -> Json | None:
    if value is None:
        return None
    given = {k: v for k, v in _object(value, "metaInfo", bad_request).items() if v is not None}
    for name, text in given.items():
        pattern = META_INFO.get(name)
        if pattern is None or not isinstance(text, str) or not pattern.fullmatch(text):
            raise bad_request(f"metaInfo.{name} is not allowed")
    return given


def _id(value: Any, name: str) -> str:
    if not isinstance(value, str) or not V2_ID.fullmatch(value):
        raise bad_request(f"{name} must have 1 to 63 of A-Z a-z 0-9 _ -")
    return value


def _v1_id(value: Any) -> str:
    if not isinstance(value, str) or not V1_ID.fullmatch(value):
        raise v1_refusal("INVALID_TRANSACTION_ID", "The transaction id you have entered seems to be invalid.")
    return value


def _amount(value: Any, refuse: Refusal) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < LEAST_PAISE:
        raise refuse(f"amount must be an integer of at least {LEAST_PAISE} paise")
    return value


def _url(value: Any, name: str, refuse: Refusal) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s]+", value):
        raise refuse(f"{name} must be a web address")
    return value


def _text_or_none(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise bad_request(f"{name} must be text")
    return value


def _object(value: Any, name: str, refuse: Refusal) -> Json:
    if not isinstance(value, dict):
        raise refuse(f"{name} must be an object")
    return value
