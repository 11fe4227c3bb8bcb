"""Faults on API calls: lost answers, reset connections, refusals, slowness."""

import time

import pytest
import requests
from razorpay.errors import BadRequestError, ServerError

from tests.simulator.shop import GATEWAYS, shop_at


def create(api, receipt="r1", **options):
    return api("POST", "/orders", json={"amount": 100, "currency": "INR", "receipt": receipt}, **options)


def committed(client) -> int:
    return client.order.all()["count"]


def test_timeout_before_hangs_and_commits_nothing(api, client, control):
    control.fault("create_order", "timeout_before", seconds=0.5)
    with pytest.raises(requests.Timeout):
        create(api, timeout=0.2)
    assert committed(client) == 0


def test_timeout_after_hangs_and_has_committed(api, client, control):
    control.fault("create_order", "timeout_after", seconds=0.5)
    with pytest.raises(requests.Timeout):
        create(api, timeout=0.2)
    assert client.order.all({"receipt": "r1"})["count"] == 1


def test_a_hanging_call_ends_in_a_dropped_connection(api, control):
    control.fault("create_order", "timeout_before", seconds=0.1)
    with pytest.raises(requests.ConnectionError):
        create(api)


@pytest.mark.parametrize(("kind", "orders"), [("reset_before", 0), ("reset_after", 1)])
def test_a_reset_closes_the_connection_without_an_answer(api, client, control, capfd, kind, orders):
    control.fault("create_order", kind)
    with pytest.raises(requests.ConnectionError) as caught:
        create(api)
    assert not isinstance(caught.value, requests.Timeout)
    assert "reset" in str(caught.value).lower()
    assert committed(client) == orders
    assert capfd.readouterr().err == ""


def test_reset_after_a_refund_leaves_a_refund_that_its_key_finds_again(api, client, control, captured):
    headers = {"X-Refund-Idempotency": "refund-0001"}
    control.fault("refund", "reset_after")
    with pytest.raises(requests.ConnectionError):
        api("POST", f"/payments/{captured['id']}/refund", json={"amount": 100}, headers=headers)
    again = api("POST", f"/payments/{captured['id']}/refund", json={"amount": 100}, headers=headers)
    assert client.refund.all()["items"] == [again.json()]


def test_while_an_answer_is_being_lost_the_refund_is_already_there(api, client, control, captured):
    headers = {"X-Refund-Idempotency": "refund-0001"}
    control.fault("refund", "timeout_after", seconds=1)
    with pytest.raises(requests.Timeout):
        api("POST", f"/payments/{captured['id']}/refund", json={}, headers=headers, timeout=0.2)
    again = api("POST", f"/payments/{captured['id']}/refund", json={}, headers=headers)
    assert again.status_code == 200
    assert client.refund.all()["count"] == 1


def test_capture_can_be_lost_after_it_happened(api, client, control, new_order):
    order_id = new_order(payment={"capture": "manual"})["id"]
    payment_id = control.move(order_id, "success")["attempts"][0]["paymentId"]
    control.fault("capture", "reset_after")
    with pytest.raises(requests.ConnectionError):
        client.payment.capture(payment_id, 50000, {"currency": "INR"})
    assert client.payment.fetch(payment_id)["status"] == "captured"


def test_429_and_500_are_razorpays_own_json(api, client, control):
    control.fault("create_order", "429")
    control.fault("create_order", "500")
    too_many = create(api)
    assert too_many.status_code == 429
    assert too_many.json()["error"]["description"] == "Request failed. Please try after sometime."
    broken = create(api)
    assert broken.status_code == 500
    assert broken.json() == {
        "error": {
            "code": "SERVER_ERROR",
            "description": "The server encountered an error. The incident has been reported to admins.",
        }
    }
    assert committed(client) == 0


def test_the_sdk_tells_429_and_500_apart_only_by_code(client, control):
    control.fault("fetch", "429")
    with pytest.raises(BadRequestError):
        client.order.all()
    control.fault("fetch", "500")
    with pytest.raises(ServerError):
        client.order.all()


def test_a_502_is_a_proxys_html_page(api, client, control):
    control.fault("create_order", "html502")
    response = create(api)
    assert response.status_code == 502
    assert response.headers["Content-Type"] == "text/html"
    assert response.text.startswith("<html>")
    control.fault("fetch", "html502")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        client.order.all()


def test_a_slow_answer_is_a_normal_answer(api, control):
    control.fault("create_order", "slow", seconds=0.3)
    started = time.monotonic()
    assert create(api).status_code == 200
    assert time.monotonic() - started >= 0.3


def test_a_hanging_call_does_not_hold_up_others(api, client, control):
    control.fault("create_order", "timeout_before", seconds=1)
    with pytest.raises(requests.Timeout):
        create(api, timeout=0.1)
    started = time.monotonic()
    assert committed(client) == 0
    assert time.monotonic() - started < 0.5


def test_a_fault_fires_as_often_as_it_was_asked_to(api, control):
    control.fault("create_order", "500", count=2)
    assert [create(api).status_code for _ in range(3)] == [500, 500, 200]
    [fault] = control.call("GET", "/faults")["faults"]
    assert (fault["count"], fault["remaining"]) == (2, 0)


def test_a_fault_only_meets_its_own_operation(api, client, control):
    control.fault("refund", "500")
    assert create(api).status_code == 200
    assert committed(client) == 1
    assert control.call("GET", "/faults")["faults"][0]["remaining"] == 1


def test_faults_can_be_taken_back(api, control):
    control.fault("create_order", "500", count=9)
    assert control.call("DELETE", "/faults") == {"faults": [], "storms": [], "counts": {}}
    assert create(api).status_code == 200


def test_defaults_are_filled_in(control):
    body = {"gateway": "razorpay", "on": "fetch", "kind": "timeout_after"}
    fault = control.call("POST", "/faults", body, status=201)
    assert fault.items() >= {"count": 1, "remaining": 1, "seconds": 30.0}.items()


# Storms: every call and every webhook with a probability, the same for the same seed


def outcomes(api, count=60) -> list[int | str]:
    seen: list[int | str] = []
    for number in range(count):
        try:
            seen.append(create(api, receipt=f"r{number}").status_code)
        except requests.ConnectionError:
            seen.append("reset")
    return seen


def storm(control, **options):
    return control.call("POST", "/faults/storm", {"rate": 0.3, **options}, status=201)


def test_a_storm_hits_its_share_of_the_calls_and_repeats_itself_by_its_seed(api, control):
    runs = []
    for seed in (7, 7, 8):
        control.call("POST", "/reset")
        storm(control, seed=seed, kinds=["500", "429", "reset_before", "html502", "slow"], seconds=0)
        runs.append(outcomes(api))
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {200, 500, 429, 502, "reset"}
    assert 9 <= sum(one != 200 for one in runs[0]) <= 27


def test_what_happens_between_two_calls_does_not_change_their_luck(api, client, control):
    """So threads that get in each other's way do not change which create_order is hit."""
    kinds = ["500", "429"]
    storm(control, seed=7, kinds=kinds)
    alone = outcomes(api, 30)
    control.call("POST", "/reset")
    storm(control, seed=7, kinds=kinds)
    mixed = []
    for number in range(30):
        api("GET", "/orders")
        mixed.append(create(api, receipt=f"r{number}").status_code)
    assert mixed == alone


def test_what_a_storm_did_is_counted_by_kind_and_stays_counted_when_it_is_over(api, control):
    storm(control, seed=7, kinds=["500", "429"], on=["create_order"])
    seen = outcomes(api, 40)
    told = control.call("GET", "/faults")
    counts = told["counts"]["razorpay"]["create_order"]
    assert counts == {kind: seen.count(int(kind)) for kind in ("500", "429")}
    [shown] = told["storms"]
    assert shown.items() >= {"seed": 7, "rate": 0.3, "hits": sum(counts.values())}.items()
    assert shown["seen"] == {"razorpay create_order": 40}
    over = control.call("DELETE", "/faults")
    assert (over["storms"], over["counts"]) == ([], told["counts"])
    assert outcomes(api, 10) == [200] * 10
    control.call("POST", "/reset")
    assert control.call("GET", "/faults")["counts"] == {}


def test_a_storm_of_webhooks_duplicates_drops_and_delays_them(client, control, receiver, new_order):
    storm(control, rate=1, kinds=["duplicate"])
    control.move(new_order()["id"], "failure")
    control.settle()
    control.call("DELETE", "/faults")
    storm(control, rate=1, kinds=["drop"])
    control.move(new_order()["id"], "failure")
    control.settle()
    assert len(receiver.received) == 2
    control.call("DELETE", "/faults")
    storm(control, rate=1, kinds=["delay"], seconds=600)
    control.move(new_order()["id"], "failure")
    control.settle()
    assert len(receiver.received) == 2
    control.call("POST", "/clock", {"advance_seconds": 601})
    control.settle()
    assert len(receiver.received) == 3
    counts = control.call("GET", "/faults")["counts"]["razorpay"]["webhook"]
    assert counts == {"duplicate": 1, "drop": 1, "delay": 1}


def test_a_storm_spares_what_it_was_not_sent_to(api, control, base):
    storm(control, rate=1, kinds=["500"], gateways=["cashfree"])
    storm(control, rate=1, kinds=["500"], on=["refund"])
    assert create(api).status_code == 200
    with shop_at(base) as shop:
        assert shop.ask("cashfree", "ours").status_code == 500
        assert shop.ask("phonepe", "ours").status_code == 200


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_every_gateway_has_weather(control, base, gateway):
    storm(control, rate=1, kinds=["429"], on=["create_order"])
    with shop_at(base) as shop:
        assert shop.ask(gateway, "ours").status_code == 429


def test_a_fault_that_was_set_comes_before_the_weather_which_does_not_lose_count(api, control):
    storm(control, rate=1, kinds=["429"])
    control.fault("create_order", "500")
    assert [create(api).status_code for _ in range(2)] == [500, 429]
    assert control.call("GET", "/faults")["storms"][0]["seen"] == {"razorpay create_order": 2}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "rate"),
        ({"rate": 1.1}, "rate"),
        ({"rate": True}, "rate"),
        ({"rate": 0.1, "seed": "7"}, "seed"),
        ({"rate": 0.1, "kinds": "429"}, "kinds"),
        ({"rate": 0.1, "kinds": []}, "kinds"),
        ({"rate": 0.1, "kinds": ["rain"]}, "kinds"),
        ({"rate": 0.1, "kinds": [["429"]]}, "kinds"),
        ({"rate": 0.1, "gateways": ["paypal"]}, "gateways"),
        ({"rate": 0.1, "on": ["lunch"]}, "on"),
        ({"rate": 0.1, "seconds": -1}, "seconds"),
        ({"rate": 0.1, "colour": "grey"}, "colour"),
    ],
)
def test_a_storm_that_cannot_be_is_400_naming_the_field(control, body, field):
    assert control.call("POST", "/faults/storm", body, status=400)["field"] == field
    assert control.call("GET", "/faults")["storms"] == []
