"""What every answer has in common: shapes, headers, limits, log lines."""

import gzip
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payments_service import cors, create_app
from payments_service.api import guards
from payments_service.flows.verify import VerificationFailed
from payments_service.logs import JsonFormatter, TextFormatter
from payments_service.settings import Settings
from tests.support.environment import environment, only

CREATE = "/api/payment/create-order"


def test_health_is_ok(client: FlaskClient) -> None:
    answer = client.get("/health")
    assert answer.json is not None
    assert answer.json["status"] == "ok"
    assert set(answer.json) == {"status", "message", "timestamp"}


def test_ready_stays_ready_and_says_since_when_no_worker_is_alive(app: Flask, client: FlaskClient) -> None:
    watch = app.extensions["payments_service"].watch
    since = datetime(2026, 1, 31, tzinfo=UTC)
    watch.last_known_silence = lambda: since
    answer = client.get("/ready")
    assert answer.json is not None
    assert (answer.status_code, answer.json["status"], answer.json["database"]) == (200, "ready", "ok")
    assert answer.json["worker"] == f"silent since {since.isoformat()}"
    assert answer.json["gateways"]["razorpay"] == "ok"


def test_an_unknown_path_is_named_in_json(client: FlaskClient) -> None:
    answer = client.get("/nothing?secret=1")
    assert answer.status_code == 404
    assert answer.json == {
        "success": False,
        "error": "Not Found",
        "code": "not_found",
        "message": "Endpoint GET /nothing does not exist",
    }


@pytest.mark.parametrize(
    ("accept", "is_problem"),
    [
        ("application/problem+json", True),
        ("application/json, application/problem+json;q=0.5", True),
        ("Application/Problem+JSON", True),
        ("application/problem+json;q=0, */*", False),
        ("application/*", False),
        ("*/*", False),
        (None, False),
    ],
)
def test_an_error_is_a_problem_where_it_is_asked_for_by_name(
    client: FlaskClient, accept: str | None, is_problem: bool
) -> None:
    headers = {"X-Request-Id": "request-of-this-test"} | ({"Accept": accept} if accept else {})
    answer = client.post(CREATE, json={}, headers=headers)
    told = answer.json or {}
    assert (answer.status_code, told["code"], told["success"]) == (400, "validation_error", False)
    assert set(told["details"]) == {"amount", "customer", "gateway"}
    assert "Accept" in answer.vary
    assert answer.mimetype == ("application/problem+json" if is_problem else "application/json")
    members = {name: told.get(name) for name in ("type", "title", "status", "detail", "instance")}
    if is_problem:
        assert members == {
            "type": "http://127.0.0.1:5000/docs/errors#validation_error",
            "title": "Validation error",
            "status": 400,
            "detail": told["error"],
            "instance": f"{CREATE}#request-of-this-test",
        }
    else:
        assert set(members.values()) == {None}


def test_a_problem_tells_the_gateways_word_beside_the_http_status(app: Flask, client: FlaskClient) -> None:
    def refuse() -> None:
        raise VerificationFailed("Payment verification failed", status="EXPIRED", paymentStatus="expired")

    app.view_functions["payments.verify_payment"] = refuse  # type: ignore[assignment]
    for accept in ("application/json", "application/problem+json"):
        told = client.post("/api/payment/verify-payment", json={}, headers={"Accept": accept}).json or {}
        is_problem = "problem" in accept
        assert told["status"] == (400 if is_problem else "EXPIRED")
        assert told.get("gatewayStatus") == ("EXPIRED" if is_problem else None)


def test_a_problem_names_an_address_of_any_script(client: FlaskClient) -> None:
    answer = client.get("/नहीं", headers={"Accept": "application/problem+json"})
    assert answer.status_code == 404
    assert (answer.json or {})["instance"].isascii()


def test_a_wrong_method_says_which_are_right(client: FlaskClient) -> None:
    answer = client.get(CREATE)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.json is not None
    assert answer.json["code"] == "method_not_allowed"


def test_a_request_id_is_given_or_kept(client: FlaskClient) -> None:
    assert len(client.get("/health").headers["X-Request-Id"]) == 32
    assert client.get("/health", headers={"X-Request-Id": "shop-1234"}).headers["X-Request-Id"] == "shop-1234"
    odd = client.get("/health", headers={"X-Request-Id": "a b<c>"}).headers["X-Request-Id"]
    assert len(odd) == 32
    assert client.get("/nothing").headers["X-Request-Id"]


@pytest.mark.parametrize("origin", ["http://127.0.0.1:3000", "http://localhost:3000"])
def test_the_shops_origins_may_call(client: FlaskClient, origin: str) -> None:
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = client.options(CREATE, headers={**ask, "Access-Control-Request-Headers": "Content-Type"})
    assert preflight.headers["Access-Control-Allow-Origin"] == origin
    assert preflight.headers["Access-Control-Allow-Credentials"] == "true"
    assert "content-type" in preflight.headers["Access-Control-Allow-Headers"].lower()
    answer = client.post(CREATE, json={}, headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "Origin" in answer.headers["Vary"]
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert exposed == {"X-Request-Id", "Retry-After", "Idempotency-Replayed"}
    awake = client.get("/health", headers={"Origin": origin})
    assert awake.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}])
def test_no_cache_mixes_the_answers_to_two_origins(production: Flask, headers: dict[str, str]) -> None:
    """One origin is configured; an answer without it says all the same that it would differ."""
    ours = {"Origin": "https://shop.example.com"}
    for given in (ours, headers):
        answer = production.test_client().post(CREATE, json={}, headers=given)
        assert [part.strip() for part in answer.headers["Vary"].split(",")].count("Origin") == 1
        assert answer.headers.getlist("Vary") == [answer.headers["Vary"]]
    assert "Access-Control-Allow-Origin" not in answer.headers


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """About origins."""
    told = [record for record in caplog.records if record.levelname == "WARNING"]
    return [TextFormatter().format(record) for record in told if record.message != "Webhook refused"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:3001", "https://127.0.0.1:3000", "null", "x" * 5000]
)
def test_a_refused_origin_is_told_once_with_the_setting_that_would_allow_it(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, origin: str
) -> None:
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    client.options(CREATE, headers=ask)
    for _ in range(3):
        client.post(CREATE, json={}, headers={"Origin": origin})
    [line] = warnings(caplog)
    assert "FRONTEND_URL" in line
    assert f'"origin":"{origin[:200]}"' in line
    assert "http://127.0.0.1:3000" in line
    assert len(line) < 600


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:3000", "http://127.0.0.1:5000", "http://localhost", None]
)
def test_origins_that_no_browser_refuses_are_not_told(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, origin: str | None
) -> None:
    """The shop's, ours by its setting and by its host, and none."""
    client.post(CREATE, json={}, headers={} if origin is None else {"Origin": origin})
    client.post("/api/webhook/razorpay", data=b"{}", headers={"Origin": "https://evil.example"})
    assert warnings(caplog) == []


def test_origins_that_are_made_up_fill_no_log(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(cors.MAX_WARNINGS + 20):
        client.post(CREATE, json={}, headers={"Origin": f"https://{number}.example"})
    assert len(warnings(caplog)) == cors.MAX_WARNINGS


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:3000.evil.example", "null"])
def test_other_origins_may_not(client: FlaskClient, origin: str) -> None:
    for answer in (
        client.post(CREATE, json={}, headers={"Origin": origin}),
        client.get("/health", headers={"Origin": origin}),
    ):
        assert "Access-Control-Allow-Origin" not in answer.headers
    preflight = client.options(CREATE, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert "Access-Control-Allow-Origin" not in preflight.headers


def test_webhooks_are_for_no_browser(client: FlaskClient) -> None:
    answer = client.post("/api/webhook/razorpay", headers={"Origin": "http://127.0.0.1:3000"})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_long_answers_are_compressed_where_asked(client: FlaskClient) -> None:
    answer = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.data) == client.get("/").data


def test_a_webhook_of_a_gateway_that_is_off_is_not_found(client: FlaskClient) -> None:
    answer = client.post("/api/webhook/stripe", data=b"{}")
    assert (answer.status_code, answer.json and answer.json["code"]) == (404, "gateway_off")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({}, 400, "signature_missing"), ({"X-Razorpay-Signature": "00"}, 401, "signature_invalid")],
)
def test_a_webhook_without_right_credentials_is_refused(
    client: FlaskClient, headers: dict[str, str], status: int, code: str
) -> None:
    answer = client.post("/api/webhook/razorpay", data=b"{}", headers=headers)
    assert (answer.status_code, answer.json and answer.json["code"]) == (status, code)


@pytest.mark.parametrize("body", [{}, {"gateway": "razorpay"}, {"gateway": "razorpay", "orderId": "order_1"}])
def test_verify_names_what_is_missing(client: FlaskClient, body: dict[str, str]) -> None:
    answer = client.post("/api/payment/verify-payment", json=body)
    assert answer.status_code == 400
    expected = "Missing required fields: orderId, paymentId, signature" if body else "Gateway is required"
    assert answer.json is not None
    assert answer.json["error"] == expected


@pytest.mark.parametrize("order_id", ["order_unknown", "nul\x00byte", "x" * 5000, "🙂"])
def test_verify_of_an_unknown_order_is_not_found(client: FlaskClient, order_id: str) -> None:
    fields = {"gateway": "razorpay", "orderId": order_id, "paymentId": "pay_1", "signature": "00"}
    assert client.post("/api/payment/verify-payment", json=fields).status_code == 404


def test_an_unforeseen_error_says_nothing_of_itself(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/explode")
    @guards.open_to_all
    def explode() -> str:
        raise RuntimeError("card 4111 1111 1111 1111")

    answer = app.test_client().get("/explode")
    assert (answer.status_code, answer.json and answer.json["code"]) == (500, "internal_error")
    lines = "\n".join(formatter.format(record) for formatter in FORMATTERS for record in caplog.records)
    assert "RuntimeError" in lines
    assert "4111" not in lines + answer.text


FORMATTERS = (TextFormatter(), JsonFormatter())


def test_a_log_line_is_one_line_with_its_facts() -> None:
    record = logging.LogRecord("payments_service", logging.INFO, "x.py", 1, "Creating %s", ("a\nb",), None)
    record.created = 1704110400.0
    record.data = {"gateway": "razorpay", "name": "आशा\n[fake]"}
    text = FORMATTERS[0].format(record)
    assert text == (
        '[2024-01-01T12:00:00.000Z] [INFO] Creating a\\nb {"gateway":"razorpay","name":"आशा\\n[fake]"}'
    )
    assert json.loads(FORMATTERS[1].format(record))["gateway"] == "razorpay"


@pytest.mark.parametrize("odd", ["half \ud83d", 2**70, {1: {"a"}}, b"\xff", float("nan"), "line\u2028break"])
@pytest.mark.parametrize("formatter", FORMATTERS)
def test_no_fact_is_too_odd_for_a_log_line(formatter: logging.Formatter, odd: object) -> None:
    record = logging.LogRecord("payments_service", logging.INFO, "x.py", 1, "Odd", (), None)
    record.data = {"odd": odd, "gateway": "razorpay"}
    line = formatter.format(record)
    assert json.loads(line[line.index("{") :])["gateway"] == "razorpay"
    assert line.isprintable()


@dataclass
class Payer:
    name: str = field(repr=False)


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_a_line_tells_no_more_of_an_object_than_its_repr(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("payments_service", logging.INFO, "x.py", 1, "Odd", (), None)
    record.data = {"payer": Payer("Asha Rao")}
    assert "Asha" not in formatter.format(record)


@pytest.fixture
def production(database_url: str) -> Iterator[Flask]:
    variables = {
        "APP_ENV": "production",
        "BACKEND_URL": "https://pay.example.com",
        "FRONTEND_URL": "https://shop.example.com",
        "SECRET_KEY": "a-secret-key-of-our-own",
        "REQUIRE_QUOTE": "false",
        "RAZORPAY_KEY_ID": "rzp_test_ours",
        "RAZORPAY_KEY_SECRET": "key-secret-of-our-own",
        "RAZORPAY_WEBHOOK_SECRET": "webhook-secret-of-our-own",
        "ALLOW_TEST_MODE": "true",
    }
    settings = Settings.from_environment(
        environment(database_url=database_url, simulator_port=9, **only("razorpay"), **variables)
    )
    app = create_app(settings)
    yield app
    app.extensions["payments_service"].db.engine.dispose()


def test_production_tells_browsers_no_details_and_knows_no_development_origin(production: Flask) -> None:
    customer = {"name": "A", "email": "a@example.com", "phone": "9876543210"}
    client = production.test_client()
    body = {"amount": 499, "gateway": "razorpay", "customer": customer}
    answer = client.post(CREATE, json=body, headers={"Origin": "http://localhost:3000"})
    assert answer.status_code == 500
    assert answer.json is not None
    assert "details" not in answer.json
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert client.get("/").status_code == 404
    assert client.get("/payment-status").status_code == 404
