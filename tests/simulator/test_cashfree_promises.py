"""What pretend Cashfree tells as SUCCESS although it has no money, or less: cash, holds, offers."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.simulator.conftest import session
from tests.simulator.test_cashfree import HEADERS, ORDER, refused

DAY = 24 * 3600
REFUND = {"refund_id": "psr_1", "refund_amount": 100}
Call = Callable[..., requests.Response]


@pytest.fixture
def cashfree(base: str) -> Iterator[Call]:
    with session() as http:

        def call(method: str, path: str, body: Any = None) -> requests.Response:
            return http.request(method, f"{base}/cashfree/pg{path}", json=body, headers=HEADERS)

        assert call("POST", "/orders", ORDER).ok
        yield call


@pytest.fixture
def told(control, receiver, cashfree) -> Callable[..., tuple[Any, list[Any]]]:
    """A move of the order; returns the order and the bodies of the webhooks it brought."""

    def run(verb: str, **options: Any) -> tuple[Any, list[Any]]:
        before = len(receiver.received)
        order = control.move("psv_1", verb, **options)
        control.settle()
        return order, [json.loads(one.body) for one in receiver.received[before:]]

    return run


# ── cash on delivery ────────────────────────────────────────────────────────────────────────────────────


def test_cash_on_delivery_is_told_as_a_success_and_brings_nothing(control, cashfree, told):
    order, [event] = told("success", method="cod")
    payment = event["data"]["payment"]
    assert (event["type"], payment["payment_status"]) == ("PAYMENT_SUCCESS_WEBHOOK", "SUCCESS")
    assert (payment["payment_group"], payment["payment_method"]) == (
        "cash_on_delivery",
        {"cash_on_delivery": {}},
    )
    assert (order["status"], order["amountPaidPaise"]) == ("PAID", 0)
    [attempt] = cashfree("GET", "/orders/psv_1/payments").json()
    seen = {
        name: attempt[name] for name in ("payment_status", "is_captured", "authorization", "bank_reference")
    }
    assert seen == {
        "payment_status": "SUCCESS",
        "is_captured": False,
        "authorization": None,
        "bank_reference": None,
    }


def test_cash_is_neither_refunded_nor_disputed_nor_transferred(control, cashfree, told):
    told("success", method="cod")
    assert refused(cashfree("POST", "/orders/psv_1/refunds", REFUND)) == (400, "refund_not_allowed")
    control.move("psv_1", "dashboard-refund", status=409)
    control.move("psv_1", "dispute", status=409)
    control.call("POST", "/settle")
    assert cashfree("GET", "/orders/psv_1/settlements").status_code == 404
    told("second-success", method="cod")
    control.call("POST", "/clock", {"advance_seconds": 2 * DAY})
    assert control.order("psv_1")["refunds"] == []


def test_a_part_is_paid_now_and_the_rest_in_cash(told):
    order, _ = told("success", amountPaise=20000)
    assert order["status"] == "ACTIVE"
    order, _ = told("success", method="cod", amountPaise=129950)
    assert (order["status"], order["amountPaidPaise"]) == ("PAID", 20000)


# ── pre-authorisation ───────────────────────────────────────────────────────────────────────────────────


def test_held_money_is_told_as_a_success_and_is_not_captured(cashfree, told):
    order, [event] = told("authorize", method="card")
    payment = event["data"]["payment"]
    assert (payment["payment_status"], payment["is_captured"]) == ("SUCCESS", False)
    assert payment["authorization"]["action"] is None
    assert (order["status"], order["amountPaidPaise"]) == ("PAID", 0)
    [attempt] = cashfree("GET", "/orders/psv_1/payments").json()
    assert (attempt["payment_status"], attempt["is_captured"]) == ("SUCCESS", False)
    assert attempt["authorization"]["end_time"] == attempt["authorization"]["approve_by"]
    assert refused(cashfree("POST", "/orders/psv_1/refunds", REFUND)) == (400, "refund_not_allowed")


@pytest.mark.parametrize(("rupees", "paise"), [(1499.5, 149950), (300, 30000)])
def test_a_hold_is_captured_whole_or_in_part_once(control, cashfree, told, rupees, paise):
    told("authorize")
    body = {"action": "CAPTURE", "amount": rupees}
    captured = cashfree("POST", "/orders/psv_1/authorization", body).json()
    assert (captured["is_captured"], captured["authorization"]["captured_amount"]) == (True, rupees)
    assert control.order("psv_1")["amountPaidPaise"] == paise
    assert refused(cashfree("POST", "/orders/psv_1/authorization", body)) == (
        400,
        "authorization_not_allowed",
    )
    too_much = {**REFUND, "refund_amount": rupees + 1}
    assert refused(cashfree("POST", "/orders/psv_1/refunds", too_much)) == (400, "refund_amount_invalid")
    assert cashfree("POST", "/orders/psv_1/refunds", {**REFUND, "refund_amount": rupees}).ok


def test_a_hold_is_let_go_by_the_merchant_or_by_the_clock(control, cashfree, told):
    told("authorize")
    let_go = cashfree("POST", "/orders/psv_1/authorization", {"action": "VOID"}).json()
    assert (let_go["payment_status"], let_go["authorization"]["action"]) == ("VOID", "VOID")
    assert cashfree("POST", "/orders", {**ORDER, "order_id": "psv_2"}).ok
    control.move("psv_2", "authorize")
    control.call("POST", "/clock", {"advance_seconds": 6 * DAY})
    assert control.order("psv_2")["attempts"][0]["status"] == "SUCCESS"
    control.call("POST", "/clock", {"advance_seconds": 2 * DAY})
    assert control.order("psv_2")["attempts"][0]["status"] == "VOID"


def test_what_was_captured_is_not_let_go_by_the_clock(control, cashfree, told):
    told("authorize")
    cashfree("POST", "/orders/psv_1/authorization", {"action": "CAPTURE", "amount": 1499.5})
    control.call("POST", "/clock", {"advance_seconds": 8 * DAY})
    assert control.order("psv_1")["attempts"][0]["status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"action": "CAPTURE", "amount": 1499.51}, "amount_invalid"),
        ({"action": "CAPTURE"}, "amount_missing"),
        ({"action": "CAPTURE", "amount": "1499.50"}, "amount_invalid"),
        ({"action": "KEEP"}, "action_invalid"),
        ({}, "action_invalid"),
        ({"action": "VOID", "x": 1}, "request_invalid"),
    ],
)
def test_a_wrong_wish_for_a_hold_is_refused(cashfree, told, body, code):
    told("authorize")
    assert refused(cashfree("POST", "/orders/psv_1/authorization", body)) == (400, code)


def test_only_a_hold_can_be_captured(cashfree, told):
    told("success")
    body = {"action": "CAPTURE", "amount": 1499.5}
    assert refused(cashfree("POST", "/orders/psv_1/authorization", body)) == (
        400,
        "authorization_not_allowed",
    )
    assert refused(cashfree("POST", "/orders/psv_9/authorization", body)) == (404, "order_not_found")


def test_the_answer_to_a_capture_can_be_lost(control, cashfree, told):
    told("authorize")
    control.call(
        "POST", "/faults", {"gateway": "cashfree", "on": "capture", "kind": "reset_after"}, status=201
    )
    with pytest.raises(requests.ConnectionError):
        cashfree("POST", "/orders/psv_1/authorization", {"action": "CAPTURE", "amount": 1499.5})
    assert control.order("psv_1")["amountPaidPaise"] == 149950


# ── offers, late words, disputes ────────────────────────────────────────────────────────────────────────


def test_an_offer_is_paid_lower_and_pays_the_order(control, cashfree, told):
    order, [event] = told("success", offerPaise=10000)
    assert (order["status"], order["amountPaidPaise"]) == ("PAID", 139950)
    assert event["data"]["payment"]["payment_amount"] == 1399.5
    [offer] = event["data"]["payment_offers"]
    assert offer["offer_redemption"] == {"redemption_status": "SUCCESS", "discount_amount": 100}
    [attempt] = cashfree("GET", "/orders/psv_1/payments").json()
    assert (attempt["order_amount"], attempt["payment_amount"]) == (1499.5, 1399.5)


def test_an_offer_of_all_is_none(control, cashfree):
    control.move("psv_1", "success", offerPaise=149950, status=409)


def test_the_orders_word_comes_late(cashfree, told):
    told("late-word", reads=2)
    told("success")
    words = [cashfree("GET", "/orders/psv_1").json()["order_status"] for _ in range(3)]
    assert words == ["ACTIVE", "ACTIVE", "PAID"]
    [attempt] = cashfree("GET", "/orders/psv_1/payments").json()
    assert attempt["payment_status"] == "SUCCESS"


def test_a_dispute_says_until_when_it_waits(cashfree, told):
    told("success")
    order, [event] = told("dispute", outcome="chargeback")
    dispute_id = order["disputes"][0]["disputeId"]
    respond_by = event["data"]["dispute"]["respond_by"]
    assert respond_by.endswith("T23:59:59+05:30")
    fetched = cashfree("GET", f"/disputes/{dispute_id}").json()
    assert f"{fetched['respond_by']}+05:30" == respond_by


# ── UPI ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_upi_app_is_opened_by_links_and_answers_later(base, cashfree):
    order = cashfree("GET", "/orders/psv_1").json()
    body = {
        "payment_session_id": order["payment_session_id"],
        "payment_method": {"upi": {"channel": "link"}},
    }
    answer = cashfree("POST", "/orders/sessions", body).json()
    assert (answer["action"], answer["channel"]) == ("custom", "link")
    assert set(answer["data"]["payload"]) == {"default", "gpay", "phonepe", "paytm", "bhim"}
    assert cashfree("GET", "/orders/psv_1").json()["order_status"] == "ACTIVE"
    with session() as http:
        attempts = f"{base}/cashfree/pay/attempts/{answer['cf_payment_id']}"
        wrong = http.post(attempts, json={"upi_id": "asha@upi"}, headers=HEADERS)
        assert refused(wrong) == (400, "upi_id_invalid")
        assert http.post(attempts, json={"upi_id": "testsuccess@gocash"}, headers=HEADERS).ok
    [attempt] = cashfree("GET", "/orders/psv_1/payments").json()
    assert (attempt["payment_status"], attempt["payment_method"]["upi"]["channel"]) == ("SUCCESS", "link")
