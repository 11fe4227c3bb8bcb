"""Authentic news that names only a refund or a payment, through the real gateway classes into the ledger."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import select

from payments_service.domain.deadline import Deadline
from payments_service.domain.news import EventKind
from payments_service.domain.payment import Actor
from payments_service.domain.states import RefundStatus, Source
from payments_service.flows import reconcile, refund, sync, webhook
from payments_service.flows.create_order import Urls, create_order
from payments_service.flows.payment_view import PaymentView
from payments_service.store.db import Database
from payments_service.store.tables import Refund
from tests.flows.conftest import PRICE, Ledger, wish
from tests.flows.delivering import HandClock
from tests.gateways import phonepe_wire
from tests.gateways.cashfree_wire import event as cashfree_event
from tests.gateways.hooks import REFUND_ID, WIRE_ID, GatewayHooks, World
from tests.gateways.phonepe_wire import compact
from tests.gateways.razorpay_wire import event as razorpay_event
from tests.gateways.test_cashfree_contract import TestCashfreeContract as CashfreeContract
from tests.gateways.test_odd_kinds import CASHFREE, CF_PAY, ORDER, PAY, PHONEPE, answers, town
from tests.gateways.test_phonepe_contract import TestPhonePeContract as V2Contract
from tests.gateways.test_phonepe_contract import TestPhonePeV1Contract as V1Contract
from tests.gateways.test_razorpay_contract import TestRazorpayContract as RazorpayContract
from tests.gateways.test_trials import Town
from tests.gateways.wire import Reply, Request, wire

__all__ = ["town"]

URLS = Urls("http://127.0.0.1:5000")
ASKER = Actor(Source.WORKER, "reconcile")
OUR_IDS = re.compile(r"ps[vr]_\w+")
OUR_NAMES = {"psv": WIRE_ID, "psr": REFUND_ID}
"""How the contract's samples name our order and our refund."""
THEIRS = "OMRcontract0001"


@pytest.fixture
def ledger(db: Database) -> Ledger:
    return Ledger(db)


@dataclass
class Counter:
    """A paid payment, whose refund PhonePe has not ended yet and is asked about later."""

    db: Database
    hooks: GatewayHooks
    world: World
    gateway: Any = None
    ids: dict[str, str] = field(default_factory=dict)
    payment: PaymentView | None = None
    heard: int = 0

    def serve(self, request: Request) -> Reply:
        """As the contract's gateway answers, about our ids in the place of its own."""
        signed = request.method == "POST" and b'"request"' in request.body
        said = json.dumps(phonepe_wire.v1_sent(request)) if signed else request.body.decode()
        self.ids |= {name[:3]: name for name in OUR_IDS.findall(said)}
        target = request.target.replace(self.ids.get("psr", REFUND_ID), REFUND_ID)
        reply = self.hooks.serve(replace(request, target=target), self.world)
        return replace(reply, body=self.named(reply.body.decode()).encode())

    def named(self, text: str) -> str:
        for kind, name in OUR_NAMES.items():
            text = text.replace(name, self.ids.get(kind, name))
        return text

    def begin(self) -> None:
        self.payment = create_order(self.db, self.gateway, wish(PRICE), URLS, "request-1")
        sync.refresh(self.db, self.gateway, self.payment.id, ASKER, Deadline(5))
        refund.refund(self.db, self.gateway, self.payment.id, None, "returned goods", ASKER)
        assert self.row().status == RefundStatus.PENDING

    def hear(self, body: Any) -> None:
        """A genuine event; what stands beside its members differs each time."""
        self.heard += 1
        text = self.named(json.dumps({**body, "heard": self.heard}))
        raw = self.hooks.enclose(text.encode())
        headers = self.hooks.sign(raw, self.hooks.webhook_secrets[0], self.heard)
        webhook.receive(self.db, self.gateway, headers, raw)

    def sweep(self) -> int:
        return reconcile.sweep_refunds(self.db, self.gateway, URLS, HandClock().clock)

    def row(self) -> Refund:
        with self.db.read() as session:
            return session.scalars(select(Refund)).one()


V1, V2 = (V1Contract, "PAYMENT_PENDING"), (V2Contract, "PENDING")


@pytest.fixture
def counter(db: Database, request: pytest.FixtureRequest) -> Iterator[Counter]:
    contract, waits = request.param
    made = Counter(db, contract(), contract.paid.but(amount=PRICE, refund_word=waits))
    with wire(made.serve) as line:
        made.gateway = contract.gateway_type(made.hooks.config(line.url))
        made.begin()
        yield made


def v1_callback(refund_id: str = REFUND_ID, code: str = "PAYMENT_SUCCESS") -> dict[str, Any]:
    told = phonepe_wire.v1_refund(V1Contract.paid.but(refund_word=code))
    told["data"]["merchantTransactionId"] = refund_id
    return told


def v2_event(name: str = "pg.refund.completed", **payload: str) -> dict[str, Any]:
    return {"event": name, "payload": {"state": "COMPLETED", "amount": PRICE.minor, **payload}}


TOLD = [
    (V1, v1_callback(), "stored"),
    (V1, v1_callback(code="PAYMENT_ERROR"), "stored"),  # a callback is not believed, only asked about
    (V2, v2_event(merchantRefundId=REFUND_ID), "stored"),
    (V2, v2_event(refundId=THEIRS), "stored"),
    (V2, {"refundId": THEIRS, "state": "COMPLETED", "amount": PRICE.minor}, "stored"),
    (V2, v2_event("pg.refund.reversed", merchantRefundId=REFUND_ID), "unknown"),
]


@pytest.mark.parametrize(("counter", "told", "outcome"), TOLD, indirect=["counter"])
def test_an_event_that_names_only_a_refund_has_it_asked_about_at_once(
    counter: Counter, ledger: Ledger, told: dict[str, Any], outcome: str
) -> None:
    assert counter.sweep() == 0
    counter.world = type(counter.hooks).paid.but(amount=PRICE)
    counter.hear(told)
    [row] = ledger.inbox()
    assert counter.payment is not None
    assert (row.outcome, row.payment_id, row.next_try_at) == (outcome, counter.payment.id, None)
    assert counter.row().status == RefundStatus.PENDING
    assert counter.sweep() == 1
    assert counter.row().status == RefundStatus.COMPLETED


@pytest.mark.parametrize(("counter", "told", "outcome"), TOLD[1:3], indirect=["counter"])
def test_a_refund_that_has_ended_is_not_asked_about_by_its_events_again(
    counter: Counter, ledger: Ledger, told: dict[str, Any], outcome: str
) -> None:
    counter.world = type(counter.hooks).paid.but(amount=PRICE)
    counter.hear(told)
    assert counter.sweep() == 1
    due = counter.row().next_check_at
    for _ in range(3):
        counter.hear(told)
    assert (counter.sweep(), counter.row().next_check_at) == (0, due)
    assert [row.outcome for row in ledger.inbox()] == [outcome] * 4


@pytest.mark.parametrize(
    ("counter", "failed", "told"),
    [(V1, "PAYMENT_ERROR", v1_callback()), (V2, "FAILED", v2_event(merchantRefundId=REFUND_ID))],
    indirect=["counter"],
)
def test_a_refund_that_failed_and_was_made_after_all_is_found_by_its_event(
    counter: Counter, failed: str, told: dict[str, Any]
) -> None:
    for word, status in ((failed, RefundStatus.FAILED), (failed, RefundStatus.FAILED)):
        counter.world = type(counter.hooks).paid.but(amount=PRICE, refund_word=word)
        counter.hear(told)
        assert counter.sweep() == 1
        assert counter.row().status == status
    assert counter.row().next_check_at is None
    counter.world = type(counter.hooks).paid.but(amount=PRICE)
    counter.hear(told)
    assert counter.sweep() == 1
    assert counter.row().status == RefundStatus.COMPLETED


@pytest.mark.parametrize(
    ("counter", "told"),
    [
        (V1, v1_callback("psr_ofanotherserver")),
        (V2, v2_event(merchantRefundId="from-the-dashboard", refundId="OMRdashboard0001")),
    ],
    indirect=["counter"],
)
def test_an_event_of_a_refund_that_is_not_known_here_is_stored(
    counter: Counter, ledger: Ledger, told: dict[str, Any]
) -> None:
    counter.hear(told)
    [row] = ledger.inbox()
    assert (row.outcome, row.payment_id, row.next_try_at) == ("stored", None, None)
    assert counter.sweep() == 0


# ── by a payment only ───────────────────────────────────────────────────────────────────────────────────

RAZORPAY_REFUND = {
    **{"id": "rfnd_Known00000001", "payment_id": PAY["id"], "amount": 10000, "currency": "INR"},
    "status": "processed",
}
CASHFREE_REFUND = {
    **{"cf_refund_id": "11325632", "cf_payment_id": CF_PAY["cf_payment_id"], "refund_id": "by-hand"},
    **{"order_id": "ORDER", "refund_amount": 100, "refund_currency": "INR", "refund_status": "SUCCESS"},
}
GAVE_BACK = {**PAY, "amount_refunded": 10000}


def with_refund(name: str, **more: Any) -> dict[str, Any]:
    if name == "razorpay":
        return {**answers(ORDER, GAVE_BACK), "refunds": {"items": [{**RAZORPAY_REFUND, **more}]}}
    return {**CASHFREE, "refunds": [{**CASHFREE_REFUND, **more}]}


@pytest.mark.parametrize(
    ("town", "event", "told"),
    [
        (
            "razorpay",
            {"event": "refund.arn_updated", "payload": {"refund": {"entity": RAZORPAY_REFUND}}},
            {"acquirer_data": {"arn": "10000000000000"}},
        ),
        (
            "razorpay",
            {"event": "payment.reversed", "payload": {"payment": {"entity": {"id": PAY["id"]}}}},
            {"acquirer_data": {"arn": "10000000000000"}},
        ),
        (
            "cashfree",
            {
                "type": "REFUND_ARN_WEBHOOK",
                "data": {"refund": {"cf_payment_id": CF_PAY["cf_payment_id"]}},
            },
            {"refund_arn": "10000000000000"},
        ),
    ],
    indirect=["town"],
)
def test_an_event_of_an_unknown_type_that_names_only_a_payment_has_it_asked_about_at_once(
    town: Town, ledger: Ledger, event: dict[str, Any], told: dict[str, Any]
) -> None:
    opened = town.buy()
    town.answers = with_refund(town.name)
    sync.refresh(town.db, town.gateway, opened.id, ASKER, Deadline(5))
    town.answers = with_refund(town.name, **told)
    town.hear(event, opened)
    [row] = ledger.inbox()
    assert (row.outcome, row.payment_id, row.order_id) == ("unknown", opened.id, None)
    with town.db.read() as session:
        assert [one.bank_reference for one in session.scalars(select(Refund))] == ["10000000000000"]


def test_also_where_phonepe_says_it(db: Database, ledger: Ledger) -> None:
    made = Town(
        db,
        "phonepe",
        answers={"pay": {"orderId": "OMO1", "state": "PENDING", "redirectUrl": "https://p.example/t"}},
    )
    paid = {
        **PHONEPE,
        "paymentDetails": [{"transactionId": "OMcontract0001", "state": "PENDING", "amount": 50000}],
    }
    with wire(made.serve) as line:
        made.gateway = V2Contract.gateway_type(made.hooks.config(line.url))
        opened = made.buy()
        made.answers |= {"status": {**paid, "state": "PENDING"}}
        sync.refresh(db, made.gateway, opened.id, ASKER, Deadline(5))
        made.answers |= {"status": paid}
        made.hear({"event": "pg.transaction.held", "payload": {"transactionId": "OMcontract0001"}}, opened)
    assert [row.outcome for row in ledger.inbox()] == ["unknown"]
    assert ledger.payment(opened.id).status == "completed"


@pytest.mark.parametrize("town", ["razorpay", "cashfree"], indirect=True)
def test_an_unknown_payment_of_an_unknown_event_is_kept_and_not_asked_about(
    town: Town, ledger: Ledger
) -> None:
    opened = town.buy()
    town.answers = {"order": {"http_status": 500, "body": {}}}
    body = {"event": "payment.reversed", "payload": {"payment": {"entity": {"id": "pay_SomebodyElse01"}}}}
    cashfree = {"type": "PAYMENT_REVERSED", "data": {"payment": {"cf_payment_id": "1"}}}
    town.hear(body if town.name == "razorpay" else cashfree, opened)
    [row] = ledger.inbox()
    assert (row.outcome, row.payment_id, row.next_try_at) == ("unknown", None, None)


# ── what is read ────────────────────────────────────────────────────────────────────────────────────────

PAID_BY, GIVEN_BACK = "pay_Known000000001", "rfnd_Known00000001"
V1_SAYS, V2_SAYS = V1Contract(), V2Contract()
RAZORPAY_SAYS, CASHFREE_SAYS = RazorpayContract(), CashfreeContract()


def of_razorpay(name: str, **refund: str) -> bytes:
    return razorpay_event(name, {"refund": {"entity": refund}})


def of_cashfree(name: str, **refund: Any) -> bytes:
    return cashfree_event(name, {"refund": refund})


@pytest.mark.parametrize(
    ("contract", "raw", "kind", "payment_id", "refund_id"),
    [
        (V1_SAYS, V1_SAYS.enclose(compact(v1_callback())), "refund", None, REFUND_ID),
        (
            V2_SAYS,
            compact(v2_event(merchantRefundId=REFUND_ID, refundId=THEIRS)),
            "refund",
            None,
            REFUND_ID,
        ),
        (V2_SAYS, compact(v2_event(merchantRefundId="", refundId=THEIRS)), "refund", None, THEIRS),
        (V2_SAYS, compact(v2_event(originalMerchantOrderId=WIRE_ID, refundId=THEIRS)), "refund", None, None),
        (
            RAZORPAY_SAYS,
            of_razorpay("refund.arn_updated", payment_id=PAID_BY, id=GIVEN_BACK),
            "unknown",
            PAID_BY,
            None,
        ),
        (RAZORPAY_SAYS, of_razorpay("refund.processed", id=GIVEN_BACK), "refund", None, GIVEN_BACK),
        (CASHFREE_SAYS, of_cashfree("REFUND_ARN", cf_payment_id=7, cf_refund_id=8), "unknown", "7", None),
        (CASHFREE_SAYS, of_cashfree("REFUND_STATUS_WEBHOOK", cf_refund_id=8), "refund", None, "8"),
        (CASHFREE_SAYS, of_cashfree("REFUND_STATUS_WEBHOOK", refund_id=REFUND_ID), "refund", None, REFUND_ID),
    ],
)
def test_an_event_names_a_refund_where_it_names_neither_order_nor_payment(
    contract: GatewayHooks, raw: bytes, kind: str, payment_id: str | None, refund_id: str | None
) -> None:
    event = contract.read(raw)
    assert (event.kind, event.wake_up, event.snapshot) == (EventKind(kind), False, None)
    assert (event.transaction_id, event.refund_id) == (payment_id, refund_id)
