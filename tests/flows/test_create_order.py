"""create_order: intent before the call, one answer after it, and the truth when there is none."""

from datetime import UTC, datetime, timedelta

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import OutcomeUnknown, Rejected, Unavailable, UnknownAtGateway
from payments_service.domain.money import Money
from payments_service.domain.news import NewOrder, OrderRef
from payments_service.domain.payment import Actor
from payments_service.domain.states import PaymentStatus
from payments_service.flows import sync, webhook
from payments_service.flows.create_order import CreateOrderFailed
from payments_service.flows.status import status
from payments_service.store import payments
from payments_service.store.db import Database
from payments_service.store.tables import PaymentOrder
from tests.flows.conftest import PRICE, Ledger, buy
from tests.support.fake_gateway import GENUINE, FakeGateway


def test_the_intent_is_committed_before_the_gateway_is_called(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    seen = []

    def look(_gateway_order_id: str, order: NewOrder) -> None:
        stored = ledger.only_order()
        seen.append((stored.wire_id == order.wire_id, stored.status, ledger.only_payment().status))

    gateway.during_create = look
    buy(db, gateway)
    assert seen == [(True, "creating", "initiated")]


def test_an_open_order_is_pending_and_says_how_to_pay(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    assert opened.status is PaymentStatus.PENDING
    assert opened.order_id == ledger.only_order().gateway_order_id
    assert opened.checkout == {"key": "k"}
    assert ledger.moves(opened.id) == ["initiated", "pending"]


@pytest.mark.parametrize(
    ("error", "retryable"), [(Rejected("no"), False), (Unavailable("away"), True)], ids=["rejected", "away"]
)
def test_an_order_that_was_never_made_fails_and_says_whether_to_retry(
    db: Database, gateway: FakeGateway, ledger: Ledger, error: Rejected, retryable: bool
) -> None:
    gateway.create_error = error
    with pytest.raises(CreateOrderFailed) as raised:
        buy(db, gateway)
    assert raised.value.extra["retryable"] is retryable
    assert raised.value.code == error.code
    assert ledger.only_order().status == "refused"
    assert ledger.moves(ledger.only_payment().id) == ["initiated", "failed"]


def test_an_order_whose_answer_was_lost_is_found_by_our_id_and_not_made_again(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    gateway.create_error = OutcomeUnknown("read timeout")
    opened = buy(db, gateway)
    assert opened.status is PaymentStatus.PENDING
    assert gateway.calls == ["create_order", "fetch_payment"]
    assert ledger.only_order().gateway_order_id == opened.order_id


def test_an_order_that_cannot_be_found_yet_stays_initiated_until_a_status_page_finds_it(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    gateway.create_error, gateway.fetch_error = OutcomeUnknown("reset"), UnknownAtGateway("none")
    with pytest.raises(CreateOrderFailed) as raised:
        buy(db, gateway)
    assert raised.value.code == "outcome_unknown"
    payment = ledger.only_payment()
    assert payment.status == PaymentStatus.INITIATED
    gateway.fetch_error = None
    found = status(db, "fake", [gateway], str(payment.id), "request-2")
    assert found.status is PaymentStatus.PENDING
    assert found.order_id == ledger.only_order().gateway_order_id
    assert gateway.calls.count("create_order") == 1


def test_an_order_for_another_amount_is_never_handed_to_the_browser(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    gateway.amount = Money(100)
    with pytest.raises(CreateOrderFailed):
        buy(db, gateway)
    payment = ledger.only_payment()
    assert (payment.status, payment.review) == ("initiated", "amount_mismatch")


def test_a_webhook_that_overtakes_our_own_answer_is_kept_and_applied_with_it(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """The order id is not ours yet when its first event arrives."""

    def pay(gateway_order_id: str, _order: NewOrder) -> None:
        event = gateway.event(order=gateway_order_id, status="completed", amount=PRICE.minor)
        webhook.receive(db, gateway, GENUINE, event)
        assert [row.outcome for row in ledger.inbox()] == ["unmatched"]

    gateway.during_create = pay
    opened = buy(db, gateway)
    assert opened.status is PaymentStatus.COMPLETED
    assert ledger.moves(opened.id) == ["initiated", "pending", "completed"]
    assert [(row.outcome, row.payment_id) for row in ledger.inbox()] == [("applied", opened.id)]


def test_an_event_that_names_our_wire_id_makes_a_lost_order_ours(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """Its earlier events, which named only the gateway's id, count then too."""
    gateway.create_error, gateway.fetch_error = OutcomeUnknown("reset"), UnknownAtGateway("none")
    with pytest.raises(CreateOrderFailed):
        buy(db, gateway)
    [order_id] = gateway.orders
    wire_id = ledger.only_order().wire_id
    failed = gateway.event(order=order_id, status="pending", attempt="failed", amount=PRICE.minor)
    webhook.receive(db, gateway, GENUINE, failed)
    paid = gateway.event(
        order=order_id, wire=wire_id, status="completed", payment="pay_2", amount=PRICE.minor
    )
    webhook.receive(db, gateway, GENUINE, paid)
    payment = ledger.only_payment()
    assert (payment.status, payment.order_id) == ("completed", order_id)
    assert [row.outcome for row in ledger.inbox()] == ["applied", "applied"]
    assert len(ledger.trail(payment.id, "attempt")) == 2


def test_an_order_whose_address_is_lost_is_replaced_once_and_watched_to_its_end(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """Some gateways confirm that an order exists and never tell again how to open it."""
    gateway.tells_checkout_again = False
    gateway.create_error = OutcomeUnknown("read timeout")

    def recover(_gateway_order_id: str, _order: NewOrder) -> None:
        if len(gateway.orders) == 2:
            gateway.create_error = None

    gateway.during_create = recover
    opened = buy(db, gateway)
    _, second = gateway.orders
    assert (opened.status, opened.order_id) == (PaymentStatus.PENDING, second)
    with db.read() as session:
        current, lost = payments.watched_orders(session, opened.id)
    assert (current.gateway_order_id, current.status, lost.status) == (second, "open", "lost")
    gateway.status = PaymentStatus.EXPIRED
    sync.apply(db, gateway, lost, gateway.fetch_payment(wire(lost), Deadline(5)), BELL)
    assert ledger.payment(opened.id).status == "pending"
    gateway.paid("pay_1", PRICE)
    sync.apply(db, gateway, lost, gateway.fetch_payment(wire(lost), Deadline(5)), BELL)
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.order_id) == ("completed", second)


def test_when_two_addresses_are_lost_nobody_is_told_that_the_order_is_open(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    gateway.tells_checkout_again = False
    gateway.create_error = OutcomeUnknown("reset")
    with pytest.raises(CreateOrderFailed) as raised:
        buy(db, gateway)
    assert raised.value.code == "outcome_unknown"
    assert gateway.calls.count("create_order") == 2


def test_an_answer_that_comes_after_a_takeover_is_not_written(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    def take_over(_gateway_order_id: str, _order: NewOrder) -> None:
        with db.begin() as session:
            session.get_one(PaymentOrder, ledger.only_order().id).generation = 2

    gateway.during_create = take_over
    with pytest.raises(CreateOrderFailed):
        buy(db, gateway)
    assert ledger.only_order().gateway_order_id is None
    assert ledger.only_payment().status == "initiated"


def test_held_money_that_overtakes_our_own_answer_is_captured(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    def hold(gateway_order_id: str, _order: NewOrder) -> None:
        gateway.held("pay_1", PRICE)
        event = gateway.event(
            order=gateway_order_id, status="authorized", attempt="authorized", amount=PRICE.minor
        )
        webhook.receive(db, gateway, GENUINE, event)

    gateway.during_create = hold
    assert buy(db, gateway).status is PaymentStatus.COMPLETED
    assert gateway.calls.count("capture pay_1") == 1


def test_an_intent_that_never_reached_the_gateway_ends_when_its_time_is_over(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    gateway.create_error, gateway.fetch_error = OutcomeUnknown("reset"), UnknownAtGateway("none")
    with pytest.raises(CreateOrderFailed):
        buy(db, gateway)
    payment = ledger.only_payment()
    assert status(db, "fake", [gateway], str(payment.id), "r").status is PaymentStatus.INITIATED
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    with db.begin() as session:
        found = payments.lock(session, payment.id)
        found.expires_at, found.asked_at = hour_ago, hour_ago
        payments.current_order(session, payment.id).leased_until = hour_ago
    assert status(db, "fake", [gateway], str(payment.id), "r").status is PaymentStatus.FAILED


def test_the_lost_order_is_asked_about_together_with_the_current_one(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    gateway.tells_checkout_again = False
    gateway.create_error = OutcomeUnknown("read timeout")
    gateway.during_create = lambda *_: setattr(
        gateway, "create_error", None if len(gateway.orders) == 2 else gateway.create_error
    )
    opened = buy(db, gateway)
    gateway.calls.clear()
    sync.refresh(db, gateway, opened.id, BELL, Deadline(5))
    assert gateway.calls == ["fetch_payment", "fetch_payment"]


BELL = Actor("verify", "request-3")


def wire(order: PaymentOrder) -> OrderRef:
    return OrderRef(order.wire_id, order.gateway_order_id)
