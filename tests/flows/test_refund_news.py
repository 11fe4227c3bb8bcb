"""News of refunds, by webhook or by asking: booked once, only forwards, and what contradicts us is loud."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import update

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Conflict, OutcomeUnknown, Rejected, Unavailable
from payments_service.domain.money import Money
from payments_service.domain.news import EventKind, NewRefund, RefundRef, RefundSnapshot, WebhookEvent
from payments_service.domain.states import AttemptStatus, RefundStatus
from payments_service.flows import reconcile
from payments_service.flows.create_order import Urls
from payments_service.flows.payment_details import details
from payments_service.flows.payment_view import by_id
from payments_service.flows.refund import RefundFailed
from payments_service.store.db import Database
from payments_service.store.tables import Payment, Refund
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.delivering import HandClock
from tests.flows.refunding import Refunding
from tests.support.fake_gateway import FakeGateway
from tests.support.sweeping import sweep_payments

COMPLETED, FAILED, INITIATED, PENDING = (
    RefundStatus.COMPLETED,
    RefundStatus.FAILED,
    RefundStatus.INITIATED,
    RefundStatus.PENDING,
)


@pytest.fixture
def refunding(db: Database, gateway: FakeGateway) -> Refunding:
    return Refunding.begin(db, gateway)


def in_flight(refunding: Refunding, paise: int, *, is_lost: bool = False) -> str:
    """A refund of ours whose answer was lost; its id. `is_lost`: the gateway never got it."""
    gateway = refunding.gateway
    gateway.refund_error, gateway.refund_is_lost = OutcomeUnknown("timeout"), is_lost
    gateway.refund_fetch_error = Unavailable("away")
    assert refunding.send(paise).status is INITIATED
    gateway.refund_error = gateway.refund_fetch_error = None
    gateway.refund_is_lost = False
    return gateway.sent[-1].refund_id


# ── news of ours ────────────────────────────────────────────────────────────────────────────────────


def test_a_webhook_that_comes_before_our_own_answer_books_the_refund_once(refunding: Refunding) -> None:
    refunding.gateway.during_refund = lambda new: refunding.hear(refunding.gateway.made[new.refund_id])
    sent = refunding.send(100)
    row = refunding.row()
    assert (row.id, row.status, row.refund_id) == (sent.id, COMPLETED, refunding.gateway.sent[0].refund_id)
    assert refunding.moves(row.id) == ["initiated", "completed"]
    assert refunding.told() == ["refund.completed"]


def test_webhooks_questions_and_readers_at_once_complete_it_once(refunding: Refunding) -> None:
    refund_id = in_flight(refunding, 100)
    row_id = refunding.row().id
    start = Barrier(9)

    def ring(number: int) -> None:
        start.wait()
        if number % 3 == 0:
            refunding.hear(refunding.gateway.made[refund_id], event_id=f"evt_{number}")
        elif number % 3 == 1:
            refunding.ask(row_id)
        else:
            refunding.read_again()

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(ring, range(9)))
    assert refunding.moves(row_id) == ["initiated", "completed"]
    assert refunding.told() == ["refund.completed"]


@pytest.mark.parametrize(
    ("way", "end"),
    [("webhook", COMPLETED), ("webhook", FAILED), ("ask", COMPLETED), ("ask", FAILED), ("fetch", FAILED)],
)
def test_a_pending_refund_ends_once_and_nothing_older_moves_it(
    refunding: Refunding, way: str, end: RefundStatus
) -> None:
    gateway = refunding.gateway
    gateway.refund_status = PENDING
    row_id = refunding.send(100).id
    wire_id = gateway.sent[0].refund_id
    older = gateway.made[wire_id]
    gateway.ends(wire_id, end)
    for _ in range(2):
        if way == "webhook":
            refunding.hear(gateway.made[wire_id], nonce=len(refunding.told()))
        elif way == "ask":
            refunding.ask(row_id)
        else:
            refunding.read_again()
    refunding.hear(older, late=True)
    row = refunding.row()
    assert refunding.moves(row.id) == ["initiated", "pending", end]
    # The bank's reference of money that went back often comes later, so that is asked for.
    assert (row.next_check_at is not None) == (end is COMPLETED)
    assert refunding.told() == [f"refund.{end}"]
    assert by_id(refunding.db, refunding.payment.id).amount_refunded.minor == (end is COMPLETED) * 100


def test_a_word_that_nobody_knows_is_loud_and_leaves_the_refund_pending(
    refunding: Refunding, caplog: pytest.LogCaptureFixture
) -> None:
    refunding.gateway.refund_status = None
    assert refunding.send(100).status is PENDING
    assert "Unknown status from gateway" in caplog.text
    assert refunding.ask(refunding.row().id).status is PENDING
    assert (refunding.told(), refunding.reviews()) == ([], [])


def test_all_that_was_paid_goes_back_and_the_payment_stays_completed(refunding: Refunding) -> None:
    gateway = refunding.gateway
    gateway.refund_status = PENDING
    row_id = refunding.send().id
    gateway.attempts = (gateway.attempt("pay_1", AttemptStatus.REFUNDED, PRICE),)
    refunding.read_again()
    gateway.ends(gateway.sent[0].refund_id, FAILED)
    refunding.ask(row_id)
    gateway.refund_status = COMPLETED
    refunding.send()  # the first one failed, so all of it is there again
    refunding.read_again()
    after = by_id(refunding.db, refunding.payment.id)
    assert (after.status, after.amount_refunded, after.review) == ("completed", PRICE, None)
    with pytest.raises(Conflict):
        refunding.send(1)


# ── refunds that did not begin here ─────────────────────────────────────────────────────────────────


def test_a_refund_from_the_dashboard_is_adopted_once(refunding: Refunding) -> None:
    told = refunding.gateway.refund("rf_1", "pay_1", Money(10015))
    refunding.gateway.refunds = (told,)
    start = Barrier(4)

    def ring(number: int) -> None:
        start.wait()
        if number % 2:
            refunding.read_again()
        refunding.hear(told, event_id=f"evt_{number}")
        refunding.read_again()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ring, range(4)))
    row = refunding.row()
    assert (row.amount, row.status, row.refund_id, row.gateway_refund_id) == (10015, COMPLETED, None, "rf_1")
    assert refunding.told() == ["refund.completed"]
    with pytest.raises(Conflict) as refused:
        refunding.send(PRICE.minor)
    assert refused.value.extra == {"refundablePaise": PRICE.minor - 10015}


def test_an_adopted_refund_is_followed_to_its_end_by_the_gateways_id(refunding: Refunding) -> None:
    """Also where the gateway no longer lists it among the payment's."""
    gateway = refunding.gateway
    pending = replace(gateway.refund("rf_1", "pay_1", Money(100)), status=PENDING)
    refunding.hear(pending)
    assert refunding.row().status == PENDING
    gateway.made["elsewhere"] = replace(pending, status=FAILED)
    gateway.fetch_error = Unavailable("away")
    reconcile.sweep_refunds(refunding.db, gateway, Urls("http://127.0.0.1:5000"), REAL_TIME)
    assert (refunding.row().status, refunding.told()) == (FAILED, ["refund.failed"])


@pytest.mark.parametrize("way", ["webhook", "fetch"])
def test_while_one_of_ours_has_no_answer_a_stranger_waits_and_is_not_lost(
    refunding: Refunding, ledger: Ledger, way: str
) -> None:
    """Two refunds of one amount: one of ours in flight, one from the dashboard. Each is booked once."""
    stranger = refunding.gateway.refund("rf_dashboard", "pay_1", Money(100))
    refund_id = in_flight(refunding, 100, is_lost=True)
    refunding.gateway.refunds = (stranger,)
    with refunding.db.begin() as session:
        session.execute(update(Payment).values(next_check_at=None))
    if way == "webhook":
        refunding.hear(stranger)
    else:
        refunding.read_again()
    assert [row.gateway_refund_id for row in refunding.rows()] == [None]
    read_again_at = ledger.payment(refunding.payment.id).next_check_at
    assert read_again_at is not None
    assert 60 < (read_again_at - datetime.now(UTC)).total_seconds() < 120
    refunding.ask(refunding.row().id)
    refunding.read_again()
    refunding.read_again()
    booked = [(row.refund_id, row.gateway_refund_id, row.status) for row in refunding.rows()]
    assert booked == [(refund_id, f"rf_{refund_id}", COMPLETED), (None, "rf_dashboard", COMPLETED)]
    assert refunding.told() == ["refund.completed"] * 2


def test_the_worker_comes_back_for_a_stranger_that_had_to_wait(refunding: Refunding) -> None:
    db, gateway = refunding.db, refunding.gateway
    in_flight(refunding, 100, is_lost=True)
    gateway.refunds = (gateway.refund("rf_dashboard", "pay_1", Money(100)),)
    long_ago = datetime.now(UTC) - timedelta(days=30)  # no look is planned any more
    with db.begin() as session:
        session.execute(update(Payment).values(next_check_at=long_ago, completed_at=long_ago))
    assert sweep_payments(db, gateway, REAL_TIME) == 1
    assert len(refunding.rows()) == 1
    later = Clock(now=lambda: datetime.now(UTC) + timedelta(minutes=2))
    assert reconcile.sweep_refunds(db, gateway, Urls("http://127.0.0.1:5000"), later) == 1
    assert sweep_payments(db, gateway, later) == 1
    assert len(refunding.rows()) == 2
    assert refunding.told() == ["refund.completed"] * 2
    assert gateway.sent[-1].webhook_url.startswith("http://127.0.0.1:5000/")


def test_one_reading_that_tells_of_ours_and_of_a_stranger_books_both(refunding: Refunding) -> None:
    refund_id = in_flight(refunding, 100)
    refunding.gateway.refunds = (refunding.gateway.refund("rf_dashboard", "pay_1", Money(100)),)
    refunding.read_again()
    assert {row.gateway_refund_id for row in refunding.rows()} == {"rf_dashboard", f"rf_{refund_id}"}


def on_its_page(refunding: Refunding) -> int:
    return by_id(refunding.db, refunding.payment.id).amount_refunded.minor


def for_its_merchant(refunding: Refunding) -> int:
    return details(refunding.db, refunding.payment.id).amount_refunded.minor


def in_the_last_event(refunding: Refunding) -> int:
    return int(details(refunding.db, refunding.payment.id).events[-1].data["amountRefundedPaise"])


@pytest.mark.parametrize("told", [on_its_page, for_its_merchant, in_the_last_event])
def test_a_stranger_of_a_duplicate_takes_nothing_off_what_was_paid(
    refunding: Refunding, told: Callable[[Refunding], int]
) -> None:
    refunding.second_success()
    refunding.hear(refunding.gateway.refund("rf_2", "pay_2", PRICE), payment="pay_2")
    assert refunding.row().status == COMPLETED
    assert told(refunding) == 0
    assert refunding.send().amount == PRICE
    assert told(refunding) == PRICE.minor


# ── contradictions ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("way", "strange"),
    [
        ("answer", {"amount": Money(99)}),
        ("answer", {"transaction_id": "pay_9"}),
        ("webhook", {"amount": Money(100, "USD")}),
        ("ask", {"amount": Money(101)}),
    ],
)
def test_an_answer_about_another_refund_than_we_asked_for_goes_to_a_person(
    refunding: Refunding, way: str, strange: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    gateway = refunding.gateway
    gateway.tells_refund = lambda told: replace(told, **strange)  # type: ignore[arg-type]
    if way == "answer":
        refunding.send(100)
    else:
        refund_id = in_flight(refunding, 100)
        if way == "webhook":
            refunding.hear(gateway.made[refund_id])
        else:
            refunding.ask(refunding.row().id)
    row = refunding.row()
    assert (row.status, row.amount, row.currency) == (PENDING, 100, "INR")
    assert row.gateway_refund_id == f"rf_{row.refund_id}"
    refunding.read_again()
    refunding.ask(row.id)
    assert refunding.row().status == PENDING
    assert refunding.reviews() == ["refund_mismatch"]
    assert "refund.completed" not in refunding.told()
    assert "Payment needs review" in caplog.text
    assert len(refunding.rows()) == 1


class ByOrder(FakeGateway):
    """Refunds name the order only, and this gateway takes the other payment of it."""

    refunds_name_the_attempt = False
    takes = "pay_2"

    def create_refund(self, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        return super().create_refund(replace(refund, transaction_id=self.takes), deadline)


@pytest.fixture
def by_order(db: Database) -> Refunding:
    gateway = ByOrder()
    gateway.tells_refund = lambda told: replace(told, gateway_chose=True)
    return Refunding.begin(db, gateway)


def test_where_the_gateway_chooses_which_payment_of_an_order_goes_back_the_row_follows(
    by_order: Refunding,
) -> None:
    by_order.second_success()
    sent = by_order.send(100)
    assert (sent.status, by_order.told()[-1]) == (COMPLETED, "refund.completed")
    assert by_order.reviews() == ["second_success"]
    assert [note.evidence["paymentId"] for note in by_order.trail("note")] == ["pay_2"]
    # What went back was the duplicate, so all of the payment that counts is still there.
    after = by_id(by_order.db, by_order.payment.id)
    assert (after.payment_id, after.amount_refunded) == ("pay_1", Money(0))
    by_order.gateway.takes = "pay_1"
    assert by_order.send().amount == PRICE


def test_a_refund_from_the_dashboard_stays_with_the_payment_it_was_made_of(by_order: Refunding) -> None:
    by_order.second_success()
    by_order.hear(by_order.gateway.refund("rf_2", "pay_2", Money(100)))
    assert (by_order.row().status, by_order.trail("note")) == (COMPLETED, [])


def test_a_refund_of_a_payment_not_heard_of_yet_ends_when_it_is(by_order: Refunding) -> None:
    sent = by_order.send(100)
    assert (sent.status, by_order.reviews()) == (PENDING, ["refund_mismatch"])
    gateway = by_order.gateway
    assert [sweep_payments(by_order.db, gateway, REAL_TIME) for _ in range(2)] == [1, 0]
    gateway.attempts += (gateway.attempt("pay_2", AttemptStatus.SUCCEEDED, PRICE),)
    by_order.read_again()
    assert by_order.moves(sent.id)[-1] == COMPLETED
    assert by_order.told().count("refund.completed") == 1


@pytest.mark.parametrize("stranger", ["another order's", "failed"])
def test_no_refund_is_booked_under_what_was_not_paid_for_its_order(
    by_order: Refunding, stranger: str
) -> None:
    gateway = by_order.gateway
    if stranger == "failed":
        gateway.attempts = (*gateway.attempts, gateway.attempt("pay_2", AttemptStatus.FAILED, PRICE))
        by_order.read_again()
    else:
        other = Refunding(by_order.db, gateway, buy(by_order.db, gateway))
        gateway.paid("pay_2", PRICE)
        other.read_again()
        gateway.paid("pay_1", PRICE)
    assert by_order.send(100).status is PENDING
    assert by_order.reviews() == ["refund_mismatch"]


def test_an_answer_that_names_a_refund_which_is_booked_already_goes_to_a_person(refunding: Refunding) -> None:
    gateway = refunding.gateway
    refunding.hear(gateway.refund("rf_taken", "pay_1", Money(100)))
    gateway.tells_refund = lambda told: replace(told, gateway_refund_id="rf_taken")
    sent = refunding.send(100)
    assert (sent.status, sent.refund_id) == (PENDING, None)
    assert refunding.reviews() == ["refund_mismatch"]


def test_a_second_refund_under_one_id_of_ours_is_booked_and_goes_to_a_person(refunding: Refunding) -> None:
    """The gateway did not keep its promise that one id makes one refund."""
    refunding.send(100)
    first = refunding.gateway.made[refunding.gateway.sent[0].refund_id]
    refunding.gateway.refunds = (replace(first, gateway_refund_id="rf_doubled"),)
    refunding.read_again()
    refunding.read_again()
    assert sorted(row.gateway_refund_id or "" for row in refunding.rows()) == [
        "rf_doubled",
        first.gateway_refund_id,
    ]
    assert refunding.reviews() == ["refund_not_asked_for"]
    assert refunding.told().count("refund.completed") == 2


@pytest.mark.parametrize("word", [PENDING, COMPLETED])
def test_a_refusal_gives_way_to_the_gateways_word_that_the_refund_is_there(
    refunding: Refunding, word: RefundStatus
) -> None:
    gateway = refunding.gateway
    gateway.refund_error = Rejected("no")
    with pytest.raises(RefundFailed):
        refunding.send(100)
    (wire,) = gateway.sent
    refunding.hear(RefundSnapshot("rf_1", wire.refund_id, "pay_1", word, word, wire.amount))
    row = refunding.row()
    assert refunding.moves(row.id) == ["initiated", "failed", word]
    assert row.next_check_at is not None
    assert refunding.reviews() == ["refund_mismatch"]


@pytest.mark.parametrize(("end", "other"), [(COMPLETED, FAILED), (FAILED, COMPLETED)])
def test_two_ends_of_one_refund_go_to_a_person_and_only_money_counts(
    refunding: Refunding, end: RefundStatus, other: RefundStatus
) -> None:
    gateway = refunding.gateway
    gateway.refund_status = end
    refunding.send(100)
    wire_id = gateway.sent[0].refund_id
    gateway.ends(wire_id, other)
    refunding.hear(gateway.made[wire_id])
    assert (refunding.row().status, refunding.reviews()) == (COMPLETED, ["refund_mismatch"])


def test_a_refund_that_cannot_be_booked_does_not_stand_in_the_way_of_the_others(refunding: Refunding) -> None:
    gateway = refunding.gateway
    gateway.refunds = (
        gateway.refund("rf_nothing", "pay_1", Money(0)),
        gateway.refund("rf_dollars", "pay_1", Money(100, "USD")),
        gateway.refund("rf_nowhere", "pay_nobody_knows", Money(100)),
        gateway.refund("rf_good", "pay_1", Money(100)),
    )
    refunding.read_again()
    assert [row.gateway_refund_id for row in refunding.rows()] == ["rf_good"]
    assert refunding.reviews() == ["refund_mismatch", "refund_mismatch"]


def test_news_of_another_payments_refund_moves_nothing_here_or_there(
    refunding: Refunding, ledger: Ledger
) -> None:
    """Genuine ids of one payment's refund, told under the order of another."""
    gateway = refunding.gateway
    gateway.refund_status = PENDING
    refunding.send(100)
    (wire,) = gateway.sent
    theirs = replace(gateway.made.pop(wire.refund_id), status=COMPLETED)
    other = Refunding(refunding.db, gateway, buy(refunding.db, gateway))
    gateway.paid("pay_other", PRICE)
    other.read_again()
    other.hear(theirs, payment="pay_other")
    other.hear(replace(theirs, transaction_id="pay_other"), payment="pay_other")
    other.hear(gateway.refund("rf_dashboard", "pay_1", Money(100)), payment="pay_other")
    assert (refunding.row().status, other.rows()) == (PENDING, [])
    assert {row.outcome for row in ledger.inbox()} == {"applied"}
    assert other.reviews() == ["refund_mismatch"]


# ── locks ───────────────────────────────────────────────────────────────────────────────────────────


def test_refunds_readers_and_the_dashboard_at_once_neither_block_nor_lose_each_other(
    db: Database, gateway: FakeGateway
) -> None:
    refunding = Refunding.begin(db, gateway)
    with db.begin() as session:  # so that the row of a reference is locked, too
        session.execute(update(Payment).values(reference="order-1", price_verified=True))
    gateway.refunds = tuple(gateway.refund(f"rf_{number}", "pay_1", Money(700)) for number in range(4))
    start = Barrier(12)

    def ring(number: int) -> None:
        start.wait()
        if number % 3 == 0:
            refunding.send(1000)
        elif number % 3 == 1:
            refunding.hear(gateway.refunds[number // 3], event_id=f"evt_{number}")
        else:
            refunding.read_again()

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ring, range(12)))
    refunding.read_again()
    rows = refunding.rows()
    assert sorted(row.amount for row in rows) == [700] * 4 + [1000] * 4
    assert {row.status for row in rows} == {COMPLETED}
    assert refunding.told() == ["refund.completed"] * 8
    assert by_id(db, refunding.payment.id).amount_refunded == Money(6800)


class Unsigned(FakeGateway):
    """Its refund events name the order and are signed by nobody."""

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        event = super().reread_webhook(event_id, raw_body)
        return replace(event, kind=EventKind.REFUND, snapshot=None)


def test_an_unsigned_event_of_a_refund_makes_the_worker_ask_at_once(db: Database) -> None:
    gateway = Unsigned()
    gateway.refund_status = RefundStatus.PENDING
    refunding = Refunding.begin(db, gateway)
    refunding.send()
    hand = HandClock()
    assert reconcile.sweep_refunds(db, gateway, Urls("http://127.0.0.1:5000"), hand.clock) == 0
    gateway.refund_status = RefundStatus.COMPLETED
    gateway.made = {
        name: replace(made, status=RefundStatus.COMPLETED, gateway_status="completed")
        for name, made in gateway.made.items()
    }
    refunding.hear()
    hand.advance(timedelta(seconds=1))
    assert reconcile.sweep_refunds(db, gateway, Urls("http://127.0.0.1:5000"), hand.clock) == 1
    with db.read() as session:
        assert [row.status for row in session.query(Refund)] == [RefundStatus.COMPLETED]


def test_an_event_that_comes_while_the_worker_asks_makes_it_ask_again(db: Database) -> None:
    """The answer under way is older than the event, which is done with its 200: nothing else would ask."""
    gateway, hand = Unsigned(), HandClock()
    gateway.refund_status = RefundStatus.PENDING
    refunding = Refunding.begin(db, gateway)
    refunding.send()
    hand.advance(timedelta(days=6))
    answer = gateway.fetch_refund

    def ends_while_it_is_asked_for(ref: RefundRef, deadline: Deadline) -> RefundSnapshot:
        told = answer(ref, deadline)
        gateway.ends(ref.refund_id, RefundStatus.COMPLETED)
        refunding.hear()
        return told

    gateway.fetch_refund = ends_while_it_is_asked_for  # type: ignore[method-assign]
    assert reconcile.sweep_refunds(db, gateway, Urls("http://127.0.0.1:5000"), hand.clock) == 2
    assert refunding.row().status == RefundStatus.COMPLETED


def test_more_that_went_back_than_was_paid_counts_and_is_for_a_person(refunding: Refunding) -> None:
    told = [refunding.gateway.refund(f"rf_{number}", "pay_1", Money(30000)) for number in (1, 2)]
    refunding.hear(told[0])
    assert refunding.reviews() == []
    refunding.hear(*told, event_id="evt_2")
    assert refunding.reviews() == ["refund_mismatch"]
    assert by_id(refunding.db, refunding.payment.id).amount_refunded == Money(60000)
    refunding.hear(*told, event_id="evt_3")
    assert refunding.reviews() == ["refund_mismatch"]


class NamesThePaymentOnly(FakeGateway):
    """Its refund events have neither order nor payment in them, only the payment's id."""

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        event = super().reread_webhook(event_id, raw_body)
        (told,) = event.snapshot.refunds  # type: ignore[union-attr, misc]
        return WebhookEvent(
            event_id, "fake.refund", EventKind.REFUND, refund=told, transaction_id=told.transaction_id
        )


def test_a_refund_that_names_its_payment_only_is_booked_at_once(db: Database, ledger: Ledger) -> None:
    gateway = NamesThePaymentOnly()
    refunding = Refunding.begin(db, gateway)
    calls = len(gateway.calls)
    refunding.hear(gateway.refund("rf_1", "pay_1", Money(100)))
    row = refunding.row()
    assert (row.status, row.amount, row.gateway_refund_id) == (COMPLETED, 100, "rf_1")
    assert refunding.told() == ["refund.completed"]
    assert (ledger.inbox()[-1].outcome, len(gateway.calls)) == ("applied", calls)


def test_the_banks_reference_is_asked_for_at_four_ages_of_the_end_and_then_no_more(
    refunding: Refunding,
) -> None:
    """Asking is no change of the refund: were it one, its end would be as young as the last question."""
    refunding.send(100)
    ended_at, hand, ages = refunding.row().updated_at, HandClock(), []
    while (due := refunding.row().next_check_at) is not None and len(ages) < 9:
        ages.append(round((due - ended_at) / timedelta(hours=1)))
        hand.moment = due
        reconcile.sweep_refunds(refunding.db, refunding.gateway, Urls("http://127.0.0.1:5000"), hand.clock)
    assert ages == [1, 24, 72, 168]
    assert refunding.row().updated_at == ended_at
