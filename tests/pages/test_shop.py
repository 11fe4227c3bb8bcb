"""The demo shop and its status page: there in development, not in production, strangers to our insides."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.pages import assets, shop
from payments_service.settings import Settings
from tests.support.environment import environment, only

PATHS = (
    "/",
    "/payment-status",
    "/payment-status?gateway=razorpay&orderId=order_1",
    f"/demo/history/{UUID(int=0)}",
)
CUSTOMER = {"name": "Dilip O'Brien", "email": "dilip@example.com", "phone": "9876543210"}


@pytest.fixture
def production(database_url: str) -> Iterator[Flask]:
    variables = environment(
        database_url=database_url,
        APP_ENV="production",
        FRONTEND_URL="https://shop.example",
        BACKEND_URL="https://pay.example",
        SECRET_KEY="not-the-development-secret",
        REQUIRE_QUOTE="false",
        RAZORPAY_API_URL="https://api.razorpay.com",
        RAZORPAY_KEY_ID="rzp_live_1",
        RAZORPAY_KEY_SECRET="key secret of ours",
        RAZORPAY_WEBHOOK_SECRET="webhook secret of ours",
        **only("razorpay"),
    )
    app = create_app(Settings.from_environment(variables))
    yield app
    app.extensions["payments_service"].db.engine.dispose()


@pytest.mark.parametrize("path", PATHS[:3])
def test_development_has_a_shop(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_production_answers_as_if_there_were_none(production: Flask) -> None:
    client = production.test_client()
    for path in PATHS:
        answer, unknown = client.get(path), client.get("/no-such-page")
        assert answer.status_code == unknown.status_code == 404
        assert _told(answer)["code"] == _told(unknown)["code"] == "not_found"
        assert _told(answer)["message"].startswith("Endpoint GET /")


def test_three_products_are_for_sale_and_come_back_to_the_status_page(client: FlaskClient) -> None:
    html = client.get("/").text
    assert "₹1,24,999" in html
    assert 'data-return-url="http://127.0.0.1:5000/payment-status"' in html
    assert 'name="gateway" value="razorpay" checked' in html


@pytest.mark.parametrize("path", PATHS[:2])
def test_the_shop_leads_to_the_simulator_where_a_gateway_is_one(
    app: Flask, client: FlaskClient, database_url: str, path: str
) -> None:
    assert '<a class="panel-link" href="http://127.0.0.1:9">' in client.get(path).text
    house = app.extensions["payments_service"]
    real = {"RAZORPAY_API_URL": "https://api.razorpay.com", **only("razorpay")}
    settings = Settings.from_environment(environment(database_url=database_url, **real))
    gateways = tuple(gateway(config) for gateway, config in settings.gateways)
    app.extensions["payments_service"] = replace(house, gateways=gateways)
    assert "panel-link" not in client.get(path).text


def test_the_shop_buys_and_asks_through_the_public_api_alone() -> None:
    scripts = [(assets.STATIC / name).read_text() for name in ("shop.js", "status.js")]
    called = set(re.findall(r'\.call\("\w+", "([^"]+)"', "".join(scripts)))
    assert called == {"/demo/quote", "/api/payment/create-order", "/api/payment/status/"}
    assert not re.search(r"fetch\(|XMLHttpRequest|sendBeacon", "".join(scripts))
    imports = re.findall(r"from payments_service\.(\w+)", Path(shop.__file__).read_text())
    assert set(imports) == {"api", "domain", "flows", "pages"}


def test_the_shops_server_fixes_the_price_of_each_purchase(client: FlaskClient) -> None:
    first, second = (client.post("/demo/quote", json={"product": "Masala chai"}) for _ in range(2))
    assert _told(first)["reference"] != _told(second)["reference"]
    body = {"quote": _told(first)["quote"], "gateway": "razorpay", "customer": CUSTOMER}
    order = client.post("/api/payment/create-order", json=body)  # its gateway is away: the intent is kept
    assert "₹10.50" in client.get(f"/pay/{_told(order)['id']}").text
    for wrong in ({}, [], {"product": 1}):
        assert client.post("/demo/quote", json=wrong).status_code == 400


def test_production_has_no_demo_quote(production: Flask) -> None:
    assert production.test_client().post("/demo/quote", json={"product": "Masala chai"}).status_code == 404


def test_the_history_tells_every_step_and_nothing_about_the_payer(client: FlaskClient) -> None:
    answer = client.post(
        "/api/payment/create-order",
        json={"amount": 499, "gateway": "razorpay", "customer": CUSTOMER, "description": "A course"},
    )
    told = client.get(f"/demo/history/{_told(answer)['id']}")
    steps = _told(told)["steps"]
    assert steps[0]["kind"] == "status"
    assert (steps[0]["before"], steps[0]["after"]) == (None, "initiated")
    assert not [word for word in CUSTOMER.values() if word in told.text]


def test_the_history_of_an_unknown_payment_is_empty(client: FlaskClient) -> None:
    assert _told(client.get(f"/demo/history/{uuid4()}")) == {"steps": []}


def test_what_the_address_of_the_status_page_says_is_not_printed_by_us(client: FlaskClient) -> None:
    hostile = "<script>alert(1)</script>"
    html = client.get("/payment-status", query_string={"gateway": hostile, "orderId": hostile}).text
    assert "alert" not in html


def _told(answer: TestResponse) -> Any:
    return answer.get_json()
