"""Razorpay's orders as the control plane shows them."""

from gateway_simulator.base import AttemptView, DisputeView, OrderView, RefundView
from gateway_simulator.razorpay.moves import LiveBooks
from gateway_simulator.razorpay.records import Order, Payment


def order_view(books: LiveBooks, order: Order) -> OrderView:
    payments = books.payments_of(order.id)
    return OrderView(
        orderId=order.id,
        gateway="razorpay",
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
            for refund in books.refunds.of(payment.id)
        ],
        disputes=[
            DisputeView(dispute.id, dispute.payment_id, dispute.amount, dispute.status)
            for dispute in books.disputes.of_order(order.id)
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
