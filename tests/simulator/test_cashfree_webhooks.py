"""What pretend Cashfree tells, how it signs, how often it tries; and the verbs of the control plane."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from tests.simulator.conftest import session
from tests.simulator.test_cashfree import HEADERS, ORDER

SECRET, OLD_SECRET = b"simulator_cashfree_app_secret", b"simulator_cashfree_old_app_secret"


@pytest.fixture
def order_id(base: str) -> str:
    with session() as http:
        assert http.post(f"{base}/cashfree/pg/orders", json=ORDER, headers=HEADERS).ok
    return "psv_1"


@pytest.fixture
def happens(control, receiver, order_id):
    """A verb; returns the order and the bodies of the webhooks it brought."""

    def run(verb: str, **options):
        before = len(receiver.received)
        order = control.move(order_id, verb, **options)
        control.settle()
        return order, [json.loads(one.body) for one in receiver.received[before:]]

    return run


def is_signed_by(secret: bytes, one) -> bool:
    message = one.headers["x-webhook-timestamp"].encode() + one.body.encode()
    expected = base64.b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()
    return one.headers["x-webhook-signature"] == expected


def wait_for(receiver, count: int) -> None:
    ends = time.monotonic() + 5
    while len(receiver.received) < count and time.monotonic() < ends:
        time.sleep(0.01)
    assert len(receiver.received) == count


# ── delivery ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_webhook_is_compact_signed_json_with_two_decimals(happens, receiver):
    happens("success")
    [one] = receiver.received
    assert one.path == "/api/webhook/cashfree"
    assert is_signed_by(SECRET, one)
    assert '"order_amount":1499.50,' in one.body
    assert '"payment_amount":1499.50,' in one.body
    assert ": " not in one.body
    assert list(json.loads(one.body)) == ["data", "event_time", "type"]
    names = ("x-webhook-version", "x-webhook-attempt", "content-type")
    assert [one.headers[name] for name in names] == ["2025-01-01", "1", "application/json"]
    assert abs(int(one.headers["x-webhook-timestamp"]) / 1000 - time.time()) < 60  # milliseconds
    assert len(one.headers["x-idempotency-key"]) == 44


@pytest.mark.parametrize(
    ("version", "id_type", "has_key"),
    [("2022-09-01", int, False), ("2023-08-01", str, False), ("2025-01-01", str, True)],
)
def test_the_version_decides_about_ids_and_the_key(happens, control, receiver, version, id_type, has_key):
    control.call("POST", "/settings", {"cashfree": {"webhook_version": version}})
    _, [told] = happens("success")
    [one] = receiver.received
    assert one.headers["x-webhook-version"] == version
    assert ("x-idempotency-key" in one.headers) is has_key
    assert type(told["data"]["payment"]["cf_payment_id"]) is id_type
    assert ("payment_surcharge" in told["data"]["payment"]) is has_key


def test_only_a_200_will_do_and_retries_come_after_2_10_and_30_minutes(control, receiver, order_id):
    receiver.answers = [201, 302, 500, 404, 200]
    control.move(order_id, "success")
    wait_for(receiver, 1)
    for tries, minutes in ((2, 2), (3, 10), (4, 30)):
        control.settle()
        control.call("POST", "/clock", {"advance_seconds": minutes * 60 - 5})
        control.settle()
        assert len(receiver.received) == tries - 1
        control.call("POST", "/clock", {"advance_seconds": 5})
        wait_for(receiver, tries)
    [told] = control.settle()["events"]
    assert (told["state"], told["tries"]) == ("given_up", 4)
    assert [one.headers["x-webhook-attempt"] for one in receiver.received] == ["1", "2", "3", "4"]
    constant = ("x-webhook-signature", "x-webhook-timestamp", "x-idempotency-key")
    assert len({(one.body, *(one.headers[name] for name in constant)) for one in receiver.received}) == 1


def test_a_corrupt_signature_and_an_old_secret_are_what_they_say(control, receiver, order_id):
    for kind in ("corrupt_signature", "old_secret"):
        fault = {"gateway": "cashfree", "on": "webhook", "kind": kind}
        control.call("POST", "/faults", fault, status=201)
        control.move(order_id, "failure")
    control.settle()
    corrupt, old = receiver.received
    assert not is_signed_by(SECRET, corrupt)
    assert not is_signed_by(SECRET, old)
    assert is_signed_by(OLD_SECRET, old)


@pytest.mark.parametrize(
    "changes", [{"webhook_version": "2021-09-21"}, {"refund_outcome": "FAILED"}, {"colour": "red"}]
)
def test_settings_are_checked(control, changes):
    before = control.call("GET", "/settings")["cashfree"]
    control.call("POST", "/settings", {"cashfree": changes}, status=400)
    assert control.call("GET", "/settings")["cashfree"] == before


# ── verbs ───────────────────────────────────────────────────────────────────────────────────────────────


def test_success_pays_the_order(happens):
    order, [told] = happens("success", method="card")
    assert (order["status"], order["amountPaidPaise"]) == ("PAID", 149950)
    assert told["type"] == "PAYMENT_SUCCESS_WEBHOOK"
    assert told["data"]["order"] == {
        "order_id": "psv_1",
        "order_amount": 1499.5,
        "order_currency": "INR",
        "order_tags": None,
    }
    payment = told["data"]["payment"]
    assert payment["cf_payment_id"] == order["attempts"][0]["paymentId"]
    assert (payment["payment_status"], payment["payment_group"]) == ("SUCCESS", "credit_card")
    assert "entity" not in payment
    assert "error_details" not in told["data"]


def test_a_failure_leaves_the_order_active(happens):
    order, [told] = happens("failure", method="netbanking")
    assert (order["status"], told["type"]) == ("ACTIVE", "PAYMENT_FAILED_WEBHOOK")
    payment = told["data"]["payment"]
    assert (payment["auth_id"], payment["bank_reference"]) == ("null", "NA")  # so the samples have it
    assert payment["payment_method"]["netbanking"]["netbanking_bank_code"] == "3333"
    assert told["data"]["error_details"]["error_reason"] == "bank_rejected"
    assert happens("success")[0]["status"] == "PAID"


def test_pending_says_nothing_and_ends_under_the_same_id(happens):
    order, told = happens("pending")
    assert (order["attempts"][0]["status"], told) == ("PENDING", [])
    paid, _ = happens("success")
    assert [a["paymentId"] for a in paid["attempts"]] == [a["paymentId"] for a in order["attempts"]]


def test_expire_ends_the_order_and_a_late_success_pays_it(happens, control, order_id):
    assert happens("expire")[0]["status"] == "EXPIRED"
    control.move(order_id, "success", status=409)
    order, [told] = happens("late-success")
    assert (order["status"], told["type"]) == ("PAID", "PAYMENT_SUCCESS_WEBHOOK")


def test_a_failed_attempt_may_succeed_late_under_the_same_id(happens):
    failed, _ = happens("failure")
    order, _ = happens("late-success")
    assert order["status"] == "PAID"
    assert [(a["paymentId"], a["status"]) for a in order["attempts"]] == [
        (failed["attempts"][0]["paymentId"], "SUCCESS")
    ]


def test_money_that_comes_after_a_termination_goes_back(base, happens):
    with session() as http:
        body = {"order_status": "TERMINATED"}
        assert http.patch(f"{base}/cashfree/pg/orders/psv_1", json=body, headers=HEADERS).ok
    order, [told] = happens("late-success")
    assert (order["status"], order["attempts"][0]["status"]) == ("TERMINATED", "CANCELLED")
    assert told["type"] == "AUTO_REFUND_STATUS_WEBHOOK"
    refund = told["data"]["auto_refund"]
    assert (refund["order_id"], refund["refund_type"]) == ("psv_1", "PAYMENT_AUTO_REFUND")
    assert "refund_id" not in refund
    assert (type(refund["cf_refund_id"]), type(refund["cf_payment_id"])) == (int, str)


def test_a_second_success_is_another_attempt_on_a_paid_order(happens, control, order_id):
    control.move(order_id, "second-success", status=409)
    happens("success")
    control.move(order_id, "late-success", status=409)
    order, [told] = happens("second-success")
    assert [a["status"] for a in order["attempts"]] == ["SUCCESS", "SUCCESS"]
    assert told["data"]["payment"]["cf_payment_id"] == order["attempts"][1]["paymentId"]


def test_too_small_a_sum_succeeds_and_leaves_the_order_active(happens):
    order, [told] = happens("success", amountPaise=100)
    assert (order["status"], order["attempts"][0]["status"]) == ("ACTIVE", "SUCCESS")
    assert (told["data"]["payment"]["payment_amount"], told["data"]["order"]["order_amount"]) == (1, 1499.5)


def test_the_gateway_may_claim_another_amount_of_the_order(happens):
    order, [told] = happens("success", orderAmountPaise=100)
    assert (order["status"], order["amountPaise"]) == ("PAID", 100)
    assert told["data"]["order"]["order_amount"] == 1


def test_the_dashboard_refunds_what_is_left(happens, control, order_id):
    control.move(order_id, "dashboard-refund", status=409)
    happens("success")
    order, [told] = happens("dashboard-refund", amountPaise=100)
    assert order["refunds"][0].items() >= {"status": "SUCCESS", "amountPaise": 100}.items()
    refund = told["data"]["refund"]
    assert (refund["entity"], refund["refund_status"], refund["refund_amount"]) == ("Refund", "SUCCESS", 1)
    assert (type(refund["cf_refund_id"]), type(refund["cf_payment_id"])) == (int, int)
    control.move(order_id, "dashboard-refund", amountPaise=149950, status=409)
    assert happens("dashboard-refund")[0]["refunds"][1]["amountPaise"] == 149850


def test_a_dispute_is_opened_once_and_ends(happens, control, order_id):
    control.move(order_id, "dispute", status=409)
    happens("success")
    _, [opened] = happens("dispute", amountPaise=300)
    assert (opened["type"], opened["data"]["dispute"]["dispute_amount"]) == ("DISPUTE_CREATED", 3)
    assert opened["data"]["order_details"]["order_id"] == order_id
    control.move(order_id, "dispute", status=409)
    order, [closed] = happens("dispute", outcome="won")
    assert (closed["type"], order["disputes"][0]["status"]) == ("DISPUTE_CLOSED", "DISPUTE_MERCHANT_WON")
    control.move(order_id, "dispute", outcome="lost", status=409)
