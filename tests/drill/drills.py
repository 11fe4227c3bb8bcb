"""The faults: one at a time, made in a running service, each with its alarm and those that may follow."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import requests

from payments_service.store.db import id_at
from tests.support.house import CUSTOMER, House

FAST = 60
"""How often faster the worker's waits pass: an hour in a minute."""


@dataclass
class Town:
    """The service of a drill, with its merchant and its mail server."""

    house: House
    merchant_answers: int = 200
    letters_refused: bool = False
    told: list[str] = field(default_factory=list)
    """Codes of alarms that reached the merchant by event or the operator by mail."""
    threads: list[threading.Thread] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        path = self.house.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            rows = connection.execute(statement, values).fetchall()
            connection.commit()
            return rows

    def buy(self, count: int = 1) -> list[str]:
        """Ids of orders; one that could not be made is left out."""
        body = {"amount": 499, "gateway": "razorpay", "customer": CUSTOMER}
        answers = [self.house.post("/api/payment/create-order", body) for _ in range(count)]
        return [answer.json()["order"]["orderId"] for answer in answers if answer.status_code == 200]

    def pay(self, order_id: str, what: str = "success", **more: object) -> None:
        self.house.simulate(f"orders/{order_id}/{what}", more)

    def fault(self, on: str, kind: str, count: int = 1000, **more: object) -> None:
        fault = {"gateway": "razorpay", "on": on, "kind": kind, "count": count, **more}
        self.house.simulate("faults", fault)

    def meanwhile(self, work: Callable[[], object], every_seconds: float = 1.0) -> None:
        """Go on with it until the drill is over."""

        def go_on() -> None:
            while not self.is_over.wait(every_seconds):
                with suppress(requests.RequestException, AssertionError):
                    work()

        self.threads.append(threading.Thread(target=go_on, daemon=True))
        self.threads[-1].start()


@dataclass(frozen=True)
class Drill:
    fault: str
    """What happens, in words of the table."""
    alarm: str
    make: Callable[[Town], None]
    followers: tuple[str, ...] = ()
    """Alarms that the same fault may raise as well."""


def no_orders(town: Town) -> None:
    """One order, then none; beside it six of the scaled hour that will be a week ago by then."""
    town.buy()
    then = datetime.now(UTC) - (timedelta(weeks=1) - timedelta(minutes=30)) / FAST
    [payment] = town.sql("SELECT * FROM payments LIMIT 1")
    [columns] = town.sql("SELECT group_concat(name) FROM pragma_table_info('payment_orders')")
    of_order = {name: name for name in str(columns[0]).split(",")}
    for number in range(6):
        made = id_at(then + timedelta(milliseconds=number)).hex
        town.sql(f"INSERT INTO payments VALUES ({','.join('?' * len(payment))})", made, *payment[1:])
        its = {**of_order, "id": "?", "payment_id": "?", "wire_id": "?", "gateway_order_id": "NULL"}
        order = f"SELECT {','.join(its.values())} FROM payment_orders LIMIT 1"
        town.sql(f"INSERT INTO payment_orders ({','.join(its)}) {order}", made, made, made)
        moment = then.replace(tzinfo=None).isoformat(" ", "microseconds")
        has_no_history = "history_count = 0, history_unchained = 0, history_head = NULL"
        town.sql(f"UPDATE payments SET created_at = ?, {has_no_history} WHERE id = ?", moment, made)
    town.sql("UPDATE payments SET status = 'completed', next_check_at = NULL")


def orders_fail(town: Town) -> None:
    town.fault("create_order", "429", count=6)
    town.buy(16)


def gateway_down(town: Town) -> None:
    orders = town.buy(3)
    town.fault("fetch", "500")
    town.meanwhile(lambda: [town.house.status(order) for order in orders])


def credentials_refused(town: Town) -> None:
    """A deployment with a wrong secret."""
    town.buy(2)
    town.house.environment["RAZORPAY_KEY_SECRET"] = "a-secret-that-is-wrong"
    town.house.kill_worker()
    town.house.kill_service()
    town.house.start_service()
    town.house.start_worker(FAST)
    town.meanwhile(town.buy, 3)


def webhook_silence(town: Town) -> None:
    town.house.simulate("faults/storm", {"rate": 1, "kinds": ["drop"], "on": ["webhook"]})
    for order in town.buy(5):
        town.pay(order)


def webhooks_refused(town: Town) -> None:
    """A deployment with another secret than the dashboard has."""
    town.house.environment["RAZORPAY_WEBHOOK_SECRET"] = "a-secret-that-is-wrong"
    town.house.kill_service()
    town.house.start_service()

    def sell() -> None:
        [order] = town.buy()
        town.pay(order)

    town.meanwhile(sell, 2)


def inbox_waits(town: Town) -> None:
    """A column of two payments is spoilt, so that nothing that is told of them can be applied."""
    orders = town.buy(2)
    town.sql("UPDATE payments SET metadata = '{'")
    for order in orders:
        town.pay(order)


def outbox_waits(town: Town) -> None:
    town.merchant_answers = 500
    [order] = town.buy()
    town.pay(order)


def event_undelivered(town: Town) -> None:
    """The mail server knows no such payer."""
    town.letters_refused = True
    [order] = town.buy()
    town.pay(order)


def outcome_unknown(town: Town) -> None:
    town.fault("create_order", "reset_before", count=1)
    town.fault("fetch", "500")
    town.buy()


def capture_window(town: Town) -> None:
    """Money is held, capturing fails, and the date comes near."""
    town.fault("capture", "500")
    [order] = town.buy()
    town.pay(order, "authorize")
    town.house.until(lambda: town.sql("SELECT id FROM payments WHERE status = 'authorized'"), bool, 60)
    near = (datetime.now(UTC) + timedelta(hours=11)).strftime("%Y-%m-%d %H:%M:%S.000000")
    town.sql("UPDATE payment_attempts SET capture_by = ?", near)


def dispute(town: Town) -> None:
    """Opened at the gateway; the day before its date has come."""
    [order] = town.buy()
    town.pay(order)
    town.house.wait_for_status(order, "completed", seconds=60)
    town.pay(order, "dispute")
    rows = town.house.until(
        lambda: town.sql("SELECT id, detail FROM alerts WHERE code = 'dispute_opened'"), bool, 60
    )
    near = (datetime.now(UTC) + timedelta(hours=24)).isoformat()
    for row_id, detail in rows:
        town.sql(
            "UPDATE alerts SET detail = ? WHERE id = ?",
            json.dumps({**json.loads(str(detail)), "respondBy": near}),
            row_id,
        )


def review_waits(town: Town) -> None:
    """Paid twice, and since yesterday."""
    [order] = town.buy()
    town.pay(order)
    town.house.wait_for_status(order, "completed", seconds=60)
    town.pay(order, "second-success")
    town.house.until(lambda: town.sql("SELECT id FROM payment_reviews"), bool, 60)
    past = (datetime.now(UTC) - timedelta(hours=25)).strftime("%Y-%m-%d %H:%M:%S.000000")
    town.sql("UPDATE payment_reviews SET opened_at = ?", past)


def worker_silent(town: Town) -> None:
    town.house.kill_worker()


def sweep_silent(town: Town) -> None:
    """A table is lost that one sweep alone looks at."""
    town.sql("ALTER TABLE idempotency_keys RENAME TO lost_keys")


def history_broken(town: Town) -> None:
    """A hand that owns the database takes out a row."""
    town.buy()
    town.sql("DROP TRIGGER payment_events_no_delete")
    town.sql("DELETE FROM payment_events WHERE sequence = 1")


def database_away(town: Town) -> None:
    """Another program holds the file and lets no one write."""
    path = town.house.database_url.removeprefix("sqlite:///")

    def hold() -> None:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            town.is_over.wait(200)

    town.threads.append(threading.Thread(target=hold, daemon=True))
    town.threads[-1].start()
    time.sleep(0.1)
    town.meanwhile(
        lambda: requests.get(f"{town.house.url}/health", headers={"X-Request-Id": uuid4().hex}, timeout=5)
    )


DRILLS = (
    Drill("no order comes any more", "no_orders", no_orders),
    Drill("create-order is refused six times of sixteen", "orders_fail", orders_fail),
    Drill("every read at the gateway fails", "gateway_down", gateway_down, ("outcome_unknown",)),
    Drill(
        "deployed with a wrong secret of the gateway",
        "credentials_refused",
        credentials_refused,
        ("orders_fail",),
    ),
    Drill("the gateway sends no webhooks", "webhook_silence", webhook_silence),
    Drill(
        "deployed with another webhook secret than the dashboard has",
        "webhooks_refused",
        webhooks_refused,
        ("webhook_silence",),
    ),
    Drill("what a webhook tells cannot be applied", "inbox_waits", inbox_waits, ("sweep_silent",)),
    Drill("the merchant's server answers 500", "outbox_waits", outbox_waits),
    Drill("the mail server knows no such payer", "event_undelivered", event_undelivered),
    Drill(
        "an order's answer is lost, and the gateway cannot be asked",
        "outcome_unknown",
        outcome_unknown,
        ("gateway_down",),
    ),
    Drill(
        "capturing fails until the window closes",
        "capture_window",
        capture_window,
        ("capture_fails", "gateway_down"),
    ),
    Drill("a payer's bank opens a dispute", "dispute_opened", dispute, ("dispute_due",)),
    Drill("a dispute is not answered until its date is near", "dispute_due", dispute, ("dispute_opened",)),
    Drill("a payment that is paid twice is left alone for a day", "review_waits", review_waits),
    Drill("the worker is killed", "worker_silent", worker_silent),
    Drill("one sweep of the worker fails each time", "sweep_silent", sweep_silent),
    Drill("a row of the history is deleted", "history_broken", history_broken),
    Drill("nothing can be written to the database", "database_away", database_away, ("worker_silent",)),
)
