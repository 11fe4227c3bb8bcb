"""Razorpay's webhooks: the envelope, signed over its bytes, and who gets it.

Sources: Razorpay docs webhooks/validate-test, webhooks/payments, webhooks/refunds, webhooks/disputes,
webhooks/settlements, webhooks/all.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping

from gateway_simulator.base import Json
from gateway_simulator.deliveries import Deliveries, Message
from gateway_simulator.razorpay.books import Books
from gateway_simulator.razorpay.hooks import Hooks

WEBHOOK_SECRET = "simulator_razorpay_webhook_secret"  # noqa: S105  (well-known on purpose)
OLD_WEBHOOK_SECRET = "simulator_razorpay_old_webhook_secret"  # noqa: S105
ACCOUNT_ID = "acc_Simulator00001"
EVENT_TYPES = (
    "payment.authorized",
    "payment.captured",
    "payment.failed",
    "payment.pending",
    "order.paid",
    "order.placed",
    "refund.created",
    "refund.processed",
    "refund.failed",
    "refund.speed_changed",
    "payment.dispute.created",
    "payment.dispute.under_review",
    "payment.dispute.action_required",
    "payment.dispute.won",
    "payment.dispute.lost",
    "payment.dispute.closed",
    "settlement.processed",
    "payment.downtime.started",
    "payment.downtime.updated",
    "payment.downtime.resolved",
    "payment_link.paid",
    "payment_link.partially_paid",
    "payment_link.cancelled",
    "payment_link.expired",
)


def hex_hmac(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


class Events:
    """Everything here runs under the world's lock."""

    def __init__(self, books: Books, hooks: Hooks, deliveries: Deliveries) -> None:
        self._books = books
        self._hooks = hooks
        self._deliveries = deliveries

    def tell(self, event: str, order_id: str, entities: Mapping[str, Json]) -> None:
        """Queue a webhook, a snapshot of this moment; `order_id` is whose it is on the control plane."""
        body = json.dumps(self._envelope(event, entities), ensure_ascii=False, separators=(",", ":")).encode()
        event_id = self._books.world.random_text(14)
        self._send(event, event_id, order_id, body, WEBHOOK_SECRET, None)
        for hook in self._hooks.wanting(event):
            self._send(event, event_id, order_id, body, hook.secret, hook.url)

    def _envelope(self, event: str, entities: Mapping[str, Json]) -> Json:
        payload: Json = {name: {"entity": dict(entity)} for name, entity in entities.items()}
        envelope = {
            "entity": "event",
            "account_id": ACCOUNT_ID,
            "event": event,
            "contains": list(entities),
            "payload": payload,
        }
        # Two oddities of the documented samples.
        if event == "payment.dispute.action_required":
            payload["dispute"]["evidence"] = payload["dispute"]["entity"].pop("evidence")
        if event == "refund.speed_changed":
            payload["created_at"] = self._books.now()
            return envelope
        return {**envelope, "created_at": self._books.now()}

    def _send(
        self, event: str, event_id: str, order_id: str, body: bytes, secret: str | None, url: str | None
    ) -> None:
        signature = hex_hmac(secret, body) if secret else None
        old = hex_hmac(OLD_WEBHOOK_SECRET, body)
        self._deliveries.send(
            Message(
                gateway="razorpay",
                event_id=event_id,
                event=event,
                order_id=order_id,
                body=body,
                headers=_headers(event_id, signature),
                corrupt_headers=_headers(event_id, signature and signature[::-1]),
                old_secret_headers=_headers(event_id, signature and old),
                url=url,
            )
        )


def _headers(event_id: str, signature: str | None) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": "Razorpay-Webhook/v1",
        **({"X-Razorpay-Signature": signature} if signature else {}),
        "x-razorpay-event-id": event_id,
    }
