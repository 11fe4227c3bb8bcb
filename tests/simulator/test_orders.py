"""Razorpay docs, api/orders."""

import pytest
import razorpay
from razorpay.errors import BadRequestError

from tests.simulator.conftest import MANUAL

ORDER_FIELDS = [
    "id",
    "entity",
    "amount",
    "amount_paid",
    "amount_due",
    "currency",
    "receipt",
    "offer_id",
    "status",
    "attempts",
    "notes",
    "created_at",
]


def test_a_new_order_has_exactly_the_documented_fields(client: razorpay.Client):
    notes = {"key1": "value3", "key2": "value2"}
    order = client.order.create(
        {"amount": 50000, "currency": "INR", "receipt": "receipt#1", "partial_payment": False, "notes": notes}
    )
    assert list(order) == ORDER_FIELDS
    assert order["id"].startswith("order_")
    assert len(order["id"]) == len("order_") + 14
    unpaid = {"amount": 50000, "amount_paid": 0, "amount_due": 50000, "status": "created", "attempts": 0}
    assert order.items() >= unpaid.items()
    assert order.items() >= {"entity": "order", "currency": "INR", "receipt": "receipt#1"}.items()
    assert order["notes"] == notes
    assert isinstance(order["created_at"], int)


def test_empty_notes_come_back_as_a_list(new_order):
    assert new_order(notes={})["notes"] == []
    assert new_order()["notes"] == []


def test_an_order_can_be_form_encoded_with_nested_fields(api):
    form = {"amount": "50000", "currency": "INR", "notes[shop]": "₹ucky", "payment[capture]": "manual"}
    order = api("POST", "/orders/", data=form).json()
    assert (order["amount"], order["notes"]) == (50000, {"shop": "₹ucky"})


@pytest.mark.parametrize(
    ("change", "description", "field"),
    [
        ({"amount": 99}, "The amount must be at least INR 1.00", "amount"),
        ({"amount": -100}, "The amount must be at least INR 1.00", "amount"),
        ({"amount": 100.5}, "The amount must be an integer.", "amount"),
        ({"amount": 100.0}, "The amount must be an integer.", "amount"),
        ({"amount": True}, "The amount must be an integer.", "amount"),
        ({"amount": "1e3"}, "The amount must be an integer.", "amount"),
        ({"amount": None}, "The amount field is required.", "amount"),
        ({"currency": None}, "The currency field is required.", "currency"),
        ({"currency": "USD"}, "Currency is not supported", "currency"),
        ({"receipt": "r" * 41}, "The receipt may not be greater than 40 characters.", "receipt"),
        ({"receipt": 7}, "The receipt must be a string.", "receipt"),
        ({"notes": "text"}, "The notes must be an array.", "notes"),
        ({"notes": {"k": "v" * 257}}, "The notes may not be greater than 256 characters.", "notes"),
        ({"notes": {"k": {}}}, "The notes values themselves should not be an array", "notes"),
        ({"payment_capture": "maybe"}, "The payment_capture field must be true or false.", "payment_capture"),
        ({"payment": {"capture": "later"}}, "The selected payment.capture is invalid.", "capture"),
        (
            {"payment": {"capture": "automatic"}},
            "The automatic_expiry_period field is required.",
            "automatic_expiry_period",
        ),
        (
            {"payment": {"capture": "automatic", "capture_options": {"automatic_expiry_period": 11}}},
            "The automatic_expiry_period must be at least 12.",
            "automatic_expiry_period",
        ),
        (
            {"payment": {"capture": "manual", "capture_options": {"manual_expiry_period": 7201}}},
            "The manual_expiry_period must be between automatic_expiry_period and 7200.",
            "manual_expiry_period",
        ),
        (
            {"payment": {"capture": "manual", "capture_options": {"refund_speed": "warp"}}},
            "The selected refund_speed is invalid.",
            "refund_speed",
        ),
    ],
)
def test_a_wrong_order_is_refused_with_400_naming_the_field(api, change, description, field):
    response = api("POST", "/orders", json={"amount": 50000, "currency": "INR", **change})
    assert response.status_code == 400
    assert response.json() == {
        "error": {
            "code": "BAD_REQUEST_ERROR",
            "description": description,
            "source": "business",
            "step": "payment_initiation",
            "reason": "input_validation_failed",
            "metadata": {},
            "field": field,
        }
    }


def test_too_many_notes_are_refused(client):
    data = {"amount": 100, "currency": "INR", "notes": {str(number): "x" for number in range(16)}}
    with pytest.raises(BadRequestError, match="less than or equal to 15"):
        client.order.create(data)


def test_unknown_fields_are_refused(client):
    with pytest.raises(BadRequestError, match="foo is/are not required and should not be sent"):
        client.order.create({"amount": 100, "currency": "INR", "foo": 1})


def test_a_minimum_first_payment_needs_partial_payment(new_order):
    assert new_order(partial_payment=True, first_payment_min_amount=100)["amount"] == 50000
    with pytest.raises(BadRequestError, match="first_payment_min_amount"):
        new_order(first_payment_min_amount=100)


@pytest.mark.parametrize(
    "body", ["[1]", "{", '"text"', '{"amount": 100, "currency": "INR", "receipt": "\\ud800"}']
)
def test_a_body_that_is_no_object_is_refused(api, body):
    response = api("POST", "/orders", data=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BAD_REQUEST_ERROR")


def test_an_order_moves_from_created_over_attempted_to_paid(client, control, new_order):
    order_id = new_order()["id"]
    control.move(order_id, "failure")
    attempted = client.order.fetch(order_id)
    assert attempted.items() >= {"status": "attempted", "attempts": 1, "amount_paid": 0}.items()
    control.move(order_id, "success")
    paid = client.order.fetch(order_id)
    assert list(paid) == ORDER_FIELDS
    assert paid.items() >= {"status": "paid", "attempts": 2, "amount_paid": 50000, "amount_due": 0}.items()


def test_an_order_stays_paid_after_a_full_refund(client, captured):
    client.payment.refund(captured["id"], {"amount": 50000})
    assert client.order.fetch(captured["order_id"])["status"] == "paid"


def test_only_the_notes_of_an_order_can_be_changed(client, new_order):
    order_id = new_order(notes={"a": "1"})["id"]
    assert client.order.edit(order_id, {"notes": {"b": "2"}})["notes"] == {"b": "2"}
    assert client.order.fetch(order_id)["notes"] == {"b": "2"}
    with pytest.raises(BadRequestError, match="amount is/are not required"):
        client.order.edit(order_id, {"amount": 1})
    with pytest.raises(BadRequestError, match="The notes field is required"):
        client.order.edit(order_id, {})


def test_orders_are_listed_newest_first_in_pages(client, new_order):
    ids = [new_order(receipt=f"r{number}")["id"] for number in range(12)][::-1]
    first = client.order.all()
    assert (first["entity"], first["count"]) == ("collection", 10)
    assert [item["id"] for item in first["items"]] == ids[:10]
    rest = client.order.all({"count": 100, "skip": 10})
    assert [item["id"] for item in rest["items"]] == ids[10:]


def test_orders_can_be_found_by_receipt(client, new_order):
    order_id = new_order(receipt="ours-17")["id"]
    new_order(receipt="ours-18")
    assert [item["id"] for item in client.order.all({"receipt": "ours-17"})["items"]] == [order_id]
    assert client.order.all({"receipt": "nobody's"}) == {"entity": "collection", "count": 0, "items": []}


def test_orders_can_be_found_by_creation_time(client, control, new_order):
    early = new_order()
    control.call("POST", "/clock", {"advance_seconds": 1000})
    late = new_order()
    found = client.order.all({"from": early["created_at"] + 500})
    assert [item["id"] for item in found["items"]] == [late["id"]]
    found = client.order.all({"to": early["created_at"] + 500})
    assert [item["id"] for item in found["items"]] == [early["id"]]


def test_orders_can_be_filtered_by_authorized_payments(client, control, new_order):
    waiting, authorized = new_order()["id"], new_order(**MANUAL)["id"]
    control.move(authorized, "success")
    assert [item["id"] for item in client.order.all({"authorized": 1})["items"]] == [authorized]
    assert [item["id"] for item in client.order.all({"authorized": 0})["items"]] == [waiting]


def test_payments_can_be_expanded_into_orders(client, control, new_order):
    order_id = new_order()["id"]
    control.move(order_id, "success")
    [order] = client.order.all({"expand[]": "payments"})["items"]
    assert order["payments"]["count"] == 1
    assert order["payments"]["items"][0]["order_id"] == order_id


def test_more_than_a_hundred_at_once_are_refused(api):
    response = api("GET", "/orders", params={"count": 101})
    assert response.status_code == 400
    assert response.json() == {
        "error": {
            "field": "count",
            "code": "BAD_REQUEST_ERROR",
            "description": "The count may not be greater than 100.",
        }
    }


@pytest.mark.parametrize("parameters", [{"count": "x"}, {"count": 0}, {"skip": -1}, {"from": "today"}])
def test_nonsense_in_list_parameters_is_refused(api, parameters):
    assert api("GET", "/payments", params=parameters).status_code == 400


def test_receipts_need_not_be_unique_unless_switched_on(api, control, new_order):
    first = new_order(receipt="same")
    assert new_order(receipt="same")["id"] != first["id"]
    control.call("POST", "/settings", {"razorpay": {"unique_receipts": True}})
    response = api("POST", "/orders", json={"amount": 100, "currency": "INR", "receipt": "same"})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["description"] == "Order receipt should be unique."
    assert error["metadata"] == {"order_id": first["id"]}
    assert new_order(receipt="other")["receipt"] == "other"


def test_an_unknown_order_does_not_exist(api):
    for path in ("/orders/order_nope", "/orders/order_nope/payments"):
        response = api("GET", path)
        assert response.status_code == 400
        assert response.json()["error"]["description"] == "The id provided does not exist"
        assert response.json()["error"]["source"] == "internal"
