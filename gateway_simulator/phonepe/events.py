"""PhonePe's webhooks (V2), callbacks and return forms (V1), ready to send.

Sources: docs v2 webhook, chargeback/webhook; CallbackType of phonepe-pg-sdk-python 3.0.1; v1
server-to-server-callback-5 and ui-callback-1. The headers of a signed webhook are as integrators saw them.
"""

import base64
import json

from gateway_simulator.base import Json
from gateway_simulator.deliveries import Message
from gateway_simulator.phonepe.credentials import (
    OLD_SALT_INDEX,
    OLD_WEBHOOK_HMAC_SECRET,
    OLD_WEBHOOK_PASSWORD,
    WEBHOOK_KEY_ID,
    WEBHOOK_PASSWORD,
    WEBHOOK_USER,
    checksum,
    sha256,
    x_verify,
)

FLOW_NAMES = {"PG_CHECKOUT": "checkout", "PG": "pg"}
ATTEMPT_FAILED = "transaction.attempt.failed"
ORDER_EVENTS = {
    f"{family}.{rest}": state
    for family in ("checkout", "pg", "paylink", "subscription.setup", "subscription.redemption")
    for rest, state in {"order.completed": "COMPLETED", "order.failed": "FAILED"}.items()
}
"""Every one claims a state of its order; the last three families are of products that are not simulated."""
ATTEMPT_EVENTS = {f"{name}.{ATTEMPT_FAILED}": "PENDING" for name in FLOW_NAMES.values()}
REFUND_EVENTS = {
    "pg.refund.accepted": "CONFIRMED",
    "pg.refund.completed": "COMPLETED",
    "pg.refund.failed": "FAILED",
}
SETTLEMENT_EVENTS = {
    "settlement.initiated": "INITIATED",
    "settlement.processed": "PROCESSED",
    "settlement.attempt.failed": "ATTEMPT_FAILED",
}
DISPUTE_EVENTS = {
    "payment.dispute.created": "UNDER_REVIEW",
    "payment.dispute.action_required": "ACTION_REQUIRED",
    "payment.dispute.under_review": "UNDER_REVIEW",
    "payment.dispute.won": "WON",
    "payment.dispute.lost": "LOST",
}
V2_EVENTS = (*ORDER_EVENTS, *ATTEMPT_EVENTS, *REFUND_EVENTS, *SETTLEMENT_EVENTS, *DISPUTE_EVENTS)
V1_CALLBACKS = {
    "PAYMENT_SUCCESS": "COMPLETED",
    "PAYMENT_ERROR": "FAILED",
    "PAYMENT_DECLINED": "FAILED",
    "TIMED_OUT": "FAILED",
}
"""Only final states are called back."""
WITHOUT_TYPE = ("settlement.", "paylink.", "payment.dispute.")
"""Their samples have no `type`, and the SDK's enumeration has no word for them."""


def webhook(
    event_id: str, event: str, order_id: str, payload: Json, *, is_signed: bool, is_enveloped: bool = True
) -> Message:
    """V2, of either kind: with a password, the same on every delivery, or signed over the body."""
    kind = {} if event.startswith(WITHOUT_TYPE) else {"type": event.upper().replace(".", "_")}
    body = _compact({"event": event, **kind, "payload": payload} if is_enveloped else payload)
    genuine, old = _checksums(body) if is_signed else _digests()
    return Message(
        gateway="phonepe",
        event_id=event_id,
        event=event,
        order_id=order_id,
        body=body,
        headers=_proof(genuine, is_signed=is_signed),
        corrupt_headers=_proof(genuine[::-1], is_signed=is_signed),
        old_secret_headers=_proof(old, is_signed=is_signed),
    )


def _digests() -> tuple[str, str]:
    genuine = sha256(f"{WEBHOOK_USER}:{WEBHOOK_PASSWORD}")
    return genuine, sha256(f"{WEBHOOK_USER}:{OLD_WEBHOOK_PASSWORD}")


def _checksums(body: bytes) -> tuple[str, str]:
    return checksum(body), checksum(body, OLD_WEBHOOK_HMAC_SECRET)


def _proof(value: str, *, is_signed: bool) -> dict[str, str]:
    if not is_signed:
        return _headers("Authorization", value)
    key_id = {"X-PhonePe-Checksum-Key-Id": WEBHOOK_KEY_ID}
    return {**_headers("X-PhonePe-Checksum-Signature", value), **key_id}


def callback(event_id: str, status: Json, order_id: str, merchant_id: str, url: str) -> Message:
    """V1: signed over the base64 text, without a path, and sent to where the request said."""
    response = base64.b64encode(_compact(status)).decode()
    genuine = x_verify(merchant_id, response, "")
    return Message(
        gateway="phonepe",
        event_id=event_id,
        event=str(status["code"]),
        order_id=order_id,
        body=_compact({"response": response}),
        headers=_headers("X-VERIFY", genuine),
        corrupt_headers=_headers("X-VERIFY", genuine[63::-1] + genuine[64:]),
        old_secret_headers=_headers("X-VERIFY", x_verify(merchant_id, response, "", OLD_SALT_INDEX)),
        url=url,
    )


def return_form(code: str, merchant_id: str, order_id: str, amount: int, reference: str | None) -> Json:
    """What V1 posts to redirectUrl with redirectMode POST; a failure names no reference.

    The values are signed in this very order.
    """
    fields = {
        "code": code,
        "merchantId": merchant_id,
        "transactionId": order_id,
        "amount": str(amount),
        **({"providerReferenceId": reference} if reference else {}),
        **{f"param{number}": "na" for number in range(1, 21)},
    }
    return {**fields, "checksum": x_verify(merchant_id, "".join(fields.values()), "")}


def _compact(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _headers(name: str, value: str) -> dict[str, str]:
    return {"Content-Type": "application/json", name: value}
