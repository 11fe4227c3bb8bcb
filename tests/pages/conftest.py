"""Payments in any state, written straight into the ledger: the pages only read them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid6 import uuid7

from payments_service.store.db import Database
from payments_service.store.tables import Payment, PaymentOrder

NAME, EMAIL, PHONE = "Dilip O'Brien 😀", "dilip@example.com", "9876543210"
LATER = timedelta(minutes=30)


@dataclass(frozen=True)
class Known:
    """A payment and where its pages are."""

    id: UUID
    order_id: str

    @property
    def path(self) -> str:
        return f"/pay/{self.id}"

    @property
    def return_path(self) -> str:
        return f"/pay/{self.id}/return"


MakePayment = Callable[..., Known]


@pytest.fixture
def make_payment(db: Database) -> MakePayment:
    def make(status: str = "pending", *, lifetime: timedelta = LATER, **fields: Any) -> Known:
        order_id = f"order_{uuid7().hex}"
        known = {"gateway": "razorpay", "provider": "razorpay", "mode": "test", "currency": "INR"}
        customer = {"customer_name": NAME, "customer_email": EMAIL, "customer_phone": PHONE}
        rest = {"amount": 49900, "description": "A course", "return_url": "https://shop.example/done"}
        payment = Payment(
            status=status,
            order_id=order_id,
            expires_at=datetime.now(UTC) + lifetime,
            **{**known, **customer, **rest, **fields},
        )
        with db.begin() as session:
            session.add(payment)
            session.flush()
            session.add(_order(payment, is_known=status != "initiated"))
        return Known(payment.id, order_id)

    return make


def _order(payment: Payment, *, is_known: bool) -> PaymentOrder:
    return PaymentOrder(
        payment_id=payment.id,
        provider=payment.provider,
        wire_id=f"psv_{uuid7().hex[:24]}",
        gateway_order_id=payment.order_id if is_known else None,
        status="open" if is_known else "creating",
        leased_until=datetime.now(UTC),
        checkout={"razorpayKey": "rzp_test_simulator", "createdAt": "now"} if is_known else None,
    )
