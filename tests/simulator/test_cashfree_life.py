"""What the clock does to pretend Cashfree's orders, refunds, disputes and transfers; and a restart."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway_simulator import create_simulator
from gateway_simulator.serving import serving
from tests.simulator.conftest import Control, session
from tests.simulator.test_cashfree import HALF, HEADERS, ORDER

HOUR = 3600
DAY = 24 * HOUR
Call = Callable[..., Any]


@pytest.fixture
def ask(base: str) -> Iterator[Call]:
    """One request to the API that must be answered with 200; returns the JSON."""
    with session() as http:

        def call(method: str, path: str, body: Any = None) -> Any:
            response = http.request(method, f"{base}/cashfree/pg{path}", json=body, headers=HEADERS)
            assert response.ok, response.text
            return response.json()

        yield call


@pytest.fixture
def order_id(ask: Call) -> str:
    ask("POST", "/orders", ORDER)
    return "psv_1"


@pytest.fixture
def told(control: Control, receiver: Any) -> Callable[[], list[tuple[str, Any]]]:
    """What was told since the last time: (type, data)."""
    seen = 0

    def news() -> list[tuple[str, Any]]:
        nonlocal seen
        control.settle()
        fresh = [json.loads(one.body) for one in receiver.received[seen:]]
        seen += len(fresh)
        return [(one["type"], one["data"]) for one in fresh]

    return news


def advance(control: Control, seconds: float) -> None:
    control.call("POST", "/clock", {"advance_seconds": seconds})


def configure(control: Control, **settings: Any) -> None:
    control.call("POST", "/settings", {"cashfree": settings})


# ── orders and attempts ─────────────────────────────────────────────────────────────────────────────────


def test_an_attempt_of_which_the_bank_says_nothing_fails_after_a_day(control, order_id, told):
    control.move(order_id, "pending")
    advance(control, 23 * HOUR)
    assert told() == []
    advance(control, 2 * HOUR)
    [(event, data)] = told()
    assert (event, data["error_details"]["error_reason"]) == ("PAYMENT_FAILED_WEBHOOK", "bank_timeout")
    assert control.order(order_id)["status"] == "ACTIVE"


def test_a_termination_waits_for_the_attempt_as_long_as_the_bank_does(control, ask, order_id):
    control.move(order_id, "pending")
    ask("PATCH", f"/orders/{order_id}", {"order_status": "TERMINATED"})
    advance(control, 25 * HOUR)
    assert control.order(order_id)["status"] == "TERMINATED"


def test_a_success_that_comes_days_after_the_end_goes_back(control, order_id, told):
    control.move(order_id, "expire")
    advance(control, 2 * DAY)
    order = control.move(order_id, "late-success")
    assert (order["status"], order["attempts"][0]["status"]) == ("EXPIRED", "CANCELLED")
    assert [event for event, _ in told()] == ["AUTO_REFUND_STATUS_WEBHOOK"]
    assert order["refunds"][0]["status"] == "SUCCESS"


def test_a_second_payment_goes_back_after_a_day(control, ask, order_id, told):
    control.move(order_id, "success")
    control.move(order_id, "second-success")
    advance(control, 23 * HOUR)
    assert ask("GET", f"/orders/{order_id}/refunds") == []
    told()
    advance(control, 2 * HOUR)
    [(event, data)] = told()
    assert (event, data["auto_refund"]["refund_amount"]) == ("AUTO_REFUND_STATUS_WEBHOOK", 1499.5)
    [refund] = ask("GET", f"/orders/{order_id}/refunds")
    assert (refund["refund_type"], refund["refund_id"]) == ("PAYMENT_AUTO_REFUND", None)
    assert control.order(order_id)["status"] == "PAID"


def test_a_second_payment_that_the_merchant_refunds_is_not_returned_twice(control, order_id):
    control.move(order_id, "success")
    control.move(order_id, "second-success")
    control.move(order_id, "dashboard-refund")
    advance(control, 25 * HOUR)
    assert len(control.order(order_id)["refunds"]) == 1


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outcome", "speed", "before", "after", "status"),
    [
        ("PENDING", "STANDARD", 4 * DAY, 2 * DAY, "SUCCESS"),
        ("PENDING", "INSTANT", 60, 600, "SUCCESS"),
        ("ONHOLD", "STANDARD", 6 * DAY, 2 * DAY, "CANCELLED"),
    ],
)
def test_a_refund_goes_on_by_the_clock(control, ask, order_id, told, outcome, speed, before, after, status):
    configure(control, refund_outcome=outcome)
    control.move(order_id, "success")
    ask("POST", f"/orders/{order_id}/refunds", {**HALF, "refund_speed": speed})
    advance(control, before)
    assert ask("GET", f"/orders/{order_id}/refunds/psr_1")["refund_status"] == outcome
    told()
    advance(control, after)
    assert ask("GET", f"/orders/{order_id}/refunds/psr_1")["refund_status"] == status
    assert ("REFUND_STATUS_WEBHOOK", status) in [
        (event, data["refund"]["refund_status"]) for event, data in told() if "refund" in data
    ]


def test_nothing_goes_back_after_six_months(control, base, order_id):
    control.move(order_id, "success")
    advance(control, 190 * DAY)
    with session() as http:
        refused = http.post(f"{base}/cashfree/pg/orders/{order_id}/refunds", json=HALF, headers=HEADERS)
    assert (refused.status_code, refused.json()["code"]) == (400, "refund_not_allowed")


def test_a_key_is_remembered_for_a_day(control, base):
    with session() as http:

        def create(order_id: str) -> int:
            order, headers = {**ORDER, "order_id": order_id}, {**HEADERS, "x-idempotency-key": "k"}
            return http.post(f"{base}/cashfree/pg/orders", json=order, headers=headers).status_code

        assert [create("psv_1"), create("psv_1"), create("psv_2")] == [200, 200, 422]
        fault = {"gateway": "cashfree", "on": "create_order", "kind": "500"}
        control.call("POST", "/faults", fault, status=201)
        assert create("psv_2") == 422
        advance(control, 25 * HOUR)
        assert create("psv_2") == 200


# ── transfers ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_payment_is_transferred_at_eleven_on_the_second_day(control, ask, order_id, told):
    control.move(order_id, "success")
    told()
    advance(control, 26 * HOUR)
    assert told() == []
    advance(control, 46 * HOUR)
    (first, begun), (second, done) = told()
    assert (first, second) == ("SETTLEMENT_INITIATED", "SETTLEMENT_SUCCESS")
    begun, done = begun["settlement"], done["settlement"]
    initiated = datetime.fromisoformat(begun["settlement_initiated_on"])
    settled = datetime.fromisoformat(done["settled_on"])
    assert (initiated.hour, initiated.minute, (settled - initiated).total_seconds()) == (11, 0, 1800)
    assert (begun["utr"], type(done["utr"]), type(done["settlement_id"])) == (None, int, int)
    amounts = [done[name] for name in ("payment_amount", "service_charge", "service_tax", "amount_settled")]
    assert amounts == [1499.5, 29.99, 5.4, 1464.11]
    of_order = ask("GET", f"/orders/{order_id}/settlements")
    assert (of_order["transfer_utr"], of_order["settlement_amount"]) == (str(done["utr"]), 1464.11)


def test_the_days_until_the_transfer_are_a_setting(control, order_id, told):
    configure(control, settlement_days=7)
    control.move(order_id, "success")
    advance(control, 5 * DAY)
    assert [event for event, _ in told()] == ["PAYMENT_SUCCESS_WEBHOOK"]
    advance(control, 3 * DAY)
    assert [event for event, _ in told()] == ["SETTLEMENT_INITIATED", "SETTLEMENT_SUCCESS"]


def test_refunds_and_disputes_are_taken_off_what_is_transferred(control, ask, order_id, told):
    control.move(order_id, "success")
    ask("POST", f"/orders/{order_id}/refunds", HALF)
    control.move(order_id, "dispute", amountPaise=10000)
    told()
    control.call("POST", "/settle")
    *_, (_, data) = told()
    settlement = data["settlement"]
    assert (settlement["adjustment"], settlement["amount_settled"]) == (-850, 614.11)


def test_what_is_more_than_the_payments_waits_for_the_next_transfer(control, ask, order_id, told):
    control.move(order_id, "success")
    control.call("POST", "/settle")
    ask("POST", f"/orders/{order_id}/refunds", {**HALF, "refund_amount": 1499.5})
    told()
    control.call("POST", "/settle")
    assert told() == []
    ask("POST", "/orders", {**ORDER, "order_id": "psv_2", "order_amount": 2000})
    control.move("psv_2", "success")
    control.call("POST", "/settle")
    *_, (_, data) = told()
    assert data["settlement"]["adjustment"] == -1499.5


def test_a_transfer_that_fails_or_comes_back_is_made_again(control, order_id, told):
    control.move(order_id, "success")
    told()
    for outcome, events in (
        ("FAILED", ["INITIATED", "FAILED"]),
        ("REVERSED", ["INITIATED", "SUCCESS", "REVERSED"]),
    ):
        configure(control, settlement_outcome=outcome)
        control.call("POST", "/settle")
        assert [event.removeprefix("SETTLEMENT_") for event, _ in told()] == events
    configure(control, settlement_outcome="SUCCESS")
    advance(control, 2 * DAY)
    (_, begun), (_, done) = told()
    assert begun["settlement"]["settlement_id"] == done["settlement"]["settlement_id"]
    assert done["settlement"]["amount_settled"] == 1464.11


# ── disputes ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dispute_that_nobody_answers_is_lost(control, order_id, told):
    control.move(order_id, "success")
    control.move(order_id, "dispute")
    told()
    advance(control, 4 * DAY)
    closed = [data["dispute"] for event, data in told() if event == "DISPUTE_CLOSED"]
    assert [one["dispute_status"] for one in closed] == ["DISPUTE_MERCHANT_LOST"]


def test_documents_bring_a_review(control, base, order_id, told):
    control.move(order_id, "success")
    dispute_id = control.move(order_id, "dispute")["disputes"][0]["disputeId"]
    with session() as http:
        address = f"{base}/cashfree/pg/disputes/{dispute_id}/documents"
        form = {"doc_type": "Refund Proof"}
        sent = http.post(address, data=form, files={"file": ("proof.pdf", b"%PDF")}, headers=HEADERS)
        assert sent.json()[0]["dispute_evidence"][0]["document_name"] == "proof.pdf"
        assert http.post(address, data=form, headers=HEADERS).status_code == 400
    told()
    advance(control, 5 * DAY)
    statuses = [data["dispute"]["dispute_status"] for event, data in told() if event == "DISPUTE_UPDATED"]
    assert statuses == ["DISPUTE_UNDER_REVIEW"]
    assert control.order(order_id)["disputes"][0]["status"] == "DISPUTE_UNDER_REVIEW"


def test_a_dispute_turns_into_another_and_ends(control, order_id, told):
    control.move(order_id, "success")
    control.move(order_id, "dispute", outcome="retrieval")
    for outcome in ("chargeback", "docs_received", "insufficient_evidence", "arbitration", "lost"):
        control.move(order_id, "dispute", outcome=outcome)
    statuses = [data["dispute"]["dispute_status"] for event, data in told() if event.startswith("DISPUTE")]
    assert statuses == [
        "RETRIEVAL_CREATED",
        "CHARGEBACK_CREATED",
        "CHARGEBACK_DOCS_RECEIVED",
        "CHARGEBACK_INSUFFICIENT_EVIDENCE",
        "ARBITRATION_CREATED",
        "ARBITRATION_MERCHANT_LOST",
    ]


# ── on demand, and to the order's own address ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "event", ["PAYMENT_SUCCESS_WEBHOOK", "REFUND_STATUS_WEBHOOK", "DISPUTE_UPDATED", "SETTLEMENT_FAILED"]
)
def test_what_an_order_does_not_have_cannot_be_told(control, order_id, event):
    control.call("POST", f"/orders/{order_id}/webhook", {"type": event}, status=409)
    control.call("POST", f"/orders/{order_id}/webhook", {"type": "COLOUR_CHANGED"}, status=400)


def test_an_event_on_demand_changes_nothing(control, order_id, told):
    control.move(order_id, "success")
    before = control.order(order_id)
    told()
    control.call("POST", f"/orders/{order_id}/webhook", {"type": "PAYMENT_FAILED_WEBHOOK"})
    [(event, data)] = told()
    assert (event, data["payment"]["payment_status"]) == ("PAYMENT_FAILED_WEBHOOK", "FAILED")
    after = control.order(order_id)
    assert (after["status"], after["attempts"]) == (before["status"], before["attempts"])


def test_an_orders_own_address_is_told_as_well(control, ask, receiver):
    own = receiver.url.replace("/api/webhook", "/notify?shop=1")
    ask("POST", "/orders", {**ORDER, "order_meta": {"notify_url": own}})
    control.move("psv_1", "success")
    control.call("POST", "/settle")
    control.settle()
    to_dashboard, to_order, *transfers = receiver.received
    assert (to_dashboard.path, to_order.path) == ("/api/webhook/cashfree", "/notify?shop=1")
    assert (to_dashboard.body, to_dashboard.headers["x-webhook-signature"]) == (
        to_order.body,
        to_order.headers["x-webhook-signature"],
    )
    assert {one.path for one in transfers} == {"/api/webhook/cashfree"}  # a transfer is of no one order


# ── a restart ───────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def running(state: Path, webhooks: str) -> Iterator[Control]:
    with serving(create_simulator(webhooks, state=state)) as address, session() as http:
        yield Control(address, http)


def test_a_restart_keeps_orders_alarms_and_open_webhooks(tmp_path: Path, receiver: Any) -> None:
    state = tmp_path / "state"
    receiver.answers = [500]
    with running(state, receiver.url) as control, session() as http:
        orders = f"{control.base}/cashfree/pg/orders"
        made = http.post(orders, json=ORDER, headers=HEADERS).json()
        control.move("psv_1", "success")
        control.call("POST", "/settings", {"cashfree": {"refund_outcome": "PENDING"}})
        http.post(f"{orders}/psv_1/refunds", json=HALF, headers={**HEADERS, "x-idempotency-key": "k"})
        control.move("psv_1", "dispute")
        control.settle()
    with running(state, receiver.url) as control, session() as http:
        orders = f"{control.base}/cashfree/pg/orders"
        found = http.get(f"{orders}/psv_1", headers=HEADERS).json()
        assert found == {**made, "order_status": "PAID"}
        again = http.post(f"{orders}/psv_1/refunds", json=HALF, headers={**HEADERS, "x-idempotency-key": "k"})
        assert again.headers["x-idempotency-replayed"] == "true"
        receiver.received.clear()
        advance(control, 150)  # the retry of what was not taken
        control.settle()
        [resent] = [json.loads(one.body)["type"] for one in receiver.received]
        assert resent == "PAYMENT_SUCCESS_WEBHOOK"
        advance(control, 8 * DAY)
        control.settle()
        order = control.order("psv_1")
        assert order["refunds"][0]["status"] == "SUCCESS"
        assert order["disputes"][0]["status"] == "DISPUTE_MERCHANT_LOST"
        assert http.get(f"{orders}/psv_1/settlements", headers=HEADERS).ok
