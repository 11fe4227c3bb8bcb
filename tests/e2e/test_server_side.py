"""docs/server-side.md and README.md are run as printed, against the real service and the simulator."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import select
from werkzeug.serving import make_server

from payments_service.store.tables import Outbox, Payment
from tests.flows.delivering import SECRET
from tests.support.environment import environment
from tests.support.house import ROOT, House, running_house
from tests.support.ports import free_port

PAGE = (ROOT / "docs" / "server-side.md").read_text()
README = (ROOT / "README.md").read_text()
ORDERS = """CREATE TABLE orders
(number TEXT PRIMARY KEY, amount_paise INTEGER, name TEXT, email TEXT, phone TEXT, paid INTEGER DEFAULT 0)"""
ORDER = "INSERT INTO orders VALUES ('ORDER-1001', 49905, 'Asha Rao', 'asha@example.com', '9876543210', 0)"


@dataclass
class Shop:
    """The merchant's server, made of nothing but the guide."""

    url: str
    house: House
    db: Any
    names: dict[str, Any]
    """What the guide's samples define."""

    def pay(self) -> requests.Response:
        return requests.post(f"{self.url}/orders/ORDER-1001/pay", allow_redirects=False, timeout=60)

    def is_paid(self) -> bool:
        [(paid,)] = self.db.execute("SELECT paid FROM orders").fetchall()
        return bool(paid)

    def let_pay(self, payment_id: str) -> None:
        with self.house.database() as db, db.read() as session:
            [order_id] = [
                row.order_id for row in session.scalars(select(Payment)) if str(row.id) == payment_id
            ]
        self.house.simulate(f"orders/{order_id}/success")

    def events_delivered(self) -> int:
        with self.house.database() as db, db.read() as session:
            return len(list(session.scalars(select(Outbox).where(Outbox.state == "delivered"))))


def made_key(folder: Path) -> list[str]:
    """A key and its entry, by the printed command."""
    [command] = re.findall(r"^    (flask --app wsgi api-key \w+)$", PAGE, re.M)
    settings = environment(database_url=f"sqlite:///{folder / 'unused.db'}")
    variables = {"PATH": os.environ["PATH"], **settings}
    told = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return re.findall(r"^  (\S+)$", told.stdout, re.M)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    key, entry = made_key(tmp_path)
    port = free_port()
    variables = {
        "API_KEYS": entry,
        "MERCHANT_WEBHOOK_URL": f"http://127.0.0.1:{port}/hooks/payments",
        "MERCHANT_WEBHOOK_SECRET": SECRET,
    }
    with running_house(f"sqlite:///{tmp_path / 'payments.db'}", tmp_path, **variables) as house:
        monkeypatch.setenv("PAYMENTS_URL", house.url)
        monkeypatch.setenv("PAYMENTS_KEY", key)
        monkeypatch.setenv("MERCHANT_WEBHOOK_SECRET", SECRET)
        monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))
        names: dict[str, Any] = {"__name__": "shop"}
        exec("".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)), names)
        names["db"].execute(ORDERS)
        names["db"].execute(ORDER)
        server = make_server("127.0.0.1", port, names["app"], threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        house.start_worker()
        yield Shop(f"http://127.0.0.1:{port}", house, names["db"], names)
        server.shutdown()
        thread.join()
        server.server_close()
        names["db"].close()


def test_a_server_opens_the_order_and_hears_that_it_is_paid(shop: Shop) -> None:
    """A browser's order under the same number counts for nothing; the shop's own is paid once."""
    label = shop.house.create_order("499.05", reference="ORDER-1001")
    shop.let_pay(label["id"])
    shop.house.until(shop.events_delivered, lambda count: count >= 1, seconds=60)
    assert not shop.is_paid()

    opened, again = shop.pay(), shop.pay()
    assert (opened.status_code, opened.headers["Location"]) == (303, again.headers["Location"])
    page = requests.get(opened.headers["Location"], timeout=60)
    assert (page.status_code, "499.05" in page.text) == (200, True)
    shop.let_pay(urlsplit(opened.headers["Location"]).path.rpartition("/")[2])
    shop.house.until(shop.is_paid, bool, seconds=60)
    refused = shop.pay()
    assert (refused.status_code, "Location" in refused.headers) == (409, False)


def test_a_server_that_was_down_catches_up_by_the_printed_loop(shop: Shop) -> None:
    shop.house.kill_worker()  # so that no event is delivered
    opened = shop.pay()
    shop.let_pay(urlsplit(opened.headers["Location"]).path.rpartition("/")[2])
    catch_up = shop.names["catch_up"]
    cursor = ""

    def is_paid_now() -> bool:
        nonlocal cursor
        cursor = catch_up(cursor)
        return shop.is_paid()

    shop.house.until(is_paid_now, bool, seconds=60)
    assert shop.events_delivered() == 0
    assert catch_up(cursor) == cursor


def test_the_route_is_ten_lines() -> None:
    [route] = re.findall(r"^def pay\(number\):\n((?:    .*\n)+)", PAGE, re.M)
    assert len(route.splitlines()) == 10


def test_the_first_payment_of_the_readme(house: House) -> None:
    section = README.partition("## A first payment\n")[2].partition("\n## ")[0]
    create, succeed, ask = re.findall(r"^    (curl .*(?:\n      .*)*)$", section, re.M)
    order = sh(house, create)["order"]
    assert order["paymentUrl"].startswith(house.url)
    sh(house, succeed.replace("ORDER_ID", order["orderId"]))
    told = house.until(
        lambda: sh(house, ask.replace("ORDER_ID", order["orderId"]))["paymentStatus"],
        lambda status: status == "completed" or status not in section,
    )
    assert told == "completed"


def sh(house: House, command: str) -> Any:
    """One printed command, at the ports of this house."""
    command = command.replace("http://127.0.0.1:5000", house.url)
    command = command.replace("http://127.0.0.1:8090", house.simulator_url)
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(ended.stdout)
