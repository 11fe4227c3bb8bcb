"""The benchmark's own check sees a webhook that was lost, doubled or half applied, and an order likewise."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import responses
from sqlalchemy import Engine, Table, delete, insert, select, update

from payments_service import create_app
from payments_service.settings import Settings
from payments_service.store.tables import (
    Base,
    Payment,
    PaymentAttempt,
    PaymentEvent,
    PaymentOrder,
    PaymentWebhook,
)
from tests.bench import books, servers, work
from tests.bench.wrk import Load

GATEWAY_PORT = 9
RUN = "r1x"
EVENTS = 3
AT_GATEWAY = {
    "id": "order_00000000000001",
    "entity": "order",
    "amount": work.PAISE,
    "amount_paid": 0,
    "currency": "INR",
    "status": "created",
    "created_at": 1764000000,
}


@dataclass
class Ran:
    """A service that took one create-order and EVENTS webhooks, each answered with 200."""

    engine: Engine
    load: Load
    receipt: str

    def change(self, statement: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(statement)

    def again(self, of: type[Base], *which: Any, **changed: Any) -> None:
        """A copy of one such row, beside it."""
        self.change(insert(_table(of)).values({**self._one(of, *which), "id": uuid4(), **changed}))

    def remove(self, of: type[Base]) -> None:
        self.change(delete(of).where(_table(of).c.id == self._one(of)["id"]))

    def wrong(self) -> list[str]:
        return books.judge_webhooks(self.engine, RUN, self.load)

    def _one(self, of: type[Base], *which: Any) -> dict[str, Any]:
        with self.engine.connect() as connection:
            return dict(connection.execute(select(_table(of)).where(*which)).mappings().fetchmany(1)[0])


def _table(of: type[Base]) -> Table:
    return Base.metadata.tables[of.__tablename__]


@pytest.fixture
def ran(database_url: str) -> Iterator[Ran]:
    app = create_app(Settings.from_environment(servers.service_settings(database_url, 5000, GATEWAY_PORT)))
    client, engine = app.test_client(), app.extensions["payments_service"].db.engine
    with responses.RequestsMock() as wire:
        wire.post(f"http://127.0.0.1:{GATEWAY_PORT}/v1/orders", json=AT_GATEWAY)
        made = UUID(client.post(work.CREATE_ORDER, json=work.order_body(0)).json["id"])  # type: ignore[index]
    events = work.webhooks(RUN, EVENTS)
    work.await_payment(engine, made, events)
    for event in events:
        body = event.body()
        assert client.post(work.WEBHOOK, data=body, headers=event.headers(body)).status_code == 200
    with engine.connect() as connection:
        query = select(PaymentOrder.wire_id).where(PaymentOrder.payment_id == made)
        receipt = connection.scalars(query).one()
    yield Ran(engine, _load(EVENTS), receipt)
    engine.dispose()


def _load(count: int) -> Load:
    return Load(count, 0, 0, 0, count, seconds=1.0, p50_ms=1.0, p99_ms=1.0)


def test_what_was_taken_whole_is_right(ran: Ran) -> None:
    assert ran.wrong() == []


def test_a_lost_webhook_is_noticed(ran: Ran) -> None:
    ran.remove(PaymentWebhook)
    assert "1 webhooks were acknowledged and are not stored" in ran.wrong()


def test_one_under_way_at_the_end_may_be_stored_without_a_200(ran: Ran) -> None:
    ran.load = replace(ran.load, answered=EVENTS - 1)
    assert ran.wrong() == []


def test_one_that_was_refused_counts_as_not_acknowledged(ran: Ran) -> None:
    ran.remove(PaymentWebhook)
    told = select(PaymentWebhook.payment_id)
    ran.change(update(Payment).where(Payment.id.not_in(told)).values(status="pending"))
    ran.load = replace(ran.load, refused=1)
    assert ran.wrong() == []


def test_a_webhook_that_is_stored_twice_is_noticed(ran: Ran) -> None:
    ran.again(PaymentWebhook, event_id=work.event_id(RUN, 99))
    assert any("told of more than once" in sentence for sentence in ran.wrong())
    assert "1 webhooks more are stored than were sent" in ran.wrong()


def test_a_payment_that_was_completed_twice_is_noticed(ran: Ran) -> None:
    ran.again(PaymentEvent, PaymentEvent.to_status == "completed", sequence=99)
    assert any("not completed once in the history" in sentence for sentence in ran.wrong())


def test_a_webhook_that_is_stored_and_not_applied_is_noticed(ran: Ran) -> None:
    ran.change(update(PaymentWebhook).values(outcome="failed"))
    ran.change(update(Payment).values(status="pending"))
    assert {sentence.partition(":")[0] for sentence in ran.wrong()} == {
        "not applied",
        "stored and not completed",
    }


def test_a_payment_with_a_second_attempt_is_noticed(ran: Ran) -> None:
    ran.again(PaymentAttempt, transaction_id="pay_another")
    assert any("without exactly one attempt" in sentence for sentence in ran.wrong())


def _wrong_orders(ran: Ran, count: int, *more_at_gateway: dict[str, Any]) -> list[str]:
    """Of the one order that create-order made; those that wait for webhooks are not counted."""
    ordered = {"id": AT_GATEWAY["id"], "receipt": ran.receipt}
    ran.change(update(PaymentOrder).where(PaymentOrder.wire_id.startswith("worder_")).values(status="lost"))
    return books.judge_orders(ran.engine, _load(count), 0, [ordered, *more_at_gateway])


def test_orders_that_were_made_once_are_right(ran: Ran) -> None:
    assert _wrong_orders(ran, 1) == []


def test_a_lost_and_an_unknown_order_are_noticed(ran: Ran) -> None:
    assert _wrong_orders(ran, 2) == ["1 orders were acknowledged and are not stored"]
    [sentence] = _wrong_orders(ran, 1, {"id": "order_lost", "receipt": "another"})
    assert "unknown here" in sentence


def test_a_doubled_order_is_noticed(ran: Ran) -> None:
    open_one = PaymentOrder.gateway_order_id == AT_GATEWAY["id"]
    ran.again(PaymentOrder, open_one, wire_id="twice", gateway_order_id="order_twice")
    kinds = [sentence.partition(":")[0] for sentence in _wrong_orders(ran, 2)]
    assert kinds == ["payments with more than one order", "orders here that the gateway did not make"]


def test_the_settings_are_production_s(database_url: str) -> None:
    settings = Settings.from_environment(servers.service_settings(database_url, 5000, GATEWAY_PORT))
    assert settings.env == "production"
    assert "gunicorn" in servers.procfile("web")[2]
    assert "0.0.0.0" not in servers.procfile("web")[2]
