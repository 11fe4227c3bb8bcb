"""Everybody at the same instant, with real processes: one effect, told once."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import select

from payments_service import create_app
from payments_service.api import Services
from payments_service.settings import Settings
from payments_service.store.tables import Outbox, PaymentEvent, PaymentWebhook
from tests.chaos.town import MERCHANT_SECRET
from tests.e2e.journeys import Json
from tests.e2e.test_razorpay import TestRazorpay as RazorpaysWords
from tests.e2e.test_razorpay import sign
from tests.support.house import House, running_house
from tests.support.sweeping import ask_now, sweep_payments

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "15"))
PROCESSES = 20
POST = """
import http.client, sys, time
host, moment, body, *headers = sys.argv[1:]
time.sleep(max(0, float(moment) - time.time()))
line = http.client.HTTPConnection(host, timeout=60)
line.request("POST", "/api/webhook/razorpay", body, dict(h.split(": ", 1) for h in headers))
print(line.getresponse().status)
"""


@pytest.fixture
def told_house(database_url: str, tmp_path: Path) -> Iterator[House]:
    """A house with a merchant to tell, who is never told because no worker runs."""
    merchant = {
        "MERCHANT_WEBHOOK_URL": "http://127.0.0.1:9/hooks",
        "MERCHANT_WEBHOOK_SECRET": MERCHANT_SECRET,
    }
    with running_house(database_url, tmp_path, **merchant) as house:
        yield house


def paid_event(order_id: str) -> bytes:
    now = int(time.time())
    entity = {"id": f"pay_{time.time_ns()}", "entity": "payment", "amount": 49900, "currency": "INR"}
    entity |= {
        "status": "captured",
        "captured": True,
        "order_id": order_id,
        "method": "upi",
        "created_at": now,
    }
    event = {"event": "payment.captured", "payload": {"payment": {"entity": entity}}, "created_at": now}
    return json.dumps(event).encode()


def completed(house: House, payment_id: str) -> tuple[int, int]:
    """How often the payment completed, and how often that is told."""
    with house.database() as db, db.read() as session:
        moves = select(PaymentEvent).where(
            PaymentEvent.payment_id == UUID(payment_id), PaymentEvent.to_status == "completed"
        )
        told = select(Outbox).where(Outbox.payment_id == UUID(payment_id), Outbox.type == "payment.completed")
        moved = [move for move in session.scalars(moves) if move.kind == "status"]
        return len(moved), len(session.scalars(told).all())


def test_twenty_processes_deliver_one_event_and_it_counts_once(told_house: House) -> None:
    created = told_house.create_order()
    raw = paid_event(created["order"]["orderId"])
    headers = {"Content-Type": "application/json", **RazorpaysWords().genuine_headers(raw)}
    moment = time.time() + 8
    command = [sys.executable, "-I", "-S", "-c", POST, told_house.url.removeprefix("http://"), str(moment)]
    command += [raw.decode(), *(f"{name}: {value}" for name, value in headers.items())]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
    answers = [process.communicate(timeout=90)[0].strip() for process in processes]
    assert answers == [b"200"] * PROCESSES
    with told_house.database() as db, db.read() as session:
        rows = session.scalars(select(PaymentWebhook)).all()
        assert [(row.outcome, row.error) for row in rows] == [("applied", None)]
    assert completed(told_house, created["id"]) == (1, 1)
    assert "Traceback" not in told_house.log()


def test_verify_webhook_and_worker_at_the_same_instant_complete_a_payment_once(told_house: House) -> None:
    """Webhooks wait for the simulator's clock, which is put forward when all three are let go."""
    house = told_house
    house.simulate("faults/storm", {"rate": 1, "kinds": ["delay"], "seconds": 60, "on": ["webhook"]})
    settings = Settings.from_environment(house.environment)
    worker: Services = create_app(settings).extensions["payments_service"]
    barrier, found = Barrier(3), Counter[tuple[int, int]]()
    try:
        with ThreadPoolExecutor(3) as pool:
            for number in range(ROUNDS):
                created = house.create_order(499, ("razorpay", "cashfree", "phonepe")[number % 3])
                order_id = created["order"]["orderId"]
                paid = house.simulate(f"orders/{order_id}/success")
                ask_now(worker.db, UUID(created["id"]))
                all_three = (
                    pool.submit(_verify, barrier, house, created, paid),
                    pool.submit(_let_webhooks_go, barrier, house),
                    pool.submit(_sweep, barrier, worker, created["gateway"]),
                )
                for one in all_three:
                    one.result(60)
                house.simulated(f"deliveries?wait=20&orderId={order_id}")
                if completed(house, created["id"]) == (0, 0):
                    house.wait_for_status(order_id, "completed", created["gateway"])
                found[completed(house, created["id"])] += 1
    finally:
        worker.db.engine.dispose()
    assert found == {(1, 1): ROUNDS}
    assert "Webhook could not be applied" not in house.log()
    assert "internal_error" not in house.log()


def _verify(barrier: Barrier, house: House, created: Json, paid: Json) -> None:
    order_id = created["order"]["orderId"]
    payment_id = paid["attempts"][-1]["paymentId"]
    fields = {"gateway": created["gateway"], "orderId": order_id}
    if created["gateway"] == "razorpay":
        fields |= {"paymentId": payment_id, "signature": sign(order_id, payment_id)}
    barrier.wait(60)
    answer = house.post("/api/payment/verify-payment", fields)
    assert answer.status_code in (200, 402), json.dumps(answer.json())


def _let_webhooks_go(barrier: Barrier, house: House) -> None:
    barrier.wait(60)
    house.simulate("clock", {"advance_seconds": 61})


def _sweep(barrier: Barrier, worker: Services, gateway_name: str) -> None:
    [gateway] = [gateway for gateway in worker.gateways if gateway.name == gateway_name]
    barrier.wait(60)
    sweep_payments(worker.db, gateway)
