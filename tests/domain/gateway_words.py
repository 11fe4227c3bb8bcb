"""What the gateways can say of one payment, as bodies in their own words, read by their own readers.

No body is impossible: any order's word may stand beside any attempts, and any of them may come back.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from payments_service.domain.deadline import Deadline
from payments_service.domain.news import (
    DisputeSnapshot,
    OrderRef,
    PaymentSnapshot,
    RefundRef,
    RefundSnapshot,
    WebhookEvent,
)
from payments_service.gateways import cashfree_reading, phonepe, phonepe_reading, razorpay_reading
from payments_service.gateways.cashfree import STANDARD, CashfreeConfig, CashfreeGateway
from payments_service.gateways.phonepe import PhonePeConfig, PhonePeGateway
from payments_service.gateways.razorpay import RazorpayConfig, RazorpayGateway

Json = dict[str, Any]
WIRE = "psv_1"
NOWHERE = "http://127.0.0.1:9"
DEADLINE = Deadline(5)


@dataclass(frozen=True)
class Tried:
    """An attempt: its id, how it is (members of its entity), and paise."""

    id: str
    how: tuple[tuple[str, Any], ...]
    paise: int


@dataclass(frozen=True)
class GivenBack:
    """A refund; `ours` is our id of it, None for one that began in the gateway's dashboard."""

    id: str
    ours: str | None
    attempt: str
    word: str
    paise: int


@dataclass(frozen=True)
class Disputed:
    id: str
    attempt: str
    word: str
    phase: str


def rupees(paise: int) -> Decimal:
    return Decimal(paise) / 100


def how(**members: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(members.items())


# ── Razorpay ────────────────────────────────────────────────────────────────────────────────────────


class Razorpay(RazorpayGateway):
    order_id = "order_1"
    order_words = tuple(razorpay_reading.ORDER_STATUS)
    paid = ("paid", how(status="captured", method="upi", captured=True))
    attempts_are = (
        *(
            how(status=word, method="upi", captured=word == "captured")
            for word in razorpay_reading.ATTEMPT_STATUS
        ),
        how(status="refunded", method="upi", captured=True),
        *(how(status=word, method="cod", captured=False) for word in razorpay_reading.CASH_STATUS),
        how(status="a word of next year", method="upi", captured=False),
    )
    refund_words = (*razorpay_reading.REFUND_STATUS, "a word of next year")
    dispute_words = ("open", "under_review", "action_required", "won", "lost", "closed")
    asked_twice = ("open", "under_review", "action_required")
    """The words of a dispute that is told once more by the last of them."""

    def __init__(self) -> None:
        super().__init__(RazorpayConfig("rzp_test_words", "secret", ("secret",), NOWHERE, "automatic"))

    def answer(self, word: str, tried: Sequence[Tried], refunds: Sequence[GivenBack]) -> PaymentSnapshot:
        self.order = self._order(word, sum(one.paise for one in tried if dict(one.how)["captured"]))
        self.listed = [self._payment(one, refunds) for one in tried]
        self.given_back = [self._refund(one) for one in refunds]
        return self.fetch_payment(OrderRef(WIRE, self.order_id), DEADLINE)

    def _fetch_order(self, order: OrderRef, deadline: Deadline) -> Json:
        return self.order

    def _list_payments(self, order_id: str, deadline: Deadline) -> list[Json]:
        return self.listed

    def _list_refunds(self, payment_id: str, deadline: Deadline) -> list[Json]:
        return [one for one in self.given_back if one["payment_id"] == payment_id]

    def event(self, tried: Tried, word: str | None, at: datetime) -> WebhookEvent:
        """Of an attempt; with a word, of the order."""
        name = f"payment.{dict(tried.how)['status']}" if word is None else "order.paid"
        payload: Json = {"payment": {"entity": self._payment(tried, ())}}
        if word is not None:
            payload["order"] = {"entity": self._order(word, 0)}
        return self._told(name, payload, at)

    def refund_event(self, told: GivenBack, at: datetime) -> WebhookEvent:
        return self._told(f"refund.{told.word}", {"refund": {"entity": self._refund(told)}}, at)

    def refund_answer(self, told: GivenBack) -> RefundSnapshot:
        return razorpay_reading.refund(self._refund(told))

    def dispute_event(self, told: Disputed, at: datetime) -> WebhookEvent:
        """When it is to be answered again, only the event's name says so."""
        name = {"open": "created"}.get(told.word, told.word)
        status = {"action_required": "open"}.get(told.word, told.word)
        entity = {"id": told.id, "payment_id": told.attempt, "amount": 49900, "currency": "INR"}
        entity |= {"status": status, "phase": told.phase, "reason_code": "goods", "respond_by": 1900000000}
        return self._told(f"payment.dispute.{name}", {"dispute": {"entity": entity}}, at)

    def _told(self, name: str, payload: Json, at: datetime) -> WebhookEvent:
        body = {"event": name, "payload": payload, "created_at": int(at.timestamp())}
        return self.reread_webhook("evt_1", json.dumps(body).encode())

    def _order(self, word: str, paid: int) -> Json:
        ids = {"id": self.order_id, "receipt": WIRE, "entity": "order"}
        return {**ids, "status": word, "amount": 49900, "currency": "INR", "amount_paid": paid, "attempts": 1}

    def _payment(self, tried: Tried, refunds: Sequence[GivenBack]) -> Json:
        back = sum(one.paise for one in refunds if one.attempt == tried.id)
        sums = {"amount": tried.paise, "currency": "INR", "amount_refunded": back}
        return {"id": tried.id, "order_id": self.order_id, **sums, **dict(tried.how)}

    @staticmethod
    def _refund(told: GivenBack) -> Json:
        ids = {"id": told.id, "payment_id": told.attempt, "receipt": told.ours}
        return {**ids, "status": told.word, "amount": told.paise, "currency": "INR"}


# ── Cashfree ────────────────────────────────────────────────────────────────────────────────────────


class Cashfree(CashfreeGateway):
    order_id = WIRE
    order_words = tuple(cashfree_reading.ORDER_STATUS)
    paid = ("PAID", how(payment_status="SUCCESS", payment_group="upi"))
    attempts_are = (
        *(how(payment_status=word, payment_group="upi") for word in cashfree_reading.ATTEMPT_STATUS),
        *(how(payment_status="SUCCESS", payment_group=group) for group in cashfree_reading.CASH),
        *(
            how(payment_status="SUCCESS", payment_group="credit_card", authorization=told)
            for told in (
                {"action": "CAPTURE", "status": "PENDING"},
                {"action": "CAPTURE", "status": "SUCCESS", "captured_amount": 499},
                {"action": "CAPTURE", "status": "SUCCESS", "captured_amount": 100},
                {"action": "VOID", "status": "SUCCESS"},
                {},
            )
        ),
        how(payment_status="A WORD OF NEXT YEAR", payment_group="upi"),
    )
    refund_words = (*cashfree_reading.REFUND_STATUS, "A WORD OF NEXT YEAR")
    dispute_words = (
        "DISPUTE_CREATED",
        "CHARGEBACK_UNDER_REVIEW",
        "CHARGEBACK_INSUFFICIENT_EVIDENCE",
        "CHARGEBACK_MERCHANT_WON",
        "DISPUTE_MERCHANT_LOST",
    )
    asked_twice = ("CHARGEBACK_CREATED", "CHARGEBACK_DOCS_RECEIVED", "CHARGEBACK_INSUFFICIENT_EVIDENCE")

    def __init__(self) -> None:
        config = CashfreeConfig("TEST_words", ("secret",), "sandbox", NOWHERE, "2025-01-01", STANDARD)
        super().__init__(config)

    def answer(self, word: str, tried: Sequence[Tried], refunds: Sequence[GivenBack]) -> PaymentSnapshot:
        self.answers = {
            f"/orders/{WIRE}": {**self._order(), "order_status": word, "payment_session_id": "session_1"},
            f"/orders/{WIRE}/payments": [self._payment(one) for one in tried],
            f"/orders/{WIRE}/refunds": [self._refund(one) for one in refunds],
        }
        return self.fetch_payment(OrderRef(WIRE, WIRE), DEADLINE)

    def _send(self, method: str, path: str, deadline: Deadline, **options: Any) -> Any:
        return self.answers[path]

    def event(self, tried: Tried, word: str | None, at: datetime) -> WebhookEvent:
        is_paid = dict(tried.how)["payment_status"] == "SUCCESS"
        data = {"order": self._order(), "payment": self._payment(tried)}
        return self._told("PAYMENT_SUCCESS_WEBHOOK" if is_paid else "PAYMENT_FAILED_WEBHOOK", data, at)

    def refund_event(self, told: GivenBack, at: datetime) -> WebhookEvent:
        return self._told("REFUND_STATUS_WEBHOOK", {"refund": self._refund(told)}, at)

    def refund_answer(self, told: GivenBack) -> RefundSnapshot:
        return cashfree_reading.refund(self._refund(told))

    def dispute_event(self, told: Disputed, at: datetime) -> WebhookEvent:
        dispute = {"dispute_id": told.id, "dispute_type": told.phase, "dispute_amount": Decimal("499.00")}
        dispute |= {
            "dispute_status": told.word,
            "dispute_amount_currency": "INR",
            "updated_at": at.isoformat(),
        }
        order = {"order_id": WIRE, "cf_payment_id": told.attempt, "order_currency": "INR"}
        return self._told("DISPUTE_UPDATED", {"dispute": dispute, "order_details": order}, at)

    def _told(self, name: str, data: Json, at: datetime) -> WebhookEvent:
        body = {"type": name, "event_time": at.isoformat(), "data": data}
        return self.reread_webhook("evt_1", json.dumps(body, default=float).encode())

    @staticmethod
    def _order() -> Json:
        return {"order_id": WIRE, "order_amount": Decimal("499.00"), "order_currency": "INR"}

    @staticmethod
    def _payment(tried: Tried) -> Json:
        sums = {"payment_amount": rupees(tried.paise), "payment_currency": "INR"}
        return {"cf_payment_id": tried.id, **sums, **dict(tried.how)}

    @staticmethod
    def _refund(told: GivenBack) -> Json:
        ids = {
            "cf_refund_id": told.id,
            "refund_id": told.ours,
            "cf_payment_id": told.attempt,
            "order_id": WIRE,
        }
        return {
            **ids,
            "refund_status": told.word,
            "refund_amount": rupees(told.paise),
            "refund_currency": "INR",
        }


# ── PhonePe ─────────────────────────────────────────────────────────────────────────────────────────


class PhonePe(PhonePeGateway):
    order_id = "OMO1"
    order_words = (*phonepe_reading.ORDER_STATUS, "A WORD OF NEXT YEAR")
    paid = ("COMPLETED", how(state="COMPLETED", paymentMode="UPI_QR"))
    attempts_are = (
        *(how(state=word, paymentMode="UPI_QR") for word in phonepe.ATTEMPT_STATUS),
        how(state="A WORD OF NEXT YEAR", paymentMode="UPI_QR"),
    )
    refund_words = (*phonepe.REFUND_STATUS, "A WORD OF NEXT YEAR")
    dispute_words = ("ACTION_REQUIRED", "UNDER_REVIEW", "WON", "LOST")
    asked_twice = ("UNDER_REVIEW", "ACTION_REQUIRED")

    def __init__(self) -> None:
        config = PhonePeConfig("WORDS", "secret", "1", ("user",), ("Passw0rd1",), "sandbox", NOWHERE, ())
        super().__init__(config)

    def answer(self, word: str, tried: Sequence[Tried], refunds: Sequence[GivenBack]) -> PaymentSnapshot:
        details = [{"transactionId": one.id, "amount": one.paise, **dict(one.how)} for one in tried]
        self.said = {"orderId": self.order_id, "state": word, "amount": 49900, "paymentDetails": details}
        return self.fetch_payment(OrderRef(WIRE, self.order_id), DEADLINE)

    def _send(self, method: str, path: str, deadline: Deadline, **options: Any) -> Mapping[str, Any]:
        return self.said

    def event(self, tried: Tried, word: str | None, at: datetime) -> WebhookEvent:
        payload = {"merchantOrderId": WIRE, "orderId": self.order_id, "state": word or "PENDING"}
        is_over = word in ("COMPLETED", "FAILED", "EXPIRED")
        name = f"checkout.order.{word.lower()}" if word and is_over else "pg.transaction.attempt.failed"
        return self._told(name, payload)

    def refund_event(self, told: GivenBack, at: datetime) -> WebhookEvent:
        payload = {"originalMerchantOrderId": WIRE, "merchantRefundId": told.ours, "state": told.word}
        return self._told("pg.refund.completed", payload)

    def refund_answer(self, told: GivenBack) -> RefundSnapshot:
        self.said = {"refundId": told.id, "state": told.word, "amount": told.paise}
        ref = RefundRef(told.ours or "", OrderRef(WIRE, self.order_id), told.attempt)
        return self.fetch_refund(ref, DEADLINE)

    def dispute_event(self, told: Disputed, at: datetime) -> WebhookEvent:
        """Its body proves nothing: what counts is the dispute as it is asked for."""
        event = self._told("payment.dispute.created", {"merchantOrderId": WIRE, "disputeId": told.id})
        self.said = {"disputeId": told.id, "transactionId": told.attempt, "status": told.word}
        self.said |= {"disputeAmount": 49900, "stage": told.phase}
        asked: DisputeSnapshot = self.fetch_dispute(event.dispute_id or "", DEADLINE)
        return replace(event, wake_up=False, dispute=replace(asked, observed_at=at))

    def _told(self, name: str, payload: Json) -> WebhookEvent:
        return self.reread_webhook("evt_1", json.dumps({"event": name, "payload": payload}).encode())


Voice = Razorpay | Cashfree | PhonePe
VOICES = (Razorpay, Cashfree, PhonePe)
