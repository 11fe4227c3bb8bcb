"""What the worker does in an outage and after it: `python -m tests.bench --outages`, on PostgreSQL.

Much is due at once: open payments of a gateway that is down, events to a receiver that is slow or dead.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, create_engine, insert, text
from uuid6 import uuid7

from payments_service.gateways.razorpay import RazorpayGateway
from payments_service.store.address import normalized_url
from payments_service.store.tables import Event, Outbox, Payment, PaymentOrder
from tests.bench import servers, work
from tests.bench.scenarios import HUNG_MS, Findings, Size, make_payment
from tests.bench.servers import Server

OPEN_PAYMENTS = 20_000
EVENTS = 50_000
FRESH = 10
BACK_MS = 150
SLOW_MS = 200
SETTLE_SECONDS = 15
"""Until the worker has begun, and knows what is down."""
SECONDS = 30
PATIENCE_SECONDS = 60
SECRET = "whsec_YmVuY2htYXJrLXNlY3JldC1vZi1uby13b3J0aC1hdC1hbGw="
CASHFREE = {"CASHFREE_APP_ID": "TEST_benchmark", "CASHFREE_APP_SECRET": "benchmark_cashfree_app_secret"}


@dataclass(frozen=True)
class Town:
    """A database with one payment that create-order made, and Razorpay."""

    folder: Path
    url: str
    engine: Engine
    gateway: Server
    made: UUID


@contextmanager
def town(folder: Path) -> Iterator[Town]:
    folder.mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(servers.database("postgresql", folder))
        gateway = stack.enter_context(servers.gateway(folder))
        servers.set_known(gateway, "order_due")
        engine = create_engine(normalized_url(url))
        stack.callback(engine.dispose)
        with servers.service(folder, url, gateway.port) as service:
            made = make_payment(service)
        yield Town(folder, url, engine, gateway, made)


# ── a gateway ───────────────────────────────────────────────────────────────────────────────────────


def a_gateway_is_down(_size: Size, folder: Path, findings: Findings) -> None:
    """Cashfree does not answer, and 20,000 of its payments are due; a payment at Razorpay becomes due."""
    name = f"{OPEN_PAYMENTS:,} open payments, one gateway hangs: a fresh one of another is asked about within"
    within = findings.figure(name, "s", must="at most 10 s")
    with town(folder) as here, servers.gateway(folder) as other:
        servers.set_delay(other, HUNG_MS)
        _open_payments(here, "duecf", OPEN_PAYMENTS, "cashfree")
        more = {**CASHFREE, "CASHFREE_API_URL": f"{other.url}/pg"}
        with servers.worker(folder, here.url, here.gateway.port, **more) as worker:
            time.sleep(SETTLE_SECONDS)
            within.ours = [max(_seconds_until_asked(here, f"duefresh{number}x") for number in range(FRESH))]
            _end(worker, findings, "a gateway that hangs")


def _seconds_until_asked(here: Town, run: str) -> float:
    [order_id] = _open_payments(here, run, 1)
    return _seconds_until(lambda: servers.times_asked(here.gateway, order_id))


def a_gateway_is_back(_size: Size, folder: Path, findings: Findings) -> None:
    """20,000 payments are due at a gateway that hung, and answers again, each in 150 ms."""
    budget = RazorpayGateway.reads_per_second
    name = f"it is back at {BACK_MS} ms: questions a second, of its read budget"
    part = findings.figure(name, "%", must="at least 50 %")
    with town(folder) as here:
        servers.set_delay(here.gateway, HUNG_MS)
        _open_payments(here, "due", OPEN_PAYMENTS)
        with servers.worker(folder, here.url, here.gateway.port) as worker:
            time.sleep(SETTLE_SECONDS)
            servers.set_delay(here.gateway, BACK_MS)
            before = servers.times_asked(here.gateway)
            took = _seconds_until(lambda: servers.times_asked(here.gateway) - before)
            findings.figure("it is back: the first question comes after", "s").ours = [took]
            time.sleep(SETTLE_SECONDS)  # what was saved of the budget is spent
            with _share_of_a_core(worker, findings, "it is back: the worker's share of a core"):
                before = servers.times_asked(here.gateway)
                time.sleep(SECONDS)
                asked = servers.times_asked(here.gateway) - before
            part.ours.append(100 * asked / SECONDS / budget)


def _open_payments(here: Town, run: str, count: int, gateway: str = "razorpay") -> list[str]:
    """Open payments that are due now, begun in the last hours; the ids of their orders."""
    events = work.webhooks(run, count)
    now = datetime.now(UTC)
    moments = {event: now - timedelta(seconds=3 * number) for number, event in enumerate(events)}
    theirs = {"gateway": gateway, "provider": gateway}
    with here.engine.begin() as connection:
        copies = work.Copies(connection, [(event, uuid7()) for event in events])
        copies.write(
            Payment,
            Payment.id == here.made,
            lambda event, new: {
                "id": new,
                "order_id": event.order_id,
                "created_at": moments[event],
                "expires_at": now + timedelta(days=1),
                "next_check_at": now,
                "history_count": 0,
                "history_head": None,
                **theirs,
            },
        )
        copies.write(
            PaymentOrder,
            PaymentOrder.payment_id == here.made,
            lambda event, new: {
                "id": uuid7(),
                "payment_id": new,
                "wire_id": f"w{event.order_id}",
                "gateway_order_id": event.order_id,
                "provider": gateway,
            },
        )
        if count > 1:
            connection.execute(text("ANALYZE"))
    return [event.order_id for event in events]


# ── a receiver ──────────────────────────────────────────────────────────────────────────────────────


def a_receiver_is_slow(_size: Size, folder: Path, findings: Findings) -> None:
    """50,000 events wait for an application that takes 200 ms for each; one more happens now and then."""
    name = f"{EVENTS:,} events to a receiver of {SLOW_MS} ms"
    rate = findings.figure(f"{name}: told", "/s", must="at least 50/s")
    within = findings.figure(f"{name}: what happens now is told within", "s", must="at most 15 s")
    with town(folder) as here, servers.receiver(folder, SLOW_MS) as shop:
        _events(here, EVENTS)
        with servers.worker(folder, here.url, here.gateway.port, **_told_to(shop.url)) as worker:
            time.sleep(SETTLE_SECONDS)
            with _share_of_a_core(worker, findings, f"{name}: the worker's share of a core"):
                before = servers.events_taken(shop)
                time.sleep(SECONDS)
                rate.ours.append((servers.events_taken(shop) - before) / SECONDS)
            within.ours = [max(_seconds_until_told(here, shop) for _ in range(FRESH))]
            _end(worker, findings, f"a receiver of {SLOW_MS} ms")
        findings.checked += servers.events_taken(shop)
        if again := servers.events_taken_again(shop):
            findings.wrong.append(f"{again} events were told more than once")


def _seconds_until_told(here: Town, shop: Server) -> float:
    [event_id] = _events(here, 1)
    return _seconds_until(lambda: servers.events_taken(shop, event_id))


def a_receiver_is_dead(_size: Size, folder: Path, findings: Findings) -> None:
    """50,000 events wait for an application that is not there."""
    name = f"{EVENTS:,} events to a dead receiver: share of a core"
    with town(folder) as here:
        _events(here, EVENTS)
        nowhere = f"http://127.0.0.1:{servers.free_port()}"
        with servers.worker(folder, here.url, here.gateway.port, **_told_to(nowhere)) as worker:
            time.sleep(SETTLE_SECONDS)
            with _share_of_a_core(worker, findings, name, must="at most 5 %"):
                time.sleep(2 * SECONDS)
            findings.figure("memory of the worker (PSS) then", "MiB").ours = [worker.memory_mib()]


def _told_to(url: str) -> dict[str, str]:
    return {"MERCHANT_WEBHOOK_URL": f"{url}/events", "MERCHANT_WEBHOOK_SECRET": SECRET}


def _events(here: Town, count: int) -> list[str]:
    """Events that wait to be told, of the last hours; one alone is of now. Their ids."""
    now = datetime.now(UTC)
    body = json.dumps({"type": "payment.completed", "data": {"padding": "x" * 1000}}).encode()
    told = [
        {
            "event_id": f"evt_{uuid7().hex}",
            "fact": f"payment.completed:{uuid7()}",
            "type": "payment.completed",
            "payment_id": here.made,
            "body": body,
            "created_at": now - timedelta(seconds=number),
        }
        for number in range(count)
    ]
    waiting = {"destination": "merchant", "state": "pending", "attempts": 0, "generation": 1}
    with here.engine.begin() as connection:
        connection.execute(insert(Event), [{"id": uuid7(), **one} for one in told])
        connection.execute(
            insert(Outbox),
            [{"id": uuid7(), **one, **waiting, "next_try_at": one["created_at"]} for one in told],
        )
        if count > 1:
            connection.execute(text("ANALYZE"))
    return [str(one["event_id"]) for one in told]


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────


def _seconds_until(has_come: Callable[[], int]) -> float:
    """How long it took; all its patience where it never came."""
    began = time.monotonic()
    while not has_come() and time.monotonic() - began < PATIENCE_SECONDS:
        time.sleep(0.05)
    return time.monotonic() - began


def _end(worker: Server, findings: Findings, waits_for: str) -> None:
    """How long a worker takes to end that works at this place."""
    figure = findings.figure(f"a worker at {waits_for} ends after SIGTERM within", "s", must="at most 10 s")
    began = time.monotonic()
    worker.process.terminate()
    worker.process.wait(PATIENCE_SECONDS)
    figure.ours = [time.monotonic() - began]


@contextmanager
def _share_of_a_core(worker: Server, findings: Findings, name: str, must: str = "") -> Iterator[None]:
    figure = findings.figure(name, "%", must=must)
    began, before = time.monotonic(), worker.cpu_seconds()
    yield
    figure.ours.append(100 * (worker.cpu_seconds() - before) / (time.monotonic() - began))


OUTAGES: dict[str, Callable[[Size, Path, Findings], None]] = {
    "gateway-down": a_gateway_is_down,
    "gateway-back": a_gateway_is_back,
    "receiver-slow": a_receiver_is_slow,
    "receiver-dead": a_receiver_is_dead,
}
