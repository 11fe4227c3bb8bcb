"""Razorpay's entities, as the API and the webhooks write them down.

Sources: Razorpay docs api/orders/entity, api/payments/entity, webhooks/payments,
payments/payments/capture-settings/api.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Notes = dict[str, str]


def written_notes(notes: Notes) -> Notes | list[str]:
    """Empty notes come back as a list: PHP's empty array."""
    return dict(notes) if notes else []


def collection(items: list[Json]) -> Json:
    return {"entity": "collection", "count": len(items), "items": items}


@dataclass(frozen=True)
class Capture:
    """What becomes of an authorized payment; minutes are counted from the payment's creation."""

    automatic: bool = True
    # authorized later than this, it waits for a capture by hand; None: captured whenever it is authorized
    automatic_minutes: int | None = None
    # not captured until then, it goes back (the docs say 3 and 5 days; the shorter one is the safer one)
    window_minutes: int = 3 * 24 * 60
    refund_speed: str | None = None


@dataclass
class Order:
    id: str
    amount: int
    currency: str
    created_at: int
    receipt: str | None = None
    notes: Notes = field(default_factory=dict)
    offer_id: str | None = None
    capture: Capture = Capture()
    amount_paid: int = 0
    attempts: int = 0
    status: Literal["created", "attempted", "placed", "paid"] = "created"
    # what an offer took off; assumed: amount_paid is what was really paid
    offer: int = 0
    # how often the API still tells the old word, and the payment that order.paid was not told of yet
    late_reads: int = 0
    paid_by: str | None = None

    @property
    def amount_due(self) -> int:
        return max(self.amount - self.amount_paid - self.offer, 0)

    def entity(self) -> Json:
        return {
            "id": self.id,
            "entity": "order",
            "amount": self.amount,
            "amount_paid": self.amount_paid,
            "amount_due": self.amount_due,
            "currency": self.currency,
            "receipt": self.receipt,
            "offer_id": self.offer_id,
            "status": self.status,
            "attempts": self.attempts,
            "notes": written_notes(self.notes),
            "created_at": self.created_at,
        }


@dataclass(frozen=True)
class Card:
    id: str
    last4: str
    network: str
    international: bool

    def entity(self) -> Json:
        return {
            "id": self.id,
            "entity": "card",
            "name": "",
            "last4": self.last4,
            "network": self.network,
            "type": "credit",
            "issuer": None,
            "international": self.international,
            "emi": False,
            "sub_type": "consumer",
            "token_iin": None,
        }


@dataclass(frozen=True)
class Instrument:
    """What the customer paid with, and the bank's references for an approval (None where there are none)."""

    method: str
    approval: Json
    vpa: str | None = None
    bank: str | None = None
    wallet: str | None = None
    card: Card | None = None
    # UPI: asked for by the payer's id; else paid by QR code or in an app
    collect: bool = False


@dataclass(frozen=True)
class Payer:
    email: str = "customer@example.com"
    contact: str = "+919999999999"
    description: str | None = None
    notes: Notes = field(default_factory=dict)


@dataclass(frozen=True)
class PaymentError:
    code: str
    description: str
    source: str
    step: str
    reason: str


@dataclass
class Payment:
    id: str
    order_id: str
    amount: int
    currency: str
    created_at: int
    instrument: Instrument
    payer: Payer
    notes: Notes
    status: Literal["created", "pending", "authorized", "captured", "refunded", "failed"] = "created"
    captured: bool = False
    late_authorized: bool = False
    amount_refunded: int = 0
    fee: int | None = None
    tax: int | None = None
    # paid on top of the order, and taken off it
    customer_fee: int = 0
    offer: int = 0
    error: PaymentError | None = None

    @property
    def refund_status(self) -> str | None:
        if self.amount_refunded == 0:
            return None
        return "full" if self.amount_refunded >= self.amount else "partial"

    def entity(self) -> Json:
        return {
            "id": self.id,
            "entity": "payment",
            "amount": self.amount,
            "currency": self.currency,
            **({"base_amount": self.amount} if self.captured else {}),
            "status": self.status,
            "order_id": self.order_id,
            "invoice_id": None,
            "international": bool(self.instrument.card and self.instrument.card.international),
            "method": self.instrument.method,
            "amount_refunded": self.amount_refunded,
            **({"amount_transferred": 0} if self.captured else {}),
            "refund_status": self.refund_status,
            "captured": self.captured,
            "description": self.payer.description,
            **self._instrument_fields(),
            "email": self.payer.email,
            "contact": self.payer.contact,
            "notes": written_notes(self.notes),
            "fee": self.fee,
            "tax": self.tax,
            **self._error_fields(),
            "acquirer_data": self._acquirer_data(),
            "created_at": self.created_at,
            **({"late_authorized": True} if self.late_authorized else {}),
            **({"fee_bearer": "customer"} if self.customer_fee else {}),
            **self._upi_field(),
        }

    def _instrument_fields(self) -> Json:
        card = self.instrument.card
        return {
            "card_id": card.id if card else None,
            **({"card": card.entity()} if card else {}),
            "bank": self.instrument.bank,
            "wallet": self.instrument.wallet,
            "vpa": self.instrument.vpa,
        }

    def _upi_field(self) -> Json:
        if self.instrument.method != "upi":
            return {}
        flow = "collect" if self.instrument.collect else "intent"
        return {"upi": {"payer_account_type": "bank_account", "vpa": self.instrument.vpa, "flow": flow}}

    def _error_fields(self) -> Json:
        error = self.error
        return {
            "error_code": error.code if error else None,
            "error_description": error.description if error else None,
            "error_source": error.source if error else None,
            "error_step": error.step if error else None,
            "error_reason": error.reason if error else None,
        }

    def _acquirer_data(self) -> Json:
        if self.status in ("created", "failed"):
            return dict.fromkeys(self.instrument.approval)
        return dict(self.instrument.approval)
