"""How orders, refunds and settlements move at pretend PhonePe; final moves tell webhooks.

Sources: docs v2 authorization, order-status, refund, settlement; v1 check-status-api-1.
"""

from collections.abc import Callable
from functools import partial

from gateway_simulator.base import ImpossibleMoveError, Json
from gateway_simulator.deliveries import Deliveries
from gateway_simulator.phonepe import events
from gateway_simulator.phonepe.books import UNFINISHED, Books
from gateway_simulator.phonepe.checking import NewOrder, NewRefund
from gateway_simulator.phonepe.credentials import MERCHANT_ID
from gateway_simulator.phonepe.disputes import Dispute
from gateway_simulator.phonepe.instruments import INSTRUMENTS, USUAL_METHOD
from gateway_simulator.phonepe.records import (
    EXPIRED,
    NOT_ENOUGH_BALANCE,
    Attempt,
    Failure,
    Order,
    Refund,
    v1_answer,
)
from gateway_simulator.phonepe.settlements import Settlement
from gateway_simulator.world import DIGITS, World

SETTLE_AFTER_SECONDS = 24 * 3600  # the usual T+1
HEX = "0123456789abcdef"


class LiveBooks(Books):
    """The books with all that moves what they know. Its alarms are its methods: a state file names them."""

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        super().__init__(world)

    # Orders

    def add(self, new: NewOrder) -> Order:
        now = self.now_ms()
        seconds = self.settings.v1_timeout_seconds if new.flow == "V1" else new.expire_after
        order = Order(
            id=new.id,
            number=self.new_number("T" if new.flow == "V1" else "OMO"),
            token=self.world.random_text(40),
            amount=new.amount,
            created_at=now,
            redirect_url=new.redirect_url,
            flow=new.flow,
            merchant_id=new.merchant_id,
            methods=new.methods,
            expire_at=now + seconds * 1000,
            meta_info=new.meta_info,
            message=new.message,
            may_retry=new.may_retry,
            is_for_app=new.is_for_app,
            callback_url=new.callback_url,
            redirect_mode=new.redirect_mode,
        )
        self._orders[order.id] = self._by_token[order.token] = order
        self.world.at(order.expire_at / 1000, partial(self.expire_if_open, order.id))
        return order

    def expire_if_open(self, order_id: str) -> None:
        order = self._orders[order_id]
        if order.state == "PENDING":
            self.end(order, EXPIRED)

    # Attempts

    def attempt(self, order: Order, method: str | None = None, amount: int | None = None) -> Attempt:
        """A new try of which the bank has said nothing yet. V1 knows only one, under its own number."""
        if order.is_v1 and order.attempts:
            return order.attempts[0]
        method = method or (USUAL_METHOD if USUAL_METHOD in order.methods else min(order.methods))
        if method not in order.methods:
            raise ImpossibleMoveError(f"Order {order.id} was made for: {', '.join(sorted(order.methods))}")
        attempt = Attempt(
            id=order.number if order.is_v1 else self.new_number("OM"),
            method=method,
            instrument=INSTRUMENTS[method],
            amount=order.amount if amount is None else amount,
            created_at=self.now_ms(),
        )
        order.attempts.append(attempt)
        self._by_transaction[attempt.id] = order
        return attempt

    def succeed(self, order: Order, attempt: Attempt) -> None:
        """Too small a sum leaves a V2 order open; V1 tells it as the amount of the transaction."""
        attempt.state, attempt.failure = "COMPLETED", None
        if order.is_v1 or attempt.amount >= order.amount:
            order.state, order.failure = "COMPLETED", None
            self._tell_order(order, "order.completed")
            if not order.is_v1:
                self._unsettled.append(order)
                self.world.at(self.world.now() + SETTLE_AFTER_SECONDS, self.settle)

    def fail(self, order: Order, attempt: Attempt, failure: Failure) -> None:
        """V2 offers another try, unless the order forbids it."""
        attempt.state, attempt.failure = "FAILED", failure
        if not order.is_v1:
            self._tell_order(order, events.ATTEMPT_FAILED, attempt)
        if not order.may_retry:
            self.end(order, failure)

    def end(self, order: Order, failure: Failure) -> None:
        """The order can no longer be paid, unless the bank says otherwise later."""
        order.state, order.failure = "FAILED", failure
        for attempt in order.attempts:
            if attempt.state == "PENDING":
                attempt.state, attempt.failure = "FAILED", failure
        self._tell_order(order, "order.failed")

    # Refunds

    def refund(self, order: Order, new: NewRefund) -> Refund:
        """PENDING, as the answer to the refund request says; `move_on` is what happens then."""
        number = self.new_number("TR" if order.is_v1 else "OMR")
        refund = Refund(new.id, number, order, new.amount, self.now_ms(), callback_url=new.callback_url)
        self.refunds[refund.id] = refund
        order.refunds.append(refund)
        return refund

    def move_on(self, refund: Refund) -> None:
        """By itself as far, and as fast, as the settings say."""
        outcome, seconds = self.settings.refund_outcome, self.settings.refund_seconds
        is_final = outcome in ("COMPLETED", "FAILED")
        if outcome == "CONFIRMED" or (is_final and seconds):
            self._in(seconds / 2, partial(self.confirm_refund, refund.id))
        if is_final:
            self._in(seconds, partial(self.finish_refund, refund.id, is_paid=outcome == "COMPLETED"))

    def _in(self, seconds: float, call: Callable[[], None]) -> None:
        if seconds:
            self.world.at(self.world.now() + seconds, call)
        else:
            call()

    def confirm_refund(self, refund_id: str) -> None:
        refund = self.refunds[refund_id]
        if refund.state == "PENDING":
            refund.state = "CONFIRMED"
            self._tell_refund(refund, "pg.refund.accepted", "CONFIRMED")

    def finish_refund(self, refund_id: str, *, is_paid: bool) -> None:
        """What is final stays."""
        refund = self.refunds[refund_id]
        if refund.state in UNFINISHED:
            refund.state = "COMPLETED" if is_paid else "FAILED"
            refund.failure = None if is_paid else NOT_ENOUGH_BALANCE
            event = "pg.refund.completed" if is_paid else "pg.refund.failed"
            self._tell_refund(refund, event, refund.state)

    # Disputes

    def open_dispute(self, order: Order, attempt: Attempt, amount: int) -> None:
        now = self.now_ms()
        dispute = Dispute(
            id=f"D{self.world.random_text(10, DIGITS)}",
            merchant_id=order.merchant_id,
            order_id=order.id,
            order_number=order.number,
            transaction_id=attempt.id,
            transaction_amount=attempt.amount,
            completed_at=attempt.created_at,
            amount=amount,
            created_at=now,
            updated_at=now,
        )
        self.disputes[dispute.id] = dispute
        self._tell("payment.dispute.created", order.id, dispute.entity())

    def go_on(self, dispute: Dispute, outcome: str, status: str) -> None:
        dispute.status, dispute.updated_at = status, self.now_ms()
        self._tell(f"payment.dispute.{outcome}", dispute.order_id, dispute.entity())

    # Settlements

    def settle(self) -> None:
        """One transfer of all that was paid by V2 and is not settled yet; V1 has no API that tells it."""
        if not self._unsettled:
            return
        made = Settlement(self._uuid(), self.new_number("UTR")[:15], MERCHANT_ID, self.now_ms())
        self.settlements[made.id] = made
        for order in self._unsettled:
            order.settlement = made
            for amount, rail in order.payments():
                made.add(amount, rail)
        self._unsettled = []
        self._tell("settlement.initiated", made.id, made.entity())
        made.state = "PROCESSED"
        self._tell("settlement.processed", made.id, made.entity())

    def _uuid(self) -> str:
        return "-".join(self.world.random_text(length, HEX) for length in (8, 4, 4, 4, 12))

    # Webhooks

    def send_event(self, order: Order, event: str) -> None:
        """Of the order as it stands, but for the state, which is the one that such an event claims."""
        if (event in events.V1_CALLBACKS) is not order.is_v1:
            raise ImpossibleMoveError(f"Order {order.id} is of {order.flow}, which sends no {event}")
        if order.is_v1:
            self._call_back(order, event)
        elif event in events.REFUND_EVENTS:
            if not order.refunds:
                raise ImpossibleMoveError(f"Order {order.id} has no refund")
            self._tell_refund(order.refunds[-1], event, events.REFUND_EVENTS[event])
        elif event in events.SETTLEMENT_EVENTS:
            if order.settlement is None:
                raise ImpossibleMoveError(f"Order {order.id} is not settled yet")
            self._tell(event, order.id, order.settlement.entity(events.SETTLEMENT_EVENTS[event]))
        elif event in events.DISPUTE_EVENTS:
            disputes = self.disputes_of(order)
            if not disputes:
                raise ImpossibleMoveError(f"Order {order.id} has no dispute")
            self._tell(event, order.id, disputes[-1].entity(events.DISPUTE_EVENTS[event]))
        else:
            self._tell(event, order.id, self.dressed(self._claim(order, event)))

    def _claim(self, order: Order, event: str, attempt: Attempt | None = None) -> Json:
        if event not in events.ATTEMPT_EVENTS:
            return order.told(events.ORDER_EVENTS[event])
        attempt = attempt or next(reversed(order.attempts), None)
        if attempt is None or attempt.failure is None:
            raise ImpossibleMoveError(f"The last attempt of order {order.id} did not fail")
        details = {**attempt.told(), **attempt.means()}
        return {**order.told("PENDING"), **attempt.failure.members(), "paymentDetails": [details]}

    def _tell_order(self, order: Order, event: str, attempt: Attempt | None = None) -> None:
        if order.is_v1:
            self._call_back(order, order.v1_code)
        else:
            event = f"{events.FLOW_NAMES[order.flow]}.{event}"
            self._tell(event, order.id, self.dressed(self._claim(order, event, attempt)))

    def _tell_refund(self, refund: Refund, event: str, state: str) -> None:
        if not refund.order.is_v1:
            enveloped = self.settings.refund_envelope
            told = self.dressed(refund.told(state))
            self._tell(event, refund.order.id, told, is_enveloped=enveloped)
        elif refund.callback_url and state != "CONFIRMED":
            order = refund.order
            self._deliveries.send(
                events.callback(
                    self._event_id(), refund.v1_status(), order.id, order.merchant_id, refund.callback_url
                )
            )

    def _tell(self, event: str, about: str, payload: Json, *, is_enveloped: bool = True) -> None:
        self._deliveries.send(
            events.webhook(
                self._event_id(),
                event,
                about,
                payload,
                is_signed=self.settings.webhook_kind == "hmac",
                is_enveloped=is_enveloped,
            )
        )

    def _call_back(self, order: Order, code: str) -> None:
        """With the code that is claimed, also when the transaction's own is another."""
        status = order.v1_status()
        if code != order.v1_code:
            data = {**status["data"], "state": events.V1_CALLBACKS[code]}
            status = v1_answer(code, data)
        self._deliveries.send(
            events.callback(self._event_id(), status, order.id, order.merchant_id, order.callback_url)
        )

    def _event_id(self) -> str:
        return self.world.random_text(14)
