"""What time does to Razorpay's payments and refunds: late authorisation, capture settings, slow refunds."""

import pytest

from tests.simulator.conftest import MANUAL

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600


@pytest.fixture
def later(control):
    return lambda seconds: control.call("POST", "/clock", {"advance_seconds": seconds})


@pytest.fixture
def settings(control):
    return lambda **changes: control.call("POST", "/settings", {"razorpay": changes})


def payment_of(client, order_id):
    return client.order.payments(order_id)["items"][0]


def test_a_silent_bank_means_failure_after_ten_minutes(client, control, receiver, new_order, later):
    order_id = new_order()["id"]
    control.move(order_id, "pending")
    later(9 * MINUTE)
    assert payment_of(client, order_id)["status"] == "created"
    later(2 * MINUTE)
    failed = payment_of(client, order_id)
    assert (failed["status"], failed["error_reason"]) == ("failed", "payment_timed_out")
    control.settle()
    assert receiver.events == ["payment.failed"]


def test_what_was_answered_in_time_stays_as_it_is(client, control, new_order, later):
    paid, refused = new_order()["id"], new_order()["id"]
    for order_id, verb in ((paid, "success"), (refused, "failure")):
        control.move(order_id, "pending")
        control.move(order_id, verb)
    later(HOUR)
    assert payment_of(client, paid)["status"] == "captured"
    assert payment_of(client, refused)["error_reason"] == "payment_failed"


@pytest.mark.parametrize("minutes", [5, 60])
def test_a_bank_can_answer_late(client, control, new_order, later, settings, minutes):
    settings(late_authorization_minutes=minutes)
    silent, refused = new_order()["id"], new_order()["id"]
    control.move(silent, "pending")
    control.move(refused, "failure")
    later(minutes * MINUTE + 1)
    late = payment_of(client, silent)
    assert (late["status"], late["late_authorized"]) == ("captured", True)
    assert client.order.fetch(silent)["status"] == "paid"
    assert payment_of(client, refused)["status"] == "failed"


def test_a_late_answer_for_a_paid_order_is_a_second_capture_or_a_refund(client, control, new_order, settings):
    outcomes = []
    for becomes in ("captured", "refunded"):
        settings(late_on_paid_order=becomes)
        order_id = new_order()["id"]
        control.move(order_id, "failure")
        control.move(order_id, "success")
        order = control.move(order_id, "late-success")
        outcomes.append([attempt["status"] for attempt in order["attempts"]])
        assert order["amountPaidPaise"] == 50000
    assert outcomes == [["captured", "captured"], ["refunded", "captured"]]


@pytest.mark.parametrize(
    ("capture", "days"),
    [
        ({"payment_capture": 0}, 3),
        (MANUAL, 5),
        ({"payment": {"capture": "manual", "capture_options": {"manual_expiry_period": 1440}}}, 1),
    ],
)
def test_an_uncaptured_payment_goes_back_when_its_window_is_over(
    client, control, receiver, new_order, later, capture, days
):
    order_id = new_order(**capture)["id"]
    control.move(order_id, "success")
    later(days * DAY - MINUTE)
    assert payment_of(client, order_id)["status"] == "authorized"
    later(2 * MINUTE)
    back = payment_of(client, order_id)
    whole = {"status": "refunded", "refund_status": "full", "captured": False, "fee": None}
    assert back.items() >= whole.items()
    control.settle()
    assert receiver.events == ["payment.authorized", "refund.created", "refund.processed"]


def test_an_authorized_payment_that_was_left_so_goes_back_too(client, control, new_order, later):
    order_id = new_order()["id"]
    control.move(order_id, "authorize")
    later(3 * DAY + 1)
    assert payment_of(client, order_id)["status"] == "refunded"


def test_a_captured_payment_stays(client, control, new_order, later):
    order_id = new_order(**MANUAL)["id"]
    control.move(order_id, "success")
    client.payment.capture(payment_of(client, order_id)["id"], 50000, {"currency": "INR"})
    later(10 * DAY)
    assert payment_of(client, order_id)["status"] == "captured"


def test_automatic_capture_ends_before_capture_by_hand(client, control, new_order, later):
    options = {"automatic_expiry_period": 30, "manual_expiry_period": 60, "refund_speed": "optimum"}
    settings = {"payment": {"capture": "automatic", "capture_options": options}}
    quick, slow = new_order(**settings)["id"], new_order(**settings)["id"]
    for order_id in (quick, slow):
        control.move(order_id, "failure")
    later(29 * MINUTE)
    control.move(quick, "late-success")
    later(2 * MINUTE)
    control.move(slow, "late-success")
    assert payment_of(client, quick)["status"] == "captured"
    assert payment_of(client, slow)["status"] == "authorized"
    later(30 * MINUTE)
    assert payment_of(client, slow)["status"] == "refunded"
    assert client.refund.all()["items"][0]["speed_requested"] == "optimum"


def test_authorized_when_the_window_is_long_over_it_goes_back_at_once(client, control, new_order, later):
    order_id = new_order(**MANUAL)["id"]
    control.move(order_id, "failure")
    later(6 * DAY)
    control.move(order_id, "late-success")
    assert payment_of(client, order_id)["status"] == "refunded"
    refund = client.refund.all()["items"][0]
    assert refund["created_at"] - client.order.fetch(order_id)["created_at"] >= 6 * DAY


@pytest.mark.parametrize(
    ("outcome", "status", "event", "left"),
    [
        ("processed_later", "processed", "refund.processed", 49900),
        ("failed_later", "failed", "refund.failed", 50000),
    ],
)
def test_a_refund_can_take_its_time(
    client, control, receiver, captured, later, settings, outcome, status, event, left
):
    settings(refund_outcome=outcome, refund_minutes=30)
    refund = client.payment.refund(captured["id"], {"amount": 100})
    later(29 * MINUTE)
    assert client.refund.fetch(refund["id"])["status"] == "pending"
    later(2 * MINUTE)
    assert client.refund.fetch(refund["id"])["status"] == status
    assert 50000 - client.payment.fetch(captured["id"])["amount_refunded"] == left
    control.settle()
    assert receiver.events[-2:] == ["refund.created", event]


def test_the_control_plane_may_be_quicker_than_the_clock(client, control, captured, later, settings):
    settings(refund_outcome="failed_later")
    refund = client.payment.refund(captured["id"], {"amount": 100})
    control.call("POST", f"/refunds/{refund['id']}/success")
    later(2 * HOUR)
    assert client.refund.fetch(refund["id"])["status"] == "processed"


def test_a_bank_without_instant_refunds_slows_them_down(client, control, receiver, captured, settings):
    settings(instant_refunds=False)
    refund = client.payment.refund(captured["id"], {"amount": 100, "speed": "optimum"})
    assert (refund["speed_requested"], refund["speed_processed"]) == ("optimum", "normal")
    control.settle()
    assert receiver.events[-3:] == ["refund.created", "refund.speed_changed", "refund.processed"]


def test_half_a_year_later_a_refund_fails(client, captured, later):
    later(190 * DAY)
    refund = client.payment.refund(captured["id"], {})
    assert refund["status"] == "pending"
    later(2 * HOUR)
    assert client.refund.fetch(refund["id"])["status"] == "failed"
    assert client.payment.fetch(captured["id"])["refund_status"] is None
