"""Cash on delivery, offers, a fee that the customer bears, and an order whose own word comes late."""

import json

import pytest

from tests.simulator.conftest import MANUAL

DAY = 24 * 3600


@pytest.fixture
def placed(new_order, control):
    order = new_order()
    control.move(order["id"], "success", method="cod")
    return order["id"]


def payments(client, order_id):
    return client.order.payments(order_id)["items"]


def told(receiver, event):
    return next(json.loads(one.body)["payload"] for one in receiver.received if one.event == event)


def test_placed_cash_moves_no_money(client, control, receiver, placed):
    order = client.order.fetch(placed)
    assert (order["status"], order["amount_paid"], order["amount_due"]) == ("placed", 0, 50000)
    [payment] = payments(client, placed)
    assert (payment["status"], payment["method"], payment["captured"]) == ("pending", "cod", False)
    assert (payment["amount"], payment["fee"], payment["acquirer_data"]) == (50000, None, {})
    control.settle()
    assert receiver.events == ["payment.pending", "order.placed"]
    assert told(receiver, "order.placed")["order"]["entity"]["status"] == "placed"


def test_collected_cash_pays_the_order_and_is_never_settled(client, control, receiver, placed):
    control.move(placed, "collect-cash")
    [payment] = payments(client, placed)
    assert (payment["status"], payment["fee"], payment["tax"]) == ("captured", 0, 0)
    assert client.order.fetch(placed)["status"] == "paid"
    control.settle()
    assert receiver.events[2:] == ["payment.captured", "order.paid"]
    control.call("POST", "/settle")
    assert client.settlement.all()["count"] == 0
    control.move(placed, "collect-cash", status=409)


@pytest.mark.parametrize("by", ["failure", "clock"])
def test_cash_that_is_not_confirmed_is_given_up(client, control, receiver, placed, by):
    if by == "failure":
        control.move(placed, "failure")
    else:
        control.call("POST", "/clock", {"advance_seconds": 44 * DAY})
        assert payments(client, placed)[0]["status"] == "pending"
        control.call("POST", "/clock", {"advance_seconds": 2 * DAY})
    [payment] = payments(client, placed)
    assert (payment["status"], payment["error_code"]) == ("failed", None)
    control.settle()
    assert receiver.events[2:] == ["payment.failed"]
    control.move(placed, "collect-cash", status=409)


def test_a_part_paid_online_leaves_the_rest_to_cash(client, control, new_order):
    order_id = new_order()["id"]
    control.move(order_id, "success", amountPaise=20000)
    control.move(order_id, "success", method="cod")
    assert [(one["amount"], one["status"]) for one in payments(client, order_id)] == [
        (30000, "pending"),
        (20000, "captured"),
    ]
    order = client.order.fetch(order_id)
    assert (order["status"], order["amount_paid"], order["amount_due"]) == ("placed", 20000, 30000)


def test_a_placed_order_can_still_be_paid_online(client, control, placed):
    control.move(placed, "success")
    assert client.order.fetch(placed)["status"] == "paid"
    assert [one["status"] for one in payments(client, placed)] == ["captured", "pending"]


@pytest.mark.parametrize("verb", ["pending", "authorize", "late-success"])
def test_cash_is_placed_by_success_alone(control, new_order, verb):
    control.move(new_order()["id"], verb, method="cod", status=409)


def test_an_offer_pays_the_order_with_less(client, control, receiver, new_order):
    order_id = new_order()["id"]
    control.move(order_id, "success", offerPaise=5000)
    assert payments(client, order_id)[0]["amount"] == 45000
    order = client.order.fetch(order_id)
    assert (order["status"], order["amount"], order["amount_due"]) == ("paid", 50000, 0)
    control.settle()
    assert receiver.events[-1] == "order.paid"
    control.move(new_order()["id"], "success", offerPaise=50000, status=409)
    control.move(new_order()["id"], "failure", offerPaise=1, status=400)


def test_a_fee_that_the_customer_bears_is_paid_on_top(client, control, new_order, api):
    control.call("POST", "/settings", {"razorpay": {"fee_bearer": "customer"}})
    paid, held = new_order(10000)["id"], new_order(10000, **MANUAL)["id"]
    for order_id in (paid, held):
        control.move(order_id, "success")
    [payment] = payments(client, paid)
    assert (payment["amount"], payment["fee"], payment["tax"]) == (10236, 236, 36)
    assert payment["fee_bearer"] == "customer"
    order = client.order.fetch(paid)
    assert (order["status"], order["amount_paid"]) == ("paid", 10000)
    [waiting] = payments(client, held)
    path = f"/payments/{waiting['id']}/capture"
    assert api("POST", path, json={"amount": 10236, "currency": "INR"}).status_code == 400
    assert api("POST", path, json={"amount": 10000, "currency": "INR"}).json()["status"] == "captured"


def test_the_word_of_an_order_may_come_late(client, control, receiver, new_order):
    order_id = new_order()["id"]
    assert control.move(order_id, "late-word", reads=2)["status"] == "created"
    assert control.move(order_id, "success")["status"] == "paid"  # the truth, for who checks the shop
    for _ in range(2):
        order = client.order.fetch(order_id)
        assert (order["status"], order["amount_paid"], order["amount_due"]) == ("attempted", 0, 50000)
        assert payments(client, order_id)[0]["status"] == "captured"
    control.settle()
    assert client.order.fetch(order_id)["status"] == "paid"
    control.settle()
    assert receiver.events == ["payment.authorized", "payment.captured", "order.paid"]


def test_a_late_word_comes_by_the_clock_as_well(client, control, receiver, new_order):
    before, after = new_order()["id"], new_order()["id"]
    control.move(before, "late-word", reads=1000)
    control.move(before, "success")
    control.move(after, "success")
    control.move(after, "late-word", reads=1000)
    assert {client.order.fetch(one)["status"] for one in (before, after)} == {"attempted"}
    control.call("POST", "/clock", {"advance_seconds": 16 * 60})
    assert {client.order.fetch(one)["status"] for one in (before, after)} == {"paid"}
    control.settle()
    assert receiver.events.count("order.paid") == 2


@pytest.mark.parametrize("reads", [0, -1, "1", True, None, 10**9])
def test_a_late_word_needs_a_number_of_reads(control, new_order, reads):
    control.move(new_order()["id"], "late-word", status=400, reads=reads)


@pytest.mark.parametrize("query", ["count=100", "skip=0", "from=1", "expand[]=card", "x=1"])
def test_the_payments_of_an_order_take_no_parameters(api, captured, query):
    answer = api("GET", f"/orders/{captured['order_id']}/payments?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["description"].endswith("is/are not required and should not be sent")
