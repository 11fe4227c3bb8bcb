"""PhonePe keeps the contract of all gateways, in both generations."""

from collections.abc import Mapping
from typing import ClassVar

from payments_service.domain.news import EventKind
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.phonepe import PhonePeGateway
from payments_service.gateways.phonepe_v1 import PhonePeV1Gateway
from tests.gateways.contract import GatewayContract
from tests.gateways.hooks import World
from tests.gateways.phonepe_wire import PhonePeHooks, PhonePeV1Hooks, error_reply

PAISES: Mapping[int, str] = {100: "100", 101: "101", 10015: "10015", 499900: "499900"}
STATES: Mapping[str, AttemptStatus] = {
    "PENDING": AttemptStatus.PENDING,
    "COMPLETED": AttemptStatus.SUCCEEDED,
    "FAILED": AttemptStatus.FAILED,
}
REFUND_EVENTS = ("pg.refund.accepted", "pg.refund.completed", "pg.refund.failed")
DISPUTE_EVENTS = tuple(
    f"payment.dispute.{word}" for word in ("created", "action_required", "under_review", "won", "lost")
)
IGNORED_EVENTS = (
    *("paylink.order.completed", "paylink.order.failed"),
    *("subscription.setup.order.completed", "subscription.notification.failed", "subscription.cancelled"),
    *("downtime.upi.started", "downtime.upi.bank.resolved", "downtime.subscription.setup.started"),
)


class TestPhonePeContract(PhonePeHooks, GatewayContract):
    gateway_type = PhonePeGateway
    paid = World(order_word="COMPLETED", attempt_word="COMPLETED", refund_word="COMPLETED")
    quiet: ClassVar[Mapping[str, str]] = {"attempt_word": "FAILED"}
    writes = ("create_order", "create_refund")
    paises = PAISES
    refusal = error_reply("v2/error_bad_request", 400)
    wrong_keys = error_reply("v2/error_authorization_failed", 401)
    unknown_order = error_reply("v2/error_invalid_merchant_order_id", 400)
    credential_headers = ("authorization",)
    body_is_signed = False
    kept: ClassVar[frozenset[str]] = frozenset(REFUND_EVENTS)
    order_words: ClassVar[Mapping[str, PaymentStatus]] = {
        "CREATED": PaymentStatus.PENDING,
        "PENDING": PaymentStatus.PENDING,
        "COMPLETED": PaymentStatus.COMPLETED,
        "FAILED": PaymentStatus.FAILED,
        "EXPIRED": PaymentStatus.EXPIRED,
    }
    attempt_words = STATES
    refund_words: ClassVar[Mapping[str, RefundStatus]] = {
        "PENDING": RefundStatus.PENDING,
        "CONFIRMED": RefundStatus.PENDING,
        "COMPLETED": RefundStatus.COMPLETED,
        "FAILED": RefundStatus.FAILED,
    }
    event_names: ClassVar[Mapping[str, EventKind]] = {
        "checkout.order.completed": EventKind.PAYMENT,
        "checkout.order.failed": EventKind.PAYMENT,
        "checkout.transaction.attempt.failed": EventKind.PAYMENT,
        "pg.order.completed": EventKind.PAYMENT,
        "pg.order.failed": EventKind.PAYMENT,
        "pg.transaction.attempt.failed": EventKind.PAYMENT,
        "pg.transaction.failed": EventKind.PAYMENT,
        **dict.fromkeys(REFUND_EVENTS, EventKind.REFUND),
        "settlement.initiated": EventKind.SETTLEMENT,
        "settlement.processed": EventKind.SETTLEMENT,
        "settlement.attempt.failed": EventKind.SETTLEMENT,
        "order.split.settlement.accepted": EventKind.SETTLEMENT,
        "order.split.settlement.failed": EventKind.SETTLEMENT,
        **dict.fromkeys(DISPUTE_EVENTS, EventKind.DISPUTE),
        **dict.fromkeys(IGNORED_EVENTS, EventKind.IGNORED),
    }


class TestPhonePeV1Contract(PhonePeV1Hooks, GatewayContract):
    gateway_type = PhonePeV1Gateway
    paid = World(order_word="PAYMENT_SUCCESS", attempt_word="COMPLETED", refund_word="PAYMENT_SUCCESS")
    writes = ("create_order", "create_refund")
    reads = ("fetch_payment", "fetch_refund")
    paises = PAISES
    refusal = error_reply("v1/error_bad_request", 400)
    wrong_keys = error_reply("v1/error_authorization_failed", 401)
    unknown_order = error_reply("v1/error_transaction_not_found", 404)
    credential_headers = ("x-verify",)
    order_words: ClassVar[Mapping[str, PaymentStatus]] = {
        "PAYMENT_INITIATED": PaymentStatus.PENDING,
        "PAYMENT_PENDING": PaymentStatus.PENDING,
        "INTERNAL_SERVER_ERROR": PaymentStatus.PENDING,
        "PAYMENT_SUCCESS": PaymentStatus.COMPLETED,
        "PAYMENT_ERROR": PaymentStatus.FAILED,
        "PAYMENT_DECLINED": PaymentStatus.FAILED,
        "TIMED_OUT": PaymentStatus.FAILED,
    }
    attempt_words = STATES
    refund_words: ClassVar[Mapping[str, RefundStatus]] = {
        "PAYMENT_PENDING": RefundStatus.PENDING,
        "INTERNAL_SERVER_ERROR": RefundStatus.PENDING,
        "PAYMENT_SUCCESS": RefundStatus.COMPLETED,
        "PAYMENT_ERROR": RefundStatus.FAILED,
        "PAYMENT_DECLINED": RefundStatus.FAILED,
        "TIMED_OUT": RefundStatus.PENDING,
    }
    event_names: ClassVar[Mapping[str, EventKind]] = dict.fromkeys(
        ("PAYMENT_SUCCESS", "PAYMENT_ERROR", "PAYMENT_DECLINED", "TIMED_OUT", "PAYMENT_PENDING"),
        EventKind.PAYMENT,
    )
