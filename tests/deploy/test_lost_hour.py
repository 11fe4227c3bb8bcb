"""The lost hour: a backup is restored while the shop runs on, by the recipes of docs/operations.md.

Each test reads one drill: what was there before the backup, what happened after it, what came back.
"""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from tests.chaos.books import Books
from tests.flows.delivering import SECRET
from tests.gateways.wire import Reply, Wire, wire
from tests.support.house import ROOT, House, running_house
from tests.support.postgres import new_node

pytestmark = [pytest.mark.check, pytest.mark.timeout(600)]

GATEWAYS = ("razorpay", "phonepe", "cashfree")
DOCUMENT = ROOT / "docs/operations.md"
FAST = 120
SECONDS = 120


def recipe(name: str) -> str:
    """The commands of the document that stand under this mark."""
    found = re.search(rf"<!-- drilled: {name} -->\n((?:    .+\n)+)", DOCUMENT.read_text())
    assert found, f"docs/operations.md has no recipe {name}"
    return "\n".join(line.strip() for line in found[1].splitlines())


class Sqlite:
    def __init__(self, folder: Path) -> None:
        self.file, self.copy = folder / "payments.db", folder / "backup.db"
        self.url = f"sqlite:///{self.file}"

    def back_up(self) -> None:
        """By the document's own SQL."""
        [statement] = re.findall(r'"(VACUUM INTO [^"]+)"', recipe("sqlite backup"))
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute(statement.replace("/backups/payments-$(date +%FT%H%M).db", str(self.copy)))

    def restore(self) -> str:
        steps = recipe("sqlite restore").replace("/var/lib/payments/", f"{self.file.parent}/")
        steps = steps.replace("/backups/payments-2026-01-31T1700.db", str(self.copy))
        subprocess.run(["sh", "-euc", steps], check=True)
        return self.url


class Postgres:
    """A server of its own, with the programs that came with it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.node = stack.enter_context(new_node())
        self.node.start()
        self.run(f"createdb --encoding=UTF8 --template=template0 {self.at} payments")
        self.url = self.node.url.replace("/postgres", "/payments")
        self.copy = folder / "backup.dump"

    @property
    def at(self) -> str:
        return f"--host=127.0.0.1 --port={self.node.port} --username=payments"

    def run(self, steps: str) -> None:
        path = f"{self.node.binaries}:/usr/bin:/bin"
        subprocess.run(["sh", "-euc", steps], check=True, env={"PATH": path}, timeout=120)

    def _filled(self, name: str) -> str:
        address = make_url(self.url).set(drivername="postgresql")
        steps = recipe(name).replace('"$DATABASE_URL"', address.render_as_string(hide_password=False))
        steps = re.sub(r"/backups/payments-[^/]+\.dump", str(self.copy), steps)
        return re.sub(r"\b(createdb|pg_restore) ", rf"\1 {self.at} ", steps)

    def back_up(self) -> None:
        self.run(self._filled("postgresql backup"))

    def restore(self) -> str:
        self.run(self._filled("postgresql restore"))
        return self.node.url.replace("/postgres", "/payments_restored")


@dataclass
class Drill:
    house: House
    merchant: Wire
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Paid and told before the backup."""
    pending: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Opened before it, paid after it."""
    after: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Opened and paid after it: their rows are gone."""
    unpaid: dict[str, Any] = field(default_factory=dict)
    """Opened after it, and never paid."""
    said: str = ""
    """By `lost`."""
    code: int = 0

    def open(self, gateway: str) -> dict[str, Any]:
        return self.house.create_order(499, gateway)

    def pays(self, bought: dict[str, Any], gateway: str) -> None:
        self.house.simulate(f"orders/{bought['order']['orderId']}/success")
        self.house.wait_for_status(bought["order"]["orderId"], "completed", gateway, SECONDS)

    def told(self, kind: str = "payment.completed") -> dict[str, set[str]]:
        """Of each payment the ids under which it was told."""
        ids: dict[str, set[str]] = {}
        for request in self.merchant.requests:
            event = request.json()
            if event["type"] == kind:
                ids.setdefault(event["data"]["id"], set()).add(request.headers["webhook-id"])
        return ids

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with Books(self.house.database_url) as books:
            return books.rows(sql)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def drill(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        database = Sqlite(folder) if request.param == "sqlite" else Postgres(folder, stack)
        merchant = stack.enter_context(wire(Reply(b"")))
        more = {"MERCHANT_WEBHOOK_URL": merchant.url, "MERCHANT_WEBHOOK_SECRET": SECRET}
        house = stack.enter_context(running_house(database.url, folder, **more))
        one = Drill(house, merchant)
        house.start_worker(time_scale=FAST)
        live_until_the_backup(one)
        database.back_up()
        live_the_hour(one)
        house.kill_worker()
        house.kill_service()
        house.database_url = house.environment["DATABASE_URL"] = database.restore()
        house.start_service()
        come_back(one)
        yield one


def live_until_the_backup(drill: Drill) -> None:
    for gateway in GATEWAYS:
        drill.before[gateway], drill.pending[gateway] = drill.open(gateway), drill.open(gateway)
        drill.pays(drill.before[gateway], gateway)
    drill.house.until(drill.told, lambda told: len(told) == len(GATEWAYS), SECONDS)


def live_the_hour(drill: Drill) -> None:
    for gateway in GATEWAYS:
        drill.after[gateway] = drill.open(gateway)
        drill.pays(drill.pending[gateway], gateway)
        drill.pays(drill.after[gateway], gateway)
    drill.unpaid = drill.open("razorpay")
    paid = drill.before["razorpay"]["order"]["orderId"]
    drill.house.simulate(f"orders/{paid}/dashboard-refund", {"amountPaise": 10000})
    drill.house.until(drill.told, lambda told: len(told) == 3 * len(GATEWAYS), SECONDS)


def come_back(drill: Drill) -> None:
    """As the document says: upgrade, doctor, worker, reconcile, lost."""
    house = drill.house
    command(house, "db", "upgrade")
    house.start_worker(time_scale=FAST)
    command(house, "reconcile", "--since", "2026-01-01")
    for gateway, bought in drill.pending.items():
        house.wait_for_status(bought["order"]["orderId"], "completed", gateway, SECONDS)
    ids = [bought["order"]["orderId"] for bought in (*drill.after.values(), drill.unpaid)]
    ended = command(house, "lost", "--log", str(house.log_file), *ids, check=False)
    drill.said, drill.code = ended.stdout, ended.returncode


def command(house: House, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    ended = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", *arguments],
        cwd=ROOT,
        env=house.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not check or ended.returncode == 0, ended.stdout + ended.stderr
    return ended


def test_what_was_open_at_the_backup_is_found_out_by_asking(drill: Drill) -> None:
    for gateway, bought in drill.pending.items():
        assert drill.house.status(bought["order"]["orderId"], gateway)["paymentStatus"] == "completed"


def test_a_refund_of_the_lost_hour_is_adopted_and_none_is_made(drill: Drill) -> None:
    order_id = drill.before["razorpay"]["order"]["orderId"]
    assert drill.house.status(order_id)["amountRefunded"] == 100
    assert len(drill.house.simulated(f"orders/{order_id}")["refunds"]) == 1


def test_what_came_and_went_in_the_hour_is_printed_with_order_amount_and_gateway(drill: Drill) -> None:
    assert drill.code == 1
    for gateway, bought in drill.after.items():
        [line] = [line for line in drill.said.splitlines() if bought["order"]["orderId"] in line]
        assert gateway in line
        assert line.count("₹499") == 2, line  # ordered and captured
    [line] = [line for line in drill.said.splitlines() if drill.unpaid["order"]["orderId"] in line]
    assert line.count("₹499") == 1, line
    assert "4 unknown here, 3 of these were paid." in drill.said


def test_a_payment_whose_row_is_gone_is_made_a_second_time_by_no_question(drill: Drill) -> None:
    for gateway, bought in drill.after.items():
        answer = drill.house.get(f"/api/payment/status/{gateway}/{bought['order']['orderId']}")
        assert answer.status_code == 404
    assert len(drill.rows("SELECT * FROM payments")) == 2 * len(GATEWAYS)


def test_a_webhook_of_a_payment_whose_row_is_gone_is_an_alert_with_order_amount_and_gateway(
    drill: Drill,
) -> None:
    """Razorpay's refund names only a payment id, PhonePe's and Cashfree's our order id."""
    wanted = {(gateway, bought["order"]["orderId"], 49900) for gateway, bought in drill.after.items()}
    for bought in drill.after.values():
        drill.house.simulate(f"orders/{bought['order']['orderId']}/dashboard-refund", {"amountPaise": 100})
    drill.house.until(lambda: unknown_orders(drill), lambda found: len(found) >= len(wanted), SECONDS)
    found = [(one["gateway"], one["orderId"], one["amountPaise"]) for one in unknown_orders(drill)]
    assert sorted(found) == sorted(wanted)


def unknown_orders(drill: Drill) -> list[dict[str, Any]]:
    found = drill.rows("SELECT detail FROM alerts WHERE code = 'unknown_order'")
    return [json.loads(one["detail"]) if isinstance(one["detail"], str) else one["detail"] for one in found]


def test_nothing_completed_is_told_under_a_second_id(drill: Drill) -> None:
    drill.house.until(
        lambda: sum(request.json()["type"] == "payment.completed" for request in drill.merchant.requests),
        lambda count: count >= 4 * len(GATEWAYS),
        SECONDS,
    )
    assert {len(ids) for ids in drill.told().values()} == {1}
