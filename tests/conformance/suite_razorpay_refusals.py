"""razorpay 2.0.1 against the simulator: refusals and trouble, with the recorded statuses and bodies."""

from collections.abc import Callable
from typing import Any

import pytest
import razorpay
import requests
from conftest import Json, Simulator
from razorpay.errors import BadRequestError, ServerError
from razorpay_samples import sample
from razorpay_words import (
    API,
    KEY_ID,
    KEY_SECRET,
    MANUAL,
    raw,
    settings,
)

pytest_plugins = ("razorpay_sdk",)


# Refusals


NOBODY = "pay_nobodyknows001"


@pytest.mark.parametrize(
    ("name", "method", "path", "body"),
    [
        ("order_amount_below_minimum", "POST", "/orders", {"amount": 99, "currency": "INR"}),
        ("count_too_large", "GET", "/orders?count=101", None),
        ("count_too_large", "GET", "/settlements?count=101", None),
        ("id_does_not_exist", "GET", "/orders/order_nobodyknows1", None),
        ("id_does_not_exist", "GET", f"/payments/{NOBODY}", None),
        ("id_does_not_exist", "POST", f"/payments/{NOBODY}/capture", {"amount": 100, "currency": "INR"}),
        ("id_does_not_exist", "POST", f"/payments/{NOBODY}/refund", {"amount": 100}),
        ("id_does_not_exist", "GET", "/refunds/rfnd_nobodyknows1", None),
        ("id_does_not_exist", "GET", "/settlements/setl_nobodyknows1", None),
        ("id_does_not_exist", "GET", "/disputes/disp_nobodyknows1", None),
        ("id_does_not_exist", "GET", "/payment_links/plink_nobodyknows", None),
        ("url_not_found", "GET", "/nowhere", None),
        ("url_not_found", "DELETE", "/orders", None),
        (
            "capture_order_already_paid",
            "POST",
            "/payments/{captured}/capture",
            {"amount": 50000, "currency": "INR"},
        ),
        ("capture_amount_mismatch", "POST", "/payments/{held}/capture", {"amount": 49999, "currency": "INR"}),
        (
            "capture_amount_not_integer",
            "POST",
            "/payments/{held}/capture",
            {"amount": {"amount": 50000}, "currency": "INR"},
        ),
        ("refund_exceeds_captured", "POST", "/payments/{captured}/refund", {"amount": 50001}),
        ("refund_already_full", "POST", "/payments/{refunded}/refund", {"amount": 100}),
        ("order_amount_below_minimum", "POST", "/payments/{captured}/refund", {"amount": 99}),
        ("refund_extra_field", "POST", "/payments/{captured}/refund", {"foo": 1}),
    ],
)
def test_a_refusal_has_the_recorded_status_and_body(
    client: razorpay.Client, pay: Callable[..., Json], name: str, method: str, path: str, body: Any
) -> None:
    payments = {"captured": pay()["id"], "held": pay(**MANUAL)["id"], "refunded": pay()["id"]}
    client.payment.refund(payments["refunded"], {})
    answer, expected = raw(method, path.format(**payments), body), sample(f"errors/{name}")
    assert (answer.status, answer.json) == (expected["http_status"], expected["body"])
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("key", "secret", "name"),
    [
        (KEY_ID, "wrong", "auth_failed"),
        (KEY_ID, "", "auth_failed"),
        ("rzp_test_other", KEY_SECRET, "api_key_invalid"),
    ],
)
def test_wrong_keys_are_refused_with_401(
    simulator: Simulator, session: requests.Session, key: str, secret: str, name: str
) -> None:
    answer, expected = raw("GET", "/orders", key=key, secret=secret), sample(f"errors/{name}")
    assert (answer.status, answer.json) == (expected["http_status"], expected["body"])
    stranger = razorpay.Client(session=session, auth=(key, secret), base_url=API)
    with pytest.raises(BadRequestError) as caught:
        stranger.order.create({"amount": 100, "currency": "INR"})
    assert str(caught.value) == expected["body"]["error"]["description"]


def test_a_refunds_key_for_another_body_is_refused_as_recorded(pay: Callable[..., Json]) -> None:
    path = f"/payments/{pay()['id']}/refund"
    assert raw("POST", path, {"amount": 100}, X_Refund_Idempotency="refund-0001").status == 200
    answer = raw("POST", path, {"amount": 200}, X_Refund_Idempotency="refund-0001")
    expected = sample("errors/refund_idempotency_mismatch")
    assert (answer.status, answer.json) == (expected["http_status"], expected["body"])
    assert raw("POST", path, {"amount": 200}, X_Refund_Idempotency="tooshort").status == 400


def test_a_receipt_can_be_insisted_on_to_be_unique(
    simulator: Simulator, client: razorpay.Client, new_order: Callable[..., Json]
) -> None:
    first = new_order(receipt="same")
    assert new_order(receipt="same")["id"] != first["id"]
    settings(simulator, unique_receipts=True)
    with pytest.raises(BadRequestError, match="Order receipt should be unique"):
        new_order(receipt="same")
    refused = raw("POST", "/orders", {"amount": 100, "currency": "INR", "receipt": "same"})
    assert (refused.status, refused.json["error"]["metadata"]) == (400, {"order_id": first["id"]})


Call = Callable[[razorpay.Client, dict[str, str]], Any]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda client, _: client.order.create({"amount": 99, "currency": "INR"}), "at least INR 1.00"),
        (lambda client, _: client.order.create({"amount": 100.5, "currency": "INR"}), "must be an integer"),
        (lambda client, _: client.order.create({"currency": "INR"}), "amount field is required"),
        (lambda client, _: client.order.create({"amount": 100}), "currency field is required"),
        (
            lambda client, _: client.order.create({"amount": 100, "currency": "INR", "foo": 1}),
            "foo is/are not required and should not be sent",
        ),
        (
            lambda client, _: client.order.create({"amount": 100, "currency": "INR", "receipt": "r" * 41}),
            "receipt may not be greater than 40",
        ),
        (lambda client, _: client.order.all({"count": 101}), "count may not be greater than 100"),
        (lambda client, _: client.payment.fetch(NOBODY), "The id provided does not exist"),
        (lambda client, _: client.settlement.report({"year": 2026}), "month field is required"),
        (
            lambda client, ids: client.payment.capture(ids["captured"], 50000, {"currency": "INR"}),
            "already paid",
        ),
        (
            lambda client, ids: client.payment.capture(ids["held"], 49999, {"currency": "INR"}),
            "Capture amount must be equal to the amount authorized",
        ),
        # as the documents show it, and as the SDK then sends it
        (
            lambda client, ids: client.payment.capture(ids["held"], {"amount": 50000, "currency": "INR"}),
            "The amount must be an integer",
        ),
        (
            lambda client, ids: client.payment.refund(ids["captured"], {"amount": 50001}),
            "greater than amount captured",
        ),
        (lambda client, ids: client.payment.refund(ids["held"], {"amount": 100}), "should be captured"),
    ],
)
def test_the_sdk_says_what_was_wrong(
    client: razorpay.Client, pay: Callable[..., Json], make: Call, sentence: str
) -> None:
    ids = {"captured": pay()["id"], "held": pay(**MANUAL)["id"]}
    with pytest.raises(BadRequestError, match=sentence):
        make(client, ids)


# Trouble


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [("429", "rate_limited", BadRequestError), ("500", "server_error", ServerError)],
)
def test_trouble_has_the_recorded_body(
    simulator: Simulator, client: razorpay.Client, kind: str, name: str, error: type[Exception]
) -> None:
    expected = sample(f"errors/{name}")
    simulator.fault("razorpay", "fetch", kind, count=2)
    answer = raw("GET", "/orders")
    assert (answer.status, answer.json) == (expected["http_status"], expected["body"])
    with pytest.raises(error) as caught:
        client.order.all()
    assert str(caught.value) == expected["body"]["error"]["description"]


def test_a_502_is_a_proxys_html(simulator: Simulator, client: razorpay.Client) -> None:
    simulator.fault("razorpay", "create_order", "html502", count=2)
    answer = raw("POST", "/orders", {"amount": 100, "currency": "INR"})
    assert (answer.status, answer.headers["content-type"]) == (502, "text/html")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        client.order.create({"amount": 100, "currency": "INR"})


@pytest.mark.parametrize(("kind", "orders"), [("reset_before", 0), ("reset_after", 1)])
def test_a_lost_answer_is_a_lost_connection(
    simulator: Simulator, client: razorpay.Client, kind: str, orders: int
) -> None:
    simulator.fault("razorpay", "create_order", kind)
    with pytest.raises(requests.exceptions.ConnectionError):
        client.order.create({"amount": 100, "currency": "INR"})
    assert client.order.all()["count"] == orders
