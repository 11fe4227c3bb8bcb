"""What was paid by an attempt is what the gateway says once it is paid, not what it said before."""

from datetime import timedelta

import pytest

from payments_service.domain.money import Money
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, PaymentStatus, Source
from payments_service.flows import refund, reviews, verify, webhook
from payments_service.store.db import Database
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.delivering import HandClock
from tests.flows.test_money_held import TAKEN, say
from tests.flows.test_reconcile import follow
from tests.support.fake_gateway import GENUINE, FakeGateway

API = Actor(Source.API, "shop")


def test_an_offer_of_the_last_moment_is_what_can_be_given_back(db: Database, gateway: FakeGateway) -> None:
    opened = buy(db, gateway)
    fields = {"orderId": opened.order_id, "proof": f"proof of {opened.order_id}"}
    gateway.attempts = (gateway.attempt("pay_1", AttemptStatus.PENDING, PRICE),)
    with pytest.raises(verify.NotCompletedYet):
        verify.verify(db, gateway.name, [gateway], fields, "request-1")
    gateway.paid("pay_1", PRICE - Money(5000))
    verify.verify(db, gateway.name, [gateway], fields, "request-2")
    assert refund.refund(db, gateway, opened.id, None, "", API).amount == PRICE - Money(5000)


def test_an_attempt_that_was_told_of_without_its_sum_can_be_given_back(
    db: Database, gateway: FakeGateway
) -> None:
    opened = buy(db, gateway)
    about = {"order": opened.order_id, "amount": PRICE.minor}
    webhook.receive(db, gateway, GENUINE, gateway.event(**about, status="pending", attempt="pending", paid=0))
    webhook.receive(db, gateway, GENUINE, gateway.event(**about, status="completed"))
    gateway.paid("pay_1", PRICE)
    assert refund.refund(db, gateway, opened.id, None, "", API).amount == PRICE


def test_the_part_of_a_hold_that_was_captured_is_what_a_person_sees(
    db: Database, gateway: FakeGateway
) -> None:
    gateway.captures_automatically, hand = False, HandClock()
    buy(db, gateway)
    gateway.held("pay_1", PRICE)
    follow(db, gateway, hand, timedelta(minutes=5))
    gateway.status = PaymentStatus.PENDING
    gateway.attempts = (gateway.attempt("pay_1", AttemptStatus.SUCCEEDED, Money(10000)),)
    follow(db, gateway, hand, timedelta(hours=5))
    [review] = reviews.open_reviews(db)
    assert review.detail["payments"] == [{"paymentId": "pay_1", "amountPaise": 10000}]


def test_a_low_sum_of_before_does_not_make_money_that_is_there_look_returned(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """Told as a part, taken in full under a word that is not paid, and the part goes back."""
    hand = HandClock()
    opened = buy(db, gateway, lifetime_seconds=900)
    say(gateway, PaymentStatus.PENDING, ("pay_1", AttemptStatus.PENDING, Money(10000)))
    follow(db, gateway, hand, timedelta(minutes=2))
    say(gateway, PaymentStatus.EXPIRED, ("pay_1", TAKEN, PRICE))
    gateway.refunds = (gateway.refund("rf_1", "pay_1", Money(10000)),)
    follow(db, gateway, hand, timedelta(hours=3))
    assert ledger.payment(opened.id).review
    assert ledger.payment(opened.id).status != PaymentStatus.EXPIRED
