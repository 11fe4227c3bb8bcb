"""New versions under load, behind nginx as deployed: no request fails, and no event is lost or doubled."""

import random
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import text

from tests.flows.delivering import SECRET
from tests.gateways.conftest import certificate
from tests.gateways.wire import Wire
from tests.support import nginx_template as nginx
from tests.support.house import APP, CUSTOMER, ROOT, House, running_house

__all__ = ["certificate"]

pytestmark = [pytest.mark.check, pytest.mark.alone, pytest.mark.timeout(900)]

CALLERS, DEPLOYS = 64, 20
SECONDS_BETWEEN = 2.0
WITH_A_MIGRATION = 10
"""After so many deployments a column comes, as an expanding migration brings it."""
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "gunicorn", sys.argv[2]])
"""


@dataclass
class Load:
    """Callers who open orders, pay some, and ask; each on a connection of its own."""

    url: str
    house: House
    certificate: Path
    seen: Counter[str] = field(default_factory=Counter)
    paid: list[str] = field(default_factory=list)
    _over: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    def call(self, number: int) -> None:
        with requests.Session() as session:
            session.trust_env, session.verify = False, str(self.certificate)
            while not self._over.is_set():
                self._one_order(session, number)
                time.sleep(random.uniform(0.2, 1.0))

    def stop(self) -> None:
        self._over.set()

    def _one_order(self, session: requests.Session, number: int) -> None:
        body = {"amount": 499, "gateway": "razorpay", "customer": CUSTOMER}
        created = self._ask(session, "POST", "/api/payment/create-order", json=body)
        if created is None or created.status_code != 200:
            return
        order_id = created.json()["order"]["orderId"]
        self._ask(session, "GET", f"/api/payment/status/razorpay/{order_id}")
        if number % 4 == 0:
            self.house.simulate(f"orders/{order_id}/success")
            with self._lock:
                self.paid.append(order_id)
        self._ask(session, "GET", f"/api/payment/status/razorpay/{order_id}")

    def _ask(
        self, session: requests.Session, method: str, path: str, **options: object
    ) -> requests.Response | None:
        answer: requests.Response | None = None
        try:
            answer = session.request(method, self.url + path, timeout=60, **options)  # type: ignore[arg-type]
            told = f"{method} {answer.status_code}"
        except requests.RequestException as error:
            told = f"{method} {type(error).__name__}"
        with self._lock:
            self.seen[told] += 1
        return answer


def test_twenty_deployments_under_load_fail_no_request_and_lose_no_event(
    database_url: str, tmp_path: Path, certificate: Path, merchant: Wire
) -> None:
    told = {"MERCHANT_WEBHOOK_URL": merchant.url, "MERCHANT_WEBHOOK_SECRET": SECRET}
    with running_house(database_url, tmp_path, **told) as house, socket.socket() as listening:
        house.kill_service()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", urlsplit(house.url).port or 0))
        listening.listen(2048)
        serve(house, listening)
        assert requests.get(f"{house.url}/health", timeout=60).status_code == 200
        house.start_worker()
        with nginx.running(urlsplit(house.url).netloc, certificate) as (url, _, _):
            load = Load(url, house, certificate)
            with ThreadPoolExecutor(CALLERS) as pool:
                callers = [pool.submit(load.call, number) for number in range(CALLERS)]
                try:
                    for number in range(DEPLOYS):
                        deploy(house, listening, is_with_migration=number == WITH_A_MIGRATION)
                        time.sleep(SECONDS_BETWEEN)
                finally:
                    load.stop()
                for caller in callers:
                    caller.result(120)
        print(load.seen, len(load.paid))
        assert set(load.seen) == {"POST 200", "GET 200"}
        assert len(load.paid) > CALLERS
        ids = House.until(lambda: completed(merchant), lambda found: len(found) >= len(load.paid), 180)
        assert sorted(ids) == sorted(load.paid)


def deploy(house: House, listening: socket.socket, *, is_with_migration: bool) -> None:
    """As docs/deployment.md has it for a plain machine: upgrade, another web process, another worker."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(command, cwd=ROOT, env=house.environment, check=True, capture_output=True, timeout=120)
    if is_with_migration:
        with house.database() as db, db.begin() as session:
            session.execute(text("ALTER TABLE payments ADD COLUMN of_a_later_version INTEGER"))
    for process in (house.service, house.worker):
        if process:
            process.terminate()
            process.wait(90)
    serve(house, listening)
    house.start_worker()
    health = requests.get(f"{house.url}/health", timeout=60)  # on a new connection: an old one ended
    assert health.status_code == 200, "a deployment is over when the new version serves"


def serve(house: House, listening: socket.socket) -> None:
    """gunicorn with a socket that stays, as systemd hands it over: descriptor 3, and whose it is."""
    with house.log_file.open("ab") as log:
        house.service = subprocess.Popen(
            [sys.executable, "-c", AS_SYSTEMD, str(listening.fileno()), f"{APP}:app"],
            cwd=ROOT,
            env=house.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(listening.fileno(),),
        )


def completed(merchant: Wire) -> list[str]:
    """The orders of which the merchant was told, each once for each id."""
    told = {
        request.headers["webhook-id"]: request.json()
        for request in list(merchant.requests)
        if b"payment.completed" in request.body
    }
    return [event["data"]["orderId"] for event in told.values()]
