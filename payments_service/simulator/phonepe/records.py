"""PhonePe's orders, attempts and refunds, as both generations write them down.

Sources: docs v2 order-status, refund, webhook; v1 check-status-api-1, refund-8.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from payments_service.simulator.base import Json

State = Literal["PENDING", "COMPLETED", "FAILED"]
V1_CODES = {"PENDING": "PAYMENT_PENDING", "COMPLETED": "PAYMENT_SUCCESS", "FAILED": "PAYMENT_ERROR"}
V1_MESSAGES = {
    "PAYMENT_PENDING": "Your payment is in pending state.",
    "PAYMENT_SUCCESS": "Your payment is successful.",
    "PAYMENT_ERROR": "Payment Failed",
    "TIMED_OUT": "The payment was not completed in time.",
}


@dataclass(frozen=True)
class Failure:
    code: str
    detail: str
    v1_code: str = "PAYMENT_ERROR"

    def members(self) -> Json:
        return {"errorCode": self.code, "detailedErrorCode": self.detail}


@dataclass(frozen=True)
class Instrument:
    """A method in V2's words (mode, rail, instrument) and in V1's."""

    mode: str
    rail: Json
    instrument: Json
    v1: Json


@dataclass(eq=False)
class Attempt:
    id: str
    method: str
    instrument: Instrument
    amount: int
    created_at: int
    """Milliseconds."""
    state: State = "PENDING"
    failure: Failure | None = None
    is_late: bool = False

    def entity(self) -> Json:
        entity: Json = {
            "transactionId": self.id,
            "paymentMode": self.instrument.mode,
            "timestamp": self.created_at,
            "amount": self.amount,
            "payableAmount": self.amount,
            "feeAmount": 0,
            "state": self.state,
        }
        if self.failure:
            return entity | self.failure.members()
        if self.state == "PENDING":
            return entity
        rail, instrument = self.instrument.rail, self.instrument.instrument
        split = {"instrument": instrument, "rail": rail, "amount": self.amount}
        return entity | {"rail": rail, "instrument": instrument, "splitInstruments": [split]}


@dataclass(eq=False)
class Order:
    """An order of V2, or a transaction of V1, which has one attempt under its own number."""

    id: str
    """The merchant's."""
    number: str
    """PhonePe's: OMO… or, in V1, T…."""
    token: str
    amount: int
    created_at: int
    redirect_url: str
    is_v1: bool = False
    state: State = "PENDING"
    failure: Failure | None = None
    attempts: list[Attempt] = field(default_factory=list)
    # V2
    expire_at: int = 0
    meta_info: Json | None = None
    message: str | None = None
    may_retry: bool = True
    # V1
    callback_url: str = ""
    redirect_mode: str = "REDIRECT"

    def entity(self, *, all_attempts: bool, error_context: bool = False) -> Json:
        attempts = self.attempts if all_attempts else self.attempts[-1:]
        entity: Json = {
            "orderId": self.number,
            "state": self.state,
            "amount": self.amount,
            "payableAmount": self.amount,
            "feeAmount": 0,
            "expireAt": self.expire_at,
            **({"metaInfo": self.meta_info} if self.meta_info else {}),
            "paymentDetails": [attempt.entity() for attempt in attempts],
        }
        if self.failure:
            entity |= self.failure.members()
            if error_context:
                about = {"source": "CUSTOMER", "stage": "AUTHENTICATION", "description": self.failure.detail}
                entity["errorContext"] = {**self.failure.members(), **about}
        return entity

    @property
    def v1_code(self) -> str:
        return self.failure.v1_code if self.failure else V1_CODES[self.state]

    def v1_status(self, merchant_id: str) -> Json:
        attempt = self.attempts[-1] if self.attempts else None
        failed = self.failure.detail if self.failure else ""
        words: dict[State, str] = {"PENDING": "PENDING", "COMPLETED": "SUCCESS", "FAILED": failed}
        is_paid = attempt is not None and self.state == "COMPLETED"
        data: Json = {
            "merchantId": merchant_id,
            "merchantTransactionId": self.id,
            "transactionId": self.number,
            "amount": attempt.amount if attempt else self.amount,
            "state": self.state,
            "responseCode": words[self.state],
            "paymentInstrument": attempt.instrument.v1 if attempt and is_paid else None,
        }
        return v1_answer(self.v1_code, data)


@dataclass(eq=False)
class Refund:
    id: str
    """The merchant's."""
    number: str
    """PhonePe's: OMR… or TR…."""
    order: Order
    amount: int
    created_at: int
    state: Literal["PENDING", "CONFIRMED", "COMPLETED", "FAILED"] = "PENDING"
    failure: Failure | None = None
    callback_url: str | None = None

    def created(self) -> Json:
        return {"refundId": self.number, "amount": self.amount, "state": self.state}

    def entity(self) -> Json:
        return {
            "originalMerchantOrderId": self.order.id,
            "amount": self.amount,
            "state": self.state,
            "timestamp": self.created_at,
            "refundId": self.number,
            **(self.failure.members() if self.failure else {}),
        }

    def v1_status(self, merchant_id: str) -> Json:
        state = "PENDING" if self.state == "CONFIRMED" else self.state
        code = V1_CODES[state]
        data: Json = {
            "merchantId": merchant_id,
            "merchantTransactionId": self.id,
            "transactionId": self.number,
            "amount": self.amount,
            "state": state,
            "responseCode": "SUCCESS" if state == "COMPLETED" else code,
        }
        return v1_answer(code, data)


def v1_answer(code: str, data: dict[str, Any], message: str | None = None) -> Json:
    """`success` is true for every request that was understood, also for a failed payment."""
    return {"success": True, "code": code, "message": message or V1_MESSAGES[code], "data": data}
