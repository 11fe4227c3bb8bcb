"""In production: browsers come encrypted, wherever it is known how they come."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.settings import Settings
from tests.support.environment import environment, only

STRICT = "Strict-Transport-Security"
WEBHOOK = "/api/webhook/razorpay"
Make = Callable[..., Flask]


@pytest.fixture
def make(database_url: str) -> Iterator[Make]:
    made: list[Flask] = []

    def build(hops: int = 1, **more: str) -> Flask:
        variables = {
            "APP_ENV": "production",
            "ALLOW_TEST_MODE": "true",
            "BACKEND_URL": "https://pay.example.com",
            "FRONTEND_URL": "https://shop.example.com",
            "RETURN_URL": "https://shop.example.com/done",
            "SECRET_KEY": "a-secret-key-of-our-own",
            "REQUIRE_QUOTE": "false",
            "RAZORPAY_KEY_ID": "rzp_test_ours",
            "RAZORPAY_KEY_SECRET": "a-key-secret-of-our-own",
            "RAZORPAY_WEBHOOK_SECRET": "a-webhook-secret-of-our-own",
            "TRUSTED_PROXY_HOPS": str(hops),
            **more,
        }
        settings = environment(database_url=database_url, simulator_port=9, **only("razorpay"), **variables)
        made.append(create_app(Settings.from_environment(settings)))
        return made[-1]

    yield build
    for app in made:
        app.extensions["payments_service"].db.engine.dispose()


def ask(app: Flask, path: str, proto: str | None, method: str = "GET", scheme: str = "http") -> TestResponse:
    headers = {} if proto is None else {"X-Forwarded-Proto": proto}
    return app.test_client().open(path, method=method, headers=headers, base_url=f"{scheme}://evil.example")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/api/payment/status/razorpay/x?a=1&b=%2F", "/pay/x", "/nothing", "/"])
def test_a_browser_that_comes_plain_is_sent_to_our_own_address(make: Make, path: str, method: str) -> None:
    answer = ask(make(), path, "http", method)
    assert (answer.status_code, answer.headers["Location"]) == (308, f"https://pay.example.com{path}")
    assert STRICT not in answer.headers


@pytest.mark.parametrize(("hops", "proto"), [(1, "https"), (2, "https, http"), (1, "http, https")])
def test_one_that_comes_encrypted_is_told_to_do_so_for_a_year(make: Make, hops: int, proto: str) -> None:
    for path in ("/pay/x", "/api/payment/status/razorpay/x", "/nothing"):
        answer = ask(make(hops), path, proto)
        assert (answer.status_code, answer.headers[STRICT]) == (404, "max-age=31536000")


@pytest.mark.parametrize(
    ("hops", "proto"),
    [(0, None), (0, "http"), (1, None), (1, ""), (2, "https"), (2, "http"), (3, "http, http")],
)
def test_where_it_is_not_known_nothing_is_claimed(make: Make, hops: int, proto: str | None) -> None:
    """A proxy that replaces what the first one said would make a redirect go round for ever."""
    answer = ask(make(hops), "/pay/x", proto)
    assert answer.status_code == 404
    assert STRICT not in answer.headers


def test_a_server_that_speaks_https_itself_says_so(make: Make) -> None:
    assert STRICT in ask(make(0), "/pay/x", None, scheme="https").headers


@pytest.mark.parametrize("path", ["/health", WEBHOOK, "//api//webhook/razorpay/"])
@pytest.mark.parametrize("proto", ["http", "https"])
def test_probes_and_gateways_are_never_sent_on(make: Make, path: str, proto: str) -> None:
    method = "GET" if path == "/health" else "POST"
    headers = {"X-Forwarded-Proto": proto}
    answer = make().test_client().open(method=method, headers=headers, environ_overrides={"PATH_INFO": path})
    assert answer.status_code == (200 if path == "/health" else 400)
    assert STRICT not in answer.headers


def test_development_and_a_rehearsal_without_https_send_nobody_on(make: Make) -> None:
    for more in ({"APP_ENV": "development"}, {"BACKEND_URL": "http://127.0.0.1:5000"}):
        assert ask(make(1, **more), "/nothing", "http").status_code == 404
    assert STRICT not in ask(make(1, APP_ENV="development"), "/nothing", "https").headers
