"""Cashfree's wire format: what a merchant's server asks. Every success is a 200.

Sources: OpenAPI 2025-01-01; docs api-reference/payments/errors, idempotency, rate-limits.
"""

import hmac
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from flask import Response, request

from payments_service.simulator.base import Json, Route, WireError
from payments_service.simulator.cashfree import checks
from payments_service.simulator.cashfree.books import (
    APP_ID,
    APP_SECRET,
    DECLINED,
    USUAL_LIFETIME_SECONDS,
    Books,
)
from payments_service.simulator.cashfree.records import Order, Payment, Refund
from payments_service.simulator.cashfree.refusals import (
    key_reused,
    not_found,
    order_exists,
    refusal,
    wrong_keys,
)
from payments_service.simulator.cashfree.wire import OLD, VERSIONS, Rupees, answer_text, ist

View = Callable[..., Any]
ECHOED = ("x-request-id", "x-idempotency-key")
LIMITS = {
    "x-ratelimit-limit": "200",
    "x-ratelimit-remaining": "199",
    "x-ratelimit-retry": "0",
    "x-ratelimit-type": "app_id",
}
REFUND_NOTES = {"SUCCESS": "SUCCESS", "FAILED": "FAILED", "PENDING": "PENDING", "ACTIVE": "PENDING"}
SIMULATED = ("SUCCESS", "FAILED", "PENDING", "USER_DROPPED")


class Api:
    def __init__(self, books: Books) -> None:
        self._books = books

    def routes(self) -> tuple[Route, ...]:
        table: tuple[tuple[str, str, View, str | None], ...] = (
            ("POST", "/orders", self.create_order, "create_order"),
            ("GET", "/orders/<order_id>", self.fetch_order, "fetch"),
            ("PATCH", "/orders/<order_id>", self.terminate, None),
            ("GET", "/orders/<order_id>/payments", self.payments, "fetch"),
            ("GET", "/orders/<order_id>/payments/<payment_id>", self.payment, "fetch"),
            ("POST", "/orders/<order_id>/refunds", self.create_refund, "refund"),
            ("GET", "/orders/<order_id>/refunds", self.refunds, "fetch"),
            ("GET", "/orders/<order_id>/refunds/<refund_id>", self.refund, "fetch"),
            ("GET", "/orders/<order_id>/settlements", self.settlement, "fetch"),
            ("POST", "/settlements", self.settlements, "fetch"),
            ("POST", "/simulate", self.simulate, None),
            ("GET", "/simulate/<simulation_id>", self.simulation, None),
        )
        return tuple(
            Route(method, f"/pg{path}", self.answering(view), operation)
            for method, path, view, operation in table
        )

    # Orders

    def create_order(self) -> Json:
        ahead = self._books.ahead_seconds()
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
            created_at=now,
            expires_at=expires_at,
            ends_at=expires_at + ahead,
        )
        self._books.add(order)
        return self._order_json(order)

    def fetch_order(self, order_id: str) -> Json:
        return self._order_json(self._order(order_id))

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
        links = order.links(request.host_url + "cashfree/pg") if _version() == OLD else {}
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

    # Refunds

    def create_refund(self, order_id: str) -> Json:
        """One refund_id makes one refund: the same words again are answered with it."""
        order = self._order(order_id)
        new = checks.new_refund(checks.body_of(request.get_data()))
        known = self._books.refunds.get(new.id)
        if known:
            return self._known_refund(known, order, new)
        payment = self._paid(order)
        if new.amount > self._books.left_to_refund(payment):
            raise refusal("Refund amount exceeds what is left of the order", "refund_amount_invalid")
        refund = Refund(
            new.id, self._books.new_number(), payment, new.amount, self._books.now(), new.note, new.speed
        )
        usual = self._books.settings.refund_outcome
        self._books.refund(refund, REFUND_NOTES.get(new.note or "", usual))
        return refund.entity()

    def _known_refund(self, known: Refund, order: Order, new: checks.NewRefund) -> Json:
        is_same = (known.amount, known.note, known.speed) == (new.amount, new.note, new.speed)
        if known.payment.order is not order or not is_same:
            raise refusal("refund with same id is already present", "refund_id_already_exists")
        return known.entity()

    def _paid(self, order: Order) -> Payment:
        if order.status == "PAID":
            for payment in self._books.payments_of(order):
                if payment.status == "SUCCESS":
                    return payment
        raise refusal("Refund cannot be initiated: the order is not paid", "refund_not_allowed")

    def refunds(self, order_id: str) -> list[Json]:
        return [refund.entity() for refund in self._books.refunds_of(self._order(order_id))]

    def refund(self, order_id: str, refund_id: str) -> Json:
        order = self._order(order_id)
        refund = self._books.refunds.get(refund_id)
        if refund is None or refund.payment.order is not order:
            raise not_found("refund")
        return refund.entity()

    # Settlements and simulation

    def settlement(self, order_id: str) -> Json:
        """Settled at once, two per cent and tax on it taken off."""
        order = self._order(order_id)
        if order.status != "PAID":
            raise not_found("settlement")
        charge = order.amount * 2 // 100
        tax = charge * 18 // 100
        return {
            "cf_payment_id": self._paid(order).entity()["cf_payment_id"],
            "order_id": order.id,
            "entity": "settlement",
            "order_amount": Rupees(order.amount),
            "payment_time": ist(order.created_at),
            "service_charge": Rupees(charge),
            "service_tax": Rupees(tax),
            "settlement_amount": Rupees(order.amount - charge - tax),
            "cf_settlement_id": order.cf_id,
            "transfer_id": int(order.cf_id),
            "transfer_time": ist(order.created_at),
            "transfer_utr": f"N{order.cf_id}",
            "order_currency": order.currency,
            "settlement_currency": order.currency,
        }

    def settlements(self) -> Json:
        return {"cursor": None, "limit": 10, "data": []}

    def simulate(self) -> Json:
        asked = checks.body_of(request.get_data())
        payment = self._books.payments.get(str(asked.get("entity_id")))
        wanted = checks.part(asked, "entity_simulation", ("payment_status", "payment_error_code"))
        status = wanted.get("payment_status")
        if asked.get("entity") != "PAYMENTS" or status not in SIMULATED:
            raise refusal("entity_simulation : invalid value", "entity_simulation_invalid")
        if payment is None:
            raise not_found("payment")
        if status == "SUCCESS":
            self._books.succeed(payment)
        elif status != "PENDING":
            self._books.fail(payment, DECLINED, status)
        simulation_id = f"sim_{self._books.new_number()}"
        self._books.simulations[simulation_id] = {"simulation_id": simulation_id, **asked}
        return self._books.simulations[simulation_id]

    def simulation(self, simulation_id: str) -> Json:
        if simulation_id not in self._books.simulations:
            raise not_found("simulation")
        return self._books.simulations[simulation_id]

    # Every call

    def answering(self, view: View, *, with_keys: bool = True) -> View:
        """Keys, version and idempotency before the view; errors and echoed headers after it."""

        @wraps(view)
        def answer(**ids: str) -> Response:
            try:
                _check_headers(with_keys=with_keys)
                return self._once(view, ids)
            except WireError as error:
                return plain_response(error.status, error.body)

        return answer

    def _once(self, view: View, ids: Mapping[str, str]) -> Response:
        """The first answer under a key is kept, errors too, and given again to the same words."""
        key = request.headers.get("x-idempotency-key")
        if key is None or request.method != "POST":
            return _response(200, answer_text(view(**ids), _version()))
        asked = (request.method, request.path, request.get_data())
        if key in self._books.answers:
            first_asked, status, text = self._books.answers[key]
            if first_asked != asked:
                raise key_reused()
            return _response(status, text, is_replay=True)
        try:
            status, text = 200, answer_text(view(**ids), _version())
        except WireError as error:
            status, text = error.status, answer_text(error.body, _version())
        self._books.answers[key] = (asked, status, text)
        return _response(status, text)


def plain_response(status: int, body: Json) -> Response:
    return _response(status, answer_text(body, _version()))


def _check_headers(*, with_keys: bool) -> None:
    if with_keys:
        keys = (request.headers.get(name, "").encode() for name in ("x-client-id", "x-client-secret"))
        expected = (APP_ID.encode(), APP_SECRET.encode())
        if not all(map(hmac.compare_digest, keys, expected)):
            raise wrong_keys()
    if "x-api-version" not in request.headers:
        raise refusal("version is missing in header")
    if _version() not in VERSIONS:
        raise refusal("version is invalid", "version_invalid")


def _version() -> str:
    return request.headers.get("x-api-version", VERSIONS[-2])


def _response(status: int, text: bytes, *, is_replay: bool = False) -> Response:
    response = Response(text, status, content_type="application/json")
    response.headers["x-api-version"] = _version()
    response.headers["x-idempotency-replayed"] = str(is_replay).lower()
    response.headers.update(LIMITS)
    for name in ECHOED:
        if name in request.headers:
            response.headers[name] = request.headers[name]
    return response
