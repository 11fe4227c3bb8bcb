"""How orders and payments move at pretend Razorpay; each move tells its webhook.

Sources: Razorpay docs payments/payments/late-authorisation, payments/payments/capture-settings/api,
webhooks/payments.
"""

from functools import partial
from typing import Any

from gateway_simulator.deliveries import Deliveries
from gateway_simulator.razorpay.books import CASH, KEY_SECRET, TIMED_OUT, Books
from gateway_simulator.razorpay.disputes import Disputes
from gateway_simulator.razorpay.downtimes import Downtimes
from gateway_simulator.razorpay.events import Events, hex_hmac
from gateway_simulator.razorpay.hooks import Hooks
from gateway_simulator.razorpay.links import PaymentLinks
from gateway_simulator.razorpay.records import Instrument, Order, Payer, Payment, PaymentError
from gateway_simulator.razorpay.refunds import Asked, Refunds
from gateway_simulator.razorpay.settlements import Settlements
from gateway_simulator.world import World

FEE_PERCENT = 2
GST_PERCENT = 18
# A bank that says nothing for so long has failed, until it says otherwise (late-authorisation).
SILENCE_SECONDS = 10 * 60
# Cash on delivery that is not confirmed for so long has failed (magic-checkout).
CASH_SECONDS = 45 * 24 * 3600
# Assumed: how long an order's own word stays behind at most.
LATE_WORD_SECONDS = 15 * 60


class LiveBooks(Books):
    """The books with all that moves what they know. Its alarms are its methods: a state file names them."""

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        super().__init__(world)

    def reset(self) -> None:
        super().reset()
        self.hooks = Hooks(self)
        self.events = Events(self, self.hooks, self._deliveries)
        self.settlements = Settlements(self, self.events)
        self.refunds = Refunds(self, self.events, self.settlements)
        self.disputes = Disputes(self, self.events, self.settlements)
        self.links = PaymentLinks(self, self.events)
        self.downtimes = Downtimes(self, self.events)

    # Payments

    def attempt(self, order: Order, instrument: Instrument, amount: int | None, payer: Payer) -> Payment:
        """A new payment on the order, in `created`: the bank has not answered, and no webhook is sent."""
        payment = Payment(
            id=self.new_id("pay"),
            order_id=order.id,
            amount=order.amount_due or order.amount if amount is None else amount,
            currency=order.currency,
            created_at=self.now(),
            instrument=instrument,
            payer=payer,
            notes=dict(payer.notes),
        )
        if self.settings.fee_bearer == "customer" and instrument.method != CASH:
            payment.customer_fee, payment.tax = fee_and_tax(payment.amount)
            payment.fee, payment.amount = payment.customer_fee, payment.amount + payment.customer_fee
        self.payments[payment.id] = payment
        self._payments_by_order[order.id].append(payment)
        order.attempts += 1
        if order.status == "created":
            order.status = "attempted"
        self.world.at(payment.created_at + SILENCE_SECONDS, partial(self.give_up, payment.id))
        late_seconds = 60 * self.settings.late_authorization_minutes
        if late_seconds:
            self.world.at(payment.created_at + late_seconds, partial(self.authorize_late, payment.id))
        return payment

    def give_up(self, payment_id: str) -> None:
        if self.payments[payment_id].status == "created":
            self.fail(self.payments[payment_id], TIMED_OUT)

    def authorize_late(self, payment_id: str) -> None:
        """The bank answers at last, of an attempt on which it was silent; a refusal stays one."""
        payment = self.payments[payment_id]
        if payment.status == "created" or (payment.status == "failed" and payment.error == TIMED_OUT):
            self.accept(payment, late=True)

    def fail(self, payment: Payment, error: PaymentError) -> None:
        payment.status = "failed"
        payment.error = error
        self.events.tell("payment.failed", payment.order_id, {"payment": payment.entity()})

    def accept(self, payment: Payment, *, late: bool = False) -> None:
        """The bank's yes, and what the order's capture settings make of it."""
        order = self.orders[payment.order_id]
        was_paid = order.status == "paid"
        self.authorize(payment, late=late)
        minutes = order.capture.automatic_minutes
        in_time = minutes is None or self.now() <= payment.created_at + 60 * minutes
        if late and was_paid and self.settings.late_on_paid_order == "refunded":
            self.give_back(payment.id)
        elif order.capture.automatic and in_time:
            self.capture(payment)

    def authorize(self, payment: Payment, *, late: bool = False) -> None:
        payment.status = "authorized"
        payment.late_authorized = late
        payment.error = None
        self.events.tell("payment.authorized", payment.order_id, {"payment": payment.entity()})
        window_seconds = 60 * self.orders[payment.order_id].capture.window_minutes
        until = max(payment.created_at + window_seconds, self.world.now())
        self.world.at(until, partial(self.give_back, payment.id))

    def give_back(self, payment_id: str) -> None:
        """What was not captured in time goes back to the payer, whole."""
        payment = self.payments[payment_id]
        if payment.status == "authorized":
            speed = self.orders[payment.order_id].capture.refund_speed
            self.refunds.create(payment, payment.amount, Asked(speed=speed), outcome="processed")

    def capture(self, payment: Payment) -> None:
        """Money is ours; the order is paid when the whole amount came together, and only once."""
        payment.status = "captured"
        payment.captured = True
        if payment.instrument.method == CASH:
            payment.fee = payment.tax = 0  # none of it passes through Razorpay
        else:
            if not payment.customer_fee:
                payment.fee, payment.tax = fee_and_tax(payment.amount)
            self.settlements.book_payment(payment)
        self.events.tell("payment.captured", payment.order_id, {"payment": payment.entity()})
        order = self.orders[payment.order_id]
        if order.status == "paid":
            return
        order.amount_paid += payment.amount - payment.customer_fee
        order.offer += payment.offer
        if order.amount_due == 0:
            order.status = "paid"
            order.paid_by = payment.id
            if order.late_reads:
                self.world.at(self.now() + LATE_WORD_SECONDS, partial(self.catch_up, order.id))
            else:
                self.catch_up(order.id)
        self.links.paid(order, payment)

    # Cash on delivery (payments/magic-checkout/web): promised, then confirmed by the merchant or given up

    def place_cash(self, order: Order, amount: int | None) -> None:
        payment = self.attempt(order, Instrument(CASH, {}), amount, Payer())
        payment.status, order.status = "pending", "placed"
        self.world.at(payment.created_at + CASH_SECONDS, partial(self.give_cash_up, payment.id))
        self.events.tell("payment.pending", order.id, {"payment": payment.entity()})
        self.events.tell("order.placed", order.id, {"payment": payment.entity(), "order": order.entity()})

    def give_cash_up(self, payment_id: str) -> None:
        payment = self.payments[payment_id]
        if payment.status == "pending":
            payment.status = "failed"
            self.events.tell("payment.failed", payment.order_id, {"payment": payment.entity()})

    # An order's own word, which may come later than that of its payment

    def lag_behind(self, order: Order, reads: int) -> None:
        order.late_reads = reads
        if order.status == "paid":
            self.world.at(self.now() + LATE_WORD_SECONDS, partial(self.catch_up, order.id))

    def catch_up(self, order_id: str) -> None:
        """The order says that it is paid, and tells so once."""
        order = self.orders[order_id]
        order.late_reads = 0
        if order.paid_by is not None:
            entities = {"payment": self.payments[order.paid_by].entity(), "order": order.entity()}
            order.paid_by = None
            self.events.tell("order.paid", order.id, entities)

    def read_order(self, order: Order) -> dict[str, Any]:
        """As the API tells it; a read counts towards a late word."""
        told = order.entity()
        if order.status == "paid" and order.late_reads:
            told |= {"status": "attempted", "amount_paid": 0, "amount_due": order.amount}
            order.late_reads -= 1
            if order.late_reads == 0:
                self.catch_up(order.id)
        return told

    # Signatures

    def checkout_signature(self, order_id: str, payment_id: str) -> str:
        """Razorpay docs, payments/payment-gateway/web-integration/standard/integration-steps, 1.5."""
        return hex_hmac(KEY_SECRET, f"{order_id}|{payment_id}".encode())


def fee_and_tax(amount: int) -> tuple[int, int]:
    """Razorpay's fee of an amount, GST included, and the GST alone."""
    fee = (amount * FEE_PERCENT + 50) // 100
    tax = -(-fee * GST_PERCENT // 100)
    return fee + tax, tax
