"""What is measured. Runs of the service and of the peer take turns, so that both meet the same machine."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import UUID

import requests
from sqlalchemy import Engine, create_engine

from payments_service.store.address import normalized_url
from tests.bench import books, servers, work, wrk
from tests.bench.servers import Server
from tests.bench.wrk import Load

WARM_UP_SECONDS = 2
LEAST_EVENTS = 2000
MOST_REPEATS = 4
CONNECTIONS = 64
CROWD = 400
GATEWAY_MS = 250
NETWORK_MS = 2
HUNG_MS = 120_000
PROBE_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Size:
    """How much is measured: pairs of runs, the seconds of each, and starts of both."""

    pairs: int = 5
    seconds: int = 8
    starts: int = 5
    probe_seconds: int = 15


QUICK = Size(pairs=2, seconds=2, starts=2, probe_seconds=6)


@dataclass
class Figure:
    """One measured thing: a value of the service and one of the peer for each pair of runs."""

    name: str
    unit: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    beside: str = "Express"
    """What `theirs` is."""
    must: str = ""


@dataclass
class Findings:
    """All that one run of the benchmark found."""

    figures: list[Figure] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    checked: int = 0
    """Acknowledged webhooks and orders that the check went through."""

    def figure(self, name: str, unit: str, *, beside: str = "Express", must: str = "") -> Figure:
        self.figures.append(Figure(name, unit, beside=beside, must=must))
        return self.figures[-1]


@dataclass(frozen=True)
class Place:
    """A service with all that belongs to it, and a peer with a gateway of its own."""

    folder: Path
    engine: Engine
    database_url: str
    gateway: Server
    service: Server
    peer: Server
    peer_gateway: Server
    runs: Iterator[str] = field(default_factory=lambda: (f"r{number}x" for number in count()))

    def set_delay(self, milliseconds: int) -> None:
        for one in (self.gateway, self.peer_gateway):
            servers.set_delay(one, milliseconds)


@contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    folder.mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(servers.database(kind, folder))
        ours, theirs = (stack.enter_context(servers.gateway(folder)) for _ in range(2))
        service = stack.enter_context(servers.service(folder, url, ours.port))
        peer = stack.enter_context(servers.express(folder, theirs.port))
        engine = create_engine(normalized_url(url))
        stack.callback(engine.dispose)
        yield Place(folder, engine, url, ours, service, peer, theirs)


# ── webhooks ────────────────────────────────────────────────────────────────────────────────────────


def webhooks_on_postgresql(size: Size, folder: Path, findings: Findings) -> None:
    with place("postgresql", folder) as here:
        _webhooks(here, size, findings, "PostgreSQL", must="0.30")
        _webhooks_far_away(here, size, findings)


def webhooks_on_sqlite(size: Size, folder: Path, findings: Findings) -> None:
    with place("sqlite", folder) as here:
        _webhooks(here, size, findings, "SQLite", must="0.20")


def _webhooks(here: Place, size: Size, findings: Findings, database: str, must: str) -> None:
    name = f"webhooks, {database}, {CONNECTIONS} connections"
    rate = findings.figure(name, "/s", must=must)
    cpu = findings.figure(f"{name}: processor time of the web tier", "ms each")
    made = make_payment(here.service)
    supply = Supply(here, made, findings)
    supply.warm_up(here.service)
    supply.run_at(here.peer, WARM_UP_SECONDS)
    for _ in range(size.pairs):
        for values, server in (("theirs", here.peer), ("ours", here.service)):
            before = server.cpu_seconds()
            load = supply.run_at(server, size.seconds)
            getattr(rate, values).append(load.per_second)
            getattr(cpu, values).append((server.cpu_seconds() - before) * 1000 / max(1, load.answered))


def _webhooks_far_away(here: Place, size: Size, findings: Findings) -> None:
    name = f"webhooks, PostgreSQL {NETWORK_MS} ms away, {CONNECTIONS} connections"
    rate = findings.figure(name, "/s", beside="PostgreSQL on loopback", must="0.5")
    with ExitStack() as stack:
        url = stack.enter_context(servers.far_away(here.folder, here.database_url, NETWORK_MS))
        far = stack.enter_context(servers.service(here.folder, url, here.gateway.port))
        supply = Supply(here, make_payment(here.service), findings)
        supply.warm_up(here.service)
        supply.warm_up(far)
        for _ in range(size.pairs):
            rate.theirs.append(supply.run_at(here.service, size.seconds).per_second)
            rate.ours.append(supply.run_at(far, size.seconds).per_second)


@dataclass
class Supply:
    """Webhooks enough for a run, each with a payment that waits for it; what the service took is checked."""

    here: Place
    made: UUID
    findings: Findings
    per_second: float = 0.0
    """The most that any run took so far."""

    def warm_up(self, server: Server) -> None:
        self.run_at(server, WARM_UP_SECONDS)

    def run_at(self, server: Server, seconds: float) -> Load:
        """A run that used all it had would send some again: it is repeated with more."""
        for _ in range(MOST_REPEATS):
            run = next(self.here.runs)
            events = work.webhooks(run, self._events(seconds))
            file = self.here.folder / "webhooks"
            wrk.write_requests(file, (event.request() for event in events))
            if server is self.here.peer:  # it stores nothing, so the same ones again are as new
                return wrk.run(server.port, file, CONNECTIONS, seconds)
            work.await_payment(self.here.engine, self.made, events)
            load = wrk.run(server.port, file, CONNECTIONS, seconds)
            books.settle(self.here.engine)
            self.per_second = max(self.per_second, load.answered / load.seconds)
            if load.sent <= len(events):
                wrong = books.judge_webhooks(self.here.engine, run, load)
                self.findings.checked += load.acknowledged
                self.findings.wrong += [f"webhooks, run {run}: {sentence}" for sentence in wrong]
                return load
        raise RuntimeError(f"{MOST_REPEATS} runs used up their webhooks")

    def _events(self, seconds: float) -> int:
        return int(max(LEAST_EVENTS, self.per_second * seconds * 2 + CONNECTIONS))


def make_payment(service: Server) -> UUID:
    answer = requests.post(f"{service.url}{work.CREATE_ORDER}", json=work.order_body(0), timeout=30)
    answer.raise_for_status()
    return UUID(answer.json()["id"])


# ── create-order ────────────────────────────────────────────────────────────────────────────────────


def create_orders(size: Size, folder: Path, findings: Findings) -> None:
    with place("postgresql", folder) as here:
        file = here.folder / "orders"
        wrk.write_requests(file, work.orders(20_000))
        for server in (here.peer, here.service):
            wrk.run(server.port, file, 16, WARM_UP_SECONDS)
        _orders_at_once(here, file, size, findings)
        here.set_delay(GATEWAY_MS)
        _orders_slow_gateway(here, file, size, findings)
        _orders_crowd(here, file, size, findings)


def _orders_at_once(here: Place, file: Path, size: Size, findings: Findings) -> None:
    name = "create-order, gateway at 0 ms, 16 connections"
    rate = findings.figure(name, "/s", must="0.25")
    cpu = findings.figure(f"{name}: processor time of the web tier", "ms each")
    for values, server in _turns(here, size):
        before = server.cpu_seconds()
        load = _orders_run(here, server, file, 16, size.seconds, findings)
        getattr(rate, values).append(load.per_second)
        getattr(cpu, values).append((server.cpu_seconds() - before) * 1000 / max(1, load.answered))


def _orders_slow_gateway(here: Place, file: Path, size: Size, findings: Findings) -> None:
    name = f"create-order, gateway at {GATEWAY_MS} ms, {CONNECTIONS} connections"
    rate = findings.figure(name, "/s")
    added = findings.figure(f"{name}: added to the gateway's time, p50", "ms", must="at most 15 ms")
    for values, server in _turns(here, size):
        load = _orders_run(here, server, file, CONNECTIONS, size.seconds, findings)
        getattr(rate, values).append(load.per_second)
        getattr(added, values).append(load.p50_ms - GATEWAY_MS)


def _orders_crowd(here: Place, file: Path, size: Size, findings: Findings) -> None:
    name = f"create-order, gateway at {GATEWAY_MS} ms, {CROWD} connections"
    rate = findings.figure(name, "/s", must="0.45")
    errors = findings.figure(f"{name}: errors", "", must="none")
    memory = findings.figure(f"{name}: memory of the web tier (PSS), most", "MiB", must="0.9")
    for values, server in _turns(here, size):
        with servers.Peak(server) as peak:
            load = _orders_run(here, server, file, CROWD, size.seconds, findings)
        getattr(rate, values).append(load.per_second)
        getattr(errors, values).append(load.errors)
        getattr(memory, values).append(peak.mib)


def _turns(here: Place, size: Size) -> Iterator[tuple[str, Server]]:
    for _ in range(size.pairs):
        yield "theirs", here.peer
        yield "ours", here.service


def _orders_run(
    here: Place, server: Server, file: Path, connections: int, seconds: float, findings: Findings
) -> Load:
    if server is here.peer:
        return wrk.run(server.port, file, connections, seconds)
    books.settle(here.engine)
    before = books.count_orders(here.engine)
    load = wrk.run(server.port, file, connections, seconds)
    books.settle(here.engine)
    wrong = books.judge_orders(here.engine, load, before, servers.orders_at(here.gateway))
    findings.checked += load.acknowledged
    findings.wrong += [f"create-order, {connections} connections: {sentence}" for sentence in wrong]
    return load


# ── while a gateway hangs ───────────────────────────────────────────────────────────────────────────


def others_while_a_gateway_hangs(size: Size, folder: Path, findings: Findings) -> None:
    """CROWD create-orders wait for a gateway that does not answer; others want something else."""
    with place("postgresql", folder) as here:
        made = make_payment(here.service)
        events = work.webhooks("hung", LEAST_EVENTS)
        work.await_payment(here.engine, made, events)
        paid, rest = events[0], iter(events[1:])
        _deliver(here.service, paid)
        status = f"{here.service.url}/api/payment/status/razorpay/{paid.order_id}"
        probes: dict[str, Callable[[], requests.Response]] = {
            "/health": lambda: requests.get(f"{here.service.url}/health", timeout=PROBE_PATIENCE_SECONDS),
            "a webhook": lambda: _deliver(here.service, next(rest)),
            "a stored status": lambda: requests.get(status, timeout=PROBE_PATIENCE_SECONDS),
        }
        file = here.folder / "orders"
        wrk.write_requests(file, work.orders(CROWD * 4))
        servers.set_delay(here.gateway, HUNG_MS)
        crowd = threading.Thread(
            target=wrk.run, args=(here.service.port, file, CROWD, size.probe_seconds), daemon=True
        )
        crowd.start()
        time.sleep(1)
        taken = _probed(probes, size.probe_seconds - 1)
        crowd.join()
        answered = 1 + sum(one < PROBE_PATIENCE_SECONDS for one in taken["a webhook"])
        _check_probes(here, answered, len(taken["a webhook"]) + 1, findings)
        for name, seconds in taken.items():
            late = f"{CROWD} create-orders wait at a hung gateway: {name}"
            findings.figure(f"{late}, p99", "ms", must="at most 250 ms").ours = [_p99(seconds) * 1000]
            unanswered = sum(one >= PROBE_PATIENCE_SECONDS for one in seconds)
            findings.figure(f"{late}, not answered in {PROBE_PATIENCE_SECONDS:.0f} s", "%").ours = [
                100 * unanswered / len(seconds)
            ]


def _check_probes(here: Place, answered: int, sent: int, findings: Findings) -> None:
    books.settle(here.engine)
    load = Load(answered, 0, 0, 0, sent, seconds=0.0, p50_ms=0.0, p99_ms=0.0)
    wrong = books.judge_webhooks(here.engine, "hung", load)
    findings.checked += answered
    findings.wrong += [f"webhooks while a gateway hangs: {sentence}" for sentence in wrong]


def _deliver(service: Server, event: work.Webhook) -> requests.Response:
    body = event.body()
    address = service.url + work.WEBHOOK
    return requests.post(address, body, headers=event.headers(body), timeout=PROBE_PATIENCE_SECONDS)


def _probed(probes: dict[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """How long each took, one after the other for so long; one without an answer took all its patience."""
    taken: dict[str, list[float]] = {name: [] for name in probes}
    ends = time.monotonic() + seconds

    def ask(name: str) -> None:
        while time.monotonic() < ends:
            began = time.monotonic()
            try:
                probes[name]().raise_for_status()
                taken[name].append(min(time.monotonic() - began, PROBE_PATIENCE_SECONDS))
            except requests.RequestException:
                taken[name].append(PROBE_PATIENCE_SECONDS)
            time.sleep(0.05)

    threads = [threading.Thread(target=ask, args=(name,)) for name in probes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]


# ── start and rest ──────────────────────────────────────────────────────────────────────────────────


def start_and_rest(size: Size, folder: Path, findings: Findings) -> None:
    start = findings.figure("start to the first 200", "s", must="at most 1.2 s")
    web = findings.figure("idle memory (PSS) of the web tier with 2 workers", "MiB", must="at most 110 MiB")
    worker = findings.figure("idle memory (PSS) of the worker", "MiB", must="at most 60 MiB")
    folder.mkdir()
    with servers.database("postgresql", folder) as url, servers.gateway(folder) as gateway:
        for _ in range(size.starts):
            with servers.express(folder, gateway.port) as peer:
                start.theirs.append(peer.start_seconds)
                web.theirs.append(_at_rest(peer))
            with servers.service(folder, url, gateway.port) as service:
                start.ours.append(service.start_seconds)
                web.ours.append(_at_rest(service))
        with servers.worker(folder, url, gateway.port) as sweeping:
            time.sleep(WARM_UP_SECONDS * 2)
            worker.ours.append(sweeping.memory_mib())


def _at_rest(server: Server) -> float:
    time.sleep(WARM_UP_SECONDS)
    return server.memory_mib()


SCENARIOS: dict[str, Callable[[Size, Path, Findings], None]] = {
    "webhooks": webhooks_on_postgresql,
    "webhooks-sqlite": webhooks_on_sqlite,
    "create-order": create_orders,
    "hung": others_while_a_gateway_hangs,
    "start": start_and_rest,
}
"""Outages: outages.py. PostgreSQL's in-place updates: none, for docs/performance.md's reason."""
