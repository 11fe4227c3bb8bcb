"""razorpay 2.0.1 against the simulator: cash on delivery, offers, the customer's fee, an order's payments."""

import json
from collections.abc import Callable

import pytest
import razorpay
from conftest import Json, Simulator
from razorpay.errors import BadRequestError
from razorpay_samples import differences, sample
from razorpay_words import MANUAL, settings, told, verifies

pytest_plugins = ("razorpay_sdk",)

# What Magic Checkout adds to an order or a payment, which Standard Checkout does not have.
MAGIC = (
    "offers",
    "promotions",
    "cod_fee",
    "shipping_fee",
    "customer_details",
    "line_items_total",
    "tax_details",
)


def not_magic(found: list[str]) -> list[str]:
    return [text for text in found if not any(f".{name} is missing" in text for name in MAGIC)]


@pytest.fixture
def placed(simulator: Simulator, new_order: Callable[..., Json]) -> str:
    order_id = str(new_order()["id"])
    simulator.move(order_id, "success", method="cod")
    return order_id


def test_cash_on_delivery_is_told_as_documented(
    simulator: Simulator, client: razorpay.Client, placed: str
) -> None:
    [payment] = client.order.payments(placed)["items"]
    assert differences(payment, sample("api/payment.cod.pending.official.response")) in (
        [],
        [".receiver_type is missing"],
    )
    assert (payment["status"], payment["captured"], payment["fee"]) == ("pending", False, None)
    order = client.order.fetch(placed)
    assert not_magic(differences(order, sample("api/order.cod.placed.response"))) == []
    assert (order["status"], order["amount_paid"], order["amount_due"]) == ("placed", 0, 50000)
    pending, ordered = told(simulator)
    for one, name in ((pending, "payment.pending.cod"), (ordered, "order.placed.cod")):
        assert verifies(client, one)
        assert not_magic(differences(json.loads(one["body"]), sample(f"webhooks/{name}"))) == []


def test_cash_is_collected_once_and_never_settled(
    simulator: Simulator, client: razorpay.Client, placed: str
) -> None:
    simulator.move(placed, "collect-cash")
    [payment] = client.order.payments(placed)["items"]
    assert (payment["status"], payment["method"], payment["fee"], payment["tax"]) == ("captured", "cod", 0, 0)
    assert [one["event"] for one in told(simulator)][2:] == ["payment.captured", "order.paid"]
    simulator.control("POST", "settle")
    assert client.settlement.all()["count"] == 0
    with pytest.raises(BadRequestError):
        client.payment.capture(payment["id"], 50000, {"currency": "INR"})


def test_an_offer_leaves_the_order_paid(
    simulator: Simulator, client: razorpay.Client, new_order: Callable[..., Json]
) -> None:
    order_id = new_order()["id"]
    simulator.move(order_id, "success", offerPaise=5000)
    assert [one["amount"] for one in client.order.payments(order_id)["items"]] == [45000]
    assert (client.order.fetch(order_id)["status"], told(simulator)[-1]["event"]) == ("paid", "order.paid")


def test_where_the_customer_bears_the_fee_the_orders_amount_is_captured(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    settings(simulator, fee_bearer="customer")
    held = pay(amount=10000, **MANUAL)
    expected = sample("api/payment.customer_fee_bearer.authorized.response")
    assert (held["amount"], held["fee_bearer"]) == (expected["amount"], "customer")
    with pytest.raises(BadRequestError):
        client.payment.capture(held["id"], held["amount"], {"currency": "INR"})
    captured = client.payment.capture(held["id"], 10000, {"currency": "INR"})
    assert (captured["status"], captured["amount"], captured["fee"]) == ("captured", 10236, 236)
    assert client.order.fetch(held["order_id"])["status"] == "paid"


def test_an_orders_payments_take_no_parameters(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    with pytest.raises(BadRequestError):
        client.order.payments(pay()["order_id"], {"count": 100})
