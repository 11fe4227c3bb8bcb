"""Cashfree's API as the simulator speaks it: shapes, refusals, idempotency. Sources: OpenAPI 2025-01-01."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.simulator.conftest import session

HEADERS = {
    "x-client-id": "TEST_simulator_app",
    "x-client-secret": "simulator_cashfree_app_secret",
    "x-api-version": "2025-01-01",
}
CUSTOMER = {"customer_id": "u55", "customer_phone": "9999999999", "customer_name": "Asha Rao"}
ORDER = {
    "order_id": "psv_1",
    "order_amount": 1499.5,
    "order_currency": "INR",
    "customer_details": CUSTOMER,
    "order_meta": {"return_url": "https://shop.example/r?order_id={order_id}"},
}
INDIAN_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+05:30")
Call = Callable[..., requests.Response]


@pytest.fixture
def cashfree(base: str) -> Iterator[Call]:
    with session() as http:

        def call(method: str, path: str, body: Any = None, **headers: str | None) -> requests.Response:
            given = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
            sent = {name: value for name, value in given.items() if value is not None}
            return http.request(method, f"{base}/cashfree/pg{path}", json=body, headers=sent)

        yield call


@pytest.fixture
def paid(cashfree: Call, control) -> str:
    assert cashfree("POST", "/orders", ORDER).ok
    control.move("psv_1", "success")
    return "psv_1"


def refused(response: requests.Response) -> tuple[int, str]:
    assert set(response.json()) == {"message", "code", "type"}
    return response.status_code, response.json()["code"]


# ── orders ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_created_with_a_session(cashfree):
    response = cashfree("POST", "/orders", ORDER)
    order = response.json()
    assert response.status_code == 200
    shown = {
        "entity": "order",
        "order_id": "psv_1",
        "order_status": "ACTIVE",
        "order_amount": 1499.5,
        "order_currency": "INR",
        "order_splits": [],
        "order_note": None,
        "order_tags": None,
    }
    assert order.items() >= shown.items()
    assert order["customer_details"].items() >= CUSTOMER.items()
    assert order["payment_session_id"].startswith("session_")
    assert order["cf_order_id"].isdigit()
    assert INDIAN_TIME.fullmatch(order["created_at"])
    assert INDIAN_TIME.fullmatch(order["order_expiry_time"])
    assert cashfree("GET", "/orders/psv_1").json() == order


@pytest.mark.parametrize(("amount", "text"), [(22, "22"), (22.0, "22"), (22.5, "22.5"), (22.05, "22.05")])
def test_amounts_are_numbers_without_padding(cashfree, amount, text):
    response = cashfree("POST", "/orders", {**ORDER, "order_amount": amount})
    assert f'"order_amount":{text},' in response.text


def test_without_an_id_cashfree_makes_one(cashfree):
    order = cashfree("POST", "/orders", {k: v for k, v in ORDER.items() if k != "order_id"}).json()
    assert order["order_id"].startswith("order_")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"order_amount": "1499.50"}, "order_amount_invalid"),
        ({"order_amount": 1.005}, "order_amount_invalid"),
        ({"order_amount": 0.99}, "order_amount_invalid"),
        ({"order_amount": 1000000.01}, "order_amount_invalid"),
        ({"order_amount": True}, "order_amount_invalid"),
        ({"order_amount": None}, "order_amount_missing"),
        ({"order_currency": "USD"}, "order_currency_invalid"),
        ({"order_id": "no spaces"}, "order_id_invalid"),
        ({"order_id": "x" * 46}, "order_id_invalid"),
        ({"order_note": "ab"}, "order_note_invalid"),
        ({"order_expiry_time": "2020-01-01T00:00:00+05:30"}, "order_expiry_time_invalid"),
        ({"order_expiry_time": "2099-01-01T00:00:00"}, "order_expiry_time_invalid"),
        ({"order_tags": {"a": ""}}, "order_tags_invalid"),
        ({"order_tags": {"a": 1}}, "order_tags_invalid"),
        ({"receipt": "x"}, "request_invalid"),
        ({"order_meta": {"return_url": "shop"}}, "return_url_value_invalid"),
        ({"order_meta": {"return_url": "https://x.example/" + "y" * 250}}, "return_url_value_invalid"),
        ({"order_meta": {"notify_url": "http://x.example"}}, "notify_url_value_invalid"),
        ({"order_meta": {"notify_url": "http://127.0.0.1.example/"}}, "notify_url_value_invalid"),
        ({"order_meta": {"payment_methods": "upi,cash"}}, "payment_methods_invalid"),
        ({"cart_details": {"colour": "red"}}, "request_invalid"),
        ({"customer_details": None}, "customer_details_invalid"),
        ({"customer_details": {}}, "customer_id_missing"),
        ({"customer_details": {"customer_id": "u55"}}, "customer_phone_missing"),
        ({"customer_details": {**CUSTOMER, "customer_phone": "+919999999999"}}, "customer_phone_invalid"),
        ({"customer_details": {**CUSTOMER, "customer_name": ""}}, "customer_name_invalid"),
        ({"customer_details": {**CUSTOMER, "customer_email": "a@"}}, "customer_email_invalid"),
        ({"customer_details": {**CUSTOMER, "age": 3}}, "request_invalid"),
    ],
)
def test_what_does_not_fit_is_refused(cashfree, changes, code):
    assert refused(cashfree("POST", "/orders", {**ORDER, **changes})) == (400, code)
    assert refused(cashfree("GET", "/orders/psv_1")) == (404, "order_not_found")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"order_amount":1e99999999}'])
def test_what_is_no_order_at_all_is_refused(base, raw):
    with session() as http:
        assert refused(http.post(f"{base}/cashfree/pg/orders", data=raw, headers=HEADERS))[0] == 400


def test_an_order_ends_at_its_time(cashfree, control):
    expires = (datetime.now(UTC) + timedelta(minutes=20)).isoformat()
    cashfree("POST", "/orders", {**ORDER, "order_expiry_time": expires})
    control.call("POST", "/clock", {"advance_seconds": 19 * 60})
    assert cashfree("GET", "/orders/psv_1").json()["order_status"] == "ACTIVE"
    control.call("POST", "/clock", {"advance_seconds": 120})
    assert cashfree("GET", "/orders/psv_1").json()["order_status"] == "EXPIRED"
    later = cashfree("POST", "/orders", {**ORDER, "order_id": "psv_2", "order_expiry_time": expires})
    assert later.json()["order_status"] == "ACTIVE"  # the merchant's clock was not advanced


def test_the_same_order_id_again_is_a_conflict(cashfree):
    assert cashfree("POST", "/orders", ORDER).ok
    assert refused(cashfree("POST", "/orders", ORDER)) == (409, "order_already_exists")


def test_an_order_is_terminated_at_once_or_after_the_attempt_that_is_under_way(cashfree, control):
    end = {"order_status": "TERMINATED"}
    cashfree("POST", "/orders", ORDER)
    assert cashfree("PATCH", "/orders/psv_1", end).json()["order_status"] == "TERMINATED"
    cashfree("POST", "/orders", {**ORDER, "order_id": "psv_2"})
    control.move("psv_2", "pending")
    assert cashfree("PATCH", "/orders/psv_2", end).json()["order_status"] == "TERMINATION_REQUESTED"
    assert control.move("psv_2", "failure")["status"] == "TERMINATED"
    cashfree("POST", "/orders", {**ORDER, "order_id": "psv_3"})
    control.move("psv_3", "pending")
    cashfree("PATCH", "/orders/psv_3", end)
    assert control.move("psv_3", "success")["status"] == "PAID"
    assert cashfree("PATCH", "/orders/psv_3", end).json()["order_status"] == "PAID"
    assert refused(cashfree("PATCH", "/orders/psv_3", {"order_status": "PAID"})) == (
        400,
        "order_status_invalid",
    )


# ── keys, versions, headers ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("keys", [{"x_client_id": None}, {"x_client_secret": "x"}, {"x_client_id": "x"}])
def test_wrong_keys_are_refused(cashfree, keys):
    response = cashfree("GET", "/orders/psv_1", **keys)
    assert (response.status_code, response.json()["type"]) == (401, "authentication_error")


def test_the_version_must_be_named(cashfree):
    response = cashfree("GET", "/orders/psv_1", x_api_version=None)
    assert (response.status_code, response.json()["message"]) == (400, "version is missing in header")
    assert refused(cashfree("GET", "/orders/psv_1", x_api_version="2024-02-30")) == (400, "version_invalid")


def test_ids_are_numbers_in_the_oldest_version_and_texts_since(cashfree, paid):
    old = cashfree("GET", "/orders/psv_1", x_api_version="2022-09-01").json()
    assert type(old["cf_order_id"]) is int
    assert old["payments"]["url"].endswith("/cashfree/pg/orders/psv_1/payments")
    for version in ("2023-08-01", "2025-01-01", "2026-01-01"):
        [payment] = cashfree("GET", "/orders/psv_1/payments", x_api_version=version).json()
        assert type(payment["cf_payment_id"]) is str
        assert "payments" not in cashfree("GET", "/orders/psv_1", x_api_version=version).json()


def test_headers_are_echoed_and_limits_told_also_with_errors(cashfree):
    for path in ("/orders/psv_1", "/nothing"):
        headers = cashfree("GET", path, x_request_id="r-1").headers
        assert headers["x-ratelimit-limit"] == "200"
        assert headers["x-request-id"] == "r-1"
        assert headers["x-api-version"] == "2025-01-01"


def test_a_wrong_address_is_a_bad_url(cashfree):
    for method, path in (("GET", "/nothing"), ("DELETE", "/orders/psv_1")):
        assert refused(cashfree(method, path)) == (400, "request_failed")


def test_a_limit_says_how_many_seconds_to_wait(cashfree, control):
    fault = {"gateway": "cashfree", "on": "fetch", "kind": "429"}
    control.call("POST", "/faults", fault, status=201)
    response = cashfree("GET", "/orders/psv_1")
    assert (response.status_code, response.json()["type"]) == (429, "rate_limit_error")
    assert int(response.headers["x-ratelimit-retry"]) > 0


# ── idempotency ─────────────────────────────────────────────────────────────────────────────────────────


def test_one_key_gives_one_answer(cashfree):
    first = cashfree("POST", "/orders", ORDER, x_idempotency_key="k1")
    again = cashfree("POST", "/orders", ORDER, x_idempotency_key="k1")
    assert (first.headers["x-idempotency-replayed"], again.headers["x-idempotency-replayed"]) == (
        "false",
        "true",
    )
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["x-idempotency-key"] == "k1"


def test_a_key_keeps_even_an_error(cashfree):
    wrong = {**ORDER, "order_note": "ab"}
    for _ in range(2):
        assert refused(cashfree("POST", "/orders", wrong, x_idempotency_key="k1")) == (
            400,
            "order_note_invalid",
        )


def test_a_key_is_bound_to_its_first_words(cashfree):
    cashfree("POST", "/orders", ORDER, x_idempotency_key="k1")
    other = cashfree("POST", "/orders", {**ORDER, "order_amount": 2}, x_idempotency_key="k1")
    assert (other.status_code, other.json()["type"]) == (422, "idempotency_error")


# ── attempts ────────────────────────────────────────────────────────────────────────────────────────────


def test_attempts_are_a_bare_list(cashfree, control):
    cashfree("POST", "/orders", ORDER)
    assert cashfree("GET", "/orders/psv_1/payments").json() == []
    control.move("psv_1", "failure", method="netbanking")
    control.move("psv_1", "success")
    paid, failed = cashfree("GET", "/orders/psv_1/payments").json()
    assert (paid["payment_status"], paid["is_captured"], paid["error_details"]) == ("SUCCESS", True, None)
    assert (paid["payment_amount"], paid["order_amount"]) == (1499.5, 1499.5)
    assert (failed["payment_status"], failed["payment_group"]) == ("FAILED", "net_banking")
    assert failed["payment_method"]["netbanking"]["netbanking_bank_code"] == 3333
    assert failed["error_details"]["error_code"] == "TRANSACTION_DECLINED"
    one = cashfree("GET", f"/orders/psv_1/payments/{failed['cf_payment_id']}")
    assert one.json() == failed
    assert refused(cashfree("GET", "/orders/psv_1/payments/1")) == (404, "payment_not_found")
    assert refused(cashfree("GET", "/orders/psv_2/payments")) == (404, "order_not_found")


def test_a_session_pays_without_keys(cashfree):
    order = cashfree("POST", "/orders", ORDER).json()
    method = {"upi": {"channel": "collect", "upi_id": "testsuccess@gocash"}}
    body = {"payment_session_id": order["payment_session_id"], "payment_method": method}
    answer = cashfree("POST", "/orders/sessions", body, x_client_id=None, x_client_secret=None).json()
    assert (answer["payment_method"], answer["payment_amount"]) == ("upi", 1499.5)
    assert cashfree("GET", "/orders/psv_1").json()["order_status"] == "PAID"
    assert refused(cashfree("POST", "/orders/sessions", body)) == (400, "order_inactive")
    wrong = {**body, "payment_session_id": "session_x"}
    assert refused(cashfree("POST", "/orders/sessions", wrong)) == (400, "payment_session_id_invalid")


@pytest.mark.parametrize(
    ("vpa", "status"),
    [
        ("testfailure", "FAILED"),
        ("testinsufficientfunds", "FAILED"),
        ("testuserdropped", "USER_DROPPED"),
        ("testtimeoutbank", "PENDING"),
    ],
)
def test_a_test_address_decides_how_its_attempt_ends(cashfree, vpa, status):
    order = cashfree("POST", "/orders", ORDER).json()
    body = {
        "payment_session_id": order["payment_session_id"],
        "payment_method": {"upi": {"channel": "collect", "upi_id": f"{vpa}@gocash"}},
    }
    assert cashfree("POST", "/orders/sessions", body).ok
    [payment] = cashfree("GET", "/orders/psv_1/payments").json()
    assert payment["payment_status"] == status
    assert cashfree("GET", "/orders/psv_1").json()["order_status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ({"upi": {"channel": "link", "upi_id": "testsuccess@gocash"}}, "channel_invalid"),
        ({"upi": {"channel": "qrcode"}}, "channel_invalid"),
        ({"upi": {"channel": "collect", "upi_id": "testinvalid@gocash"}}, "upi_id_invalid"),
        ({"upi": {"channel": "collect", "upi_id": "asha@upi"}}, "upi_id_invalid"),
        ({"card": {"channel": "link", "card_number": "4111111111111111"}}, "card_number_invalid"),
        ({"card": {"channel": "link", "card_number": "4576238912771450"}}, "card_expiry_invalid"),
        ({"netbanking": {"channel": "link", "netbanking_bank_code": 3054}}, "payment_method_invalid"),
        ({"paylater": {"channel": "link"}}, "payment_method_invalid"),
        ({}, "payment_method_invalid"),
        ({"upi": "testsuccess@gocash"}, "payment_method_invalid"),
        ({"upi": {"channel": "collect", "upi_id": "testsuccess@gocash", "x": 1}}, "request_invalid"),
    ],
)
def test_what_is_no_test_data_cannot_pay(cashfree, method, code):
    order = cashfree("POST", "/orders", ORDER).json()
    body = {"payment_session_id": order["payment_session_id"], "payment_method": method}
    assert refused(cashfree("POST", "/orders/sessions", body)) == (400, code)
    assert cashfree("GET", "/orders/psv_1/payments").json() == []


def test_an_order_takes_only_the_methods_it_names(cashfree):
    meta = {"payment_methods": "cc,nb"}
    order = cashfree("POST", "/orders", {**ORDER, "order_meta": meta}).json()
    method = {"upi": {"channel": "collect", "upi_id": "testsuccess@gocash"}}
    body = {"payment_session_id": order["payment_session_id"], "payment_method": method}
    assert refused(cashfree("POST", "/orders/sessions", body)) == (400, "payment_method_invalid")
    bank = {"netbanking": {"channel": "link", "netbanking_bank_name": "TESTR"}}
    assert cashfree("POST", "/orders/sessions", {**body, "payment_method": bank}).ok


def test_the_third_wrong_password_ends_an_attempt(cashfree):
    order = cashfree("POST", "/orders", ORDER).json()
    card = {"card_number": "4576238912771450", "card_expiry_mm": "03", "card_expiry_yy": "28"}
    method = {"card": {"channel": "post", "card_cvv": "123", **card}}
    body = {"payment_session_id": order["payment_session_id"], "payment_method": method}
    address = cashfree("POST", "/orders/sessions", body).json()["data"]["url"].partition("/pg")[2]
    wrong = {"action": "SUBMIT_OTP", "otp": "000000"}
    for _ in range(3):
        assert cashfree("POST", address, wrong).json()["authenticate_status"] == "FAILED"
    assert refused(cashfree("POST", address, wrong)) == (400, "request_invalid")
    assert refused(cashfree("POST", address, {"action": "SHOUT"}))[0] == 400
    [payment] = cashfree("GET", "/orders/psv_1/payments").json()
    assert (payment["payment_status"], payment["error_details"]["error_reason"]) == ("FAILED", "invalid_otp")


def test_the_sandbox_simulates_what_a_bank_says(cashfree, control):
    cashfree("POST", "/orders", ORDER)
    control.move("psv_1", "pending")
    [payment] = cashfree("GET", "/orders/psv_1/payments").json()
    wanted = {"payment_status": "SUCCESS", "payment_error_code": ""}
    body = {"entity": "PAYMENTS", "entity_id": payment["cf_payment_id"], "entity_simulation": wanted}
    simulation = cashfree("POST", "/simulate", body).json()
    assert simulation["simulation_id"].startswith("sim_")
    assert cashfree("GET", f"/simulate/{simulation['simulation_id']}").json() == simulation
    assert cashfree("GET", "/orders/psv_1").json()["order_status"] == "PAID"


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────────────

HALF = {"refund_id": "psr_1", "refund_amount": 750, "refund_speed": "STANDARD"}


def test_a_refund_is_an_object_found_by_our_id(cashfree, paid):
    refund = cashfree("POST", "/orders/psv_1/refunds", HALF).json()
    shown = {"entity": "refund", "refund_id": "psr_1", "refund_amount": 750, "refund_status": "SUCCESS"}
    assert refund.items() >= shown.items()
    assert cashfree("GET", "/orders/psv_1/refunds/psr_1").json() == refund
    assert cashfree("GET", "/orders/psv_1/refunds").json() == [refund]
    assert refused(cashfree("GET", "/orders/psv_1/refunds/psr_2")) == (404, "refund_not_found")


def test_the_same_refund_again_is_one_refund(cashfree, paid):
    first = cashfree("POST", "/orders/psv_1/refunds", HALF)
    assert cashfree("POST", "/orders/psv_1/refunds", HALF).json() == first.json()
    other = cashfree("POST", "/orders/psv_1/refunds", {**HALF, "refund_amount": 1})
    assert refused(other) == (400, "refund_id_already_exists")


def test_no_more_goes_back_than_came(cashfree, paid):
    cashfree("POST", "/orders/psv_1/refunds", HALF)
    rest = {**HALF, "refund_id": "psr_2", "refund_amount": 749.51}
    assert refused(cashfree("POST", "/orders/psv_1/refunds", rest)) == (400, "refund_amount_invalid")
    assert cashfree("POST", "/orders/psv_1/refunds", {**rest, "refund_amount": 749.5}).ok


def test_nothing_goes_back_of_an_order_that_is_not_paid(cashfree):
    cashfree("POST", "/orders", ORDER)
    assert refused(cashfree("POST", "/orders/psv_1/refunds", HALF)) == (400, "refund_not_allowed")


@pytest.mark.parametrize(
    ("note", "status"), [("FAILED", "FAILED"), ("PENDING", "PENDING"), ("ACTIVE", "PENDING")]
)
def test_the_note_decides_how_a_refund_ends(cashfree, paid, note, status):
    refund = cashfree("POST", "/orders/psv_1/refunds", {**HALF, "refund_note": note}).json()
    assert refund["refund_status"] == status


@pytest.mark.parametrize(("outcome", "status"), [("success", "SUCCESS"), ("failure", "CANCELLED")])
def test_a_pending_refund_is_finished_by_the_control_plane(cashfree, control, paid, outcome, status):
    control.call("POST", "/settings", {"cashfree": {"refund_outcome": "PENDING"}})
    assert cashfree("POST", "/orders/psv_1/refunds", HALF).json()["refund_status"] == "PENDING"
    [refund] = control.call("POST", f"/refunds/psr_1/{outcome}")["refunds"]
    assert refund["status"] == status
    control.call("POST", f"/refunds/psr_1/{outcome}", status=409)
    left = 1499.5 if status == "CANCELLED" else 749.5
    everything = {**HALF, "refund_id": "psr_2", "refund_amount": left}
    assert cashfree("POST", "/orders/psv_1/refunds", everything).ok


def test_the_merchant_may_cancel_a_refund_that_is_under_way(cashfree, paid):
    cashfree("POST", "/orders/psv_1/refunds", {**HALF, "refund_note": "PENDING"})
    cancel = {"refund_status": "CANCELLED", "remarks": "not any more"}
    assert refused(cashfree("PUT", "/orders/psv_1/refunds/psr_1", {"refund_status": "SUCCESS"}))[0] == 400
    assert cashfree("PUT", "/orders/psv_1/refunds/psr_1", cancel).json()["refund_status"] == "CANCELLED"
    assert refused(cashfree("PUT", "/orders/psv_1/refunds/psr_1", cancel)) == (400, "refund_not_allowed")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/settlements", {"page": 1}),
        ("/settlements", {"pagination": {"limit": 0}}),
        ("/settlements", {"pagination": {"limit": 1001}}),
        ("/settlements", {"pagination": {"limit": "10"}}),
        ("/settlements", {"pagination": {"limit": 10, "cursor": "eyJ9"}}),
        ("/settlement/recon", {"filters": {"cf_settlement_ids": "1"}}),
        ("/settlement/recon", {"filters": {"start_date": "yesterday"}}),
        ("/settlement/recon", {"filters": {"colour": "red"}}),
        ("/recon", {"filters": {"start_date": "2022-07-20T00:00:00Z"}}),
        ("/recon", {"pagination": {"limit": 10}}),
        ("/simulate/settlement", {"merchantOrderIds": [], "status": "SUCCESS"}),
        ("/simulate/settlement", {"merchantOrderIds": ["psv_1"], "status": "SETTLED"}),
        ("/simulate", {"entity": "PAYMENTS", "entity_id": "1", "entity_simulation": {"payment_status": "X"}}),
    ],
)
def test_reports_and_simulations_are_asked_for_rightly(cashfree, path, body):
    assert refused(cashfree("POST", path, body))[0] == 400


def test_every_answer_is_compact_json(cashfree, paid):
    response = cashfree("GET", "/orders/psv_1/payments")
    assert response.headers["content-type"] == "application/json"
    assert response.text == json.dumps(response.json(), separators=(",", ":"), ensure_ascii=False)
