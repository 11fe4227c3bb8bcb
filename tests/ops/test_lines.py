"""One line tells a unit of work: what it was about, how it ended, where its time went; nothing private."""

import json
import logging
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payments_service import create_app, logs, metrics, worker
from payments_service.api import guards
from payments_service.domain.clock import Clock
from payments_service.flows.beats import Beats
from payments_service.flows.create_order import Urls
from payments_service.flows.deliver import Channels
from payments_service.logs import JsonFormatter, TextFormatter
from payments_service.settings import Settings
from payments_service.store.db import Database
from tests.support.environment import environment
from tests.support.fake_gateway import FakeGateway
from tests.support.house import CUSTOMER, House

LEAST_FIELDS = 20
COST = ("milliseconds", "databaseMilliseconds", "gatewayMilliseconds", "lockMilliseconds", "poolMilliseconds")
COUNTS = ("roundTrips", "commits", "gatewayCalls", "retries")
BUY = {"amount": 499, "gateway": "razorpay", "customer": CUSTOMER}


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """The facts of the lines with one sentence."""
    caplog.set_level(logging.DEBUG, "payments_service")

    def named(sentence: str) -> list[dict[str, Any]]:
        found = [record for record in caplog.records if record.getMessage() == sentence]
        return [json.loads(JsonFormatter().format(record)) for record in found]

    return named


def test_a_request_is_one_line_with_what_it_was_and_what_it_cost(client: FlaskClient, lines: Any) -> None:
    client.post("/api/payment/create-order", json=BUY)
    [line] = lines("Request")
    assert len(line) >= LEAST_FIELDS
    told = {name: line[name] for name in ("method", "path", "route", "status", "gateway", "mode", "code")}
    assert told == {
        "method": "POST",
        "path": "/api/payment/create-order",
        "route": "/api/payment/create-order",
        "status": 500,
        "gateway": "razorpay",
        "mode": "test",
        "code": "gateway_unavailable",
    }
    assert (line["amount"], line["email"]) == ("₹499", "a***@example.com")
    assert line["outcome"] == "failed"
    assert all(line[name] > 0 for name in ("milliseconds", "databaseMilliseconds", "gatewayMilliseconds"))
    assert line["gatewayCalls"] == 1
    assert line["roundTrips"] >= 3
    assert {*COST, *COUNTS, "arrived", "pid", "host", "bytesIn", "bytesOut"} <= line.keys()
    assert line["poolMilliseconds"] + line["gatewayMilliseconds"] <= line["milliseconds"] + 1


def test_a_create_order_that_failed_is_found_by_the_payments_id(client: FlaskClient, lines: Any) -> None:
    """By the id that the answer has; with it the gateway's reason, in the lines of its calls too."""
    answer = client.post("/api/payment/create-order", json=BUY).json
    [line], [call] = lines("Request"), lines("Gateway call")
    assert answer
    assert line["id"] == call["id"] == answer["id"]
    assert line["why"] == call["why"]
    assert line["why"].startswith("The gateway could not be reached")


def test_the_line_of_a_refused_order_has_what_the_gateway_calls_it(house: House) -> None:
    house.simulate("faults", {"gateway": "razorpay", "on": "create_order", "kind": "429", "count": 1})
    answer = house.post("/api/payment/create-order", BUY)
    house.clear_faults()
    told = [line for line in house.log().splitlines() if "Request {" in line and answer.json()["id"] in line]
    [line] = [json.loads(line[line.index("{") :]) for line in told]
    assert (line["code"], line["gatewayCode"]) == ("gateway_unavailable", "BAD_REQUEST_ERROR")


def test_a_webhook_is_one_line_with_its_type_and_outcome(house: House) -> None:
    order_id = house.create_order(499)["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    house.wait_for_status(order_id, "completed")

    def told() -> list[dict[str, Any]]:
        wide = [line for line in house.log().splitlines() if "[INFO] Request {" in line]
        found = [json.loads(line[line.index("{") :]) for line in wide]
        came = [one for one in found if one["route"] == "/api/webhook/<gateway>" and one.get("type")]
        return [one for one in came if one["gateway"] == "razorpay"]

    line = house.until(told, bool)[-1]
    assert len(line) >= LEAST_FIELDS
    assert line["type"].startswith(("payment.", "order."))
    assert line["outcome"] in ("applied", "again")
    assert line["transactionId"].startswith("pay_")
    assert line["commits"] >= 1


def test_a_question_after_a_webhook_is_one_line_with_its_payment(house: House) -> None:
    order_id = house.create_order(499, "phonepe")["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    payment_id = house.wait_for_status(order_id, "completed", "phonepe")["id"]

    def told() -> list[dict[str, Any]]:
        wide = [line for line in house.log().splitlines() if "[INFO] Row {" in line and payment_id in line]
        return [json.loads(line[line.index("{") :]) for line in wide]

    line = house.until(told, bool)[-1]
    assert (line["sweep"], line["outcome"], line["batch"]) == ("follow-ups phonepe", "done", 1)
    assert (line["gateway"], line["mode"], line["id"]) == ("phonepe", "test", payment_id)
    assert line["gatewayCalls"] >= 1


@pytest.mark.parametrize(
    ("path", "request_id", "logged"),
    [
        ("/api/payment/status/razorpay/9812345678", "shop-1234", ("***5678", "shop-1234")),
        ("/nope/leak@example.com", "9812345678", ("l***@example.com", "***5678")),
        ("/nope/leak%2540example.com", "4111111111111111", ("l***@example.com", "***1111")),
    ],
)
def test_what_a_caller_writes_into_an_address_or_a_request_id_is_masked(
    client: FlaskClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
    request_id: str,
    logged: tuple[str, str],
) -> None:
    caplog.set_level(logging.INFO, "payments_service")
    caplog.handler.setFormatter(JsonFormatter())
    client.get(path, headers={"X-Request-Id": request_id})
    [line] = [json.loads(text) for text in caplog.text.splitlines() if '"message":"Request"' in text]
    assert (line["path"].rpartition("/")[2], line["requestId"]) == logged


def test_a_preflight_is_not_counted(client: FlaskClient) -> None:
    def count() -> float:
        return metrics.REQUESTS.labels("/api/payment/create-order", "200")._value.get()

    before = count()
    headers = {"Origin": "http://127.0.0.1:3000", "Access-Control-Request-Method": "POST"}
    assert client.options("/api/payment/create-order", headers=headers).status_code == 200
    assert count() == before


@pytest.fixture
def with_a_key(database_url: str) -> Iterator[FlaskClient]:
    keys = f"office:read:{sha256(b'psk_office').hexdigest()}"
    app = create_app(
        Settings.from_environment(environment(database_url=database_url, simulator_port=9, API_KEYS=keys))
    )
    yield app.test_client()
    app.extensions["payments_service"].db.engine.dispose()


def test_the_line_of_a_refused_key_says_which_it_was(with_a_key: FlaskClient, lines: Any) -> None:
    for key in ("psk_office", "psk_unknown"):
        headers = {"Authorization": f"Bearer {key}"}
        with_a_key.post(f"/api/payment/{uuid4()}/capture", json={}, headers=headers)
    told = [(line["status"], line["code"], line.get("apiKey")) for line in lines("Request")]
    assert told == [(403, "scope_missing", "office"), (401, "unauthorized", None)]


def test_a_request_that_crashed_has_its_line(app: Flask, lines: Any) -> None:
    @app.get("/explode")
    @guards.open_to_all
    def explode() -> str:
        logs.note(id="some-id")
        raise RuntimeError("card 4111 1111 1111 1111")

    app.test_client().get("/explode")
    [line] = lines("Request")
    assert (line["status"], line["outcome"], line["error"]) == (500, "crashed", "RuntimeError")
    assert (line["route"], line["id"]) == ("/explode", "some-id")
    assert "4111" not in str(line)


def test_probes_leave_no_line_while_all_is_well(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "payments_service")
    for path in ("/health", "/ready", "/metrics"):
        client.get(path)
    assert [record.getMessage() for record in caplog.records if record.getMessage() == "Request"] == []


def test_no_unit_has_fewer_than_twenty_members_in_either_format(caplog: pytest.LogCaptureFixture) -> None:
    """Of a unit that knows no more than which sweep it is; the others know more."""
    caplog.set_level(logging.INFO, "payments_service")
    with logs.unit("Row", sweep="outbox merchant"):
        pass
    [record] = caplog.records
    text = TextFormatter().format(record)
    assert len(json.loads(text[text.index("{") :])) >= LEAST_FIELDS
    line = json.loads(JsonFormatter().format(record))
    assert len(line) >= LEAST_FIELDS
    assert {*logs.ALWAYS, *COST, *COUNTS, "sweep", "version", "commit", "pid", "host"} <= line.keys()


def test_the_line_of_a_gateways_sweep_has_gateway_and_mode(db: Database, lines: Any) -> None:
    Beats(db, Clock()).watched("payments fake", lambda: 1, FakeGateway())()
    [line] = lines("Sweep")
    assert (line["gateway"], line["mode"]) == ("fake", "test")


def test_every_sweep_of_a_gateway_knows_it(db: Database) -> None:
    found = worker.sweeps(db, [FakeGateway()], Channels("Shop"), Urls("https://pay.example.com"), Clock())
    told = {sweep.name: sweep.gateway.name if sweep.gateway else None for sweep in found}
    of_gateway = {f"{name} fake" for name in ("payments", "refunds", "inbox", "monitors")}
    assert {name for name, gateway in told.items() if gateway} == of_gateway


def test_a_sweep_that_did_something_is_one_line_and_one_that_did_nothing_is_none(
    db: Database, lines: Any
) -> None:
    beats = Beats(db, Clock())
    assert beats.watched("outbox", lambda: 3)() == 3
    assert beats.watched("inbox", lambda: 0)() == 0
    [line] = lines("Sweep")
    assert (line["sweep"], line["batch"], line["outcome"]) == ("outbox", 3, "done")
    assert {*COST, *COUNTS} <= line.keys()


def test_a_sweep_that_crashed_has_its_line(db: Database, lines: Any) -> None:
    def crash() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Beats(db, Clock()).watched("outbox", crash)()
    [line] = lines("Sweep")
    assert (line["sweep"], line["outcome"], line["error"]) == ("outbox", "crashed", "ZeroDivisionError")


@pytest.mark.parametrize(
    "character", ["\u202e", "\u2028", "\x85", "\x1b", "\n", "\u200b", "\u2066", "\ud800"]
)
def test_what_would_forge_or_hide_a_line_is_escaped(character: str) -> None:
    record = logging.LogRecord("payments_service", logging.INFO, "x.py", 1, f"a{character}b", (), None)
    record.data = {"name": f"x{character}[2024] [INFO] forged", "hindi": "क्‍ष"}
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record)
        assert character not in line
        assert len(line.splitlines()) == 1
        assert "क्‍ष" in line, "the joiners of Indian scripts stay"
    assert json.loads(JsonFormatter().format(record))["hindi"] == "क्‍ष"


def test_the_unit_of_one_piece_of_work_is_not_anothers() -> None:
    with logs.unit("Outer") as outer:
        with logs.unit("Inner") as inner:
            logs.spent("database", 1.0, roundTrips=2)
            logs.note(id="inner")
        logs.note(id="outer")
    assert (outer.seconds["database"], inner.seconds["database"]) == (0.0, 1.0)
    assert (outer.facts["id"], inner.facts["id"]) == ("outer", "inner")
    logs.note(id="nobody listens")
    assert logs.current() is None
