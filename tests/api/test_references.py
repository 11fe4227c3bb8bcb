"""A reference is one order number, however its number is written, and never a blank one for all orders."""

import json
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.api.schemas import Phone, Text
from payments_service.settings import Settings
from payments_service.store.tables import Payment
from tests.api.test_idempotency import GOOD, Shop
from tests.support.environment import environment

SECRET = "psk_shop"
KEY = {"Authorization": f"Bearer {SECRET}"}
CREATE, QUOTE = "/api/payment/create-order", "/api/quote"
WISH = {"amount": 499, "reference": "A-1"}
BLANK = ["", " ", "\t\n", "\u00a0", "\u200b\u200e", "\ufeff \u2028"]
SAME = [("1001", "1001.0"), ("1000", "1e3"), ("1000", "1000.00"), ("0", "-0.0"), ("-7", "-7.0")]
NO_NUMBER_OF_AN_ORDER = [
    "1.5",
    "1.50",
    "1e15",
    "1E+999999",
    "1e1000000",
    "1e-7",
    "1e-9999999",
    "NaN",
    "Infinity",
    "true",
    "[1]",
]


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    entry = f"shop:read+write:{sha256(SECRET.encode()).hexdigest()}"
    variables = environment(database_url=database_url, simulator_port=9, API_KEYS=entry)
    app = create_app(Settings.from_environment(variables))
    yield Shop(app)
    app.extensions["payments_service"].db.engine.dispose()


def send(shop: Shop, path: str, body: str, headers: Any = KEY) -> TestResponse:
    return shop.app.test_client().post(path, data=body, headers=headers, content_type="application/json")


def with_reference(body: dict[str, Any], written: str) -> str:
    """The body as JSON, its reference written in these very characters."""
    return json.dumps({**body, "reference": "HERE"}).replace('"HERE"', written)


def details(answer: TestResponse) -> dict[str, list[str]]:
    told: dict[str, list[str]] = (answer.json or {})["details"]
    return told


def stored(shop: Shop) -> list[Payment]:
    with shop.db.read() as session:
        return list(session.scalars(select(Payment).order_by(Payment.created_at)))


@pytest.mark.parametrize("blank", BLANK)
def test_a_blank_reference_of_the_merchants_server_is_refused_by_name(shop: Shop, blank: str) -> None:
    answer = send(shop, CREATE, json.dumps({**GOOD, "reference": blank}))
    assert (answer.status_code, (answer.json or {})["code"]) == (400, "validation_error")
    assert details(answer) == {"reference": ["Reference is required"]}
    assert stored(shop) == []


def test_a_blank_reference_is_named_beside_all_else_that_is_wrong(shop: Shop) -> None:
    answer = send(shop, CREATE, json.dumps({**GOOD, "reference": " ", "amount": 0.5, "refrence": "A-1"}))
    assert answer.status_code == 400
    assert {"reference", "amount", "refrence"} <= set(details(answer))


@pytest.mark.parametrize("blank", BLANK)
def test_a_pages_blank_reference_is_as_good_as_absent(shop: Shop, blank: str) -> None:
    assert send(shop, CREATE, json.dumps({**GOOD, "reference": blank}), {}).status_code == 200
    assert [(row.reference, row.price_verified) for row in stored(shop)] == [(None, False)]


def test_null_is_absent_with_a_key_too(shop: Shop) -> None:
    assert send(shop, CREATE, json.dumps({**GOOD, "reference": None})).status_code == 200
    assert [(row.reference, row.price_verified) for row in stored(shop)] == [(None, True)]


@pytest.mark.parametrize(("plain", "other"), SAME)
def test_equal_numbers_are_one_reference(shop: Shop, plain: str, other: str) -> None:
    answers = [send(shop, CREATE, with_reference(GOOD, written)) for written in (other, plain, f'"{plain}"')]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.data for answer in answers}) == 1
    assert [row.reference for row in stored(shop)] == [plain]


@pytest.mark.parametrize(("plain", "other"), SAME)
def test_equal_numbers_are_one_reference_of_a_quote(shop: Shop, plain: str, other: str) -> None:
    for written in (other, plain):
        quote = (send(shop, QUOTE, with_reference(WISH, written)).json or {})["quote"]
        page = {"customer": GOOD["customer"], "gateway": GOOD["gateway"], "quote": quote}
        assert send(shop, CREATE, json.dumps(page), {}).status_code == 200
    assert [row.reference for row in stored(shop)] == [plain]


@pytest.mark.parametrize("written", NO_NUMBER_OF_AN_ORDER)
@pytest.mark.parametrize(("path", "body"), [(CREATE, GOOD), (QUOTE, WISH)])
def test_a_number_that_is_not_whole_is_no_reference(
    shop: Shop, path: str, body: dict[str, Any], written: str
) -> None:
    answer = send(shop, path, with_reference(body, written))
    assert (answer.status_code, (answer.json or {})["code"]) == (400, "validation_error")
    assert details(answer) == {"reference": ["Reference must be text or a whole number"]}
    assert stored(shop) == []


def test_every_text_takes_a_whole_number_as_the_plain_one(shop: Shop) -> None:
    body = {**GOOD, "userId": "HERE", "description": "HERE", "metadata": {"cart": "HERE"}}
    body["customer"] = {**GOOD["customer"], "name": "HERE"}
    assert send(shop, CREATE, json.dumps(body).replace('"HERE"', "12.0")).status_code == 200
    [row] = stored(shop)
    told = (row.user_id, row.description, row.metadata_, row.customer_name)
    assert told == ("12", "12", {"cart": "12"}, "12")
    assert Text().deserialize(Decimal("1.50")) == "1.50"
    assert Phone().deserialize(shop.app.json.loads("9.87654321e9")) == "9876543210"
