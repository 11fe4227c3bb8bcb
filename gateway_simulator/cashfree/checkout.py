"""Cashfree in the browser: the stand-in for cashfree.js, the pay page of a session, the bank's page.

Sources: docs payments/online/web/redirect, sandbox-environment; OpenAPI 2025-01-01 and cashfree_pg 6.0.1
(PayOrder, OrderAuthenticatePayment). Made up: that the third wrong password ends a native attempt.
"""

import re
from urllib.parse import urlencode

from flask import Response, current_app, make_response, render_template, request

from gateway_simulator.base import Json, Route
from gateway_simulator.cashfree import checks, testdata
from gateway_simulator.cashfree.answers import Answers
from gateway_simulator.cashfree.moves import LiveBooks
from gateway_simulator.cashfree.records import OPEN_ATTEMPTS, Order, Payment
from gateway_simulator.cashfree.refusals import not_found, refusal
from gateway_simulator.cashfree.testdata import DECLINED, DROPPED, OTP, WRONG_OTP
from gateway_simulator.cashfree.wire import CfId, Rupees

OTP_TRIES = 3
CARD_NAMES = {"cc", "dc"}
UPI_APPS = {
    "default": "upi:",
    "gpay": "tez:",
    "phonepe": "phonepe:",
    "paytm": "paytmmp:",
    "bhim": "bhim:",
}
TABS = {"upi": {"upi"}, "card": CARD_NAMES, "netbanking": {"nb"}}
"""The page's tabs, and how order_meta.payment_methods names them."""


class Checkout:
    def __init__(self, books: LiveBooks, answers: Answers) -> None:
        self._books = books
        self._answers = answers

    def routes(self) -> tuple[Route, ...]:
        pay = self._answers.answering(self.pay, with_keys=False)
        authenticate = self._answers.answering(self.authenticate, with_keys=False)
        return (
            Route("GET", "/pg/cashfree.js", self.script),
            Route("POST", "/pg/orders/sessions", pay),
            Route("POST", "/pg/orders/pay/authenticate/<payment_id>", authenticate),
            Route("GET", "/pay/<session_id>", self.page),
            Route("GET", "/pay/bank/<payment_id>", self.bank),
            Route("POST", "/pay/bank/<payment_id>", self.bank),
            Route("GET", "/pay/attempts/<payment_id>", self.outcome),
            Route("POST", "/pay/attempts/<payment_id>", self.answer_bank),
        )

    # Pages

    def script(self) -> Response:
        response = current_app.send_static_file("cashfree.js")
        response.headers["Cache-Control"] = "no-store"
        return response

    def page(self, session_id: str) -> Response:
        order = self._books.order_of_session(session_id)
        facts = self._facts(order)
        if order is None or order.status != "ACTIVE":
            sentence = f"This order is {order.status}." if order else "payment_session_id is invalid"
            return make_response(render_template("cashfree_refused.html", sentence=sentence, **facts), 400)
        attempt = self._books.payments.get(request.args.get("attempt", ""))
        tabs = [tab for tab in TABS if _allows(order, TABS[tab])]
        html = render_template(
            "cashfree_pay.html",
            order=order,
            amount=Rupees(order.amount).text,
            tabs=tabs,
            open_tab=attempt.instrument.method if attempt else tabs[0] if tabs else None,
            sentence=_outcome(attempt)["sentence"] if attempt else None,
            cards={n: c for n, c in testdata.TEST_CARDS.items() if _allows(order, {f"{c[1][0]}c"})},
            names=list(testdata.VPA_ERRORS),
            upi_collect=self._books.settings.upi_collect,
            cvv=testdata.CVV,
            expiry="/".join(testdata.EXPIRY),
            **facts,
        )
        return make_response(html)

    def bank(self, payment_id: str) -> Response:
        """The page that data.url leads to: a card's bank with its password, or a net bank."""
        payment = self._payment(payment_id)
        order = payment.order
        back = {"attempt": payment_id, **{n: v for n, v in request.args.items() if n != "checkout"}}
        is_checkout = request.args.get("checkout") == "1"
        html = render_template(
            "cashfree_bank.html",
            payment=payment,
            order=order,
            amount=Rupees(payment.amount).text,
            is_card=payment.instrument.method == "card",
            is_open=payment.status in OPEN_ATTEMPTS,
            otp=OTP,
            pay_page=f"../{order.session_id}?{urlencode(back)}" if is_checkout else "",
            **self._facts(order),
        )
        return make_response(html)

    def _facts(self, order: Order | None) -> Json:
        return {
            "is_modal": request.args.get("modal") == "1",
            "return_url": _return_url(order, request.args.get("returnUrl")) if order else "",
        }

    # Calls by session

    def pay(self) -> Json:
        """One attempt, by session alone. A UPI address is answered for at once, the rest by `answer_bank`."""
        data = checks.body_of(request.get_data())
        checks.only(data, ("payment_session_id", "payment_method", "save_instrument"))
        order = self._books.order_of_session(str(data.get("payment_session_id")))
        if order is None:
            raise refusal("payment_session_id is invalid", "payment_session_id_invalid")
        if order.status != "ACTIVE":
            raise refusal("order is not active", "order_inactive")
        method = data.get("payment_method")
        if not isinstance(method, dict) or len(method) != 1:
            raise refusal("payment_method : invalid value", "payment_method_invalid")
        [(name, details)] = method.items()
        if not isinstance(details, dict) or not _allows(order, TABS.get(name, set())):
            raise refusal("payment_method : invalid value", "payment_method_invalid")
        payment = self._books.attempt(order, testdata.instrument(name, details), None)
        if name == "upi" and "upi_id" in details:
            self._answer_upi(payment, str(details["upi_id"]))
        return _pay_json(payment, f"{request.host_url}cashfree/")

    def _answer_upi(self, payment: Payment, upi_id: str) -> None:
        name = upi_id.partition("@")[0].lower()
        error = testdata.VPA_ERRORS[name]
        if error:
            self._books.fail(payment, error, "USER_DROPPED" if error is DROPPED else "FAILED")
        elif name != testdata.SILENT:
            self._books.succeed(payment)

    def authenticate(self, payment_id: str) -> Json:
        """The password of a card whose attempt was begun with the channel "post"."""
        payment = self._open_payment(payment_id)
        asked = checks.body_of(request.get_data())
        checks.only(asked, ("otp", "action"))
        action = asked.get("action")
        if action not in ("SUBMIT_OTP", "RESEND_OTP"):
            raise refusal("action : invalid value", "action_invalid")
        if action == "RESEND_OTP":
            return _authenticated(payment, action, "SUCCESS", "OTP is sent again")
        otp = checks.required(checks.text(asked, "otp", 1, 10), "otp")
        if otp == OTP:
            self._books.succeed(payment)
            return _authenticated(payment, action, "SUCCESS", "Transaction is successful")
        payment.wrong_otps += 1
        if payment.wrong_otps >= OTP_TRIES:
            self._books.fail(payment, WRONG_OTP)
        return _authenticated(payment, action, "FAILED", "Incorrect OTP")

    # What the pages ask

    def answer_bank(self, payment_id: str) -> Json:
        """What the UPI app, the card's password or the bank's button says; or the payer goes away."""
        payment = self._open_payment(payment_id)
        data = checks.body_of(request.get_data())
        if "upi_id" in data:
            paying = testdata.instrument("upi", {"channel": "collect", "upi_id": data["upi_id"]})
            self._answer_upi(payment, paying.details["upi"]["upi_id"])
        elif data.get("outcome") == "dropped":
            self._books.fail(payment, DROPPED, "USER_DROPPED")
        elif data.get("outcome") == "success" or data.get("otp") == OTP:
            self._books.succeed(payment)
        else:
            self._books.fail(payment, WRONG_OTP if "otp" in data else DECLINED)
        return _outcome(payment)

    def outcome(self, payment_id: str) -> Json:
        """What became of an attempt: the page asks while the bank is silent."""
        return _outcome(self._payment(payment_id))

    def _payment(self, payment_id: str) -> Payment:
        payment = self._books.payments.get(payment_id)
        if payment is None:
            raise not_found("payment")
        return payment

    def _open_payment(self, payment_id: str) -> Payment:
        payment = self._payment(payment_id)
        if payment.status not in OPEN_ATTEMPTS:
            raise refusal("this attempt is over", "request_invalid")
        return payment


def _allows(order: Order, names: set[str]) -> bool:
    wished = order.meta.get("payment_methods")
    return bool(names) and (not wished or bool(names & set(wished.split(","))))


def _return_url(order: Order, wished: str | None) -> str:
    """The word {order_id} in it is replaced; without an address there is nowhere to go."""
    url = wished or order.meta.get("return_url") or ""
    return str(url).replace("{order_id}", order.id) if re.match(r"https?://", str(url)) else ""


def _pay_json(payment: Payment, base: str) -> Json:
    """action: wait for the payer's app, send the browser to data.url, or ask for the password oneself."""
    method = payment.instrument.method
    bank, native = f"{base}pay/bank/{payment.id}", f"{base}pg/orders/pay/authenticate/{payment.id}"
    data: Json = dict.fromkeys(("url", "payload", "content_type", "method"))
    channel = payment.instrument.details.get(method, {}).get("channel")
    if method == "upi" and channel == "link":
        data |= {"payload": _app_links(payment)}
    elif channel == "link":
        form = "application/x-www-form-urlencoded"
        data = {"url": bank, "payload": {"name": method}, "content_type": form, "method": "post"}
    elif channel == "post":
        data |= {"url": native, "content_type": "application/json", "method": "post"}
        data |= {"redirect_to_bank": bank}
    return {
        "payment_method": method,
        "channel": channel,
        "action": "custom" if method == "upi" else channel,
        "cf_payment_id": CfId(payment.id),
        "payment_amount": Rupees(payment.amount),
        "data": data,
    }


def _app_links(payment: Payment) -> Json:
    """The links that open a payer's UPI app; nothing here waits behind them."""
    asked = f"pay?pa=cf.simulator@gocash&pn=Simulator&tr={payment.id}&am={Rupees(payment.amount).text}&cu=INR"
    return {app: f"{scheme}//{asked}" for app, scheme in UPI_APPS.items()}


def _authenticated(payment: Payment, action: str, status: str, message: str) -> Json:
    return {
        "cf_payment_id": CfId(payment.id),
        "action": action,
        "authenticate_status": status,
        "payment_message": message,
    }


def _outcome(payment: Payment) -> Json:
    return {
        "status": payment.status,
        "sentence": payment.error.description if payment.error else None,
        "is_open": payment.status in OPEN_ATTEMPTS,
    }
