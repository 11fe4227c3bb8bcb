"""Pretend PhonePe, both generations: API at /phonepe/apis/pg-sandbox, pay page at /phonepe/transact.

Its customer, bank and dashboard. An order is known by the merchant's own id.
"""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from flask import Response, jsonify, request

from gateway_simulator.base import (
    AttemptView,
    Gateway,
    ImpossibleMoveError,
    Move,
    OrderView,
    RefundView,
    Route,
)
from gateway_simulator.deliveries import Deliveries
from gateway_simulator.phonepe import events
from gateway_simulator.phonepe.books import UNFINISHED
from gateway_simulator.phonepe.checking import NewRefund
from gateway_simulator.phonepe.checkout import Checkout
from gateway_simulator.phonepe.credentials import (
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_VERSION,
    MERCHANT_ID,
    OLD_SALT_INDEX,
    OLD_SALT_KEY,
    OLD_WEBHOOK_HMAC_SECRET,
    OLD_WEBHOOK_PASSWORD,
    PUBLIC_MERCHANT_ID,
    PUBLIC_SALT_KEY,
    SALT_INDEX,
    SALT_KEY,
    WEBHOOK_HMAC_SECRET,
    WEBHOOK_PASSWORD,
    WEBHOOK_USER,
)
from gateway_simulator.phonepe.disputes import OUTCOMES
from gateway_simulator.phonepe.instruments import METHODS
from gateway_simulator.phonepe.moves import LiveBooks
from gateway_simulator.phonepe.records import DECLINED, EXPIRED, Attempt, Order, Refund
from gateway_simulator.phonepe.refusals import NO_SUCH_PATH, TROUBLE, V1_TROUBLE
from gateway_simulator.phonepe.v1 import V1
from gateway_simulator.phonepe.v2 import API, V2
from gateway_simulator.world import World

HOLDS_NOTHING = "PhonePe takes money at once and holds nothing. Send success"
NO_SECOND = "A PhonePe order that is COMPLETED takes no second payment"
NO_V1_DISPUTES = "V1 has neither an API nor a callback that tells of a dispute"


class PhonePeSimulator(Gateway):
    name = "phonepe"
    base_path = "/phonepe"
    api_base = f"/phonepe{API}"
    operations = frozenset({"create_order", "fetch", "refund", "token"})
    methods = METHODS
    dispute_outcomes: ClassVar[tuple[str, ...]] = tuple(OUTCOMES)
    event_types: ClassVar[tuple[str, ...]] = (*events.V2_EVENTS, *events.V1_CALLBACKS)
    credentials: ClassVar[Mapping[str, str]] = {
        "PHONEPE_CLIENT_ID": CLIENT_ID,
        "PHONEPE_CLIENT_SECRET": CLIENT_SECRET,
        "PHONEPE_CLIENT_VERSION": CLIENT_VERSION,
        "PHONEPE_WEBHOOK_USER": WEBHOOK_USER,
        "PHONEPE_WEBHOOK_PASS": WEBHOOK_PASSWORD,
        "(webhook password before rotation)": OLD_WEBHOOK_PASSWORD,
        "PHONEPE_WEBHOOK_HMAC_SECRET": WEBHOOK_HMAC_SECRET,
        "(HMAC secret before rotation)": OLD_WEBHOOK_HMAC_SECRET,
        "PHONEPE_MERCHANT_ID": MERCHANT_ID,
        "PHONEPE_SALT_KEY": SALT_KEY,
        "PHONEPE_SALT_INDEX": SALT_INDEX,
        f"(salt key before rotation, index {OLD_SALT_INDEX})": OLD_SALT_KEY,
        f"(salt key of {PUBLIC_MERCHANT_ID}, the merchant of the published samples)": PUBLIC_SALT_KEY,
    }
    choices: ClassVar[Mapping[str, Collection[Any]]] = {
        "token_seconds": range(10**7 + 1),
        "refund_outcome": ("COMPLETED", "PENDING", "CONFIRMED", "FAILED"),
        "refund_seconds": range(10**7 + 1),
        "least_refund_paise": (100, 1),
        "v1_timeout_seconds": range(60, 10**7 + 1),
        "forbidden": ("nothing", "create_order", "fetch", "refund", "settlements", "disputes"),
        "refund_envelope": (True, False),
        "webhook_kind": ("basic", "hmac"),
        "upi_collect": (False, True),
        "newer_members": (True, False),
        "duplicate_code": ("INVALID_TRANSACTION_ID", "INVALID_MERCHANT_ORDER_ID", "ORDER_ALREADY_EXISTS"),
    }

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self.books: LiveBooks = LiveBooks(world, deliveries)

    def routes(self) -> tuple[Route, ...]:
        parts = (V2(self.books), V1(self.books), Checkout(self.books))
        return tuple(route for part in parts for route in part.routes())

    def unknown_route(self, path: str) -> Response:
        response = jsonify(NO_SUCH_PATH)
        response.status_code = 404
        return response

    def trouble(self, status: int) -> Response:
        is_v1 = "/pg/v1/" in request.path
        response = jsonify((V1_TROUBLE if is_v1 else TROUBLE)[status])
        response.status_code = status
        return response

    def orders(self) -> list[OrderView]:
        return [self._view(order) for order in self.books.orders()]

    def order(self, order_id: str) -> OrderView | None:
        order = self.books.order(order_id)
        return self._view(order) if order else None

    # The customer and the bank

    def success(self, order_id: str, move: Move) -> None:
        """A pending attempt, else a new one, succeeds; too small a sum leaves a V2 order open."""
        order = self._open_order(order_id, move)
        self.books.succeed(order, self._attempt(order, move))

    def failure(self, order_id: str, move: Move) -> None:
        """A pending attempt, else a new one, fails. V1's is the transaction's end; a V2 order stays payable
        unless it was made with disablePaymentRetry."""
        order = self._open_order(order_id, move)
        self.books.fail(order, self._attempt(order, move), DECLINED)

    def pending(self, order_id: str, move: Move) -> None:
        """A new attempt of which the bank has said nothing yet: no webhook."""
        order = self._open_order(order_id, move)
        self.books.attempt(order, move.method, move.amount_paise)

    def expire(self, order_id: str, move: Move) -> None:
        """FAILED with ORDER_EXPIRED; in V1, TIMED_OUT."""
        self.books.end(self._open_order(order_id, move), EXPIRED)

    def authorize(self, order_id: str, move: Move) -> None:
        raise ImpossibleMoveError(HOLDS_NOTHING)

    def late_success(self, order_id: str, move: Move) -> None:
        """The last attempt, else a new one, succeeds after all: also on an order that is FAILED."""
        order = self._known(order_id)
        if order.state == "COMPLETED":
            raise ImpossibleMoveError(f"Order {order_id} is COMPLETED already")
        move.claim_amount_of(order)
        attempt = self._last(order, "FAILED", "PENDING") or self._new_attempt(order, move)
        move.set_amount_of(attempt)
        attempt.is_late = True
        self.books.succeed(order, attempt)

    def second_success(self, order_id: str, move: Move) -> None:
        raise ImpossibleMoveError(NO_SECOND)

    # The dashboard

    def dashboard_refund(self, order_id: str, move: Move) -> None:
        """All that is left of what was paid, or a part of it."""
        order = self._known(order_id)
        rest = order.left_to_refund if order.state == "COMPLETED" else 0
        amount = rest if move.amount_paise is None else move.amount_paise
        if not 0 < amount <= rest:
            raise ImpossibleMoveError(f"Only {rest} paise of order {order_id} are left to refund")
        refund_id = self.books.new_number("DASHBOARD")[:34]
        new = NewRefund(refund_id, order_id, amount, order.callback_url or None)
        self.books.move_on(self.books.refund(order, new))

    def dispute(self, order_id: str, move: Move) -> None:
        """Opens a dispute; with an outcome the open one goes on."""
        order = self._known(order_id)
        if order.is_v1:
            raise ImpossibleMoveError(NO_V1_DISPUTES)
        undecided = [dispute for dispute in self.books.disputes_of(order) if dispute.is_open]
        if move.outcome is not None and undecided:
            self.books.go_on(undecided[-1], move.outcome, OUTCOMES[move.outcome])
        elif move.outcome is not None:
            raise ImpossibleMoveError(f"Order {order_id} has no open dispute to be {move.outcome}")
        elif undecided:
            hint = f"send an outcome, {', '.join(OUTCOMES)}"
            raise ImpossibleMoveError(f"Dispute {undecided[-1].id} is already open: {hint}")
        else:
            self._open_dispute(order, move)

    def _open_dispute(self, order: Order, move: Move) -> None:
        attempt = order.paid_attempt()
        if attempt is None:
            raise ImpossibleMoveError(f"Order {order.id} has no payment to dispute")
        amount = attempt.amount if move.amount_paise is None else move.amount_paise
        if amount > attempt.amount:
            raise ImpossibleMoveError(f"Only {attempt.amount} paise of order {order.id} were paid")
        self.books.open_dispute(order, attempt, amount)

    def send_event(self, order_id: str, event_type: str) -> None:
        self.books.send_event(self._known(order_id), event_type)

    def settle(self) -> None:
        """Also by the clock, a day after the payment."""
        self.books.settle()

    def order_of_refund(self, refund_id: str) -> str | None:
        refund = self.books.refunds.get(refund_id)
        return refund.order.id if refund else None

    def refund_success(self, refund_id: str) -> None:
        self.books.finish_refund(self._unfinished_refund(refund_id).id, is_paid=True)

    def refund_failure(self, refund_id: str) -> None:
        self.books.finish_refund(self._unfinished_refund(refund_id).id, is_paid=False)

    def _unfinished_refund(self, refund_id: str) -> Refund:
        refund = self.books.refunds[refund_id]
        if refund.state not in UNFINISHED:
            raise ImpossibleMoveError(f"Refund {refund_id} is already {refund.state}, and that is final")
        return refund

    # Helpers

    def _known(self, order_id: str) -> Order:
        order = self.books.order(order_id)
        if order is None:
            raise ImpossibleMoveError(f"There is no order {order_id}")
        return order

    def _open_order(self, order_id: str, move: Move) -> Order:
        order = self._known(order_id)
        if order.state != "PENDING":
            hint = "and takes no new payment" if order.state == "COMPLETED" else "send late-success"
            raise ImpossibleMoveError(f"Order {order_id} is {order.state}: {hint}")
        move.claim_amount_of(order)
        return order

    def _attempt(self, order: Order, move: Move) -> Attempt:
        """The pending attempt, if there is one; it keeps its method."""
        attempt = self._last(order, "PENDING")
        if attempt is None:
            return self._new_attempt(order, move)
        move.set_amount_of(attempt)
        return attempt

    def _new_attempt(self, order: Order, move: Move) -> Attempt:
        return self.books.attempt(order, move.method, move.amount_paise)

    def _last(self, order: Order, *states: str) -> Attempt | None:
        chosen = [attempt for attempt in order.attempts if attempt.state in states]
        return chosen[-1] if chosen else None

    def _view(self, order: Order) -> OrderView:
        paid = [attempt for attempt in order.attempts if attempt.state == "COMPLETED"]
        return OrderView(
            orderId=order.id,
            gateway=self.name,
            status=order.v1_code if order.is_v1 else order.state,
            amountPaise=order.amount,
            amountPaidPaise=order.paid,
            currency="INR",
            reference=order.number,
            createdAt=order.created_at // 1000,
            attempts=[_attempt_view(attempt) for attempt in order.attempts],
            refunds=[
                RefundView(refund.id, paid[0].id if paid else "", refund.amount, refund.state)
                for refund in order.refunds
            ],
            disputes=[dispute.view() for dispute in self.books.disputes_of(order)],
        )


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        paymentId=attempt.id,
        status=attempt.state,
        method=attempt.method,
        amountPaise=attempt.amount,
        createdAt=attempt.created_at // 1000,
        lateAuthorized=attempt.is_late,
        errorReason=attempt.failure.detail if attempt.failure else None,
    )
