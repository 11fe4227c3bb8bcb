"""Celery on two machines, one of which is cut off or sleeps: the other does its work, and nothing twice.

Each machine is a worker with beat, which reaches database and broker through switches on an address of its
own. One that is cut off still reaches gateway and merchant: what it does there it cannot write down. One that
sleeps, as a virtual machine that is moved, goes on in the middle of its work as if no time had passed.
"""

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import make_url, text

from tests.conftest import count_use
from tests.flows.delivering import SECRET
from tests.infrastructure.tap import Tap, tapped
from tests.support.celery_worker import celery
from tests.support.house import House, running_house
from tests.support.redis import running_redis
from tests.support.switch import Switch, running_switch

pytestmark = [pytest.mark.check, pytest.mark.timeout(600)]

PAUSE_SECONDS = 0.5
"""Between two payments, of which every second one is only held until a worker captures it."""
MOST_PAYMENTS = 200
SLOW_SECONDS = 1.0
"""Of each question to the gateway, so that the network can break in the middle of one."""
NEXT_QUESTION_SECONDS = 10
"""While an event is told. A machine that asks nothing so long has nothing due: the next event is as good."""
MOST_SECONDS = 200
"""For all that the lost machine had in hand: a lease of two minutes, and the work."""
BACK_SECONDS = 120
"""Celery waits longer from try to try, up to half a minute, and then a payment is due after 20 seconds."""
ROWS = {
    "payments": "id, status, history_count, next_check_at, completed_at, updated_at",
    "payment_events": "id, payment_id, sequence, to_status",
    "events": "event_id, fact",
    "outbox": "id, state, attempts, generation, next_try_at, delivered_at",
}


@dataclass
class Machine:
    """How a worker reaches the others, and what it said to the gateway."""

    name: str
    switches: list[Switch]
    gateway: Tap
    variables: dict[str, str]
    worker: int = 0
    """Its group of processes."""

    @property
    def said(self) -> bytes:
        return b"\n".join(bytes(said) for said in self.gateway.said)

    @property
    def questions(self) -> int:
        return self.said.count(b"GET ")

    @property
    def captures(self) -> list[bytes]:
        return re.findall(rb"POST \S+/payments/(\w+)/capture", self.said)

    def asks_within(self, seconds: float) -> bool:
        """Wait for the machine's next question to the gateway."""
        asked, ends = self.questions, time.monotonic() + seconds
        while self.questions == asked and time.monotonic() < ends:
            time.sleep(0.05)
        return self.questions > asked

    def cut_off(self) -> None:
        for switch in self.switches:
            switch.freeze()

    def connect(self) -> None:
        for switch in self.switches:
            switch.wake()

    def sleep(self) -> None:
        os.killpg(self.worker, signal.SIGSTOP)

    def wake(self) -> None:
        os.killpg(self.worker, signal.SIGCONT)


GOES = {"cut off": (Machine.cut_off, Machine.connect), "asleep": (Machine.sleep, Machine.wake)}
"""How a machine is lost, and how it comes back."""


@dataclass
class Merchant:
    """An application that is told, by each machine at an address of its own."""

    url: str = ""
    told: list[tuple[str, str, bytes]] = field(default_factory=list)
    """By which machine, the event's id, its body."""
    to_lose: Machine | None = None
    lose: Callable[[Machine], None] = Machine.cut_off
    in_hand: str = ""
    """The event that the machine was telling when it was lost."""

    def take(self, machine: str, event_id: str, body: bytes) -> None:
        self.told.append((machine, event_id, body))
        victim = self.to_lose
        if victim is None or victim.name != machine:
            return
        self.to_lose = None
        if not victim.asks_within(NEXT_QUESTION_SECONDS):
            self.to_lose = victim
            return
        self.lose(victim)
        self.in_hand = event_id

    def completed(self) -> dict[str, set[str]]:
        """The ids under which the completion of each payment was told."""
        found: dict[str, set[str]] = {}
        for _, event_id, body in list(self.told):
            event = json.loads(body)
            if event["type"] == "payment.completed":
                found.setdefault(event["data"]["id"], set()).add(event_id)
        return found


@contextmanager
def merchant() -> Iterator[Merchant]:
    made = Merchant()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.take(self.path.removeprefix("/"), self.headers["webhook-id"], body)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def machine(house: House, told: Merchant, folder: Path, name: str, host: str) -> Iterator[Machine]:
    database, broker = make_url(house.database_url), make_url(house.environment["CELERY_BROKER_URL"])
    with (
        running_switch(folder, database.port or 0, host) as to_database,
        running_switch(folder, broker.port or 0, host) as to_broker,
        tapped(urlsplit(house.simulator_url).port or 0) as to_gateway,
    ):
        through = database.set(host=host, port=to_database.port).render_as_string(hide_password=False)
        variables = {
            "DATABASE_URL": through,
            "CELERY_BROKER_URL": f"redis://{host}:{to_broker.port}/0",
            "RAZORPAY_API_URL": f"http://127.0.0.1:{to_gateway.port}/razorpay",
            "MERCHANT_WEBHOOK_URL": f"{told.url}/{name}",
        }
        yield Machine(name, [to_database, to_broker], to_gateway, variables)


def pay_in_silence(house: House, *, is_held: bool = False) -> str:
    """The payer pays, and no webhook tells: the payment's id."""
    created = house.create_order()
    house.simulate(f"orders/{created['order']['orderId']}/{'authorize' if is_held else 'success'}")
    return str(created["id"])


def rows(house: House) -> dict[str, list[tuple[Any, ...]]]:
    with house.database() as database, database.read() as session:
        return {
            table: [tuple(row) for row in session.execute(text(f"SELECT {names} FROM {table} ORDER BY 1"))]
            for table, names in ROWS.items()
        }


def undelivered(house: House) -> int:
    with house.database() as database, database.read() as session:
        waiting = text("SELECT count(*) FROM outbox WHERE state <> 'delivered'")
        return int(session.execute(waiting).scalar_one())


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("goes", GOES)
def test_a_machine_that_is_lost_loses_nothing_and_undoes_nothing_when_it_is_back(
    database_url: str, tmp_path: Path, goes: str
) -> None:
    count_use("redis")
    lose, bring_back = GOES[goes]
    with ExitStack() as stack:
        redis_url, told = stack.enter_context(running_redis()), stack.enter_context(merchant())
        variables = {
            "CELERY_BROKER_URL": redis_url,
            "MERCHANT_WEBHOOK_URL": told.url,
            "MERCHANT_WEBHOOK_SECRET": SECRET,
        }
        house = stack.enter_context(running_house(database_url, tmp_path, **variables))
        a, b = (
            stack.enter_context(machine(house, told, tmp_path, name, host))
            for name, host in (("a", "127.0.0.2"), ("b", "127.0.0.3"))
        )
        for one in (a, b):
            worker = celery(house, "--beat", "-n", f"{one.name}@%h", **one.variables)
            one.worker = stack.enter_context(worker).pid
        house.simulate("faults", {"gateway": "razorpay", "on": "webhook", "kind": "drop", "count": 1000})
        slow = {"gateway": "razorpay", "on": "fetch", "kind": "slow", "seconds": SLOW_SECONDS, "count": 1000}
        house.simulate("faults", slow)

        told.to_lose, told.lose = a, lose
        paid: list[str] = []
        while not told.in_hand:
            assert len(paid) < MOST_PAYMENTS, "the machine has told nothing in the middle of a question"
            paid.append(pay_in_silence(house, is_held=len(paid) % 2 == 0))
            time.sleep(PAUSE_SECONDS)
        asked, lost_at = a.questions, time.monotonic()
        house.until(lambda: set(told.completed()), lambda found: found == set(paid), MOST_SECONDS)
        house.until(lambda: undelivered(house), lambda count: count == 0, MOST_SECONDS)
        took = time.monotonic() - lost_at
        print(f"{len(paid)} paid, taken over in {took:.0f} s; questions: {asked} and {b.questions}")

        senders: dict[str, list[str]] = {}
        for sender, event_id, _ in told.told:
            senders.setdefault(event_id, []).append(sender)
        assert senders[told.in_hand] == ["a", "b"], "told by one, written down by the other"
        assert [ids for ids in told.completed().values() if len(ids) > 1] == []
        again = {event_id for event_id, who in senders.items() if len(who) > 1}
        assert all(senders[event_id] == ["a", "b"] for event_id in again), "by no machine twice"
        assert len({(event_id, body) for _, event_id, body in told.told}) == len(senders)
        captured = Counter(a.captures + b.captures)
        assert len(captured) == len(paid[::2])
        assert set(captured.values()) == {1}
        before = rows(house)
        completions = Counter(row[1] for row in before["payment_events"] if row[3] == "completed")
        assert len(completions) == len(paid)
        assert set(completions.values()) == {1}

        bring_back(a)
        b.cut_off()
        later = pay_in_silence(house)
        house.until(lambda: told.completed().get(later), bool, BACK_SECONDS)
        assert {who for who, _, body in told.told if later.encode() in body} == {"a"}
        b.connect()
        house.until(lambda: undelivered(house), lambda count: count == 0)
        after = rows(house)
        for table, known in before.items():
            ours = {row[0] for row in known}
            assert [row for row in after[table] if row[0] in ours] == known, "what was written stays"
