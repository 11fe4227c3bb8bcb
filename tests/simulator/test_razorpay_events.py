"""Events sent on demand, about an order as it stands; and a restart in the middle of things."""

import json
from contextlib import contextmanager

import pytest
import razorpay

from gateway_simulator import create_simulator
from gateway_simulator.razorpay.events import EVENT_TYPES
from gateway_simulator.serving import serving
from tests.simulator.conftest import KEY_ID, KEY_SECRET, MANUAL, WEBHOOK_SECRET, Control, session

DAY = 24 * 3600


def send(control, order_id, event, status=200):
    return control.call("POST", f"/orders/{order_id}/webhook", {"type": event}, status=status)


@pytest.mark.parametrize("event", [event for event in EVENT_TYPES if "downtime" not in event])
def test_an_event_needs_something_to_tell_of(control, receiver, new_order, event):
    assert send(control, new_order()["id"], event, status=409)["error"]
    control.settle()
    assert receiver.events == []


def test_an_event_is_about_the_payment_that_it_is_likely_about(control, receiver, new_order):
    order_id = new_order()["id"]
    control.move(order_id, "failure")
    control.move(order_id, "success")
    failed, captured = control.order(order_id)["attempts"]
    sent = {"payment.failed": failed, "payment.captured": captured, "order.paid": captured}
    for event, attempt in sent.items():
        send(control, order_id, event)
        control.settle()
        entity = json.loads(receiver.received[-1].body)["payload"]["payment"]["entity"]
        assert (receiver.events[-1], entity["id"]) == (event, attempt["paymentId"])


def test_cash_on_delivery_is_pending(control, receiver, new_order):
    order_id = new_order()["id"]
    control.move(order_id, "pending")
    send(control, order_id, "payment.pending")
    control.settle()
    assert json.loads(receiver.received[-1].body)["payload"]["payment"]["entity"]["status"] == "pending"


def test_a_changed_speed_carries_its_time_where_the_documents_show_it(control, receiver, captured):
    control.move(captured["order_id"], "dashboard-refund")
    send(control, captured["order_id"], "refund.speed_changed")
    control.settle()
    body = json.loads(receiver.received[-1].body)
    assert "created_at" not in body
    assert isinstance(body["payload"]["created_at"], int)


def test_a_downtime_begins_goes_on_and_ends(client, control, receiver, new_order):
    order_id = new_order()["id"]
    seen = []
    for status in ("started", "updated", "resolved", "updated"):
        send(control, order_id, f"payment.downtime.{status}")
        newest = client.payment.fetchDownTime()["items"][0]
        seen.append((newest["status"], newest["severity"], newest["end"] is None))
    assert seen == [
        ("started", "high", True),
        ("updated", "medium", True),
        ("resolved", "medium", False),
        ("updated", "medium", True),
    ]
    assert client.payment.fetchDownTime()["count"] == 2
    control.settle()
    assert len(receiver.events) == 4


def test_a_settlements_event_can_be_sent_again(control, receiver, captured):
    control.call("POST", "/settle")
    send(control, captured["order_id"], "settlement.processed")
    control.settle()
    first, second = [one for one in receiver.received if one.event == "settlement.processed"]
    assert json.loads(first.body)["payload"] == json.loads(second.body)["payload"]
    assert first.event_id != second.event_id


def test_a_payments_card_refunds_and_the_methods_can_be_looked_up(api, client, control, captured):
    refund = client.payment.refund(captured["id"], {"amount": 100})
    expanded = client.payment.fetch(captured["id"], {"expand[]": "refunds"})
    assert expanded["refunds"]["items"] == [refund]
    assert api("GET", f"/payments/{captured['id']}/card").status_code == 400
    methods = api("GET", "/methods").json()
    assert (methods["upi"], methods["netbanking"]["HDFC"]) == (True, "HDFC Bank")


@contextmanager
def started(webhooks, file):
    """A simulator with a state file, in this process, and who asks it."""
    app = create_simulator(webhooks, backoff_seconds=0.02, state=file)
    with serving(app) as base, session() as http:
        client = razorpay.Client(session=http, auth=(KEY_ID, KEY_SECRET), base_url=f"{base}/razorpay")
        yield client, Control(base, http)


def test_a_restart_keeps_orders_alarms_and_open_webhooks(tmp_path, receiver):
    file = tmp_path / "state"
    with started("http://127.0.0.1:1/api/webhook", file) as (client, control):
        control.call("POST", "/settings", {"razorpay": {"refund_outcome": "processed_later"}})
        held = client.order.create({"amount": 50000, "currency": "INR", **MANUAL})["id"]
        control.move(held, "success")
        paid = client.order.create({"amount": 50000, "currency": "INR"})["id"]
        control.move(paid, "success")
        payment = client.order.payments(paid)["items"][0]
        key = {"X-Refund-Idempotency": "refund-0001"}
        refund = client.payment.refund(payment["id"], {"amount": 100}, headers=dict(key))
        control.move(paid, "dispute")
        link = client.payment_link.create({"amount": 100})
        control.settle()
    with started(receiver.url, file) as (client, control):
        assert client.payment.refund(payment["id"], {"amount": 100}, headers=dict(key)) == refund
        assert client.payment_link.fetch(link["id"]) == link
        assert client.order.fetch(paid)["status"] == "paid"
        control.call("POST", "/clock", {"advance_seconds": 3 * 3600})
        assert client.refund.fetch(refund["id"])["status"] == "processed"
        control.settle()
        assert {"payment.authorized", "payment.captured", "order.paid"} <= set(receiver.events)
        control.call("POST", "/clock", {"advance_seconds": 8 * DAY})
        assert client.order.payments(held)["items"][0]["status"] == "refunded"
        assert client.dispute.all()["items"][0]["status"] == "lost"
        assert client.settlement.all()["items"][0]["amount"] == 50000 - 1180 - 100
        control.settle()
        check = client.utility.verify_webhook_signature
        verified = [check(one.body, one.signature, WEBHOOK_SECRET) for one in receiver.received]
        assert len(verified) == len(receiver.events) > 8
