"""A gateway whose variables were taken away while payments or refunds are open there: a person is told."""

from payments_service.domain.payment import Actor
from payments_service.domain.states import RefundStatus, Source
from payments_service.flows import monitors, refund, reviews, webhook
from payments_service.store.db import Database
from tests.flows.conftest import PRICE, buy
from tests.flows.delivering import HandClock
from tests.support.fake_gateway import GENUINE, FakeGateway


def alerts(db: Database, configured: set[str]) -> list[tuple[str, str, int, int]]:
    monitors.miss_gateways(db, configured, HandClock().clock)
    return [
        (one.why, one.subject, one.detail["openPayments"], one.detail["openRefunds"])
        for one in reviews.open_reviews(db)
    ]


def test_open_payments_and_refunds_of_a_gateway_that_is_gone_are_an_alert_until_it_is_back(
    db: Database, gateway: FakeGateway
) -> None:
    opened = buy(db, gateway)
    paid = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor)
    webhook.receive(db, gateway, GENUINE, paid)
    assert alerts(db, {"other"}) == [], "nothing is open there"
    gateway.refund_status = RefundStatus.PENDING
    gateway.paid("pay_1", PRICE)
    refund.refund(db, gateway, opened.id, None, "", Actor(Source.API, "shop"))
    buy(db, gateway)
    assert alerts(db, {"other"}) == [("gateway_gone", "fake", 1, 1)]
    assert alerts(db, {"other"}) == [("gateway_gone", "fake", 1, 1)]
    assert alerts(db, {"other", "fake"}) == []
