"""Faults on API calls: lost answers, reset connections, refusals, slowness."""

import time

import pytest
import requests
from razorpay.errors import BadRequestError, ServerError


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
