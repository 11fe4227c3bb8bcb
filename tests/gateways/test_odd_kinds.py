"""Odd answers and events by their kind, through the real gateway classes into the ledger."""

import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import GatewayError, MoneyUnreadable
from payments_service.domain.money import Money
from payments_service.domain.news import AttemptSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, Source
from payments_service.flows import sync, webhook
from payments_service.flows.payment_view import PaymentView
from payments_service.gateways.phonepe_v1 import PhonePeV1Gateway
from payments_service.gateways.reading import UNREADABLE, whole
from payments_service.store.db import Database
from tests.flows.conftest import Ledger
from tests.gateways import phonepe_wire
from tests.gateways.test_phonepe_contract import TestPhonePeV1Contract as V1Contract
from tests.gateways.test_trials import GATEWAYS, Town, trial
from tests.gateways.wire import Reply, wire

PAY = {"id": "pay_OddKind000001", "amount": 50000, "currency": "INR", "status": "captured", "method": "upi"}
ORDER = {"id": "ORDER", "amount": 50000, "currency": "INR", "receipt": "psv_x", "status": "paid"}
WAITS = {**ORDER, "status": "attempted"}
CASHFREE = trial("cashfree-refunds-404")["answers"]
CF_ORDER, CF_PAY = CASHFREE["order"], CASHFREE["payments"][0]
CF_OVER = {**CF_ORDER, "order_status": "EXPIRED"}
PHONEPE = {"orderId": "OMO1", "state": "COMPLETED", "amount": 50000}
NO_ID = {"transactionId": None, "state": "COMPLETED", "amount": 50000}
PHONEPE_PAY = {"orderId": "OMO1", "state": "PENDING", "redirectUrl": "https://phonepe.example/t"}


@pytest.fixture
def ledger(db: Database) -> Ledger:
    return Ledger(db)


@pytest.fixture
def town(db: Database, request: pytest.FixtureRequest) -> Iterator[Town]:
    made = Town(db, getattr(request, "param", "razorpay"), answers={"pay": PHONEPE_PAY})
    with wire(made.serve) as line:
        made.gateway = GATEWAYS[made.name](made.hooks.config(line.url))
        yield made


def answers(order: dict[str, Any], *payments: Any) -> dict[str, Any]:
    return {"order": order, "payments": {"items": list(payments)}}


def ask_after(town: Town, opened: PaymentView, time: timedelta) -> None:
    """A worker comes by after some time, whether or not the answer can be read."""
    town.hand.advance(time)
    actor = Actor(Source.WORKER, "reconcile", town.hand.clock)
    with contextlib.suppress(GatewayError):
        sync.refresh(town.db, town.gateway, opened.id, actor, Deadline(5))


@pytest.mark.parametrize(
    ("town", "told"),
    [
        ("razorpay", answers(ORDER, {**PAY, "id": None})),
        ("razorpay", answers(WAITS, {**PAY, "amount": None})),
        ("razorpay", answers({**ORDER, "amount": None}, PAY)),
        ("razorpay", {**answers(ORDER), "payments": {"items": None}}),
        ("razorpay", {**answers(ORDER), "payments": {"http_status": 503, "body": {}}}),
        ("cashfree", {**CASHFREE, "payments": {"http_status": 500, "body": {}}}),
        ("cashfree", {**CASHFREE, "payments": None}),
        ("cashfree", {**CASHFREE, "payments": [{**CF_PAY, "cf_payment_id": None}]}),
        (
            "cashfree",
            {
                "order": CF_OVER,
                "payments": [{**CF_PAY, "payment_amount": None}],
            },
        ),
        ("cashfree", {**CASHFREE, "order": {**CF_ORDER, "order_amount": "1,500.00"}}),
        ("phonepe", {"pay": PHONEPE_PAY, "status": {**PHONEPE, "amount": None}}),
        *(
            ("phonepe", {"pay": PHONEPE_PAY, "status": {**PHONEPE, "state": word, "paymentDetails": [NO_ID]}})
            for word in ("FAILED", "PENDING")
        ),
    ],
    indirect=["town"],
)
def test_what_may_be_money_and_cannot_be_read_is_a_persons_to_look_at_and_never_expires(
    town: Town, ledger: Ledger, told: dict[str, Any], no_pauses: None
) -> None:
    opened = town.buy()
    town.answers = told
    ask_after(town, opened, timedelta(minutes=1))
    assert ledger.payment(opened.id).review is None
    for _ in range(2):
        ask_after(town, opened, timedelta(days=1))
    assert (ledger.payment(opened.id).status, town.reasons()) == ("pending", ["captured_but_not_paid"])


def test_also_where_phonepe_v1_says_it() -> None:
    contract = V1Contract()
    answer = phonepe_wire.v1_status(contract.paid)
    answer["data"]["amount"] = None
    with wire(lambda _: Reply.of(answer)) as line, pytest.raises(MoneyUnreadable):
        contract.call("fetch_payment", PhonePeV1Gateway(contract.config(line.url)))


EVENT = {"event": "payment.captured", "payload": {"payment": {"entity": {**PAY, "order_id": "ORDER"}}}}
CF_EVENT = trial("cashfree-event-event-time-missing")["webhook"]
NOT_UNDERSTOOD = [
    ("razorpay", {**EVENT, "event": None}, "unreadable"),
    ("razorpay", {**EVENT, "event": "payment.late_authorized"}, "unknown"),
    ("cashfree", {**CF_EVENT, "type": None}, "unreadable"),
    ("cashfree", {**CF_EVENT, "type": "PAYMENT_CAPTURED_WEBHOOK"}, "unknown"),
    ("phonepe", {"event": [], "payload": {"merchantOrderId": "ORDER"}}, "unreadable"),
    ("phonepe", {"event": "checkout.order.held", "payload": {"merchantOrderId": "ORDER"}}, "unknown"),
]


@pytest.mark.parametrize(("town", "event", "outcome"), NOT_UNDERSTOOD, indirect=["town"])
def test_an_event_that_is_not_understood_is_loud_and_has_its_order_asked_at_once(
    town: Town, ledger: Ledger, event: dict[str, Any], outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    opened = town.buy()
    town.answers = {**answers(ORDER, PAY), **(CASHFREE if town.name == "cashfree" else {})}
    town.answers |= {"status": PHONEPE}
    town.hear(event, opened)
    [row] = ledger.inbox()
    assert (row.outcome, row.order_id, row.payment_id) == (outcome, opened.order_id, opened.id)
    assert "Webhook not understood" in caplog.text
    assert ledger.payment(opened.id).status == "completed"


@pytest.mark.parametrize(
    ("town", "event"),
    [
        ("razorpay", {**EVENT, "payload": [EVENT["payload"]]}),
        (
            "razorpay",
            {"event": "payment.dispute.created", "payload": {"dispute": {"entity": {"id": "disp_1"}}}},
        ),
        ("cashfree", {**CF_EVENT, "data": "{}"}),
        ("phonepe", {"event": "checkout.order.completed", "payload": []}),
    ],
    indirect=["town"],
)
def test_an_event_of_a_payment_that_names_nothing_is_loud(
    town: Town, ledger: Ledger, event: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    town.hear(event, town.buy())
    assert [row.outcome for row in ledger.inbox()] == ["unreadable"]
    assert "Webhook not understood" in caplog.text


def test_whole_numbers_may_be_written_with_a_point_and_no_attempt_takes_less_than_nothing() -> None:
    assert [whole(value) for value in (50000.0, 5e4, "50000")] == [50000] * 3
    for wrong in (500.5, float("nan"), float("inf"), 1e300, "5e4", "50000.00", True, None):
        with pytest.raises(UNREADABLE):
            whole(wrong)
    with pytest.raises(ValueError, match="less than nothing"):
        AttemptSnapshot("pay_1", AttemptStatus.SUCCEEDED, "captured", Money(-1))


@pytest.mark.parametrize(
    "gone_back",
    [{"amount_refunded": None, "refund_status": "partial"}, {"status": "refunded", "captured": True}],
)
def test_refunds_are_read_also_where_the_sum_that_went_back_is_missing(
    town: Town, gone_back: dict[str, Any]
) -> None:
    opened = town.buy()
    refund = {
        "id": "rfnd_Odd1",
        "payment_id": PAY["id"],
        "amount": 50000,
        "currency": "INR",
        "status": "processed",
    }
    town.answers = {**answers(ORDER, {**PAY, **gone_back}), "refunds": {"items": [refund]}}
    assert town.ask(opened).amount_refunded == Money(50000)


@pytest.mark.parametrize(
    ("town", "told"),
    [
        ("razorpay", answers(ORDER, {**PAY, "method": "COD"})),
        *(
            ("cashfree", {**CASHFREE, "payments": [{**CF_PAY, "payment_group": group}]})
            for group in ("cod", "Cash on Delivery")
        ),
        # beside a word that is not known, which may be one for money
        (
            "cashfree",
            {
                "order": CF_OVER,
                "payments": [{**CF_PAY, "payment_status": "PAID_LATE"}],
            },
        ),
    ],
    indirect=["town"],
)
def test_cash_in_another_spelling_is_not_paid_and_an_unknown_word_ends_nothing(
    town: Town, ledger: Ledger, told: dict[str, Any]
) -> None:
    opened = town.buy()
    town.answers = told
    town.ask(opened)
    assert ledger.payment(opened.id).status == "pending"


LONG = "".join(f"{number:x}" for number in range(3000))


@pytest.mark.parametrize(
    ("town", "event", "spoiled"),
    [
        ("razorpay", EVENT, "header"),
        ("cashfree", {**CF_EVENT, "event_time": "2026-11-29T16:50:31+05:30"}, "header"),
        ("cashfree", CF_EVENT, "ORDER"),
        ("cashfree", {**CF_EVENT, "event_time": "2026-11-29T16:50:31+05:30"}, "5114900000001"),
        ("phonepe", {"event": "checkout.order.completed", "payload": {"merchantOrderId": "ORDER"}}, "ORDER"),
    ],
    indirect=["town"],
)
def test_an_id_of_any_length_leaves_an_event_that_is_kept(
    town: Town, ledger: Ledger, event: dict[str, Any], spoiled: str
) -> None:
    """An index of PostgreSQL takes 2,704 bytes."""
    opened = town.buy()
    town.answers = {**answers(ORDER, PAY), **(CASHFREE if town.name == "cashfree" else {})}
    text = json.dumps(event).replace(f'"{spoiled}"', f'"{LONG}"')
    raw = text.replace('"ORDER"', json.dumps(opened.order_id)).encode()
    headers = town.hooks.sign(raw, town.hooks.webhook_secrets[0])
    if spoiled == "header":
        headers |= dict.fromkeys(("x-razorpay-event-id", "x-idempotency-key"), LONG)
    for _ in range(2):
        webhook.receive(town.db, town.gateway, headers, raw)
    [row] = ledger.inbox()
    is_named = spoiled != "ORDER"
    assert (row.outcome == "applied") is is_named
    assert ledger.payment(opened.id).status == ("completed" if is_named else "pending")
