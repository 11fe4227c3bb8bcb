"""Cashfree's journeys, and what only Cashfree does."""

import base64
import hashlib
import hmac
import json
import time
from typing import ClassVar

import pytest

from payments_service.domain.errors import Conflict
from tests.e2e import look
from tests.e2e.refunds import RefundJourneys
from tests.support.house import House

SECRET = b"simulator_cashfree_app_secret"


class TestCashfree(RefundJourneys):
    gateway: ClassVar[str] = "cashfree"
    paid_word: ClassVar[str] = "SUCCESS"
    tells_refunds: ClassVar[bool] = True

    def event(self, house: House, order_id: str, wire_id: str, amount_paise: int) -> bytes:
        amount = f"{amount_paise // 100}.{amount_paise % 100:02d}"
        payment = {
            "cf_payment_id": str(time.time_ns()),
            "payment_status": "SUCCESS",
            "payment_amount": "AMOUNT",
            "payment_currency": "INR",
            "payment_message": "00::Transaction success",
            "payment_time": "2025-01-15T12:20:29+05:30",
            "payment_group": "upi",
        }
        order = {"order_id": order_id, "order_amount": "AMOUNT", "order_currency": "INR", "order_tags": None}
        event = {
            "data": {"order": order, "payment": payment},
            "event_time": "2025-01-15T12:20:30+05:30",
            "type": "PAYMENT_SUCCESS_WEBHOOK",
        }
        return json.dumps(event).replace('"AMOUNT"', amount).encode()

    def genuine_headers(self, raw: bytes) -> dict[str, str]:
        timestamp = str(time.time_ns() // 1_000_000)
        digest = hmac.new(SECRET, timestamp.encode() + raw, hashlib.sha256).digest()
        return {
            "x-webhook-signature": base64.b64encode(digest).decode(),
            "x-webhook-timestamp": timestamp,
            "x-webhook-version": "2025-01-01",
        }

    def forged_headers(self, raw: bytes) -> list[dict[str, str]]:
        genuine = self.genuine_headers(raw)
        by_another_key = base64.b64encode(hmac.new(b"guess", raw, hashlib.sha256).digest()).decode()
        return [
            {**genuine, "x-webhook-signature": by_another_key},
            {**genuine, "x-webhook-timestamp": "1"},
            {**genuine, "x-webhook-signature": hashlib.sha256(b"order_1499INRsecret").hexdigest()},
        ]

    def test_the_browser_gets_a_session_and_our_own_page_as_the_link(self, house: House) -> None:
        payment_id, order = self.buy(house)
        assert order["orderId"] == self.wire_id(house, payment_id)
        assert order["paymentSessionId"]
        assert order["cfOrderId"]
        assert order["paymentLink"] == order["paymentUrl"]

    def test_a_refund_made_in_the_dashboard_is_booked(self, house: House) -> None:
        _, order = self.buy(house)
        self.happens(house, order, "success")
        self.becomes(house, order, "completed")
        self.happens(house, order, "dashboard-refund", amountPaise=10015)
        house.until(lambda: self.status(house, order)["amountRefunded"], lambda amount: amount == 100.15)

    def test_a_second_success_on_a_paid_order_is_flagged(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        self.becomes(house, order, "completed")
        self.happens(house, order, "second-success")
        house.until(lambda: look.review(house, payment_id), lambda why: why == "second_success")
        assert look.trail(house, payment_id).count("completed") == 1

    def test_the_superfluous_payment_of_two_is_left_to_cashfree(self, house: House) -> None:
        """A refund there names the order only, so the wrong payment would go back."""
        with self.counter(house) as counter:
            self.happens(house, counter.order, "second-success")
            counter.read_again()
            superfluous = look.payment_id_at_the_gateway(house, counter.order["orderId"])
            with pytest.raises(Conflict) as refused:
                counter.refund(transaction_id=superfluous)
            assert (refused.value.code, counter.at_the_gateway()) == ("not_refundable", [])
