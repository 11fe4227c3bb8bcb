"""The verbs of the control plane: what customer, bank and dashboard do, and what Razorpay then says."""

import json

import pytest
import requests

from gateway_simulator import GATEWAYS
from tests.simulator.conftest import MANUAL

PAID_EVENTS = ["payment.authorized", "payment.captured", "order.paid"]


@pytest.fixture
def order_id(new_order) -> str:
    return new_order(receipt="ours-1")["id"]


def statuses(order) -> list[str]:
    return [attempt["status"] for attempt in order["attempts"]]


def test_success_pays_the_order(control, receiver, client, order_id):
    order = control.move(order_id, "success", method="netbanking")
    shown = {
        "orderId": order_id,
        "gateway": "razorpay",
        "status": "paid",
        "amountPaise": 50000,
        "amountPaidPaise": 50000,
        "currency": "INR",
        "reference": "ours-1",
        "refunds": [],
        "disputes": [],
    }
    assert order.items() >= shown.items()
    [attempt] = order["attempts"]
    assert attempt.items() >= {"status": "captured", "method": "netbanking", "amountPaise": 50000}.items()
    assert client.payment.fetch(attempt["paymentId"])["status"] == "captured"
    control.settle()
    assert receiver.events == PAID_EVENTS


def test_an_order_shows_the_webhooks_that_were_sent_for_it(control, new_order, order_id):
    control.move(new_order()["id"], "success")
    control.move(order_id, "failure")
    control.settle()
    [webhook] = control.order(order_id)["webhooks"]
    shown = {"event": "payment.failed", "state": "delivered", "tries": 1, "lastStatus": 200}
    assert webhook.items() >= shown.items()
    assert len(control.call("GET", "/orders")["orders"]) == 2


def test_failure_is_one_failed_attempt_on_a_payable_order(control, receiver, order_id):
    order = control.move(order_id, "failure", method="card")
    assert (order["status"], statuses(order)) == ("attempted", ["failed"])
    assert order["attempts"][0]["errorReason"] == "invalid_otp"
    order = control.move(order_id, "success")
    assert (order["status"], statuses(order)) == ("paid", ["failed", "captured"])
    control.settle()
    assert receiver.events == ["payment.failed", *PAID_EVENTS]


def test_pending_says_nothing_until_the_bank_answers(control, receiver, order_id):
    order = control.move(order_id, "pending")
    assert (order["status"], statuses(order)) == ("attempted", ["created"])
    control.settle()
    assert receiver.events == []
    pending = order["attempts"][0]["paymentId"]
    order = control.move(order_id, "success")
    assert (statuses(order), order["attempts"][0]["paymentId"]) == (["captured"], pending)


def test_a_pending_attempt_can_fail(control, order_id):
    control.move(order_id, "pending")
    assert statuses(control.move(order_id, "failure")) == ["failed"]


def test_expire_fails_what_is_pending_and_leaves_the_order_payable(control, receiver, order_id):
    control.move(order_id, "pending")
    order = control.move(order_id, "expire")
    assert (order["status"], statuses(order)) == ("attempted", ["failed"])
    control.settle()
    assert receiver.events == ["payment.failed"]
    assert control.move(order_id, "success")["status"] == "paid"


def test_expire_without_attempts_changes_nothing(control, receiver, order_id):
    assert control.move(order_id, "expire")["status"] == "created"
    control.settle()
    assert receiver.events == []


def test_authorize_stops_before_the_capture(control, receiver, client, order_id):
    order = control.move(order_id, "authorize")
    assert (order["status"], statuses(order)) == ("attempted", ["authorized"])
    control.settle()
    assert receiver.events == ["payment.authorized"]
    client.payment.capture(order["attempts"][0]["paymentId"], 50000, {"currency": "INR"})
    assert control.order(order_id)["status"] == "paid"
    control.settle()
    assert receiver.events == PAID_EVENTS


def test_manual_capture_stops_success_at_authorized(control, receiver, new_order):
    order = control.move(new_order(**MANUAL)["id"], "success")
    assert (order["status"], statuses(order)) == ("attempted", ["authorized"])
    control.settle()
    assert receiver.events == ["payment.authorized"]


@pytest.mark.parametrize("first", ["failure", "pending"])
def test_late_success_revives_the_same_payment(control, receiver, order_id, first):
    given_up = control.move(order_id, first)["attempts"][0]["paymentId"]
    order = control.move(order_id, "late-success")
    [attempt] = order["attempts"]
    shown = {"paymentId": given_up, "status": "captured", "lateAuthorized": True, "errorReason": None}
    assert attempt.items() >= shown.items()
    assert order["status"] == "paid"
    control.settle()
    assert receiver.events == (["payment.failed"] if first == "failure" else []) + PAID_EVENTS
    authorized = json.loads(receiver.received[-3].body)["payload"]["payment"]["entity"]
    assert authorized.items() >= {"status": "authorized", "late_authorized": True}.items()


def test_late_success_on_a_fresh_order_fails_first(control, receiver, order_id):
    assert statuses(control.move(order_id, "late-success")) == ["captured"]
    control.settle()
    assert receiver.events == ["payment.failed", *PAID_EVENTS]


def test_late_success_on_a_paid_order_captures_a_second_payment(control, receiver, order_id):
    control.move(order_id, "failure")
    control.move(order_id, "success")
    order = control.move(order_id, "late-success")
    assert statuses(order) == ["captured", "captured"]
    control.settle()
    assert receiver.events.count("order.paid") == 1
    control.move(order_id, "late-success", status=409)


def test_second_success_captures_twice_but_pays_the_order_once(control, receiver, order_id):
    control.move(order_id, "success")
    order = control.move(order_id, "second-success")
    assert (order["status"], order["amountPaidPaise"]) == ("paid", 50000)
    assert statuses(order) == ["captured", "captured"]
    control.settle()
    assert receiver.events == [*PAID_EVENTS, "payment.authorized", "payment.captured"]


def test_dashboard_refund_gives_back_the_rest_or_a_part(control, receiver, client, order_id):
    control.move(order_id, "success")
    order = control.move(order_id, "dashboard-refund", amountPaise=10000)
    assert order["refunds"][0].items() >= {"amountPaise": 10000, "status": "processed"}.items()
    order = control.move(order_id, "dashboard-refund")
    assert [refund["amountPaise"] for refund in order["refunds"]] == [10000, 40000]
    assert statuses(order) == ["refunded"]
    assert client.refund.fetch(order["refunds"][1]["refundId"])["amount"] == 40000
    control.settle()
    assert receiver.events == [*PAID_EVENTS, *["refund.created", "refund.processed"] * 2]
    control.move(order_id, "dashboard-refund", status=409)


def test_dashboard_refund_of_an_authorized_payment_is_an_auto_refund(control, receiver, client, order_id):
    control.move(order_id, "authorize")
    order = control.move(order_id, "dashboard-refund")
    assert statuses(order) == ["refunded"]
    payment = client.payment.fetch(order["attempts"][0]["paymentId"])
    shown = {"status": "refunded", "captured": False, "refund_status": "full", "fee": None}
    assert payment.items() >= shown.items()
    control.settle()
    assert receiver.events == ["payment.authorized", "refund.created", "refund.processed"]
    payload = json.loads(receiver.received[1].body)["payload"]
    assert payload["payment"]["entity"]["captured"] is False
    assert payload["refund"]["entity"]["amount"] == 50000


@pytest.mark.parametrize(("outcome", "deducted"), [("won", 0), ("lost", 50000)])
def test_a_dispute_is_opened_and_then_won_or_lost(control, receiver, client, order_id, outcome, deducted):
    control.move(order_id, "success")
    order = control.move(order_id, "dispute")
    assert order["disputes"][0].items() >= {"status": "open", "amountPaise": 50000}.items()
    control.move(order_id, "dispute", status=409)
    order = control.move(order_id, "dispute", outcome=outcome)
    assert order["disputes"][0]["status"] == outcome
    assert client.dispute.fetch(order["disputes"][0]["disputeId"])["amount_deducted"] == deducted
    control.settle()
    expected = ["payment.dispute.created", f"payment.dispute.{outcome}", "payment.dispute.closed"]
    assert receiver.events[3:] == expected
    closed = json.loads(receiver.received[-1].body)["payload"]["dispute"]["entity"]
    assert (closed["status"], closed["amount_deducted"]) == ("closed", deducted)
    control.move(order_id, "dispute", status=409, outcome=outcome)


def test_paying_less_captures_without_paying_the_order(control, receiver, client, order_id):
    order = control.move(order_id, "success", amountPaise=20000)
    assert (order["status"], order["amountPaidPaise"], statuses(order)) == ("attempted", 20000, ["captured"])
    assert client.order.fetch(order_id)["amount_due"] == 30000
    control.settle()
    assert "order.paid" not in receiver.events
    order = control.move(order_id, "success")
    assert (order["status"], order["attempts"][1]["amountPaise"]) == ("paid", 30000)


def test_the_gateway_can_be_made_to_report_another_order_amount(control, client, order_id):
    order = control.move(order_id, "success", orderAmountPaise=100)
    assert (order["amountPaise"], order["status"]) == (100, "paid")
    fetched = client.order.fetch(order_id)
    assert fetched.items() >= {"amount": 100, "amount_paid": 100, "amount_due": 0, "status": "paid"}.items()


@pytest.mark.parametrize("verb", ["success", "failure", "pending", "expire", "authorize"])
def test_a_paid_order_takes_no_new_payment(control, order_id, verb):
    control.move(order_id, "success")
    answer = control.move(order_id, verb, status=409)
    assert answer["error"] == f"Order {order_id} is already paid and takes no new payment"


@pytest.mark.parametrize("verb", ["second-success", "dashboard-refund", "dispute"])
def test_what_needs_a_payment_is_impossible_on_a_fresh_order(control, order_id, verb):
    before = control.order(order_id)
    assert order_id in control.move(order_id, verb, status=409)["error"]
    assert control.order(order_id) == before


def test_an_impossible_move_changes_nothing(control, order_id):
    control.move(order_id, "success")
    before = control.order(order_id)
    control.move(order_id, "success", status=409, orderAmountPaise=1)
    control.move(order_id, "late-success", status=409, orderAmountPaise=1)
    control.move(order_id, "dashboard-refund", status=409, amountPaise=50001)
    assert {**control.order(order_id), "webhooks": []} == {**before, "webhooks": []}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amountPaise": 0}, "amountPaise"),
        ({"amountPaise": 1.5}, "amountPaise"),
        ({"amountPaise": True}, "amountPaise"),
        ({"amountPaise": "100"}, "amountPaise"),
        ({"orderAmountPaise": -1}, "orderAmountPaise"),
        ({"method": "barter"}, "method"),
        ({"outcome": "won"}, "outcome"),
        ({"amount": 1}, "amount"),
        ([1], "body"),
    ],
)
def test_bad_input_to_a_verb_is_400_naming_the_field(control, order_id, body, field):
    answer = control.call("POST", f"/orders/{order_id}/success", body, status=400)
    assert answer["field"] == field
    assert answer["error"].startswith(f"{field}: ")
    assert control.order(order_id)["attempts"] == []


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/faults", {}, "gateway"),
        ("/faults", {"gateway": "paypal"}, "gateway"),
        ("/faults", {"gateway": "razorpay", "on": "lunch", "kind": "slow"}, "on"),
        ("/faults", {"gateway": "razorpay", "on": "token", "kind": "slow"}, "on"),
        ("/faults", {"gateway": "razorpay", "on": "fetch", "kind": "duplicate"}, "kind"),
        ("/faults", {"gateway": "razorpay", "on": "webhook", "kind": "slow"}, "kind"),
        ("/faults", {"gateway": "razorpay", "on": "fetch", "kind": "slow", "count": 0}, "count"),
        ("/faults", {"gateway": "razorpay", "on": "fetch", "kind": "slow", "seconds": -1}, "seconds"),
        ("/faults", {"gateway": "razorpay", "on": "fetch", "kind": "slow", "seconds": "x"}, "seconds"),
        ("/clock", {}, "advance_seconds"),
        ("/clock", {"advance_seconds": -1}, "advance_seconds"),
        ("/clock", {"advance_seconds": "NaN"}, "advance_seconds"),
        ("/reset", {"seed": "x"}, "seed"),
        ("/settings", {"webhooks": 7}, "webhooks"),
        ("/settings", {"razorpay": 7}, "razorpay"),
        ("/settings", {"razorpay": {"colour": 7}}, "razorpay.colour"),
        ("/settings", {"razorpay": {"unique_receipts": 1}}, "razorpay.unique_receipts"),
        ("/settings", {"razorpay": {"refund_outcome": "x"}}, "razorpay.refund_outcome"),
    ],
)
def test_bad_control_plane_input_is_400_naming_the_field(control, path, body, field):
    assert control.call("POST", path, body, status=400)["field"] == field


def test_unknown_orders_verbs_and_refunds_are_404_json(control, order_id):
    assert control.order(order_id)
    assert "order_x" in control.call("GET", "/orders/order_x", status=404)["error"]
    assert "order_x" in control.move("order_x", "success", status=404)["error"]
    assert "dance" in control.move(order_id, "dance", status=404)["error"]
    assert "rfnd_x" in control.call("POST", "/refunds/rfnd_x/success", status=404)["error"]
    assert control.call("POST", "/refunds/rfnd_x/dance", status=404)["error"]
    assert control.call("GET", "/nowhere", status=404)["error"]
    assert control.call("DELETE", "/orders", status=405)["error"]


def test_reset_forgets_everything_and_a_seed_repeats_the_ids(control, client, new_order):
    control.call("POST", "/settings", {"razorpay": {"unique_receipts": True}})
    control.fault("refund", "500")
    control.call("POST", "/clock", {"advance_seconds": 5000})
    ids = []
    for _ in range(2):
        control.call("POST", "/reset", {"seed": 3})
        ids.append(new_order()["id"])
        control.move(ids[-1], "success")
    assert ids[0] == ids[1]
    control.call("POST", "/reset")
    assert control.call("GET", "/orders") == {"orders": [], "total": 0, "next": None}
    assert control.call("GET", "/faults") == {"faults": [], "storms": [], "counts": {}}
    assert control.call("GET", "/deliveries") == {"deliveries": [], "events": []}
    assert control.call("GET", "/settings")["razorpay"]["unique_receipts"] is False
    assert client.order.all()["count"] == 0


def test_the_clock_moves_every_timestamp(control, new_order):
    before = new_order()["created_at"]
    control.call("POST", "/clock", {"advance_seconds": 86400})
    assert 86400 <= new_order()["created_at"] - before < 86410


def test_health_names_the_gateways(control):
    health = control.call("GET", "/health")
    assert (health["status"], health["gateways"]) == ("ok", sorted(gateway.name for gateway in GATEWAYS))


def test_the_overview_page_is_html_with_everything_escaped(base, control, new_order):
    new_order(receipt="<script>alert(1)</script>")
    with requests.Session() as session:
        page = session.get(base)
        assert page.headers["Content-Type"].startswith("text/html")
        assert "alert(1)" not in page.text
        assert session.get(f"{base}/_sim/static/overview.js").ok
