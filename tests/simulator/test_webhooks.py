"""Razorpay docs, webhooks: envelope, signature, retries; and the webhook faults."""

import json
import time

import pytest
from razorpay.errors import SignatureVerificationError

from tests.simulator.conftest import OLD_WEBHOOK_SECRET, WEBHOOK_SECRET, Receiver

ENVELOPE = ["entity", "account_id", "event", "contains", "payload", "created_at"]
PAID = ["payment.authorized", "payment.captured", "order.paid"]


@pytest.fixture
def pay(control, new_order):
    def run(verb: str = "success") -> str:
        order_id = new_order()["id"]
        control.move(order_id, verb)
        return order_id

    return run


def wait_for(receiver: Receiver, count: int) -> None:
    """Retries are not due at once, so `wait` of the control plane does not wait for them."""
    deadline = time.monotonic() + 5
    while len(receiver.received) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(receiver.received) == count


def verifies(client, one, secret=WEBHOOK_SECRET) -> bool:
    try:
        return bool(client.utility.verify_webhook_signature(one.body, one.signature, secret))
    except SignatureVerificationError:
        return False


def test_a_webhook_is_compact_signed_json_with_an_event_id(client, control, receiver, pay):
    pay()
    control.settle()
    for one in receiver.received:
        assert one.path == "/api/webhook/razorpay"
        assert one.headers["content-type"] == "application/json"
        assert verifies(client, one)
        assert one.body == json.dumps(json.loads(one.body), ensure_ascii=False, separators=(",", ":"))
        assert list(json.loads(one.body)) == ENVELOPE
        assert one.event_id not in one.body
    assert len({one.event_id for one in receiver.received}) == 3
    assert receiver.events == PAID


def test_payloads_are_snapshots_of_their_moment(client, control, receiver, pay):
    order_id = pay()
    control.settle()
    authorized, captured, paid = [json.loads(one.body) for one in receiver.received]
    assert authorized["contains"] == ["payment"]
    assert authorized["payload"]["payment"]["entity"]["status"] == "authorized"
    assert authorized["payload"]["payment"]["entity"]["captured"] is False
    assert captured["payload"]["payment"]["entity"] == client.order.payments(order_id)["items"][0]
    assert paid["contains"] == list(paid["payload"]) == ["payment", "order"]
    assert paid["payload"]["order"]["entity"] == client.order.fetch(order_id)
    assert paid["account_id"].startswith("acc_")


def test_refund_events_carry_refund_and_payment(client, control, receiver, pay):
    payment_id = client.order.payments(pay())["items"][0]["id"]
    refund = client.payment.refund(payment_id, {"amount": 100})
    control.settle()
    created, processed = [json.loads(one.body) for one in receiver.received[3:]]
    assert (created["event"], processed["event"]) == ("refund.created", "refund.processed")
    assert created["contains"] == list(created["payload"]) == ["refund", "payment"]
    assert processed["payload"]["refund"]["entity"] == refund
    assert processed["payload"]["payment"]["entity"]["amount_refunded"] == 100


def test_a_refused_webhook_comes_again_with_the_same_id_and_bytes(client, control, receiver, pay):
    receiver.answers = [500, 404, 302]
    pay("failure")
    wait_for(receiver, 4)
    control.settle()
    assert len({(one.event_id, one.body, one.signature) for one in receiver.received}) == 1
    log = control.call("GET", "/deliveries")
    assert [one["status"] for one in log["deliveries"]] == [500, 404, 302, 200]
    assert [one["try"] for one in log["deliveries"]] == [1, 2, 3, 4]
    assert log["events"][0].items() >= {"state": "delivered", "tries": 4, "lastStatus": 200}.items()


def test_a_delivery_shows_headers_body_and_answer(control, receiver, pay):
    order_id = pay("failure")
    [shown] = control.settle()["deliveries"]
    [one] = receiver.received
    assert shown["body"] == one.body
    assert shown["headers"]["X-Razorpay-Signature"] == one.signature
    assert shown["headers"]["x-razorpay-event-id"] == one.event_id == shown["eventId"]
    answered = {"status": 200, "answer": "ok", "error": None, "orderId": order_id}
    assert shown.items() >= answered.items()
    assert shown["url"].endswith("/api/webhook/razorpay")


def test_a_failing_webhook_does_not_hold_up_the_next(control, receiver, pay):
    receiver.answers = [500]
    pay()
    wait_for(receiver, 4)
    assert receiver.events == [*PAID, "payment.authorized"]


def test_after_ten_tries_the_event_is_given_up(control, receiver, pay):
    """The loop counts moves of the clock: a slow machine may reach a retry on its own."""
    receiver.answers = [500] * 20
    pay("failure")
    for _ in range(12):
        [event] = control.settle()["events"]
        control.call("POST", "/clock", {"advance_seconds": 3600})
    assert event.items() >= {"state": "given_up", "tries": 10, "nextTryAt": None}.items()
    assert len(receiver.received) == 10


def test_a_day_after_the_event_no_retry_is_planned(control, receiver, pay):
    control.call("POST", "/settings", {"webhooks": "http://127.0.0.1:1/api/webhook"})
    pay("failure")
    [before] = control.settle()["events"]  # a slow machine has tried again
    control.call("POST", "/clock", {"advance_seconds": 25 * 3600})
    [event] = control.settle()["events"]
    assert event.items() >= {"state": "given_up", "nextTryAt": None}.items()
    assert before["tries"] < event["tries"] <= before["tries"] + 2


def test_a_receiver_that_is_down_gets_the_event_when_it_is_back(control, receiver, pay):
    home = control.call("GET", "/settings")["webhooks"]
    control.call("POST", "/settings", {"webhooks": "http://127.0.0.1:1/api/webhook"})
    pay("failure")
    down, *_ = control.settle()["deliveries"]  # a slow machine has tried again
    assert down["status"] is None
    assert "refused" in down["error"].lower()
    control.call("POST", "/settings", {"webhooks": home})
    control.call("POST", "/clock", {"advance_seconds": 600})
    control.settle()
    assert receiver.events == ["payment.failed"]


def test_advancing_the_clock_sends_waiting_retries_at_once(control, receiver, pay):
    control.fault("webhook", "delay", seconds=3000)
    pay("failure")
    control.settle()
    assert receiver.events == []
    control.call("POST", "/clock", {"advance_seconds": 3000})
    control.settle()
    assert receiver.events == ["payment.failed"]


def test_a_duplicate_is_the_same_event_twice(client, control, receiver, pay):
    control.fault("webhook", "duplicate")
    pay("failure")
    control.settle()
    first, second = receiver.received
    assert (first.event_id, first.body, first.signature) == (second.event_id, second.body, second.signature)
    assert verifies(client, second)


def test_reorder_holds_an_event_back_until_after_the_next(control, receiver, pay):
    control.fault("webhook", "reorder")
    pay()
    control.settle()
    assert receiver.events == ["payment.captured", "payment.authorized", "order.paid"]


def test_a_reordered_last_event_is_late_but_not_lost(control, receiver, pay):
    control.fault("webhook", "reorder")
    pay("failure")
    control.settle()
    assert receiver.events == []
    control.call("POST", "/clock", {"advance_seconds": 60})
    control.settle()
    assert receiver.events == ["payment.failed"]


def test_a_dropped_event_never_arrives(control, receiver, pay):
    control.fault("webhook", "drop", count=2)
    order_id = pay()
    control.call("POST", "/clock", {"advance_seconds": 90000})
    control.settle()
    assert receiver.events == ["order.paid"]
    states = [one["state"] for one in control.order(order_id)["webhooks"]]
    assert states == ["dropped", "dropped", "delivered"]


def test_a_corrupt_signature_is_right_again_on_the_retry(client, control, receiver, pay):
    control.fault("webhook", "corrupt_signature")
    receiver.answers = [401]
    pay("failure")
    wait_for(receiver, 2)
    corrupt, retry = receiver.received
    assert (corrupt.event_id, corrupt.body) == (retry.event_id, retry.body)
    assert not verifies(client, corrupt)
    assert verifies(client, retry)


def test_an_old_secret_signs_every_try_of_its_event(client, control, receiver, pay):
    control.fault("webhook", "old_secret")
    receiver.answers = [401]
    pay("failure")
    wait_for(receiver, 2)
    for one in receiver.received:
        assert not verifies(client, one)
        assert verifies(client, one, OLD_WEBHOOK_SECRET)


def test_webhook_faults_count_events(control, receiver, pay):
    control.fault("webhook", "drop", count=4)
    pay()
    pay()
    control.settle()
    assert receiver.events == ["payment.captured", "order.paid"]
    assert control.call("GET", "/faults")["faults"][0]["remaining"] == 0
