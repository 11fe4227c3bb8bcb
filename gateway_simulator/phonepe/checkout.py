"""PhonePe in the browser: the stand-in for checkout.js, and the pay page to which an order's URL leads.

Sources: docs website/standard-checkout/invoke-iframe; v1 pay-api-1 and ui-callback-1; error-codes for
INTERNAL_SECURITY_BLOCK_1, with which a page that was opened from nowhere is refused, and for PR004, the token
of a mobile SDK in a browser.
"""

from flask import Response, current_app, make_response, render_template, request

from gateway_simulator.base import Json, Route
from gateway_simulator.phonepe import payer
from gateway_simulator.phonepe.checking import json_object
from gateway_simulator.phonepe.events import return_form
from gateway_simulator.phonepe.moves import LiveBooks
from gateway_simulator.phonepe.records import CANCELLED, DECLINED, Attempt, Order
from gateway_simulator.phonepe.refusals import bad_request, unknown_order
from gateway_simulator.phonepe.v2 import API

FROM_NOWHERE = (
    "INTERNAL_SECURITY_BLOCK_1: this page was opened without a Referer, from no registered website."
)
FOR_AN_APP = "PR004: this order was made for a mobile SDK."
# the parts of the page, and the methods by which an order is paid there
PARTS = {
    "upi": {"upi"},
    "upi_id": {"upi_collect"},
    "card": {"card", "debit_card"},
    "netbanking": {"netbanking"},
}
COLLECT = "upi_collect"
UPI_APPS = ("PhonePe", "Google Pay", "Paytm", "BHIM")


class Checkout:
    def __init__(self, books: LiveBooks) -> None:
        self._books = books

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", f"{API}/web/bundle/checkout.js", self.script),
            Route("GET", "/transact/uat_v2", self.page),
            Route("GET", "/transact/simulator", self.page),
            Route("POST", "/transact/attempts", self.act),
            Route("GET", "/transact/attempts/<token>", self.outcome),
        )

    def script(self) -> Response:
        response = current_app.send_static_file("phonepe_checkout.js")
        response.headers["Cache-Control"] = "no-store"
        return response

    def page(self) -> Response:
        order = self._books.order_of_token(request.args.get("token", ""))
        status, sentence = _refusal(order)
        leave = self._leave(order) if order and order.redirect_url and order.state != "PENDING" else None
        if order is None or sentence:
            html = render_template("phonepe_refused.html", sentence=sentence, leave=leave)
        else:
            methods = self._methods(order)
            parts = [part for part, ways in PARTS.items() if methods & ways]
            html = render_template(
                "phonepe_pay.html", order=order, methods=methods, parts=parts, payer=payer, apps=UPI_APPS
            )
        return make_response(html, status)

    def act(self) -> Json:
        """What the payer does; answers as `outcome`."""
        body = json_object(request.get_data(), bad_request)
        order = self._order(str(body.get("token")))
        chosen = payer.choice(body)
        if order.state != "PENDING":
            return self._told(order)
        if chosen.outcome == "cancel":
            self._books.end(order, CANCELLED)
            return self._told(order)
        if chosen.method not in self._methods(order):
            raise bad_request(f"this order is not paid by {chosen.method}")
        attempt = self._attempt(order, chosen.method)
        if chosen.outcome == "success":
            self._books.succeed(order, attempt)
        elif chosen.outcome == "failure":
            self._books.fail(order, attempt, DECLINED)
        return self._told(order)

    def outcome(self, token: str) -> Json:
        """What became of it: the page asks while the bank is silent."""
        return self._told(self._order(token))

    def _methods(self, order: Order) -> frozenset[str]:
        """By which the page lets pay: the order's, and UPI collect only where the settings still have it."""
        if self._books.settings.upi_collect or order.methods == {COLLECT}:
            return order.methods
        return order.methods - {COLLECT}

    def _order(self, token: str) -> Order:
        order = self._books.order_of_token(token)
        if order is None or order.is_for_app:
            raise unknown_order()
        return order

    def _attempt(self, order: Order, method: str) -> Attempt:
        pending = [attempt for attempt in order.attempts if attempt.state == "PENDING"]
        return pending[-1] if pending else self._books.attempt(order, method)

    def _told(self, order: Order) -> Json:
        last = order.attempts[-1].state if order.attempts else "PENDING"
        return {
            "state": order.state,
            "attempt": last,
            "cancelled": order.failure == CANCELLED,
            "leave": self._leave(order) if order.state != "PENDING" else None,
        }

    def _leave(self, order: Order) -> Json:
        """Where the payer goes now; V1 may want a form there."""
        if not order.is_v1 or order.redirect_mode != "POST":
            return {"url": order.redirect_url, "fields": None}
        reference = order.number if order.state == "COMPLETED" else None
        form = return_form(order.v1_code, order.merchant_id, order.id, order.amount, reference)
        return {"url": order.redirect_url, "fields": form}


def _refusal(order: Order | None) -> tuple[int, str | None]:
    if order is None:
        return 400, "The token is not valid."
    if order.is_for_app:
        return 401, FOR_AN_APP
    if not request.headers.get("Referer"):
        return 400, FROM_NOWHERE
    if order.state != "PENDING":
        return 400, f"This order is {order.state}."
    return 200, None
