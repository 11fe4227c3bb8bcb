"""Razorpay keeps the contract of all gateways."""

from collections.abc import Mapping
from typing import ClassVar

from payments_service.domain.news import EventKind
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.razorpay import RazorpayGateway
from tests.gateways.contract import GatewayContract
from tests.gateways.hooks import World
from tests.gateways.razorpay_wire import RazorpayHooks, error_reply

IGNORED_EVENTS = (
    *("payment.downtime.started", "payment.downtime.updated", "payment.downtime.resolved"),
    *("payment_link.paid", "payment_link.partially_paid", "payment_link.cancelled", "payment_link.expired"),
    *("invoice.paid", "invoice.partially_paid", "invoice.expired"),
    *("subscription.authenticated", "subscription.activated", "subscription.charged", "subscription.halted"),
    *("transfer.processed", "transfer.failed"),
    *("qr_code.created", "qr_code.credited", "qr_code.closed"),
    *("virtual_account.credited", "virtual_account.created", "virtual_account.closed"),
    *("order.created", "order.expired", "order.notification.delivered", "order.notification.failed"),
    *("token.confirmed", "account.activated", "product.route.activated", "transaction.created"),
    *("payout.processed", "payout_link.issued", "fund_account.validation.completed"),
    *("fulfillment.delivered", "fulfillment.rto", "fulfillment.customer_refunded"),
)


class TestRazorpayContract(RazorpayHooks, GatewayContract):
    gateway_type = RazorpayGateway
    paid = World(order_word="paid", attempt_word="captured", refund_word="processed")
    quiet: ClassVar[Mapping[str, str]] = {"attempt_word": "failed"}
    paises: ClassVar[Mapping[int, str]] = {100: "100", 101: "101", 10015: "10015", 499900: "499900"}
    refusal = error_reply("order_amount_below_minimum")
    wrong_keys = error_reply("auth_failed")
    unknown_order = error_reply("id_does_not_exist")
    credential_headers = ("x-razorpay-signature",)
    order_words: ClassVar[Mapping[str, PaymentStatus]] = {
        "created": PaymentStatus.PENDING,
        "attempted": PaymentStatus.PENDING,
        "placed": PaymentStatus.PENDING,
        "paid": PaymentStatus.COMPLETED,
        "refunded": PaymentStatus.PENDING,  # nothing was captured
        "cancelled": PaymentStatus.FAILED,
        "expired": PaymentStatus.EXPIRED,
    }
    attempt_words: ClassVar[Mapping[str, AttemptStatus]] = {
        "created": AttemptStatus.PENDING,
        "pending": AttemptStatus.PENDING,
        "authorized": AttemptStatus.AUTHORIZED,
        "captured": AttemptStatus.SUCCEEDED,
        "refunded": AttemptStatus.REFUNDED,
        "failed": AttemptStatus.FAILED,
    }
    refund_words: ClassVar[Mapping[str, RefundStatus]] = {
        "created": RefundStatus.PENDING,
        "pending": RefundStatus.PENDING,
        "processed": RefundStatus.COMPLETED,
        "failed": RefundStatus.FAILED,
    }
    event_names: ClassVar[Mapping[str, EventKind]] = {
        "payment.captured": EventKind.PAYMENT,
        "order.paid": EventKind.PAYMENT,
        "order.placed": EventKind.PAYMENT,
        "payment.authorized": EventKind.PAYMENT,
        "payment.failed": EventKind.PAYMENT,
        "payment.pending": EventKind.PAYMENT,
        "refund.created": EventKind.REFUND,
        "refund.processed": EventKind.REFUND,
        "refund.failed": EventKind.REFUND,
        "refund.speed_changed": EventKind.REFUND,
        "payment.dispute.created": EventKind.DISPUTE,
        "payment.dispute.under_review": EventKind.DISPUTE,
        "payment.dispute.action_required": EventKind.DISPUTE,
        "payment.dispute.won": EventKind.DISPUTE,
        "payment.dispute.lost": EventKind.DISPUTE,
        "payment.dispute.closed": EventKind.DISPUTE,
        "settlement.processed": EventKind.SETTLEMENT,
        **dict.fromkeys(IGNORED_EVENTS, EventKind.IGNORED),
    }
