"""The hosted page of a Cashfree payment: which script it loads, in which mode, and what it may do."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from payments_service.gateways.cashfree import CashfreeConfig, CashfreeGateway
from payments_service.store.db import Database
from payments_service.store.tables import PaymentOrder
from tests.pages.conftest import Known, MakePayment

CASHFREE = {"gateway": "cashfree", "provider": "cashfree"}
CHECKOUT = {"paymentSessionId": "session_bearer", "cfOrderId": "2149460581"}


@pytest.fixture
def payment(make_payment: MakePayment, db: Database, request: pytest.FixtureRequest) -> Known:
    made = make_payment(**CASHFREE, mode=getattr(request, "param", "test"))
    with db.begin() as session:
        session.execute(update(PaymentOrder).values(provider="cashfree", checkout=CHECKOUT))
    return made


def facts(client: FlaskClient, payment: Known) -> Any:
    found = re.search(r'id="facts">(.+?)</script>', client.get(payment.path).text)
    assert found
    return json.loads(found[1])


def use(app: Flask, **config: str) -> None:
    values = {"environment": "sandbox", "other_url": "", "api_version": "2025-01-01", **config}
    made = CashfreeConfig(app_id="a", app_secrets=("s",), webhook_scheme="standard", **values)
    house = app.extensions["payments_service"]
    app.extensions["payments_service"] = replace(house, gateways=(CashfreeGateway(made),))


def test_beside_a_simulator_the_stand_in_is_loaded(client: FlaskClient, payment: Known) -> None:
    assert facts(client, payment)["script"] == "http://127.0.0.1:9/cashfree/pg/cashfree.js"


@pytest.mark.parametrize("payment", ["test", "live"], indirect=True)
@pytest.mark.parametrize("environment", ["sandbox", "production"])
def test_the_official_script_learns_session_and_mode_of_the_payment(
    app: Flask, client: FlaskClient, payment: Known, environment: str, request: pytest.FixtureRequest
) -> None:
    use(app, environment=environment)
    given = facts(client, payment)
    assert given["script"] == "https://sdk.cashfree.com/js/v3/cashfree.js"
    assert given["order"]["paymentSessionId"] == "session_bearer"
    assert given["order"]["mode"] == request.node.callspec.params["payment"]
    assert "cfOrderId" not in given["order"]


def test_the_page_may_post_the_payer_to_cashfree_and_nowhere_else(
    app: Flask, client: FlaskClient, payment: Known
) -> None:
    use(app)
    policy = client.get(payment.path).headers["Content-Security-Policy"]
    allowed = {name: rest for name, *rest in (part.split() for part in policy.split("; "))}
    assert allowed["script-src"] == ["'self'", "https://sdk.cashfree.com"]
    assert allowed["form-action"] == ["'self'", "https://*.cashfree.com"]
    assert allowed["frame-src"] == ["https://*.cashfree.com"]
