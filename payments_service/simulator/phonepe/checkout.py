"""PhonePe in the browser: the stand-in for checkout.js, and the pay page to which an order's URL leads.

Sources: docs website/standard-checkout/invoke-iframe; v1 pay-api-1 and ui-callback-1; error-codes for
INTERNAL_SECURITY_BLOCK_1, with which a page that was opened from nowhere is refused.
"""

from flask import Response, current_app, make_response, render_template, request

from payments_service.simulator.base import Json, Route
from payments_service.simulator.phonepe import checks
from payments_service.simulator.phonepe.books import CANCELLED, DECLINED, INSTRUMENTS, Books
from payments_service.simulator.phonepe.records import Attempt, Order
from payments_service.simulator.phonepe.refusals import bad_request, unknown_order
from payments_service.simulator.phonepe.v2 import API

OUTCOMES = ("success", "failure", "pending", "cancel")
FROM_NOWHERE = (
    "INTERNAL_SECURITY_BLOCK_1: this page was opened without a Referer, from no registered website."
)


class Checkout:
    def __init__(self, books: Books) -> None:
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
        sentence = _refusal(order)
        template = "phonepe_refused.html" if sentence else "phonepe_pay.html"
        leave = self._leave(order) if order and order.state != "PENDING" else None
        html = render_template(template, order=order, sentence=sentence, leave=leave, methods=INSTRUMENTS)
        return make_response(html, 400 if sentence else 200)

    def act(self) -> Json:
        """What the payer does; answers as `outcome`."""
        body = checks.json_object(request.get_data(), bad_request)
        order = self._order(str(body.get("token")))
        outcome, method = body.get("outcome"), body.get("method", "upi")
        if outcome not in OUTCOMES or method not in INSTRUMENTS:
            raise bad_request("the page knows no such outcome or method")
        if order.state != "PENDING":
            return self._told(order)
        if outcome == "cancel":
            self._books.end(order, CANCELLED)
        elif outcome == "success":
            self._books.succeed(order, self._attempt(order, method))
        elif outcome == "failure":
            self._books.fail(order, self._attempt(order, method), DECLINED)
        else:
            self._attempt(order, method)
        return self._told(order)

    def outcome(self, token: str) -> Json:
        """What became of it: the page asks while the bank is silent."""
        return self._told(self._order(token))

    def _order(self, token: str) -> Order:
        order = self._books.order_of_token(token)
        if order is None:
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
            "cancelled": order.failure is CANCELLED,
            "leave": self._leave(order) if order.state != "PENDING" else None,
        }

    def _leave(self, order: Order) -> Json:
        """Where the payer goes now; V1 may want a form there."""
        is_form = order.is_v1 and order.redirect_mode == "POST"
        return {"url": order.redirect_url, "fields": self._books.return_form(order) if is_form else None}


def _refusal(order: Order | None) -> str | None:
    if order is None:
        return "The token is not valid."
    if not request.headers.get("Referer"):
        return FROM_NOWHERE
    return f"This order is {order.state}." if order.state != "PENDING" else None
