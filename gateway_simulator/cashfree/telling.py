"""How Cashfree tells a merchant what happened: signed once, to the dashboard's address and the order's own.

Sources: docs payments/online/webhooks/signature-verification, webhooks/reliability-and-operations.
"""

import base64
import hashlib
import hmac

from gateway_simulator.base import Json
from gateway_simulator.cashfree.books import Books
from gateway_simulator.cashfree.records import Order
from gateway_simulator.cashfree.wire import NEWEST_WEBHOOKS, ist, webhook_text
from gateway_simulator.deliveries import Deliveries, Message

APP_ID = "TEST_simulator_app"
APP_SECRET = "simulator_cashfree_app_secret"  # noqa: S105  (well-known on purpose: nothing real is behind it)
OLD_APP_SECRET = "simulator_cashfree_old_app_secret"  # noqa: S105
RETRY_AFTER_SECONDS = (120.0, 600.0, 1800.0)
PROBE = "WEBHOOK"
"""What the dashboard's button "Test" sends; its timestamp is in seconds, all others are in milliseconds."""


def signature(secret: str, timestamp: str, body: bytes) -> str:
    digest = hmac.new(secret.encode(), timestamp.encode() + body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def messages(
    event: str, data: Json, order: Order, version: str, now: float, urls: list[str | None]
) -> list[Message]:
    """A snapshot of this moment for each address (None: the dashboard's), the same in bytes and signature."""
    body = webhook_text({"data": data, "event_time": ist(now), "type": event}, version)
    timestamp = str(int(now if event == PROBE else now * 1000))
    key = base64.b64encode(hashlib.sha256(body + timestamp.encode()).digest()).decode()
    genuine = signature(APP_SECRET, timestamp, body)

    def headers(signed: str) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "x-webhook-signature": signed,
            "x-webhook-timestamp": timestamp,
            "x-webhook-version": version,
            **({"x-idempotency-key": key} if version == NEWEST_WEBHOOKS else {}),
        }

    return [
        Message(
            gateway="cashfree",
            event_id=key,
            event=event,
            order_id=order.id,
            body=body,
            headers=headers(genuine),
            corrupt_headers=headers(genuine[::-1]),
            old_secret_headers=headers(signature(OLD_APP_SECRET, timestamp, body)),
            url=url,
            retry_seconds=RETRY_AFTER_SECONDS,
            successes=frozenset({200}),
            attempt_header="x-webhook-attempt",
        )
        for url in urls
    ]


class Teller:
    """Everything here runs under the world's lock."""

    def __init__(self, books: Books, deliveries: Deliveries) -> None:
        self._books = books
        self._deliveries = deliveries

    def tell(self, event: str, order: Order, data: Json, *, is_of_order: bool = True) -> None:
        """To the dashboard's address, and what is about one order also to the order's own."""
        notify_url = order.meta.get("notify_url") if is_of_order else None
        urls = [None, notify_url] if notify_url else [None]
        version, now = self._books.settings.webhook_version, self._books.world.now()
        for message in messages(event, data, order, version, now, urls):
            self._deliveries.send(message)
