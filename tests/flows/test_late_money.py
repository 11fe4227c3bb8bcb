"""Money that comes too late, or where it may not be paid: a person decides, in any order of news."""

from datetime import UTC, datetime, timedelta

import pytest

from payments_service.domain.errors import Conflict, PaymentsError
from payments_service.domain.money import Money
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus, Source
from payments_service.flows import close, refund, reviews, verify, webhook
from payments_service.flows.payment_view import PaymentView
from payments_service.store import outbox
from payments_service.store.db import Database
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.delivering import HandClock
from tests.flows.test_reconcile import follow, told
from tests.flows.test_references import OtherGateway, order_for
from tests.support.fake_gateway import GENUINE, FakeGateway

API = Actor(Source.API, "shop")


@pytest.fixture
def expired(db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock) -> PaymentView:
    """A payment whose time is over, where LATE_SUCCESS=review."""
    db.reviews_late_success = True
    db.destinations = (outbox.MERCHANT,)
    opened = buy(db, gateway, lifetime_seconds=900)
    follow(db, gateway, hand, timedelta(hours=2))
    assert ledger.payment(opened.id).status == "expired"
    return opened


@pytest.fixture
def hand() -> HandClock:
    return HandClock()


def ask(db: Database, gateway: FakeGateway, opened: PaymentView) -> PaymentView:
    fields = {"orderId": opened.order_id, "proof": f"proof of {opened.order_id}"}
    return verify.verify(db, gateway.name, [gateway], fields, "request-1")


def test_a_late_hold_is_captured_by_no_machine(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, expired: PaymentView
) -> None:
    gateway.held("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(hours=8))
    payment = ledger.payment(expired.id)
    assert (payment.status, payment.review) == ("authorized", "late_success")
    assert "payment.completed" not in told(db)
    assert not [call for call in gateway.calls if "capture" in call]


def test_a_late_hold_that_the_gateway_captured_waits_for_a_person(
    db: Database, gateway: FakeGateway, ledger: Ledger, expired: PaymentView
) -> None:
    """As Razorpay's late authorisation: first `authorized`, then `captured`."""
    about = {"order": expired.order_id, "amount": PRICE.minor}
    webhook.receive(db, gateway, GENUINE, gateway.event(**about, status="authorized", attempt="authorized"))
    webhook.receive(db, gateway, GENUINE, gateway.event(**about, status="completed"))
    payment = ledger.payment(expired.id)
    assert (payment.status, payment.review) == ("authorized", "late_success")
    assert "payment.completed" not in told(db)


def test_a_late_hold_that_a_person_takes_is_captured(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, expired: PaymentView
) -> None:
    gateway.held("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(minutes=30))
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(hours=8))
    assert ledger.payment(expired.id).status == "authorized"
    while why := ledger.payment(expired.id).review:
        reviews.clear(db, expired.id, "asha", reason=why, accept=True, clock=hand.clock)
    follow(db, gateway, hand, timedelta(hours=8))
    assert ledger.payment(expired.id).status == "completed"


def test_a_late_hold_is_captured_once_a_person_takes_it(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock, expired: PaymentView
) -> None:
    gateway.held("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(hours=1))
    said = reviews.clear(db, expired.id, "asha", accept=True, clock=hand.clock)
    assert "may be captured now" in said
    follow(db, gateway, hand, timedelta(minutes=1))
    assert [call for call in gateway.calls if call.startswith("capture")]
    assert ledger.payment(expired.id).status == "completed"
    assert not ledger.payment(expired.id).review


def test_money_taken_of_a_closed_payment_after_its_hold_was_dismissed_is_a_new_question(
    db: Database, gateway: FakeGateway, ledger: Ledger, hand: HandClock
) -> None:
    opened = buy(db, gateway)
    close.close(db, gateway, opened.id, API)
    gateway.held("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(hours=1))
    reviews.clear(db, opened.id, "asha", reason="late_success", accept=False, clock=hand.clock)
    assert not ledger.payment(opened.id).review
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(days=2))
    assert ledger.payment(opened.id).review == "late_success"


@pytest.mark.parametrize(("paise", "is_left"), [(PRICE.minor, False), (100, True)])
def test_money_that_is_on_its_way_back_is_not_accepted(
    db: Database,
    gateway: FakeGateway,
    ledger: Ledger,
    hand: HandClock,
    expired: PaymentView,
    paise: int,
    is_left: bool,
) -> None:
    gateway.paid("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(hours=8))
    assert ledger.payment(expired.id).review == "late_success"
    gateway.refund_status = RefundStatus.PENDING
    refund.refund(db, gateway, expired.id, Money(paise), "too late", API, transaction_id="pay_1")
    if is_left:
        reviews.clear(db, expired.id, "asha", accept=True, clock=hand.clock)
    else:
        with pytest.raises(Conflict, match="on its way back"):
            reviews.clear(db, expired.id, "asha", accept=True, clock=hand.clock)
    assert ledger.payment(expired.id).status == ("completed" if is_left else "expired")


def test_a_late_word_of_a_hold_that_was_let_go_revives_nothing(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    gateway.captures_automatically = False
    opened = buy(db, gateway)
    at = datetime.now(UTC).isoformat()
    held = {"order": opened.order_id, "status": "authorized", "amount": PRICE.minor, "at": at}
    webhook.receive(db, gateway, GENUINE, gateway.event(**held, attempt="authorized"))
    gateway.status = PaymentStatus.PENDING
    gateway.attempts = (gateway.attempt("pay_1", AttemptStatus.VOIDED, PRICE),)
    with pytest.raises(verify.VerificationFailed):
        ask(db, gateway, opened)
    webhook.receive(db, gateway, GENUINE, gateway.event(**held, attempt="authorized", delivery=2))
    assert ledger.moves(opened.id)[-1] == "failed"


def test_a_hold_on_a_closed_payment_is_no_success_to_the_browser(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    gateway.captures_automatically = False
    opened = buy(db, gateway)
    close.close(db, gateway, opened.id, API)
    gateway.held("pay_1", PRICE)
    with pytest.raises(PaymentsError):
        ask(db, gateway, opened)
    assert ledger.payment(opened.id).review == "late_success"


def test_a_hold_for_a_reference_that_is_paid_is_no_success_to_the_browser(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    gateway.captures_automatically = False
    other = OtherGateway()
    held = order_for(db, gateway)
    paid = order_for(db, other)
    told_of = {"order": paid.order_id, "status": "completed", "amount": PRICE.minor, "payment": "pay_o"}
    webhook.receive(db, other, GENUINE, other.event(**told_of))
    gateway.held("pay_1", PRICE)
    with pytest.raises(PaymentsError):
        ask(db, gateway, held)
    assert ledger.payment(held.id).review == "reference_paid_twice"
