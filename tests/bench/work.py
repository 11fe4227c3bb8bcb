"""The work: payments that wait for their webhook, those webhooks, really signed, and bodies of create-order."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, insert, select, text
from uuid6 import uuid7

from payments_service.ledger.tables import Base, Payment, PaymentEvent, PaymentOrder
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
    """A payment with an open order for each webhook: copies of one that create-order made, under other ids."""
    with engine.begin() as connection:
        names = [(event, uuid7()) for event in events]
        _copy(
            connection, Payment, Payment.id == made, names, lambda e, new: {"id": new, "order_id": e.order_id}
        )
        _copy(
            connection,
            PaymentOrder,
            PaymentOrder.payment_id == made,
            names,
            lambda e, new: {
                "id": uuid7(),
                "payment_id": new,
                "wire_id": f"w{e.order_id}",
                "gateway_order_id": e.order_id,
            },
        )
        _copy(
            connection,
            PaymentEvent,
            PaymentEvent.payment_id == made,
            names,
            lambda e, new: {"id": uuid7(), "payment_id": new},
        )
        connection.execute(text("ANALYZE"))  # so many at once; in a shop's life its database has done it


def _copy(
    connection: Connection,
    table: type[Base],
    which: Any,
    names: list[tuple[Webhook, UUID]],
    renamed: Callable[[Webhook, UUID], dict[str, Any]],
) -> None:
    rows = connection.execute(select(table.__table__).where(which)).mappings().all()
    copies = [{**row, **renamed(event, new)} for row in rows for event, new in names]
    connection.execute(insert(table.__table__), copies)
