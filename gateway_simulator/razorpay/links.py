"""Payment links: an order with a page of its own, and a signed way back by GET.

Sources: Razorpay docs api/payments/payment-links, razorpay-python/documents/paymentLink and its test data.
"""

from dataclasses import dataclass, field
from functools import partial

from gateway_simulator.base import Json
from gateway_simulator.razorpay.books import Books
from gateway_simulator.razorpay.events import Events, hex_hmac
from gateway_simulator.razorpay.records import Notes, Order, Payment


@dataclass
class Wanted:
    """What a request for a link says; what it does not say is zero or empty, as in the answers."""

    amount: int
    currency: str = "INR"
    accept_partial: bool = False
    first_min_partial_amount: int = 0
    description: str = ""
    reference_id: str = ""
    expire_by: int = 0
    customer: Json = field(default_factory=dict)
    notify: Json = field(default_factory=dict)
    notes: Notes = field(default_factory=dict)
    reminder_enable: bool = False
    upi_link: bool = False
    callback_url: str = ""
    callback_method: str = ""


@dataclass
class PaymentLink:
    id: str
    order_id: str
    wanted: Wanted
    short_url: str
    created_at: int
    updated_at: int
    status: str = "created"
    amount_paid: int = 0
    cancelled_at: int = 0
    expired_at: int = 0
    payments: list[Json] = field(default_factory=list)

    @property
    def payable(self) -> bool:
        return self.status in ("created", "partially_paid")

    def entity(self) -> Json:
        wanted = self.wanted
        return {
            "accept_partial": wanted.accept_partial,
            "amount": wanted.amount,
            "amount_paid": self.amount_paid,
            "callback_method": wanted.callback_method,
            "callback_url": wanted.callback_url,
            "cancelled_at": self.cancelled_at,
            "created_at": self.created_at,
            "currency": wanted.currency,
            "customer": dict(wanted.customer),
            "description": wanted.description,
            "expire_by": wanted.expire_by,
            "expired_at": self.expired_at,
            "first_min_partial_amount": wanted.first_min_partial_amount,
            "id": self.id,
            "notes": dict(wanted.notes) or None,
            "notify": dict(wanted.notify),
            **({"order_id": self.order_id} if self.payments else {}),
            "payments": list(self.payments) or None,
            "reference_id": wanted.reference_id,
            "reminder_enable": wanted.reminder_enable,
            "reminders": [],
            "short_url": self.short_url,
            "status": self.status,
            "updated_at": self.updated_at,
            "upi_link": wanted.upi_link,
            "user_id": "",
        }


class PaymentLinks:
    """Everything here runs under the world's lock."""

    def __init__(self, books: Books, events: Events) -> None:
        self._books = books
        self._events = events
        self.all: dict[str, PaymentLink] = {}
        self._by_order: dict[str, PaymentLink] = {}

    def of_order(self, order_id: str) -> PaymentLink | None:
        return self._by_order.get(order_id)

    def create(self, wanted: Wanted, base_url: str) -> PaymentLink:
        """The order is there at once, so that the control plane can pay it: its receipt is the link's id."""
        now, link_id = self._books.now(), self._books.new_id("plink")
        order = Order(self._books.new_id("order"), wanted.amount, wanted.currency, now, receipt=link_id)
        self._books.orders[order.id] = order
        link = PaymentLink(link_id, order.id, wanted, f"{base_url}/{link_id}", now, now)
        self.all[link.id] = self._by_order[order.id] = link
        self.plan_expiry(link)
        return link

    def plan_expiry(self, link: PaymentLink) -> None:
        if link.wanted.expire_by:
            self._books.world.at(link.wanted.expire_by, partial(self.expire, link.id))

    def expire(self, link_id: str) -> None:
        link = self.all[link_id]
        if link.payable and 0 < link.wanted.expire_by <= self._books.now():
            link.status, link.expired_at = "expired", self._books.now()
            self._end(link)

    def cancel(self, link: PaymentLink) -> None:
        link.status, link.cancelled_at = "cancelled", self._books.now()
        self._end(link)

    def _end(self, link: PaymentLink) -> None:
        link.updated_at = self._books.now()
        self.tell(f"payment_link.{link.status}", link)

    def paid(self, order: Order, payment: Payment) -> None:
        """A payment on a link's order was captured."""
        link = self.of_order(order.id)
        if link is None:
            return
        link.amount_paid, link.updated_at = order.amount_paid, self._books.now()
        link.status = "paid" if order.status == "paid" else "partially_paid"
        link.payments.append(
            {
                "amount": payment.amount,
                "created_at": payment.created_at,
                "method": payment.instrument.method,
                "payment_id": payment.id,
                "status": payment.status,
            }
        )
        self.tell(f"payment_link.{link.status}", link, payment)

    def tell(self, event: str, link: PaymentLink, payment: Payment | None = None) -> None:
        entities = {"payment_link": link.entity(), "order": self._books.orders[link.order_id].entity()}
        if payment:
            entities["payment"] = payment.entity()
        self._events.tell(event, link.order_id, entities)

    def callback_fields(self, link: PaymentLink, payment_id: str, secret: str) -> dict[str, str]:
        """What the way back carries (the signature's order: razorpay-php, Utility)."""
        message = "|".join((link.id, link.wanted.reference_id, link.status, payment_id))
        return {
            "razorpay_payment_id": payment_id,
            "razorpay_payment_link_id": link.id,
            "razorpay_payment_link_reference_id": link.wanted.reference_id,
            "razorpay_payment_link_status": link.status,
            "razorpay_signature": hex_hmac(secret, message.encode()),
        }
