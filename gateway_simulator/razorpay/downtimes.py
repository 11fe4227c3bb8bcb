"""Downtimes of a payment method, as a bank's trouble makes them.

Sources: Razorpay docs api/payments/downtime/entity, webhooks/payments.
"""

from dataclasses import dataclass

from gateway_simulator.base import Json
from gateway_simulator.razorpay.books import Books
from gateway_simulator.razorpay.events import Events


@dataclass
class Downtime:
    id: str
    created_at: int
    updated_at: int
    status: str = "started"
    severity: str = "high"
    end: int | None = None

    def entity(self) -> Json:
        return {
            "id": self.id,
            "entity": "payment.downtime",
            "method": "netbanking",
            "begin": self.created_at,
            "end": self.end,
            "status": self.status,
            "scheduled": False,
            "severity": self.severity,
            "instrument": {"bank": "HDFC"},
            "instrument_schema": ["bank"],
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


class Downtimes:
    def __init__(self, books: Books, events: Events) -> None:
        self._books = books
        self._events = events
        self.all: dict[str, Downtime] = {}

    def go_on(self, status: str, order_id: str) -> None:
        """`started` begins one; `updated` and `resolved` go on with the one that there is, else a new one."""
        now = self._books.now()
        lasting = [downtime for downtime in self.all.values() if downtime.end is None]
        if status == "started" or not lasting:
            downtime = Downtime(self._books.new_id("down"), now, now)
            self.all[downtime.id] = downtime
        else:
            downtime = lasting[-1]
        downtime.status, downtime.updated_at = status, now
        if status == "updated":
            downtime.severity = "medium"
        if status == "resolved":
            downtime.end = now
        entities = {"payment.downtime": downtime.entity()}
        self._events.tell(f"payment.downtime.{status}", order_id, entities)
