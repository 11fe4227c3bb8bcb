"""What an independent checker reads, and the verbs that are of no gateway."""

import time
from collections.abc import Iterator

import pytest

from tests.simulator.shop import GATEWAYS, Shop, shop_at


@pytest.fixture
def shop(base: str) -> Iterator[Shop]:
    with shop_at(base) as made:
        yield made


def ids(answer) -> list[str]:
    return [order["orderId"] for order in answer["orders"]]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_an_order_tells_all_that_happened_to_it_in_paise(shop, gateway):
    order_id = shop.order(gateway, "psv_1")
    shop.control("POST", f"orders/{order_id}/failure")
    shop.control("POST", f"orders/{order_id}/success")
    shop.control("POST", f"orders/{order_id}/dashboard-refund", {"amountPaise": 12345})
    shop.control("GET", "deliveries?wait=5")
    [order] = shop.control("GET", "orders")["orders"]
    shown = {"orderId": order_id, "wireId": "psv_1", "gateway": gateway, "currency": "INR"}
    assert order.items() >= {**shown, "amountPaise": 50000, "amountPaidPaise": 50000}.items()
    assert abs(order["createdAt"] - time.time()) < 60
    assert [attempt["amountPaise"] for attempt in order["attempts"]] == [50000, 50000]
    [refund] = order["refunds"]
    assert (refund["amountPaise"], refund["paymentId"]) == (12345, order["attempts"][-1]["paymentId"])
    assert {event["state"] for event in order["webhooks"]} == {"delivered"}
    assert shop.control("GET", f"orders/{order_id}") == order


def test_an_order_that_the_merchant_gave_no_id_has_none(control, new_order):
    assert control.order(new_order()["id"])["wireId"] is None


def test_the_list_can_be_read_page_by_page_while_orders_arrive(shop):
    for number in range(7):
        shop.order(GATEWAYS[number % 3], f"psv_{number}")
    everything = ids(shop.control("GET", "orders"))
    page = shop.control("GET", "orders?limit=3")
    assert (len(ids(page)), page["total"], page["next"]) == (3, 7, ids(page)[-1])
    read = ids(page)
    shop.control("POST", "clock", {"advance_seconds": 60})
    shop.order("cashfree", "psv_late")
    while page["next"]:
        page = shop.control("GET", f"orders?limit=3&before={page['next']}")
        read += ids(page)
    assert read == everything


def test_the_list_can_be_narrowed_to_a_gateway_and_to_a_part_of_an_id_or_status(shop):
    razorpay, phonepe, cashfree = [shop.order(gateway, f"psv_{gateway}") for gateway in GATEWAYS]
    paid = shop.control("POST", f"orders/{cashfree}/success")["attempts"][0]["paymentId"]
    assert ids(shop.control("GET", "orders?gateway=phonepe")) == [phonepe]
    assert ids(shop.control("GET", "orders?q=PSV_RAZOR")) == [razorpay]
    assert ids(shop.control("GET", f"orders?q={paid}")) == [cashfree]
    assert ids(shop.control("GET", "orders?q=paid")) == [cashfree]
    assert ids(shop.control("GET", "orders?q=paid&gateway=razorpay")) == []


@pytest.mark.parametrize(
    ("query", "field"), [("limit=0", "limit"), ("limit=x", "limit"), ("before=x", "before")]
)
def test_a_page_that_cannot_be_is_400_naming_the_field(control, query, field):
    assert control.call("GET", f"/orders?{query}", status=400)["field"] == field


def test_while_nothing_changes_the_list_is_not_sent_again(shop):
    shop.order("cashfree", "psv_1")
    shop.control("GET", "deliveries?wait=5")
    first = shop.http.get(f"{shop.base}/_sim/orders")
    asked = {"If-None-Match": first.headers["ETag"]}

    def again() -> int:
        return shop.http.get(f"{shop.base}/_sim/orders", headers=asked).status_code

    statuses = [again(), again()]
    assert 304 in statuses  # not both: the clock may have come to where the list is not believed any more
    shop.control("POST", "orders/psv_1/success")
    assert again() == 200


def test_deliveries_of_one_order_are_those_and_no_others(shop):
    first, second = shop.order("razorpay", "psv_1"), shop.order("cashfree", "psv_2")
    for order_id in (first, second):
        shop.control("POST", f"orders/{order_id}/success")
    told = shop.control("GET", f"deliveries?wait=5&orderId={second}")
    assert {one["orderId"] for one in told["deliveries"] + told["events"]} == {second}
    assert len(shop.control("GET", "deliveries?wait=5")["events"]) == 3 + len(told["events"])
    assert shop.control("GET", "deliveries?orderId=nobody") == {"deliveries": [], "events": []}


def test_waiting_for_one_order_does_not_wait_for_another(shop, receiver):
    """Another order's webhook that nobody takes is due again and again."""
    other, order_id = shop.order("razorpay", "psv_1"), shop.order("cashfree", "psv_2")
    receiver.answers = [500] * 4
    shop.control("POST", f"orders/{other}/failure")
    shop.control("POST", f"orders/{order_id}/success")
    started = time.monotonic()
    told = shop.control("GET", f"deliveries?wait=20&orderId={order_id}")
    assert time.monotonic() - started < 10
    assert told["events"][0]["state"] in ("delivered", "waiting")


def test_an_event_can_be_sent_that_no_verb_leads_to(shop):
    """Of the types that the gateway knows; any other is refused by naming them."""
    for name, gateway in shop.control("GET", "gateways")["gateways"].items():
        order_id = shop.order(name, f"psv_{name}")
        shop.control("POST", f"orders/{order_id}/success")
        refused = shop.http.post(f"{shop.base}/_sim/orders/{order_id}/webhook", json={"type": "lunch"})
        assert (refused.status_code, refused.json()["field"]) == (400, "type")
        for event_type in gateway["eventTypes"][:1]:
            path = f"{shop.base}/_sim/orders/{order_id}/webhook"
            assert shop.http.post(path, json={"type": event_type}).status_code in (200, 409)
    nobody = shop.http.post(f"{shop.base}/_sim/orders/nobody/webhook", json={"type": "lunch"})
    assert nobody.status_code == 404


def test_settling_asks_every_gateway(shop):
    for gateway in GATEWAYS:
        shop.control("POST", f"orders/{shop.order(gateway, f'psv_{gateway}')}/success")
    assert shop.control("POST", "settle") == {"settled": True}
    assert shop.http.post(f"{shop.base}/_sim/settle", json={"when": "now"}).status_code == 400


def test_settings_say_what_they_may_be(shop):
    told = shop.control("GET", "settings")
    for name, choices in told["choices"].items():
        assert set(choices) == set(told[name])
        for setting, allowed in choices.items():
            values = [allowed["from"], allowed["to"]] if isinstance(allowed, dict) else allowed
            for value in values:
                assert shop.control("POST", "settings", {name: {setting: value}})[name][setting] == value


def test_the_gateways_say_how_to_reach_them(shop):
    told = shop.control("GET", "gateways")
    assert set(told["gateways"]) == set(GATEWAYS)
    assert told["gateways"]["razorpay"]["credentials"]["RAZORPAY_KEY_ID"] == "rzp_test_simulator"
    assert "second-success" in told["verbs"]
