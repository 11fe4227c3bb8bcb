"""PhonePe V2's wire format: what a merchant's server asks.

Sources: docs v2 authorization, create-payment, order-status, refund, settlement, chargeback/fetch-dispute;
paths of the official SDKs.
That both checkouts find each other's orders is not recorded.
"""

import hmac
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import request

from gateway_simulator.base import Json, Route
from gateway_simulator.phonepe import checks
from gateway_simulator.phonepe.books import UNFINISHED
from gateway_simulator.phonepe.checking import NewOrder, Refusal, json_object, whole_number
from gateway_simulator.phonepe.credentials import CLIENT_ID, CLIENT_SECRET, CLIENT_VERSION
from gateway_simulator.phonepe.moves import LiveBooks
from gateway_simulator.phonepe.records import Order
from gateway_simulator.phonepe.refusals import (
    bad_request,
    forbidden,
    id_reused,
    too_old,
    unknown_dispute,
    unknown_order,
    unknown_refund,
    unknown_settlement,
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
# the faults that a call knows, where they are not under its own name
FAULTS = {"settlements": "fetch", "disputes": "fetch", "telemetry": None}
FLAGS = ("details", "errorContext", "settlementDetails")
DAY_MS = 24 * 3600 * 1000
REFUNDABLE_DAYS = 90
SETTLEMENTS_KEPT_MS = 183 * DAY_MS
MAX_MS = 10**14
PAGE, LARGEST_PAGE = 10, 40
View = Callable[..., Json]


class V2:
    def __init__(self, books: LiveBooks) -> None:
        self._books = books

    def routes(self) -> tuple[Route, ...]:
        table: tuple[tuple[str, str, View, str], ...] = (
            ("POST", "/checkout/v2/pay", self.pay, "create_order"),
            ("POST", "/payments/v2/pay", self.pay_custom, "create_order"),
            *(
                row
                for base in ("/checkout/v2", "/payments/v2")
                for row in (
                    ("POST", f"{base}/sdk/order", self.order_for_app, "create_order"),
                    ("GET", f"{base}/order/<order_id>/status", self.status, "fetch"),
                    ("GET", f"{base}/transaction/<transaction_id>/status", self.transaction, "fetch"),
                )
            ),
            ("POST", "/payments/v2/refund", self.create_refund, "refund"),
            ("GET", "/payments/v2/refund/<refund_id>/status", self.refund, "fetch"),
            ("GET", "/v1/disputes/<dispute_id>", self.dispute, "disputes"),
            ("GET", "/settlements/v1/range", self.settlements, "settlements"),
            ("GET", "/settlements/v1/<settlement_id>/status", self.settlement, "settlements"),
            ("POST", "/client/v1/backend/events/batch", self.telemetry, "telemetry"),
        )
        token = Route("POST", f"{API}/v1/oauth/token", self.token, "token")
        return (
            token,
            *(
                Route(method, API + path, self._private(view, call), FAULTS.get(call, call))
                for method, path, view, call in table
            ),
        )

    def _private(self, view: View, call: str) -> View:
        """Requires a token that is still good, and the permission."""

        @wraps(view)
        def checked(**ids: str) -> Json:
            scheme, _, text = request.headers.get("Authorization", "").partition(" ")
            if scheme != "O-Bearer" or not self._books.is_good_token(text):
                raise wrong_token()
            if call == self._books.settings.forbidden:
                raise forbidden()
            return view(**ids)

        return checked

    def token(self) -> Json:
        if request.mimetype != "application/x-www-form-urlencoded":
            raise bad_request("a token is asked for by a form")
        for name in request.form:
            if name not in TOKEN_FORM:
                raise bad_request(f"the form has no member {name}")
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

    # Orders

    def pay(self) -> Json:
        order = self._add(checks.new_order(_body()))
        return {**_created(order), "redirectUrl": _page_of(order)}

    def order_for_app(self) -> Json:
        order = self._add(checks.new_app_order(_body()))
        return {**_created(order), "token": order.token}

    def pay_custom(self) -> Json:
        """The attempt is under way at once: in the payer's app, or on the bank's page."""
        new, mode = checks.new_custom_order(_body(), request.headers.get("x-device-os"))
        order = self._add(new)
        self._books.attempt(order)
        intent = f"upi://pay?pa=SIMULATOR@ybl&am={order.amount / 100:.2f}&tr={order.number}&cu=INR"
        way = {"UPI_INTENT": {"intentUrl": intent}, "UPI_QR": {"qrData": intent}, "UPI_COLLECT": {}}
        return {**_created(order), **way.get(mode, {"redirectUrl": _page_of(order)})}

    def _add(self, new: NewOrder) -> Order:
        if self._books.order(new.id):
            raise id_reused(self._books.settings.duplicate_code)
        return self._books.add(new)

    def status(self, order_id: str) -> Json:
        return self._books.dressed(self._status(self._order(order_id), all_attempts=_flag("details")))

    def transaction(self, transaction_id: str) -> Json:
        order = self._books.order_of_transaction(transaction_id)
        if order is None or order.is_v1:
            raise unknown_transaction()
        attempts = [attempt.entity() for attempt in order.attempts if attempt.id == transaction_id]
        answer = {**self._status(order, all_attempts=False), "paymentDetails": attempts}
        return self._books.dressed(answer)

    def _status(self, order: Order, *, all_attempts: bool) -> Json:
        _check_query(*FLAGS)
        return order.entity(
            all_attempts=all_attempts,
            error_context=_flag("errorContext"),
            settlement_details=_flag("settlementDetails"),
        )

    def _order(self, order_id: str) -> Order:
        order = self._books.order(order_id)
        if order is None or order.is_v1:
            raise unknown_order()
        return order

    # Refunds

    def create_refund(self) -> Json:
        new = checks.new_refund(_body(), self._books.settings.least_refund_paise)
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
        return self._books.dressed(refund.entity())

    # Disputes

    def dispute(self, dispute_id: str) -> Json:
        dispute = self._books.disputes.get(dispute_id)
        if dispute is None:
            raise unknown_dispute()
        return dispute.entity()

    # Settlements

    def settlements(self) -> Json:
        """Newest first, which is not recorded; at most half a year back."""
        _check_query("from", "to", "limit", "offset")
        oldest = self._books.now_ms() - SETTLEMENTS_KEPT_MS
        since, until = _number("from", None, oldest, MAX_MS), _number("to", None, oldest, MAX_MS)
        limit, offset = _number("limit", PAGE, 1, LARGEST_PAGE), _number("offset", 0, 0, MAX_MS)
        found = [one for one in self._books.settlements.values() if since <= one.created_at <= until]
        rows = [one.row() for one in reversed(found)]
        return {"settlements": rows[offset : offset + limit], "hasNext": len(rows) > offset + limit}

    def settlement(self, settlement_id: str) -> Json:
        settlement = self._books.settlements.get(settlement_id)
        if settlement is None:
            raise unknown_settlement()
        return settlement.entity()

    def telemetry(self) -> Json:
        checks.check_telemetry(_body())
        return {}


def refuse_refund(books: LiveBooks, order: Order, amount: int, refuse: Refusal) -> None:
    """Only what was paid, one refund at a time, and not for ever."""
    if order.state != "COMPLETED":
        raise refuse("the order is not COMPLETED")
    if any(refund.state in UNFINISHED for refund in order.refunds):
        raise refuse("another refund of this order is in progress")
    if amount > order.left_to_refund:
        raise refuse("the amount is more than is left")
    if books.now_ms() - order.created_at > REFUNDABLE_DAYS * DAY_MS:
        raise too_old(REFUNDABLE_DAYS)


def _body() -> Json:
    return json_object(request.get_data(), bad_request)


def _created(order: Order) -> Json:
    return {"orderId": order.number, "state": "PENDING", "expireAt": order.expire_at}


def _page_of(order: Order) -> str:
    return f"{request.host_url}phonepe/transact/uat_v2?token={order.token}"


def _check_query(*known: str) -> None:
    for name in request.args:
        if name not in known:
            raise bad_request(f"there is no parameter {name}")


def _flag(name: str) -> bool:
    """The SDKs write it in several ways, and more than once."""
    return request.args.get(name, "").lower() == "true"


def _number(name: str, usual: int | None, least: int, most: int) -> int:
    text = request.args.get(name)
    if text is None and usual is not None:
        return usual
    value: Any = int(text) if text and re.fullmatch("[0-9]{1,15}", text) else None
    return whole_number(value, name, least, most, bad_request)
