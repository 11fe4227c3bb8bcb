"""`make bench-large`: what a database of years costs, beside one with a thousand payments.

python -m tests.bench.large [--payments 1000000] [--pairs 5] [--seconds 8] [--folder .development/bench-large]
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import requests
from sqlalchemy import create_engine, text

from payments_service.api.merchant_schemas import cursor
from payments_service.store.address import normalized_url
from tests.bench import generator, report, servers, work, wrk
from tests.bench.scenarios import Findings, Place, Supply, make_payment
from tests.support.postgres import new_node

NEEDED = ("wrk", "node")
RESULTS = servers.ROOT / ".development" / "bench-large"
FEW = 1_000
"""Payments of the database beside the large one: as good as empty, and a page is a page there as well."""
REQUESTS = 400
"""Different ones of a kind; they are sent again and again."""
CONNECTIONS = 4
HEAD = """\
| Figure | {few:,} payments | {payments:,} payments | Ratio (least to most) | Must |
|---|---|---|---|---|"""
KEY = "psk_benchmark"
KEYS = f"benchmark:read+write+refund+personal:{sha256(KEY.encode()).hexdigest()}"
MOST_RATIO, MOST_SEARCH_MS = 1.5, 300


@dataclass(frozen=True)
class House:
    """One database, its service, and how many payments were put in."""

    place: Place
    payments: int

    def numbers(self, rng: random.Random) -> Iterator[int]:
        """Of payments that are paid, from all the time."""
        while True:
            number = rng.randrange(1, self.payments + 1)
            if number % 100 < 90:
                yield number


PAGES = {
    "list, first page": "/api/payment",
    "list, a page far back": "/api/payment?after={somewhere}",
    "filter by status": "/api/payment?status=expired&after={somewhere}",
    "filter by user": "/api/payment?userId=u-{user}",
    "filter by reference": "/api/payment?reference=ORDER-{n}",
    "filter by review": "/api/payment?review=true",
    "filter by a gateway that has none": "/api/payment?gateway=phonepe",
    "events that were not delivered": "/api/events?delivered=false",
    "status": "/api/payment/status/razorpay/order_L{n:013d}",
}
"""What is asked for by GET, about the payment of a number."""
SEARCHES = {
    "search by e-mail": "buyer{n}@",
    "search by phone": "9{n:09d}",
    "search by the bank's number": "6{n:011d}",
    "search by an order id": "order_L{n:013d}",
    "search by a beginning that all have": "buyer",
}


def page(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()


def search(query: str) -> bytes:
    body = json.dumps({"query": query}).encode()
    return wrk.post("/api/payment/search", body, Authorization=f"Bearer {KEY}")


def about(template: str, number: int, rng: random.Random) -> str:
    moment = datetime.now(UTC) - timedelta(days=rng.randrange(1, generator.DAYS - 40))
    somewhere = cursor((moment, UUID(int=0)))
    return template.format(n=number, user=number % generator.USERS, somewhere=somewhere)


def main() -> int:
    arguments = _arguments()
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        print("make bench-large installs what this needs", *missing, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # all processes are ended on the way out
    load_before = os.getloadavg()[0]
    findings = Findings()
    folder = Path(tempfile.mkdtemp(prefix="payments-bench-large-"))
    try:
        sizes = _measure(folder, arguments.payments, arguments.pairs, arguments.seconds, findings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    circumstances = report.circumstances((load_before, os.getloadavg()[0]))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    head = HEAD.format(few=FEW, payments=arguments.payments)
    table = report.table(findings).replace(report.HEAD, head)
    written = "\n".join([table, "", sizes, circumstances, *_judged(findings)]) + "\n"
    (arguments.folder / "table.md").write_text(written)
    (arguments.folder / "results.json").write_text(json.dumps(asdict(findings), indent=1))
    print(written)
    return 1 if findings.wrong else 0


def _measure(folder: Path, payments: int, pairs: int, seconds: int, findings: Findings) -> str:
    with ExitStack() as stack:
        node = stack.enter_context(new_node())
        node.start(keeps_commits=True)
        gateway = stack.enter_context(servers.gateway(folder))
        large = stack.enter_context(_house("large", folder, node.url, gateway, payments))
        few = stack.enter_context(_house("few", folder, node.url, gateway, FEW))
        _webhooks(few, large, pairs, seconds, findings)
        for kinds, request in ((PAGES, page), (SEARCHES, search)):
            for name, template in kinds.items():
                _answers(name, request, template, few, large, pairs, seconds, findings)
        return _sizes(large)


@contextmanager
def _house(name: str, folder: Path, server: str, gateway: servers.Server, payments: int) -> Iterator[House]:
    """A filled database, and a service that meets it as it is: its plans are made for what is there."""
    engine = create_engine(normalized_url(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    url, here = server.replace("/postgres", f"/{name}"), folder / name
    here.mkdir()
    servers.migrate(url)
    began = time.monotonic()
    with servers.service(here, url, gateway.port, API_KEYS=KEYS) as service:
        template = make_payment(service)
        _pay(service, template)
    generator.fill(url, template, payments)
    print(f"{payments:,} payments: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    with servers.service(here, url, gateway.port, API_KEYS=KEYS) as service:
        engine = create_engine(normalized_url(url))
        # No peer runs here: the large and the small database are compared with each other.
        yield House(Place(here, engine, url, gateway, service, gateway, gateway), payments)
        engine.dispose()


def _pay(service: servers.Server, payment_id: UUID) -> None:
    status = requests.get(f"{service.url}/api/payment/status/razorpay/{payment_id}", timeout=30).json()
    event = work.Webhook("evt_of_the_first", "pay_of_the_first", status["orderId"])
    body = event.body()
    answer = requests.post(service.url + work.WEBHOOK, body, headers=event.headers(body), timeout=30)
    answer.raise_for_status()


def _webhooks(few: House, large: House, pairs: int, seconds: int, findings: Findings) -> None:
    figure = findings.figure("webhooks, 64 connections", "/s", must="0.9")
    supplies = []
    for house in (few, large):
        supply = Supply(house.place, make_payment(house.place.service), findings)
        supply.warm_up(house.place.service)
        supplies.append((supply, house.place.service))
    for _ in range(pairs):
        for values, (supply, service) in zip((figure.theirs, figure.ours), supplies, strict=True):
            values.append(supply.run_at(service, seconds).per_second)


def _answers(
    name: str,
    request: Callable[[str], bytes],
    template: str,
    few: House,
    large: House,
    pairs: int,
    seconds: int,
    findings: Findings,
) -> None:
    middle = findings.figure(f"{name}, p50", "ms")
    late = findings.figure(f"{name}, p99", "ms", must=f"at most {MOST_RATIO}")
    for pair in range(pairs):
        for values, house in (("theirs", few), ("ours", large)):
            rng = random.Random(pair)
            file = house.place.folder / "requests"
            numbers = house.numbers(rng)
            wrk.write_requests(file, (request(about(template, next(numbers), rng)) for _ in range(REQUESTS)))
            load = wrk.run(house.place.service.port, file, CONNECTIONS, seconds)
            if load.errors or not load.answered:
                findings.wrong.append(f"{name}: {load.errors} of {load.answered} were no success")
            getattr(middle, values).append(load.p50_ms)
            getattr(late, values).append(load.p99_ms)


def _judged(findings: Findings) -> Iterator[str]:
    """What is above its limit, in sentences; nothing when all is within."""
    for figure in findings.figures:
        compared = report.ratio(figure)
        if not figure.must or compared is None:
            continue
        is_rate = figure.unit == "/s"
        if is_rate and compared.median < float(figure.must):
            yield f"Below its limit: {figure.name}, {compared}"
        elif not is_rate and compared.median > MOST_RATIO:
            yield f"Above its limit: {figure.name}, {compared}"
        if figure.name.startswith("search") and max(figure.ours) > MOST_SEARCH_MS:
            yield f"Above {MOST_SEARCH_MS} ms: {figure.name}"
    yield from findings.wrong


def _sizes(large: House) -> str:
    counted = (
        *("payments", "payment_webhooks", "payment_events", "events", "outbox"),
        *("payment_attempts", "refunds"),
    )
    with large.place.engine.connect() as connection:
        rows = [f"{connection.scalar(text(f'SELECT count(*) FROM {t}')):,} {t}" for t in counted]
        size = connection.scalar(text("SELECT pg_size_pretty(pg_database_size(current_database()))"))
    return f"{', '.join(rows)}; {size}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.large", description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=RESULTS, help="for the results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
