"""Odd answers and events that merchants have met, through the real gateway classes into the ledger.

tests/fixtures/trials has them, everything personal invented; ORDER and PAYMENT stand for ids of ours.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from payments_service.domain.errors import PaymentsError
from payments_service.domain.money import Money
from payments_service.flows import reviews, status, verify, webhook
from payments_service.flows.create_order import Urls, create_order
from payments_service.flows.payment_view import PaymentView
from payments_service.gateways.base import Gateway
from payments_service.gateways.cashfree import CashfreeGateway
from payments_service.gateways.phonepe import PhonePeGateway
from payments_service.gateways.razorpay import RazorpayGateway
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.tables import Payment
from tests.flows.conftest import Ledger, wish
from tests.flows.delivering import HandClock
from tests.flows.test_reconcile import told
from tests.gateways import cashfree_wire, phonepe_wire, razorpay_wire
from tests.gateways.wire import Reply, Request, Wire, wire
from tests.support.sweeping import sweep_payments

TRIALS = Path(__file__).parents[1] / "fixtures" / "trials"
DAY = timedelta(days=1)
HOOKS: dict[str, Any] = {
    "razorpay": razorpay_wire.RazorpayHooks,
    "cashfree": cashfree_wire.CashfreeHooks,
    "phonepe": phonepe_wire.PhonePeHooks,
}
GATEWAYS: dict[str, type[Gateway]] = {
    "razorpay": RazorpayGateway,
    "cashfree": CashfreeGateway,
    "phonepe": PhonePeGateway,
}


def trial(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((TRIALS / f"{name}.json").read_text())
    return read


@dataclass
class Town:
    """One gateway on a wire, whose orders are told as a trial has them; and a merchant's ledger."""

    db: Database
    name: str
    gateway: Any = None
    answers: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    """Orders by the gateway's id, as they were when they were made."""
    hand: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.hooks = HOOKS[self.name]()

    def serve(self, request: Request) -> Reply:
        parts = request.path.strip("/").removeprefix("v1/").split("/")
        match self.name, request.method, parts:
            case "razorpay", "POST", ["orders"]:
                return self._make({**json.loads(request.body), "id": f"order_Trial{len(self.made):09}"})
            case "cashfree", "POST", ["orders"]:
                body = json.loads(request.body)
                return self._make({**body, "cf_order_id": "21", "payment_session_id": "s_1"}, "order_id")
            case "phonepe", "POST", ["oauth", "token"]:
                return Reply.of(phonepe_wire.fixture("v2/oauth_token_response") | {"expires_at": 4 * 10**9})
            case "phonepe", "POST", ["checkout", "v2", "pay"]:
                return self._make({**json.loads(request.body), **self.answers["pay"]}, "merchantOrderId")
            case "phonepe", "GET", ["checkout", "v2", "order", _, "status"]:
                return Reply.of(self.answers["status"])
            case _, "GET", ["orders", order_id]:
                return self._say("order", order_id)
            case _, "GET", ["orders", order_id, ("payments" | "refunds") as what]:
                return self._say(what, order_id)
            case "razorpay", "GET", ["payments", _, "refunds"]:
                return self._say("refunds", "")
        raise AssertionError(f"{request.method} {request.path}")

    def _make(self, order: dict[str, Any], by: str = "id") -> Reply:
        word = {"status": "created", "attempts": 0, "created_at": 1795951000, "order_status": "ACTIVE"}
        self.made[order[by]] = {**order, **word}
        return Reply.of(self.made[order[by]])

    def _say(self, what: str, order_id: str) -> Reply:
        if what == "order" and what not in self.answers:
            return Reply.of(self.made[order_id])
        empty: Any = [] if self.name == "cashfree" else {"items": []}
        said = self.answers.get(what, empty)
        code = said.get("http_status", 200) if isinstance(said, dict) else 200
        return Reply.of(self._of_ours(said["body"] if code != 200 else said, order_id), code)

    def _of_ours(self, body: Any, order_id: str) -> Any:
        wire_id = self.made.get(order_id, {}).get("receipt", "")
        text = json.dumps(body).replace('"ORDER"', json.dumps(order_id)).replace('"psv_x"', f'"{wire_id}"')
        return json.loads(text)

    def buy(self, rupees: int = 500) -> PaymentView:
        return create_order(self.db, self.gateway, wish(Money(rupees * 100)), Urls("https://x.example"), "r")

    def hear(self, body: dict[str, Any], opened: PaymentView, number: int = 1, payment: str = "") -> None:
        text = json.dumps(body).replace('"ORDER"', json.dumps(opened.order_id))
        raw = text.replace('"PAYMENT"', json.dumps(payment)).encode()
        headers = self.hooks.sign(raw, self.hooks.webhook_secrets[0], number)
        webhook.receive(self.db, self.gateway, headers, raw)

    def ask(self, opened: PaymentView) -> PaymentView:
        """A status page, then the worker for two months."""
        return status.status(self.db, self.name, [self.gateway], opened.order_id or "", "request-1")

    def follow(self, time: timedelta) -> None:
        ends = self.hand.moment + time
        while True:
            with self.db.read() as session:
                due = [p.next_check_at for p in session.query(Payment) if p.next_check_at]
            if not due or min(due) > ends:
                self.hand.moment = ends
                return
            self.hand.moment = max(self.hand.moment, min(due))
            self.gateway_session().reads._saved = 100.0  # days pass in seconds, the budget does not
            sweep_payments(self.db, self.gateway, self.hand.clock)

    def gateway_session(self) -> Any:
        return getattr(self.gateway, "session", None) or self.gateway.client.session

    def reasons(self) -> list[str]:
        return [review.why for review in reviews.open_reviews(self.db)]


@pytest.fixture
def ledger(db: Database) -> Ledger:
    return Ledger(db)


@pytest.fixture
def town(db: Database, request: pytest.FixtureRequest) -> Iterator[Town]:
    """For the gateway that the test is about (razorpay when it does not say)."""
    db.destinations = (outbox.MERCHANT,)
    made = Town(db, getattr(request, "param", "razorpay"))
    with wire(made.serve) as line:
        made.gateway = GATEWAYS[made.name](_config(made, line))
        yield made


def _config(town: Town, line: Wire) -> Any:
    return town.hooks.config(line.url)


def of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("town", names, indirect=True)


# ── money that the gateway does not hold ────────────────────────────────────────────────────────────


@of("cashfree")
def test_cashfrees_cash_on_delivery_stays_open_with_a_readable_word(town: Town, ledger: Ledger) -> None:
    opened = town.buy()
    town.hear(trial("cashfree-cod-webhook")["webhook"], opened)
    town.answers = trial("cashfree-cod-fetch")["answers"]
    town.ask(opened)
    town.follow(7 * DAY)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review) == ("pending", None)
    assert payment.gateway_status == "CASH_ON_DELIVERY"
    assert told(town.db) == []


@of("cashfree")
def test_cashfrees_hold_is_authorized_with_its_end_and_left_alone(town: Town, ledger: Ledger) -> None:
    opened = town.buy()
    town.hear(trial("cashfree-preauthorised")["webhook"], opened)
    assert ledger.payment(opened.id).status == "authorized"
    assert told(town.db) == ["payment.authorized"]


def test_a_part_paid_beside_cash_is_a_review_that_names_both_sums(town: Town, ledger: Ledger) -> None:
    opened = town.buy(1000)
    given = trial("razorpay-partial-cod-placed")
    town.answers = given["answers"]
    town.hear(given["webhook"], opened)
    assert (ledger.payment(opened.id).status, town.reasons()) == ("pending", ["amount_mismatch"])
    [review] = reviews.open_reviews(town.db)
    assert (review.detail["orderedPaise"], review.detail["payments"][0]["amountPaise"]) == (100000, 20000)


def test_razorpays_cash_on_delivery_stays_open_and_is_no_error(
    town: Town, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    opened = town.buy(999)
    given = trial("razorpay-cod-pending-and-placed")
    town.answers = given["answers"]
    town.hear(given["webhook"], opened)
    town.follow(7 * DAY)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review, payment.payment_method) == ("pending", None, "cod")
    assert payment.gateway_status == "cod_pending"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# ── a word that is behind its money ─────────────────────────────────────────────────────────────────


def test_captured_under_a_stale_word_is_never_expired(town: Town, ledger: Ledger) -> None:
    opened = town.buy()
    town.answers = trial("razorpay-full-amount-captured-order-word-stale")["answers"]
    town.follow(7 * DAY)
    assert (ledger.payment(opened.id).status, town.reasons()) == ("pending", ["captured_but_not_paid"])
    fields = {"orderId": opened.order_id or "", "paymentId": "pay_StaleWord00001"}
    message = f"{opened.order_id}|pay_StaleWord00001"
    fields["signature"] = razorpay_wire.signature(razorpay_wire.KEY_SECRET, message)
    with pytest.raises(PaymentsError) as refused:
        verify.verify(town.db, "razorpay", [town.gateway], fields, "request-1")
    assert (refused.value.http_status, refused.value.code) == (409, "payment_review")


@of("cashfree")
def test_a_success_under_an_expired_order_goes_to_a_person(town: Town, ledger: Ledger) -> None:
    opened = town.buy()
    town.answers = trial("cashfree-success-under-expired-order")["answers"]
    town.ask(opened)
    assert (ledger.payment(opened.id).status, town.reasons()) == ("pending", ["captured_but_not_paid"])


# ── one odd item hides nothing ──────────────────────────────────────────────────────────────────────

PAID = [
    *(("cashfree", f"cashfree-odd-attempt-{odd}") for odd in ("amount-three-decimals", "id-null")),
    ("cashfree", "cashfree-refunds-404"),
    *(("razorpay", f"razorpay-odd-failed-attempt-amount-{odd}") for odd in ("null", "text")),
    ("razorpay", "razorpay-order-created-at-null"),
    ("razorpay", "razorpay-refund-without-status"),
]


@pytest.mark.parametrize(("town", "name"), PAID, indirect=["town"], ids=[name for _, name in PAID])
def test_an_odd_item_beside_a_good_one_hides_nothing(town: Town, ledger: Ledger, name: str) -> None:
    opened = town.buy()
    town.answers = trial(name)["answers"]
    assert town.ask(opened).status.value == "completed"
    assert (ledger.payment(opened.id).review, told(town.db)) == (None, ["payment.completed"])


@of("phonepe")
def test_phonepes_root_state_decides_whatever_its_details_lack(town: Town, ledger: Ledger) -> None:
    town.answers["pay"] = trial("phonepe-v2-pay-answer-without-expireAt")["answer"]
    for number, answer in enumerate(trial("phonepe-v2-status-answers")["answers"].values()):
        town.answers["pay"] = {**town.answers["pay"], "orderId": f"OMO{number}"}
        opened = town.buy(101)
        attempts = answer.get("paymentDetails") or []
        for attempt in attempts:
            if attempt.get("transactionId"):
                attempt["transactionId"] += str(number)  # one payment id counts for one order
        town.answers["status"] = {**answer, "orderId": f"OMO{number}"}
        assert town.ask(opened).status.value == "completed"
        assert ledger.payment(opened.id).review is None


# ── an event that lacks something ───────────────────────────────────────────────────────────────────

SPOILED = [
    *(("cashfree", f"cashfree-event-{odd}") for odd in ("amount-three-decimals", "event-time-missing")),
    ("cashfree", "cashfree-event-event-time-words"),
    *(("razorpay", f"razorpay-event-{odd}") for odd in ("amount-text", "created-at-missing")),
    *(("razorpay", f"razorpay-event-{odd}") for odd in ("created-at-text", "order-entity-null")),
]


@pytest.mark.parametrize(("town", "name"), SPOILED, indirect=["town"], ids=[name for _, name in SPOILED])
def test_a_spoiled_event_keeps_its_name_and_has_the_order_asked_at_once(
    town: Town, ledger: Ledger, name: str
) -> None:
    opened = town.buy()
    good = "razorpay-order-created-at-null" if town.name == "razorpay" else "cashfree-refunds-404"
    town.answers = trial(good)["answers"]
    event = trial(name)["webhook"]
    town.hear(event, opened)
    [row] = ledger.inbox()
    assert row.webhook_type == event.get("event", event.get("type"))
    assert (row.order_id, row.payment_id) == (opened.order_id, opened.id)
    assert (row.outcome, ledger.payment(opened.id).status) == ("applied", "completed")


def test_events_that_name_only_the_payment_find_it(town: Town, ledger: Ledger) -> None:
    opened = town.buy()
    town.answers = trial("razorpay-order-created-at-null")["answers"]
    town.ask(opened)
    for name in ("razorpay-dispute-only", "razorpay-refund-entity-only"):
        town.hear(trial(name)["webhook"], opened, payment="pay_Good0000000001")
    assert told(town.db) == ["payment.completed", "dispute.opened", "refund.completed"]
    assert town.ask(opened).amount_refunded == Money(20000)


# ── one id, one thing ───────────────────────────────────────────────────────────────────────────────


def test_one_payment_id_for_two_orders_holds_the_second_for_a_person(town: Town, ledger: Ledger) -> None:
    first, second = town.buy(), town.buy()
    for number, opened in enumerate((first, second)):
        town.hear(trial("one-payment-id-for-two-orders-razorpay")["webhook"], opened, number)
    assert ledger.payment(first.id).status == "completed"
    other = ledger.payment(second.id)
    assert (other.status, other.review) == ("pending", "payment_of_another_order")


@of("razorpay", "cashfree")
def test_one_event_id_with_two_bodies_is_two_events(town: Town, ledger: Ledger) -> None:
    name = "same-event-id-other-body" if town.name == "razorpay" else "cashfree-event-event-time-missing"
    text = json.dumps(trial(name)["webhook"])
    for number in range(2):
        opened = town.buy()
        body = json.loads(text.replace("pay_SameEvent00001", f"pay_SameEvent0000{number}"))
        if town.name == "cashfree":
            body["event_time"] = "2026-11-29T16:50:31+05:30"
            body["data"]["payment"]["cf_payment_id"] = f"511490000000{number}"
        town.hear(body, opened, number=1)
        assert ledger.payment(opened.id).status == "completed"


# ── the account's other products ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "kind",
    [
        *("order.notification.delivered", "token.service_provider.activated", "account.updated"),
        *(
            "product.route.activated",
            "payout.processed",
            "payout_link.paid",
            "fund_account.validation.completed",
        ),
        *("transaction.created", "subscription.charged", "invoice.paid", "payment.downtime.started"),
    ],
)
def test_other_products_are_quiet(
    town: Town, ledger: Ledger, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    opened = town.buy()
    caplog.clear()
    town.hear({**trial("razorpay-unknown-families")["webhook"], "event": kind}, opened)
    assert [row.outcome for row in ledger.inbox()] == ["ignored"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@of("cashfree")
def test_an_order_paid_in_another_currency_goes_to_a_person(town: Town, ledger: Ledger) -> None:
    opened = town.buy()
    paid = trial("cashfree-refunds-404")["answers"]
    town.answers = {**paid, "order": {**paid["order"], "order_currency": "USD"}}
    town.ask(opened)
    assert (ledger.payment(opened.id).status, town.reasons()) == ("pending", ["amount_mismatch"])
    [review] = reviews.open_reviews(town.db)
    assert review.detail["gatewayCurrency"] == "USD"


def test_a_word_that_is_not_known_is_told_once(
    town: Town, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    opened = town.buy()
    paid = trial("razorpay-order-created-at-null")["answers"]
    odd = {**paid["payments"]["items"][0], "status": "dreaming"}
    town.answers = {"order": {**paid["order"], "status": "floating"}, "payments": {"items": [odd]}}
    town.follow(timedelta(minutes=10))
    told_of = [record for record in caplog.records if record.message == "Unknown status from gateway"]
    assert len(told_of) == 2
    assert ledger.payment(opened.id).status == "pending"
