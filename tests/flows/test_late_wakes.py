"""News when the next question is far away, or none is planned any more: what it asks for is done soon."""

from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.errors import Conflict, GatewayError, OutcomeUnknown, Unavailable
from payments_service.domain.payment import Actor
from payments_service.domain.states import PaymentStatus, RefundStatus, Source
from payments_service.flows import close, create_order, idempotency, intent, reconcile, webhook
from payments_service.flows.create_order import Urls
from payments_service.flows.idempotency import Claim
from payments_service.store.db import Database
from payments_service.store.tables import Payment, PaymentOrder, Refund
from tests.flows.conftest import PRICE, Ledger, buy, wish
from tests.flows.refunding import Refunding
from tests.support.fake_gateway import GENUINE, FakeGateway
from tests.support.sweeping import sweep_payments

URLS = Urls("http://127.0.0.1:5000")
API = Actor(Source.API, "shop")
AWAY = Unavailable("502")
TURN = 20.0
"""Seconds that one thread of a test waits for the other, at most."""


def age(db: Database, payment_id: UUID, by: timedelta, next_check_at: datetime | None) -> None:
    """The payment and its orders were made earlier, and the worker asks about it then."""
    with db.begin() as session:
        payment = session.get_one(Payment, payment_id)
        payment.created_at, payment.expires_at = payment.created_at - by, payment.expires_at - by
        payment.next_check_at = next_check_at
        if payment.observed_at:
            payment.observed_at -= by
        for order in session.scalars(select(PaymentOrder).where(PaymentOrder.payment_id == payment_id)):
            order.created_at, order.leased_until = order.created_at - by, order.leased_until - by


def authorized(gateway: FakeGateway, order_id: str | None) -> bytes:
    told = {"status": "authorized", "attempt": "authorized", "amount": PRICE.minor}
    return gateway.event(order=order_id, **told)


def paid(gateway: FakeGateway, order_id: str | None) -> bytes:
    told = {"status": "completed", "attempt": "succeeded", "amount": PRICE.minor}
    return gateway.event(order=order_id, **told)


def in_time(moment: datetime | None, most: timedelta) -> bool:
    return moment is not None and moment - REAL_TIME.now() <= most


def test_a_capture_that_its_process_did_not_make_is_taken_over_by_the_worker(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    age(db, opened.id, timedelta(hours=2), REAL_TIME.after(timedelta(minutes=55)))
    gateway.held("pay_1", PRICE)
    webhook.receive(db, gateway, GENUINE, authorized(gateway, opened.order_id), later=lambda _: None)
    assert ledger.payment(opened.id).status == "authorized"
    sweep_payments(db, gateway, Clock(now=lambda: REAL_TIME.after(timedelta(seconds=31))))
    assert ledger.payment(opened.id).status == "completed"


@pytest.mark.parametrize("word", ["authorized", "completed"])
def test_a_payment_that_money_comes_to_after_its_watch_is_watched_again(
    db: Database, gateway: FakeGateway, ledger: Ledger, word: str
) -> None:
    gateway.captures_automatically = False
    opened = buy(db, gateway)
    age(db, opened.id, timedelta(days=6), None)
    tell = {"authorized": authorized, "completed": paid}[word]
    webhook.receive(db, gateway, GENUINE, tell(gateway, opened.order_id))
    payment = ledger.payment(opened.id)
    assert (payment.status, in_time(payment.next_check_at, timedelta(0))) == (word, True)


def test_a_payment_that_waits_for_a_person_after_its_watch_is_watched_again(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    db.reviews_late_success = True
    opened = buy(db, gateway)
    with db.begin() as session:
        session.get_one(Payment, opened.id).status = PaymentStatus.EXPIRED
    age(db, opened.id, timedelta(days=6), None)
    webhook.receive(db, gateway, GENUINE, paid(gateway, opened.order_id))
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.review) == ("expired", "late_success")
    assert in_time(payment.next_check_at, timedelta(0))


def test_a_reading_that_was_not_answered_is_made_again_within_the_hour(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    webhook.receive(db, gateway, GENUINE, paid(gateway, opened.order_id))
    a_day = timedelta(days=1, seconds=5)
    age(db, opened.id, a_day, REAL_TIME.now())
    with db.begin() as session:
        payment = session.get_one(Payment, opened.id)
        assert payment.completed_at is not None
        payment.completed_at -= a_day
    gateway.fetch_error = AWAY
    sweep_payments(db, gateway)
    assert in_time(ledger.payment(opened.id).next_check_at, timedelta(hours=1))


def test_a_refund_of_which_there_is_news_is_asked_about_again_within_the_hour(
    db: Database, gateway: FakeGateway
) -> None:
    refunding = Refunding.begin(db, gateway)
    gateway.refund_status = RefundStatus.PENDING
    refunding.send()
    with db.begin() as session:
        row = session.get_one(Refund, refunding.row().id)
        row.created_at, row.next_check_at = row.created_at - timedelta(days=6), REAL_TIME.now()
    gateway.refund_fetch_error = AWAY
    reconcile.sweep_refunds(db, gateway, URLS, REAL_TIME)
    assert in_time(refunding.row().next_check_at, timedelta(hours=1))


def test_a_close_does_not_end_a_payment_whose_order_is_being_made(
    db: Database, gateway: FakeGateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first order never came to be, and the payer comes back while the close asks about it."""
    gateway.create_error, gateway.fetch_error = OutcomeUnknown("timeout"), AWAY
    with pytest.raises(create_order.CreateOrderFailed):
        create_order.create_order(db, gateway, wish(), URLS, "request-1", claim(db))
    gateway.orders.clear()
    gateway.create_error = gateway.fetch_error = None
    payment_id = ledger.only_payment().id
    age(db, payment_id, timedelta(seconds=90), None)
    is_being_made, is_closed, answers = Event(), Event(), []

    def come_back() -> None:
        def wait(*_: Any) -> None:
            is_being_made.set()
            is_closed.wait(TURN)

        gateway.during_create = wait
        try:
            answers.append(create_order.create_order(db, gateway, wish(), URLS, "request-2", claim(db)))
        except (Conflict, GatewayError) as error:
            answers.append(error)

    payer, look = Thread(target=come_back), close._look

    def look_slowly(*about: Any) -> None:
        look(*about)
        payer.start()
        is_being_made.wait(TURN)

    monkeypatch.setattr(close, "_look", look_slowly)
    with pytest.raises(close.BeingPaid):
        close.close(db, gateway, payment_id, API)
    is_closed.set()
    payer.join(TURN)
    [opened] = answers
    assert (opened.checkout is not None, opened.is_closed) == (True, False)
    assert ledger.payment(payment_id).closed_at is None


def test_an_order_whose_payment_was_closed_meanwhile_is_handed_to_no_payer(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """Its call took longer than its lease."""

    def close_it(*_: Any) -> None:
        payment_id = ledger.only_payment().id
        age(db, payment_id, timedelta(minutes=3), None)
        close.close(db, gateway, payment_id, API)

    gateway.during_create = close_it
    with pytest.raises(Conflict) as caught:
        buy(db, gateway)
    assert caught.value.code == "order_expired"


def claim(db: Database) -> Claim:
    made = idempotency.claim(
        db, endpoint="create-order", owner="asha", key="k" * 16, fingerprint="f", lease=intent.LEASE
    )
    assert isinstance(made, Claim)
    return made
