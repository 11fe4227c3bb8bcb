"""Where webhooks are taken, and from whom."""

import logging
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.settings import Settings, SettingsError
from tests.support.environment import environment
from tests.support.house import House

CREATE = "/api/payment/create-order"
TOO_MANY = [
    "/api/webhook/{}/",
    "/api/webhook/{}//",
    "//api/webhook/{}",
    "/api//webhook/{}",
    "/api/webhook//{}",
    "//api//webhook//{}//",
    "///api/webhook/{}/",
]


@pytest.mark.parametrize("gateway", ["razorpay", "phonepe", "cashfree"])
@pytest.mark.parametrize("written", TOO_MANY)
def test_a_slash_too_many_is_the_same_address(sqlite_house: House, written: str, gateway: str) -> None:
    url = sqlite_house.url + written.format(gateway)
    answer = sqlite_house.http.post(url, data=b"{}", timeout=20, allow_redirects=False)
    assert (answer.status_code, answer.json()["code"]) == (400, "signature_missing")


@pytest.mark.parametrize(
    "path",
    [
        "/api/webhook/",
        "/api/webhook",
        "/api/webhook/razorpay/x",
        "/x/api/webhook/razorpay",
        "/api/webhooks/razorpay/",
    ],
)
def test_another_address_is_none(client: FlaskClient, path: str) -> None:
    answer = client.post(path, data=b"{}")
    assert (answer.status_code, answer.json and answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/api/payment/create-order/", "//api/payment/create-order"])
def test_a_page_whose_address_has_a_slash_too_many_is_answered(client: FlaskClient, path: str) -> None:
    """As by Express for the one at the end; a preflight follows no redirect."""
    preflight = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    answer = client.options(environ_overrides={"PATH_INFO": path}, headers=preflight)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


# ── WEBHOOK_ALLOWED_IPS ─────────────────────────────────────────────────────────────────────────────────

LISTED = "203.0.113.7, 198.51.100.0/24,2001:db8::/32"
Make = Callable[..., Flask]


@pytest.fixture
def make(database_url: str, caplog: pytest.LogCaptureFixture) -> Iterator[Make]:
    made: list[Flask] = []

    def build(**variables: str) -> Flask:
        given = environment(
            database_url=database_url, simulator_port=9, **{"WEBHOOK_ALLOWED_IPS": LISTED, **variables}
        )
        made.append(create_app(Settings.from_environment(given)))
        logging.getLogger().addHandler(caplog.handler)  # an app that is made sets up logging anew
        return made[-1]

    yield build
    for app in made:
        app.extensions["payments_service"].db.engine.dispose()


def ring(app: Flask, address: str, path: str = "/api/webhook/razorpay", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().post(path, data=b"{}", headers=named, environ_overrides={"REMOTE_ADDR": address})


@pytest.mark.parametrize("address", ["203.0.113.7", "198.51.100.200", "::ffff:203.0.113.7", "2001:db8:9::1"])
def test_a_listed_address_gets_as_far_as_its_signature(make: Make, address: str) -> None:
    answer = ring(make(), address)
    assert (answer.status_code, answer.json and answer.json["code"]) == (400, "signature_missing")


@pytest.mark.parametrize("address", ["203.0.113.8", "198.51.101.1", "2001:db9::1", "", "unknown"])
@pytest.mark.parametrize("path", ["/api/webhook/razorpay", "/api/webhook/cashfree", "/api/webhook/stripe"])
def test_any_other_is_refused_and_told_of(
    make: Make, address: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ring(make(), address, path)
    assert (answer.status_code, answer.json and answer.json["code"]) == (403, "address_not_allowed")
    [told] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "WEBHOOK_ALLOWED_IPS" in told.getMessage()


def test_a_header_that_no_trusted_hop_wrote_opens_nothing(make: Make) -> None:
    for hops, said in (
        ("0", "203.0.113.7"),
        ("1", "203.0.113.7, 192.0.2.1"),
        ("2", "203.0.113.7, 192.0.2.1"),
    ):
        answer = ring(make(TRUSTED_PROXY_HOPS=hops), "192.0.2.1", X_Forwarded_For=said)
        assert answer.status_code == (400 if hops == "2" else 403), "with two hops it is the first one's word"
    behind = ring(make(TRUSTED_PROXY_HOPS="1"), "10.0.0.1", X_Forwarded_For="192.0.2.1, 203.0.113.7")
    assert behind.status_code == 400


def test_the_list_is_for_webhooks_alone(make: Make) -> None:
    client = make().test_client()
    assert client.get("/health").status_code == 200
    assert client.post(CREATE, json={}).status_code == 400


@pytest.mark.parametrize(
    "written", [",", "203.0.113.256", "203.0.113.7/24", "gateway.example", "*", "10.0.0.0-9"]
)
def test_what_is_no_network_stops_the_start(written: str) -> None:
    with pytest.raises(SettingsError, match="WEBHOOK_ALLOWED_IPS"):
        Settings.from_environment(environment(database_url="sqlite:///x.db", WEBHOOK_ALLOWED_IPS=written))
