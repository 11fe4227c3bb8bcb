"""The simulator on a real socket, a real receiver for its webhooks, and the official SDK as its client."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import razorpay
import requests
from requests.adapters import HTTPAdapter

from gateway_simulator import create_simulator
from gateway_simulator.serving import serving
from tests.support.browser import browser, context, expected_complaints
from tests.support.browser import page as screen

__all__ = ["browser", "context", "expected_complaints", "screen"]

KEY_ID = "rzp_test_simulator"
KEY_SECRET = "simulator_razorpay_key_secret"
WEBHOOK_SECRET = "simulator_razorpay_webhook_secret"
OLD_WEBHOOK_SECRET = "simulator_razorpay_old_webhook_secret"
Json = dict[str, Any]


class ImpatientAdapter(HTTPAdapter):
    """The SDK waits for ever by default."""

    def send(self, request, **options):
        options["timeout"] = options.get("timeout") or 10
        return super().send(request, **options)


@contextmanager
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        made.mount("http://", ImpatientAdapter())
        yield made


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: str
    event: str = ""

    @property
    def event_id(self) -> str:
        return self.headers["x-razorpay-event-id"]

    @property
    def signature(self) -> str:
        return self.headers["x-razorpay-signature"]


@dataclass
class Receiver:
    """Collects webhooks; answers 200, or the statuses in `answers` first."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def events(self) -> list[str]:
        return [one.event for one in self.received]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            event = body.partition('"event":"')[2].partition('"')[0]
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.received.append(Received(self.path, headers, body, event))
            self.send_response(made.answers.pop(0) if made.answers else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_port}/api/webhook"
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def running() -> Iterator[str]:
    with serving(create_simulator(backoff_seconds=0.02)) as address:
        yield address


@pytest.fixture
def base(running: str, receiver: Receiver) -> str:
    """The address of a simulator that remembers nothing and sends its webhooks to the receiver."""
    with session() as http:
        assert http.post(f"{running}/_sim/reset", json={"seed": 7}).ok
        assert http.post(f"{running}/_sim/settings", json={"webhooks": receiver.url}).ok
    return running


@dataclass
class Control:
    """The control plane; every call returns the JSON and insists on its status."""

    base: str
    http: requests.Session

    def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Json:
        response = self.http.request(method, f"{self.base}/_sim{path}", json=body)
        assert response.status_code == status, response.text
        return response.json()

    def move(self, order_id: str, verb: str, status: int = 200, **body: Any) -> Json:
        return self.call("POST", f"/orders/{order_id}/{verb}", body, status)

    def order(self, order_id: str) -> Json:
        return self.call("GET", f"/orders/{order_id}")

    def fault(self, on: str, kind: str, **more: Any) -> None:
        self.call("POST", "/faults", {"gateway": "razorpay", "on": on, "kind": kind, **more}, status=201)

    def settle(self) -> Json:
        """Wait until every webhook that is due was answered."""
        return self.call("GET", "/deliveries?wait=5")


@pytest.fixture
def control(base: str) -> Iterator[Control]:
    with session() as http:
        yield Control(base, http)


@pytest.fixture
def client(base: str) -> Iterator[razorpay.Client]:
    with session() as http:
        yield razorpay.Client(session=http, auth=(KEY_ID, KEY_SECRET), base_url=f"{base}/razorpay")


@pytest.fixture
def api(base: str) -> Iterator[Callable[..., requests.Response]]:
    """Raw requests to /razorpay/v1, for what the SDK hides: statuses, headers, whole error bodies."""
    with session() as http:

        def call(method: str, path: str, **options: Any) -> requests.Response:
            options.setdefault("auth", (KEY_ID, KEY_SECRET))
            return http.request(method, f"{base}/razorpay/v1{path}", **options)

        yield call


@pytest.fixture
def new_order(client: razorpay.Client) -> Callable[..., Json]:
    def create(amount: int = 50000, **more: Any) -> Json:
        return client.order.create({"amount": amount, "currency": "INR", **more})

    return create


MANUAL = {"payment": {"capture": "manual"}}


@pytest.fixture
def captured(new_order, control, client) -> Json:
    """A captured payment of ₹500."""
    order = new_order()
    control.move(order["id"], "success")
    return client.order.payments(order["id"])["items"][0]
