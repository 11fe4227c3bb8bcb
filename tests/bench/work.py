"""The work: payments that wait for their webhook, those webhooks, really signed, and create-orders."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, insert, select, text
from uuid6 import uuid7

from payments_service.store.tables import Base, Payment, PaymentEvent, PaymentOrder
from tests.bench.servers import WEBHOOK_SECRET
from tests.bench.wrk import post

CREATE_ORDER = "/api/payment/create-order"
WEBHOOK = "/api/webhook/razorpay"
PAISE = 49900


@dataclass(frozen=True)
class Webhook:
    """One genuine event: this payment of that order was captured."""

    event_id: str
    transaction_id: str
    order_id: str

    def body(self) -> bytes:
        now = int(time.time())
        payment = {
            "id": self.transaction_id,
            "entity": "payment",
            "amount": PAISE,
            "currency": "INR",
            "status": "captured",
            "order_id": self.order_id,
            "invoice_id": None,
            "international": False,
            "method": "upi",
            "amount_refunded": 0,
            "refund_status": None,
            "captured": True,
            "description": None,
            "card_id": None,
            "bank": None,
            "wallet": None,
            "vpa": "asha@upi",
            "email": "asha@example.com",
            "contact": "+919876543210",
            "notes": [],
            "fee": 1178,
            "tax": 180,
            "error_code": None,
            "error_description": None,
            "error_source": None,
            "error_step": None,
            "error_reason": None,
            "acquirer_data": {"rrn": self.transaction_id[-12:]},
            "created_at": now,
        }
        event = {
            "entity": "event",
            "account_id": "acc_benchmark",
            "event": "payment.captured",
            "contains": ["payment"],
            "payload": {"payment": {"entity": payment}},
            "created_at": now,
        }
        return json.dumps(event, separators=(",", ":")).encode()

    def headers(self, body: bytes) -> dict[str, str]:
        signature = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
        return {"X-Razorpay-Signature": signature, "x-razorpay-event-id": self.event_id}

    def request(self) -> bytes:
        body = self.body()
        return post(WEBHOOK, body, **self.headers(body))


def webhooks(run: str, count: int) -> list[Webhook]:
    """Distinct ones; the name of the run is in each id."""
    return [
        Webhook(event_id(run, number), f"pay_{run}{number:08d}", f"order_{run}{number:08d}")
        for number in range(count)
    ]


def event_id(run: str, number: int) -> str:
    return f"evt_{run}_{number:08d}"


def order_body(number: int) -> dict[str, Any]:
    """What a page sends; each is another buyer's."""
    customer = {"name": "Asha Rao", "email": f"asha{number}@example.com", "phone": f"98{number % 10**8:08d}"}
    return {"amount": PAISE / 100, "gateway": "razorpay", "customer": customer, "description": "Course"}


def orders(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield post(CREATE_ORDER, json.dumps(order_body(number)).encode())


def await_payment(engine: Engine, made: UUID, events: list[Webhook]) -> None:
    """A payment with an open order for each webhook: copies of one that create-order made, renamed."""
    with engine.begin() as connection:
        copies = Copies(connection, [(event, uuid7()) for event in events])
        copies.write(Payment, Payment.id == made, lambda event, new: {"id": new, "order_id": event.order_id})
        copies.write(
            PaymentOrder,
            PaymentOrder.payment_id == made,
            lambda event, new: {
                "id": uuid7(),
                "payment_id": new,
                "wire_id": f"w{event.order_id}",
                "gateway_order_id": event.order_id,
            },
        )
        copies.write(
            PaymentEvent,
            PaymentEvent.payment_id == made,
            lambda _, new: {"id": uuid7(), "payment_id": new},
        )
        connection.execute(text("ANALYZE"))  # so many at once; in a shop's life its database has done it


@dataclass(frozen=True)
class Copies:
    connection: Connection
    names: Sequence[tuple[Webhook, UUID]]
    """A webhook, and the id of the payment that waits for it."""

    def write(self, of: type[Base], which: Any, renamed: Callable[[Webhook, UUID], dict[str, Any]]) -> None:
        table = Base.metadata.tables[of.__tablename__]
        rows = self.connection.execute(select(table).where(which)).mappings().all()
        copies = [{**row, **renamed(*name)} for row in rows for name in self.names]
        self.connection.execute(insert(table), copies)
