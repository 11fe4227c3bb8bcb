"""Razorpay's wire format: what a merchant's server asks.

Sources: Razorpay docs api/orders, api/payments, api/refunds, api/pagination; the paths of the official SDKs.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import TypeVar

from flask import request
from flask.typing import ResponseReturnValue

from payments_service.simulator.base import Json, Route
from payments_service.simulator.razorpay import checks
from payments_service.simulator.razorpay.books import KEY_ID, KEY_SECRET, Books
from payments_service.simulator.razorpay.records import Dispute, Order, Payment, Refund, collection
from payments_service.simulator.razorpay.refusals import already_paid, plain_refusal, refusal, unknown_id

Record = TypeVar("Record", Order, Payment, Refund, Dispute)
AUTHENTICATION_FAILED = "Authentication failed"


class Api:
    def __init__(self, books: Books) -> None:
        self._books = books

    def routes(self) -> tuple[Route, ...]:
        table: tuple[tuple[str, str, Callable[..., ResponseReturnValue], str | None], ...] = (
            ("POST", "/orders", self.create_order, "create_order"),
            ("GET", "/orders", self.list_orders, "fetch"),
            ("GET", "/orders/<order_id>", self.fetch_order, "fetch"),
            ("PATCH", "/orders/<order_id>", self.edit_order, None),
            ("GET", "/orders/<order_id>/payments", self.order_payments, "fetch"),
            ("GET", "/payments", self.list_payments, "fetch"),
            ("GET", "/payments/<payment_id>", self.fetch_payment, "fetch"),
            ("PATCH", "/payments/<payment_id>", self.edit_payment, None),
            ("POST", "/payments/<payment_id>/capture", self.capture, "capture"),
            ("GET", "/payments/<payment_id>/refunds", self.payment_refunds, "fetch"),
            ("GET", "/payments/<payment_id>/refunds/<refund_id>", self.payment_refund, "fetch"),
            ("GET", "/refunds", self.list_refunds, "fetch"),
            ("GET", "/refunds/<refund_id>", self.fetch_refund, "fetch"),
            ("PATCH", "/refunds/<refund_id>", self.edit_refund, None),
            ("GET", "/disputes", self.list_disputes, "fetch"),
            ("GET", "/disputes/<dispute_id>", self.fetch_dispute, "fetch"),
            ("GET", "/settlements", self.list_settlements, "fetch"),
            ("GET", "/settlements/<settlement_id>", self.fetch_settlement, "fetch"),
        )
        routes = [
            Route(method, f"/v1{path}", private(view), operation) for method, path, view, operation in table
        ]
        refund = Route(
            "POST", "/v1/payments/<payment_id>/refund", private(self.refund), "refund", self.refund_key_in_use
        )
        return (*routes, refund)

    # Orders

    def create_order(self) -> Json:
        new = checks.new_order(checks.body_of(request))
        if self._books.settings.unique_receipts and new.receipt is not None:
            self._refuse_known_receipt(new.receipt)
        order = Order(
            id=self._books.new_id("order"),
            amount=new.amount,
            currency=new.currency,
            created_at=self._books.now(),
            receipt=new.receipt,
            notes=new.notes,
            offer_id=new.offer_id,
            automatic_capture=new.automatic_capture,
        )
        self._books.orders[order.id] = order
        return order.entity()

    def _refuse_known_receipt(self, receipt: str) -> None:
        for order in self._books.orders.values():
            if order.receipt == receipt:
                raise refusal("Order receipt should be unique.", metadata={"order_id": order.id})

    def fetch_order(self, order_id: str) -> Json:
        return self._order_json(_found(self._books.orders, order_id), request.args)

    def list_orders(self) -> Json:
        page = checks.page(request.args)
        chosen = [order for order in self._books.orders.values() if self._matches(order, request.args)]
        return collection(page.cut([self._order_json(order, request.args) for order in chosen]))

    def _matches(self, order: Order, filters: Mapping[str, str]) -> bool:
        if "receipt" in filters and order.receipt != filters["receipt"]:
            return False
        if "authorized" not in filters:
            return True
        has_authorized = any(payment.status == "authorized" for payment in self._books.payments_of(order.id))
        return has_authorized == (filters["authorized"] in ("1", "true"))

    def _order_json(self, order: Order, parameters: Mapping[str, str]) -> Json:
        entity = order.entity()
        if checks.expands(parameters, "payments"):
            payments = [payment.entity() for payment in self._books.payments_of(order.id)]
            entity["payments"] = collection(payments[::-1])
        return entity

    def edit_order(self, order_id: str) -> Json:
        return _edit_notes(_found(self._books.orders, order_id)).entity()

    def order_payments(self, order_id: str) -> Json:
        order = _found(self._books.orders, order_id)
        return collection([payment.entity() for payment in self._books.payments_of(order.id)][::-1])

    # Payments

    def list_payments(self) -> Json:
        return collection(checks.page(request.args).cut([p.entity() for p in self._books.payments.values()]))

    def fetch_payment(self, payment_id: str) -> Json:
        return _found(self._books.payments, payment_id).entity()

    def edit_payment(self, payment_id: str) -> Json:
        return _edit_notes(_found(self._books.payments, payment_id)).entity()

    def capture(self, payment_id: str) -> Json:
        """Razorpay docs, api/payments/capture: once, from `authorized`, the whole amount."""
        payment = _found(self._books.payments, payment_id)
        data = checks.body_of(request)
        checks.only(data, ("amount", "currency"))
        amount, currency = checks.amount(data), checks.currency(data)
        if payment.captured or self._books.orders[payment.order_id].status == "paid":
            raise already_paid()
        if payment.status != "authorized":
            raise refusal("Only payments which have been authorized and not yet captured can be captured")
        if amount != payment.amount or currency != payment.currency:
            raise refusal("Capture amount must be equal to the amount authorized")
        self._books.capture(payment)
        return payment.entity()

    # Refunds

    @contextmanager
    def refund_key_in_use(self) -> Iterator[None]:
        """A second request with the key of one that still runs is refused (normal-refunds-idempotent)."""
        key = request.headers.get("X-Refund-Idempotency")
        running = self._books.running_refund_keys
        with self._books.world.lock:
            if key in running:
                raise plain_refusal(409, "Request with the same idempotency key is still being processed.")
            if key is not None:
                running.add(key)
        try:
            yield
        finally:
            with self._books.world.lock:
                running.discard(key or "")

    def refund(self, payment_id: str) -> Json:
        """Razorpay docs, api/refunds/create-normal. One key makes one refund, bound to its first body."""
        key = checks.idempotency_key(request)
        data = checks.body_of(request)
        asked = json.dumps([payment_id, data], sort_keys=True)
        if key is not None and key in self._books.refund_keys:
            return self._repeated_refund(key, asked)
        refund = self._new_refund(_found(self._books.payments, payment_id), data)
        if key is not None:
            self._books.refund_keys[key] = (asked, refund.id)
        return refund.entity()

    def _repeated_refund(self, key: str, asked: str) -> Json:
        first_asked, refund_id = self._books.refund_keys[key]
        if asked != first_asked:
            raise plain_refusal(
                400, "Different request with the same idempotency key has already been processed."
            )
        return self._books.refunds[refund_id].entity()

    def _new_refund(self, payment: Payment, data: Json) -> Refund:
        new = checks.new_refund(data)
        if not payment.captured:
            raise refusal("The payment status should be captured for action to be taken")
        rest = payment.amount - payment.amount_refunded
        if rest == 0:
            raise refusal("The payment has been fully refunded already")
        amount = rest if new.amount is None else new.amount
        if amount > rest:
            raise refusal("The refund amount provided is greater than amount captured", field="amount")
        template = Refund("", payment.id, amount, payment.currency, 0, new.notes, new.receipt, new.speed)
        return self._books.refund(payment, amount, template, outcome=self._books.settings.refund_outcome)

    def payment_refunds(self, payment_id: str) -> Json:
        payment = _found(self._books.payments, payment_id)
        refunds = [refund.entity() for refund in self._books.refunds_of(payment.id)]
        return collection(checks.page(request.args).cut(refunds))

    def payment_refund(self, payment_id: str, refund_id: str) -> Json:
        refund = _found(self._books.refunds, refund_id)
        if refund.payment_id != payment_id:
            raise unknown_id()
        return refund.entity()

    def list_refunds(self) -> Json:
        return collection(checks.page(request.args).cut([r.entity() for r in self._books.refunds.values()]))

    def fetch_refund(self, refund_id: str) -> Json:
        return _found(self._books.refunds, refund_id).entity()

    def edit_refund(self, refund_id: str) -> Json:
        return _edit_notes(_found(self._books.refunds, refund_id)).entity()

    # Disputes and settlements

    def list_disputes(self) -> Json:
        return collection(checks.page(request.args).cut([d.entity() for d in self._books.disputes.values()]))

    def fetch_dispute(self, dispute_id: str) -> Json:
        return _found(self._books.disputes, dispute_id).entity()

    def list_settlements(self) -> Json:
        checks.page(request.args)
        return collection([])

    def fetch_settlement(self, settlement_id: str) -> Json:
        raise unknown_id()


def private(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Requires HTTP Basic with key id and key secret."""

    @wraps(view)
    def checked(**ids: str) -> ResponseReturnValue:
        _authenticate(request.headers.get("Authorization", ""))
        return view(**ids)

    return checked


def _authenticate(header: str) -> None:
    scheme, _, encoded = header.partition(" ")
    try:
        key_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise plain_refusal(401, AUTHENTICATION_FAILED) from None
    if scheme.lower() != "basic" or not key_id:
        raise plain_refusal(401, AUTHENTICATION_FAILED)
    if key_id != KEY_ID:
        raise plain_refusal(401, "The api key provided is invalid")
    if not hmac.compare_digest(secret.encode(), KEY_SECRET.encode()):
        raise plain_refusal(401, AUTHENTICATION_FAILED)


def _found(records: Mapping[str, Record], record_id: str) -> Record:
    if record_id not in records:
        raise unknown_id()
    return records[record_id]


Annotated = TypeVar("Annotated", Order, Payment, Refund)


def _edit_notes(record: Annotated) -> Annotated:
    """Notes are the only thing that can be changed."""
    data = checks.body_of(request)
    checks.only(data, ("notes",))
    if "notes" not in data:
        raise refusal("The notes field is required.", field="notes")
    record.notes = checks.notes(data)
    return record
