"""GET|POST /pay/{id}/return: asks the gateway, believes nobody else, and sends the payer to the shop."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payments_service.domain.errors import Unavailable
from payments_service.domain.money import Money
from payments_service.store import payments
from payments_service.store.db import Database
from tests.pages.conftest import EMAIL, PHONE, Known, MakePayment
from tests.support.fake_gateway import FakeGateway


@pytest.fixture
def gateway(app: Flask) -> FakeGateway:
    """The only gateway of the service; it serves what `make_payment` writes for it."""
    fake = FakeGateway()
    fake.amount = Money(49900)
    app.extensions["payments_service"] = replace(app.extensions["payments_service"], gateways=(fake,))
    return fake


@pytest.fixture
def payment(make_payment: MakePayment) -> Known:
    return make_payment(gateway="fake", provider="fake")


def location(client: FlaskClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 303
    return answer.headers["Location"]


def status(db: Database, payment: Known) -> str:
    with db.read() as session:
        return payments.by_id(session, payment.id).status


def test_the_payer_returns_to_the_shop_and_the_gateway_was_asked_once(
    client: FlaskClient, gateway: FakeGateway, payment: Known, db: Database
) -> None:
    gateway.paid("pay_1", Money(49900))
    address = location(client, payment.return_path)
    assert address == f"https://shop.example/done?gateway=fake&orderId={payment.order_id}"
    assert gateway.calls == ["fetch_payment"]
    assert status(db, payment) == "completed"


@pytest.mark.parametrize(
    "sent",
    [
        {"razorpay_payment_id": "pay_1", "razorpay_signature": "0" * 64, "status": "paid"},
        {"error[code]": "BAD_REQUEST_ERROR"},
    ],
)
def test_what_the_browser_says_changes_nothing(
    client: FlaskClient, gateway: FakeGateway, payment: Known, db: Database, sent: dict[str, str]
) -> None:
    answer = client.post(payment.return_path, data=sent, query_string={"status": "completed"})
    assert answer.status_code == 303
    assert "status" not in parse_qs(urlsplit(answer.headers["Location"]).query)
    assert status(db, payment) == "pending"


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", ""),
        (b"\xff\x00{", "application/json"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"a=%zz&&&", "application/x-www-form-urlencoded"),
        (b"x" * (10 * 1024 * 1024 + 1), "text/plain"),
    ],
)
def test_a_payer_gets_home_whatever_body_the_gateway_sends_along(
    client: FlaskClient, gateway: FakeGateway, payment: Known, body: bytes, media_type: str
) -> None:
    assert client.post(payment.return_path, data=body, content_type=media_type).status_code == 303


def test_a_gateway_that_cannot_be_asked_keeps_nobody_here(
    client: FlaskClient, gateway: FakeGateway, payment: Known, db: Database
) -> None:
    gateway.fetch_error = Unavailable("away")
    assert location(client, payment.return_path).startswith("https://shop.example/done?")
    assert status(db, payment) == "pending"


def test_somebody_who_reloads_does_not_make_us_ask_again_and_again(
    client: FlaskClient, gateway: FakeGateway, payment: Known
) -> None:
    for _ in range(5):
        location(client, payment.return_path)
    assert gateway.calls == ["fetch_payment"]


@pytest.mark.parametrize("known", ["completed", "failed", "expired"])
def test_a_payment_that_is_over_is_not_asked_about(
    client: FlaskClient, gateway: FakeGateway, make_payment: MakePayment, known: str
) -> None:
    location(client, make_payment(known, gateway="fake", provider="fake").return_path)
    assert gateway.calls == []


def test_who_returns_from_a_gateway_that_was_switched_off_still_gets_home(
    app: Flask, client: FlaskClient, payment: Known
) -> None:
    app.extensions["payments_service"] = replace(app.extensions["payments_service"], gateways=())
    assert location(client, payment.return_path).startswith("https://shop.example/done?")


# ── where to ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("return_url", "expected"),
    [
        ("https://shop.example", "https://shop.example?gateway=fake&orderId=ID"),
        (
            "https://shop.example/a?cart=7&q=%20x",
            "https://shop.example/a?cart=7&q=%20x&gateway=fake&orderId=ID",
        ),
        ("https://shop.example/#/done", "https://shop.example/?gateway=fake&orderId=ID#/done"),
        ("https://shop.example/a?b#c?d=e", "https://shop.example/a?b&gateway=fake&orderId=ID#c?d=e"),
        ("https://shop.example/a?", "https://shop.example/a?gateway=fake&orderId=ID"),
        (
            "https://shop.example/a?orderId=another&gateway=x&order%49d=y&c=1",
            "https://shop.example/a?c=1&gateway=fake&orderId=ID",
        ),
    ],
)
def test_the_order_is_named_in_the_query_of_the_return_address(
    client: FlaskClient, gateway: FakeGateway, make_payment: MakePayment, return_url: str, expected: str
) -> None:
    payment = make_payment("completed", gateway="fake", provider="fake", return_url=return_url)
    assert location(client, payment.return_path) == expected.replace("ID", payment.order_id)


@pytest.mark.parametrize("name", ["returnUrl", "return_url", "next", "url", "redirect", "RelayState"])
@pytest.mark.parametrize("evil", ["https://evil.example/", "//evil.example", "\\\\evil.example"])
def test_nothing_in_the_request_chooses_where_the_payer_goes(
    client: FlaskClient, gateway: FakeGateway, payment: Known, name: str, evil: str
) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Referer": evil, "Origin": evil}
    for method in ("GET", "POST"):
        answer = client.open(
            payment.return_path, method=method, query_string={name: evil}, headers=headers, data={name: evil}
        )
        assert answer.headers["Location"].startswith("https://shop.example/done?gateway=fake&orderId=order_")
        assert "evil" not in answer.headers["Location"] + answer.text


def test_the_address_carries_no_personal_data(
    client: FlaskClient, gateway: FakeGateway, payment: Known
) -> None:
    address = location(client, payment.return_path)
    assert EMAIL.split("@")[0] not in address
    assert PHONE not in address


def test_other_methods_are_refused(client: FlaskClient, payment: Known) -> None:
    answer = client.delete(payment.return_path)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
