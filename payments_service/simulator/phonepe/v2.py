"""PhonePe V2's wire format: what a merchant's server asks.

Sources: docs v2 authorization, create-payment, order-status, refund; paths of the official SDKs.
"""

import hmac
from collections.abc import Callable
from functools import wraps

from flask import request

from payments_service.simulator.base import Json, Route
from payments_service.simulator.phonepe import checks
from payments_service.simulator.phonepe.books import CLIENT_ID, CLIENT_SECRET, CLIENT_VERSION, Books
from payments_service.simulator.phonepe.records import Order
from payments_service.simulator.phonepe.refusals import (
    bad_request,
    id_reused,
    unknown_order,
    unknown_refund,
    unknown_transaction,
    wrong_client,
    wrong_token,
)

API = "/apis/pg-sandbox"
TOKEN_FORM = {
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "client_version": CLIENT_VERSION,
    "grant_type": "client_credentials",
}
UNFINISHED = ("PENDING", "CONFIRMED")
View = Callable[..., Json]


class V2:
    def __init__(self, books: Books) -> None:
        self._books = books

    def routes(self) -> tuple[Route, ...]:
        table: tuple[tuple[str, str, View, str], ...] = (
            ("POST", "/checkout/v2/pay", self.pay, "create_order"),
            ("GET", "/checkout/v2/order/<order_id>/status", self.status, "fetch"),
            ("GET", "/checkout/v2/transaction/<transaction_id>/status", self.transaction, "fetch"),
            ("POST", "/payments/v2/refund", self.create_refund, "refund"),
            ("GET", "/payments/v2/refund/<refund_id>/status", self.refund, "fetch"),
        )
        token = Route("POST", f"{API}/v1/oauth/token", self.token, "token")
        return (
            token,
            *(Route(method, API + path, self._private(view), on) for method, path, view, on in table),
        )

    def _private(self, view: View) -> View:
        """Requires a token that is still good."""

        @wraps(view)
        def checked(**ids: str) -> Json:
            scheme, _, text = request.headers.get("Authorization", "").partition(" ")
            if scheme != "O-Bearer" or not self._books.is_good_token(text):
                raise wrong_token()
            return view(**ids)

        return checked

    def token(self) -> Json:
        if request.mimetype != "application/x-www-form-urlencoded":
            raise bad_request("a token is asked for by a form")
        for name, value in TOKEN_FORM.items():
            if not hmac.compare_digest(request.form.get(name, "").encode(), value.encode()):
                raise wrong_client()
        text, issued_at, expires_at = self._books.new_token()
        return {
            "access_token": text,
            "encrypted_access_token": text,
            "expires_in": None,
            "issued_at": issued_at,
            "expires_at": expires_at,
            "session_expires_at": expires_at,
            "token_type": "O-Bearer",
        }

    def pay(self) -> Json:
        new = checks.new_order(checks.json_object(request.get_data(), bad_request))
        if self._books.order(new.id):
            raise id_reused(self._books.settings.duplicate_code)
        order = self._books.add(new, is_v1=False)
        return {
            "orderId": order.number,
            "state": order.state,
            "expireAt": order.expire_at,
            "redirectUrl": f"{request.host_url}phonepe/transact/uat_v2?token={order.token}",
        }

    def status(self, order_id: str) -> Json:
        return self._order(order_id).entity(
            all_attempts=_flag("details"), error_context=_flag("errorContext")
        )

    def transaction(self, transaction_id: str) -> Json:
        order = self._books.order_of_transaction(transaction_id)
        if order is None:
            raise unknown_transaction()
        attempts = [attempt.entity() for attempt in order.attempts if attempt.id == transaction_id]
        return {**order.entity(all_attempts=False), "paymentDetails": attempts}

    def create_refund(self) -> Json:
        new = checks.new_refund(checks.json_object(request.get_data(), bad_request))
        if new.id in self._books.refunds:
            raise id_reused(self._books.settings.duplicate_code)
        order = self._order(new.order_id)
        refuse_refund(self._books, order, new.amount, bad_request)
        refund = self._books.refund(order, new)
        answer = refund.created()
        self._books.move_on(refund)
        return answer

    def refund(self, refund_id: str) -> Json:
        refund = self._books.refunds.get(refund_id)
        if refund is None or refund.order.is_v1:
            raise unknown_refund()
        return refund.entity()

    def _order(self, order_id: str) -> Order:
        order = self._books.order(order_id)
        if order is None or order.is_v1:
            raise unknown_order()
        return order


def refuse_refund(books: Books, order: Order, amount: int, refuse: checks.Refusal) -> None:
    """Only what was paid, one refund at a time."""
    if order.state != "COMPLETED":
        raise refuse("the order is not COMPLETED")
    if any(refund.state in UNFINISHED for refund in books.refunds_of(order)):
        raise refuse("another refund of this order is in progress")
    if amount > books.left_to_refund(order):
        raise refuse("the amount is more than is left")


def _flag(name: str) -> bool:
    """The SDKs write it in several ways, and more than once."""
    return request.args.get(name, "").lower() == "true"
