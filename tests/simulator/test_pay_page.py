"""The pay page over HTTP, without a browser."""

import hashlib
import hmac

import pytest
import requests

from tests.simulator.conftest import KEY_ID, MANUAL, session


@pytest.fixture
def http():
    with session() as made:
        yield made


@pytest.fixture
def pay(base, http, new_order):
    """One attempt: the choice, then what is said on the bank's page."""
    order = new_order()
    address = f"{base}/razorpay/pay/attempts"

    def run(answer=None, **choice) -> requests.Response:
        shown = http.post(address, json={"key": KEY_ID, "order_id": order["id"], **choice})
        if answer is None:
            return shown
        return http.post(f"{address}/{shown.json()['payment_id']}", json=answer)

    return run


def card(number="4111111111111111", **changes):
    return {
        "method": "card",
        "card_number": number,
        "card_expiry": "12/39",
        "card_cvv": "123",
        **changes,
    }


UPI = {"method": "upi", "vpa": "success@razorpay"}


def page(http, base, known_order_id, **changes):
    options = {
        "key": KEY_ID,
        "order_id": known_order_id,
        "amount": "50000",
        "currency": "INR",
        "name": "Acme",
    }
    return http.get(f"{base}/razorpay/pay", params={**options, **changes})


def test_the_script_is_served_where_razorpay_serves_it(base, http):
    script = http.get(f"{base}/razorpay/v1/checkout.js")
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert "window.Razorpay" in script.text


def test_the_page_shows_what_is_paid_and_may_be_framed(base, http, new_order):
    shown = page(http, base, new_order()["id"], name="<b>Acme & Sons</b>", notes='{"a":"\'>"}')
    assert shown.status_code == 200
    assert "₹500.00" in shown.text
    assert "&lt;b&gt;Acme &amp; Sons&lt;/b&gt;" in shown.text
    assert "<b>" not in shown.text
    assert "X-Frame-Options" not in shown.headers
    assert "Content-Security-Policy" not in shown.headers


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"key": "rzp_test_other"}, 401, "The api key provided is invalid"),
        ({"order_id": "order_nope"}, 400, "The id provided does not exist"),
        ({"amount": None}, 400, "The amount option is required."),
        ({"currency": None}, 400, "The currency option is required."),
        ({"amount": "50001"}, 400, "Your payment amount is different from your order amount."),
        ({"currency": "USD"}, 400, "Your payment amount is different from your order amount."),
    ],
)
def test_wrong_options_are_complained_about_on_the_page(base, http, new_order, changes, status, sentence):
    shown = page(http, base, new_order()["id"], **changes)
    assert shown.status_code == status
    assert sentence in shown.text
    assert 'data-testid="checkout-error"' in shown.text


def test_a_paid_order_cannot_be_opened_again(base, http, control, captured):
    shown = page(http, base, captured["order_id"])
    assert (shown.status_code, "already paid" in shown.text) == (400, True)


def test_success_returns_three_fields_signed_with_the_key_secret(client, pay):
    answer = pay(**UPI).json()
    assert answer["result"] == "success"
    fields = answer["fields"]
    assert list(fields) == ["razorpay_payment_id", "razorpay_order_id", "razorpay_signature"]
    assert client.utility.verify_payment_signature(fields) is True
    message = f"{fields['razorpay_order_id']}|{fields['razorpay_payment_id']}".encode()
    by_hand = hmac.new(b"simulator_razorpay_key_secret", message, hashlib.sha256).hexdigest()
    assert fields["razorpay_signature"] == by_hand
    assert client.payment.fetch(fields["razorpay_payment_id"])["status"] == "captured"


@pytest.mark.parametrize(
    ("choice", "answer", "result"),
    [
        ({"method": "upi", "vpa": "Success@Razorpay "}, None, "success"),
        ({"method": "upi", "vpa": "failure@razorpay"}, None, "failure"),
        ({**UPI, "outcome": "pending"}, None, "pending"),
        (card("4111 1111 1111 1111"), {"otp": "1234"}, "success"),
        (card("5267-3181-8797-5449"), {"otp": "1234567890"}, "success"),
        (card("4012888888881881"), {"otp": "123"}, "failure"),
        (card("5555555555554444"), {"outcome": "cancel"}, "failure"),
        ({"method": "netbanking", "bank": "HDFC"}, {"outcome": "success"}, "success"),
        ({"method": "netbanking", "bank": "SBIN"}, {"outcome": "failure"}, "failure"),
        ({"method": "wallet", "wallet": "mobikwik"}, {"outcome": "success"}, "success"),
        ({"method": "wallet", "wallet": "olamoney"}, {"outcome": "failure"}, "failure"),
    ],
)
def test_the_documented_test_instruments_decide(client, pay, choice, answer, result):
    assert pay(answer, **choice).json()["result"] == result
    [payment] = client.payment.all()["items"]
    expected = {"success": "captured", "failure": "failed", "pending": "created"}
    assert payment["status"] == expected[result]
    assert payment["international"] is (
        choice.get("card_number", "") in ("4012888888881881", "5555555555554444")
    )


@pytest.mark.parametrize(
    ("choice", "page", "asks"),
    [
        (card(), "otp", "Visa •••• 1111"),
        ({"method": "netbanking", "bank": "ICIC"}, "bank", "ICICI Bank"),
        ({"method": "wallet", "wallet": "airtelmoney"}, "bank", "Airtel Money"),
    ],
)
def test_cards_banks_and_wallets_ask_on_a_page_of_their_own(client, pay, choice, page, asks):
    shown = pay(**choice).json()
    assert (shown["result"], shown["asks"]) == (page, asks)
    assert client.payment.fetch(shown["payment_id"])["status"] == "created"


def test_the_banks_page_is_answered_once(base, http, pay):
    shown = pay(method="netbanking", bank="HDFC").json()
    address = f"{base}/razorpay/pay/attempts/{shown['payment_id']}"
    assert http.post(address, json={"outcome": "maybe"}).status_code == 400
    assert http.post(address, json={"outcome": "failure"}).json()["result"] == "failure"
    again = http.post(address, json={"outcome": "success"})
    assert (again.status_code, "answered already" in again.text) == (400, True)


@pytest.mark.parametrize("otp", ["", "12a4", "12345678901"])
def test_nonsense_for_an_otp_leaves_the_payment_open(client, pay, otp):
    assert pay({"otp": otp}, **card()).status_code == 400
    assert client.payment.all()["items"][0]["status"] == "created"


@pytest.mark.parametrize(
    "choice",
    [
        {"method": "upi", "vpa": "someone@bank"},
        card("4242424242424242"),
        card(card_expiry="12/20"),
        card(card_expiry="13/39"),
        card(card_expiry=""),
        card(card_cvv="12"),
        {"method": "netbanking", "bank": "????"},
        {"method": "wallet", "wallet": "purse"},
        {"method": "barter"},
        {"key": "rzp_test_other", **UPI},
    ],
)
def test_a_wrong_instrument_is_refused_without_an_attempt(client, pay, choice):
    answer = pay(**choice)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"]["description"]
    assert client.payment.all()["count"] == 0


def test_a_failure_carries_what_payment_failed_listeners_get(pay):
    error = pay({"otp": "12"}, **card()).json()["error"]
    metadata = error.pop("metadata")
    assert set(metadata) == {"order_id", "payment_id"}
    assert error == {
        "code": "BAD_REQUEST_ERROR",
        "description": "Authentication failed due to incorrect OTP",
        "field": None,
        "source": "customer",
        "step": "payment_authentication",
        "reason": "invalid_otp",
    }


def test_a_pending_attempt_ends_when_the_control_plane_says_so(base, http, control, pay):
    payment_id = pay(**UPI, outcome="pending").json()["payment_id"]
    address = f"{base}/razorpay/pay/attempts/{payment_id}"
    assert http.get(address).json() == {"result": "pending", "payment_id": payment_id}
    control.move(control.call("GET", "/orders")["orders"][0]["orderId"], "success")
    assert http.get(address).json()["fields"]["razorpay_payment_id"] == payment_id
    assert http.get(f"{address}x").status_code == 400


def test_what_the_customer_typed_reaches_the_payment(client, pay):
    pay(**UPI, email="a@b.in", contact="+911", description="Shoes", notes='{"k":"v"}')
    [payment] = client.payment.all()["items"]
    typed = {"email": "a@b.in", "contact": "+911", "description": "Shoes", "notes": {"k": "v"}}
    assert payment.items() >= typed.items()


def test_nobody_can_pay_an_order_twice(pay):
    assert pay(**UPI).status_code == 200
    second = pay(**UPI)
    assert (second.status_code, "already paid" in second.text) == (400, True)


def test_with_manual_capture_success_means_authorized(base, http, client, new_order):
    order_id = new_order(**MANUAL)["id"]
    body = {"key": KEY_ID, "order_id": order_id, "method": "upi", "vpa": "success@razorpay"}
    assert http.post(f"{base}/razorpay/pay/attempts", json=body).json()["result"] == "success"
    assert client.order.payments(order_id)["items"][0]["status"] == "authorized"
