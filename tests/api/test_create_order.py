"""create-order at its door: bad input is named, nothing is stored and nothing is called."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from payments_service.gateways import GATEWAYS
from payments_service.store.db import Database
from payments_service.store.tables import Payment

GATEWAY_NAMES = ", ".join(dict.fromkeys(gateway.name for gateway in GATEWAYS))
CUSTOMER = {"name": "Asha Rao", "email": "asha@example.com", "phone": "9876543210"}
GOOD = {"amount": 499, "gateway": "razorpay", "customer": CUSTOMER}
PHONE = "Invalid phone number (must be 10 digits starting with 6-9)"


def post(client: FlaskClient, raw: str | bytes) -> TestResponse:
    return client.post("/api/payment/create-order", data=raw, content_type="application/json")


def stored(client: FlaskClient) -> list[Payment]:
    db: Database = client.application.extensions["payments_service"].db
    with db.read() as session:
        return list(session.scalars(select(Payment)))


def body(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


def customer(**changes: Any) -> str:
    return body(customer={**CUSTOMER, **changes})


NAMELESS = (
    "Contains characters that are not text",
    "Only INR is supported",
    "Longer than maximum length 64.",
    "At most 15 pairs",
)
"""Sentences that name no member: the answer's own sentence puts it before them."""
BAD = [
    # the raw text, because json.dumps cannot write some of it
    ('{"amount": 10.001, %s}', "amount", "Amount can have at most two decimals"),
    ('{"amount": "10.001", %s}', "amount", "Amount can have at most two decimals"),
    (f'{{"amount": 100.{"0" * 31}1, %s}}', "amount", "Amount can have at most two decimals"),
    (f'{{"amount": "100.{"0" * 29}1", %s}}', "amount", "Amount can have at most two decimals"),
    (f'{{"amount": 499.995{"0" * 40}, %s}}', "amount", "Amount can have at most two decimals"),
    ('{"amount": -5, %s}', "amount", "Amount must be a positive number"),
    ('{"amount": 0, %s}', "amount", "Amount must be a positive number"),
    ('{"amount": 0.5, %s}', "amount", "Minimum amount is ₹1"),
    ('{"amount": "abc", %s}', "amount", "Amount must be a positive number"),
    ('{"amount": "१००", %s}', "amount", "Amount must be a positive number"),
    ('{"amount": "1_000", %s}', "amount", "Amount must be a positive number"),
    ('{"amount": NaN, %s}', "amount", "Amount must be a positive number"),
    ('{"amount": Infinity, %s}', "amount", "Amount must be a positive number"),
    ('{"amount": 1e999, %s}', "amount", "Maximum amount is ₹5,00,000"),
    ('{"amount": 1e-999, %s}', "amount", "Minimum amount is ₹1"),
    ('{"amount": 1e1000000, %s}', "amount", "Amount must be a positive number"),
    ('{"amount": 1e-1000000, %s}', "amount", "Amount must be a positive number"),
    ('{"amount": 500000.01, %s}', "amount", "Maximum amount is ₹5,00,000"),
    ('{"amount": null, %s}', "amount", "Amount is required"),
    ('{"amount": "", %s}', "amount", "Amount is required"),
    ("{%s}", "amount", "Amount is required"),
    ('{"amount": true, %s}', "amount", "Amount must be a positive number"),
    ('{"amount": [499], %s}', "amount", "Amount must be a positive number"),
    (body(gateway="stripe"), "gateway", f"Invalid gateway. Supported: {GATEWAY_NAMES}"),
    (body(gateway=""), "gateway", "Gateway is required"),
    (body(gateway=None), "gateway", "Gateway is required"),
    (body(gateway=["razorpay"]), "gateway", "Gateway must be text"),
    (body(customer=None), "customer", "Customer object is required"),
    (body(customer="Asha"), "customer", "Customer object is required"),
    (customer(name=""), "customer.name", "Customer name is required"),
    (customer(name=None), "customer.name", "Customer name is required"),
    (customer(name="\u200b\u200e"), "customer.name", "Customer name is required"),
    (customer(name=" \ufeff \u2028"), "customer.name", "Customer name is required"),
    (customer(name="a\x00b"), "customer.name", "Contains characters that are not text"),
    (customer(name="half \ud800"), "customer.name", "Contains characters that are not text"),
    (customer(email=""), "customer.email", "Email is required"),
    (customer(email="asha"), "customer.email", "Invalid email format"),
    (customer(email=5), "customer.email", "Invalid email format"),
    (customer(email="a@\ud800.com"), "customer.email", "Contains characters that are not text"),
    (customer(email='"\x01"@example.com'), "customer.email", "Invalid email format"),
    (customer(phone=""), "customer.phone", "Phone is required"),
    (customer(phone="98765abcde"), "customer.phone", PHONE),
    (customer(phone="5876543210"), "customer.phone", PHONE),
    (customer(phone="98765432101"), "customer.phone", PHONE),
    (customer(phone=True), "customer.phone", PHONE),
    (body(currency="USD"), "currency", "Only INR is supported"),
    (body(reference="x" * 65), "reference", "Longer than maximum length 64."),
    (body(userId="x" * 65), "userId", "Longer than maximum length 64."),
    (body(metadata={str(n): "v" for n in range(16)}), "metadata", "At most 15 pairs"),
]


@pytest.mark.parametrize(
    ("raw", "field", "message"), BAD, ids=[f"{f}-{n}" for n, (_, f, _m) in enumerate(BAD)]
)
def test_bad_input_is_refused_by_name(client: FlaskClient, raw: str, field: str, message: str) -> None:
    rest = f'"gateway": "razorpay", "customer": {json.dumps(CUSTOMER)}'
    answer = post(client, raw.replace("%s", rest))
    assert answer.status_code == 400, answer.text
    assert answer.json is not None
    assert answer.json["error"] == (f"{field}: {message}" if message in NAMELESS else message)
    assert answer.json["code"] == "validation_error"
    assert answer.json["details"][field] == [message]
    assert stored(client) == []


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "not json",
        "[",
        b"\xff\xfe",
        '{"amount": 1' + "0" * 5000 + "}",
        "[" * 60_000,
        '{"amount":' * 6_000,
        '{"amount": 1e99999999999999999999}',
        '"text"',
        "[]",
        "5",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(client: FlaskClient, raw: str | bytes) -> None:
    answer = post(client, raw)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["code"] == "invalid_json"
    assert stored(client) == []


def test_the_first_problem_is_the_sentence_and_all_stand_in_the_details(client: FlaskClient) -> None:
    answer = post(client, "{}")
    assert answer.json is not None
    assert answer.json["error"] == "Amount is required"
    assert list(answer.json["details"]) == ["amount", "gateway", "customer"]


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("http://127.0.0.1:3000/done?a=1", True),
        ("http://127.0.0.1:5000/x", True),
        ("http://localhost:3000/", True),
        ("https://evil.example/", False),
        ("http://127.0.0.1:3000@evil.example/", False),
        ("http://127.0.0.1:3000.evil.example/", False),
        ("//evil.example", False),
        ("javascript:alert(1)", False),
        ("http://127.0.0.1:3000\\@evil.example/", False),
        ("http://127.0.0.1:3000/ x", False),
        ("/done", False),
        ("http://[", False),
        ("http://127.0.0.1℀:3000/", False),
        ("http://127.0.0.1:3000/\ud800", False),
    ],
)
def test_payers_return_only_to_the_merchants_own_origins(client: FlaskClient, url: str, taken: bool) -> None:
    answer = post(client, body(returnUrl=url))
    assert answer.json is not None
    if taken:  # as far as the gateway, where nobody listens
        assert answer.json["code"] == "gateway_unavailable"
        assert [payment.return_url for payment in stored(client)] == [url]
    else:
        assert (answer.status_code, list(answer.json["details"])) == (400, ["returnUrl"])


@pytest.mark.parametrize(
    "phone", ["+91 98765 43210", "09876543210", "98765-43210", 9876543210, "919876543210"]
)
@pytest.mark.parametrize("amount", ["499", 499, 499.0, "499.00"])
def test_numbers_as_text_and_phones_as_people_write_them_are_taken(
    client: FlaskClient, phone: str | int, amount: Any
) -> None:
    post(client, body(amount=amount, gateway=" RAZORPAY ", customer={**CUSTOMER, "phone": phone}))
    [payment] = stored(client)
    assert (payment.amount, payment.customer_phone) == (49900, "9876543210")


@pytest.mark.parametrize("name", ["O'Brien", "आशा राव 🙏", "Robert'); DROP TABLE payments;--", "<b>x</b>"])
def test_names_are_stored_as_they_were_typed(client: FlaskClient, name: str) -> None:
    post(client, customer(name=name))
    assert [payment.customer_name for payment in stored(client)] == [name]


def test_when_the_gateway_is_away_the_intent_is_kept_and_the_answer_is_honest(client: FlaskClient) -> None:
    answer = post(client, body())
    assert answer.status_code == 500
    assert answer.json is not None
    [payment] = stored(client)
    assert answer.json == {
        "success": False,
        "error": "Failed to create order",
        "code": "gateway_unavailable",
        "retryable": True,
        "id": str(payment.id),
        "details": answer.json["details"],
    }
    status = client.get(f"/api/payment/status/razorpay/{payment.id}")
    assert (status.status_code, status.json and status.json["paymentStatus"]) == (200, "failed")
