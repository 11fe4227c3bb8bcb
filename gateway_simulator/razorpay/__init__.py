"""Pretend Razorpay: API at /razorpay/v1, pay page at /razorpay/pay; its customer, bank and dashboard."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from flask import Response, jsonify

from gateway_simulator.base import Gateway, ImpossibleMoveError, Move, OrderView, Route
from gateway_simulator.deliveries import Deliveries
from gateway_simulator.razorpay.api import Api
from gateway_simulator.razorpay.books import (
    BANK_DOWN,
    CASH,
    DECLINED,
    KEY_ID,
    KEY_SECRET,
    METHODS,
    TIMED_OUT,
    WRONG_OTP,
)
from gateway_simulator.razorpay.checkout import Checkout
from gateway_simulator.razorpay.disputes import OUTCOMES
from gateway_simulator.razorpay.events import EVENT_TYPES, OLD_WEBHOOK_SECRET, WEBHOOK_SECRET
from gateway_simulator.razorpay.moves import LiveBooks
from gateway_simulator.razorpay.records import Order, Payer, Payment
from gateway_simulator.razorpay.refunds import Asked, Refund
from gateway_simulator.razorpay.refusals import NO_ROUTE, TROUBLE, unknown_url
from gateway_simulator.razorpay.sending import send_event
from gateway_simulator.razorpay.views import order_view
from gateway_simulator.world import World

# How an attempt fails when the request says no more than "failure".
USUAL_ERROR = {"upi": DECLINED, "card": WRONG_OTP, "netbanking": BANK_DOWN, "wallet": DECLINED}
WEEK_MINUTES = 7 * 24 * 60


class RazorpaySimulator(Gateway):
    name = "razorpay"
    names_orders = True
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
        "refund_outcome": ("processed", "pending", "processed_later", "failed_later"),
        "refund_minutes": range(1, WEEK_MINUTES + 1),
        "instant_refunds": (True, False),
        "late_authorization_minutes": range(WEEK_MINUTES + 1),
        "late_on_paid_order": ("captured", "refunded"),
        "fee_bearer": ("platform", "customer"),
        "upi_collect": (False, True),
    }
    dispute_outcomes = tuple(OUTCOMES)
    event_types = EVENT_TYPES

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self.books: LiveBooks = LiveBooks(world, deliveries)

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
        return [order_view(self.books, order) for order in self.books.orders.values()]

    def order(self, order_id: str) -> OrderView | None:
        order = self.books.orders.get(order_id)
        return order_view(self.books, order) if order else None

    # The customer and the bank

    def success(self, order_id: str, move: Move) -> None:
        """A pending attempt, else a new one, is authorized and, unless capture is manual, captured.

        Cash on delivery is placed: no money moves until it is collected.
        """
        order = self._open_order(order_id, move)
        if move.method == CASH:
            self.books.place_cash(order, move.amount_paise)
            return
        payment = self._attempt(order, move)
        if move.offer_paise is not None:
            self._take_offer(payment, move.offer_paise)
        self.books.accept(payment)

    def _take_offer(self, payment: Payment, paise: int) -> None:
        if paise >= payment.amount:
            raise ImpossibleMoveError(f"An offer of {paise} paise leaves nothing of {payment.amount} to pay")
        payment.amount -= paise
        payment.offer = paise

    def failure(self, order_id: str, move: Move) -> None:
        """A pending attempt, else promised cash, else a new attempt fails; the order stays payable."""
        order = self._open_order(order_id, move)
        placed = self._placed(order_id)
        if placed and self._last(order_id, "created") is None:
            self.books.give_cash_up(placed.id)
            return
        payment = self._attempt(order, move)
        self.books.fail(payment, USUAL_ERROR[payment.instrument.method])

    def pending(self, order_id: str, move: Move) -> None:
        """A new attempt of which the bank has said nothing yet: no webhook; after ten minutes it fails."""
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

    def collect_cash(self, order_id: str, move: Move) -> None:
        """The merchant confirms the cash: captured, although Razorpay holds none of it."""
        placed = self._placed(order_id)
        if placed is None:
            raise ImpossibleMoveError(f"Order {order_id} has no cash on delivery: success with method cod")
        self.books.capture(placed)

    def late_word(self, order_id: str, move: Move) -> None:
        """Once paid, the order is still told as attempted, for so many reads or a quarter of an hour."""
        self.books.lag_behind(self.books.orders[order_id], move.reads or 1)

    def late_success(self, order_id: str, move: Move) -> None:
        """The last attempt that was given up is authorized after all, under the same pay_ id."""
        order = self.books.orders[order_id]
        payment = self._last(order_id, "failed", "created")
        if payment is None and order.status == "paid":
            raise ImpossibleMoveError(f"Order {order_id} is paid and has no failed or pending attempt")
        move.claim_amount_of(order)
        if payment is None:
            payment = self._new_attempt(order, move)
            self.books.fail(payment, USUAL_ERROR[payment.instrument.method])
        move.set_amount_of(payment)
        self.books.accept(payment, late=True)

    def second_success(self, order_id: str, move: Move) -> None:
        """Another attempt is captured although the order is paid: a race that Razorpay cannot exclude."""
        order = self.books.orders[order_id]
        if order.status != "paid":
            raise ImpossibleMoveError(f"Order {order_id} is {order.status}, not paid: send success first")
        move.claim_amount_of(order)
        payment = self._attempt(order, move)
        self.books.authorize(payment)
        self.books.capture(payment)

    # The dashboard

    def dashboard_refund(self, order_id: str, move: Move) -> None:
        """Refund of a captured payment; an authorized one goes back whole, as when it is never captured."""
        payment = self._last(order_id, "captured")
        if payment is None:
            self._refund_uncaptured(order_id)
            return
        rest = payment.amount - payment.amount_refunded
        amount = rest if move.amount_paise is None else move.amount_paise
        if amount > rest:
            raise ImpossibleMoveError(f"Only {rest} paise of {payment.id} are left to refund")
        self.books.refunds.create(payment, amount, Asked())

    def _refund_uncaptured(self, order_id: str) -> None:
        payment = self._last(order_id, "authorized")
        if payment is None:
            raise ImpossibleMoveError(
                f"Order {order_id} has no captured or authorized payment left to refund"
            )
        self.books.give_back(payment.id)

    def dispute(self, order_id: str, move: Move) -> None:
        """Opens a dispute; with an outcome the open one goes on."""
        disputes = [dispute for dispute in self.books.disputes.of_order(order_id) if dispute.undecided]
        if move.outcome is not None and disputes:
            self.books.disputes.go_on(disputes[-1], move.outcome)
        elif move.outcome is not None:
            raise ImpossibleMoveError(f"Order {order_id} has no open dispute to be {move.outcome}")
        elif disputes:
            raise ImpossibleMoveError(
                f"Dispute {disputes[-1].id} is already open: send an outcome, {', '.join(OUTCOMES)}"
            )
        else:
            self._open_dispute(order_id, move)

    def _open_dispute(self, order_id: str, move: Move) -> None:
        payment = self._last(order_id, "captured", "refunded")
        if payment is None or not payment.captured:
            raise ImpossibleMoveError(f"Order {order_id} has no captured payment to dispute")
        self.books.disputes.open(payment, payment.amount if move.amount_paise is None else move.amount_paise)

    def send_event(self, order_id: str, event_type: str) -> None:
        send_event(self.books, order_id, event_type)

    def settle(self) -> None:
        self.books.settlements.transfer_everything()

    def order_of_refund(self, refund_id: str) -> str | None:
        refund = self.books.refunds.all.get(refund_id)
        return self.books.payments[refund.payment_id].order_id if refund else None

    def refund_success(self, refund_id: str) -> None:
        self.books.refunds.finish(self._pending_refund(refund_id), processed=True)

    def refund_failure(self, refund_id: str) -> None:
        self.books.refunds.finish(self._pending_refund(refund_id), processed=False)

    def _pending_refund(self, refund_id: str) -> Refund:
        refund = self.books.refunds.all[refund_id]
        if refund.status != "pending":
            raise ImpossibleMoveError(f"Refund {refund_id} is already {refund.status}, and that is final")
        return refund

    # Helpers

    def _open_order(self, order_id: str, move: Move) -> Order:
        order = self.books.orders[order_id]
        if order.status == "paid":
            raise ImpossibleMoveError(f"Order {order_id} is already paid and takes no new payment")
        link = self.books.links.of_order(order_id)
        if link and not link.payable:
            raise ImpossibleMoveError(f"Payment link {link.id} is {link.status} and takes no new payment")
        move.claim_amount_of(order)
        return order

    def _attempt(self, order: Order, move: Move) -> Payment:
        """The pending attempt, if there is one; it keeps its method."""
        payment = self._last(order.id, "created")
        if payment is None:
            return self._new_attempt(order, move)
        move.set_amount_of(payment)
        return payment

    def _new_attempt(self, order: Order, move: Move) -> Payment:
        if move.method == CASH:
            raise ImpossibleMoveError("Cash on delivery is placed by success, and by nothing else")
        instrument = self.books.instrument(move.method or "upi")
        return self.books.attempt(order, instrument, move.amount_paise, Payer())

    def _placed(self, order_id: str) -> Payment | None:
        """Cash that was promised, and was neither collected nor given up."""
        placed = self._last(order_id, "pending")
        return placed if placed and placed.instrument.method == CASH else None

    def _last(self, order_id: str, *statuses: str) -> Payment | None:
        chosen = [payment for payment in self.books.payments_of(order_id) if payment.status in statuses]
        return chosen[-1] if chosen else None
