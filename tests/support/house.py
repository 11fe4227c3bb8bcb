"""The real thing for end-to-end tests: gunicorn, the simulator, a database, real HTTP between them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import unquote, urlsplit

import requests

from payments_service.store import migrations
from payments_service.store.db import Database
from tests.support import event_schema
from tests.support.environment import environment
from tests.support.ports import free_port, wait_for_port, wait_for_silence
from tests.support.recorder import RECORDER

ROOT = Path(__file__).parents[2]
APP = "tests.support.wsgi"
CUSTOMER = {"name": "Asha Rao", "email": "asha@example.com", "phone": "9876543210"}
Answer = TypeVar("Answer")
STOP_SECONDS = 3.0


@dataclass
class House:
    """A running service and its simulator, with the calls that a page, a bank and a test make."""

    url: str
    simulator_url: str
    database_url: str
    log_file: Path
    environment: dict[str, str] = field(repr=False)
    app: str = APP
    """The module whose `app` is served."""
    service: "subprocess.Popen[bytes] | None" = None
    simulator: "subprocess.Popen[bytes] | None" = None
    worker: "subprocess.Popen[bytes] | None" = None
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.http.hooks["response"].append(self._record)

    def _record(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        """What the service answers is as docs/openapi.json has it; the simulator's answers are its own."""
        if answer.url.startswith(self.url + "/"):
            method, path = answer.request.method or "", unquote(urlsplit(answer.url).path)
            media_type = answer.headers.get("Content-Type", "").partition(";")[0]
            RECORDER.see(method, path, answer.status_code, answer.headers, media_type, answer.content)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        return self.http.post(self.url + path, json=body, timeout=40, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.http.get(self.url + path, timeout=40, **options)

    def create_order(self, amount: Any = 499, gateway: str = "razorpay", **more: Any) -> dict[str, Any]:
        body = {"amount": amount, "gateway": gateway, "customer": CUSTOMER, **more}
        answer = self.post("/api/payment/create-order", body)
        assert answer.status_code == 200, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def status(self, order_id: str, gateway: str = "razorpay") -> dict[str, Any]:
        answer = self.get(f"/api/payment/status/{gateway}/{order_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def wait_for_status(
        self, order_id: str, expected: str, gateway: str = "razorpay", seconds: float = 30
    ) -> dict[str, Any]:
        """Poll as a page does, until the payment is what is expected."""
        return self.until(
            lambda: self.status(order_id, gateway), lambda s: s["paymentStatus"] == expected, seconds
        )

    def simulate(self, path: str, body: Any = None) -> dict[str, Any]:
        """POST to the simulator's control plane."""
        answer = self.http.post(f"{self.simulator_url}/_sim/{path}", json=body or {}, timeout=40)
        assert answer.ok, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def simulated(self, path: str) -> Any:
        answer = self.http.get(f"{self.simulator_url}/_sim/{path}", timeout=40)
        assert answer.ok, answer.text
        return answer.json()

    def clear_faults(self) -> None:
        self.http.delete(f"{self.simulator_url}/_sim/faults", timeout=40).raise_for_status()

    def start_simulator(self) -> None:
        port = urlsplit(self.simulator_url).port or 0
        module = ["gateway_simulator", "--port", str(port)]
        module += ["--webhooks", f"{self.url}/api/webhook"]
        self.simulator = _start(module, self.environment, subprocess.DEVNULL)
        wait_for_port(port, self.simulator)

    def start_service(self) -> None:
        address = urlsplit(self.url)
        module = ["gunicorn", "--bind", address.netloc, f"{self.app}:app"]
        with self.log_file.open("ab") as log:
            self.service = _start(module, self.environment, log)
        wait_for_port(address.port or 0, self.service)

    def start_worker(self, time_scale: int = 1) -> None:
        command = ["flask", "--app", self.app, "worker", "--time-scale", str(time_scale)]
        with self.log_file.open("ab") as log:
            self.worker = _start(command, self.environment, log)

    def kill_worker(self) -> None:
        if self.worker:
            _kill(self.worker, signal.SIGKILL)

    def kill_service(self) -> None:
        """kill -9, the workers too: nobody gets to say goodbye."""
        if self.service:
            _kill(self.service, signal.SIGKILL)
            wait_for_silence(urlsplit(self.url).port or 0)
        self.http.close()  # its connections died with it

    def kill_simulator(self) -> None:
        if self.simulator:
            _kill(self.simulator, signal.SIGKILL)

    def stop(self) -> None:
        """All at once; connections that a test has left open are not waited for."""
        running = [process for process in (self.worker, self.service, self.simulator) if process]
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        ends = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill(process, signal.SIGKILL)

    def log(self) -> str:
        return self.log_file.read_text()

    def wrong_events(self) -> list[str]:
        """What service and worker wrote for the merchant that is not as docs/events.schema.json has it."""
        return [line for line in self.log().splitlines() if event_schema.MARK in line]

    @contextmanager
    def database(self) -> Iterator[Database]:
        database = Database(self.database_url)
        try:
            yield database
        finally:
            database.engine.dispose()

    @staticmethod
    def until(ask: Callable[[], Answer], is_right: Callable[[Answer], bool], seconds: float = 30) -> Answer:
        ends = time.monotonic() + seconds
        while not is_right(answer := ask()):
            assert time.monotonic() < ends, f"still {answer!r} after {seconds} s"
            time.sleep(0.1)
        return answer


@contextmanager
def running_house(database_url: str, folder: Path, *, app: str = APP, **variables: str) -> Iterator[House]:
    """Migrate, start simulator and service, hand them over, stop them."""
    port, simulator_port = free_port(), free_port()
    variables = {"BACKEND_URL": f"http://127.0.0.1:{port}", **variables}
    settings = environment(database_url=database_url, port=port, simulator_port=simulator_port, **variables)
    house = House(
        url=f"http://127.0.0.1:{port}",
        simulator_url=f"http://127.0.0.1:{simulator_port}",
        database_url=database_url,
        log_file=folder / f"service-{port}.log",
        environment={**_inherited(), **settings},
        app=app,
    )
    with house.database() as database:
        migrations.upgrade(database)
    try:
        with house.http:
            house.start_simulator()
            house.start_service()
            yield house
            wrong = house.wrong_events()
            assert not wrong, "\n".join(wrong)
    finally:
        house.stop()


def _start(module: list[str], env: dict[str, str], output: IO[bytes] | int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", *module]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output, start_new_session=True)


def _kill(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """End a process and all it started: gunicorn's workers are in its session."""
    if process.poll() is None:
        os.killpg(process.pid, number)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _inherited() -> dict[str, str]:
    """What a process needs of ours: nothing that could be a setting of the service."""
    return {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
