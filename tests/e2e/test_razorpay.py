"""Razorpay's journeys, and what only Razorpay does."""

import hashlib
import hmac
import json
import time
from typing import Any, ClassVar

import pytest

from tests.e2e import look
from tests.e2e.journeys import Json
from tests.e2e.refunds import COMPLETED, RefundJourneys
from tests.support.house import House

WEBHOOK_SECRET = b"simulator_razorpay_webhook_secret"


class TestRazorpay(RefundJourneys):
    gateway: ClassVar[str] = "razorpay"
    paid_word: ClassVar[str] = "captured"
    events_per_success: ClassVar[int] = 3  # authorized, captured, order.paid: one fact
    our_clock: ClassVar[bool] = True
    pending_word: ClassVar[str] = "pending"
    tells_refunds: ClassVar[bool] = True

    def proof(self, house: House, order: Json) -> Json:
        """What checkout.js hands to the page after a successful authorisation."""
        order_id = order["orderId"]
        payment_id = look.payment_id_at_the_gateway(house, order_id)
        return {"orderId": order_id, "paymentId": payment_id, "signature": sign(order_id, payment_id)}

    def event(self, house: House, order_id: str, wire_id: str, amount_paise: int) -> bytes:
        entity = {
            "id": f"pay_{time.time_ns()}",
            "entity": "payment",
            "amount": amount_paise,
            "currency": "INR",
            "status": "captured",
            "order_id": order_id,
            "captured": True,
            "method": "upi",
        }
        return written(
            {
                "event": "payment.captured",
                "payload": {"payment": {"entity": entity}},
                "created_at": 1700000000,
            }
        )

    def genuine_headers(self, raw: bytes) -> dict[str, str]:
        signature = hmac.new(WEBHOOK_SECRET, raw, hashlib.sha256).hexdigest()
        return {"X-Razorpay-Signature": signature, "x-razorpay-event-id": f"evt_{time.time_ns()}"}

    def forged_headers(self, raw: bytes) -> list[dict[str, str]]:
        by_another_key = hmac.new(b"simulator_razorpay_key_secret", raw, hashlib.sha256).hexdigest()
        genuine = self.genuine_headers(raw)["X-Razorpay-Signature"]
        return [
            {"X-Razorpay-Signature": value} for value in (by_another_key, genuine.upper(), genuine[:-1], "é")
        ]

    def test_razorpays_own_field_names_are_taken(self, house: House) -> None:
        _, order = self.buy(house)
        self.happens(house, order, "success")
        fields = self.proof(house, order)
        names = {"orderId": "order_id", "paymentId": "payment_id", "signature": "signature"}
        posted = {f"razorpay_{names[name]}": value for name, value in fields.items()}
        answer = house.post("/api/payment/verify-payment", {"gateway": "RAZORPAY", **posted})
        assert answer.status_code == 200, answer.text

    @pytest.mark.parametrize("signature", ["00" * 32, "not hex", "é" * 64])
    def test_a_forged_proof_is_refused(self, house: House, signature: str) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        house.until(lambda: look.trail(house, payment_id)[-1], lambda status: status == "completed")
        answer = self.verify(house, order, signature=signature)
        assert (answer.status_code, answer.json()["error"]) == (400, "Payment signature verification failed")

    def test_money_that_is_only_held_is_captured(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "authorize")
        self.becomes(house, order, "completed")
        assert house.simulated(f"orders/{order['orderId']}")["attempts"][0]["status"] == "captured"
        assert "authorized" in look.trail(house, payment_id)

    def test_a_hold_that_razorpay_gave_back_fails_the_payment(self, house: House) -> None:
        """Authorised, never captured, refunded by the gateway: the order was never paid."""
        payment_id, order = self.buy(house)
        self.fault(house, "capture", "500", count=10)
        self.happens(house, order, "authorize")
        self.becomes(house, order, "authorized")
        self.happens(house, order, "dashboard-refund")
        self.becomes(house, order, "failed")
        assert look.trail(house, payment_id)[-2:] == ["authorized", "failed"]

    def test_a_refund_made_in_the_dashboard_is_booked(self, house: House) -> None:
        _, order = self.buy(house)
        self.happens(house, order, "success")
        self.becomes(house, order, "completed")
        self.happens(house, order, "dashboard-refund", amountPaise=10015)
        house.until(lambda: self.status(house, order)["amountRefunded"], lambda amount: amount == 100.15)
        assert self.status(house, order)["paymentStatus"] == "completed"

    def test_a_second_success_on_a_paid_order_is_flagged(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        self.becomes(house, order, "completed")
        self.happens(house, order, "second-success")
        house.until(lambda: look.review(house, payment_id), lambda why: why == "second_success")
        assert look.trail(house, payment_id).count("completed") == 1

    def test_the_superfluous_payment_of_two_goes_back_and_the_other_stays_paid(self, house: House) -> None:
        with self.counter(house) as counter:
            self.happens(house, counter.order, "second-success")
            counter.read_again()
            paid, superfluous = house.simulated(f"orders/{counter.order['orderId']}")["attempts"]
            sent = counter.refund(transaction_id=superfluous["paymentId"])
            assert (sent.status, sent.amount.minor) == (COMPLETED, 49900)
            assert [one["paymentId"] for one in counter.at_the_gateway()] == [superfluous["paymentId"]]
            after = self.status(house, counter.order)
            assert (after["paymentStatus"], after["amountRefunded"]) == ("completed", 0)
            assert after["paymentId"] == paid["paymentId"]

    def test_a_payment_id_that_nobody_told_us_is_matched_by_its_order(self, house: House) -> None:
        self.drop_webhooks(house)
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        theirs = look.payment_id_at_the_gateway(house, order["orderId"])
        found = house.status(theirs)
        assert (found["paymentId"], found["paymentStatus"]) == (theirs, "completed")
        assert not {"id", "orderId"} & found.keys()  # payment ids can be guessed at some gateways
        assert look.trail(house, payment_id)[-1] == "completed"
        assert house.get("/api/payment/status/razorpay/pay_nobodyknows001").status_code == 404

    def test_a_dispute_is_kept(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        self.becomes(house, order, "completed")
        self.happens(house, order, "dispute")
        kept = house.until(
            lambda: {row.webhook_type: row.outcome for row in look.inbox(house, payment_id)},
            lambda types: "payment.dispute.created" in types,
        )
        assert kept["payment.dispute.created"] == "applied"

    def test_an_unknown_event_is_kept(self, house: House) -> None:
        raw = written({"event": "payment.teleported", "payload": {}, "at": time.time_ns()})
        assert self.deliver(house, raw, self.genuine_headers(raw)).status_code == 200
        row = look.inbox_row(house, raw)
        assert row is not None
        assert row.outcome == "unknown"


def sign(order_id: str, payment_id: str) -> str:
    message = f"{order_id}|{payment_id}".encode()
    return hmac.new(b"simulator_razorpay_key_secret", message, hashlib.sha256).hexdigest()


def written(event: Any) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
