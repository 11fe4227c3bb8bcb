"""How Razorpay answers and signs, as its documents say; fixtures are their samples."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, ClassVar

from payments_service.domain.news import OrderRef
from payments_service.gateways.razorpay import RazorpayConfig
from tests.gateways.hooks import REFUND_ID, GatewayHooks, World
from tests.gateways.wire import Reply, Request

FIXTURES = Path(__file__).parents[1] / "fixtures" / "razorpay"
KEY_ID, KEY_SECRET = "rzp_test_contractKeyId", "api-secret-of-the-contract"
PAYMENT, ORDER = "pay_ContractPaid01", "order_ContractPaid1"
FAILED_PAYMENT = "pay_ContractFail01"


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def error_reply(name: str) -> Reply:
    made = fixture(f"errors/{name}")
    return Reply.of(made["body"], made["http_status"])


def signature(secret: str, message: bytes | str) -> str:
    raw = message.encode() if isinstance(message, str) else message
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


class RazorpayHooks(GatewayHooks):
    transaction_id = PAYMENT
    gateway_order_id = ORDER
    api_secrets: ClassVar[tuple[str, ...]] = (KEY_SECRET,)
    webhook_secrets: ClassVar[tuple[str, str]] = ("webhook-secret-new", "webhook-secret-old")

    def config(self, url: str) -> RazorpayConfig:
        return RazorpayConfig(KEY_ID, KEY_SECRET, self.webhook_secrets, url, "automatic")

    def serve(self, request: Request, world: World) -> Reply:
        path = request.path.removeprefix("/v1/")
        match request.method, path.split("/"):
            case "POST", ["orders"]:
                return Reply.of(order(world) | {"status": "created", "attempts": 0})
            case "GET", ["orders"]:
                return Reply.of(listed(*[order(world)][: request.query["receipt"] == world.wire_id]))
            case "GET", ["orders", _]:
                return Reply.of(order(world))
            case "GET", ["orders", _, "payments"]:
                return Reply.of(listed(payment(world) | FAILED, payment(world)))
            case (_, ["payments", _]) | ("POST", ["payments", _, "capture"]):
                return Reply.of(payment(world))
            case "GET", ["payments", _, "refunds"]:
                return Reply.of(listed(refund(world)))
            case ("POST", ["payments", _, "refund"]) | ("GET", ["refunds", _]):
                return Reply.of(refund(world))
        return error_reply("url_not_found")

    def sent_amount(self, request: Request) -> str:
        return str(request.json()["amount"])

    def sent_id(self, request: Request) -> str:
        return str(request.json()["receipt"])

    def event(self, name: str, world: World) -> bytes:
        entities: dict[str, Any] = {"payment": payment(world), "order": order(world), "refund": refund(world)}
        if name.startswith("payment.dispute."):
            sample = name.replace(".lost", ".won")  # of a lost one there is no sample
            told = fixture(f"webhooks/{sample}")["payload"]["dispute"]["entity"]
            entities["dispute"] = told | {"payment_id": PAYMENT}
        contains = {"order": ["payment", "order"], "refund": ["refund", "payment"]}.get(
            name.split(".")[0], [entity for entity in ("payment", "dispute") if entity in entities]
        )
        return event(name, {entity: {"entity": entities[entity]} for entity in contains})

    def sign(self, raw: bytes, secret: str, number: int = 1) -> dict[str, str]:
        return {"x-razorpay-signature": signature(secret, raw), "x-razorpay-event-id": f"event{number:09}"}

    def genuine_return(self, order: OrderRef, transaction_id: str) -> dict[str, str]:
        signed = signature(KEY_SECRET, f"{order.gateway_order_id}|{transaction_id}")
        return {"orderId": order.gateway_order_id or "", "paymentId": transaction_id, "signature": signed}


def event(name: str, payload: Any) -> bytes:
    envelope = {
        "entity": "event",
        "account_id": "acc_BFQ7uQEaa7j2z7",
        "event": name,
        "contains": list(payload),
    }
    return json.dumps(
        {**envelope, "payload": payload, "created_at": 1567674606}, separators=(",", ":")
    ).encode()


def listed(*items: Any) -> Any:
    return {"entity": "collection", "count": len(items), "items": list(items)}


FAILED = {"id": FAILED_PAYMENT, "status": "failed", "captured": False, "amount_refunded": 0}


def order(world: World) -> dict[str, Any]:
    entity = fixture("api/order.fetch.paid.response")
    paid = world.amount.minor if world.order_word == "paid" else 0
    amount = {"amount": world.amount.minor, "amount_paid": paid}
    return {**entity, **amount, "id": ORDER, "receipt": world.wire_id, "status": world.order_word}


def payment(world: World) -> dict[str, Any]:
    entity = fixture("api/order.payments.response")["items"][0]
    words = {"id": PAYMENT, "order_id": ORDER, "status": world.attempt_word, "captured": True, "notes": []}
    return {
        **entity,
        **words,
        "amount": world.amount.minor,
        "amount_refunded": 100,
        "refund_status": "partial",
    }


def refund(world: World) -> dict[str, Any]:
    entity = fixture("api/refund.create.normal.response")
    ids = {"id": "rfnd_ContractPart1", "payment_id": PAYMENT, "receipt": REFUND_ID}
    return {**entity, **ids, "amount": world.amount.minor, "status": world.refund_word, "notes": []}
