"""The version before the migration of the history (0005) and today's run beside each other on one PostgreSQL:
before the migration the old one alone, after it both, then the new one alone.

The old version is a commit of this repository, without which the test cannot be: a clone that has only the
newest commits skips it, and says so.
"""

import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock

import pytest
import requests

from tests.chaos.books import Books
from tests.flows.delivering import SECRET
from tests.gateways.wire import Wire
from tests.support.environment import environment
from tests.support.house import CUSTOMER, ROOT, House
from tests.support.ports import free_port, wait_for_port
from tests.support.switch import running_switch

pytestmark = [pytest.mark.check, pytest.mark.timeout(600)]

OLD = "dfa44cc1907df2ffa40c0d8eb3cf20a7e46d16bc"
"""The last commit of the main line whose newest migration is 0004."""
CALLERS, SECONDS = 8, 8.0


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = subprocess.run(["git", "archive", OLD], cwd=ROOT, capture_output=True)
    if kept.returncode:
        pytest.skip(f"the commit {OLD} is not in this clone: `git fetch --unshallow` brings it")
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(kept.stdout)) as archive:
        archive.extractall(folder, filter="data")
    assert not list(folder.glob("payments_service/store/migrations/versions/0005*"))
    return folder


class Version:
    """Web and worker of one tree, on a port of its own."""

    def __init__(self, tree: Path, environment: dict[str, str], log_file: Path) -> None:
        self.tree, self.log_file, self.port = tree, log_file, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**environment, "PORT": str(self.port)}
        self.processes: list[subprocess.Popen[bytes]] = []

    def upgrade(self) -> None:
        self._run("flask", "--app", "wsgi", "db", "upgrade").wait(120)
        assert self.processes.pop().returncode == 0, self.log_file.read_text()

    def start(self) -> None:
        web = self._run("gunicorn", "--bind", f"127.0.0.1:{self.port}", "wsgi:app")
        self._run("flask", "--app", "wsgi", "worker")
        wait_for_port(self.port, web)
        assert requests.get(f"{self.url}/health", timeout=60).status_code == 200

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        self.processes.clear()

    def _run(self, *command: str) -> "subprocess.Popen[bytes]":
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.tree,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process


class Load:
    """Callers who take each request to one of the versions that serve, so that orders wander between them."""

    def __init__(self, house: House, *serving: Version) -> None:
        self.house, self.serving = house, serving
        self.seen: Counter[str] = Counter()
        self.paid: list[str] = []
        self._over, self._lock = Event(), Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(CALLERS) as pool:
            callers = [pool.submit(self._call) for _ in range(CALLERS)]
            try:
                yield
            finally:
                self._over.set()
            for caller in callers:
                caller.result(120)

    def until_more_are_paid(self) -> None:
        """A while, and at least so long that each caller has paid an order."""
        time.sleep(SECONDS)
        count = len(self.paid)
        House.until(lambda: len(self.paid), lambda now: now >= count + CALLERS, 120)

    def _call(self) -> None:
        while not self._over.is_set():
            body = {"amount": 499, "gateway": "razorpay", "customer": CUSTOMER}
            order_id = self._ask("POST", "/api/payment/create-order", json=body)["order"]["orderId"]
            self._ask("GET", f"/api/payment/status/razorpay/{order_id}")
            self.house.simulate(f"orders/{order_id}/success")
            with self._lock:
                self.paid.append(order_id)
            self._ask("GET", f"/api/payment/status/razorpay/{order_id}")
            time.sleep(random.uniform(0.1, 0.5))

    def _ask(self, method: str, path: str, **options: object) -> dict[str, dict[str, str]]:
        version = random.choice(self.serving)
        answer = requests.request(method, version.url + path, timeout=60, **options)  # type: ignore[arg-type]
        with self._lock:
            self.seen[f"{version.tree.name} {method} {answer.status_code}"] += 1
        assert answer.status_code == 200, answer.text
        told: dict[str, dict[str, str]] = answer.json()
        return told


def test_old_and_new_run_beside_each_other_through_the_migration_and_no_request_fails(
    old_tree: Path, postgres_database: Callable[[str], str], tmp_path: Path, merchant: Wire
) -> None:
    database_url, simulator_port = postgres_database("two_versions"), free_port()
    told = {"MERCHANT_WEBHOOK_URL": merchant.url, "MERCHANT_WEBHOOK_SECRET": SECRET}
    settings = environment(database_url=database_url, simulator_port=simulator_port, **told)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    old, new = (
        Version(tree, {**inherited, **settings}, tmp_path / f"{name}.log")
        for name, tree in (("old", old_tree), ("new", ROOT))
    )
    with running_switch(tmp_path, old.port) as public:
        url = f"http://127.0.0.1:{public.port}"
        house = House(
            url,
            f"http://127.0.0.1:{simulator_port}",
            database_url,
            tmp_path / "x.log",
            {**inherited, **settings},
        )
        house.start_simulator()
        for version in (old, new):
            version.environment["BACKEND_URL"] = url
        try:
            old.upgrade()
            old.start()
            load = Load(house, old)
            with load.running():
                load.until_more_are_paid()
                new.upgrade()
                load.until_more_are_paid()
                new.start()
                load.serving = (old, new)
                load.until_more_are_paid()
                public.lead_to(new.port)  # webhooks go to the new one
                load.until_more_are_paid()
                load.serving = (new,)
                time.sleep(2.0)  # what is under way at the old one ends
                old.stop()
                load.until_more_are_paid()
            print(load.seen, len(load.paid))
            ids = House.until(lambda: completed(merchant), lambda found: len(found) >= len(load.paid), 120)
            assert sorted(ids) == sorted(load.paid)
            with Books(database_url) as books:
                assert {row["status"] for row in books.rows("SELECT status FROM payments")} == {"completed"}
            verified = subprocess.run(
                [sys.executable, "-m", "flask", "--app", "wsgi", "verify-ledger"],
                cwd=ROOT,
                env=new.environment,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert verified.returncode == 0, verified.stdout
        finally:
            old.stop()
            new.stop()
            house.stop()


def completed(merchant: Wire) -> list[str]:
    """The orders of which the merchant was told, each once for each id."""
    told = {
        request.headers["webhook-id"]: request.json()
        for request in list(merchant.requests)
        if b"payment.completed" in request.body
    }
    return [event["data"]["orderId"] for event in told.values()]
