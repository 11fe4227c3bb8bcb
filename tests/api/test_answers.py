"""What create-order, verify and status answer: test or live, and to whom a payment's ids are told."""

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.domain.errors import GatewayError, OutcomeUnknown, Rejected, Unavailable
from payments_service.domain.money import Money
from payments_service.domain.news import OrderRef
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway
from payments_service.settings import Settings
from tests.api.test_idempotency import Shop
from tests.support.environment import environment

COUNTED = "885649797"
"""A payment id as one gateway counts them up."""


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    app = create_app(Settings.from_environment(environment(database_url=database_url, simulator_port=9)))
    yield Shop(app)
    app.extensions["payments_service"].db.engine.dispose()


def status(shop: Shop, reference: str) -> TestResponse:
    return shop.app.test_client().get(f"/api/payment/status/fake/{reference}")


def verify(shop: Shop, order_id: str, proof: str) -> TestResponse:
    body = {"gateway": "fake", "orderId": order_id, "proof": proof}
    return shop.app.test_client().post("/api/payment/verify-payment", json=body)


def buy_and_pay(shop: Shop, payment_id: str = COUNTED) -> tuple[dict[str, Any], str]:
    """create-order's answer, and the gateway's own order id; what was bought is paid."""
    created = shop.ask(key=None).json
    assert created is not None
    [own_id] = shop.gateway.orders
    shop.gateway.paid(payment_id, Money(49900))
    assert status(shop, created["order"]["orderId"]).json is not None
    return created, own_id


def test_every_answer_says_whether_money_is_real(shop: Shop) -> None:
    created, own_id = buy_and_pay(shop)
    answers = [created, status(shop, own_id).json, verify(shop, own_id, f"proof of {own_id}").json]
    assert [answer and answer["mode"] for answer in answers] == ["test"] * 3


@pytest.mark.parametrize("like", GATEWAYS, ids=lambda gateway: gateway.provider)
def test_a_caller_who_names_only_a_payment_id_learns_no_other_id(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, like: type[Gateway]
) -> None:
    """Payment ids can be counted up, and our id leads on to the payer's page."""
    for name in ("order_id_names", "browser_knows_wire_id"):
        monkeypatch.setattr(type(shop.gateway), name, getattr(like, name))
    created, own_id = buy_and_pay(shop)
    order_id = created["order"]["orderId"]
    for known in (order_id, created["id"], created["id"].upper()):
        told = status(shop, known).json or {}
        assert (told["id"], told["orderId"]) == (created["id"], order_id)
        assert told.get("transactionId", order_id) == order_id
    for counted in (COUNTED, own_id) if like.browser_knows_wire_id else (COUNTED,):
        answer = status(shop, counted)
        told = answer.json or {}
        assert (answer.status_code, told["paymentStatus"], told["amount"]) == (200, "completed", 499)
        assert not {"id", "orderId", "transactionId"} & told.keys()
        assert created["id"] not in answer.text
        assert order_id not in answer.text
        proven = verify(shop, counted, f"proof of {own_id}")
        assert (proven.status_code, proven.json and proven.json["code"]) == (404, "not_found")


def test_neither_does_one_whose_payment_id_has_to_be_looked_up(shop: Shop) -> None:
    created = shop.ask(key=None).json or {}
    [own_id] = shop.gateway.orders
    shop.gateway.owner_of_payment_id = OrderRef("", own_id)
    told = status(shop, f"pay_{created['id']}").json or {}
    assert told["paymentStatus"] == "pending"
    assert not {"id", "orderId"} & told.keys()


def test_what_may_be_tried_again_says_when(shop: Shop) -> None:
    for error, is_retryable in ((Unavailable("away"), True), (Rejected("no"), False)):
        shop.gateway.create_error = error
        answer = shop.ask(key=None)
        assert answer.status_code == 500
        assert (answer.json or {})["retryable"] is is_retryable
        assert ("Retry-After" in answer.headers) is is_retryable


@pytest.mark.parametrize("error", [Unavailable, OutcomeUnknown, Rejected])
@pytest.mark.parametrize("told_by_gateway", [None, 0, 7])
def test_a_gateways_own_wait_is_told_where_another_try_makes_sense(
    shop: Shop, error: type[GatewayError], told_by_gateway: int | None
) -> None:
    """Cashfree says zero beside every answer; at once would be no wait."""
    shop.gateway.create_error = error("no order", retry_after_seconds=told_by_gateway)
    shop.gateway.fetch_error = Unavailable("away")
    expected = str(told_by_gateway or 5) if error.retryable else None
    assert shop.ask(key=None).headers.get("Retry-After") == expected
