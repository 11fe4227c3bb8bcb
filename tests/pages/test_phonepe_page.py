"""What the hosted page loads and may load for PhonePe."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from payments_service.pages.gateways import checkout_page
from payments_service.settings import Settings
from payments_service.store.db import Database
from payments_service.store.tables import PaymentOrder
from tests.pages.conftest import MakePayment
from tests.support.environment import environment, only

CHECKOUT = {
    "redirectUrl": "https://mercury-uat.phonepe.com/transact/uat_v2?token=a.b&c=%2F",
    "expireAt": "now",
}
V1 = {"PHONEPE_MERCHANT_ID": "M", "PHONEPE_SALT_KEY": "salt-key-of-16-chars", "PHONEPE_SALT_INDEX": "1"}
STAND_IN = "http://127.0.0.1:9/phonepe/apis/pg-sandbox/web/bundle/checkout.js"


def gateways(**changes: str) -> list[Any]:
    variables = {**environment(database_url="sqlite:///x.db", simulator_port=9), **only("phonepe"), **changes}
    return [gateway(config) for gateway, config in Settings.from_environment(variables).gateways]


@pytest.mark.parametrize(
    ("url", "mode", "script"),
    [
        ("", "test", "https://mercury-stg.phonepe.com/web/bundle/checkout.js"),
        ("", "live", "https://mercury.phonepe.com/web/bundle/checkout.js"),
        ("http://127.0.0.1:9/phonepe/apis/pg-sandbox", "test", STAND_IN),
        ("https://notphonepe.com", "live", "https://notphonepe.com/web/bundle/checkout.js"),
    ],
)
def test_the_payments_own_mode_chooses_the_script(url: str, mode: str, script: str) -> None:
    [gateway] = gateways(PHONEPE_API_URL=url)
    page = checkout_page(gateway, mode, CHECKOUT)
    assert page is not None
    assert (page.script, page.opener, page.order) == (
        script,
        "phonepe.js",
        {"redirectUrl": CHECKOUT["redirectUrl"]},
    )


def test_the_old_generation_needs_no_script_and_may_load_none() -> None:
    for gateway in gateways(**V1)[1:]:
        page = checkout_page(gateway, "test", {"redirectUrl": "https://x"})
        assert page is not None
        assert (gateway.provider, page.script, page.sources.script) == ("phonepe_v1", "", ())


@pytest.mark.parametrize(("provider", "script"), [("phonepe", STAND_IN), ("phonepe_v1", "")])
def test_the_page_hands_phonepes_address_on_exactly_and_hides_no_referer(
    app: Flask, client: FlaskClient, db: Database, make_payment: MakePayment, provider: str, script: str
) -> None:
    house = app.extensions["payments_service"]
    app.extensions["payments_service"] = replace(house, gateways=tuple(gateways(**V1)))
    payment = make_payment(gateway="phonepe", provider=provider)
    with db.begin() as session:
        session.execute(update(PaymentOrder).values(checkout=CHECKOUT))
    answer = client.get(payment.path)
    [block] = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', answer.text, re.DOTALL)
    facts = json.loads(block)
    assert (facts["script"], facts["order"]["redirectUrl"]) == (script, CHECKOUT["redirectUrl"])
    assert answer.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "noreferrer" not in answer.text
