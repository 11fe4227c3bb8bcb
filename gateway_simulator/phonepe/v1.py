"""PhonePe V1's wire format: base64 and X-VERIFY.

Sources: docs v1 pay-api-1, check-status-api-1, refund-8.
"""

import base64
import binascii
import hmac

from flask import request

from gateway_simulator.base import Json, Route, WireError
from gateway_simulator.phonepe import v1_checks
from gateway_simulator.phonepe.checking import json_object, members
from gateway_simulator.phonepe.credentials import SALTS, x_verify
from gateway_simulator.phonepe.moves import LiveBooks
from gateway_simulator.phonepe.records import Order, Refund, v1_answer
from gateway_simulator.phonepe.refusals import v1_bad_request, v1_refusal
from gateway_simulator.phonepe.v2 import API, refuse_refund


class V1:
    def __init__(self, books: LiveBooks) -> None:
        self._books = books

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", f"{API}/pg/v1/pay", self.pay, "create_order"),
            Route("GET", f"{API}/pg/v1/status/<merchant_id>/<our_id>", self.status, "fetch"),
            Route("POST", f"{API}/pg/v1/refund", self.refund, "refund"),
        )

    def pay(self) -> Json:
        new = v1_checks.new_order(_signed_body("/pg/v1/pay"))
        if self._books.order(new.id) or new.id in self._books.refunds:
            raise _used_id()
        order = self._books.add(new)
        url = f"{request.host_url}phonepe/transact/simulator?token={order.token}"
        instrument = {"type": "PAY_PAGE", "redirectInfo": {"url": url, "method": "GET"}}
        data = {
            "merchantId": order.merchant_id,
            "merchantTransactionId": order.id,
            "instrumentResponse": instrument,
        }
        return v1_answer("PAYMENT_INITIATED", data, "Payment initiated")

    def status(self, merchant_id: str, our_id: str) -> Json:
        """Of a payment, or of a refund by its own id."""
        _check_signature(merchant_id, "", f"/pg/v1/status/{merchant_id}/{our_id}")
        if request.headers.get("X-MERCHANT-ID") != merchant_id:
            raise v1_bad_request("X-MERCHANT-ID must name the merchant")
        refund = self._books.refunds.get(our_id)
        found: Order | Refund | None = refund or self._books.order(our_id)
        order = refund.order if refund else self._books.order(our_id)
        if found is None or order is None or not order.is_v1 or order.merchant_id != merchant_id:
            raise _unknown_id()
        return found.v1_status()

    def refund(self) -> Json:
        body = _signed_body("/pg/v1/refund")
        new = v1_checks.new_refund(body)
        if self._books.order(new.id) or new.id in self._books.refunds:
            raise _used_id()
        order = self._books.order(new.order_id)
        if order is None or not order.is_v1 or order.merchant_id != body["merchantId"]:
            raise _unknown_id()
        refuse_refund(self._books, order, new.amount, v1_bad_request)
        refund = self._books.refund(order, new)
        answer = refund.v1_created()
        self._books.move_on(refund)
        return answer


def _signed_body(path: str) -> Json:
    """What the base64 text in `request` says; the text itself, as it came, is what is signed."""
    envelope = json_object(request.get_data(), v1_bad_request)
    text = members(envelope, "the body", "request", v1_bad_request).get("request")
    if not isinstance(text, str):
        raise v1_bad_request("request must be base64")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise v1_bad_request("request must be base64") from None
    body = json_object(raw, v1_bad_request)
    _check_signature(body.get("merchantId"), text, path)
    return body


def _check_signature(merchant_id: object, payload: str, path: str) -> None:
    given = request.headers.get("X-VERIFY", "")
    index = given.rpartition("###")[2]
    if not isinstance(merchant_id, str) or index not in SALTS.get(merchant_id, {}):
        raise v1_refusal("KEY_NOT_CONFIGURED", "Key not found for the merchant")
    wanted = x_verify(merchant_id, payload, path, index)
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode()):
        raise v1_refusal("AUTHORIZATION_FAILED", "Value of X-VERIFY is incorrect")


def _unknown_id() -> WireError:
    message = "No transaction found for the given merchantTransactionId."
    return v1_refusal("TRANSACTION_NOT_FOUND", message)


def _used_id() -> WireError:
    message = "The transaction id you have entered seems to be invalid."
    return v1_refusal("INVALID_TRANSACTION_ID", message)
