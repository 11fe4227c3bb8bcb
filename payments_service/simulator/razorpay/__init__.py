"""Pretend Razorpay: API at /razorpay/v1, pay page at /razorpay/pay; its customer, bank and dashboard."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from flask import Response, jsonify

from payments_service.simulator.base import (
    AttemptView,
    DisputeView,
    Gateway,
    ImpossibleMoveError,
    Move,
    OrderView,
    RefundView,
    Route,
)
from payments_service.simulator.deliveries import Deliveries
from payments_service.simulator.razorpay.api import Api
from payments_service.simulator.razorpay.books import (
    BANK_DOWN,
    DECLINED,
    KEY_ID,
    KEY_SECRET,
    METHODS,
    OLD_WEBHOOK_SECRET,
    TIMED_OUT,
    WEBHOOK_SECRET,
    WRONG_OTP,
    Books,
)
from payments_service.simulator.razorpay.checkout import Checkout
from payments_service.simulator.razorpay.records import Order, Payer, Payment, Refund
from payments_service.simulator.razorpay.refusals import NO_ROUTE, TROUBLE, unknown_url
from payments_service.simulator.world import World

# How an attempt fails when nobody says more than "failure".
USUAL_ERROR = {"upi": DECLINED, "card": WRONG_OTP, "netbanking": BANK_DOWN, "wallet": DECLINED}


class RazorpaySimulator(Gateway):
    name = "razorpay"
    base_path = "/razorpay"
    api_base = "/razorpay"
    operations = frozenset({"create_order", "fetch", "capture", "refund"})
    methods = METHODS
    credentials: ClassVar[Mapping[str, str]] = {
        "RAZORPAY_KEY_ID": KEY_ID,
        "RAZORPAY_KEY_SECRET": KEY_SECRET,
        "RAZORPAY_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "(webhook secret before rotation)": OLD_WEBHOOK_SECRET,
    }
    choices: ClassVar[Mapping[str, Collection[Any]]] = {
        "unique_receipts": (False, True),
        "refund_outcome": ("processed", "pending"),
    }

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self.books: Books = Books(world, deliveries)

    def routes(self) -> tuple[Route, ...]:
        return (*Api(self.books).routes(), *Checkout(self.books).routes())

    def unknown_route(self, path: str) -> Response:
        """The API knows the error body; its edge, in front of everything that is not /v1, does not."""
        if path.startswith("/razorpay/v1/"):
            return unknown_url().response()
        response = jsonify(NO_ROUTE)
        response.status_code = 404
        return response

    def trouble(self, status: int) -> Response:
        response = jsonify(TROUBLE[status])
        response.status_code = status
        return response

    def orders(self) -> list[OrderView]:
        return [self._view(order) for order in self.books.orders.values()]

    def order(self, order_id: str) -> OrderView | None:
        order = self.books.orders.get(order_id)
        return self._view(order) if order else None

    # The customer and the bank

    def success(self, order_id: str, move: Move) -> None:
        """A pending attempt, else a new one, is authorized and, unless capture is manual, captured."""
        order = self._open_order(order_id, move)
        payment = self._attempt(order, move)
        self.books.authorize(payment)
        if order.automatic_capture:
            self.books.capture(payment)

    def failure(self, order_id: str, move: Move) -> None:
        """A pending attempt, else a new one, fails; the order stays payable."""
        payment = self._attempt(self._open_order(order_id, move), move)
        self.books.fail(payment, USUAL_ERROR[payment.instrument.method])

    def pending(self, order_id: str, move: Move) -> None:
        """A new attempt of which the bank has said nothing yet: no webhook."""
        self._new_attempt(self._open_order(order_id, move), move)

    def expire(self, order_id: str, move: Move) -> None:
        """Razorpay's orders do not expire: only attempts that the bank left unanswered fail."""
        self._open_order(order_id, move)
        for payment in self.books.payments_of(order_id):
            if payment.status == "created":
                self.books.fail(payment, TIMED_OUT)

    def authorize(self, order_id: str, move: Move) -> None:
        """Authorized and left so, also where capture is automatic."""
        self.books.authorize(self._attempt(self._open_order(order_id, move), move))

    def late_success(self, order_id: str, move: Move) -> None:
        """The last attempt that was given up is authorized after all, under the same pay_ id."""
        order = self.books.orders[order_id]
        payment = self._last(order_id, "failed", "created")
        if payment is None and order.status == "paid":
            raise ImpossibleMoveError(f"Order {order_id} is paid and has no failed or pending attempt")
        self._report_amount(order, move)
        if payment is None:
            payment = self._new_attempt(order, move)
            self.books.fail(payment, USUAL_ERROR[payment.instrument.method])
        elif move.amount_paise is not None:
            payment.amount = move.amount_paise
        self.books.authorize(payment, late=True)
        if order.automatic_capture:
            self.books.capture(payment)

    def second_success(self, order_id: str, move: Move) -> None:
        """Another attempt is captured although the order is paid: a race that Razorpay cannot exclude."""
        order = self.books.orders[order_id]
        if order.status != "paid":
            raise ImpossibleMoveError(f"Order {order_id} is {order.status}, not paid: send success first")
        self._report_amount(order, move)
        payment = self._attempt(order, move)
        self.books.authorize(payment)
        self.books.capture(payment)

    # The dashboard

    def dashboard_refund(self, order_id: str, move: Move) -> None:
        """Refund of a captured payment; an authorized one goes back whole, as when nobody captures it."""
        payment = self._last(order_id, "captured")
        if payment is None:
            self._refund_uncaptured(order_id)
            return
        rest = payment.amount - payment.amount_refunded
        amount = rest if move.amount_paise is None else move.amount_paise
        if amount > rest:
            raise ImpossibleMoveError(f"Only {rest} paise of {payment.id} are left to refund")
        self.books.refund(payment, amount, outcome=self.books.settings.refund_outcome)

    def _refund_uncaptured(self, order_id: str) -> None:
        payment = self._last(order_id, "authorized")
        if payment is None:
            raise ImpossibleMoveError(
                f"Order {order_id} has no captured or authorized payment left to refund"
            )
        self.books.refund(payment, payment.amount, outcome="processed")

    def dispute(self, order_id: str, move: Move) -> None:
        """Opens a dispute; with an outcome it ends the open one."""
        payment_ids = {payment.id for payment in self.books.payments_of(order_id)}
        disputes = [
            d for d in self.books.disputes.values() if d.payment_id in payment_ids and d.status == "open"
        ]
        if move.outcome is not None and disputes:
            self.books.close_dispute(disputes[-1], won=move.outcome == "won")
        elif move.outcome is not None:
            raise ImpossibleMoveError(f"Order {order_id} has no open dispute to be {move.outcome}")
        elif disputes:
            raise ImpossibleMoveError(
                f"Dispute {disputes[-1].id} is already open: send an outcome, won or lost"
            )
        else:
            self._open_dispute(order_id, move)

    def _open_dispute(self, order_id: str, move: Move) -> None:
        payment = self._last(order_id, "captured", "refunded")
        if payment is None or not payment.captured:
            raise ImpossibleMoveError(f"Order {order_id} has no captured payment to dispute")
        self.books.open_dispute(payment, payment.amount if move.amount_paise is None else move.amount_paise)

    def send_event(self, order_id: str, event_type: str) -> None:
        raise ImpossibleMoveError(f"{self.name} sends no {event_type} on demand")

    def settle(self) -> None:
        pass

    def order_of_refund(self, refund_id: str) -> str | None:
        refund = self.books.refunds.get(refund_id)
        return self.books.payments[refund.payment_id].order_id if refund else None

    def refund_success(self, refund_id: str) -> None:
        self.books.finish_refund(self._pending_refund(refund_id), processed=True)

    def refund_failure(self, refund_id: str) -> None:
        self.books.finish_refund(self._pending_refund(refund_id), processed=False)

    def _pending_refund(self, refund_id: str) -> Refund:
        refund = self.books.refunds[refund_id]
        if refund.status != "pending":
            raise ImpossibleMoveError(f"Refund {refund_id} is already {refund.status}, and that is final")
        return refund

    # Helpers

    def _open_order(self, order_id: str, move: Move) -> Order:
        order = self.books.orders[order_id]
        if order.status == "paid":
            raise ImpossibleMoveError(f"Order {order_id} is already paid and takes no new payment")
        self._report_amount(order, move)
        return order

    def _report_amount(self, order: Order, move: Move) -> None:
        if move.order_amount_paise is not None:
            order.amount = move.order_amount_paise

    def _attempt(self, order: Order, move: Move) -> Payment:
        """The pending attempt, if there is one; it keeps its method."""
        payment = self._last(order.id, "created")
        if payment is None:
            return self._new_attempt(order, move)
        if move.amount_paise is not None:
            payment.amount = move.amount_paise
        return payment

    def _new_attempt(self, order: Order, move: Move) -> Payment:
        instrument = self.books.instrument(move.method or "upi")
        return self.books.attempt(order, instrument, move.amount_paise, Payer())

    def _last(self, order_id: str, *statuses: str) -> Payment | None:
        chosen = [payment for payment in self.books.payments_of(order_id) if payment.status in statuses]
        return chosen[-1] if chosen else None

    def _view(self, order: Order) -> OrderView:
        payments = self.books.payments_of(order.id)
        payment_ids = {payment.id for payment in payments}
        return OrderView(
            orderId=order.id,
            gateway=self.name,
            status=order.status,
            amountPaise=order.amount,
            amountPaidPaise=order.amount_paid,
            currency=order.currency,
            reference=order.receipt,
            createdAt=order.created_at,
            attempts=[_attempt_view(payment) for payment in payments],
            refunds=[
                RefundView(refund.id, refund.payment_id, refund.amount, refund.status)
                for payment in payments
                for refund in self.books.refunds_of(payment.id)
            ],
            disputes=[
                DisputeView(dispute.id, dispute.payment_id, dispute.amount, dispute.status)
                for dispute in self.books.disputes.values()
                if dispute.payment_id in payment_ids
            ],
        )


def _attempt_view(payment: Payment) -> AttemptView:
    return AttemptView(
        paymentId=payment.id,
        status=payment.status,
        method=payment.instrument.method,
        amountPaise=payment.amount,
        createdAt=payment.created_at,
        lateAuthorized=payment.late_authorized,
        errorReason=payment.error.reason if payment.error else None,
    )
