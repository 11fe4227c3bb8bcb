"""Webhooks on demand: every type that Cashfree documents, about an order as it stands.

Sources: docs payment-webhooks, refunds-webhook, auto-refund-webhooks, dispute-webhooks, settlements-webhook.
Of the vendors' and instruments' events, which a shop only confirms, the documents at hand give the types
alone: their bodies are made up. The type of the webhook about payment charges is not known.
"""

from dataclasses import replace

from gateway_simulator.base import ImpossibleMoveError, Json
from gateway_simulator.cashfree.disputes import Dispute
from gateway_simulator.cashfree.moves import LiveBooks
from gateway_simulator.cashfree.records import Order, Payment
from gateway_simulator.cashfree.refunds import SECOND, TOLD_REFUNDS, Refund
from gateway_simulator.cashfree.telling import PROBE
from gateway_simulator.cashfree.testdata import DECLINED

PAYMENT_EVENTS = {f"PAYMENT_{status}_WEBHOOK": status for status in ("SUCCESS", "FAILED", "USER_DROPPED")}
DISPUTE_EVENTS = ("DISPUTE_CREATED", "DISPUTE_UPDATED", "DISPUTE_CLOSED")
SETTLEMENT_EVENTS = {
    f"SETTLEMENT_{status}": status for status in ("INITIATED", "SUCCESS", "FAILED", "REVERSED")
}
VENDOR_EVENTS = {f"VENDOR_{event}": status for event, status in SETTLEMENT_EVENTS.items()}
INSTRUMENT_EVENTS = {"INSTRUMENT_ACTIVE_WEBHOOK": "ACTIVE", "INSTRUMENT_FAILED_WEBHOOK": "FAILED"}
EVENT_TYPES = (
    *PAYMENT_EVENTS,
    "REFUND_STATUS_WEBHOOK",
    "AUTO_REFUND_STATUS_WEBHOOK",
    *SETTLEMENT_EVENTS,
    *DISPUTE_EVENTS,
    *VENDOR_EVENTS,
    *INSTRUMENT_EVENTS,
    PROBE,
)


class Events:
    """What is sent here changes nothing: it may tell of a status that was, or that never was."""

    def __init__(self, books: LiveBooks) -> None:
        self._books = books

    def send(self, order: Order, event: str) -> None:
        if event in PAYMENT_EVENTS:
            payment = self._payment(order, PAYMENT_EVENTS[event])
            self._books.teller.tell(event, order, payment.webhook(self._books.settings.webhook_version))
        elif event.endswith("REFUND_STATUS_WEBHOOK"):
            self._books.refunds.tell(self._refund(order, is_auto=event.startswith("AUTO")))
        elif event in DISPUTE_EVENTS:
            self._books.disputes.tell(event, self._dispute(order, event))
        elif event in SETTLEMENT_EVENTS:
            self._tell_settlement(order, event)
        else:
            self._books.teller.tell(event, order, self._others(order, event), is_of_order=False)

    def _payment(self, order: Order, status: str) -> Payment:
        """The last attempt of that status, else the last one as if it had it."""
        payments = self._books.payments_of(order)
        chosen = [payment for payment in payments if payment.status == status]
        if chosen:
            return chosen[-1]
        error = None if status == "SUCCESS" else DECLINED
        return replace(self._last_payment(order), status=status, error=error)

    def _last_payment(self, order: Order) -> Payment:
        payments = self._books.payments_of(order)
        if not payments:
            raise ImpossibleMoveError(
                f"Order {order.id} has no attempt: send success, failure or pending first"
            )
        return payments[-1]

    def _refund(self, order: Order, *, is_auto: bool) -> Refund:
        chosen = [one for one in self._books.refunds.of(order) if bool(one.reason) == is_auto]
        if chosen:
            last = chosen[-1]
            return last if last.status in TOLD_REFUNDS else replace(last, status="SUCCESS")
        if not is_auto:
            raise ImpossibleMoveError(f"Order {order.id} has no refund: make one first")
        payment, number = self._last_payment(order), self._books.new_number()
        now = self._books.now()
        return Refund(None, number, payment, payment.amount, now, reason=SECOND, status="SUCCESS")

    def _dispute(self, order: Order, event: str) -> Dispute:
        disputes = self._books.disputes.of(order)
        if not disputes:
            raise ImpossibleMoveError(f"Order {order.id} has no dispute: send dispute first")
        last, now = disputes[-1], self._books.now()
        match event:
            case "DISPUTE_CREATED":
                return replace(last, stage="CREATED", update=None, resolved_at=None)
            case "DISPUTE_UPDATED":
                return replace(last, update=last.update or "TYPE_UPDATE", resolved_at=None)
        stage = "MERCHANT_WON" if last.is_open else last.stage
        return replace(last, stage=stage, update="STATUS_UPDATE", resolved_at=last.resolved_at or now)

    def _tell_settlement(self, order: Order, event: str) -> None:
        settlements = self._books.settlements.of(order)
        if not settlements:
            raise ImpossibleMoveError(f"Nothing of order {order.id} is settled: POST /_sim/settle first")
        self._books.settlements.tell(event, settlements[-1], SETTLEMENT_EVENTS[event])

    def _others(self, order: Order, event: str) -> Json:
        if event in VENDOR_EVENTS:
            settlement = {"vendor_id": "vendor_1", "status": VENDOR_EVENTS[event], "order_id": order.id}
            return {"settlement": settlement}
        if event in INSTRUMENT_EVENTS:
            customer = order.customer["customer_id"]
            told = {"customer_id": customer, "instrument_type": "card", "status": INSTRUMENT_EVENTS[event]}
            return {"instrument": told}
        return {"test_object": {"test_key": "test_value"}}
