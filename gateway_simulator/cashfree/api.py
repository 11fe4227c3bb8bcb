"""Cashfree's wire format: what a merchant's server asks of orders, attempts and refunds. Success is a 200.

Sources: OpenAPI 2025-01-01; cashfree_pg 6.0.1 for the extended data and the change of a refund.
"""

from flask import request

from gateway_simulator.base import Json, Route
from gateway_simulator.cashfree import checks
from gateway_simulator.cashfree.answers import Answers, View, version
from gateway_simulator.cashfree.books import USUAL_LIFETIME_SECONDS
from gateway_simulator.cashfree.moves import LiveBooks
from gateway_simulator.cashfree.records import Order, Payment
from gateway_simulator.cashfree.refunds import OPEN_REFUNDS, Refund
from gateway_simulator.cashfree.refusals import not_found, order_exists, refusal
from gateway_simulator.cashfree.wire import OLD

REFUNDABLE_SECONDS = 182 * 24 * 3600
"""Six months; cashfree_pg 6.0.1 says so in the words about PGOrderCreateRefund."""
REFUND_NOTES = {"SUCCESS": "SUCCESS", "FAILED": "FAILED", "PENDING": "PENDING", "ACTIVE": "PENDING"}


class Api:
    def __init__(self, books: LiveBooks, answers: Answers) -> None:
        self._books = books
        self._answers = answers

    def routes(self) -> tuple[Route, ...]:
        table: tuple[tuple[str, str, View, str | None], ...] = (
            ("POST", "", self.create_order, "create_order"),
            ("GET", "/<order_id>", self.fetch_order, "fetch"),
            ("PATCH", "/<order_id>", self.terminate, None),
            ("GET", "/<order_id>/extended", self.extended, "fetch"),
            ("GET", "/<order_id>/payments", self.payments, "fetch"),
            ("GET", "/<order_id>/payments/<payment_id>", self.payment, "fetch"),
            ("POST", "/<order_id>/authorization", self.end_hold, "capture"),
            ("POST", "/<order_id>/refunds", self.create_refund, "refund"),
            ("GET", "/<order_id>/refunds", self.refunds, "fetch"),
            ("GET", "/<order_id>/refunds/<refund_id>", self.refund, "fetch"),
            ("PUT", "/<order_id>/refunds/<refund_id>", self.cancel_refund, None),
        )
        return tuple(
            Route(method, f"/pg/orders{path}", self._answers.answering(view), operation)
            for method, path, view, operation in table
        )

    # Orders

    def create_order(self) -> Json:
        ahead = self._books.world.ahead_seconds()
        new = checks.new_order(checks.body_of(request.get_data()), self._books.world.now() - ahead)
        if new.id is not None and self._books.order(new.id):
            raise order_exists()
        now = self._books.now()
        expires_at = new.expires_at or now - ahead + USUAL_LIFETIME_SECONDS
        order = Order(
            id=new.id or f"order_{self._books.world.random_text(32)}",
            cf_id=self._books.new_number(),
            session_id=self._books.new_session_id(),
            amount=new.amount,
            currency="INR",
            customer={**new.customer, "customer_uid": self._books.new_customer_uid()},
            meta=new.meta,
            note=new.note,
            tags=new.tags,
            cart=new.cart,
            created_at=now,
            expires_at=expires_at,
            ends_at=expires_at + ahead,
        )
        self._books.add(order)
        return self._order_json(order)

    def fetch_order(self, order_id: str) -> Json:
        return self._order_json(self._order(order_id))

    def extended(self, order_id: str) -> Json:
        return self._order(order_id).extended()

    def terminate(self, order_id: str) -> Json:
        """A paid order is told to be so; only what can still be paid can be ended."""
        order = self._order(order_id)
        if checks.body_of(request.get_data()) != {"order_status": "TERMINATED"}:
            raise refusal("order_status : invalid value", "order_status_invalid")
        if order.status == "EXPIRED":
            raise refusal("order is not active", "order_inactive")
        if order.status == "ACTIVE":
            self._books.terminate(order)
        return self._order_json(order)

    def _order(self, order_id: str) -> Order:
        order = self._books.order(order_id)
        if order is None:
            raise not_found("order")
        return order

    def _order_json(self, order: Order) -> Json:
        links = order.links(request.host_url + "cashfree/pg") if version() == OLD else {}
        return {**order.entity(), **links}

    # Attempts

    def payments(self, order_id: str) -> list[Json]:
        """The newest first."""
        payments = self._books.payments_of(self._order(order_id))
        return [payment.entity() for payment in reversed(payments)]

    def payment(self, order_id: str, payment_id: str) -> Json:
        for payment in self._books.payments_of(self._order(order_id)):
            if payment.id == payment_id:
                return payment.entity()
        raise not_found("payment")

    def end_hold(self, order_id: str) -> Json:
        """Captures a hold, in part if so wished, or lets it go (the codes of refusals are made up)."""
        order = self._order(order_id)
        asked = checks.body_of(request.get_data())
        checks.only(asked, ("action", "amount"))
        if asked.get("action") not in ("CAPTURE", "VOID"):
            raise refusal("action : invalid value", "action_invalid")
        held = [payment for payment in self._books.payments_of(order) if payment.open_hold]
        if not held:
            raise refusal("order has no authorization to act on", "authorization_not_allowed")
        if asked["action"] == "VOID":
            self._books.let_go(held[0])
            return held[0].entity()
        amount = checks.paise(asked, "amount")
        if amount > held[0].amount:
            raise refusal("amount : exceeds what is held", "amount_invalid")
        self._books.capture(held[0], amount)
        return held[0].entity()

    # Refunds

    def create_refund(self, order_id: str) -> Json:
        """One refund_id makes one refund: the same words again are answered with it."""
        order = self._order(order_id)
        new = checks.new_refund(checks.body_of(request.get_data()))
        known = self._books.refunds.get(new.id)
        if known:
            return self._known_refund(known, order, new)
        payment = self._paid(order)
        if self._books.now() > payment.created_at + REFUNDABLE_SECONDS:
            raise refusal("Refunds are possible for six months", "refund_not_allowed")
        if new.amount > self._books.refunds.left(payment):
            raise refusal("Refund amount exceeds what is left of the order", "refund_amount_invalid")
        refund = Refund(
            new.id, self._books.new_number(), payment, new.amount, self._books.now(), new.note, new.speed
        )
        usual = self._books.settings.refund_outcome
        self._books.refunds.start(new.id, refund, REFUND_NOTES.get(new.note or "", usual))
        return refund.entity()

    def _known_refund(self, known: Refund, order: Order, new: checks.NewRefund) -> Json:
        is_same = (known.amount, known.note, known.speed) == (new.amount, new.note, new.speed)
        if known.payment.order is not order or not is_same:
            raise refusal("refund with same id is already present", "refund_id_already_exists")
        return known.entity()

    def _paid(self, order: Order) -> Payment:
        if order.status == "PAID":
            for payment in self._books.payments_of(order):
                if payment.taken:
                    return payment
        raise refusal("Refund cannot be initiated: the order is not paid", "refund_not_allowed")

    def refunds(self, order_id: str) -> list[Json]:
        return [refund.entity() for refund in self._books.refunds.of(self._order(order_id))]

    def refund(self, order_id: str, refund_id: str) -> Json:
        return self._refund(order_id, refund_id).entity()

    def cancel_refund(self, order_id: str, refund_id: str) -> Json:
        """The merchant thinks again, while the money has not left (the code of the refusal is made up)."""
        refund = self._refund(order_id, refund_id)
        asked = checks.body_of(request.get_data())
        checks.only(asked, ("refund_status", "remarks"))
        if asked.get("refund_status") != "CANCELLED":
            raise refusal("refund_status : invalid value", "refund_status_invalid")
        checks.text(asked, "remarks", 0, 250)
        if refund.status not in OPEN_REFUNDS:
            raise refusal(f"Refund is {refund.status} already", "refund_not_allowed")
        self._books.refunds.finish(refund, "CANCELLED")
        return refund.entity()

    def _refund(self, order_id: str, refund_id: str) -> Refund:
        order = self._order(order_id)
        refund = self._books.refunds.get(refund_id)
        if refund is None or refund.payment.order is not order:
            raise not_found("refund")
        return refund
