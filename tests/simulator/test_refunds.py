"""Razorpay docs, api/refunds: create-normal, normal-refunds-idempotent."""

import threading

import pytest
from razorpay.errors import BadRequestError

from tests.simulator.conftest import MANUAL

REFUND_FIELDS = {
    *("id", "entity", "amount", "currency", "payment_id", "notes", "receipt", "acquirer_data", "created_at"),
    *("batch_id", "status", "speed_requested"),
}


def test_a_refund_has_the_documented_fields(client, captured):
    data = {"amount": "100", "speed": "normal", "notes": {"k": "Beam me up"}, "receipt": "#131"}
    refund = client.payment.refund(captured["id"], data)
    assert set(refund) == REFUND_FIELDS | {"speed_processed"}
    assert refund["id"].startswith("rfnd_")
    said = {"amount": 100, "status": "processed", "speed_processed": "normal", "receipt": "#131"}
    assert refund.items() >= said.items()
    assert refund["payment_id"] == captured["id"]
    assert refund["notes"] == {"k": "Beam me up"}
    assert set(refund["acquirer_data"]) == {"arn"}


def test_the_processed_speed_is_only_told_when_a_speed_was_asked_for(client, captured):
    assert set(client.payment.refund(captured["id"], {"amount": 100})) == REFUND_FIELDS
    instant = client.payment.refund(captured["id"], {"amount": 100, "speed": "optimum"})
    assert (instant["speed_requested"], instant["speed_processed"]) == ("optimum", "instant")


def test_partial_refunds_add_up_to_a_full_one(client, captured):
    client.payment.refund(captured["id"], {"amount": 20000})
    payment = client.payment.fetch(captured["id"])
    partly = {"status": "captured", "amount_refunded": 20000, "refund_status": "partial"}
    assert payment.items() >= partly.items()
    assert client.payment.refund(captured["id"], {})["amount"] == 30000
    payment = client.payment.fetch(captured["id"])
    whole = {"status": "refunded", "amount_refunded": 50000, "refund_status": "full", "captured": True}
    assert payment.items() >= whole.items()


@pytest.mark.parametrize(
    ("body", "description"),
    [
        ({"amount": 50001}, "The refund amount provided is greater than amount captured"),
        ({"amount": 99}, "The amount must be at least INR 1.00"),
        ({"amount": 1.5}, "The amount must be an integer."),
        ({"foo": 1}, "foo is/are not required and should not be sent"),
        ({"speed": "warp"}, "The selected speed is invalid."),
    ],
)
def test_a_wrong_refund_is_refused(api, client, captured, body, description):
    response = api("POST", f"/payments/{captured['id']}/refund", json=body)
    assert (response.status_code, response.json()["error"]["description"]) == (400, description)
    assert client.payment.fetch(captured["id"])["amount_refunded"] == 0


def test_refunds_together_never_exceed_what_was_captured(client, captured):
    client.payment.refund(captured["id"], {"amount": 30000})
    with pytest.raises(BadRequestError, match="greater than amount captured"):
        client.payment.refund(captured["id"], {"amount": 30000})
    client.payment.refund(captured["id"], {"amount": 20000})
    with pytest.raises(BadRequestError, match="fully refunded already"):
        client.payment.refund(captured["id"], {"amount": 100})


def test_only_captured_payments_can_be_refunded(client, control, new_order):
    order_id = new_order(**MANUAL)["id"]
    control.move(order_id, "success")
    payment = client.order.payments(order_id)["items"][0]
    with pytest.raises(BadRequestError, match="should be captured"):
        client.payment.refund(payment["id"], {})


def refund(api, payment_id, key, body):
    return api("POST", f"/payments/{payment_id}/refund", json=body, headers={"X-Refund-Idempotency": key})


def test_the_same_key_and_body_return_the_first_refund(api, client, captured):
    first = refund(api, captured["id"], "refund-0001", {"amount": 100, "notes": {"a": "1"}})
    again = refund(api, captured["id"], "refund-0001", {"notes": {"a": "1"}, "amount": 100})
    assert first.json() == again.json()
    assert client.payment.fetch(captured["id"])["amount_refunded"] == 100


def test_the_same_key_with_another_body_is_refused(api, client, captured):
    refund(api, captured["id"], "refund-0001", {"amount": 100})
    response = refund(api, captured["id"], "refund-0001", {"amount": 200})
    assert response.status_code == 400
    assert response.json()["error"] == {
        "code": "BAD_REQUEST_ERROR",
        "description": "Different request with the same idempotency key has already been processed.",
        "source": "NA",
        "step": "NA",
        "reason": "NA",
        "metadata": {},
    }
    assert client.payment.fetch(captured["id"])["amount_refunded"] == 100


def test_a_key_whose_first_refund_is_still_running_is_refused_with_409(api, control, captured):
    control.fault("refund", "slow", seconds=0.6)
    answers = []
    body = {"amount": 100}
    first = threading.Thread(target=lambda: answers.append(refund(api, captured["id"], "refund-0001", body)))
    first.start()
    while control.call("GET", "/faults")["faults"][0]["remaining"]:
        pass
    concurrent = refund(api, captured["id"], "refund-0001", body)
    first.join()
    assert concurrent.status_code == 409
    assert concurrent.json()["error"]["code"] == "BAD_REQUEST_ERROR"
    assert refund(api, captured["id"], "refund-0001", body).json() == answers[0].json()


@pytest.mark.parametrize("key", ["short", "nine-char", "with space 123", "dots.are.not.ok"])
def test_a_malformed_key_is_refused(api, captured, key):
    assert refund(api, captured["id"], key, {"amount": 100}).status_code == 400


def test_a_refused_refund_does_not_use_up_its_key(api, captured):
    assert refund(api, captured["id"], "refund-0001", {"amount": 60000}).status_code == 400
    assert refund(api, captured["id"], "refund-0001", {"amount": 100}).status_code == 200


def test_refunds_can_be_found_by_payment_and_by_id(client, captured):
    first = client.payment.refund(captured["id"], {"amount": 100})
    second = client.payment.refund(captured["id"], {"amount": 200})
    assert client.payment.fetch_multiple_refund(captured["id"])["items"] == [second, first]
    assert client.payment.fetch_refund_id(captured["id"], first["id"]) == first
    assert client.refund.fetch(second["id"]) == second
    assert client.refund.all({"count": 1})["items"] == [second]
    assert client.refund.edit(first["id"], {"notes": {"k": "v"}})["notes"] == {"k": "v"}
    with pytest.raises(BadRequestError, match="does not exist"):
        client.payment.fetch_refund_id("pay_other", first["id"])


def test_a_pending_refund_waits_for_the_control_plane(client, control, receiver, captured):
    control.call("POST", "/settings", {"razorpay": {"refund_outcome": "pending"}})
    pending = client.payment.refund(captured["id"], {"amount": 100})
    assert (pending["status"], pending["acquirer_data"]) == ("pending", {"arn": None})
    control.settle()
    assert receiver.events[-1] == "refund.created"
    control.call("POST", f"/refunds/{pending['id']}/success")
    assert client.refund.fetch(pending["id"])["status"] == "processed"
    control.settle()
    assert receiver.events[-1] == "refund.processed"
    answer = control.call("POST", f"/refunds/{pending['id']}/failure", status=409)
    assert answer["error"] == f"Refund {pending['id']} is already processed, and that is final"


def test_a_failed_refund_gives_the_amount_back_to_the_payment(client, control, receiver, captured):
    control.call("POST", "/settings", {"razorpay": {"refund_outcome": "pending"}})
    pending = client.payment.refund(captured["id"], {})
    assert client.payment.fetch(captured["id"])["status"] == "refunded"
    order = control.call("POST", f"/refunds/{pending['id']}/failure")
    assert order["refunds"][0]["status"] == "failed"
    payment = client.payment.fetch(captured["id"])
    again = {"status": "captured", "amount_refunded": 0, "refund_status": None}
    assert payment.items() >= again.items()
    control.settle()
    assert receiver.events[-1] == "refund.failed"
