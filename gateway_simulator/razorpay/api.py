"""Razorpay's wire format: what a merchant's server asks.

Sources: Razorpay docs api/orders, api/payments, api/pagination; the paths of the official SDKs.
"""

from collections.abc import Mapping

from flask import request

from gateway_simulator.base import Json, Route
from gateway_simulator.razorpay import checks
from gateway_simulator.razorpay.api_bank import BankApi
from gateway_simulator.razorpay.api_links import LinksApi
from gateway_simulator.razorpay.api_refunds import RefundsApi
from gateway_simulator.razorpay.asking import Row, asked, edit_notes, found, private
from gateway_simulator.razorpay.instruments import BANKS, WALLETS
from gateway_simulator.razorpay.lists import expands, page
from gateway_simulator.razorpay.moves import LiveBooks
from gateway_simulator.razorpay.records import Order, Payment, collection
from gateway_simulator.razorpay.refusals import already_paid, refusal


class Api:
    def __init__(self, books: LiveBooks) -> None:
        self._books = books

    def routes(self) -> tuple[Route, ...]:
        refunds = RefundsApi(self._books)
        table: tuple[Row, ...] = (
            ("POST", "/orders", self.create_order, "create_order"),
            ("GET", "/orders", self.list_orders, "fetch"),
            ("GET", "/orders/<order_id>", self.fetch_order, "fetch"),
            ("PATCH", "/orders/<order_id>", self.edit_order, None),
            ("GET", "/orders/<order_id>/payments", self.order_payments, "fetch"),
            ("GET", "/payments", self.list_payments, "fetch"),
            ("GET", "/payments/<payment_id>", self.fetch_payment, "fetch"),
            ("PATCH", "/payments/<payment_id>", self.edit_payment, None),
            ("POST", "/payments/<payment_id>/capture", self.capture, "capture"),
            ("GET", "/payments/<payment_id>/card", self.card, "fetch"),
            ("GET", "/methods", self.methods, "fetch"),
            *BankApi(self._books).table(),
            *LinksApi(self._books).table(),
            *refunds.table(),
        )
        routes = (
            Route(method, f"/v1{path}", private(view), operation) for method, path, view, operation in table
        )
        return (*routes, *refunds.routes())

    # Orders

    def create_order(self) -> Json:
        new = checks.new_order(asked())
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
            capture=new.capture,
        )
        self._books.orders[order.id] = order
        return order.entity()

    def _refuse_known_receipt(self, receipt: str) -> None:
        for order in self._books.orders.values():
            if order.receipt == receipt:
                raise refusal("Order receipt should be unique.", metadata={"order_id": order.id})

    def fetch_order(self, order_id: str) -> Json:
        return self._order_json(found(self._books.orders, order_id), request.args)

    def list_orders(self) -> Json:
        asked_page = page(request.args)
        chosen = [order for order in self._books.orders.values() if self._matches(order, request.args)]
        return collection([self._order_json(order, request.args) for order in asked_page.cut(chosen)])

    def _matches(self, order: Order, filters: Mapping[str, str]) -> bool:
        if "receipt" in filters and order.receipt != filters["receipt"]:
            return False
        if "authorized" not in filters:
            return True
        has_authorized = any(payment.status == "authorized" for payment in self._books.payments_of(order.id))
        return has_authorized == (filters["authorized"] in ("1", "true"))

    def _order_json(self, order: Order, parameters: Mapping[str, str]) -> Json:
        entity = self._books.read_order(order)
        if expands(parameters, "payments"):
            payments = [payment.entity() for payment in self._books.payments_of(order.id)]
            entity["payments"] = collection(payments[::-1])
        return entity

    def edit_order(self, order_id: str) -> Json:
        return edit_notes(found(self._books.orders, order_id))

    def order_payments(self, order_id: str) -> Json:
        """All of them: no parameters are documented, and no official client sends any."""
        checks.only(request.args, ())
        order = found(self._books.orders, order_id)
        return collection([payment.entity() for payment in self._books.payments_of(order.id)][::-1])

    # Payments

    def list_payments(self) -> Json:
        payments = page(request.args).cut(self._books.payments.values())
        return collection([self._payment_json(payment, request.args) for payment in payments])

    def fetch_payment(self, payment_id: str) -> Json:
        return self._payment_json(found(self._books.payments, payment_id), request.args)

    def _payment_json(self, payment: Payment, parameters: Mapping[str, str]) -> Json:
        entity = payment.entity()
        if expands(parameters, "refunds"):
            refunds = [refund.entity() for refund in self._books.refunds.of(payment.id)]
            entity["refunds"] = collection(refunds[::-1])
        return entity

    def edit_payment(self, payment_id: str) -> Json:
        return edit_notes(found(self._books.payments, payment_id))

    def card(self, payment_id: str) -> Json:
        card = found(self._books.payments, payment_id).instrument.card
        if card is None:
            raise refusal("The payment was not made by card")  # assumed: no source records it
        return card.entity()

    def capture(self, payment_id: str) -> Json:
        """Razorpay docs, api/payments/capture: once, from `authorized`, the whole amount of the order."""
        payment = found(self._books.payments, payment_id)
        data = asked()
        checks.only(data, ("amount", "currency"))
        amount, currency = checks.amount(data), checks.currency(data)
        if payment.captured or self._books.orders[payment.order_id].status == "paid":
            raise already_paid()
        if payment.status != "authorized":
            raise refusal("Only payments which have been authorized and not yet captured can be captured")
        if amount != payment.amount - payment.customer_fee or currency != payment.currency:
            raise refusal("Capture amount must be equal to the amount authorized")
        self._books.capture(payment)
        return payment.entity()

    def methods(self) -> Json:
        """Where razorpay-node asks; razorpay-python asks for /methods, which the edge does not know."""
        return {
            "entity": "methods",
            "card": True,
            "netbanking": dict(BANKS),
            "wallet": dict.fromkeys(WALLETS, True),
            "upi": True,
        }
