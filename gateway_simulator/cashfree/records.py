"""Cashfree's orders and attempts, as the API and the webhooks write them down.

Sources: OpenAPI 2025-01-01 (OrderEntity, PaymentEntity); docs payment-webhooks in their versions, and
api-reference/payments/latest/payments/preauthorisation; for cash on delivery the official WooCommerce plugin.
Made up: that events tell of a hold by the members of the API.
"""

from dataclasses import dataclass

from gateway_simulator.base import Json
from gateway_simulator.cashfree.wire import (
    NEWEST_WEBHOOKS,
    OLD,
    CfId,
    Rupees,
    ist,
    ist_without_zone,
)

OPEN_ATTEMPTS = ("NOT_ATTEMPTED", "PENDING")
CASH = "cash_on_delivery"
ADDRESSES = {"shipping_address": "customer_shipping_address", "billing_address": "customer_billing_address"}


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
    cart: Json | None
    created_at: int
    expires_at: float
    # the same moment by the simulator's clock, which may run ahead of the merchant's
    ends_at: float
    status: str = "ACTIVE"
    # how often the API still says ACTIVE although the order is paid
    late_reads: int = 0

    def told_status(self) -> str:
        """The order's word for one read of it: a late one lags behind its payments."""
        if self.status != "PAID" or self.late_reads == 0:
            return self.status
        self.late_reads -= 1
        return "ACTIVE"

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
            "order_status": self.told_status(),
            "order_tags": self.tags,
            "terminal_data": None,
            "cart_details": {"cart_id": self.cf_id} if self.cart else None,
        }

    def extended(self) -> Json:
        """OrderExtendedDataEntity: what the merchant said about the goods, under other names."""
        cart = self.cart or {}
        charge = cart.get("shipping_charge")
        return {
            "cf_order_id": CfId(self.cf_id),
            "order_id": self.id,
            "order_amount": Rupees(self.amount),
            "order_currency": self.currency,
            "created_at": ist(self.created_at),
            "charges": None if charge is None else {"shipping_charges": charge, "cod_handling_charges": 0},
            "customer_details": self.customer,
            **{name: cart.get(field) for name, field in ADDRESSES.items()},
            "cart": {"name": cart.get("cart_name"), "items": cart.get("cart_items") or []} if cart else None,
            "offers": None,
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

    def disputes_customer(self) -> Json:
        names = ("customer_name", "customer_phone", "customer_email")
        return {name: self.customer.get(name) for name in names}


@dataclass(frozen=True)
class Instrument:
    """`method` is the control plane's word, `group` and `details` are Cashfree's."""

    method: str
    group: str
    details: Json

    def paid_with(self) -> Json:
        """Once the money came, Cashfree knows from which account (made up, as in the samples)."""
        upi = self.details.get("upi")
        account = {"upi_payer_ifsc": "SBI0025434", "upi_payer_account_number": "XXXXX0231"}
        return {"upi": {**upi, **account}} if upi else self.details


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
class Hold:
    """A pre-authorisation: the bank keeps the money ready until it is captured, let go, or time runs out."""

    starts_at: int
    ends_at: float
    action: str | None = None
    captured: int = 0
    reference: str | None = None
    acted_at: int | None = None

    def end(self, action: str, now: int, reference: str) -> None:
        self.action, self.acted_at, self.reference = action, now, reference

    def entity(self) -> Json:
        return {
            "action": self.action,
            "status": "SUCCESS",
            "captured_amount": Rupees(self.captured),
            "start_time": ist(self.starts_at),
            "end_time": ist(self.ends_at),
            "approve_by": ist(self.ends_at),
            "action_reference": self.reference,
            "action_time": ist_without_zone(self.acted_at, "T") if self.acted_at else None,
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
    wrong_otps: int = 0
    hold: Hold | None = None
    # how much less than the order was to be paid
    offer: int = 0

    @property
    def is_cash(self) -> bool:
        return self.instrument.group == CASH

    @property
    def open_hold(self) -> Hold | None:
        return self.hold if self.hold and self.hold.action is None else None

    @property
    def taken(self) -> int:
        """What Cashfree has of it for the merchant: SUCCESS alone does not say that there is money."""
        if self.status != "SUCCESS" or self.is_cash:
            return 0
        return self.amount if self.hold is None else self.hold.captured

    def entity(self) -> Json:
        method = self.instrument.paid_with() if self.status == "SUCCESS" else self.instrument.details
        return {
            "cf_payment_id": CfId(self.id),
            "order_id": self.order.id,
            "entity": "payment",
            "payment_currency": self.order.currency,
            "error_details": self.error.entity() if self.error else None,
            "order_amount": Rupees(self.order.amount),
            "order_currency": self.order.currency,
            "is_captured": self.taken > 0,
            "payment_group": self.instrument.group,
            "authorization": self.hold.entity() if self.hold else None,
            "payment_method": method,
            "payment_amount": Rupees(self.amount),
            "payment_time": ist(self.created_at),
            "payment_completion_time": ist(self.completed_at) if self.completed_at else None,
            "payment_status": self.status,
            "payment_message": self.message,
            "bank_reference": self.bank_reference,
            "auth_id": None,
            "international_payment": {"international": False},
            "payment_gateway_details": {
                "gateway_name": "CASHFREE",
                "gateway_order_id": self.order.cf_id,
                "gateway_payment_id": self.id,
                "gateway_order_reference_id": None,
                "gateway_settlement": "cashfree",
                "gateway_reference_name": None,
            },
            "payment_surcharge": None,
        }

    @property
    def message(self) -> str | None:
        if self.is_cash:
            return None
        if self.hold:
            return "PRE_AUTH|Transaction Success"
        return {"SUCCESS": "00::Transaction success", "FAILED": "01::REJECTED"}.get(self.status)

    def webhook(self, version: str) -> Json:
        """All of an event's data: what each version has, as in its samples."""
        data: Json = {
            "order": self.order.webhook(),
            "payment": self._told(version),
            "customer_details": self.order.webhook_customer(),
        }
        if self.status == "FAILED" and self.error:
            data["error_details"] = self.error.entity()
        offers = [self._told_offer()] if self.offer else None
        return {**data, "payment_gateway_details": self._gateway_details(version), "payment_offers": offers}

    def _told_offer(self) -> Json:
        """Of an offer the API says nothing: its payment is lower than the order, which is paid."""
        return {
            "offer_id": "0f05e1d0-fbf8-4c9c-a1f0-814c7b2abdba",
            "offer_type": "DISCOUNT",
            "offer_meta": {"offer_title": "A lower price", "offer_code": "LESS"},
            "offer_redemption": {"redemption_status": "SUCCESS", "discount_amount": Rupees(self.offer)},
        }

    def _told(self, version: str) -> Json:
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
            "payment_method": self._told_method(version),
            "payment_group": self.instrument.group,
        }
        if version == NEWEST_WEBHOOKS:
            told |= {"international_payment": {"international": False}, "payment_surcharge": None}
        if self.hold:
            told |= {"is_captured": self.taken > 0, "authorization": self.hold.entity()}
        return told

    def _told_method(self, version: str) -> Json:
        details = self.instrument.details
        if "netbanking" in details:
            bank = details["netbanking"]
            return {"netbanking": {**bank, "netbanking_bank_code": str(bank["netbanking_bank_code"])}}
        if "upi" in details and version == NEWEST_WEBHOOKS and self.status == "SUCCESS":
            return {"upi": {**self.instrument.paid_with()["upi"], "upi_instrument": "UPI"}}
        return details

    def _gateway_details(self, version: str) -> Json:
        is_known = self.status != "USER_DROPPED"
        told = {
            "gateway_name": "CASHFREE" if is_known else None,
            "gateway_order_id": self.order.cf_id if is_known else None,
            "gateway_payment_id": self.id if is_known else None,
            "gateway_settlement": "CASHFREE" if is_known else None,
            "gateway_status_code": None,
        }
        if version == OLD and self.status == "FAILED":
            del told["gateway_settlement"]
        if version == "2023-08-01" and self.status == "SUCCESS":
            told["gateway_order_reference_id"] = None
        return told
