"""Celery mode: a real Redis, two workers with tasks, and one of them killed in the middle of a task."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

from payments_service.broker import PAUSE_SECONDS, Waker, client
from tests.conftest import count_use
from tests.flows.delivering import SECRET
from tests.support.celery_worker import celery
from tests.support.house import House, running_house
from tests.support.ports import free_port
from tests.support.redis import running_redis


@contextmanager
def merchant() -> Iterator[tuple[str, list[str]]]:
    """An application that is told: its address, and the ids of the payment.completed events that came."""
    ids: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if body["type"] == "payment.completed":
                ids.append(self.headers["webhook-id"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/events", ids
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def told_house(database_url: str, tmp_path: Path) -> Iterator[tuple[House, list[str]]]:
    count_use("redis")
    with running_redis() as redis_url, merchant() as (address, ids):
        variables = {
            "CELERY_BROKER_URL": redis_url,
            "MERCHANT_WEBHOOK_URL": address,
            "MERCHANT_WEBHOOK_SECRET": SECRET,
        }
        with running_house(database_url, tmp_path, **variables) as house:
            yield house, ids


def test_two_workers_one_killed_in_the_middle_of_a_task(told_house: tuple[House, list[str]]) -> None:
    house, ids = told_house
    solo = ("--pool", "solo")
    with celery(house, *solo, "--beat", "-n", "one@%h"), celery(house, *solo, "-n", "two@%h") as two:
        told = house.create_order()["order"]["orderId"]
        house.simulate(f"orders/{told}/success")
        house.until(lambda: len(ids), lambda count: count == 1)  # woken, delivered

        silent = house.create_order()
        house.simulate("faults", {"gateway": "razorpay", "on": "webhook", "kind": "drop", "count": 2})
        house.simulate(f"orders/{silent['order']['orderId']}/success")
        house.simulate("faults", {"gateway": "razorpay", "on": "fetch", "kind": "slow", "seconds": 3})
        make_due(house, silent["id"])
        house.until(lambda: house.simulated("faults")["faults"], is_taken)
        os.killpg(two.pid, signal.SIGKILL)  # it, or the other one, is asking about the payment
        make_due(house, silent["id"])
        house.until(lambda: len(ids), lambda count: count == 2, seconds=60)
    time.sleep(0.2)
    assert len(set(ids)) == 2
    assert house.status(silent["order"]["orderId"])["paymentStatus"] == "completed"


def make_due(house: House, payment_id: str) -> None:
    """As if its time had come, whoever holds a lease on it."""
    with house.database() as database, database.begin() as session:
        is_it = "id = :id" if not database.is_sqlite else "id = replace(:id, '-', '')"
        session.execute(
            text(f"UPDATE payments SET next_check_at = created_at WHERE {is_it}"), {"id": payment_id}
        )


def is_taken(faults: list[dict[str, Any]]) -> bool:
    return all(fault["remaining"] == 0 for fault in faults if fault["on"] == "fetch")


def test_a_worker_looks_for_its_broker_as_long_as_it_is_away() -> None:
    """Celery's own hundred tries are over in an hour, and then its worker ends."""
    assert client("redis://127.0.0.1:9/0").conf.broker_connection_max_retries is None


def test_a_broker_that_is_away_is_left_alone_for_a_while() -> None:
    """Nothing is raised, nothing waits for long, and the next commits do not even try."""
    now = [0.0]
    waker = Waker(f"redis://127.0.0.1:{free_port()}/0", clock=lambda: now[0])
    started = time.monotonic()
    waker("outbox")
    assert time.monotonic() - started < 5
    sent: list[object] = []
    waker._celery.send_task = lambda *_, **__: sent.append(_)
    waker("outbox")
    assert sent == []
    now[0] = PAUSE_SECONDS + 1
    waker("outbox")
    assert len(sent) == 1
