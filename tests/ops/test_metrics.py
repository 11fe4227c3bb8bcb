"""/metrics: who may read it, what it says of real requests, how many series there can be, many processes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from payments_service import create_app, metrics
from payments_service.domain.alarms import ALARMS
from payments_service.domain.states import ReviewReason
from payments_service.gateways.measured import VERBS
from payments_service.settings import Settings
from payments_service.store import gauges
from payments_service.store.gauges import Sample
from tests.support.environment import environment, only
from tests.support.house import CUSTOMER, ROOT, House, running_house

MOST_SERIES = 600
GATEWAYS = ("razorpay", "phonepe", "cashfree")
TOKEN = "a-token-of-the-scraper"


def value(text: str, name: str, **labels: str) -> float:
    """The sum over all series that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


# ── who may read ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def production(database_url: str) -> Iterator[Flask]:
    variables = {
        "APP_ENV": "production",
        "BACKEND_URL": "https://pay.example.com",
        "FRONTEND_URL": "https://shop.example.com",
        "SECRET_KEY": "a-secret-key-of-our-own",
        "RAZORPAY_KEY_ID": "rzp_test_ours",
        "RAZORPAY_KEY_SECRET": "key-secret-of-our-own",
        "RAZORPAY_WEBHOOK_SECRET": "webhook-secret-of-our-own",
        "ALLOW_TEST_MODE": "true",
        "REQUIRE_QUOTE": "true",
        "METRICS_TOKEN": TOKEN,
    }
    settings = Settings.from_environment(
        environment(database_url=database_url, simulator_port=9, **only("razorpay"), **variables)
    )
    app = create_app(settings)
    yield app
    app.extensions["payments_service"].db.engine.dispose()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        (f"Bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (TOKEN, 401),
        ("Basic eDp5", 401),
        ("Bearer psk_nobodys", 401),
        ("Bearer é", 401),
    ],
)
def test_in_production_a_token_or_a_key_is_needed(production: Flask, header: str | None, status: int) -> None:
    answer = production.test_client().get("/metrics", headers={"Authorization": header} if header else {})
    assert answer.status_code == status
    assert ("payments_build_info" in answer.text) == (status == 200)


def test_in_development_anyone_reads_it_as_prometheus_text(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"payments_requests", "payments_database_up", "payments_build_info"} <= families
    assert "_created" not in answer.text


# ── what it says ────────────────────────────────────────────────────────────────────────────────────────


def test_a_payments_way_is_counted(house: House) -> None:
    before = house.get("/metrics").text
    created = house.create_order(499)
    order_id = created["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    house.wait_for_status(order_id, "completed")
    wanted = {"gateway": "razorpay"}

    def counted(name: str, **labels: str) -> float:
        """By the process that has counted most, should they count apart: each has its chance."""
        texts = (requests.get(f"{house.url}/metrics", timeout=20).text for _ in range(20))
        return max(value(text, name, **wanted, **labels) for text in texts)

    assert counted("payments_orders_total", outcome="created") > 0
    assert counted("payments_gateway_calls_total", verb="create_order", outcome="ok") > 0
    assert counted("payments_webhooks_total", family="payment", outcome="applied") > 0
    assert counted("payments_webhook_lag_seconds_count") > 0
    assert value(before, "payments_database_up") == 1


def test_while_the_database_is_away_counters_are_told_and_the_gauge_says_so(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get("/nothing")
    measures = app.extensions["payments_service"].measures
    monkeypatch.setattr(measures, "_ask", lambda: ((), False))
    text = client.get("/metrics").text
    assert value(text, "payments_database_up") == 0
    assert value(text, "payments_requests_total", route="none", status="404") > 0
    assert "payments_orders_last_hour" not in text


def test_no_word_of_a_stranger_is_ever_a_label(client: FlaskClient) -> None:
    for number in range(20):
        client.get(f"/nothing/{number}", headers={"X-Request-Id": f"request-{number:04}"})
        client.post(f"/api/webhook/evil{number}", data=b"{}")
        client.post("/api/payment/create-order", json={"gateway": f"evil{number}"})
        client.open(f"/api/payment/status/evil{number}/x", method="PROPFIND")
    text = client.get("/metrics").text
    assert "evil" not in text
    assert "PROPFIND" not in text


def test_there_are_no_more_series_than_a_small_prometheus_likes(app: Flask) -> None:
    """Every route with what it may answer in its life, three gateways with every verb, family and alarm."""
    counters = (metrics.REQUESTS, metrics.ORDERS, metrics.VERIFICATIONS, metrics.WEBHOOKS, metrics.CALLS)
    for counter in counters:
        counter.clear()  # of what tests before this one have counted
    for rule in app.url_map.iter_rules():
        for status in (200, 400, 404, 409, 500, 503) if rule.rule.startswith("/api/") else (200, 404, 503):
            metrics.request_ended(rule.rule, status, 0.1)
    for route in ("/api/payment/x", "/api/webhook/x", "/pay/x", "/api/x", "/x"):
        metrics.request_ended(route, 200, 0.1)
        metrics.REQUESTS.remove(route, "200")
    failures = ("gateway_rejected", "gateway_unavailable", "gateway_circuit_open", "outcome_unknown")
    for gateway in GATEWAYS:
        for outcome in ("created", "validation_error", "conflict", "store_unavailable", *failures):
            metrics.ORDERS.labels(gateway, outcome).inc()
        for outcome in ("completed", "payment_pending", "payment_failed", "signature_invalid", "not_found"):
            metrics.VERIFICATIONS.labels(gateway, outcome).inc()
        for family in ("payment", "refund", "dispute", "other"):
            for outcome in ("applied", "again", "waiting"):
                metrics.webhook_ended(gateway, family, outcome)
        for outcome in ("refused", "failed", "unmatched", "unreadable", "not_stored"):
            metrics.webhook_ended(gateway, None, outcome)
        metrics.LAG.labels(gateway).observe(1)
        for verb in VERBS:
            metrics.CALLS.labels(gateway, verb, "ok").inc()
        for outcome in failures:
            for verb in ("create_order", "fetch_payment", "create_refund"):
                metrics.CALLS.labels(gateway, verb, outcome).inc()
        metrics.CALL_DURATIONS.labels(gateway).observe(1)
        metrics.REFUSALS.labels(gateway).inc()
        metrics.READS_LEFT.labels(gateway).set(1)
        for calls in ("reads", "writes"):
            metrics.CIRCUITS.labels(gateway, calls).set(0)
    text = metrics.text(list(_every_gauge()), gauges.HELPS, True).decode()
    seen = {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    ours = {line for line in seen if not re.search('gateway="(fake|phonepe_v1)"', line)}
    assert 300 < len(ours) <= MOST_SERIES


def _every_gauge() -> Iterator[Sample]:
    labels = {
        "outbox": [(("destination", to),) for to in ("merchant", "customer", "operator")],
        "reviews_open": [(("reason", reason),) for reason in ReviewReason],
        "sweep_silent_seconds": [(("sweep", f"sweep {number}"),) for number in range(15)],
        "alert_open": [(("alarm", alarm.code), ("subject", "")) for alarm in ALARMS],
        "unknown": [
            (("gateway", gateway), ("kind", kind)) for gateway in GATEWAYS for kind in ("order", "refund")
        ],
        "": [(("gateway", gateway),) for gateway in GATEWAYS],
    }
    for measure in gauges.HELPS:
        beginning = next(beginning for beginning in labels if measure.startswith(beginning))
        yield from (Sample(measure, 1.0, one) for one in labels[beginning])


# ── several processes ───────────────────────────────────────────────────────────────────────────────────

GUNICORN = """
import os
from payments_service import metrics
control_socket_disable = True
def child_exit(server, worker):
    metrics.process_ended(worker.pid)
"""


@contextmanager
def served(folder: Path, workers: int) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The service under gunicorn with several processes that count together."""
    with running_house(f"sqlite:///{folder / 'payments.db'}", folder) as house:
        house.kill_service()
        counted = folder / "counted"
        counted.mkdir()
        config = folder / "gunicorn.py"
        config.write_text(GUNICORN)
        address = urlsplit(house.url).netloc
        command = ["gunicorn", "--config", str(config), "--workers", str(workers), "--threads", "4"]
        with house.log_file.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, "--bind", address, "tests.support.wsgi:app"],
                cwd=ROOT,
                env={**house.environment, "PROMETHEUS_MULTIPROC_DIR": str(counted)},
                stdout=log,
                stderr=log,
            )
        try:
            house.until(lambda: _is_up(house.url), bool, 60)
            yield house.url, process
        finally:
            process.terminate()
            process.wait(30)


def _is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.RequestException:
        return False


@pytest.mark.check
def test_the_processes_of_gunicorn_count_together_and_forget_nothing(tmp_path: Path) -> None:
    with served(tmp_path, workers=4) as (url, master):
        for _ in range(60):
            requests.post(f"{url}/api/payment/create-order", json={}, timeout=20)

        def total() -> float:
            text = requests.get(f"{url}/metrics", timeout=20).text
            return value(text, "payments_requests_total", route="/api/payment/create-order", status="400")

        assert total() == 60
        assert {total() for _ in range(10)} == {60}, "whichever process answers"
        [victim, *_] = _children(master.pid)
        os.kill(victim, signal.SIGKILL)
        House.until(lambda: _children(master.pid), lambda now: victim not in now and len(now) == 4, 30)
        House.until(lambda: _is_up(url), bool, 30)
        assert total() == 60
        before = _children(master.pid)
        os.kill(master.pid, signal.SIGHUP)
        House.until(
            lambda: _children(master.pid), lambda now: len(now) == 4 and not set(now) & set(before), 60
        )
        House.until(lambda: _is_up(url), bool, 30)
        assert total() == 60
        requests.post(f"{url}/api/payment/create-order", json={"customer": CUSTOMER}, timeout=20)
        assert total() == 61


def _children(pid: int) -> list[int]:
    time.sleep(0.2)
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return sorted(int(child) for child in told.split())
