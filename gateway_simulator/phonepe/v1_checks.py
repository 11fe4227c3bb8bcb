"""What PhonePe V1 accepts, checked the strict way.

Sources: docs v1 pay-api-1, refund-8, pg-standard-checklist.
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
)
from gateway_simulator.phonepe.refusals import v1_bad_request, v1_refusal

ID = re.compile(r"[A-Za-z0-9_-]{1,34}")
USER_ID = re.compile(r"[A-Za-z0-9_-]{1,35}")
PAYMENT = (
    "merchantId merchantTransactionId merchantUserId amount redirectUrl redirectMode callbackUrl"
    " paymentInstrument mobileNumber deviceContext merchantOrderId"
)
REFUND = "merchantId merchantUserId originalTransactionId merchantTransactionId amount callbackUrl"


def new_order(body: Json) -> NewOrder:
    body = members(body, "the body", PAYMENT, v1_bad_request)
    _user_id(body.get("merchantUserId"))
    mode = body.get("redirectMode")
    if mode not in ("REDIRECT", "POST"):
        raise v1_bad_request("redirectMode must be REDIRECT or POST")
    instrument = members(body.get("paymentInstrument"), "paymentInstrument", "type", v1_bad_request)
    if instrument.get("type") != "PAY_PAGE":
        raise v1_bad_request("of the instruments only PAY_PAGE is simulated")
    members(body.get("deviceContext", {}), "deviceContext", "deviceOS", v1_bad_request)
    for name in ("mobileNumber", "merchantOrderId"):
        text_or_none(body.get(name), name, v1_bad_request)
    return NewOrder(
        id=_id(body.get("merchantTransactionId")),
        amount=amount(body.get("amount"), v1_bad_request),
        redirect_url=url(body.get("redirectUrl"), "redirectUrl", v1_bad_request),
        flow="V1",
        merchant_id=str(body["merchantId"]),
        may_retry=False,
        redirect_mode=str(mode),
        callback_url=url(body.get("callbackUrl"), "callbackUrl", v1_bad_request),
    )


def new_refund(body: Json) -> NewRefund:
    body = members(body, "the body", REFUND, v1_bad_request)
    if "merchantUserId" in body:
        _user_id(body["merchantUserId"])
    callback = body.get("callbackUrl")
    return NewRefund(
        id=_id(body.get("merchantTransactionId")),
        order_id=str(body.get("originalTransactionId")),
        amount=amount(body.get("amount"), v1_bad_request),
        callback_url=None if callback is None else url(callback, "callbackUrl", v1_bad_request),
    )


def _id(value: Any) -> str:
    if not isinstance(value, str) or not ID.fullmatch(value):
        raise v1_refusal("INVALID_TRANSACTION_ID", "The transaction id you have entered seems to be invalid.")
    return value


def _user_id(value: Any) -> None:
    if not isinstance(value, str) or not USER_ID.fullmatch(value):
        raise v1_bad_request("merchantUserId must have less than 36 of A-Z a-z 0-9 _ -")
