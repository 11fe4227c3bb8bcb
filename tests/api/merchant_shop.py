"""The service in this process with one gateway by hand, and the merchant's server that has a key for it."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.engine import Engine
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.domain.deadline import Deadline
from payments_service.domain.money import Money
from payments_service.domain.payment import Actor
from payments_service.flows import sync
from payments_service.settings import Settings
from payments_service.store.db import Database
from tests.support.environment import environment
from tests.support.fake_gateway import FakeGateway

KEYS = {
    "reader": "read",
    "writer": "write",
    "refunder": "refund",
    "clerk": "read+personal",
    "stranger": "personal",
    "owner": "read+write+refund+personal",
}
"""Name of each key, and its scopes."""
CUSTOMER = {"name": "Asha Rao", "email": "Asha@example.com", "phone": "9876543210"}
UNKNOWN = "01900000-0000-7000-8000-000000000001"


def secret(name: str) -> str:
    return f"psk_secret_of_{name}"


def entries(names: dict[str, str] = KEYS) -> str:
    made = (f"{name}:{scopes}:{sha256(secret(name).encode()).hexdigest()}" for name, scopes in names.items())
    return ",".join(made)


class MerchantShop:
    """Calls of the merchant's server."""

    def __init__(self, app: Flask) -> None:
        self.app, self.gateway = app, FakeGateway()
        self.services = app.extensions["payments_service"]
        object.__setattr__(self.services, "gateways", (self.gateway,))
        self.db: Database = self.services.db

    def call(
        self, method: str, path: str, key: str | None = "owner", body: Any = None, **headers: str
    ) -> TestResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            given["Authorization"] = f"Bearer {secret(key)}"
        return self.app.test_client().open(path, method=method, json=body, headers=given)

    def get(self, path: str, key: str | None = "owner", **headers: str) -> TestResponse:
        return self.call("GET", path, key, **headers)

    def post(self, path: str, body: Any = None, key: str | None = "owner", **headers: str) -> TestResponse:
        return self.call("POST", path, key, {} if body is None else body, **headers)

    def buy(self, amount: int = 499, **more: Any) -> str:
        """The id of a new payment that the merchant's server has opened."""
        body = {"amount": amount, "gateway": "fake", "customer": CUSTOMER, **more}
        answer = self.post("/api/payment/create-order", body)
        assert answer.status_code == 200, answer.text
        return str(answer.json["id"])

    def buy_as_a_page(self, **more: Any) -> str:
        body = {"amount": 499, "gateway": "fake", "customer": CUSTOMER, **more}
        answer = self.call("POST", "/api/payment/create-order", None, body)
        return str(answer.json["id"])

    def paid(self, amount: int = 499, transaction_id: str = "pay_1", **more: Any) -> str:
        """The id of a payment that is completed."""
        payment_id = self.buy(amount, **more)
        self.gateway.paid(transaction_id, Money(amount * 100))
        self.look(payment_id)
        return payment_id

    def look(self, payment_id: str) -> None:
        """Whoever asks the gateway about a payment."""
        sync.refresh(self.db, self.gateway, UUID(payment_id), Actor("operator", "test"), Deadline(5))

    def statements(self) -> list[str]:
        """Every statement that this service's database gets from now on, and each connection taken."""
        seen: list[str] = []
        engine: Engine = self.db.engine

        def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            seen.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        event.listen(engine, "checkout", lambda *_: seen.append("a connection is taken"))
        return seen


@pytest.fixture
def shop(database_url: str) -> Iterator[MerchantShop]:
    variables = environment(database_url=database_url, simulator_port=9, API_KEYS=entries())
    app = create_app(Settings.from_environment(variables))
    yield MerchantShop(app)
    app.extensions["payments_service"].db.engine.dispose()


def told(answer: TestResponse) -> tuple[int, str]:
    assert answer.json is not None
    return answer.status_code, answer.json["code"]
