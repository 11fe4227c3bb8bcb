"""What the suites of razorpay 2.0.1 say often: keys, calls beside the SDK, what was sent."""

import base64
import os
from datetime import datetime, timedelta, timezone
from typing import Any

import razorpay
from conftest import Answer, Json, Simulator, call
from razorpay.errors import SignatureVerificationError

KEY_ID = "rzp_test_simulator"
KEY_SECRET = "simulator_razorpay_key_secret"
WEBHOOK_SECRET = "simulator_razorpay_webhook_secret"
OLD_WEBHOOK_SECRET = "simulator_razorpay_old_webhook_secret"
API = f"{os.environ['SIMULATOR_URL']}/razorpay"
DAY = 24 * 3600
MANUAL = {"payment": {"capture": "manual"}}


def raw(
    method: str, path: str, body: Any = None, key: str = KEY_ID, secret: str = KEY_SECRET, **headers: str
) -> Answer:
    """What the SDK hides: status and whole body."""
    basic = base64.b64encode(f"{key}:{secret}".encode()).decode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(method, f"{API}/v1{path}", body, {"Authorization": f"Basic {basic}", **names})


def settings(simulator: Simulator, **changes: Any) -> None:
    simulator.control("POST", "settings", {"razorpay": changes})


def in_india(moment: int) -> tuple[int, int, int]:
    date = datetime.fromtimestamp(moment, timezone(timedelta(hours=5, minutes=30)))
    return date.year, date.month, date.day


def statuses(collection: Json) -> list[str]:
    return [item["status"] for item in collection["items"]]


def order_of(simulator: Simulator, link: Json) -> str:
    orders = simulator.control("GET", "orders")["orders"]
    return next(str(order["orderId"]) for order in orders if order["reference"] == link["id"])


def verifies(client: razorpay.Client, one: Json, secret: str = WEBHOOK_SECRET) -> bool:
    try:
        signature = one["headers"]["X-Razorpay-Signature"]
        return bool(client.utility.verify_webhook_signature(one["body"], signature, secret))
    except SignatureVerificationError:
        return False


def told(simulator: Simulator) -> list[Json]:
    """Every webhook there was, in the order of sending."""
    sent: list[Json] = simulator.control("GET", "deliveries?wait=10")["deliveries"]
    return [one for one in sent if one["try"] == 1]
