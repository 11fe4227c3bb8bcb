"""Refunds: our row first, never more than was captured, never sent twice, and the truth about each call."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import (
    Conflict,
    GatewayError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    PaymentsError,
    Rejected,
    StoreUnavailable,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.domain.money import Money
from payments_service.domain.news import NewRefund, OrderRef, PaymentSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, RefundStatus
from payments_service.flows import reconcile, refund, reviews, sync
from payments_service.flows.create_order import Urls
from payments_service.flows.payment_view import by_id
from payments_service.flows.refund import RefundFailed, RefundView
from payments_service.flows.refund_intent import Key
from payments_service.store import payments
from payments_service.store.db import Database
from payments_service.store.tables import Payment, Refund
from tests.flows.conftest import PRICE, buy
from tests.flows.delivering import HandClock
from tests.flows.refunding import MERCHANT, Refunding
from tests.support.fake_gateway import FakeGateway

COMPLETED, FAILED, INITIATED, PENDING = (
    RefundStatus.COMPLETED,
    RefundStatus.FAILED,
    RefundStatus.INITIATED,
    RefundStatus.PENDING,
)


@pytest.fixture
def refunding(db: Database, gateway: FakeGateway) -> Refunding:
    return Refunding.begin(db, gateway)


class Killed(BaseException):
    """The process ends here: nothing of ours runs any more."""


def die(_: NewRefund) -> None:
    raise Killed


# ── our row first ───────────────────────────────────────────────────────────────────────────────────


def test_a_refund_goes_back_to_the_paisa_and_its_merchant_is_told_once(refunding: Refunding) -> None:
    sent = refunding.send(10015, webhook_url="https://shop.example.com/hook")
    (wire,) = refunding.gateway.sent
    row = refunding.row()
    assert (sent.status, sent.amount, sent.refund_id) == (COMPLETED, Money(10015), row.gateway_refund_id)
    assert (row.amount, row.currency, row.refund_id) == (10015, "INR", wire.refund_id)
    assert (wire.transaction_id, wire.amount, wire.reason) == ("pay_1", Money(10015), "returned goods")
    assert wire.webhook_url == "https://shop.example.com/hook"
    assert refunding.moves(row.id) == ["initiated", "completed"]
    assert refunding.told() == ["refund.completed"]
    assert by_id(refunding.db, refunding.payment.id).amount_refunded == Money(10015)


def test_row_and_id_are_committed_before_the_call_and_survive_whoever_made_it(refunding: Refunding) -> None:
    refunding.gateway.during_refund = die
    with pytest.raises(Killed):
        refunding.send(100)
    refunding.gateway.during_refund = None
    row = refunding.row()
    assert (row.status, [row.refund_id]) == (INITIATED, list(refunding.gateway.made))
    assert row.next_check_at is not None
    assert refunding.ask(row.id).status is COMPLETED
    assert len(refunding.gateway.sent) == len(refunding.gateway.made) == 1


# ── the cap ─────────────────────────────────────────────────────────────────────────────────────────


def test_refunds_at_once_never_exceed_what_was_captured(
    refunding: Refunding, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = payments.refunds

    def look_slowly(*args: Any) -> list[Refund]:
        found = look(*args)
        time.sleep(0.03)  # widen the window between counting and writing
        return found

    monkeypatch.setattr(payments, "refunds", look_slowly)
    start = Barrier(8)

    def send(_: int) -> int:
        start.wait()
        try:
            return refunding.send(12000).amount.minor
        except Conflict:
            return 0

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(send, range(8))) == [0] * 4 + [12000] * 4
    assert sum(row.amount for row in refunding.rows()) == 48000


def test_processes_at_once_never_refund_more_than_was_captured(refunding: Refunding) -> None:
    process = multiprocessing.get_context("fork")
    url = refunding.db.engine.url.render_as_string(hide_password=False)
    helpers = [process.Process(target=_refund_all_there_is, args=(url, refunding.payment.id)) for _ in "12"]
    for helper in helpers:
        helper.start()
    for helper in helpers:
        helper.join(60)
    assert [helper.exitcode for helper in helpers] == [0, 0]
    assert [row.amount for row in refunding.rows()] == [12000] * 4


def _refund_all_there_is(url: str, payment_id: UUID) -> None:
    """In a process of its own: go on until nothing is left, or far too much was given back."""
    database, gateway = Database(url), FakeGateway()
    gateway.amount = PRICE
    gateway.paid("pay_1", PRICE)
    with suppress(Conflict):
        for _ in range(10):
            refund.refund(database, gateway, payment_id, Money(12000), "", MERCHANT)
    database.engine.dispose()


def test_all_but_the_failed_count_and_no_amount_means_the_rest(refunding: Refunding) -> None:
    refunding.gateway.refund_error = Rejected("no")
    with pytest.raises(RefundFailed):
        refunding.send()
    refunding.gateway.refund_error = None
    for word in (PENDING, COMPLETED, None):
        refunding.gateway.refund_status = word
        refunding.send(10000)
    refunding.gateway.refund_error, refunding.gateway.refund_is_lost = OutcomeUnknown("timeout"), True
    assert refunding.send(10000).status is INITIATED
    with pytest.raises(Conflict) as refused:
        refunding.send(9901)
    assert refused.value.extra == {"refundablePaise": 9900}
    refunding.gateway.refund_error = None
    assert refunding.send().amount == Money(9900)
    with pytest.raises(Conflict) as refused:
        refunding.send()
    assert refused.value.extra == {"refundablePaise": 0}


def test_nothing_less_than_nothing_and_other_money_is_refused(refunding: Refunding) -> None:
    for amount in (Money(0), Money(-100), Money(100, "USD")):
        with pytest.raises(InvalidInput) as refused:
            refund.refund(refunding.db, refunding.gateway, refunding.payment.id, amount, "", MERCHANT)
        assert "amount" in refused.value.extra["details"]  # type: ignore[operator]
    assert (refunding.rows(), refunding.gateway.sent) == ([], [])


def test_an_amount_is_never_a_float() -> None:
    for strange in (1.0, True, "100"):
        with pytest.raises(TypeError):
            Money(strange)  # type: ignore[arg-type]


def test_what_went_back_already_is_read_with_the_patience_of_a_refund(
    refunding: Refunding, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Urgency] = []
    fetch = refunding.gateway.fetch_payment

    def fetch_payment(order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        asked.append(deadline.urgency)
        return fetch(order, deadline)

    monkeypatch.setattr(refunding.gateway, "fetch_payment", fetch_payment)
    refunding.send(100)
    assert asked == [Urgency.REFUND]


# ── which attempt ───────────────────────────────────────────────────────────────────────────────────


def test_only_money_that_was_captured_can_be_given_back(db: Database, gateway: FakeGateway) -> None:
    opened = buy(db, gateway)
    with pytest.raises(Conflict) as refused:
        refund.refund(db, gateway, opened.id, None, "", MERCHANT)
    assert refused.value.code == "not_refundable"
    gateway.attempts = (gateway.attempt("pay_0", AttemptStatus.FAILED, PRICE),)
    refunding = Refunding(db, gateway, opened)
    refunding.read_again()
    expected = {"pay_0": "not_refundable", "pay_elsewhere": "not_found"}
    for transaction_id, code in expected.items():
        with pytest.raises(PaymentsError) as other:
            refunding.send(transaction_id=transaction_id)
        assert other.value.code == code
    assert gateway.sent == []


@pytest.mark.parametrize("ended", ["expired", "failed"])
def test_money_of_a_payment_that_ended_unpaid_goes_back_by_its_name_which_a_refusal_asks_for(
    db: Database, gateway: FakeGateway, ended: str
) -> None:
    refunding = Refunding(db, gateway, buy(db, gateway))
    gateway.attempts = (gateway.attempt("pay_late", AttemptStatus.SUCCEEDED, PRICE),)
    refunding.read_again()
    with db.begin() as session:
        session.execute(update(Payment).values(status=ended))
    with pytest.raises(Conflict, match="name the captured payment as paymentId") as refused:
        refunding.send()
    assert (refused.value.code, gateway.sent) == ("not_refundable", [])
    assert ended in refused.value.message
    assert refunding.send(transaction_id="pay_late").amount == PRICE


def test_an_attempt_of_another_payment_is_not_given_back_here(refunding: Refunding) -> None:
    other = buy(refunding.db, refunding.gateway)
    refunding.gateway.paid("pay_other", PRICE)
    Refunding(refunding.db, refunding.gateway, other).read_again()
    with pytest.raises(NotFound):
        refunding.send(transaction_id="pay_other")


def test_a_superfluous_success_goes_back_and_takes_nothing_off_the_one_that_paid(
    refunding: Refunding,
) -> None:
    refunding.second_success()
    refunding.send(transaction_id="pay_2")
    assert [wire.transaction_id for wire in refunding.gateway.sent] == ["pay_2"]
    after = by_id(refunding.db, refunding.payment.id)
    assert (after.status, after.payment_id, after.amount_refunded) == ("completed", "pay_1", Money(0))
    with pytest.raises(Conflict):
        refunding.send(1, transaction_id="pay_2")
    assert refunding.send().amount == PRICE
    assert by_id(refunding.db, refunding.payment.id).amount_refunded == PRICE


def test_a_second_success_after_the_first_went_back_is_flagged_too(refunding: Refunding) -> None:
    """Whoever gave the whole payment back does not know yet that there is more."""
    refunding.send()
    refunding.gateway.attempts = (refunding.gateway.attempt("pay_1", AttemptStatus.REFUNDED, PRICE),)
    refunding.read_again()
    assert refunding.reviews() == []
    refunding.second_success()
    assert refunding.reviews() == ["second_success"]


def test_a_second_success_that_a_person_has_looked_at_is_not_flagged_again(refunding: Refunding) -> None:
    refunding.second_success()
    reviews.clear(refunding.db, refunding.payment.id, "asha")
    refunding.read_again()
    assert refunding.reviews() == ["second_success", "cleared"]
    refunding.second_success("pay_3")
    assert refunding.reviews() == ["second_success", "cleared", "second_success"]


def test_where_a_refund_names_only_the_order_the_superfluous_one_is_not_asked_for(db: Database) -> None:
    class ByOrder(FakeGateway):
        refunds_name_the_attempt = False

    refunding = Refunding.begin(db, ByOrder())
    refunding.second_success()
    with pytest.raises(Conflict) as refused:
        refunding.send(transaction_id="pay_2")
    assert refused.value.code == "not_refundable"
    assert refunding.send(transaction_id="pay_1").status is COMPLETED


def test_where_only_one_refund_may_be_under_way_the_next_one_waits(db: Database) -> None:
    class OneAtATime(FakeGateway):
        one_refund_at_a_time = True

    refunding = Refunding.begin(db, OneAtATime())
    refunding.gateway.refund_status = PENDING
    first = refunding.send(100)
    with pytest.raises(Conflict) as refused:
        refunding.send(100)
    assert refused.value.code == "refund_in_progress"
    refunding.gateway.ends(refunding.gateway.sent[0].refund_id, COMPLETED)
    refunding.ask(first.id)
    assert refunding.send(100).status is PENDING


# ── the outcome of the call ─────────────────────────────────────────────────────────────────────────


def test_a_lost_answer_is_found_again_and_nothing_is_sent_twice(refunding: Refunding) -> None:
    gateway = refunding.gateway
    gateway.refund_error, gateway.refund_fetch_error = OutcomeUnknown("timeout"), Unavailable("away")
    sent = refunding.send(100)
    assert (sent.status, sent.refund_id, refunding.told()) == (INITIATED, None, [])
    with pytest.raises(Unavailable):
        refunding.ask(sent.id)
    gateway.refund_fetch_error = None
    assert refunding.ask(sent.id).status is COMPLETED
    assert len(gateway.sent) == len(gateway.made) == 1
    assert refunding.send(100).status is COMPLETED  # a lost answer, and the question right after it
    assert len(gateway.sent) == len(gateway.made) == 2
    assert refunding.told() == ["refund.completed"] * 2


def test_a_refund_that_never_arrived_is_sent_again_under_the_same_id(refunding: Refunding) -> None:
    gateway = refunding.gateway
    gateway.refund_error, gateway.refund_is_lost = OutcomeUnknown("reset"), True
    sent = refunding.send(100, webhook_url="https://a.example.com")
    assert sent.status is INITIATED  # absent right after it: still unknown
    for error in (OutcomeUnknown("reset again"), Unavailable("away")):
        gateway.refund_error = error
        with pytest.raises(GatewayError):
            refunding.ask(sent.id)
        assert refunding.row().status == INITIATED
    gateway.refund_error = None
    assert refunding.ask(sent.id, webhook_url="https://b.example.com").status is COMPLETED
    assert len({wire.refund_id for wire in gateway.sent}) == len(gateway.made) == 1
    assert gateway.sent[-1].webhook_url == "https://b.example.com"


def test_what_there_was_news_of_meanwhile_is_not_sent_again(
    refunding: Refunding, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = refunding.gateway
    gateway.refund_error, gateway.refund_is_lost = OutcomeUnknown("reset"), True
    first, second = refunding.send(100), refunding.send(200)
    told = gateway.refund("rf_1", "pay_1", Money(100))

    def deny_and_take_over(ref: Any, _deadline: Any) -> Any:
        """Between the gateway's denial and our sending: a webhook for one, another worker for the other."""
        if ref.refund_id == gateway.sent[0].refund_id:
            refunding.hear(replace(told, refund_id=ref.refund_id))
        else:
            take_over(refunding)
        raise UnknownAtGateway("not here")

    monkeypatch.setattr(gateway, "fetch_refund", deny_and_take_over)
    before = len(gateway.sent)
    assert refunding.ask(first.id).status is COMPLETED
    assert refunding.ask(second.id).status is INITIATED
    assert len(gateway.sent) == before


@pytest.mark.parametrize("error", [Rejected("too old"), Unavailable("away")])
def test_what_the_gateway_did_not_take_has_failed_and_its_merchant_is_told(
    refunding: Refunding, error: GatewayError
) -> None:
    refunding.gateway.refund_error = error
    with pytest.raises(RefundFailed) as failed:
        refunding.send(100)
    row = refunding.row()
    assert failed.value.extra == {"retryable": error.retryable, "id": str(row.id)}
    assert failed.value.code == error.code
    assert (row.status, row.next_check_at) == (FAILED, None)
    assert refunding.told() == ["refund.failed"]


def test_a_second_sending_that_is_refused_is_believed_only_when_the_first_one_is_not_there(
    refunding: Refunding,
) -> None:
    gateway = refunding.gateway
    gateway.refund_error, gateway.refund_is_lost = OutcomeUnknown("reset"), True
    refused, arrived = refunding.send(100), refunding.send(200)
    gateway.refund_error = Rejected("fully refunded already")
    assert refunding.ask(refused.id).status is FAILED
    late = replace(gateway.refund("rf_late", "pay_1", Money(200)), refund_id=gateway.sent[1].refund_id)
    gateway.during_refund = lambda wire: gateway.made.update({wire.refund_id: late})
    assert refunding.ask(arrived.id).status is COMPLETED
    assert refunding.told() == ["refund.failed", "refund.completed"]


def test_a_refusal_of_a_refund_that_there_is_news_of_is_not_believed(refunding: Refunding) -> None:
    gateway = refunding.gateway
    gateway.refund_error = Rejected("duplicate")

    def tell(wire: NewRefund) -> None:
        told = gateway.refund("rf_1", wire.transaction_id, wire.amount)
        refunding.hear(replace(told, refund_id=wire.refund_id, status=PENDING))

    gateway.during_refund = tell
    assert refunding.send(100).status is PENDING
    assert refunding.told() == []


@pytest.mark.parametrize("error", [None, Rejected("no")])
def test_an_answer_that_could_not_be_written_down_does_not_invite_to_send_it_again(
    refunding: Refunding, monkeypatch: pytest.MonkeyPatch, error: GatewayError | None
) -> None:
    """Our store went away after the call: money may have moved."""
    refunding.gateway.refund_error = error

    def lose_the_store(_: NewRefund) -> None:
        monkeypatch.setattr(refund, "load_one", _raise(StoreUnavailable("away")))

    refunding.gateway.during_refund = lose_the_store
    assert refunding.send(100).status is INITIATED
    monkeypatch.undo()
    refunding.gateway.during_refund = refunding.gateway.refund_error = None
    assert refunding.ask(refunding.row().id).status is COMPLETED
    assert len(refunding.gateway.made) == 1


def test_a_refund_that_was_made_counts_also_after_a_takeover(refunding: Refunding) -> None:
    """The one that took over may have been told that there is none, and have written that it failed."""
    refunding.gateway.during_refund = lambda _: take_over(refunding)
    assert refunding.send(100).status is COMPLETED
    assert refunding.row().status == COMPLETED


def test_a_refusal_that_comes_after_a_takeover_is_not_written(refunding: Refunding) -> None:
    refunding.gateway.during_refund = lambda _: take_over(refunding)
    refunding.gateway.refund_error = Rejected("no")
    assert refunding.send(100).status is INITIATED
    assert refunding.told() == []
    refunding.gateway.refund_error = refunding.gateway.during_refund = None
    assert refunding.ask(refunding.row().id).status is COMPLETED


def test_a_refund_that_the_gateway_forgot_is_loud_and_neither_sent_again_nor_failed(
    refunding: Refunding, caplog: pytest.LogCaptureFixture
) -> None:
    refunding.gateway.refund_status = PENDING
    sent = refunding.send(100)
    refunding.gateway.made.clear()
    with pytest.raises(UnknownAtGateway):
        refunding.ask(sent.id)
    assert "Refund unknown at the gateway" in caplog.text
    assert (refunding.row().status, len(refunding.gateway.sent)) == (PENDING, 1)


def test_nobody_asks_while_the_call_may_be_alive(refunding: Refunding) -> None:
    leases: list[float] = []

    def look(_: NewRefund) -> None:
        row = refunding.row()
        assert row.next_check_at is not None
        leases.append((row.next_check_at - row.created_at).total_seconds())

    refunding.gateway.during_refund = look
    refunding.gateway.refund_status = PENDING
    refunding.send(100)
    assert [lease >= refund.BUDGET_SECONDS + 59 for lease in leases] == [True]
    row = refunding.row()  # the call is over: it is asked for by its gateway's schedule
    assert row.next_check_at is not None
    assert (row.next_check_at - row.created_at).total_seconds() < 30


def test_a_repetition_while_the_worker_sends_it_again_sends_nothing(refunding: Refunding) -> None:
    """Two calls at once under one id: the refusal of the second would stand for the success of the first."""
    gateway, hand, key = refunding.gateway, HandClock(), Key("the-key-of-the-merchant", "asked for so")
    gateway.refund_error, gateway.refund_is_lost = OutcomeUnknown("reset"), True
    refunding.send(100, key=key)
    gateway.refund_error = None
    hand.advance(refund.LEASE + timedelta(seconds=5))
    worker, merchant = Actor("worker", "sweep", hand.clock), Actor("operator", "request-3", hand.clock)
    answers: list[RefundView] = []

    def repeat(_: NewRefund) -> None:
        hand.advance(timedelta(seconds=6))
        gateway.during_refund, gateway.refund_error = None, Rejected("one is under way")
        gateway.refund_fetch_error = UnknownAtGateway("not yet readable")
        about = (refunding.payment.id, Money(100), "returned goods", merchant)
        answers.append(refund.refund(refunding.db, gateway, *about, key=key))
        gateway.refund_error = gateway.refund_fetch_error = None

    gateway.during_refund = repeat
    with refunding.db.begin() as session:
        now = hand.clock.now()
        lease = now + timedelta(minutes=2)
        [claimed] = payments.claim_due_refunds(session, gateway.provider, now, lease, 10)
    assert refund.ask(refunding.db, gateway, claimed, worker).status is COMPLETED
    assert [answer.status for answer in answers] == [INITIATED]
    assert len(gateway.sent) == 2  # the one that was lost, and the worker's
    assert (refunding.row().status, refunding.told()) == (COMPLETED, ["refund.completed"])


def test_a_repetition_between_two_questions_of_the_worker_asks(refunding: Refunding) -> None:
    gateway, hand, key = refunding.gateway, HandClock(), Key("the-key-of-the-merchant", "asked for so")
    gateway.refund_error, gateway.refund_fetch_error = OutcomeUnknown("timeout"), Unavailable("away")
    refunding.send(100, key=key)
    gateway.refund_error = None
    hand.advance(refund.LEASE + timedelta(seconds=5))
    assert reconcile.sweep_refunds(refunding.db, gateway, Urls("http://127.0.0.1:5000"), hand.clock) == 1
    gateway.refund_fetch_error = None
    merchant = Actor("operator", "request-3", hand.clock)
    about = (refunding.payment.id, Money(100), "returned goods", merchant)
    assert refund.refund(refunding.db, gateway, *about, key=key).status is COMPLETED
    assert len(gateway.sent) == 1


def test_a_worker_whose_claim_was_taken_over_asks_and_gives_up_nothing(refunding: Refunding) -> None:
    gateway = refunding.gateway
    gateway.refund_error, gateway.refund_is_lost = OutcomeUnknown("reset"), True
    refunding.send(100)
    claimed = refunding.row()
    take_over(refunding)
    gateway.refund_error = None
    asked = len(gateway.calls)
    assert refund.ask(refunding.db, gateway, claimed, MERCHANT).status is INITIATED
    assert (len(gateway.calls), len(gateway.sent)) == (asked, 1)


def take_over(refunding: Refunding) -> None:
    """Another worker answers for the refunds from now on."""
    with refunding.db.begin() as session:
        session.execute(update(Refund).values(generation=Refund.generation + 1))


def _raise(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_where_refunds_go_up_to_the_order_a_larger_attempt_is_capped_by_it(
    db: Database, gateway: FakeGateway
) -> None:
    """PhonePe tells of an attempt of 505 for an order of 500, and refuses to refund more than 500."""
    gateway.refunds_up_to_the_order = True  # type: ignore[misc]
    refunding = Refunding.begin(db, gateway)
    gateway.attempts = (gateway.attempt("pay_2", AttemptStatus.SUCCEEDED, PRICE + Money(500)),)
    opened = buy(db, gateway)
    sync.refresh(db, gateway, opened.id, MERCHANT, Deadline(5))
    with pytest.raises(Conflict) as refused:
        refund.refund(db, gateway, opened.id, PRICE + Money(1), "returned goods", MERCHANT)
    assert refused.value.extra["refundablePaise"] == PRICE.minor
    assert refund.refund(db, gateway, opened.id, None, "returned goods", MERCHANT).amount == PRICE
    assert refunding.rows() == []
