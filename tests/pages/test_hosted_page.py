"""GET /pay/{id}: what a payer reads, what the page may load, and what it must not tell."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payments_service.pages import pay
from payments_service.settings import Settings
from payments_service.store.db import Database
from tests.pages.conftest import EMAIL, PHONE, MakePayment
from tests.support.environment import environment, only

PAST = timedelta(seconds=-1)

NOBODYS = "01a20000-0000-7000-8000-000000000000"


def read(client: FlaskClient, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    return answer.text


def facts(html: str) -> Any:
    [block] = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', html, re.DOTALL)
    return json.loads(block)


def stage(html: str) -> str:
    [name] = re.findall(r'data-stage="(\w+)"', html)
    return str(name)


def policy(client: FlaskClient, path: str) -> dict[str, list[str]]:
    header = client.get(path).headers["Content-Security-Policy"]
    parts = [directive.split() for directive in header.split(";")]
    return {name: sources for name, *sources in parts}


# ── what is shown ───────────────────────────────────────────────────────────────────────────────────


def test_a_payable_page_shows_who_what_and_how_much(client: FlaskClient, make_payment: MakePayment) -> None:
    html = read(client, make_payment(amount=1_24_999_00, description="Six evenings").path)
    for text in ("Asha&#39;s Courses", "₹1,24,999", "Six evenings", 'id="pay"', "Back to"):
        assert text in html


def test_the_script_learns_what_the_checkout_needs(client: FlaskClient, make_payment: MakePayment) -> None:
    payment = make_payment()
    given = facts(read(client, payment.path))
    assert 1700 < given["order"].pop("secondsLeft") <= 1800
    assert given.pop("words")["slow"][0] == "Still opening Razorpay"
    assert given == {
        "status": "pending",
        "statusUrl": f"/api/payment/status/razorpay/{payment.id}",
        "returnUrl": payment.return_path,
        "script": "http://127.0.0.1:9/razorpay/v1/checkout.js",
        "order": {
            "razorpayKey": "rzp_test_simulator",
            "mode": "test",
            "orderId": payment.order_id,
            "amount": 49900,
            "currency": "INR",
            "merchant": "Asha's Courses",
            "description": "A course",
        },
    }


@pytest.mark.parametrize(
    ("payment", "expected"),
    [
        ({"status": "initiated"}, "preparing"),
        ({"status": "authorized"}, "confirming"),
        ({"status": "pending", "lifetime": PAST}, "confirming"),
        ({"status": "completed"}, "completed"),
        ({"status": "completed", "review": "second_success"}, "completed"),
        ({"status": "failed"}, "failed"),
        ({"status": "expired"}, "expired"),
        ({"status": "pending", "review": "amount_mismatch"}, "review"),
        ({"status": "expired", "review": "amount_mismatch"}, "review"),
    ],
)
def test_whatever_cannot_be_paid_now_has_words_and_a_way_back_instead_of_a_button(
    client: FlaskClient, make_payment: MakePayment, payment: dict[str, Any], expected: str
) -> None:
    known = make_payment(**payment)
    html = read(client, known.path)
    assert stage(html) == expected
    assert 'id="pay"' not in html
    assert "checkout.js" not in html
    assert f'href="{known.return_path}"' in html


@pytest.mark.parametrize(
    ("payment", "is_watched"),
    [
        ({"status": "initiated"}, True),
        ({"status": "authorized"}, True),
        ({"status": "pending", "lifetime": PAST}, True),
        ({"status": "completed"}, False),
        ({"status": "failed"}, False),
        ({"status": "expired"}, False),
        ({"status": "pending", "review": "amount_mismatch"}, False),
    ],
)
def test_only_a_page_that_waits_for_news_asks_for_it(
    client: FlaskClient, make_payment: MakePayment, payment: dict[str, Any], is_watched: bool
) -> None:
    html = read(client, make_payment(**payment).path)
    assert ("pay.js" in html) is is_watched
    assert ('id="facts"' in html) is is_watched


def test_opening_the_page_asks_no_gateway(
    client: FlaskClient, make_payment: MakePayment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "payments_service")
    read(client, make_payment().path)
    assert "Gateway call" not in caplog.text


def test_a_payment_whose_gateway_was_switched_off_is_not_offered(
    app: Flask, client: FlaskClient, make_payment: MakePayment
) -> None:
    app.extensions["payments_service"] = replace(app.extensions["payments_service"], gateways=())
    html = read(client, make_payment().path, 503)
    assert "cannot be made at the moment" in html
    assert EMAIL not in html


@pytest.mark.parametrize("path", [f"/pay/{NOBODYS}", f"/pay/{NOBODYS}/return", "/pay/nonsense", "/pay/a/b"])
def test_an_unknown_payment_is_told_to_a_person_as_a_page(client: FlaskClient, path: str) -> None:
    assert "There is no such payment" in read(client, path, 404)


def test_trouble_in_the_database_is_told_to_a_person_as_a_page(app: Flask, client: FlaskClient) -> None:
    house = app.extensions["payments_service"]
    nowhere = Database("postgresql://nobody@127.0.0.1:9/none")
    app.extensions["payments_service"] = replace(house, db=nowhere)
    assert "on our side" in read(client, f"/pay/{uuid4()}", 503)


def test_an_error_of_ours_is_told_without_its_inside(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pay, "hosted_page", lambda *_: 1 / 0)
    html = read(client, f"/pay/{uuid4()}", 500)
    assert "on our side" in html
    assert "division" not in html


# ── what is not told ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", ["initiated", "pending", "authorized", "completed", "failed", "expired"])
def test_a_stranger_who_learns_an_order_id_reads_nothing_of_the_payer(
    client: FlaskClient, make_payment: MakePayment, status: str
) -> None:
    html = read(client, make_payment(status).path)
    assert not [word for word in (EMAIL, PHONE, "Dilip", "Brien") if word in html]


def test_personal_data_is_in_no_address(client: FlaskClient, make_payment: MakePayment) -> None:
    html = read(client, make_payment().path)
    addresses = re.findall(r'(?:href|src|action)="([^"]*)"', html)
    addresses += [value for value in facts(html).values() if isinstance(value, str)]
    assert len(addresses) > 5
    for address in addresses:
        assert "dilip" not in address.lower()
        assert PHONE not in address


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\" onmouseover='alert(1)",
    "O'Brien & Söhne 😀 \u2028",
    "{{ 7 * 7 }}",
)


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_words(
    client: FlaskClient, make_payment: MakePayment, app: Flask, words: str
) -> None:
    house = app.extensions["payments_service"]
    settings = replace(house.settings, merchant_name=words)
    app.extensions["payments_service"] = replace(house, settings=settings)
    html = read(client, make_payment(description=words).path)
    order = facts(html)["order"]
    assert (order["description"], order["merchant"]) == (words, words)
    assert html.count("<script") == 3  # two files and the facts
    assert html.count("<img") == 0


def test_nothing_in_the_page_runs_but_its_files(client: FlaskClient, make_payment: MakePayment) -> None:
    for path in (make_payment().path, make_payment("completed").path, "/", "/payment-status"):
        html = read(client, path)
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", html), path
        for script in re.findall(r"<script[^>]*>", html):
            assert 'src="/pay/static/' in script or 'type="application/json"' in script


# ── headers ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", ["", "/return", "x"])
def test_every_answer_carries_the_security_headers(
    client: FlaskClient, make_payment: MakePayment, suffix: str
) -> None:
    headers = client.get(make_payment("completed").path + suffix).headers
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Cross-Origin-Opener-Policy" not in headers


def test_beside_a_simulator_only_its_origin_is_allowed(
    client: FlaskClient, make_payment: MakePayment
) -> None:
    allowed = policy(client, make_payment().path)
    assert allowed["default-src"] == ["'none'"]
    for directive in ("script-src", "connect-src", "form-action"):
        assert allowed[directive] == ["'self'", "http://127.0.0.1:9"]
    assert allowed["frame-src"] == ["http://127.0.0.1:9"]


@pytest.mark.parametrize("address", ["https://api.razorpay.com", "https://prod-api-static.razorpay.com"])
def test_with_the_real_gateway_the_page_loads_the_official_script(
    client: FlaskClient, make_payment: MakePayment, app: Flask, address: str
) -> None:
    _use_api(app, address)
    path = make_payment().path
    allowed = policy(client, path)
    assert facts(read(client, path))["script"] == "https://checkout.razorpay.com/v1/checkout.js"
    assert "https://checkout.razorpay.com" in allowed["script-src"]
    assert "'unsafe-inline'" not in allowed["script-src"]
    assert allowed["frame-src"] == ["https://*.razorpay.com"]


@pytest.mark.parametrize("is_official", [True, False])
@pytest.mark.parametrize(
    "status",
    ["initiated", "pending", "authorized", "completed", "failed", "expired", "/x", "/return", "shop"],
)
def test_only_a_page_that_loads_a_gateways_own_script_takes_styles_from_within(
    client: FlaskClient, make_payment: MakePayment, app: Flask, status: str, is_official: bool
) -> None:
    if is_official:
        _use_api(app, "https://api.razorpay.com")
    known = make_payment("pending" if status.startswith(("/", "shop")) else status)
    path = {"/x": f"{known.path}/x", "/return": known.return_path, "shop": "/"}.get(status, known.path)
    answer = client.get(path)
    loads_its_script = "https://checkout.razorpay.com/v1/checkout.js" in answer.text
    assert loads_its_script == (is_official and status == "pending")
    for directive in answer.headers["Content-Security-Policy"].split("; "):
        is_free = loads_its_script and directive.startswith("style-src ")
        assert ("'unsafe-inline'" in directive) == is_free
        assert "unsafe-eval" not in directive


def test_an_address_that_only_looks_official_is_a_stand_in(
    client: FlaskClient, make_payment: MakePayment, app: Flask
) -> None:
    _use_api(app, "https://notrazorpay.com/v9/")
    assert facts(read(client, make_payment().path))["script"] == "https://notrazorpay.com/v9/v1/checkout.js"


@pytest.mark.parametrize("status", ["completed", "authorized"])
def test_a_page_that_opens_nothing_may_load_nothing_foreign(
    client: FlaskClient, make_payment: MakePayment, status: str
) -> None:
    allowed = policy(client, make_payment(status).path)
    assert allowed["script-src"] == allowed["connect-src"] == ["'self'"]
    assert allowed["frame-src"] == ["'none'"]


# ── files and bytes ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", ["en", "hi"])
@pytest.mark.parametrize("payment", [{}, {"status": "authorized"}, {"status": "completed"}])
def test_the_page_and_all_its_files_are_small(
    client: FlaskClient, make_payment: MakePayment, payment: dict[str, Any], language: str
) -> None:
    """As they are, before any compression; the gateway's own script is another matter."""
    html = read(client, f"{make_payment(**payment).path}?lang={language}")
    files = re.findall(r'(?:href|src)="(/pay/static/[^"]+)"', html)
    assert "pages.css" in files[0]
    size = len(html.encode()) + sum(len(client.get(file).data) for file in files)
    assert size < 30_000


def test_a_file_is_kept_for_good_only_under_the_address_of_its_version(client: FlaskClient) -> None:
    current = re.search(r'href="(/pay/static/pages.css\?v=\w+)"', read(client, "/pay/none", 404))
    assert current
    assert "immutable" in client.get(current[1]).headers["Cache-Control"]
    assert client.get("/pay/static/pages.css?v=older").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["none.js", "..%2fpay.py", "%2e%2e/__init__.py", ".."])
def test_only_the_pages_own_files_are_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/pay/static/{name}").status_code == 404


def _use_api(app: Flask, address: str) -> None:
    """The gateway as configured with this address; nothing is sent to it."""
    house = app.extensions["payments_service"]
    variables = environment(
        database_url=house.settings.database_url, RAZORPAY_API_URL=address, **only("razorpay")
    )
    [(gateway, config)] = Settings.from_environment(variables).gateways
    app.extensions["payments_service"] = replace(house, gateways=(gateway(config),))
