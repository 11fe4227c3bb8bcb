"""How Cashfree answers and signs, as its documents say; fixtures are their samples."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, ClassVar

from payments_service.domain.news import OrderRef
from payments_service.gateways.cashfree import CashfreeConfig
from tests.gateways.hooks import REFUND_ID, WIRE_ID, GatewayHooks, World
from tests.gateways.wire import Reply, Request

FIXTURES = Path(__file__).parents[1] / "fixtures" / "cashfree"
APP_ID, SECRET, OLD_SECRET = "TEST_contract_app", "contract-app-secret", "contract-app-secret-before"
PAYMENT, FAILED_PAYMENT, ORDER = "5114911000002", "5114911000001", "2149460581"
SESSION = "session_contract_bearer_a1VXIPJo8kh7IBigVXX8LgTMupQW_cu25FS8KwLwQLOm"
TIMESTAMP = 1746427759733


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def error_reply(name: str, **changes: str) -> Reply:
    return Reply.of(fixture(f"errors/{name}") | changes, int(name[:3]))


def signature(secret: str, timestamp: str, raw: bytes) -> str:
    digest = hmac.new(secret.encode(), timestamp.encode() + raw, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class CashfreeHooks(GatewayHooks):
    transaction_id = PAYMENT
    gateway_order_id = WIRE_ID
    api_secrets: ClassVar[tuple[str, ...]] = (SECRET, SESSION)
    webhook_secrets: ClassVar[tuple[str, str]] = (SECRET, OLD_SECRET)

    def config(self, url: str, **changes: str) -> CashfreeConfig:
        rest = {"environment": "sandbox", "api_version": "2025-01-01", "webhook_scheme": "standard"}
        return CashfreeConfig(
            app_id=APP_ID, app_secrets=self.webhook_secrets, other_url=url, **{**rest, **changes}
        )

    def serve(self, request: Request, world: World) -> Reply:
        match request.method, request.path.removeprefix("/").split("/"):
            case "POST", ["orders"]:
                return Reply.of(order(world) | {"order_status": "ACTIVE"})
            case (("GET" | "PATCH"), ["orders", _]):
                return Reply.of(order(world))
            case "POST", ["orders", _, "authorization"]:
                return Reply.of(payment(world))
            case "GET", ["orders", _, "payments"]:
                return Reply.of([failed_payment(world), payment(world)])
            case "GET", ["orders", _, "refunds"]:
                return Reply.of([refund(world)])
            case ("POST", ["orders", _, "refunds"]) | ("GET", ["orders", _, "refunds", _]):
                return Reply.of(refund(world))
        return error_reply("400")

    def sent_amount(self, request: Request) -> str:
        sent = request.json()
        return str(sent.get("order_amount") or sent.get("refund_amount") or sent["amount"])

    def sent_id(self, request: Request) -> str:
        return str(request.json()["order_id"])

    def event(self, name: str, world: World) -> bytes:
        return event(name, data_of(name, world))

    def sign(self, raw: bytes, secret: str, number: int = 1) -> dict[str, str]:
        timestamp = str(TIMESTAMP + number)
        return {
            "x-webhook-signature": signature(secret, timestamp, raw),
            "x-webhook-timestamp": timestamp,
            "x-webhook-version": "2025-01-01",
            "x-idempotency-key": base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode(),
        }

    def genuine_return(self, order: OrderRef, transaction_id: str) -> None:
        return None


def event(name: str, data: Any) -> bytes:
    """Compact, amounts with two decimals."""
    envelope = {"data": data, "event_time": "2025-01-15T12:19:01+05:30", "type": name}
    return json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode()


def data_of(name: str, world: World) -> Any:
    match name.split("_")[0]:
        case "PAYMENT":
            return fixture("webhooks/2025-01-01/payment_success")["data"] | {
                "order": {"order_id": world.wire_id, **amounts(world, "order"), "order_tags": None},
                "payment": payment(world),
            }
        case "REFUND":
            told = fixture("webhooks/2025-01-01/refund_status")["data"]["refund"]
            return {"refund": told | {"order_id": world.wire_id, "refund_id": REFUND_ID}}
        case "AUTO":
            told = fixture("webhooks/auto_refund_status")["data"]["auto_refund"]
            return {"auto_refund": told | {"order_id": world.wire_id}}
        case "DISPUTE":
            told = fixture("webhooks/dispute_created")["data"]
            return told | {"order_details": told["order_details"] | {"order_id": world.wire_id}}
        case "SETTLEMENT":
            return fixture("webhooks/2025-01-01/settlement_success")["data"]
    return {"test_object": {"test_key": "test_value"}}


def rupees(world: World) -> float:
    return float(world.amount.major)


def amounts(world: World, prefix: str) -> dict[str, Any]:
    return {f"{prefix}_amount": rupees(world), f"{prefix}_currency": "INR"}


def order(world: World) -> dict[str, Any]:
    entity = fixture("api/order.paid.response") | amounts(world, "order")
    ids = {"order_id": world.wire_id, "cf_order_id": ORDER, "payment_session_id": SESSION}
    return {**entity, **ids, "order_status": world.order_word}


def payment(world: World) -> dict[str, Any]:
    entity = fixture("api/payments.list.response")[0] | amounts(world, "order") | amounts(world, "payment")
    ids = {"order_id": world.wire_id, "cf_payment_id": PAYMENT}
    return {**entity, **ids, "authorization": None, "payment_status": world.attempt_word}


def failed_payment(world: World) -> dict[str, Any]:
    error = {"error_code": "TRANSACTION_DECLINED", "error_reason": "bank_rejected", "error_source": "bank"}
    changes = {"cf_payment_id": FAILED_PAYMENT, "payment_status": "FAILED", "error_details": error}
    return payment(world) | changes


def refund(world: World) -> dict[str, Any]:
    entity = fixture("api/refund.success.response") | amounts(world, "refund")
    ids = {"order_id": world.wire_id, "cf_payment_id": PAYMENT, "refund_id": REFUND_ID}
    return {**entity, **ids, "refund_status": world.refund_word}
