"""A storm from its first payment to its last settled refund; what is left is for the checker."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from tests.chaos.books import Books
from tests.chaos.payers import Diary, Street, plan
from tests.chaos.town import API_KEY, Killer, Options, Town, running_town, simulate

QUICK_KINDS = ["reset_before", "reset_after", "429", "500", "html502"]
TIMEOUT_KINDS = ["timeout_before", "timeout_after"]
TIMEOUT_SECONDS = 2.5
"""Longer than the hurried service waits."""
SLOW_SECONDS = 1.0
WEBHOOK_KINDS = ["duplicate", "reorder", "delay", "drop", "corrupt_signature", "old_secret"]
CALLS = ["create_order", "fetch", "capture", "refund", "token"]
RETRY_STEPS = 12
STEP_SECONDS = 2 * 3600


@dataclass
class Outcome:
    """All that the checker is given."""

    options: Options
    folder: Path
    database_url: str
    books: dict[str, list[dict[str, Any]]]
    orders: list[dict[str, Any]]
    deliveries: list[dict[str, Any]]
    told: list[dict[str, Any]]
    """What the merchant's app was sent."""
    diary: Diary
    log: str
    secrets: tuple[str, ...]
    faults: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    storm_seconds: float = 0.0
    settle_seconds: float = 0.0
    unsettled: dict[str, int] = field(default_factory=dict)
    replays: list[dict[str, Any]] = field(default_factory=list)
    """Old webhooks sent again at the very end: the answer, and what the payment was before and after."""


def storm(options: Options, folder: Path, database_url: str) -> Outcome:
    diary = Diary()
    with running_town(options, folder, database_url) as town:
        started = time.monotonic()
        let_it_storm(town)
        killer = Killer(town)
        killer.start()
        with ExitStack() as stack:
            stack.callback(killer.end)
            street = Street(town, diary, options.seed)
            plans = [
                plan(options.seed, number, options.gateways, options.stories)
                for number in range(options.payments)
            ]
            third = len(plans) // 3
            with ThreadPoolExecutor(options.threads) as pool:
                list(pool.map(street.buys, plans[:third]))
            if options.payments and "phonepe" in options.gateways:
                town.v1_only = False
                town.kill_service()  # from now on with both generations of one gateway
            with ThreadPoolExecutor(options.threads) as pool:
                list(pool.map(street.buys, plans[third:]))
        calm, calm_at = time.monotonic(), time.time()
        unsettled = settle(town)
        replays = replay(town, calm_at)
        ended = time.monotonic()
        town.stop_workers()  # what they told after the books were read would stand in none
        return Outcome(
            options=options,
            folder=folder,
            database_url=database_url,
            books=_books(database_url),
            orders=simulate(town, "GET", "orders").json()["orders"],
            deliveries=simulate(town, "GET", "deliveries").json()["deliveries"],
            told=[json.loads(line) for line in town.merchant_log.read_text().splitlines()],
            diary=diary,
            log=town.log_file.read_text(errors="replace"),
            secrets=_secrets(town),
            faults=simulate(town, "GET", "faults").json()["counts"],
            kills=town.kills,
            crashes=town.crashes(),
            storm_seconds=calm - started,
            settle_seconds=ended - calm,
            unsettled=unsettled,
            replays=replays,
        )


def let_it_storm(town: Town) -> None:
    seed, options = town.options.seed, town.options
    bodies: tuple[dict[str, Any], ...] = (
        {"seed": seed, "rate": options.fault_rate, "kinds": QUICK_KINDS, "on": CALLS},
        {
            "seed": seed,
            "rate": options.timeout_rate,
            "kinds": TIMEOUT_KINDS,
            "seconds": TIMEOUT_SECONDS,
            "on": CALLS,
        },
        {"seed": seed, "rate": options.slow_rate, "kinds": ["slow"], "seconds": SLOW_SECONDS, "on": CALLS},
        {"seed": seed, "rate": options.webhook_rate, "kinds": WEBHOOK_KINDS, "on": ["webhook"]},
    )
    for number, body in enumerate(bodies):
        body["seed"] += number  # storms of one seed would hit the same calls
        simulate(town, "POST", "faults/storm", body).raise_for_status()


# ── afterwards ──────────────────────────────────────────────────────────────────────────────────────


def settle(town: Town) -> dict[str, int]:
    """No more faults: what was late comes in, then days pass. What is left over, by name."""
    simulate(town, "DELETE", "faults").raise_for_status()
    _be_calm(town)
    town.crash_no_more()
    ends = time.monotonic() + town.options.settle_seconds
    town.stop_workers()
    for _ in range(RETRY_STEPS):  # the gateways' own retries, and the end of what payers left open
        simulate(town, "POST", "clock", {"advance_seconds": STEP_SECONDS}).raise_for_status()
    _wait_until_told(town, ends)
    with Books(town.database_url) as books:
        books.let_waits_end()  # while no worker runs: what waits for a moment waits no longer
    calm_at = datetime.now(UTC)
    town.start_workers(town.options.settle_scale)
    left = _wait(town, calm_at, ends)
    _wait_until_told(town, ends)
    return left or _wait(town, calm_at, ends)


def replay(town: Town, before_at: float) -> list[dict[str, Any]]:
    """Whoever has overheard a signed webhook can send it again; its id is not signed, so it may be new.

    Only what was sent before the simulator's clock was put forward: the rest bears a date in the future.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in simulate(town, "GET", "deliveries").json()["deliveries"]:
        if one["status"] == 200 and one["gateway"] in REPLAYED and one["sentAt"] < before_at:
            found.setdefault((one["orderId"], one["event"]), one)
    seen = list(found.values())[:REPLAYS]
    before = _payments(town)
    for number, one in enumerate(seen):
        headers = {**one["headers"], REPLAYED[one["gateway"]]: f"evt_replayed_{number}"}
        answer = requests.post(one["url"], data=one["body"].encode(), headers=headers, timeout=60)
        one["replayed"] = answer.status_code
    _wait_for_follow_ups(town)
    after = _payments(town)
    changed = [id_ for id_ in before if before[id_] != after[id_]]
    about = [{"event": one["event"], "orderId": one["orderId"], "status": one["replayed"]} for one in seen]
    return [*about, *({"payment": id_, "before": before[id_], "after": after[id_]} for id_ in changed)]


def _wait_for_follow_ups(town: Town) -> None:
    """What a webhook makes necessary at its gateway is done after its 200."""
    ends = time.monotonic() + FOLLOW_UP_SECONDS
    with Books(town.database_url) as books:
        while books.number(UNSETTLED["inbox"]) and time.monotonic() < ends:
            time.sleep(0.2)


def _payments(town: Town) -> dict[str, tuple[Any, ...]]:
    columns = ("status", "gateway_status", "transaction_id", "payment_method", "review")
    with Books(town.database_url) as books:
        rows = books.rows(f"SELECT id, {', '.join(columns)} FROM payments")
    return {row["id"]: tuple(str(row[name]) for name in columns) for row in rows}


REPLAYED = {"razorpay": "X-Razorpay-Event-Id", "cashfree": "x-idempotency-key"}
REPLAYS = 200
FOLLOW_UP_SECONDS = 120

UNSETTLED = {
    "outbox": "SELECT count(*) FROM outbox WHERE state = 'pending'",
    "refunds": "SELECT count(*) FROM refunds WHERE next_check_at IS NOT NULL",
    "inbox": "SELECT count(*) FROM payment_webhooks WHERE outcome IN ('received', 'waiting', 'failed')",
}


def _wait(town: Town, calm_at: datetime, ends: float) -> dict[str, int]:
    day = timedelta(days=1) / town.options.settle_scale
    with Books(town.database_url) as books:
        while True:
            town.tend()
            # Refunds that were sent again just now take their time at the gateway, too.
            simulate(town, "POST", "clock", {"advance_seconds": 600}).raise_for_status()
            counts = {name: books.number(sql) for name, sql in UNSETTLED.items()}
            counts["payments"] = books.payments_left(calm_at, day)
            left = {name: count for name, count in counts.items() if count}
            if not left or time.monotonic() > ends:
                return left
            time.sleep(0.5)


def _wait_until_told(town: Town, ends: float) -> None:
    """Until the simulator has no webhook left that is due."""
    while time.monotonic() < ends:
        events = simulate(town, "GET", "deliveries?wait=30").json()["events"]
        now = simulate(town, "GET", "health").json()["now"]
        if not any(event["nextTryAt"] and event["nextTryAt"] <= now for event in events):
            return


def _be_calm(town: Town) -> None:
    requests.post(f"http://127.0.0.1:{town.merchant_port}/calm", data=b"", timeout=20).raise_for_status()


def _books(database_url: str) -> dict[str, list[dict[str, Any]]]:
    with Books(database_url) as books:
        return books.everything()


def _secrets(town: Town) -> tuple[str, ...]:
    words = ("SECRET", "PASS", "SALT_KEY")
    named = [v for k, v in town.environment.items() if v and any(word in k for word in words)]
    return (*named, API_KEY, "O-Bearer ", "Basic ", "Bearer psk_")
