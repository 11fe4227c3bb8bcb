"""Cashfree's entities, as the API and the webhooks write them down.

Sources: OpenAPI 2025-01-01 (OrderEntity, PaymentEntity, RefundEntity, SettlementEntity);
docs payment-webhooks, refunds-webhook, auto-refund-webhooks, dispute-webhooks.
"""

from dataclasses import dataclass, field
from typing import Any

from payments_service.simulator.base import Json
from payments_service.simulator.cashfree.wire import CfId, Rupees, ist

OPEN_ATTEMPTS = ("NOT_ATTEMPTED", "PENDING")
DEAD_REFUNDS = ("CANCELLED", "FAILED")


@dataclass
class Order:
    id: str
    cf_id: str
    session_id: str
    amount: int
    currency: str
    customer: Json
    meta: Json
    note: str | None
    tags: Json | None
    created_at: int
    expires_at: float
    # the same moment by the simulator's clock, which may run ahead of the merchant's
    ends_at: float
    status: str = "ACTIVE"

    def entity(self) -> Json:
        return {
            "cf_order_id": CfId(self.cf_id),
            "created_at": ist(self.created_at),
            "customer_details": self.customer,
            "entity": "order",
            "order_amount": Rupees(self.amount),
            "payment_session_id": self.session_id,
            "order_currency": self.currency,
            "order_expiry_time": ist(self.expires_at),
            "order_id": self.id,
            "order_meta": {"return_url": None, "notify_url": None, "payment_methods": None, **self.meta},
            "order_note": self.note,
            "order_splits": [],
            "order_status": self.status,
            "order_tags": self.tags,
            "terminal_data": None,
            "cart_details": None,
        }

    def links(self, base: str) -> Json:
        """What the entity had before 2023-08-01."""
        names = ("payments", "refunds", "settlements")
        return {name: {"url": f"{base}/orders/{self.id}/{name}"} for name in names}

    def webhook(self) -> Json:
        amount = {"order_amount": Rupees(self.amount), "order_currency": self.currency}
        return {"order_id": self.id, **amount, "order_tags": self.tags}

    def webhook_customer(self) -> Json:
        names = ("customer_name", "customer_id", "customer_email", "customer_phone")
        return {name: self.customer.get(name) for name in names}


@dataclass(frozen=True)
class Instrument:
    """`method` is the control plane's word, `group` and `details` are Cashfree's."""

    method: str
    group: str
    details: Json


@dataclass(frozen=True)
class PaymentError:
    code: str
    description: str
    reason: str
    source: str

    def entity(self) -> Json:
        return {
            "error_code": self.code,
            "error_description": self.description,
            "error_reason": self.reason,
            "error_source": self.source,
        }


@dataclass
class Payment:
    id: str
    order: Order
    amount: int
    created_at: int
    instrument: Instrument
    status: str = "PENDING"
    error: PaymentError | None = None
    bank_reference: str | None = None
    completed_at: int | None = None
    is_late: bool = False

    def entity(self) -> Json:
        return {
            "cf_payment_id": CfId(self.id),
            "order_id": self.order.id,
            "entity": "payment",
            "payment_currency": self.order.currency,
            "error_details": self.error.entity() if self.error else None,
            "order_amount": Rupees(self.order.amount),
            "order_currency": self.order.currency,
            "is_captured": self.status == "SUCCESS",
            "payment_group": self.instrument.group,
            "authorization": None,
            "payment_method": self.instrument.details,
            "payment_amount": Rupees(self.amount),
            "payment_time": ist(self.created_at),
            "payment_completion_time": ist(self.completed_at) if self.completed_at else None,
            "payment_status": self.status,
            "payment_message": self.message,
            "bank_reference": self.bank_reference,
            "auth_id": None,
            "international_payment": {"international": False},
            "payment_gateway_details": self.gateway_details(),
            "payment_surcharge": None,
        }

    @property
    def message(self) -> str | None:
        return {"SUCCESS": "00::Transaction success", "FAILED": "01::REJECTED"}.get(self.status)

    def gateway_details(self) -> Json:
        is_known = self.status != "USER_DROPPED"
        return {
            "gateway_name": "CASHFREE" if is_known else None,
            "gateway_order_id": self.order.cf_id if is_known else None,
            "gateway_payment_id": self.id if is_known else None,
            "gateway_settlement": "CASHFREE" if is_known else None,
            "gateway_status_code": None,
        }

    def webhook(self, *, is_newest: bool) -> Json:
        """No entity and no order; a failure says "NA" and "null" in words, and bank codes are texts."""
        failed = self.status == "FAILED"
        told: Json = {
            "cf_payment_id": CfId(self.id),
            "payment_status": self.status,
            "payment_amount": Rupees(self.amount),
            "payment_currency": self.order.currency,
            "payment_message": self.message,
            "payment_time": ist(self.completed_at or self.created_at),
            "bank_reference": "NA" if failed else self.bank_reference,
            "auth_id": "null" if failed else None,
            "payment_method": _with_text_codes(self.instrument.details),
            "payment_group": self.instrument.group,
        }
        if is_newest:
            told |= {"international_payment": {"international": False}, "payment_surcharge": None}
        return told


def _with_text_codes(details: Json) -> Json:
    bank = details.get("netbanking")
    if bank is None:
        return details
    return {"netbanking": {**bank, "netbanking_bank_code": str(bank["netbanking_bank_code"])}}


@dataclass
class Refund:
    id: str
    cf_id: str
    payment: Payment
    amount: int
    created_at: int
    note: str | None = None
    speed: str = "STANDARD"
    status: str = "PENDING"
    arn: str | None = None
    processed_at: int | None = None
    splits: list[Any] = field(default_factory=list)

    def entity(self) -> Json:
        return {
            "cf_payment_id": CfId(self.payment.id),
            "cf_refund_id": CfId(self.cf_id, old_prefix="refund_"),
            "refund_id": self.id,
            "order_id": self.payment.order.id,
            "entity": "refund",
            **self._common(),
            "refund_type": "MERCHANT_INITIATED",
            "refund_charge": Rupees(0),
            "refund_mode": self.speed,
        }

    def webhook(self, *, is_old: bool) -> Json:
        """Ids are numbers in every version."""
        charges: Json = {"refund_charge": Rupees(0), "refund_mode": self.speed}
        if not is_old:
            speeds = {"requested_speed": self.speed, "processed_speed": self.speed}
            charges = {**speeds, "service_charge": Rupees(0), "service_tax": Rupees(0)}
        return {
            "cf_refund_id": int(self.cf_id),
            "cf_payment_id": int(self.payment.id),
            "refund_id": self.id,
            "order_id": self.payment.order.id,
            "entity": "Refund",
            "refund_type": "MERCHANT_INITIATED",
            **self._common(),
            **charges,
        }

    def _common(self) -> Json:
        return {
            "refund_amount": Rupees(self.amount),
            "refund_currency": self.payment.order.currency,
            "refund_note": self.note,
            "refund_status": self.status,
            "refund_splits": self.splits,
            "status_description": "Refund processed successfully" if self.arn else "In Progress",
            "refund_arn": self.arn,
            "metadata": None,
            "created_at": ist(self.created_at),
            "processed_at": ist(self.processed_at) if self.processed_at else None,
        }

    def auto_webhook(self, reason: str) -> Json:
        """What Cashfree sends back by itself has no refund_id; one id is a number, the other a text."""
        return {
            "event": "AUTO-REFUND",
            "cf_refund_id": int(self.cf_id),
            "cf_payment_id": self.payment.id,
            "bank_reference": self.payment.bank_reference,
            "order_id": self.payment.order.id,
            **self._common(),
            "refund_type": "PAYMENT_AUTO_REFUND",
            "refund_reason": reason,
            "refund_charge": Rupees(0),
        }


@dataclass
class Dispute:
    id: str
    payment: Payment
    amount: int
    created_at: int
    respond_by: int
    outcome: str | None = None

    @property
    def status(self) -> str:
        return f"DISPUTE_MERCHANT_{self.outcome.upper()}" if self.outcome else "DISPUTE_CREATED"

    def webhook(self, now: int) -> Json:
        order = self.payment.order
        return {
            "dispute": {
                "dispute_id": self.id,
                "dispute_type": "DISPUTE",
                "reason_code": "1402",
                "reason_description": "Duplicate Processing",
                "dispute_amount": Rupees(self.amount),
                "created_at": ist(self.created_at),
                "updated_at": ist(now),
                "respond_by": ist(self.respond_by),
                "dispute_status": self.status,
                "cf_dispute_remarks": "Dispute is created, please take action",
                "dispute_action_on": "MERCHANT",
            },
            "order_details": {
                "order_id": order.id,
                "order_amount": Rupees(order.amount),
                "order_currency": order.currency,
                "cf_payment_id": int(self.payment.id),
                "payment_amount": Rupees(self.payment.amount),
                "payment_currency": order.currency,
            },
            "customer_details": order.webhook_customer(),
        }
