"""How orders and attempts move at pretend Cashfree; each move tells its webhook.

Sources: docs payments/online/resources/payment-lifecycle, sandbox-environment, preauthorisation. Made up: how
long a bank may stay silent, for how long after its end an order may still be paid by an attempt that was
under way, that a hold makes its order PAID, and that no webhook tells of the end of a hold.
"""

from functools import partial

from gateway_simulator.cashfree.books import Books
from gateway_simulator.cashfree.disputes import Disputes
from gateway_simulator.cashfree.records import (
    OPEN_ATTEMPTS,
    Hold,
    Instrument,
    Order,
    Payment,
    PaymentError,
)
from gateway_simulator.cashfree.refunds import RETURN_SECOND_PAYMENT_AFTER_SECONDS, Refunds
from gateway_simulator.cashfree.settlements import Settlements
from gateway_simulator.cashfree.telling import Teller
from gateway_simulator.cashfree.testdata import NO_ANSWER
from gateway_simulator.deliveries import Deliveries
from gateway_simulator.world import World

SILENCE_ENDS_AFTER_SECONDS = 24 * 3600
PAYABLE_AFTER_ITS_END_SECONDS = 24 * 3600
HELD_SECONDS = 7 * 24 * 3600


class LiveBooks(Books):
    """The books with all that moves what they know. Its alarms are its methods: a state file names them."""

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        super().__init__(world)

    def reset(self) -> None:
        super().reset()
        self.teller = Teller(self, self._deliveries)
        self.settlements = Settlements(self, self.teller)
        self.refunds = Refunds(self, self.teller, self.settlements.book_refund)
        self.disputes = Disputes(self, self.teller, self.settlements.book_dispute)

    # Orders

    def add(self, order: Order) -> None:
        self._orders[order.id] = self._orders_by_session[order.session_id] = order
        self.world.at(order.ends_at, partial(self.expire, order.id))

    def expire(self, order_id: str) -> None:
        order = self._orders[order_id]
        if order.status == "ACTIVE":
            order.status = "EXPIRED"

    def terminate(self, order: Order) -> None:
        """At once, or when the attempt that is under way has ended."""
        is_busy = any(payment.status in OPEN_ATTEMPTS for payment in self.payments_of(order))
        order.status = "TERMINATION_REQUESTED" if is_busy else "TERMINATED"

    # Attempts

    def attempt(self, order: Order, instrument: Instrument, amount: int | None) -> Payment:
        """A new attempt, of which the bank has said nothing yet: no webhook."""
        payment = Payment(
            self.new_number(13), order, order.amount if amount is None else amount, self.now(), instrument
        )
        self.payments[payment.id] = payment
        self._payments_by_order[order.id].append(payment)
        self.world.at(self.world.now() + SILENCE_ENDS_AFTER_SECONDS, partial(self.give_up, payment.id))
        return payment

    def give_up(self, payment_id: str) -> None:
        payment = self.payments[payment_id]
        if payment.status in OPEN_ATTEMPTS:
            self.fail(payment, NO_ANSWER)

    def succeed(self, payment: Payment) -> None:
        """The order is paid when one attempt brings all of it; what comes too late for it goes back."""
        order = payment.order
        payment.error, payment.completed_at = None, self.now()
        payment.bank_reference = None if payment.is_cash else self.new_number(12)
        if order.status == "TERMINATED" or self._is_over(order):
            payment.status = "CANCELLED"
            if not payment.is_cash:
                self.refunds.return_late(payment)
            return
        if order.status == "PAID":
            later = self.world.now() + RETURN_SECOND_PAYMENT_AFTER_SECONDS
            self.world.at(later, partial(self.refunds.return_second, payment.id))
        payment.status = "SUCCESS"
        if self._brings_all(payment):
            order.status = "PAID"
        if payment.taken:
            self.settlements.book_payment(payment)
        self._tell_payment(payment)

    def _brings_all(self, payment: Payment) -> bool:
        """An offer stands for what it takes off, and cash for what was not paid before it."""
        brought = payment.amount + payment.offer
        if payment.is_cash:
            others = (one for one in self.payments_of(payment.order) if one is not payment)
            brought += sum(one.taken for one in others)
        return brought >= payment.order.amount

    # Pre-authorisations

    def authorize(self, payment: Payment) -> None:
        """The bank keeps the money ready: Cashfree says SUCCESS, and has nothing."""
        ends_at = self.world.now() + HELD_SECONDS
        payment.hold = Hold(self.now(), ends_at)
        payment.status, payment.error, payment.completed_at = "SUCCESS", None, self.now()
        payment.order.status = "PAID"
        self.world.at(ends_at, partial(self.let_go_by_clock, payment.id))
        self._tell_payment(payment)

    def capture(self, payment: Payment, amount: int) -> None:
        if hold := payment.open_hold:
            hold.end("CAPTURE", self.now(), self.new_number(22))
            hold.captured = amount
            payment.bank_reference = self.new_number(12)
            self.settlements.book_payment(payment)

    def let_go(self, payment: Payment) -> None:
        if hold := payment.open_hold:
            hold.end("VOID", self.now(), self.new_number(22))
            payment.status = "VOID"

    def let_go_by_clock(self, payment_id: str) -> None:
        self.let_go(self.payments[payment_id])

    def fail(self, payment: Payment, error: PaymentError, status: str = "FAILED") -> None:
        payment.status, payment.error, payment.completed_at = status, error, self.now()
        if payment.order.status == "TERMINATION_REQUESTED":
            self.terminate(payment.order)
        self._tell_payment(payment)

    def _is_over(self, order: Order) -> bool:
        return order.status == "EXPIRED" and order.ends_at + PAYABLE_AFTER_ITS_END_SECONDS < self.world.now()

    def _tell_payment(self, payment: Payment) -> None:
        data = payment.webhook(self.settings.webhook_version)
        self.teller.tell(f"PAYMENT_{payment.status}_WEBHOOK", payment.order, data)
