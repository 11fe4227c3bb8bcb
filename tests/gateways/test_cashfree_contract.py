"""Cashfree keeps the contract of all gateways."""

from collections.abc import Mapping
from typing import ClassVar

from payments_service.domain.news import EventKind
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.cashfree import CashfreeGateway
from tests.gateways.cashfree_wire import CashfreeHooks, error_reply
from tests.gateways.contract import GatewayContract
from tests.gateways.hooks import World

IGNORED_EVENTS = (
    "WEBHOOK",
    "VENDOR_SETTLEMENT_SUCCESS",
    "VENDOR_STATUS_UPDATE",
    "HEALTH_ALERT",
    "INSTRUMENT_ACTIVE_WEBHOOK",
    "INSTRUMENT_FAILED_WEBHOOK",
    "SUBSCRIPTION_STATUS_CHANGED",
    "PAYMENT_LINK_EVENT",
    "PAYMENT_FORM_ORDER_WEBHOOK",
    "PAYMENT_CHARGES_WEBHOOK",
)


class TestCashfreeContract(CashfreeHooks, GatewayContract):
    gateway_type = CashfreeGateway
    paid = World(order_word="PAID", attempt_word="SUCCESS", refund_word="SUCCESS")
    quiet: ClassVar[Mapping[str, str]] = {"attempt_word": "FAILED"}
    writes = ("create_order", "capture", "create_refund", "close")
    reads = ("fetch_payment", "fetch_refund")
    paises: ClassVar[Mapping[int, str]] = {
        100: "1",
        101: "1.01",
        110: "1.1",
        10015: "100.15",
        499900: "4999",
        999_999_99: "999999.99",
    }
    refusal = error_reply("400", code="order_amount_invalid")
    wrong_keys = error_reply("401")
    unknown_order = error_reply("404", code="order_not_found")
    credential_headers = ("x-webhook-signature", "x-webhook-timestamp")
    refunds_at: ClassVar[str | None] = "/refunds"
    wakes: ClassVar[frozenset[str]] = frozenset({"REFUND_STATUS_WEBHOOK", "AUTO_REFUND_STATUS_WEBHOOK"})
    order_words: ClassVar[Mapping[str, PaymentStatus]] = {
        "ACTIVE": PaymentStatus.PENDING,
        "PAID": PaymentStatus.COMPLETED,
        "EXPIRED": PaymentStatus.EXPIRED,
        "TERMINATION_REQUESTED": PaymentStatus.PENDING,
        "TERMINATED": PaymentStatus.EXPIRED,
    }
    attempt_words: ClassVar[Mapping[str, AttemptStatus]] = {
        "NOT_ATTEMPTED": AttemptStatus.PENDING,
        "PENDING": AttemptStatus.PENDING,
        "FLAGGED": AttemptStatus.PENDING,
        "SUCCESS": AttemptStatus.SUCCEEDED,
        "FAILED": AttemptStatus.FAILED,
        "USER_DROPPED": AttemptStatus.FAILED,
        "CANCELLED": AttemptStatus.VOIDED,
        "VOID": AttemptStatus.VOIDED,
    }
    refund_words: ClassVar[Mapping[str, RefundStatus]] = {
        "PENDING": RefundStatus.PENDING,
        "ONHOLD": RefundStatus.PENDING,
        "INITIATED": RefundStatus.PENDING,
        "SUCCESS": RefundStatus.COMPLETED,
        "CANCELLED": RefundStatus.FAILED,
        "FAILED": RefundStatus.FAILED,
    }
    event_names: ClassVar[Mapping[str, EventKind]] = {
        "PAYMENT_SUCCESS_WEBHOOK": EventKind.PAYMENT,
        "PAYMENT_FAILED_WEBHOOK": EventKind.PAYMENT,
        "PAYMENT_USER_DROPPED_WEBHOOK": EventKind.PAYMENT,
        "REFUND_STATUS_WEBHOOK": EventKind.REFUND,
        "AUTO_REFUND_STATUS_WEBHOOK": EventKind.REFUND,
        "DISPUTE_CREATED": EventKind.DISPUTE,
        "DISPUTE_UPDATED": EventKind.DISPUTE,
        "DISPUTE_CLOSED": EventKind.DISPUTE,
        "SETTLEMENT_INITIATED": EventKind.SETTLEMENT,
        "SETTLEMENT_SUCCESS": EventKind.SETTLEMENT,
        "SETTLEMENT_FAILED": EventKind.SETTLEMENT,
        "SETTLEMENT_REVERSED": EventKind.SETTLEMENT,
        **dict.fromkeys(IGNORED_EVENTS, EventKind.IGNORED),
    }
