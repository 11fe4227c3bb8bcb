"""Razorpay docs, api/payments: entity, fetch, capture."""

import pytest
from razorpay.errors import BadRequestError

from tests.simulator.conftest import MANUAL

ALWAYS_PRESENT = {
    *("id", "entity", "amount", "currency", "status", "order_id", "invoice_id", "international", "method"),
    *("amount_refunded", "refund_status", "captured", "description", "card_id", "bank", "wallet", "vpa"),
    *("email", "contact", "notes", "fee", "tax", "error_code", "error_description", "error_source"),
    *("error_step", "error_reason", "acquirer_data", "created_at"),
}
SOMETIMES_PRESENT = {"base_amount", "amount_transferred", "card", "upi", "late_authorized"}
ACQUIRER_DATA = {
    "upi": {"rrn", "upi_transaction_id"},
    "card": {"auth_code", "rrn"},
    "netbanking": {"bank_transaction_id"},
    "wallet": {"transaction_id"},
}
ALREADY_PAID = (
    "Your payment has been declined as the order is already paid. "
    "Please initiate the payment with a new order."
)


def authorized_payment(new_order, control, client):
    order_id = new_order(**MANUAL)["id"]
    control.move(order_id, "success")
    return client.order.payments(order_id)["items"][0]


@pytest.mark.parametrize("method", list(ACQUIRER_DATA))
@pytest.mark.parametrize("verb", ["success", "failure", "pending", "authorize", "late-success"])
def test_a_payment_always_has_the_documented_fields(client, control, new_order, method, verb):
    order_id = new_order()["id"]
    control.move(order_id, verb, method=method)
    payment = client.order.payments(order_id)["items"][-1]
    assert ALWAYS_PRESENT <= set(payment) <= ALWAYS_PRESENT | SOMETIMES_PRESENT
    assert payment["method"] == method
    assert set(payment["acquirer_data"]) == ACQUIRER_DATA[method]
    assert client.payment.fetch(payment["id"]) == payment


def test_each_method_names_its_instrument(client, control, new_order):
    payments = {}
    for method in ACQUIRER_DATA:
        order_id = new_order()["id"]
        control.move(order_id, "success", method=method)
        payments[method] = client.order.payments(order_id)["items"][0]
    assert payments["upi"]["vpa"] == "success@razorpay"
    assert payments["netbanking"]["bank"] == "HDFC"
    assert payments["wallet"]["wallet"] == "olamoney"
    assert payments["card"]["card_id"] == payments["card"]["card"]["id"]
    assert payments["card"]["card"]["last4"] == "1111"
    assert "card" not in payments["upi"]


def test_a_captured_payment_knows_its_fee_with_tax_in_paise(captured):
    assert captured["status"] == "captured"
    assert captured["captured"] is True
    assert (captured["fee"], captured["tax"]) == (1180, 180)
    assert captured["error_code"] is None


def test_a_failed_payment_says_why_and_has_no_fee(client, control, new_order):
    order_id = new_order()["id"]
    control.move(order_id, "failure")
    payment = client.order.payments(order_id)["items"][0]
    assert (payment["status"], payment["captured"], payment["fee"]) == ("failed", False, None)
    assert payment["error_code"] == "BAD_REQUEST_ERROR"
    assert payment["error_reason"] == "payment_failed"
    assert payment["acquirer_data"]["rrn"] is None


def test_manual_capture_leaves_the_payment_authorized_until_it_is_captured(client, control, new_order):
    payment = authorized_payment(new_order, control, client)
    assert (payment["status"], payment["captured"], payment["fee"]) == ("authorized", False, None)
    assert client.order.fetch(payment["order_id"])["status"] == "attempted"
    captured = client.payment.capture(payment["id"], 50000, {"currency": "INR"})
    assert (captured["id"], captured["status"], captured["fee"]) == (payment["id"], "captured", 1180)
    assert client.order.fetch(payment["order_id"])["status"] == "paid"


def test_the_old_capture_setting_works_too(client, control, new_order):
    for value in (0, False, "0"):
        order_id = new_order(payment_capture=value)["id"]
        control.move(order_id, "success")
        assert client.order.payments(order_id)["items"][0]["status"] == "authorized"
    options = {"automatic_expiry_period": 12, "manual_expiry_period": 7200, "refund_speed": "optimum"}
    order_id = new_order(payment={"capture": "automatic", "capture_options": options})["id"]
    control.move(order_id, "success")
    assert client.order.payments(order_id)["items"][0]["status"] == "captured"


def test_capturing_twice_is_refused_as_already_paid(api, captured):
    response = api("POST", f"/payments/{captured['id']}/capture", json={"amount": 50000, "currency": "INR"})
    assert response.status_code == 400
    assert response.json()["error"] == {
        "code": "BAD_REQUEST_ERROR",
        "description": ALREADY_PAID,
        "source": "business",
        "step": "payment_initiation",
        "reason": "input_validation_failed",
        "metadata": {},
    }


@pytest.mark.parametrize(
    ("body", "description"),
    [
        ({"amount": 49999, "currency": "INR"}, "Capture amount must be equal to the amount authorized"),
        ({"amount": {"amount": 50000}, "currency": "INR"}, "The amount must be an integer."),
        ({"currency": "INR"}, "The amount field is required."),
        ({"amount": 50000}, "The currency field is required."),
        ({"amount": 50000, "currency": "INR", "x": 1}, "x is/are not required and should not be sent"),
    ],
)
def test_a_wrong_capture_is_refused_and_captures_nothing(api, client, control, new_order, body, description):
    payment = authorized_payment(new_order, control, client)
    response = api("POST", f"/payments/{payment['id']}/capture", json=body)
    assert (response.status_code, response.json()["error"]["description"]) == (400, description)
    assert client.payment.fetch(payment["id"])["status"] == "authorized"


@pytest.mark.parametrize("verb", ["failure", "pending"])
def test_only_an_authorized_payment_can_be_captured(client, control, new_order, verb):
    order_id = new_order()["id"]
    control.move(order_id, verb)
    payment = client.order.payments(order_id)["items"][0]
    with pytest.raises(BadRequestError, match="authorized and not yet captured"):
        client.payment.capture(payment["id"], 50000, {"currency": "INR"})


def test_an_authorized_payment_of_a_paid_order_cannot_be_captured(client, control, new_order):
    order_id = new_order()["id"]
    control.move(order_id, "authorize")
    control.move(order_id, "success")
    held = next(one for one in client.order.payments(order_id)["items"] if one["status"] == "authorized")
    with pytest.raises(BadRequestError, match="already paid"):
        client.payment.capture(held["id"], 50000, {"currency": "INR"})


def test_payments_are_listed_and_expand_is_tolerated(client, control, new_order):
    for _ in range(3):
        control.move(new_order()["id"], "success")
    listed = client.payment.all({"count": 2, "skip": 1, "expand[]": "card"})
    assert (listed["entity"], listed["count"], len(listed["items"])) == ("collection", 2, 2)


def test_all_attempts_of_an_order_are_listed_newest_first(client, control, new_order):
    order_id = new_order()["id"]
    control.move(order_id, "failure")
    control.move(order_id, "success")
    payments = client.order.payments(order_id)
    assert [payment["status"] for payment in payments["items"]] == ["captured", "failed"]


def test_the_notes_of_a_payment_can_be_changed(client, captured):
    assert client.payment.edit(captured["id"], {"notes": {"k": "v"}})["notes"] == {"k": "v"}
    assert client.payment.fetch(captured["id"])["notes"] == {"k": "v"}


def test_unknown_payments_do_not_exist(client):
    for call in (client.payment.fetch, lambda one: client.payment.capture(one, 100, {"currency": "INR"})):
        with pytest.raises(BadRequestError, match="The id provided does not exist"):
            call("pay_nope")


def test_settlements_are_an_empty_collection_for_now(client):
    assert client.settlement.all() == {"entity": "collection", "count": 0, "items": []}
    with pytest.raises(BadRequestError, match="does not exist"):
        client.settlement.fetch("setl_nope")
