"""A gateway that fails again and again: nothing more is sent for a while, and everything else goes on.

The service runs in this process, because each process counts for itself; the gateway is a real simulator.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.gateways.bounds import FAILURES_IN_A_ROW, RESET_SECONDS, Circuit
from payments_service.settings import Settings
from tests.support.environment import environment
from tests.support.house import CUSTOMER, House
from tests.support.ports import free_port


@dataclass
class Shop:
    client: FlaskClient
    simulator: House
    clock_seconds: float = 0.0
    """Of the circuit alone."""

    def buy(self) -> TestResponse:
        body = {"amount": 499, "gateway": "razorpay", "customer": CUSTOMER}
        return self.client.post("/api/payment/create-order", json=body)

    def status(self, order_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/api/payment/status/razorpay/{order_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json
        return found

    def fault(self, count: int) -> None:
        wish = {"gateway": "razorpay", "on": "create_order", "kind": "reset_before", "count": count}
        self.simulator.simulate("faults", wish)

    def faults_left(self) -> int:
        return sum(fault["remaining"] for fault in self.simulator.simulated("faults")["faults"])


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Shop]:
    port = free_port()
    variables = environment(database_url=database_url, simulator_port=port)
    house = House("http://127.0.0.1:9", f"http://127.0.0.1:{port}", database_url, tmp_path / "log", variables)
    app = create_app(Settings.from_environment(variables))
    services = app.extensions["payments_service"]
    made = Shop(app.test_client(), house)
    [razorpay] = [gateway for gateway in services.gateways if gateway.provider == "razorpay"]
    razorpay.client.session.writes = Circuit("razorpay", RESET_SECONDS, lambda: made.clock_seconds)
    try:
        with house.http:
            house.start_simulator()
            yield made
    finally:
        house.stop()
        services.db.engine.dispose()


def test_a_gateway_that_keeps_failing_is_left_alone_for_a_while(shop: Shop) -> None:
    known = shop.buy().json["order"]["orderId"]
    shop.fault(count=100)
    failed = [shop.buy() for _ in range(FAILURES_IN_A_ROW)]
    assert {(answer.status_code, answer.json["code"]) for answer in failed} == {(500, "outcome_unknown")}
    left = shop.faults_left()

    refused = [shop.buy() for _ in range(3)]
    assert {(answer.status_code, answer.json["code"]) for answer in refused} == {
        (503, "gateway_circuit_open")
    }
    assert {answer.headers["Retry-After"] for answer in refused} == {"30"}
    for answer in refused:
        assert answer.json["retryable"] is True
        assert shop.status(answer.json["id"])["paymentStatus"] == "failed"  # it never reached the gateway
    assert shop.faults_left() == left == 100 - FAILURES_IN_A_ROW

    shop.simulator.simulate(f"orders/{known}/success")
    assert shop.status(known)["paymentStatus"] == "completed"  # no webhook arrives here: it was asked for
    shop.simulator.clear_faults()
    assert shop.buy().status_code == 503
    shop.clock_seconds += RESET_SECONDS
    assert [shop.buy().status_code for _ in range(3)] == [200, 200, 200]
