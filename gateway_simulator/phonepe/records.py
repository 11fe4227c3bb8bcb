"""PhonePe's orders, attempts and refunds, as both generations write them down.

Sources: docs v2 order-status, refund, webhook; v1 check-status-api-1, refund-8.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from gateway_simulator.base import Json
from gateway_simulator.phonepe.credentials import MERCHANT_ID
from gateway_simulator.phonepe.instruments import METHODS, Instrument
from gateway_simulator.phonepe.settlements import Settlement

State = Literal["PENDING", "COMPLETED", "FAILED"]
Flow = Literal["PG_CHECKOUT", "PG", "V1"]
V1_CODES = {"PENDING": "PAYMENT_PENDING", "COMPLETED": "PAYMENT_SUCCESS", "FAILED": "PAYMENT_ERROR"}
V1_MESSAGES = {
    "PAYMENT_PENDING": "Your payment is in pending state.",
    "PAYMENT_SUCCESS": "Your payment is successful.",
    "PAYMENT_ERROR": "Payment Failed",
    "PAYMENT_DECLINED": "The payment was declined.",  # this one and the next are invented
    "TIMED_OUT": "The payment was not completed in time.",
}


@dataclass(frozen=True)
class Failure:
    code: str
    detail: str
    v1_code: str = "PAYMENT_ERROR"

    def members(self) -> Json:
        return {"errorCode": self.code, "detailedErrorCode": self.detail}


DECLINED = Failure("PAYMENT_ERROR", "ZM")
CANCELLED = Failure("TXN_CANCELLED", "ORDER_CANCELLED_BY_USER")
EXPIRED = Failure("TXN_NOT_COMPLETED", "ORDER_EXPIRED", v1_code="TIMED_OUT")
NOT_ENOUGH_BALANCE = Failure("REFUND_ERROR", "BF_034")


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
        """As a status tells it."""
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
        split = {
            "instrument": self.instrument.instrument,
            "rail": self.instrument.rail,
            "amount": self.amount,
        }
        return entity | self.means() | {"splitInstruments": [split]}

    def told(self) -> Json:
        """As an event tells it: in fewer words."""
        left_out = ("payableAmount", "feeAmount", "rail", "instrument", "splitInstruments")
        return {name: value for name, value in self.entity().items() if name not in left_out}

    def means(self) -> Json:
        return {"rail": self.instrument.rail, "instrument": self.instrument.instrument}


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
    flow: Flow = "PG_CHECKOUT"
    merchant_id: str = MERCHANT_ID
    state: State = "PENDING"
    failure: Failure | None = None
    attempts: list[Attempt] = field(default_factory=list)
    refunds: list["Refund"] = field(default_factory=list)
    methods: frozenset[str] = METHODS
    expire_at: int = 0
    # V2
    meta_info: Json | None = None
    message: str | None = None
    may_retry: bool = True
    is_for_app: bool = False
    settlement: Settlement | None = None
    # V1
    callback_url: str = ""
    redirect_mode: str = "REDIRECT"

    @property
    def is_v1(self) -> bool:
        return self.flow == "V1"

    @property
    def paid(self) -> int:
        return sum(attempt.amount for attempt in self.attempts if attempt.state == "COMPLETED")

    @property
    def left_to_refund(self) -> int:
        """Never more than the order's amount, also where the attempt moved more."""
        refunded = sum(refund.amount for refund in self.refunds if refund.state != "FAILED")
        return min(self.paid, self.amount) - refunded

    def payments(self) -> list[tuple[int, str]]:
        """What was paid: each amount, and by which rail."""
        paid = [attempt for attempt in self.attempts if attempt.state == "COMPLETED"]
        return [(attempt.amount, attempt.instrument.rail["type"]) for attempt in paid]

    def paid_attempt(self) -> Attempt | None:
        return next((attempt for attempt in self.attempts if attempt.state == "COMPLETED"), None)

    def entity(
        self, *, all_attempts: bool, error_context: bool = False, settlement_details: bool = False
    ) -> Json:
        """As a status tells it; before a settlement there are no details of one (that is not recorded)."""
        attempts = self.attempts if all_attempts else self.attempts[-1:]
        entity = self._members() | {"paymentDetails": [attempt.entity() for attempt in attempts]}
        if self.failure:
            entity |= self.failure.members()
            if error_context:
                about = {"source": "CUSTOMER", "stage": "AUTHENTICATION", "description": self.failure.detail}
                entity["errorContext"] = {**self.failure.members(), **about}
        if settlement_details and self.settlement:
            entity["settlementDetails"] = self.settlement.details_of(self.payments())
        return entity

    def _members(self) -> Json:
        return {
            "orderId": self.number,
            "state": self.state,
            "amount": self.amount,
            "payableAmount": self.amount,
            "feeAmount": 0,
            "expireAt": self.expire_at,
            **({"metaInfo": self.meta_info} if self.meta_info else {}),
        }

    def told(self, state: str) -> Json:
        """As an event tells it that claims this state. An attempt's reason stands at the attempt; one without
        an attempt, at the order (the samples have no such order)."""
        left_out = ("payableAmount", "feeAmount")
        members = {name: value for name, value in self._members().items() if name not in left_out}
        attempts = self.attempts[-1:]
        alone = self.failure.members() if self.failure and not attempts and state == "FAILED" else {}
        ids = {"merchantId": self.merchant_id, "merchantOrderId": self.id}
        return {
            **ids,
            **members,
            "state": state,
            **alone,
            "paymentDetails": [attempt.told() for attempt in attempts],
        }

    @property
    def v1_code(self) -> str:
        return self.failure.v1_code if self.failure else V1_CODES[self.state]

    def v1_status(self) -> Json:
        attempt = self.attempts[-1] if self.attempts else None
        failed = self.failure.detail if self.failure else ""
        words: dict[State, str] = {"PENDING": "PENDING", "COMPLETED": "SUCCESS", "FAILED": failed}
        is_paid = attempt is not None and self.state == "COMPLETED"
        data: Json = {
            "merchantId": self.merchant_id,
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
        """As a status tells it: the way of the money, once it went."""
        entity = self._members()
        attempt = self.order.paid_attempt()
        if self.state != "COMPLETED" or attempt is None:
            return entity
        split = {**attempt.means(), "amount": self.amount}
        detail = {**self._detail(), **attempt.means(), "splitInstruments": [split]}
        return entity | {"splitInstruments": [split], "paymentDetails": [detail]}

    def told(self, state: str) -> Json:
        """As an event tells it that claims this state."""
        failure = self.failure or NOT_ENOUGH_BALANCE
        return {
            "merchantId": self.order.merchant_id,
            "merchantRefundId": self.id,
            **self._members(),
            "state": state,
            **(failure.members() if state == "FAILED" else {}),
            "paymentDetails": [{**self._detail(), "state": state}],
        }

    def _members(self) -> Json:
        return {
            "originalMerchantOrderId": self.order.id,
            "amount": self.amount,
            "state": self.state,
            "timestamp": self.created_at,
            "refundId": self.number,
            **(self.failure.members() if self.failure else {}),
        }

    def _detail(self) -> Json:
        attempt = self.order.paid_attempt()
        return {
            "transactionId": self.number,
            "paymentMode": attempt.instrument.mode if attempt else "UPI_INTENT",
            "timestamp": self.created_at,
            "amount": self.amount,
            "state": self.state,
        }

    def v1_status(self) -> Json:
        state = "PENDING" if self.state == "CONFIRMED" else self.state
        code = V1_CODES[state]
        data: Json = {
            "merchantId": self.order.merchant_id,
            "merchantTransactionId": self.id,
            "transactionId": self.number,
            "amount": self.amount,
            "state": state,
            "responseCode": "SUCCESS" if state == "COMPLETED" else code,
            "paymentInstrument": None,
        }
        return v1_answer(code, data)

    def v1_created(self) -> Json:
        answer = self.v1_status()
        data = {name: value for name, value in answer["data"].items() if name != "paymentInstrument"}
        return {**answer, "message": "Your request has been successfully completed.", "data": data}


CURRENCIES = {"amount": "currency", "payableAmount": "payableCurrency", "feeAmount": "feeCurrency"}


def of_2026(entity: Json) -> Json:
    """With the members that came in 2026: currencies (null in a payment's parts), and the payer's link."""
    newer: Json = {}
    for name, value in entity.items():
        if name in CURRENCIES:
            newer[CURRENCIES[name]] = "INR"
        newer[name] = value
    if "splitInstruments" in newer:
        newer["splitInstruments"] = [{**part, "currency": None} for part in newer["splitInstruments"]]
    if "paymentDetails" in newer:
        newer["paymentDetails"] = [of_2026(detail) for detail in newer["paymentDetails"]]
    if newer.get("state") == "COMPLETED" and str(newer.get("paymentMode")).startswith("UPI_"):
        newer["phonepeTPAPTxnDetailsLink"] = "https://phon.pe/simulator"
    return newer


def v1_answer(code: str, data: dict[str, Any], message: str | None = None) -> Json:
    """`success` is true for every request that was understood, also for a failed payment."""
    return {"success": True, "code": code, "message": message or V1_MESSAGES[code], "data": data}
