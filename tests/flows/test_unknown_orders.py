"""Events of orders that no row knows: which are ours, and what a person is told of them."""

from datetime import UTC, datetime, timedelta

import pytest

from payments_service.domain.errors import Unavailable, UnknownAtGateway
from payments_service.domain.money import Money
from payments_service.domain.news import Customer, EventKind, NewOrder, OrderRef, WebhookEvent
from payments_service.flows import reconcile, webhook
from payments_service.store.db import Database
from payments_service.store.tables import Alert
from tests.flows.conftest import PRICE, Ledger
from tests.flows.delivering import HandClock
from tests.support.fake_gateway import GENUINE, FakeGateway

LOST, OURS, THEIRS = "G_lost", "psv_lost", "receipt of another shop"


class LostOrder(FakeGateway):
    """It knows one order that we do not, by its own id only; an event of a refund names only a payment."""

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        event = super().reread_webhook(event_id, raw_body)
        if event.snapshot is None or not event.snapshot.refunds:
            return event
        (refund,) = event.snapshot.refunds
        return WebhookEvent(event_id, "refund", EventKind.REFUND, refund=refund, transaction_id="pay_1")

    def keeps(self, wire_id: str) -> None:
        payer = Customer("1", "Asha", "asha@example.com", "9876543210")
        ends = datetime.now(UTC) + timedelta(minutes=30)
        self.orders[LOST] = NewOrder(wire_id, PRICE, payer, "A course", "", "", ends)


class ByOurIdAlone(LostOrder):
    """It tells of orders by our id alone, as PhonePe does."""

    browser_knows_wire_id = True


@pytest.fixture
def gateway() -> LostOrder:
    return LostOrder()


@pytest.fixture
def phone() -> ByOurIdAlone:
    return ByOurIdAlone()


def name_a_payment_only(db: Database, gateway: FakeGateway) -> None:
    refund = gateway.refund("rf_1", "pay_1", Money(100))
    webhook.receive(db, gateway, GENUINE, gateway.refund_event(None, refund))


def alerts(db: Database) -> list[tuple[str, str, object, object]]:
    with db.read() as session:
        return [
            (one.code, one.subject, one.detail["orderId"], one.detail["amountPaise"])
            for one in session.query(Alert)
        ]


def paid(gateway: FakeGateway, **more: object) -> bytes:
    return gateway.event(order=LOST, status="completed", amount=PRICE.minor, **more)


def test_an_order_that_is_named_by_our_id_is_an_alert_with_its_amount(
    db: Database, gateway: LostOrder
) -> None:
    gateway.keeps(OURS)
    webhook.receive(db, gateway, GENUINE, gateway.event(wire=OURS, order=LOST, status="completed", amount=1))
    assert alerts(db) == [("unknown_order", OURS, LOST, PRICE.minor)]


def test_an_order_that_is_named_by_the_gateways_id_is_asked_whose_it_is(
    db: Database, gateway: LostOrder, ledger: Ledger
) -> None:
    gateway.keeps(OURS)
    webhook.receive(db, gateway, GENUINE, paid(gateway))
    assert alerts(db) == [("unknown_order", OURS, LOST, PRICE.minor)]
    assert [(row.outcome, row.next_try_at) for row in ledger.inbox()] == [("unmatched", None)]


def test_an_event_that_names_a_payment_only_is_asked_for_its_order(db: Database, gateway: LostOrder) -> None:
    gateway.keeps(OURS)
    gateway.owner_of_payment_id = OrderRef("", LOST)
    name_a_payment_only(db, gateway)
    assert alerts(db) == [("unknown_order", OURS, LOST, PRICE.minor)]


def test_an_order_of_another_shop_is_asked_for_once_and_is_no_alert(
    db: Database, gateway: LostOrder, ledger: Ledger
) -> None:
    gateway.keeps(THEIRS)
    for payment in ("pay_1", "pay_2", "pay_3"):
        webhook.receive(db, gateway, GENUINE, paid(gateway, payment=payment))
    webhook.receive(db, gateway, GENUINE, gateway.event(wire=THEIRS, status="completed", amount=100))
    assert alerts(db) == []
    assert gateway.calls == ["fetch_payment"]
    assert {(row.outcome, row.next_try_at) for row in ledger.inbox()} == {("unmatched", None)}


def test_an_order_that_cannot_be_asked_for_yet_is_asked_for_by_the_worker(
    db: Database, gateway: LostOrder
) -> None:
    gateway.keeps(OURS)
    gateway.fetch_error = Unavailable("away")
    webhook.receive(db, gateway, GENUINE, paid(gateway))
    webhook.receive(db, gateway, GENUINE, paid(gateway, payment="pay_2"))
    assert alerts(db) == []
    gateway.fetch_error = None
    hand = HandClock()
    hand.advance(timedelta(minutes=1))
    reconcile.sweep_inbox(db, gateway, hand.clock)
    assert alerts(db) == [("unknown_order", OURS, LOST, PRICE.minor)]


def test_an_order_with_our_id_that_can_never_be_asked_for_is_an_alert_without_an_amount(
    db: Database, gateway: LostOrder, ledger: Ledger
) -> None:
    gateway.fetch_error = Unavailable("away")
    webhook.receive(db, gateway, GENUINE, gateway.event(wire=OURS, status="completed", amount=100))
    hand = HandClock()
    hand.advance(timedelta(days=40))
    reconcile.sweep_inbox(db, gateway, hand.clock)
    assert alerts(db) == [("unknown_order", OURS, OURS, None)]
    assert [row.next_try_at for row in ledger.inbox()] == [None]


def test_an_order_with_our_id_that_the_gateway_does_not_know_is_an_alert(
    db: Database, gateway: LostOrder
) -> None:
    webhook.receive(db, gateway, GENUINE, gateway.event(wire=OURS, status="completed", amount=100))
    assert alerts(db) == [("unknown_order", OURS, OURS, None)]


# ── where a gateway tells of orders by our id alone ─────────────────────────────────────────────────


def test_a_payment_of_an_order_with_our_id_is_an_alert_with_the_orders_amount(
    db: Database, phone: ByOurIdAlone
) -> None:
    phone.keeps(OURS)
    phone.owner_of_payment_id = OrderRef(OURS, LOST)
    name_a_payment_only(db, phone)
    assert alerts(db) == [("unknown_order", OURS, LOST, PRICE.minor)]


def test_a_payment_of_an_order_of_which_our_id_is_not_told_is_a_persons_to_look_at_once(
    db: Database, phone: ByOurIdAlone, ledger: Ledger
) -> None:
    phone.owner_of_payment_id = OrderRef("", LOST)
    for _ in range(2):
        name_a_payment_only(db, phone)
    webhook.receive(db, phone, GENUINE, paid(phone))
    assert alerts(db) == [("unknown_order", LOST, LOST, None)]
    assert phone.calls == ["find_by_payment_id"]
    assert {(row.outcome, row.next_try_at) for row in ledger.inbox()} == {("unmatched", None)}


def test_an_order_that_an_event_names_by_the_gateways_id_alone_is_a_persons_to_look_at(
    db: Database, phone: ByOurIdAlone
) -> None:
    webhook.receive(db, phone, GENUINE, paid(phone))
    assert (alerts(db), phone.calls) == ([("unknown_order", LOST, LOST, None)], [])


def test_a_payment_of_which_no_call_tells_the_order_is_a_persons_to_look_at(
    db: Database, phone: ByOurIdAlone
) -> None:
    name_a_payment_only(db, phone)
    assert alerts(db) == [("unknown_order", "pay_1", None, None)]


def test_a_payment_of_another_shop_or_of_none_is_no_alert(
    db: Database, phone: ByOurIdAlone, ledger: Ledger
) -> None:
    phone.owner_of_payment_id = OrderRef(THEIRS, LOST)
    name_a_payment_only(db, phone)
    phone.lookup_error = UnknownAtGateway("no such payment")
    refund = phone.refund("rf_2", "pay_1", Money(100))
    webhook.receive(db, phone, GENUINE, phone.refund_event(None, refund))
    assert alerts(db) == []
    assert {(row.outcome, row.next_try_at) for row in ledger.inbox()} == {("unmatched", None)}


def test_a_payment_that_can_never_be_asked_for_is_a_persons_to_look_at(
    db: Database, phone: ByOurIdAlone
) -> None:
    phone.lookup_error = Unavailable("away")
    name_a_payment_only(db, phone)
    assert alerts(db) == []
    hand = HandClock()
    hand.advance(timedelta(days=40))
    reconcile.sweep_inbox(db, phone, hand.clock)
    assert alerts(db) == [("unknown_order", "pay_1", None, None)]
