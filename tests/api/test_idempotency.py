"""Idempotency-Key at the door: which keys there are, what the same request is, and what is replayed."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.api import schemas
from payments_service.domain.money import Money
from payments_service.settings import Settings
from payments_service.store.tables import IdempotencyKey, Payment
from tests.support.environment import environment
from tests.support.fake_gateway import FakeGateway

CUSTOMER = {"name": "Asha Rao", "email": "asha@example.com", "phone": "9876543210"}
GOOD = {"amount": 499, "gateway": "fake", "customer": CUSTOMER}
KEY = "key-of-the-page-1"
RUPEE = Money(100)
LIMITS = schemas.Limits({"fake": RUPEE}, RUPEE, Money(100_000), frozenset({"http://127.0.0.1:3000"}))


class Shop:
    """The service in this process with one gateway by hand."""

    def __init__(self, app: Flask) -> None:
        self.app, self.gateway = app, FakeGateway()
        services = app.extensions["payments_service"]
        object.__setattr__(services, "gateways", (self.gateway,))
        self.db = services.db

    def ask(self, key: str | None = KEY, raw: str | None = None, **changes: Any) -> TestResponse:
        headers = {} if key is None else {"Idempotency-Key": key}
        body = json.dumps({**GOOD, **changes}) if raw is None else raw
        client: FlaskClient = self.app.test_client()
        return client.post(
            "/api/payment/create-order", data=body, headers=headers, content_type="application/json"
        )

    def count(self, table: type[Any]) -> int:
        with self.db.read() as session:
            return len(list(session.scalars(select(table))))


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    app = create_app(Settings.from_environment(environment(database_url=database_url, simulator_port=9)))
    yield Shop(app)
    app.extensions["payments_service"].db.engine.dispose()


def told(answer: TestResponse) -> tuple[int, str]:
    assert answer.json is not None
    return answer.status_code, answer.json["code"]


def test_the_same_request_gets_the_same_answer_byte_for_byte(shop: Shop) -> None:
    first = shop.ask()
    assert (first.status_code, "Idempotency-Replayed" in first.headers) == (200, False)
    quoted = shop.ask(key=f'"{KEY}"')
    respelt = shop.ask(
        raw=json.dumps({"customer": CUSTOMER, "gateway": " FAKE ", "amount": "499.00"}, indent=3)
    )
    unread = shop.ask(nobody="reads this", description=None)
    for again in (shop.ask(), quoted, respelt, unread):
        assert (again.status_code, again.data) == (200, first.data)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.mimetype == first.mimetype
        assert again.headers["X-Request-Id"]
    assert (shop.count(Payment), shop.gateway.calls) == (1, ["create_order"])
    assert shop.ask(key=None).json != first.json


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 500},
        {"amount": "499.01"},
        {"description": "more"},
        {"reference": "A-1"},
        {"userId": "7"},
        {"metadata": {"a": "b"}},
        {"customer": {**CUSTOMER, "phone": "9876543211"}},
        {"returnUrl": "http://127.0.0.1:3000/other"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_request_is_another_request(changes: dict[str, Any]) -> None:
    load = schemas.CreateOrderSchema(LIMITS).load
    assert schemas.fingerprint(load({**GOOD, **changes})) != schemas.fingerprint(load(GOOD))


def test_another_body_under_the_same_key_is_refused_and_the_first_one_kept(shop: Shop) -> None:
    first = shop.ask()
    assert told(shop.ask(amount=500)) == (422, "idempotency_key_reused")
    twice = json.dumps(GOOD).replace('"amount": 499', '"amount": 499, "amount": 500')
    assert told(shop.ask(raw=twice)) == (422, "idempotency_key_reused")  # the last of two members counts
    assert shop.ask().data == first.data
    assert shop.count(Payment) == 1


@pytest.mark.parametrize(
    ("key", "is_taken"),
    [
        ("k" * 16, True),
        ("k" * 255, True),
        ('"' + "k" * 255 + '"', True),
        ("!~{}|<>,;:=?@[]'`^", True),
        ("k" * 15, False),
        ('"' + "k" * 15 + '"', False),
        ("k" * 256, False),
        ("", False),
        ('""', False),
        ("k" * 10 + " " + "k" * 10, False),
        ('" ' + "k" * 16 + '"', False),
        ("k" * 16 + "\x7f", False),
        ("k" * 16 + "\x01", False),
        ("k" * 16 + "\t" + "k", False),
        ("ключ-этого-запроса".encode().decode("latin-1"), False),
        ("k" * 8000, False),
    ],
)
def test_keys_have_16_to_255_visible_characters(key: str, is_taken: bool) -> None:
    if is_taken:
        assert schemas.idempotency_key(key) == key.strip('"')
        return
    with pytest.raises(schemas.InvalidInput) as raised:
        schemas.idempotency_key(key)
    assert raised.value.extra["details"] == {
        "Idempotency-Key": ["Idempotency-Key must have 16 to 255 visible characters"]
    }


def test_a_key_belongs_to_its_buyer_so_that_no_stranger_takes_it(shop: Shop) -> None:
    """A stranger who guesses a shop's keys and sends them first would otherwise end its buyers' payments."""
    stranger = shop.ask(customer={**CUSTOMER, "email": "eve@example.com"})
    other_phone = shop.ask(customer={**CUSTOMER, "phone": "9876543211"})
    mine = shop.ask()
    assert {answer.status_code for answer in (stranger, other_phone, mine)} == {200}
    assert len({answer.data for answer in (stranger, other_phone, mine)}) == 3
    respelt = shop.ask(customer={**CUSTOMER, "phone": "+91 98765-43210"})
    assert (respelt.data, respelt.headers["Idempotency-Replayed"]) == (mine.data, "true")
    assert told(shop.ask(customer={**CUSTOMER, "name": "Eve"})) == (422, "idempotency_key_reused")
    assert told(shop.ask(customer={**CUSTOMER, "email": "Asha@Example.com"})) == (
        422,
        "idempotency_key_reused",
    )


def test_the_table_of_keys_holds_nothing_of_the_buyer(shop: Shop) -> None:
    shop.ask()
    with shop.db.read() as session:
        [row] = session.scalars(select(IdempotencyKey))
    assert re.fullmatch(r"[0-9a-f]{64}", row.owner)


def test_a_bad_key_is_named_and_nothing_is_begun(shop: Shop) -> None:
    answer = shop.ask(key="too short")
    assert told(answer) == (400, "validation_error")
    assert list((answer.json or {})["details"]) == ["Idempotency-Key"]
    assert (shop.count(Payment), shop.count(IdempotencyKey)) == (0, 0)


def test_bad_input_keeps_no_key(shop: Shop) -> None:
    assert told(shop.ask(amount=-5)) == (400, "validation_error")
    assert shop.ask().status_code == 200


def test_an_answer_that_says_wait_says_how_long(shop: Shop) -> None:
    answers = []

    def again(*_: object) -> None:
        shop.gateway.during_create = None
        answers.append(shop.ask())

    shop.gateway.during_create = again
    assert shop.ask().status_code == 200
    [running] = answers
    assert told(running) == (409, "request_in_progress")
    assert running.headers["Retry-After"]
