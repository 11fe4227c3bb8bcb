"""docs/servers: a shop's server in three languages, run as printed: quote, order, event, refund."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.flows.delivering import SECRET
from tests.support.house import CUSTOMER, ROOT, House, running_house
from tests.support.ports import free_port, wait_for_port
from tests.support.recorder import DOCUMENT

SERVERS = ROOT / "docs" / "servers"
KEY, STAFF = "psk_of_the_shop", "token-of-the-staff"
MOST_LINES = 60
REFUNDS = "/api/payment/{payment_id}/refunds"


@dataclass
class Shop:
    url: str
    house: House

    def post(self, path: str, **headers: str) -> requests.Response:
        return requests.post(self.url + path, headers=headers, timeout=60)


def command(language: str, port: int) -> list[str]:
    if language == "py":
        return [sys.executable, "-m", "flask", "--app", str(SERVERS / "shop.py"), "run", "--port", str(port)]
    if language == "mjs":
        return ["node", str(SERVERS / "shop.mjs")]
    return ["php", "-S", f"127.0.0.1:{port}", str(SERVERS / "shop.php")]


def with_order(database: Path) -> None:
    db = sqlite3.connect(database)
    db.execute("CREATE TABLE orders (number TEXT PRIMARY KEY, paise INTEGER, paid_by TEXT)")
    db.execute("INSERT INTO orders VALUES ('ORDER-1001', 49905, NULL)")
    db.commit()
    db.close()


@pytest.fixture(params=["py", "mjs", pytest.param("php", marks=pytest.mark.check)])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    port = free_port()
    if shutil.which(command(request.param, port)[0]) is None:
        pytest.skip(f"{command(request.param, port)[0]} is not installed")
    with_order(tmp_path / "shop.db")
    variables = {
        "API_KEYS": f"shop:{SCOPES}:{sha256(KEY.encode()).hexdigest()}",
        "MERCHANT_WEBHOOK_URL": f"http://127.0.0.1:{port}/hooks/payments",
        "MERCHANT_WEBHOOK_SECRET": SECRET,
        "REQUIRE_QUOTE": "true",
    }
    with running_house(f"sqlite:///{tmp_path / 'payments.db'}", tmp_path, **variables) as house:
        settings = {
            "PATH": os.environ["PATH"],
            "PORT": str(port),
            "PAYMENTS_URL": house.url,
            "PAYMENTS_KEY": KEY,
            "MERCHANT_WEBHOOK_SECRET": SECRET,
            "SHOP_DB": str(tmp_path / "shop.db"),
            "STAFF_TOKEN": STAFF,
        }
        with (tmp_path / "shop.log").open("wb") as log:
            server = subprocess.Popen(command(request.param, port), env=settings, stdout=log, stderr=log)
            try:
                wait_for_port(port, server)
                house.start_worker()
                yield Shop(f"http://127.0.0.1:{port}", house)
            finally:
                server.terminate()
                server.wait(20)


SCOPES = "write+refund" if REFUNDS in DOCUMENT["paths"] else "write"


def test_a_quote_its_order_the_event_and_the_refund(shop: Shop) -> None:
    assert shop.post("/orders/ORDER-9/quote").status_code == 404
    quoted = shop.post("/orders/ORDER-1001/quote")
    assert quoted.status_code == 200, quoted.text
    wish: dict[str, Any] = {"gateway": "razorpay", "customer": CUSTOMER}
    assert shop.house.post("/api/payment/create-order", {**wish, "amount": 1}).status_code == 401
    order = shop.house.post("/api/payment/create-order", {**wish, "quote": quoted.json()["quote"]}).json()
    assert order["order"]["amount"] == 49905

    assert shop.post("/orders/ORDER-1001/refund").status_code == 403
    staff = {"X-Staff-Token": STAFF}
    assert shop.post("/orders/ORDER-1001/refund", **staff).status_code == 409  # not paid
    forged = {"webhook-id": "evt_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    assert shop.post("/hooks/payments", **forged).status_code == 400
    assert shop.post("/hooks/payments").status_code == 400

    shop.house.simulate(f"orders/{order['order']['orderId']}/success")
    shop.house.wait_for_status(order["order"]["orderId"], "completed")
    is_paid = shop.house.until(
        lambda: shop.post("/orders/ORDER-1001/refund", **staff), lambda answer: answer.status_code != 409, 60
    )
    if REFUNDS not in DOCUMENT["paths"]:
        assert is_paid.status_code == 404  # the shop knows the payment; this service has no refunds yet
        return
    assert is_paid.status_code in (201, 202), is_paid.text
    again = shop.post("/orders/ORDER-1001/refund", **staff)
    assert again.json()["refund"]["id"] == is_paid.json()["refund"]["id"]


@pytest.mark.parametrize("name", ["shop.py", "shop.mjs", "shop.php"])
def test_a_server_is_short(name: str) -> None:
    lines = (SERVERS / name).read_text().splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= 130
