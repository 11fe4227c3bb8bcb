"""Cashfree in the browser: the stand-in for cashfree.js, the pay page of a session, what a payer does there.

Sources: docs payments/online/web/redirect, sandbox-environment (test data); OpenAPI 2025-01-01 PayOrder.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response, current_app, make_response, render_template, request

from payments_service.simulator.base import Json, Route
from payments_service.simulator.cashfree import checks
from payments_service.simulator.cashfree.api import Api
from payments_service.simulator.cashfree.books import DECLINED, INSTRUMENTS, WRONG_OTP, Books
from payments_service.simulator.cashfree.records import (
    OPEN_ATTEMPTS,
    Instrument,
    Order,
    Payment,
    PaymentError,
)
from payments_service.simulator.cashfree.refusals import not_found, refusal
from payments_service.simulator.cashfree.wire import CfId, Rupees

OTP = "111000"
BANK_CODE = 3333
TEST_CARDS = {
    "4706131211212123": ("visa", "debit_card"),
    "4576238912771450": ("visa", "credit_card"),
    "4444333322221111": ("visa", "credit_card"),
    "5409162669381034": ("mastercard", "debit_card"),
    "5105105105105100": ("mastercard", "credit_card"),
    "6074825972083818": ("rupay", "debit_card"),
    "6528591234543575": ("rupay", "credit_card"),
}


def _declined(reason: str, source: str = "bank") -> PaymentError:
    return replace(DECLINED, reason=reason, source=source)


SILENT = "testtimeoutbank"
"""The bank says nothing, until the control plane does."""
VPA_ERRORS: dict[str, PaymentError | None] = {
    "testsuccess": None,
    SILENT: None,
    "testfailure": DECLINED,
    "testdeclineuser": _declined("payment_declined", "customer"),
    "testexpired": _declined("collect_request_expired", "customer"),
    "testinsufficientfunds": _declined("insufficient_funds"),
    "testbankdeclined": _declined("bank_rejected"),
    "testriskflagged": _declined("risk_check_failed", "cashfree"),
    "testnetworkerror": _declined("network_error"),
    "testinvalidpin": _declined("invalid_pin", "customer"),
    "testuserdropped": _declined("user_dropped", "customer"),
}
"""What the bank answers to <name>@gocash; every other address, testinvalid too, is refused at once."""


class Checkout:
    def __init__(self, books: Books, api: Api) -> None:
        self._books = books
        self._api = api

    def routes(self) -> tuple[Route, ...]:
        pay = self._api.answering(self.pay, with_keys=False)
        return (
            Route("GET", "/pg/cashfree.js", self.script),
            Route("GET", "/pay/<session_id>", self.page),
            Route("POST", "/pg/orders/sessions", pay),
            Route("GET", "/pay/attempts/<payment_id>", self.outcome),
            Route("POST", "/pay/attempts/<payment_id>", self.answer_bank),
        )

    def script(self) -> Response:
        response = current_app.send_static_file("cashfree.js")
        response.headers["Cache-Control"] = "no-store"
        return response

    def page(self, session_id: str) -> Response:
        order = self._books.order_of_session(session_id)
        facts = {
            "is_modal": request.args.get("modal") == "1",
            "return_url": self._return_url(order, request.args.get("returnUrl")) if order else "",
        }
        if order is None or order.status != "ACTIVE":
            sentence = f"This order is {order.status}." if order else "payment_session_id is invalid"
            return make_response(render_template("cashfree_refused.html", sentence=sentence, **facts), 400)
        amount = Rupees(order.amount).text
        html = render_template(
            "cashfree_pay.html", order=order, amount=amount, cards=TEST_CARDS, otp=OTP, **facts
        )
        return make_response(html)

    def _return_url(self, order: Order, wished: str | None) -> str:
        """The word {order_id} in it is replaced; without an address there is nowhere to go."""
        url = wished or order.meta.get("return_url") or ""
        return str(url).replace("{order_id}", order.id) if re.match(r"https?://", str(url)) else ""

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
        if not isinstance(details, dict):
            raise refusal("payment_method : invalid value", "payment_method_invalid")
        payment = self._books.attempt(order, _instrument(name, details), None)
        if name == "upi":
            self._answer_upi(payment, str(details["upi_id"]))
        return _pay_json(payment, request.host_url)

    def _answer_upi(self, payment: Payment, upi_id: str) -> None:
        name = upi_id.partition("@")[0].lower()
        error = VPA_ERRORS[name]
        if error:
            status = "USER_DROPPED" if name == "testuserdropped" else "FAILED"
            self._books.fail(payment, error, status)
        elif name != SILENT:
            self._books.succeed(payment)

    def answer_bank(self, payment_id: str) -> Json:
        """The one-time password of a card, or the button on the bank's page; or the payer goes away."""
        payment = self._payment(payment_id)
        data = checks.body_of(request.get_data())
        if payment.status not in OPEN_ATTEMPTS:
            raise refusal("this attempt is over", "request_invalid")
        if data.get("outcome") == "dropped":
            self._books.fail(payment, _declined("user_dropped", "customer"), "USER_DROPPED")
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


def _instrument(name: str, details: Mapping[str, Any]) -> Instrument:
    """With the particulars the payer gave; WireError for what is not test data."""
    match name:
        case "upi":
            return _upi(str(details.get("upi_id")))
        case "card":
            return _card(re.sub(r"[ -]", "", str(details.get("card_number"))))
        case "netbanking" if details.get("netbanking_bank_code") == BANK_CODE:
            return INSTRUMENTS["netbanking"]
    raise refusal("payment_method : is not one of the test methods", "payment_method_invalid")


def _upi(upi_id: str) -> Instrument:
    name, _, bank = upi_id.lower().partition("@")
    if name not in VPA_ERRORS or bank != "gocash":
        raise refusal("upi_id : invalid value", "upi_id_invalid")
    return replace(INSTRUMENTS["upi"], details={"upi": {"channel": "collect", "upi_id": upi_id.lower()}})


def _card(number: str) -> Instrument:
    if number not in TEST_CARDS:
        raise refusal("card_number : invalid value", "card_number_invalid")
    network, kind = TEST_CARDS[number]
    shown = {"card_number": f"XXXXXXXXXXXX{number[-4:]}", "card_network": network, "card_type": kind}
    usual = INSTRUMENTS["card"]
    return replace(usual, group=kind, details={"card": {**usual.details["card"], **shown}})


def _pay_json(payment: Payment, host: str) -> Json:
    is_upi = payment.instrument.method == "upi"
    return {
        "payment_method": payment.instrument.method,
        "channel": "collect" if is_upi else "link",
        "action": "custom" if is_upi else "link",
        "cf_payment_id": CfId(payment.id),
        "payment_amount": Rupees(payment.amount),
        "data": {
            "url": None if is_upi else f"{host}cashfree/pay/attempts/{payment.id}",
            "payload": None,
            "content_type": None,
            "method": None if is_upi else "post",
        },
    }


def _outcome(payment: Payment) -> Json:
    return {
        "status": payment.status,
        "sentence": payment.error.description if payment.error else None,
        "is_open": payment.status in OPEN_ATTEMPTS,
    }
