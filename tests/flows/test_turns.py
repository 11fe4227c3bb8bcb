"""How often each hot path waits for the database, and what it does when a wait is too long."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from email.utils import formatdate

import pytest

from payments_service import logs
from payments_service.domain import clock
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import StoreUnavailable
from payments_service.domain.payment import Actor
from payments_service.flows import sync
from payments_service.flows.create_order import Urls, create_order
from payments_service.flows.idempotency import Claim, claim, keep
from payments_service.flows.status import status
from payments_service.flows.verify import verify
from payments_service.store import payments, postgres, sqlite
from payments_service.store.db import Database
from payments_service.store.measure import measure
from tests.flows.conftest import PRICE, Ledger, buy, wish
from tests.support.fake_gateway import FakeGateway

URLS = Urls("http://127.0.0.1:5000")


@pytest.fixture
def measured(db: Database) -> Database:
    measure(db.engine)
    return db


@contextmanager
def turns(expected: int) -> Iterator[None]:
    with logs.unit("Test") as unit:
        yield
    assert unit.counts["roundTrips"] == expected


def test_create_order_waits_three_times(measured: Database, gateway: FakeGateway) -> None:
    buy(measured, gateway)  # whether the tables are there is asked once
    with turns(3):
        buy(measured, gateway)


@pytest.mark.parametrize(("reference", "waits"), [(None, 7), ("ORDER-1001", 8)])
def test_create_order_with_a_key_waits_seven_times_and_with_a_reference_eight(
    measured: Database,
    gateway: FakeGateway,
    monkeypatch: pytest.MonkeyPatch,
    reference: str | None,
    waits: int,
) -> None:
    buy(measured, gateway)
    monkeypatch.setattr(clock, "WATCH", clock.Watch())
    clock.WATCH.hear("fake", formatdate(usegmt=True))  # else the rows are asked whether our clock is right
    new = replace(wish(), reference=reference, price_verified=reference is not None)
    with turns(waits):
        claimed = claim(
            measured,
            endpoint="create-order",
            owner="a buyer",
            key="key-of-the-test",
            fingerprint="0",
            lease=timedelta(seconds=75),
        )
        assert isinstance(claimed, Claim)
        create_order(measured, gateway, new, URLS, "r", claimed)
        keep(measured, claimed, b"{}")


def test_a_completed_payment_is_looked_at_in_one_turn(measured: Database, gateway: FakeGateway) -> None:
    opened = buy(measured, gateway)
    gateway.paid("pay_1", PRICE)
    fields = {"orderId": opened.order_id or "", "proof": f"proof of {opened.order_id}"}
    verify(measured, "fake", [gateway], fields, "r")
    with turns(1):
        assert status(measured, "fake", [gateway], fields["orderId"], "r").status == "completed"
    with turns(1):
        assert verify(measured, "fake", [gateway], fields, "r").status == "completed"


def test_a_row_that_another_transaction_holds_for_too_long_is_a_store_that_is_not_available(
    db: Database, gateway: FakeGateway, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = buy(db, gateway)
    monkeypatch.setattr(postgres, "BEGIN", (("BEGIN", ()), ("SET LOCAL lock_timeout = '200ms'", ())))
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    gateway.paid("pay_1", PRICE)
    with db.begin() as session:
        payments.lock(session, opened.id)
        with pytest.raises(StoreUnavailable):
            sync.refresh(db, gateway, opened.id, Actor("test", "1"), Deadline(5))
    sync.refresh(db, gateway, opened.id, Actor("test", "2"), Deadline(5))
    assert ledger.payment(opened.id).status == "completed"
