"""What each official SDK's suite has at hand: a simulator on a real socket, its control plane, its webhooks.

The suites run in an environment that holds one SDK and pytest, so only the standard library is used here.
`python tests/conformance` makes the environments, starts the simulator and prints the table.
"""

import json
import os
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def call(method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """One request, for what an SDK hides: statuses, headers, whole error bodies. A dict is sent as JSON."""
    parts = urlsplit(url)
    headers = dict(headers or {})
    if isinstance(body, dict):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        lower = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, lower, answer.read().decode())
    finally:
        connection.close()


@dataclass(frozen=True)
class Simulator:
    """The control plane: what customer, bank, dashboard and bad luck do."""

    url: str

    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = call(method, f"{self.url}/_sim/{path}", body)
        assert answer.status < 400, answer.text
        return answer.json

    def move(self, order_id: str, verb: str, **details: Any) -> Json:
        moved: Json = self.control("POST", f"orders/{order_id}/{verb}", details)
        return moved

    def send_event(self, order_id: str, event_type: str) -> None:
        self.control("POST", f"orders/{order_id}/webhook", {"type": event_type})

    def fault(self, gateway: str, on: str, kind: str, **more: Any) -> None:
        self.control("POST", "faults", {"gateway": gateway, "on": on, "kind": kind, **more})

    def advance(self, seconds: float) -> None:
        self.control("POST", "clock", {"advance_seconds": seconds})

    def webhooks(self, order_id: str, event: str | None = None) -> list[Json]:
        """What was sent about an order: {event, headers, body, status, …}; waits until all is sent."""
        sent = self.control("GET", f"deliveries?wait=10&orderId={order_id}")["deliveries"]
        return [one for one in sent if event in (None, one["event"])]


@pytest.fixture
def simulator() -> Simulator:
    """A simulator that remembers nothing."""
    running = Simulator(os.environ["SIMULATOR_URL"])
    running.control("POST", "reset", {"seed": 7})
    return running


class Coverage:
    """Which of the calls that an SDK offers in our domain the suite made."""

    def __init__(self) -> None:
        self.offered: set[str] = set()
        self.exercised: set[str] = set()

    def watch(self, owner: Any, prefix: str, left_out: tuple[str, ...] = ()) -> None:
        """Count the public methods of a class (its bases' too); those left out are not of our domain."""
        for name in dir(owner):
            method = getattr(owner, name)
            if not name.startswith("_") and name not in left_out and callable(method):
                self.watch_one(owner, name, f"{prefix}.{name}")

    def watch_one(self, owner: Any, name: str, title: str) -> None:
        method = getattr(owner, name)
        self.offered.add(title)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.exercised.add(title)
            return method(*arguments, **options)

        setattr(owner, name, counted)


COVERAGE = Coverage()


@pytest.fixture(scope="session")
def coverage() -> Coverage:
    return COVERAGE


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Leave the numbers for the table."""
    report = {
        "offered": sorted(COVERAGE.offered),
        "exercised": sorted(COVERAGE.exercised),
        "tests": session.testscollected,
        "failed": session.testsfailed,
        "exit": int(exitstatus),
    }
    with open(os.environ["CONFORMANCE_REPORT"], "w") as file:
        json.dump(report, file)
