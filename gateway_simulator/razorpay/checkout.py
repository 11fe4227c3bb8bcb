"""Razorpay in the browser: the stand-in for checkout.js, the pay page in its iframe, and the hosted pages.

Sources: Razorpay docs payments/payment-gateway/web-integration/standard/integration-steps and hosted;
razorpay-python/documents/paymentLink.
"""

import json
import re
from collections.abc import Mapping

from flask import Response, current_app, make_response, render_template, request

from gateway_simulator.base import Json, Route, WireError
from gateway_simulator.razorpay import checks
from gateway_simulator.razorpay.books import KEY_ID, KEY_SECRET
from gateway_simulator.razorpay.instruments import BANKS, WALLETS, Choice, answered, chosen
from gateway_simulator.razorpay.links import PaymentLink
from gateway_simulator.razorpay.moves import LiveBooks
from gateway_simulator.razorpay.records import Notes, Order, Payer, Payment, PaymentError
from gateway_simulator.razorpay.refusals import already_paid, plain_refusal, refusal, unknown_id

# The documents add name, without which public sites open it all the same: checkout.js warns.
MANDATORY_OPTIONS = ("key", "amount", "currency", "order_id")
COLOR = re.compile(r"#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?")
DEFAULT_COLOR = "#2b59c3"
AMOUNT_DIFFERS = (
    "Your payment amount is different from your order amount. "
    "To pay successfully, please try using right amount."
)


class Checkout:
    def __init__(self, books: LiveBooks) -> None:
        self._books = books

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/v1/checkout.js", self.script),
            Route("GET", "/pay", self.page),
            Route("POST", "/v1/checkout/embedded", self.hosted_page),
            Route("GET", "/l/<link_id>", self.link_page),
            Route("POST", "/pay/attempts", self.try_to_pay),
            Route("GET", "/pay/attempts/<payment_id>", self.outcome),
            Route("POST", "/pay/attempts/<payment_id>", self.answer_bank),
        )

    def script(self) -> Response:
        response = current_app.send_static_file("razorpay_checkout.js")
        response.headers["Cache-Control"] = "no-store"
        return response

    # Pages

    def page(self) -> Response:
        """In the iframe that checkout.js opens."""
        options = request.args.to_dict()
        try:
            for option in MANDATORY_OPTIONS:
                if not options.get(option):
                    raise refusal(f"The {option} option is required.", field=option)
            order = self._order(options)
            if options["amount"] != str(order.amount_due) or options["currency"] != order.currency:
                raise refusal(AMOUNT_DIFFERS, field="amount")
        except WireError as error:
            return self._refused(error, options)
        return self._shown(order, {**options, "mode": "frame"})

    def hosted_page(self) -> Response:
        """A page of its own, that a shop's form leads to; the way back is a form post."""
        form = checks.nested(request.form)
        prefill = form.pop("prefill", {})
        options = {name: value for name, value in form.items() if isinstance(value, str)}
        options |= prefill if isinstance(prefill, dict) else {}
        options |= {"key": options.get("key_id", ""), "notes": json.dumps(form.get("notes") or {})}
        options |= {"mode": "hosted", "back": "post"}
        try:
            order = self._order(options)
            if not options.get("callback_url"):
                raise refusal("The callback_url field is required.", field="callback_url")
        except WireError as error:
            return self._refused(error, options)
        return self._shown(order, options)

    def link_page(self, link_id: str) -> Response:
        """Where a payment link leads to; the way back is by GET."""
        link = self._books.links.all.get(link_id)
        if link is None:
            return self._refused(unknown_id(), {})
        order = self._books.orders[link.order_id]
        options = {
            "key": KEY_ID,
            "order_id": order.id,
            "name": "Payment link",
            "mode": "hosted",
            "back": "get",
        }
        options |= {"description": link.wanted.description, "callback_url": link.wanted.callback_url}
        options |= {name: str(value) for name, value in link.wanted.customer.items()}
        try:
            self._order(options)
        except WireError as error:
            return self._refused(error, options)
        return self._shown(order, options)

    def _shown(self, order: Order, options: Mapping[str, str]) -> Response:
        color = options.get("color", "")
        return make_response(
            render_template(
                "razorpay_pay.html",
                order=order,
                options=options,
                upi_collect=self._books.settings.upi_collect,
                banks=BANKS,
                wallets=WALLETS,
                color=color if COLOR.fullmatch(color) else DEFAULT_COLOR,
                locked=options.get("readonly", "").split(","),
                hidden=options.get("hidden", "").split(","),
            )
        )

    def _refused(self, error: WireError, options: Mapping[str, str]) -> Response:
        sentence = error.body["error"]["description"]
        return make_response(
            render_template("razorpay_refused.html", sentence=sentence, options=options), error.status
        )

    def _order(self, options: Mapping[str, str]) -> Order:
        if options.get("key") != KEY_ID:
            raise plain_refusal(401, "The api key provided is invalid")
        order = self._books.orders.get(options.get("order_id", ""))
        if order is None:
            raise unknown_id()
        if order.status == "paid":
            raise already_paid()
        link = self._books.links.of_order(order.id)
        if link and not link.payable:
            raise refusal(f"This payment link is {link.status}.")
        return order

    # Attempts

    def try_to_pay(self) -> Json:
        """One attempt from the pay page; answers with the page that asks for more, else as `outcome`."""
        data = _texts()
        order = self._order(data)
        payer = Payer(
            email=data.get("email") or Payer.email,
            contact=data.get("contact") or Payer.contact,
            description=data.get("description") or None,
            notes=_notes(data.get("notes", "")),
        )
        choice = chosen(self._books, data)
        payment = self._books.attempt(order, choice.instrument, None, payer)
        if choice.page != "none":
            return {"result": choice.page, "payment_id": payment.id, "asks": _who_asks(choice)}
        if not choice.silent:
            self._decide(payment, choice.error)
        return self._outcome(payment)

    def answer_bank(self, payment_id: str) -> Json:
        """The OTP, or a button of the mock bank."""
        payment = self._payment(payment_id)
        if payment.status != "created":
            raise refusal("This payment has been answered already.")
        self._decide(payment, answered(payment, _texts()))
        return self._outcome(payment)

    def outcome(self, payment_id: str) -> Json:
        """What became of an attempt: the page asks while the bank is silent."""
        return self._outcome(self._payment(payment_id))

    def _payment(self, payment_id: str) -> Payment:
        payment = self._books.payments.get(payment_id)
        if payment is None:
            raise unknown_id()
        return payment

    def _decide(self, payment: Payment, error: PaymentError | None) -> None:
        if error:
            self._books.fail(payment, error)
        else:
            self._books.accept(payment)

    def _outcome(self, payment: Payment) -> Json:
        if payment.status == "created":
            return {"result": "pending", "payment_id": payment.id}
        if payment.status == "failed" and payment.error:
            return {"result": "failure", "error": _browser_error(payment, payment.error)}
        link = self._books.links.of_order(payment.order_id)
        fields = self._link_fields(link, payment) if link else self._fields(payment)
        return {"result": "success", "fields": fields}

    def _fields(self, payment: Payment) -> dict[str, str]:
        return {
            "razorpay_payment_id": payment.id,
            "razorpay_order_id": payment.order_id,
            "razorpay_signature": self._books.checkout_signature(payment.order_id, payment.id),
        }

    def _link_fields(self, link: PaymentLink, payment: Payment) -> dict[str, str]:
        return self._books.links.callback_fields(link, payment.id, KEY_SECRET)


def _texts() -> dict[str, str]:
    return {key: value for key, value in checks.body_of(request).items() if isinstance(value, str)}


def _who_asks(choice: Choice) -> str:
    instrument = choice.instrument
    if instrument.card:
        return f"{instrument.card.network} •••• {instrument.card.last4}"
    return BANKS.get(instrument.bank or "") or WALLETS[instrument.wallet or ""]


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
