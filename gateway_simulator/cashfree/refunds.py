"""Refunds, the merchant's and Cashfree's own: how they are written down, and how they go on.

Sources: OpenAPI 2025-01-01 (RefundEntity); docs payments/online/refunds and the two pages on webhooks.
What the documents leave open, and is made up here: how many days a refund takes, when Cashfree returns a
second payment of one order, and that its own refunds are in the list of an order's refunds.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gateway_simulator.base import Json
from gateway_simulator.cashfree.books import Books
from gateway_simulator.cashfree.records import Order, Payment
from gateway_simulator.cashfree.telling import Teller
from gateway_simulator.cashfree.wire import NEWEST_WEBHOOKS, OLD, CfId, Rupees, ist

OPEN_REFUNDS = ("PENDING", "ONHOLD")
DEAD_REFUNDS = ("CANCELLED", "FAILED")
TOLD_REFUNDS = ("SUCCESS", "CANCELLED")
DAY = 24 * 3600
REFUND_TAKES_SECONDS = {"STANDARD": 5 * DAY, "INSTANT": 300}
GIVE_UP_HELD_AFTER_SECONDS = 7 * DAY
RETURN_SECOND_PAYMENT_AFTER_SECONDS = DAY
LATE = "Payment was received after the order was terminated."
SECOND = "Multiple payments were performed against same order."
DESCRIPTIONS = {
    "SUCCESS": "Refund processed successfully",
    "PENDING": "In Progress",
    "ONHOLD": "Refund is on hold because of low balance",
    "CANCELLED": "Refund could not be processed",
    "FAILED": "Refund could not be processed",
}
NO_FOREX = dict.fromkeys(
    ("forex_conversion_handling_charge", "forex_conversion_handling_tax", "forex_conversion_rate")
)


@dataclass
class Refund:
    """Cashfree's own have no id of the merchant's, but a reason."""

    id: str | None
    cf_id: str
    payment: Payment
    amount: int
    created_at: int
    note: str | None = None
    speed: str = "STANDARD"
    reason: str | None = None
    status: str = "PENDING"
    arn: str | None = None
    processed_at: int | None = None
    splits: list[Any] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return "PAYMENT_AUTO_REFUND" if self.reason else "MERCHANT_INITIATED"

    def entity(self) -> Json:
        done = self.speed if self.status == "SUCCESS" else None
        return {
            "cf_payment_id": CfId(self.payment.id),
            "cf_refund_id": CfId(self.cf_id, old_prefix="refund_"),
            "refund_id": self.id,
            "order_id": self.payment.order.id,
            "entity": "refund",
            **self._common(),
            "refund_note": self.note,
            "refund_splits": self.splits,
            "refund_charge": Rupees(0),
            "refund_mode": self.speed,
            "refund_speed": {
                "requested": self.speed,
                "accepted": self.speed,
                "processed": done,
                "message": None,
            },
            **NO_FOREX,
            "charges_currency": None,
        }

    def webhook(self, version: str) -> Json:
        """Ids are numbers in every version."""
        if self.reason:
            return {"auto_refund": self._auto_webhook()}
        told = {
            "cf_refund_id": int(self.cf_id),
            "cf_payment_id": int(self.payment.id),
            "refund_id": self.id,
            "order_id": self.payment.order.id,
            "entity": "Refund",
            **self._common(),
            "refund_note": self.note,
            "refund_splits": self.splits,
        }
        return {"refund": {**told, **self._told_charges(version)}}

    def _told_charges(self, version: str) -> Json:
        if version == OLD:
            return {"refund_charge": Rupees(0), "refund_mode": self.speed}
        speeds = {"requested_speed": self.speed, "processed_speed": self.speed}
        charges = {**speeds, "service_charge": Rupees(0), "service_tax": Rupees(0)}
        return {**charges, **NO_FOREX, "charges_currency": None} if version == NEWEST_WEBHOOKS else charges

    def _auto_webhook(self) -> Json:
        """No refund_id; one id is a number, the other a text."""
        return {
            "event": "AUTO-REFUND",
            "cf_refund_id": int(self.cf_id),
            "cf_payment_id": self.payment.id,
            "bank_reference": self.payment.bank_reference,
            "order_id": self.payment.order.id,
            **self._common(),
            "status_description": "Auto-Refund processed successfully",
            "refund_reason": self.reason,
            "refund_charge": Rupees(0),
            "refund_splits": None,
        }

    def _common(self) -> Json:
        return {
            "refund_amount": Rupees(self.amount),
            "refund_currency": self.payment.order.currency,
            "refund_type": self.kind,
            "refund_status": self.status,
            "status_description": DESCRIPTIONS[self.status],
            "refund_arn": self.arn,
            "metadata": None,
            "created_at": ist(self.created_at),
            "processed_at": ist(self.processed_at) if self.processed_at else None,
        }


class Refunds:
    """Everything here runs under the world's lock."""

    def __init__(self, books: Books, teller: Teller, book: Callable[[Refund], None]) -> None:
        """`book` enters one in the merchant's account, which stands above and knows what it holds."""
        self._books = books
        self._teller = teller
        self._book = book
        self._by_id: dict[str, Refund] = {}
        self._by_order: defaultdict[str, list[Refund]] = defaultdict(list)

    def get(self, refund_id: str) -> Refund | None:
        return self._by_id.get(refund_id)

    def of(self, order: Order) -> list[Refund]:
        return self._by_order.get(order.id, [])

    def left(self, payment: Payment) -> int:
        live = (r for r in self.of(payment.order) if r.payment is payment and r.status not in DEAD_REFUNDS)
        return payment.taken - sum(refund.amount for refund in live)

    def start(self, refund_id: str, refund: Refund, outcome: str) -> None:
        """What does not end at once goes on by the clock: pending succeeds, held back is cancelled."""
        self._by_id[refund_id] = refund
        self._by_order[refund.payment.order.id].append(refund)
        if outcome not in OPEN_REFUNDS:
            self.finish(refund, outcome)
            return
        refund.status = outcome
        wait = GIVE_UP_HELD_AFTER_SECONDS if outcome == "ONHOLD" else REFUND_TAKES_SECONDS[refund.speed]
        self._books.world.at(self._books.world.now() + wait, partial(self.end_by_clock, refund_id))

    def end_by_clock(self, refund_id: str) -> None:
        refund = self._by_id[refund_id]
        if refund.status in OPEN_REFUNDS:
            self.finish(refund, "SUCCESS" if refund.status == "PENDING" else "CANCELLED")

    def finish(self, refund: Refund, status: str) -> None:
        refund.status, refund.processed_at = status, self._books.now()
        if status == "SUCCESS":
            refund.arn = self._books.new_number(12)
            self._book(refund)
        if status in TOLD_REFUNDS:
            self.tell(refund)

    def return_late(self, payment: Payment) -> None:
        """The money came too late for the order."""
        self._return(payment, payment.amount, LATE)

    def return_second(self, payment_id: str) -> None:
        """A day after the second payment of one order, if the merchant has not refunded it."""
        payment = self._books.payments[payment_id]
        rest = self.left(payment)
        if rest > 0:
            self._book(self._return(payment, rest, SECOND))

    def tell(self, refund: Refund) -> None:
        event = "AUTO_REFUND_STATUS_WEBHOOK" if refund.reason else "REFUND_STATUS_WEBHOOK"
        self._teller.tell(event, refund.payment.order, refund.webhook(self._books.settings.webhook_version))

    def _return(self, payment: Payment, amount: int, reason: str) -> Refund:
        now, number = self._books.now(), self._books.new_number()
        refund = Refund(None, number, payment, amount, now, reason=reason, status="SUCCESS")
        refund.arn, refund.processed_at = self._books.new_number(12), now
        self._by_order[payment.order.id].append(refund)
        self.tell(refund)
        return refund
