"""What PhonePe V2 accepts, checked the strict way: known members only, mandatory ones present.

Sources: docs v2 create-payment, refund; requests of phonepe-pg-sdk-python 3.0.1, its meta_info.py among them.
Where the documents show one member in two places (disablePaymentRetry), both are taken.
"""

import re
from typing import Any

from gateway_simulator.base import Json
from gateway_simulator.phonepe.checking import (
    NewOrder,
    NewRefund,
    amount,
    members,
    text_or_none,
    url,
    whole_number,
)
from gateway_simulator.phonepe.instruments import METHODS, methods_of
from gateway_simulator.phonepe.refusals import bad_request

V2_ID = re.compile(r"[A-Za-z0-9_-]{1,63}")
EXPIRE_AFTER_SECONDS = (300, 3600)
USUAL_EXPIRE_AFTER_SECONDS = 1200
ORDER = "merchantOrderId amount expireAfter metaInfo disablePaymentRetry paymentFlow constraints"
FLOW = "type message merchantUrls paymentModeConfig disablePaymentRetry"
MODES = frozenset(
    {"UPI_INTENT", "UPI_COLLECT", "UPI_QR", "CARD", "NET_BANKING", "WALLET", "EMI", "CORPORATE_NET_BANKING"}
)
ON_THE_PAGE = METHODS - {"token"}  # which only custom checkout has
CARD_TYPES = ("DEBIT_CARD", "CREDIT_CARD")
FREE_TEXT = re.compile(r"(?s:.{0,256})")
NARROW_TEXT = re.compile(r"[a-zA-Z0-9_\- @.+]{0,50}")
META_INFO = {f"udf{number}": FREE_TEXT if number <= 10 else NARROW_TEXT for number in range(1, 16)}
# of a payment mode of custom checkout: what must be there, what may be
CUSTOM_MODES = {
    "UPI_INTENT": ("type", "targetApp"),
    "UPI_QR": ("type", ""),
    "UPI_COLLECT": ("type details", "message"),
    "NET_BANKING": ("type bankId", "merchantUserId"),
    "CARD": ("type cardDetails", "authMode savedCard merchantUserId"),
    "TOKEN": ("type tokenDetails", "authMode merchantUserId"),
}
WITH_BANKS_PAGE = ("NET_BANKING", "CARD", "TOKEN")


def new_order(body: Json) -> NewOrder:
    return _checkout_order(members(body, "the body", f"{ORDER} prefillUserLoginDetails", bad_request))


def new_app_order(body: Json) -> NewOrder:
    """An order for the mobile SDKs, which need no address to come back to."""
    return _checkout_order(members(body, "the body", ORDER, bad_request), is_for_app=True)


def _checkout_order(body: Json, *, is_for_app: bool = False) -> NewOrder:
    flow = members(body.get("paymentFlow"), "paymentFlow", FLOW, bad_request)
    if flow.get("type") != "PG_CHECKOUT":
        raise bad_request("paymentFlow.type must be PG_CHECKOUT")
    _check_constraints(body.get("constraints"))
    prefilled = members(body.get("prefillUserLoginDetails", {}), "prefill…", "phoneNumber", bad_request)
    text_or_none(prefilled.get("phoneNumber"), "phoneNumber", bad_request)
    return NewOrder(
        id=merchant_id(body.get("merchantOrderId"), "merchantOrderId"),
        amount=amount(body.get("amount"), bad_request),
        redirect_url=_redirect_url(flow.get("merchantUrls"), is_needed=not is_for_app),
        methods=_methods(flow.get("paymentModeConfig")),
        expire_after=_expire_after(body.get("expireAfter")),
        may_retry=not any(_is_set(where.get("disablePaymentRetry")) for where in (body, flow)),
        is_for_app=is_for_app,
        message=text_or_none(flow.get("message"), "message", bad_request),
        meta_info=_meta_info(body.get("metaInfo")),
    )


def new_custom_order(body: Json, device_os: str | None) -> tuple[NewOrder, str]:
    """The order, and its one payment mode. That its only attempt decides it is inferred."""
    known = "merchantOrderId amount metaInfo deviceContext paymentFlow constraints expireAfter expireAt"
    body = members(body, "the body", known, bad_request)
    members(body.get("deviceContext", {}), "deviceContext", "merchantCallbackScheme deviceOS", bad_request)
    flow = members(body.get("paymentFlow"), "paymentFlow", "type paymentMode merchantUrls", bad_request)
    if flow.get("type") != "PG":
        raise bad_request("paymentFlow.type must be PG")
    mode = _custom_mode(flow.get("paymentMode"))
    if device_os not in (None, "ANDROID", "IOS"):
        raise bad_request("x-device-os must be ANDROID or IOS")
    _check_constraints(body.get("constraints"))
    order = NewOrder(
        id=merchant_id(body.get("merchantOrderId"), "merchantOrderId"),
        amount=amount(body.get("amount"), bad_request),
        redirect_url=_redirect_url(flow.get("merchantUrls"), is_needed=mode in WITH_BANKS_PAGE),
        flow="PG",
        methods=methods_of(mode),
        expire_after=_expire_after(body.get("expireAfter")),
        may_retry=False,
        meta_info=_meta_info(body.get("metaInfo")),
    )
    return order, mode


def new_refund(body: Json, least_paise: int) -> NewRefund:
    body = members(body, "the body", "merchantRefundId originalMerchantOrderId amount", bad_request)
    return NewRefund(
        id=merchant_id(body.get("merchantRefundId"), "merchantRefundId"),
        order_id=merchant_id(body.get("originalMerchantOrderId"), "originalMerchantOrderId"),
        amount=amount(body.get("amount"), bad_request, least_paise),
    )


def merchant_id(value: Any, name: str) -> str:
    if not isinstance(value, str) or not V2_ID.fullmatch(value):
        raise bad_request(f"{name} must have 1 to 63 of A-Z a-z 0-9 _ -")
    return value


def check_telemetry(body: Json) -> None:
    """What the SDKs say about themselves, at most ten events at a time."""
    body = members(body, "the body", "clientVersion source events", bad_request)
    events = body.get("events")
    if not isinstance(events, list) or not 1 <= len(events) <= 10:
        raise bad_request("events must be 1 to 10")
    for event in events:
        members(event, "an event", "merchantOrderId eventName data eventTime", bad_request)


def _custom_mode(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in CUSTOM_MODES:
        raise bad_request(f"paymentMode must have a type of {', '.join(CUSTOM_MODES)}")
    needed, allowed = CUSTOM_MODES[kind]
    mode = members(value, "paymentMode", f"{needed} {allowed}", bad_request)
    for name in needed.split():
        if name not in mode:
            raise bad_request(f"paymentMode.{name} is missing")
    return kind


def _redirect_url(value: Any, *, is_needed: bool) -> str:
    if value is None and not is_needed:
        return ""
    urls = members(value, "merchantUrls", "redirectUrl cancelRedirectUrl", bad_request)
    if not is_needed and "redirectUrl" not in urls:
        return ""
    return url(urls.get("redirectUrl"), "redirectUrl", bad_request)


def _methods(config: Any) -> frozenset[str]:
    """By which methods the order may be paid."""
    if config is None:
        return ON_THE_PAGE
    known = "enabledPaymentModes disabledPaymentModes"
    lists = {
        name: modes
        for name, modes in members(config, "paymentModeConfig", known, bad_request).items()
        if modes
    }
    if len(lists) > 1:
        raise bad_request("enabledPaymentModes and disabledPaymentModes exclude each other")
    named: frozenset[str] = frozenset()
    for modes in lists.values():
        if not isinstance(modes, list):
            raise bad_request("payment modes must be a list")
        named = named.union(*(_methods_of(mode) for mode in modes))
    left = named if "enabledPaymentModes" in lists else ON_THE_PAGE - named
    if not left:
        raise bad_request("no payment mode is left")
    return left


def _methods_of(mode: Any) -> frozenset[str]:
    mode = members(mode, "a payment mode", "type cardTypes", bad_request)
    kinds = mode.get("cardTypes", [])
    if not isinstance(mode.get("type"), str) or mode["type"] not in MODES:
        raise bad_request(f"a payment mode must have a type of {', '.join(sorted(MODES))}")
    if not isinstance(kinds, list) or any(kind not in CARD_TYPES for kind in kinds):
        raise bad_request(f"cardTypes are {', '.join(CARD_TYPES)}")
    return methods_of(mode["type"], tuple(kinds))


def _check_constraints(value: Any) -> None:
    if value is not None and not isinstance(value, list):
        raise bad_request("constraints must be a list")
    for constraint in value or []:
        members(constraint, "a constraint", "type accountNumber ifsc", bad_request)


def _is_set(value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise bad_request("disablePaymentRetry must be true or false")
    return bool(value)


def _expire_after(value: Any) -> int:
    if value is None:
        return USUAL_EXPIRE_AFTER_SECONDS
    return whole_number(value, "expireAfter", *EXPIRE_AFTER_SECONDS, bad_request)


def _meta_info(value: Any) -> Json | None:
    if value is None:
        return None
    given = members(value, "metaInfo", " ".join(META_INFO), bad_request)
    for name, text in given.items():
        if not isinstance(text, str) or not META_INFO[name].fullmatch(text):
            raise bad_request(f"metaInfo.{name} is not allowed")
    return given
