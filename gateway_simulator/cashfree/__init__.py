"""Pretend Cashfree: API at /cashfree/pg, pay page at /cashfree/pay; its customer, bank and dashboard."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from flask import Response

from gateway_simulator.base import (
    AttemptView,
    DisputeView,
    Gateway,
    ImpossibleMoveError,
    Move,
    OrderView,
    RefundView,
    Route,
)
from gateway_simulator.cashfree.answers import Answers, plain_response
from gateway_simulator.cashfree.api import Api
from gateway_simulator.cashfree.api_money import MoneyApi
from gateway_simulator.cashfree.checkout import Checkout
from gateway_simulator.cashfree.disputes import KINDS, STAGES
from gateway_simulator.cashfree.events import EVENT_TYPES, Events
from gateway_simulator.cashfree.moves import LiveBooks
from gateway_simulator.cashfree.records import OPEN_ATTEMPTS, Order, Payment
from gateway_simulator.cashfree.refunds import OPEN_REFUNDS, Refund
from gateway_simulator.cashfree.refusals import BAD_URL
from gateway_simulator.cashfree.telling import APP_ID, APP_SECRET, OLD_APP_SECRET
from gateway_simulator.cashfree.testdata import DECLINED, INSTRUMENTS
from gateway_simulator.cashfree.wire import WEBHOOK_VERSIONS
from gateway_simulator.deliveries import Deliveries
from gateway_simulator.world import World

PAYABLE = ("ACTIVE", "TERMINATION_REQUESTED")


class CashfreeSimulator(Gateway):
    name = "cashfree"
    base_path = "/cashfree"
    api_base = "/cashfree/pg"
    operations = frozenset({"create_order", "fetch", "capture", "refund"})
    methods = frozenset(INSTRUMENTS)
    credentials: ClassVar[Mapping[str, str]] = {
        "CASHFREE_APP_ID": APP_ID,
        "CASHFREE_APP_SECRET": APP_SECRET,
        "(app secret before rotation)": OLD_APP_SECRET,
    }
    choices: ClassVar[Mapping[str, Collection[Any]]] = {
        "webhook_version": WEBHOOK_VERSIONS,
        "refund_outcome": ("SUCCESS", "PENDING", "ONHOLD"),
        "settlement_days": range(1, 8),
        "settlement_outcome": ("SUCCESS", "FAILED", "REVERSED"),
        "recon_rows": ("nested", "flat"),
        "upi_collect": (False, True),
    }
    dispute_outcomes = (*STAGES, *KINDS)
    event_types = EVENT_TYPES

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self.books: LiveBooks = LiveBooks(world, deliveries)
        self._answers = Answers(self.books)
        self._events = Events(self.books)

    def routes(self) -> tuple[Route, ...]:
        rooms = (Checkout, MoneyApi, Api)
        return tuple(route for room in rooms for route in room(self.books, self._answers).routes())

    def unknown_route(self, path: str) -> Response:
        return plain_response(400, BAD_URL)

    def trouble(self, status: int) -> Response:
        return self._answers.trouble(status)

    def orders(self) -> list[OrderView]:
        return [self._view(order) for order in self.books.orders()]

    def order(self, order_id: str) -> OrderView | None:
        order = self.books.order(order_id)
        return self._view(order) if order else None

    # The customer and the bank

    def success(self, order_id: str, move: Move) -> None:
        """A pending attempt, else a new one, succeeds; too small a sum leaves the order open, but by an offer
        less pays all of it. Method cod: cash is promised, which is told as a success too."""
        order = self._open_order(order_id, move)
        offer = move.offer_paise or 0
        if offer >= order.amount:
            raise ImpossibleMoveError(f"Order {order_id} is for {order.amount} paise: the offer takes all")
        payment = self._attempt(order, move)
        if offer:
            payment.offer, payment.amount = offer, order.amount - offer
        self.books.succeed(payment)

    def failure(self, order_id: str, move: Move) -> None:
        """A pending attempt, else a new one, fails; the order stays payable."""
        self.books.fail(self._attempt(self._open_order(order_id, move), move), DECLINED)

    def pending(self, order_id: str, move: Move) -> None:
        """A new attempt of which the bank has said nothing yet: no webhook."""
        self._new_attempt(self._open_order(order_id, move), move)

    def expire(self, order_id: str, move: Move) -> None:
        """The order's time is over; an attempt that is under way may still succeed. No webhook."""
        order = self._open_order(order_id, move)
        order.status, order.ends_at = "EXPIRED", self.books.now()

    def authorize(self, order_id: str, move: Move) -> None:
        """A pre-authorisation: the bank holds the money until it is captured, let go, or a week is over."""
        payment = self._attempt(self._open_order(order_id, move), move)
        if payment.is_cash:
            raise ImpossibleMoveError("Cash on delivery is not held by a bank: send success")
        self.books.authorize(payment)

    def late_word(self, order_id: str, move: Move) -> None:
        """The order is told as ACTIVE for so many reads after an attempt has paid it."""
        self._known(order_id).late_reads = move.reads or 1

    def late_success(self, order_id: str, move: Move) -> None:
        """The last attempt that was given up, else a new one, succeeds after all, under the same id.

        It pays an expired order; after a termination the money goes back by itself.
        """
        order = self._known(order_id)
        if order.status == "PAID":
            raise ImpossibleMoveError(f"Order {order_id} is paid already: send second-success")
        move.claim_amount_of(order)
        payment = self._last(order, "FAILED", "USER_DROPPED", *OPEN_ATTEMPTS)
        if payment is None:
            payment = self._new_attempt(order, move)
        move.set_amount_of(payment)
        payment.is_late = True
        self.books.succeed(payment)

    def second_success(self, order_id: str, move: Move) -> None:
        """Another attempt succeeds although the order is paid: two banks answered at once."""
        order = self._known(order_id)
        if order.status != "PAID":
            raise ImpossibleMoveError(f"Order {order_id} is {order.status}, not PAID: send success first")
        move.claim_amount_of(order)
        self.books.succeed(self._attempt(order, move))

    # The dashboard

    def dashboard_refund(self, order_id: str, move: Move) -> None:
        """All that is left of the attempt that paid, or a part of it."""
        payment = self._last_taken(self._known(order_id))
        rest = self.books.refunds.left(payment) if payment else 0
        amount = rest if move.amount_paise is None else move.amount_paise
        if payment is None or not 0 < amount <= rest:
            raise ImpossibleMoveError(f"Only {rest} paise of order {order_id} are left to refund")
        number = self.books.new_number()
        refund = Refund(f"dashboard_{number}", number, payment, amount, self.books.now())
        self.books.refunds.start(f"dashboard_{number}", refund, self.books.settings.refund_outcome)

    def dispute(self, order_id: str, move: Move) -> None:
        """Opens a dispute of the kind that the outcome names; an open one takes its next step."""
        order = self._known(order_id)
        is_open = [dispute for dispute in self.books.disputes.of(order) if dispute.is_open]
        payment = self._last_taken(order)
        if move.outcome is not None and is_open:
            self.books.disputes.go_on(is_open[-1], move.outcome)
        elif move.outcome in STAGES:
            raise ImpossibleMoveError(f"Order {order_id} has no open dispute to be {move.outcome}")
        elif is_open:
            raise ImpossibleMoveError(
                f"Dispute {is_open[-1].id} is already open: send an outcome, won or lost"
            )
        elif payment is None:
            raise ImpossibleMoveError(f"Order {order_id} has no payment to dispute")
        else:
            amount = payment.taken if move.amount_paise is None else move.amount_paise
            self.books.disputes.open(payment, amount, KINDS[move.outcome or "dispute"])

    def send_event(self, order_id: str, event_type: str) -> None:
        self._events.send(self._known(order_id), event_type)

    def settle(self) -> None:
        self.books.settlements.settle()

    def order_of_refund(self, refund_id: str) -> str | None:
        refund = self.books.refunds.get(refund_id)
        return refund.payment.order.id if refund else None

    def refund_success(self, refund_id: str) -> None:
        self.books.refunds.finish(self._unfinished_refund(refund_id), "SUCCESS")

    def refund_failure(self, refund_id: str) -> None:
        """Cancelled: of a refund that is FAILED no webhook tells."""
        self.books.refunds.finish(self._unfinished_refund(refund_id), "CANCELLED")

    def _unfinished_refund(self, refund_id: str) -> Refund:
        refund = self.books.refunds.get(refund_id)
        if refund is None or refund.status not in OPEN_REFUNDS:
            status = refund.status if refund else "unknown"
            raise ImpossibleMoveError(f"Refund {refund_id} is already {status}, and that is final")
        return refund

    # Helpers

    def _known(self, order_id: str) -> Order:
        order = self.books.order(order_id)
        if order is None:
            raise ImpossibleMoveError(f"There is no order {order_id}")
        return order

    def _open_order(self, order_id: str, move: Move) -> Order:
        order = self._known(order_id)
        if order.status not in PAYABLE:
            hint = "and takes no new payment" if order.status == "PAID" else "send late-success"
            raise ImpossibleMoveError(f"Order {order_id} is {order.status}: {hint}")
        move.claim_amount_of(order)
        return order

    def _attempt(self, order: Order, move: Move) -> Payment:
        """The pending attempt, if there is one; it keeps its method."""
        payment = self._last(order, *OPEN_ATTEMPTS)
        if payment is None:
            return self._new_attempt(order, move)
        move.set_amount_of(payment)
        return payment

    def _new_attempt(self, order: Order, move: Move) -> Payment:
        return self.books.attempt(order, INSTRUMENTS[move.method or "upi"], move.amount_paise)

    def _last(self, order: Order, *statuses: str) -> Payment | None:
        chosen = [payment for payment in self.books.payments_of(order) if payment.status in statuses]
        return chosen[-1] if chosen else None

    def _last_taken(self, order: Order) -> Payment | None:
        """The last attempt that brought money: what can be refunded or disputed."""
        chosen = [payment for payment in self.books.payments_of(order) if payment.taken]
        return chosen[-1] if chosen else None

    def _view(self, order: Order) -> OrderView:
        payments = self.books.payments_of(order)
        return OrderView(
            orderId=order.id,
            gateway=self.name,
            status=order.status,
            amountPaise=order.amount,
            amountPaidPaise=sum(payment.taken for payment in payments),
            currency=order.currency,
            reference=order.cf_id,
            createdAt=order.created_at,
            attempts=[_attempt_view(payment) for payment in payments],
            refunds=[
                RefundView(
                    refund.id or f"auto_{refund.cf_id}", refund.payment.id, refund.amount, refund.status
                )
                for refund in self.books.refunds.of(order)
            ],
            disputes=[
                DisputeView(dispute.id, dispute.payment.id, dispute.amount, dispute.status)
                for dispute in self.books.disputes.of(order)
            ],
        )


def _attempt_view(payment: Payment) -> AttemptView:
    return AttemptView(
        paymentId=payment.id,
        status=payment.status,
        method=payment.instrument.method,
        amountPaise=payment.amount,
        createdAt=payment.created_at,
        lateAuthorized=payment.is_late,
        errorReason=payment.error.reason if payment.error else None,
    )
