"""One intent, one payable order: whatever is sent twice, lost or killed on the way.

Lost answers and killed processes run beside a real simulator, in this process and in child processes, because
their time has to be short; the crowd runs against the real service.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.domain.deadline import Deadline
from payments_service.gateways import http
from payments_service.gateways.base import Gateway
from payments_service.settings import Settings
from payments_service.store.db import Database
from payments_service.store.tables import IdempotencyKey, PaymentOrder
from tests.e2e import dying, look
from tests.e2e.test_phonepe import ONLY_V1
from tests.support.environment import environment
from tests.support.house import CUSTOMER, ROOT, House
from tests.support.ports import free_port
from tests.support.sweeping import ask_now, sweep_payments

CREATE = "/api/payment/create-order"
KEY = "key-of-one-intent"
LONG_AGO = timedelta(minutes=3)
READ_SECONDS = 1.0
LATER_SECONDS = 1.3


def wish(gateway: str) -> dict[str, Any]:
    return {"amount": 499, "gateway": gateway, "customer": CUSTOMER}


# ── a crowd ─────────────────────────────────────────────────────────────────────────────────────────


def test_fifty_at_once_with_one_key_make_one_order(house: House) -> None:
    """Two processes with eight threads each answer them."""
    before = house.simulated("orders?gateway=razorpay&limit=1")["total"]
    key = f"fifty-at-once-{free_port()}"

    def ask(_number: int = 0) -> requests.Response:
        return requests.post(
            house.url + CREATE, json=wish("razorpay"), headers={"Idempotency-Key": key}, timeout=40
        )

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))
    made = [answer for answer in answers if answer.status_code == 200]
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert len(made) + len(waiting) == 50, {answer.text for answer in answers}
    assert {answer.json()["code"] for answer in waiting} <= {"request_in_progress"}
    assert len({answer.content for answer in made}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in made) == 1
    again = ask()
    assert (again.content, again.headers["Idempotency-Replayed"]) == (made[0].content, "true")
    assert house.simulated("orders?gateway=razorpay&limit=1")["total"] == before + 1


# ── lost answers, killed processes ──────────────────────────────────────────────────────────────────


@dataclass
class Shop:
    app: Flask
    gateway_name: str
    simulator: House
    payment_id: str = ""

    @property
    def db(self) -> Database:
        db: Database = self.app.extensions["payments_service"].db
        return db

    @property
    def gateway(self) -> Gateway:
        found: Gateway = self.app.extensions["payments_service"].providers(self.gateway_name)[0]
        return found

    def ask(self, key: str = KEY, gateway: str | None = None) -> TestResponse:
        body = wish(gateway or self.gateway_name)
        return self.app.test_client().post(CREATE, json=body, headers={"Idempotency-Key": key})

    def fault(self, on: str, kind: str, count: int, seconds: float | None = None) -> None:
        wish = {"gateway": self.gateway_name, "on": on, "kind": kind, "count": count}
        self.simulator.simulate("faults", wish if seconds is None else {**wish, "seconds": seconds})

    def orders(self, payment_id: str) -> list[PaymentOrder]:
        """Ours, oldest first."""
        with self.db.read() as session:
            query = select(PaymentOrder).where(PaymentOrder.payment_id == UUID(payment_id))
            return list(session.scalars(query.order_by(PaymentOrder.created_at)))

    def at_the_gateway(self, payment_id: str) -> list[str]:
        """Which of them the gateway has."""
        wire_ids = [order.wire_id for order in self.orders(payment_id)]
        return [wire_id for wire_id in wire_ids if self.simulator.simulated(f"orders?q={wire_id}")["orders"]]

    def let_leases_pass(self) -> None:
        with self.db.begin() as session:
            for key in session.scalars(select(IdempotencyKey)):
                key.leased_until -= LONG_AGO
            for order in session.scalars(select(PaymentOrder)):
                order.leased_until -= LONG_AGO
                order.created_at -= LONG_AGO

    def sweep(self) -> None:
        ask_now(self.db)
        sweep_payments(self.db, self.gateway)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Its webhooks go nowhere: what is learnt here is learnt by asking."""
    port = free_port()
    variables = environment(database_url="", simulator_port=port)
    log = tmp_path_factory.mktemp("simulator") / "log"
    house = House("http://127.0.0.1:9", f"http://127.0.0.1:{port}", "", log, variables)
    try:
        with house.http:
            house.start_simulator()
            yield house
    finally:
        house.stop()


@pytest.fixture
def open_shop(
    database_url: str, simulator: House, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Shop]]:
    """The service in this process, with less patience than in real life."""
    monkeypatch.setattr(Deadline, "READ_SECONDS", READ_SECONDS)
    monkeypatch.setattr(http, "READ_TRIES", 1)
    port = int(simulator.simulator_url.rpartition(":")[2])
    opened: list[Shop] = []

    def make(provider: str) -> Shop:
        more = ONLY_V1 if provider == "phonepe_v1" else {}
        variables = environment(database_url=database_url, simulator_port=port, **more)
        app = create_app(Settings.from_environment(variables))
        opened.append(Shop(app, provider.removesuffix("_v1"), simulator))
        return opened[-1]

    yield make
    simulator.clear_faults()
    for shop in opened:
        shop.db.engine.dispose()


@pytest.fixture
def shop(open_shop: Callable[[str], Shop]) -> Shop:
    return open_shop("razorpay")


@pytest.mark.parametrize("providers", [("razorpay", "phonepe"), ("cashfree", "phonepe_v1")])
def test_an_answer_that_is_lost_ends_with_one_payable_order(
    open_shop: Callable[[str], Shop], providers: tuple[str, str]
) -> None:
    """The gateway made the order, and neither its answer nor the next one arrived in time."""
    shops = [open_shop(provider) for provider in providers]
    with ThreadPoolExecutor(len(shops)) as pool:
        list(pool.map(lose_an_answer, shops))
    for shop in shops:
        *lost, current = shop.orders(shop.payment_id)
        if shop.gateway_name == "phonepe":
            assert shop.at_the_gateway(shop.payment_id) == [lost[0].wire_id, current.wire_id]
            assert [order.status for order in (*lost, current)] == ["lost", "open"]
            watched_to_the_end(shop, shop.payment_id, lost[0], current)
        else:
            assert lost == []
            assert shop.at_the_gateway(shop.payment_id) == [current.wire_id]


def lose_an_answer(shop: Shop) -> None:
    key = f"{KEY}-{shop.gateway_name}"
    shop.fault("create_order", "timeout_after", 1, LATER_SECONDS)
    shop.fault("fetch", "timeout_after", 1, LATER_SECONDS)
    shop.fault("fetch", "reset_before", 1)
    first = shop.ask(key)
    assert (first.status_code, first.json["code"]) == (500, "outcome_unknown")
    still = shop.ask(key)
    assert (still.status_code, still.json["code"]) == (409, "outcome_unknown")
    assert still.headers["Retry-After"]
    opened = shop.ask(key)
    assert opened.status_code == 200, opened.text
    assert opened.json["id"] == still.json["id"] == first.json["id"]
    assert shop.ask(key).data == opened.data
    shop.payment_id = opened.json["id"]
    current = shop.orders(shop.payment_id)[-1]
    assert opened.json["order"]["orderId"] in (current.wire_id, current.gateway_order_id)


def watched_to_the_end(shop: Shop, payment_id: str, lost: PaymentOrder, current: PaymentOrder) -> None:
    """Whoever paid the lost one after all has paid; and whoever paid both gets a person's attention."""
    shop.simulator.simulate(f"orders/{lost.wire_id}/success")
    shop.sweep()
    paid = shop.app.test_client().get(f"/api/payment/status/{shop.gateway_name}/{payment_id}").json
    assert paid["paymentStatus"] == "completed"
    assert shop.ask(f"{KEY}-{shop.gateway_name}").json["code"] == "order_paid"
    shop.simulator.simulate(f"orders/{current.wire_id}/success")
    shop.sweep()
    assert look.review(as_house(shop), payment_id) == "second_success"
    assert look.trail(as_house(shop), payment_id).count("completed") == 1


def as_house(shop: Shop) -> House:
    return House("", "", shop.db.url, Path(), {})


def test_an_order_that_never_came_to_be_is_replaced_after_its_lease(shop: Shop) -> None:
    shop.fault("create_order", "timeout_before", 1, LATER_SECONDS)
    first = shop.ask()
    assert (first.status_code, first.json["code"]) == (500, "outcome_unknown")
    absent = shop.ask()
    assert (absent.status_code, absent.json["code"]) == (409, "outcome_unknown")
    assert absent.json["id"] == first.json["id"]
    shop.let_leases_pass()
    opened = shop.ask()
    assert (opened.status_code, opened.json["id"]) == (200, first.json["id"])
    lost, current = shop.orders(opened.json["id"])
    assert lost.status == "lost"
    assert shop.at_the_gateway(opened.json["id"]) == [current.wire_id]


def test_a_service_killed_anywhere_leaves_one_payable_order_and_one_answer(shop: Shop) -> None:
    """kill -9 after each step: nobody takes over before the lease has passed, and who does asks first."""
    killed = {f"killed {place}".replace(" ", "-"): ("razorpay", place) for place in dying.PLACES}
    killed["killed-and-address-lost"] = ("phonepe", "after the call")
    words = [":".join((gateway, key, place)) for key, (gateway, place) in killed.items()]
    port = int(shop.simulator.simulator_url.rpartition(":")[2])
    variables = {**environment(database_url=shop.db.url, simulator_port=port), "PYTHONPATH": str(ROOT)}
    variables["SIMULATOR"] = shop.simulator.simulator_url
    command = [sys.executable, "-m", "tests.e2e.dying", *words]
    ended = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.stdout.split("\n")[:-1] == ["9"] * len(words), ended.stdout + ended.stderr

    for key, (gateway, _) in killed.items():
        early = shop.ask(key, gateway)
        assert (early.status_code, early.json["code"]) == (409, "request_in_progress"), key
        assert early.headers["Retry-After"]
    shop.let_leases_pass()
    for key, (gateway, place) in killed.items():
        opened = shop.ask(key, gateway)
        assert opened.status_code == 200, (key, opened.text)
        again = shop.ask(key, gateway)
        assert (again.data, again.headers["Idempotency-Replayed"]) == (opened.data, "true")
        *lost, current = shop.orders(opened.json["id"])
        assert opened.json["order"]["orderId"] in (current.wire_id, current.gateway_order_id)
        assert {order.status for order in lost} <= {"lost"}
        if gateway == "razorpay":
            assert shop.at_the_gateway(opened.json["id"]) == [current.wire_id], key
        assert len(lost) == (gateway == "phonepe" or place == "after the intent"), key
