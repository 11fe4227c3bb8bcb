"""Refunds as a merchant's server asks for them.

Sources: Razorpay docs api/refunds/create-normal, create-instant, normal-refunds-idempotent.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from flask import request

from gateway_simulator.base import Json, Route
from gateway_simulator.razorpay import checks
from gateway_simulator.razorpay.asking import Row, asked, edit_notes, found, listed, private
from gateway_simulator.razorpay.moves import LiveBooks
from gateway_simulator.razorpay.records import Payment
from gateway_simulator.razorpay.refunds import Refund
from gateway_simulator.razorpay.refusals import plain_refusal, refusal, unknown_id


class RefundsApi:
    def __init__(self, books: LiveBooks) -> None:
        self._books = books

    def table(self) -> tuple[Row, ...]:
        return (
            ("GET", "/payments/<payment_id>/refunds", self.of_payment, "fetch"),
            ("GET", "/payments/<payment_id>/refunds/<refund_id>", self.one_of_payment, "fetch"),
            ("GET", "/refunds", self.list, "fetch"),
            ("GET", "/refunds/<refund_id>", self.fetch, "fetch"),
            ("PATCH", "/refunds/<refund_id>", self.edit, None),
        )

    def routes(self) -> tuple[Route, ...]:
        """Those whose key says that the same request is still being answered."""
        return (
            Route(
                "POST", "/v1/payments/<payment_id>/refund", private(self.create), "refund", self.key_in_use
            ),
            Route("POST", "/v1/refunds", private(self.create_by_body), "refund", self.key_in_use),
        )

    @contextmanager
    def key_in_use(self) -> Iterator[None]:
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

    def create(self, payment_id: str) -> Json:
        """One key makes one refund, bound to its first body."""
        return self._create(payment_id, asked())

    def create_by_body(self) -> Json:
        """The SDKs' second way; the docs describe only the first."""
        data = asked()
        payment_id = data.pop("payment_id", None)
        if not isinstance(payment_id, str):
            raise refusal("The payment id field is required.", field="payment_id")
        return self._create(payment_id, data)

    def _create(self, payment_id: str, data: Json) -> Json:
        key = checks.idempotency_key(request)
        whole = json.dumps([payment_id, data], sort_keys=True)
        if key is not None and key in self._books.refunds.keys:
            return self._repeated(key, whole)
        refund = self._new(found(self._books.payments, payment_id), data)
        if key is not None:
            self._books.refunds.keys[key] = (whole, refund.id)
        return refund.entity()

    def _repeated(self, key: str, whole: str) -> Json:
        first, refund_id = self._books.refunds.keys[key]
        if whole != first:
            raise plain_refusal(
                400, "Different request with the same idempotency key has already been processed."
            )
        return self._books.refunds.all[refund_id].entity()

    def _new(self, payment: Payment, data: Json) -> Refund:
        new = checks.new_refund(data)
        if not payment.captured:
            raise refusal("The payment status should be captured for action to be taken")
        rest = payment.amount - payment.amount_refunded
        if rest == 0:
            raise refusal("The payment has been fully refunded already")
        amount = rest if new.amount is None else new.amount
        if amount > rest:
            raise refusal("The refund amount provided is greater than amount captured", field="amount")
        return self._books.refunds.create(payment, amount, new.asked)

    def of_payment(self, payment_id: str) -> Json:
        payment = found(self._books.payments, payment_id)
        return listed(self._books.refunds.of(payment.id))

    def one_of_payment(self, payment_id: str, refund_id: str) -> Json:
        refund = found(self._books.refunds.all, refund_id)
        if refund.payment_id != payment_id:
            raise unknown_id()
        return refund.entity()

    def list(self) -> Json:
        return listed(self._books.refunds.all.values())

    def fetch(self, refund_id: str) -> Json:
        return found(self._books.refunds.all, refund_id).entity()

    def edit(self, refund_id: str) -> Json:
        return edit_notes(found(self._books.refunds.all, refund_id))
