"""Money that a gateway does not hold is not paid, and money that it holds is not lost, whatever the word."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from payments_service.domain.errors import Conflict, NotFound
from payments_service.domain.money import Money
from payments_service.domain.states import AttemptStatus, PaymentStatus
from payments_service.flows import reviews, verify, webhook
from payments_service.flows.payment_view import PaymentView
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.tables import Outbox
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.delivering import HandClock
from tests.flows.test_reconcile import follow, told
from tests.support.fake_gateway import GENUINE, FakeGateway

DAY = timedelta(days=1)
PLACED, COLLECTED, HELD, TAKEN = (
    AttemptStatus.PLACED,
    AttemptStatus.COLLECTED,
    AttemptStatus.AUTHORIZED,
    AttemptStatus.SUCCEEDED,
)


@pytest.fixture
def hand() -> HandClock:
    return HandClock()


def say(
    gateway: FakeGateway, status: PaymentStatus | None, *attempts: tuple[str, AttemptStatus, Money]
) -> None:
    gateway.status = status
    gateway.attempts = tuple(gateway.attempt(*attempt) for attempt in attempts)


def ask(db: Database, gateway: FakeGateway, opened: PaymentView) -> PaymentView:
    fields = {"orderId": opened.order_id or "", "proof": f"proof of {opened.order_id}"}
    return verify.verify(db, gateway.name, [gateway], fields, "request-1")


def reasons(db: Database) -> list[str]:
    return [review.why for review in reviews.open_reviews(db)]


# ── cash on delivery ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("word", [PaymentStatus.PENDING, PaymentStatus.COMPLETED])
def test_cash_that_was_promised_stays_open_for_sixty_days_and_is_looked_at_daily(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, word: PaymentStatus
) -> None:
    opened = buy(db, gateway)
    say(gateway, word, ("cod_1", PLACED, PRICE))
    asked = follow(db, gateway, hand, 70 * DAY)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review, payment.payment_method) == ("pending", None, "upi")
    assert 100 < asked < 130
    assert payment.next_check_at is None


def test_cash_that_was_collected_waits_for_a_person_who_accepts_it(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    db.destinations = (outbox.MERCHANT,)
    opened = buy(db, gateway)
    say(gateway, PaymentStatus.COMPLETED, ("cod_1", COLLECTED, Money(54900)))
    follow(db, gateway, hand, 2 * DAY)
    assert (ledger.payment(opened.id).status, reasons(db)) == ("pending", ["cash_collected"])
    assert told(db) == ["payment.review"]
    [review] = reviews.open_reviews(db)
    assert review.detail["orderedPaise"] == PRICE.minor
    assert review.detail["payments"] == [{"paymentId": "cod_1", "amountPaise": 54900}]
    assert "Accept" in review.what_to_do
    reviews.clear(db, opened.id, "asha", accept=True, clock=hand.clock)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review, payment.transaction_id) == ("completed", None, "cod_1")
    assert told(db) == ["payment.review", "payment.completed"]
    follow(db, gateway, hand, 10 * DAY)
    assert reasons(db) == []


@pytest.mark.parametrize("word", [PaymentStatus.PENDING, PaymentStatus.COMPLETED])
def test_a_part_that_was_paid_beside_cash_is_flagged_with_both_sums(
    db: Database, gateway: FakeGateway, ledger: Ledger, word: PaymentStatus
) -> None:
    opened = buy(db, gateway)
    part = Money(10000)
    say(gateway, word, ("pay_1", TAKEN, part), ("cod_1", PLACED, Money(39900)))
    with pytest.raises(verify.UnderReview):
        ask(db, gateway, opened)
    payment = ledger.payment(opened.id)
    assert (payment.status, reasons(db)) == ("pending", ["amount_mismatch"])
    [review] = reviews.open_reviews(db)
    assert review.detail["orderedPaise"] == PRICE.minor
    assert review.detail["payments"] == [{"paymentId": "pay_1", "amountPaise": 10000}]


def test_an_offer_leaves_less_than_the_order_and_pays_it(db: Database, gateway: FakeGateway) -> None:
    opened = buy(db, gateway)
    say(gateway, PaymentStatus.COMPLETED, ("pay_1", TAKEN, PRICE - Money(5000)))
    assert ask(db, gateway, opened).status is PaymentStatus.COMPLETED


def test_who_changes_from_cash_to_paying_in_full_has_paid(db: Database, gateway: FakeGateway) -> None:
    opened = buy(db, gateway)
    say(gateway, PaymentStatus.COMPLETED, ("cod_1", PLACED, PRICE), ("pay_1", TAKEN, PRICE))
    assert ask(db, gateway, opened).status is PaymentStatus.COMPLETED


@pytest.mark.parametrize("attempt", [HELD, PLACED])
def test_an_order_that_was_told_as_paid_and_brought_no_money_is_flagged(
    db: Database, gateway: FakeGateway, ledger: Ledger, attempt: AttemptStatus
) -> None:
    """Its attempts were not listed yet when the gateway said that it is paid."""
    opened = buy(db, gateway)
    say(gateway, PaymentStatus.COMPLETED)
    follow(db, gateway, HandClock(), timedelta(minutes=1))
    assert (ledger.payment(opened.id).status, reasons(db)) == ("completed", [])
    say(gateway, PaymentStatus.COMPLETED, ("pay_1", attempt, PRICE))
    follow(db, gateway, HandClock(), timedelta(hours=2))
    assert (ledger.payment(opened.id).status, reasons(db)) == ("completed", ["amount_mismatch"])


def test_an_event_alone_never_completes_cash(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    opened = buy(db, gateway)
    for attempt in ("placed", "collected"):
        event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, attempt=attempt)
        webhook.receive(db, gateway, GENUINE, event)
    assert ledger.payment(opened.id).status == "pending"
    assert reasons(db) == ["cash_collected"]


# ── money that is held ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("word", [PaymentStatus.COMPLETED, PaymentStatus.EXPIRED, PaymentStatus.FAILED, None])
def test_a_hold_is_authorized_under_any_word_and_left_alone_where_no_machine_captures(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, word: PaymentStatus | None
) -> None:
    gateway.captures_automatically = False  # type: ignore[misc]
    opened = buy(db, gateway)
    say(gateway, word, ("pay_1", HELD, PRICE))
    follow(db, gateway, hand, 20 * DAY)
    assert ledger.payment(opened.id).status == "authorized"
    assert [call for call in gateway.calls if call.startswith("capture")] == []


def test_a_hold_that_was_released_ends_the_payment_under_any_word(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    gateway.captures_automatically = False  # type: ignore[misc]
    opened = buy(db, gateway)
    say(gateway, PaymentStatus.AUTHORIZED, ("pay_1", HELD, PRICE))
    follow(db, gateway, hand, DAY)
    say(gateway, PaymentStatus.EXPIRED, ("pay_1", AttemptStatus.VOIDED, PRICE))
    follow(db, gateway, hand, DAY)
    assert ledger.payment(opened.id).status == "failed"


# ── captured, and the order's word does not say so ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    "hides",
    [
        {"status": None},
        {"misses_money": True},
        {"attempts": [None]},
        {"attempts": [None, AttemptStatus.FAILED]},
    ],
    ids=["the order's word", "an order whose money is in no attempt", "an attempt's word", "one of two"],
)
def test_what_is_not_understood_is_ended_by_no_clock(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, hides: dict[str, Any]
) -> None:
    opened = buy(db, gateway, lifetime_seconds=900)
    gateway.misses_money = hides.get("misses_money", False)
    statuses = enumerate(hides.get("attempts", []))
    gateway.status = hides.get("status", PaymentStatus.PENDING)
    gateway.attempts = tuple(gateway.attempt(f"pay_{number}", status, PRICE) for number, status in statuses)
    follow(db, gateway, hand, timedelta(minutes=14))
    assert ledger.payment(opened.id).review is None
    follow(db, gateway, hand, DAY)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review) == ("pending", "captured_but_not_paid")
    gateway.misses_money = False
    say(gateway, PaymentStatus.COMPLETED, ("pay_0", TAKEN, PRICE))
    follow(db, gateway, hand, DAY)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review) == ("completed", None)


@pytest.mark.parametrize("word", [PaymentStatus.PENDING, PaymentStatus.EXPIRED, PaymentStatus.FAILED, None])
def test_captured_money_is_asked_about_again_then_flagged_and_never_expired(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, word: PaymentStatus | None
) -> None:
    db.destinations = (outbox.MERCHANT,)
    opened = buy(db, gateway, lifetime_seconds=900)
    say(gateway, word, ("pay_1", TAKEN, PRICE))
    follow(db, gateway, hand, 10 * DAY)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review) == ("pending", "captured_but_not_paid")
    assert told(db) == ["payment.review"]
    with pytest.raises(verify.UnderReview):
        ask(db, gateway, opened)
    say(gateway, PaymentStatus.COMPLETED, ("pay_1", TAKEN, PRICE))
    follow(db, gateway, hand, 2 * DAY)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review, payment.transaction_id) == ("completed", None, "pay_1")
    assert told(db) == ["payment.review", "payment.completed"]


def test_a_word_that_lags_for_a_moment_is_no_reason_to_call_a_person(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway)
    say(gateway, PaymentStatus.PENDING, ("pay_1", TAKEN, PRICE))
    follow(db, gateway, hand, timedelta(seconds=40))
    assert (ledger.payment(opened.id).status, reasons(db)) == ("pending", [])
    say(gateway, PaymentStatus.COMPLETED, ("pay_1", TAKEN, PRICE))
    follow(db, gateway, hand, timedelta(seconds=40))
    assert (ledger.payment(opened.id).status, reasons(db)) == ("completed", [])


def test_money_that_went_back_whole_no_longer_keeps_a_payment_open(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway, lifetime_seconds=900)
    say(gateway, PaymentStatus.EXPIRED, ("pay_1", TAKEN, PRICE))
    gateway.refunds = (gateway.refund("rf_1", "pay_1", PRICE),)
    follow(db, gateway, hand, DAY)
    assert (ledger.payment(opened.id).status, reasons(db)) == ("expired", [])


def test_a_payment_under_review_neither_fails_nor_expires(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway, lifetime_seconds=900)
    gateway.amount = Money(100)
    follow(db, gateway, hand, timedelta(minutes=5))
    assert reasons(db) == ["amount_mismatch"]
    gateway.amount, gateway.status = None, PaymentStatus.EXPIRED
    follow(db, gateway, hand, 10 * DAY)
    assert ledger.payment(opened.id).status == "pending"
    reviews.clear(db, opened.id, "asha", clock=hand.clock)
    follow(db, gateway, hand, 10 * DAY)
    assert ledger.payment(opened.id).status == "expired"


# ── a review can be ended ───────────────────────────────────────────────────────────────────────────


def test_evidence_that_was_seen_is_not_flagged_again_also_after_the_money_went_back(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    db.destinations = (outbox.MERCHANT,)
    opened = buy(db, gateway)
    say(gateway, PaymentStatus.PENDING, ("pay_1", TAKEN, Money(100)))
    follow(db, gateway, hand, timedelta(hours=1))
    reviews.clear(db, opened.id, "asha", reason="amount_mismatch", clock=hand.clock)
    follow(db, gateway, hand, timedelta(hours=1))
    say(gateway, PaymentStatus.PENDING, ("pay_1", AttemptStatus.REFUNDED, Money(100)))
    follow(db, gateway, hand, DAY)
    assert (reasons(db), ledger.payment(opened.id).review) == ([], None)
    assert [event for event in told(db) if event == "payment.review"] == ["payment.review"]
    say(gateway, PaymentStatus.PENDING, ("pay_2", TAKEN, Money(200)))
    follow(db, gateway, hand, 3 * DAY)
    assert reasons(db) == ["amount_mismatch"]


def test_several_reasons_are_open_at_once_each_told_and_ended_by_itself(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    db.destinations = (outbox.MERCHANT, outbox.OPERATOR)
    opened = buy(db, gateway)
    say(gateway, PaymentStatus.COMPLETED, ("pay_1", TAKEN, PRICE), ("pay_2", TAKEN, PRICE))
    assert ask(db, gateway, opened).status is PaymentStatus.COMPLETED
    gateway.refunds = (replace(gateway.refund("rf_1", "pay_2", PRICE), refund_id="psr_unknown"),)
    event = gateway.refund_event(opened.order_id, *gateway.refunds)
    webhook.receive(db, gateway, GENUINE, event)
    assert reasons(db) == ["second_success", "refund_not_asked_for"]
    with pytest.raises(Conflict, match="refund_not_asked_for, second_success"):
        reviews.clear(db, opened.id, "asha")
    with pytest.raises(NotFound):
        reviews.clear(db, opened.id, "asha", reason="late_success")
    reviews.clear(db, opened.id, "asha", reason="second_success")
    assert ledger.payment(opened.id).review == "refund_not_asked_for"
    reviews.clear(db, opened.id, "asha")
    assert ledger.payment(opened.id).review is None
    with db.read() as session:
        rows = [row for row in session.query(Outbox) if row.type == "payment.review"]
    told_reviews = [json.loads(row.body)["data"]["review"] for row in rows if row.destination == "merchant"]
    assert {review["reason"] for review in told_reviews} == {"second_success", "refund_not_asked_for"}
    assert all(review["evidence"] and review["whatToDo"] for review in told_reviews)
    assert len(rows) == 4


def test_nothing_is_accepted_that_nobody_paid(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    opened = buy(db, gateway)
    gateway.amount = Money(100)
    with pytest.raises(verify.UnderReview):
        ask(db, gateway, opened)
    with pytest.raises(Conflict, match="holds no money"):
        reviews.clear(db, opened.id, "asha", accept=True)
    assert (ledger.payment(opened.id).status, reasons(db)) == ("pending", ["amount_mismatch"])


# ── one payment id, one order ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by_event", [True, False])
def test_a_payment_id_that_counts_for_another_order_completes_nothing(
    db: Database, gateway: FakeGateway, ledger: Ledger, by_event: bool
) -> None:
    first, second = buy(db, gateway), buy(db, gateway)
    for opened in (first, second):
        say(gateway, PaymentStatus.COMPLETED, ("pay_1", TAKEN, PRICE))
        if by_event:
            event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor)
            webhook.receive(db, gateway, GENUINE, event)
        elif opened is first:
            ask(db, gateway, opened)
        else:
            with pytest.raises(verify.UnderReview):
                ask(db, gateway, opened)
    assert ledger.payment(first.id).status == "completed"
    other = ledger.payment(second.id)
    assert (other.status, other.review) == ("pending", "payment_of_another_order")
    say(gateway, PaymentStatus.COMPLETED, ("pay_1", TAKEN, PRICE), ("pay_2", TAKEN, PRICE))
    assert ask(db, gateway, second).payment_id == "pay_2"
