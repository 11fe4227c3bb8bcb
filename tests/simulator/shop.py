"""A shop that opens orders at all three gateways with plain HTTP, and a simulator in a process of its own."""

import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from gateway_simulator.__main__ import main
from tests.simulator.conftest import KEY_ID, KEY_SECRET, session

ROOT = Path(__file__).parents[2]
CASHFREE = {
    "x-client-id": "TEST_simulator_app",
    "x-client-secret": "simulator_cashfree_app_secret",
    "x-api-version": "2025-01-01",
}
PHONEPE = {
    "client_id": "SIMULATORUAT",
    "client_secret": "simulator_phonepe_client_secret",
    "client_version": "1",
    "grant_type": "client_credentials",
}
GATEWAYS = ("razorpay", "phonepe", "cashfree")


@dataclass
class Shop:
    """Opens orders of ₹500; the answer is the response, and with `ask` the orderId."""

    base: str
    http: requests.Session
    token: str = ""

    def order(self, gateway: str, our_id: str) -> str:
        response = self.ask(gateway, our_id)
        assert response.ok, response.text
        order_id: str = response.json()["id"] if gateway == "razorpay" else our_id
        return order_id

    def ask(self, gateway: str, our_id: str) -> requests.Response:
        answer: requests.Response = getattr(self, f"_ask_{gateway}")(our_id)
        return answer

    def control(self, method: str, path: str, body: Any = None) -> Any:
        response = self.http.request(method, f"{self.base}/_sim/{path}", json=body)
        assert response.ok, response.text
        return response.json()

    def _ask_razorpay(self, our_id: str) -> requests.Response:
        body = {"amount": 50000, "currency": "INR", "receipt": our_id}
        return self.http.post(f"{self.base}/razorpay/v1/orders", json=body, auth=(KEY_ID, KEY_SECRET))

    def _ask_cashfree(self, our_id: str) -> requests.Response:
        customer = {"customer_id": "u55", "customer_phone": "9999999999"}
        body = {
            "order_id": our_id,
            "order_amount": 500,
            "order_currency": "INR",
            "customer_details": customer,
        }
        return self.http.post(f"{self.base}/cashfree/pg/orders", json=body, headers=CASHFREE)

    def _ask_phonepe(self, our_id: str) -> requests.Response:
        api = f"{self.base}/phonepe/apis/pg-sandbox"
        if not self.token:
            self.token = self.http.post(f"{api}/v1/oauth/token", data=PHONEPE).json()["access_token"]
        flow = {"type": "PG_CHECKOUT", "merchantUrls": {"redirectUrl": "https://shop.example/back"}}
        body = {"merchantOrderId": our_id, "amount": 50000, "expireAfter": 900, "paymentFlow": flow}
        headers = {"Authorization": f"O-Bearer {self.token}"}
        return self.http.post(f"{api}/checkout/v2/pay", json=body, headers=headers)


@contextmanager
def shop_at(base: str) -> Iterator[Shop]:
    with session() as http:
        yield Shop(base, http)


@contextmanager
def process(*options: str) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """The simulator as its own process, and its address; killed at the end if it still runs."""
    command = [sys.executable, "-m", "gateway_simulator", "--port", "0", *options]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            greeting = running.stdout.readline()
            assert greeting, running.communicate()[1]
            yield running, next(word for word in greeting.split() if word.startswith("http://"))
        finally:
            running.kill()


def end(running: "subprocess.Popen[str]", number: int) -> None:
    running.send_signal(number)
    _, errors = running.communicate(timeout=10)
    assert errors == ""
    assert running.returncode == (0 if number == signal.SIGTERM else -number)


def refused(*options: str) -> str:
    """What a simulator says that does not start: it ends with code 2."""
    said = io.StringIO()
    with redirect_stderr(said):
        try:
            code: object = main(["--port", "0", *options])
        except SystemExit as end_of_it:
            code = end_of_it.code
    assert code == 2
    return said.getvalue()
