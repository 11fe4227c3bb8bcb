"""How PhonePe answers and signs, in both generations, as its documents say; fixtures are their samples."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

from payments_service.domain.news import OrderRef
from payments_service.gateways.phonepe import PhonePeConfig
from payments_service.gateways.phonepe_v1 import PhonePeV1Config
from tests.gateways.hooks import REFUND_ID, WIRE_ID, GatewayHooks, World
from tests.gateways.wire import Reply, Request

FIXTURES = Path(__file__).parents[1] / "fixtures" / "phonepe"
CLIENT_ID, CLIENT_SECRET = "CONTRACT_CLIENT", "api-secret-of-the-contract"
USER = "contract_hook"
ORDER, PAYMENT, FAILED_PAYMENT = "OMOcontract0001", "OMcontract0001", "OMcontract0002"
MERCHANT, SALT = "CONTRACTMID", "salt-key-of-the-contract-new"
TRANSACTION = "Tcontract0001"
FAR_SECONDS = 4_000_000_000


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def error_reply(name: str, status: int) -> Reply:
    return Reply.of(fixture(name), status)


def sha256(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class PhonePeHooks(GatewayHooks):
    transaction_id = PAYMENT
    gateway_order_id = ORDER
    api_secrets: ClassVar[tuple[str, ...]] = (CLIENT_SECRET,)
    webhook_secrets: ClassVar[tuple[str, str]] = ("webhook-password-new", "webhook-password-old")

    def config(self, url: str) -> PhonePeConfig:
        return PhonePeConfig(CLIENT_ID, CLIENT_SECRET, "1", (USER,), self.webhook_secrets, "sandbox", url, ())

    def serve(self, request: Request, world: World) -> Reply:
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["v1", "oauth", "token"]:
                return Reply.of(fixture("v2/oauth_token_response") | {"expires_at": FAR_SECONDS})
            case "POST", ["checkout", "v2", "pay"]:
                return Reply.of(fixture("v2/pay_response") | {"orderId": ORDER})
            case ("GET", ["checkout", "v2", "order", _, "status"]) | (
                "GET",
                ["checkout", "v2", "transaction", _, "status"],
            ):
                return Reply.of(order(world))
            case "POST", ["payments", "v2", "refund"]:
                return Reply.of(refund(world, "v2/refund_response_pending"))
            case "GET", ["payments", "v2", "refund", _, "status"]:
                return Reply.of(refund(world, "v2/refund_status_completed_upi"))
        return Reply.of({"code": "NOT_FOUND", "message": "HTTP 404 Not Found"}, 404)

    def is_login(self, request: Request) -> bool:
        return request.path == "/v1/oauth/token"

    def sent_amount(self, request: Request) -> str:
        return str(request.json()["amount"])

    def sent_id(self, request: Request) -> str:
        return str(request.json()["merchantOrderId"])

    def event(self, name: str, world: World) -> bytes:
        payload = {"merchantId": "M", "merchantOrderId": world.wire_id, **order(world)}
        if "refund" in name:
            payload = {"merchantRefundId": REFUND_ID, "originalMerchantOrderId": world.wire_id}
            payload |= refund(world, "v2/refund_status_completed_upi")
        return compact({"event": name, "payload": payload})

    def sign(self, raw: bytes, secret: str, number: int = 1) -> dict[str, str]:
        return {"authorization": sha256(f"{USER}:{secret}")}

    def genuine_return(self, order: OrderRef, transaction_id: str) -> None:
        return None


def order(world: World) -> dict[str, Any]:
    """Paid, after another attempt that failed."""
    entity = fixture("v2/order_status_completed_with_fees_details")
    amount = {"amount": world.amount.minor, "payableAmount": world.amount.minor}
    paid = {**entity["paymentDetails"][0], **amount, "transactionId": PAYMENT, "state": world.attempt_word}
    failed = {**paid, "transactionId": FAILED_PAYMENT, "state": "FAILED"}
    return {
        **entity,
        **amount,
        "orderId": ORDER,
        "state": world.order_word,
        "paymentDetails": [failed, paid],
    }


def refund(world: World, name: str) -> dict[str, Any]:
    ids = {"refundId": "OMRcontract0001"}
    if "status" in name:
        ids["originalMerchantOrderId"] = world.wire_id
    return {**fixture(name), **ids, "amount": world.amount.minor, "state": world.refund_word}


def token_form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


class PhonePeV1Hooks(GatewayHooks):
    transaction_id = TRANSACTION
    gateway_order_id = WIRE_ID
    api_secrets: ClassVar[tuple[str, ...]] = (SALT,)
    webhook_secrets: ClassVar[tuple[str, str]] = (SALT, "salt-key-of-the-contract-old")
    indexes = ("3", "1")

    def config(self, url: str) -> PhonePeV1Config:
        return PhonePeV1Config(MERCHANT, self.webhook_secrets, self.indexes, "false", (), (), "sandbox", url)

    def serve(self, request: Request, world: World) -> Reply:
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["pg", "v1", "pay"]:
                answer = fixture("v1/pay_response_initiated")
                answer["data"] |= {"merchantId": MERCHANT, "merchantTransactionId": world.wire_id}
                return Reply.of(answer)
            case "GET", ["pg", "v1", "status", _, our_id]:
                return Reply.of(v1_refund(world) if our_id == REFUND_ID else v1_status(world))
            case "POST", ["pg", "v1", "refund"]:
                return Reply.of(v1_refund(world))
        return Reply.of({"success": False, "code": "NOT_FOUND", "message": "?", "data": {}}, 404)

    def sent_amount(self, request: Request) -> str:
        return str(v1_sent(request)["amount"])

    def sent_id(self, request: Request) -> str:
        return str(v1_sent(request)["merchantTransactionId"])

    def event(self, name: str, world: World) -> bytes:
        return self.enclose(compact(v1_status(world.but(order_word=name))))

    def sign(self, raw: bytes, secret: str, number: int = 1) -> dict[str, str]:
        index = dict(zip(self.webhook_secrets, self.indexes, strict=True)).get(secret, "3")
        return {"x-verify": f"{sha256(json.loads(raw)['response'] + secret)}###{index}"}

    def enclose(self, content: bytes) -> bytes:
        return compact({"response": base64.b64encode(content).decode()})

    def content(self, raw: bytes) -> Any:
        return json.loads(base64.b64decode(json.loads(raw)["response"]))

    def rewritten(self, raw: bytes) -> list[bytes]:
        """What is signed is the base64 text inside, not the bytes around it."""
        value = self.content(raw)
        texts = (json.dumps(value), json.dumps(value, indent=1), json.dumps(value, sort_keys=True))
        return [self.enclose(text.encode()) for text in texts]

    def genuine_return(self, order: OrderRef, transaction_id: str) -> None:
        return None


def v1_status(world: World) -> dict[str, Any]:
    answer: dict[str, Any] = fixture("v1/status_response_success_upi")
    ids = {"merchantId": MERCHANT, "merchantTransactionId": world.wire_id, "transactionId": TRANSACTION}
    answer["data"] |= {**ids, "amount": world.amount.minor, "state": world.attempt_word}
    return {**answer, "code": world.order_word}


def v1_refund(world: World) -> dict[str, Any]:
    answer: dict[str, Any] = fixture("v1/refund_response_pending")
    ids = {"merchantId": MERCHANT, "merchantTransactionId": REFUND_ID, "transactionId": "TRcontract0001"}
    answer["data"] |= {**ids, "amount": world.amount.minor}
    return {**answer, "code": world.refund_word}


def v1_sent(request: Request) -> Any:
    """The request that stands in base64 in a request, each number as its text."""
    return json.loads(base64.b64decode(request.json()["request"]), parse_int=str, parse_float=str)
