"""Events as a merchant gets them, for tests that deliver one and do not care which."""

from typing import Any
from uuid import uuid4

PAYMENT: dict[str, Any] = {
    "id": "019c0f3e-6a63-7d1c-9a58-5f0c8f7b2d11",
    "gateway": "fake",
    "mode": "test",
    "orderId": "order_1",
    "paymentId": "pay_1",
    "reference": None,
    "userId": None,
    "metadata": {},
    "status": "completed",
    "amountPaise": 49900,
    "amountRefundedPaise": 0,
    "currency": "INR",
    "method": "upi",
    "priceVerified": False,
    "sequence": 1,
}
MORE: dict[str, dict[str, Any]] = {
    "payment.completed": {},
    "payment.failed": {"status": "failed"},
    "payment.review": {
        "review": {
            "reason": "second_success",
            "evidence": {"paymentIds": ["pay_1", "pay_2"]},
            "whatToDo": "Refund one of the payments.",
        }
    },
}
UNDELIVERED: dict[str, Any] = {
    "eventId": "evt_1",
    "type": "payment.completed",
    "destination": "merchant",
    "answer": "500",
    "tries": 10,
}


def sample_data(event_type: str, **fields: Any) -> dict[str, Any]:
    """The `data` of an event of this type; `fields` replace or add members of a payment's."""
    if event_type == "ops.alert":
        about = {"code": "event_undelivered", "subject": "merchant", "detail": UNDELIVERED}
        return {"id": str(uuid4()), **about}
    return {**PAYMENT, **MORE[event_type], **fields}
