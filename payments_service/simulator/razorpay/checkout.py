"""Razorpay in the browser: the stand-in for checkout.js and the pay page that it opens in an iframe.

Sources: Razorpay docs payments/payment-gateway/web-integration/standard/integration-steps,
payments/payments/test-upi-details and test-card-details.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Response, current_app, make_response, render_template, request

from payments_service.simulator.base import Json, Route, WireError
from payments_service.simulator.razorpay import checks
from payments_service.simulator.razorpay.books import BANK_DOWN, DECLINED, KEY_ID, WRONG_OTP, Books
from payments_service.simulator.razorpay.records import Instrument, Notes, Order, Payer, Payment, PaymentError
from payments_service.simulator.razorpay.refusals import already_paid, plain_refusal, refusal, unknown_id

BANKS = {"HDFC": "HDFC Bank", "ICIC": "ICICI Bank", "SBIN": "State Bank of India", "UTIB": "Axis Bank"}
# number → network, international
TEST_CARDS = {
    "4111111111111111": ("Visa", False),
    "5267318187975449": ("MasterCard", False),
    "5555555555554444": ("MasterCard", True),
    "4012888888881881": ("Visa", True),
}
MANDATORY_OPTIONS = ("key", "amount", "currency", "name", "order_id")
AMOUNT_DIFFERS = (
    "Your payment amount is different from your order amount. "
    "To pay successfully, please try using right amount."
)


@dataclass(frozen=True)
class Try:
    """What the customer did on the pay page: error None is an approval; pending is no answer at all."""

    instrument: Instrument
    error: PaymentError | None = None
    pending: bool = False


class Checkout:
    def __init__(self, books: Books) -> None:
        self._books = books

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/v1/checkout.js", self.script),
            Route("GET", "/pay", self.page),
            Route("POST", "/pay/attempts", self.try_to_pay),
            Route("GET", "/pay/attempts/<payment_id>", self.outcome),
        )

    def script(self) -> Response:
        response = current_app.send_static_file("razorpay_checkout.js")
        response.headers["Cache-Control"] = "no-store"
        return response

    def page(self) -> Response:
        options = request.args
        try:
            order = self._payable_order(options)
        except WireError as error:
            sentence = error.body["error"]["description"]
            return make_response(
                render_template("razorpay_refused.html", sentence=sentence, options=options), error.status
            )
        return make_response(render_template("razorpay_pay.html", order=order, options=options, banks=BANKS))

    def _payable_order(self, options: Mapping[str, str]) -> Order:
        for option in MANDATORY_OPTIONS:
            if not options.get(option):
                raise refusal(f"The {option} option is required.", field=option)
        order = self._order(options)
        if options["amount"] != str(order.amount_due) or options["currency"] != order.currency:
            raise refusal(AMOUNT_DIFFERS, field="amount")
        return order

    def _order(self, options: Mapping[str, str]) -> Order:
        if options.get("key") != KEY_ID:
            raise plain_refusal(401, "The api key provided is invalid")
        order = self._books.orders.get(options.get("order_id", ""))
        if order is None:
            raise unknown_id()
        if order.status == "paid":
            raise already_paid()
        return order

    def try_to_pay(self) -> Json:
        """One attempt from the pay page; answers as `outcome`."""
        data = {key: value for key, value in checks.body_of(request).items() if isinstance(value, str)}
        order = self._order(data)
        payer = Payer(
            email=data.get("email") or Payer.email,
            contact=data.get("contact") or Payer.contact,
            description=data.get("description") or None,
            notes=_notes(data.get("notes", "")),
        )
        attempt = self._try(data)
        payment = self._books.attempt(order, attempt.instrument, None, payer)
        if attempt.error:
            self._books.fail(payment, attempt.error)
        elif not attempt.pending:
            self._books.authorize(payment)
            if order.automatic_capture:
                self._books.capture(payment)
        return self._outcome(payment)

    def outcome(self, payment_id: str) -> Json:
        """What became of an attempt: the page asks while the bank is silent."""
        payment = self._books.payments.get(payment_id)
        if payment is None:
            raise unknown_id()
        return self._outcome(payment)

    def _outcome(self, payment: Payment) -> Json:
        if payment.status == "created":
            return {"result": "pending", "payment_id": payment.id}
        if payment.status == "failed" and payment.error:
            return {"result": "failure", "error": _browser_error(payment, payment.error)}
        return {
            "result": "success",
            "fields": {
                "razorpay_payment_id": payment.id,
                "razorpay_order_id": payment.order_id,
                "razorpay_signature": self._books.checkout_signature(payment.order_id, payment.id),
            },
        }

    def _try(self, data: Mapping[str, str]) -> Try:
        pending = data.get("outcome") == "pending"
        match data.get("method"):
            case "upi":
                return self._try_upi(data.get("vpa", "").strip().lower(), pending)
            case "card":
                return self._try_card(
                    re.sub(r"[ -]", "", data.get("card_number", "")), data.get("otp", ""), pending
                )
            case "netbanking":
                return self._try_bank(data.get("bank", ""), data.get("outcome", ""))
        raise refusal("The selected method is invalid.", field="method")

    def _try_upi(self, vpa: str, pending: bool) -> Try:
        if vpa not in ("success@razorpay", "failure@razorpay"):
            raise refusal(
                "Invalid UPI ID. Test mode knows success@razorpay and failure@razorpay.", field="vpa"
            )
        failed = vpa == "failure@razorpay" and not pending
        return Try(self._books.instrument("upi", vpa=vpa), DECLINED if failed else None, pending)

    def _try_card(self, number: str, otp: str, pending: bool) -> Try:
        if number not in TEST_CARDS:
            raise refusal("This card is not one of the test cards.", field="card_number")
        if not pending and not re.fullmatch(r"[0-9]{1,10}", otp):
            raise refusal("The OTP must have 1 to 10 digits.", field="otp")
        network, international = TEST_CARDS[number]
        failed = not pending and len(otp) < 4
        instrument = self._books.card_instrument(number[-4:], network, international=international)
        return Try(instrument, WRONG_OTP if failed else None, pending)

    def _try_bank(self, bank: str, outcome: str) -> Try:
        if bank not in BANKS:
            raise refusal("The selected bank is invalid.", field="bank")
        if outcome not in ("success", "failure", "pending"):
            raise refusal("The selected outcome is invalid.", field="outcome")
        failed = outcome == "failure"
        return Try(
            self._books.instrument("netbanking", bank=bank),
            BANK_DOWN if failed else None,
            outcome == "pending",
        )


def _notes(text: str) -> Notes:
    try:
        notes = json.loads(text or "{}")
    except ValueError:
        return {}
    return checks.notes({"notes": notes if isinstance(notes, dict) else {}})


def _browser_error(payment: Payment, error: PaymentError) -> Json:
    """What `payment.failed` listeners get."""
    return {
        "code": error.code,
        "description": error.description,
        "field": None,
        "source": error.source,
        "step": error.step,
        "reason": error.reason,
        "metadata": {"order_id": payment.order_id, "payment_id": payment.id},
    }
