"""A COMMIT that is carried out, and its answer lost: callers hear 503, repeat, and nothing is done twice."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from payments_service.domain.errors import StoreUnavailable, UnknownAtGateway
from payments_service.domain.money import Money
from payments_service.domain.payment import Actor
from payments_service.flows import reconcile, refund, webhook
from payments_service.flows.create_order import Urls
from payments_service.flows.idempotency import Claim, StillRunning
from payments_service.flows.intake import Intake, Outcome
from payments_service.flows.intent import LEASE
from payments_service.flows.refund import OutcomeStillUnknown
from payments_service.flows.refund_intent import Key
from payments_service.store import wire
from payments_service.store.db import Database
from payments_service.store.wire import Statement
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.delivering import HandClock
from tests.flows.refunding import Refunding
from tests.flows.test_idempotency import Caller
from tests.flows.test_intake import paid, take_together
from tests.support.fake_gateway import GENUINE, FakeGateway

KEY = Key("key-of-the-merchant", "0")
URLS = Urls("http://127.0.0.1:5000")


@contextmanager
def losing_the_answer(db: Database, number: int = 1) -> Iterator[None]:
    """Of one COMMIT of this database, counted from now on; it is carried out."""
    commits = 0

    def is_lost() -> bool:
        nonlocal commits
        commits += 1
        return commits == number

    def trouble() -> Exception:
        words = "the database did not answer in time"
        return sqlite3.OperationalError(words) if db.is_sqlite else psycopg.OperationalError(words)

    def losing(run: Callable[..., Any]) -> Callable[..., Any]:
        def run_and_lose(self: Any, statements: Sequence[Statement]) -> Any:
            found = run(self, statements)
            if any(one.sql == "COMMIT" for one in statements) and is_lost():
                raise trouble()
            return found

        return run_and_lose

    dialect: Any = db.engine.dialect
    commit = dialect.do_commit

    def commit_and_lose(connection: Any) -> None:
        was_open = connection.in_transaction
        commit(connection)
        if was_open and is_lost():
            raise trouble()

    with pytest.MonkeyPatch.context() as patch:
        for kind in (wire.Postgres, wire.Sqlite):
            patch.setattr(kind, "run", losing(kind.run))
        patch.setattr(dialect, "do_commit", commit_and_lose)
        yield
    assert commits >= number


def test_of_a_webhook(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, amount=PRICE.minor, payment="pay_1", status="completed")
    with losing_the_answer(db), pytest.raises(StoreUnavailable):
        webhook.receive(db, gateway, GENUINE, event, Intake(db))
    webhook.receive(db, gateway, GENUINE, event, Intake(db))
    assert ledger.moves(opened.id) == ["initiated", "pending", "completed"]
    assert [row.outcome for row in ledger.inbox()] == ["applied"]


def test_of_a_batch_of_webhooks(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    opened = [buy(db, gateway) for _ in range(3)]
    arrivals = [paid(gateway, one, f"pay_{number}") for number, one in enumerate(opened)]
    with losing_the_answer(db):
        take_together(db, arrivals)
    assert [type(one.error) for one in arrivals] == [StoreUnavailable] * 3
    again = [paid(gateway, one, f"pay_{number}") for number, one in enumerate(opened)]
    assert take_together(db, again) == [Outcome.AGAIN] * 3
    assert {ledger.payment(one.id).status for one in opened} == {"completed"}
    assert all(ledger.moves(one.id).count("completed") == 1 for one in opened)


def test_of_the_intent_of_an_order(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    """No order is made for an intent whose fate its own request does not know."""
    with losing_the_answer(db), pytest.raises(StoreUnavailable):
        buy(db, gateway)
    assert ledger.only_payment().status == "initiated"
    assert gateway.calls == []


def test_of_the_intent_of_an_order_with_a_key(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    caller = Caller(db, gateway)
    with losing_the_answer(db, 2), pytest.raises(StoreUnavailable):
        caller.ask()
    with pytest.raises(StillRunning):
        caller.ask()
    caller.hand.advance(LEASE + timedelta(seconds=1))
    gateway.fetch_error = UnknownAtGateway("no such order")
    opened = caller.ask()
    assert opened.id == ledger.only_payment().id
    assert gateway.calls.count("create_order") == 1


@pytest.mark.parametrize("number", [3, 4])
def test_of_what_came_of_an_order_with_a_key(
    db: Database, gateway: FakeGateway, ledger: Ledger, number: int
) -> None:
    """Of the gateway's answer, and of our own answer that is kept under the key."""
    caller = Caller(db, gateway)
    with losing_the_answer(db, number), pytest.raises(StoreUnavailable):
        caller.ask_and_keep("key-of-the-test-0")
    if number == 3:
        with pytest.raises(StillRunning):
            caller.ask()
        caller.hand.advance(LEASE + timedelta(seconds=1))
        assert caller.ask().id == ledger.only_payment().id
    else:
        assert not isinstance(caller.claim("key-of-the-test-0"), Claim)
    assert gateway.calls.count("create_order") == 1
    assert len(gateway.orders) == 1


def test_of_the_intent_of_a_refund(db: Database, gateway: FakeGateway) -> None:
    """The worker never makes the first sending, because the merchant was told that there is no refund."""
    refunding, hand = Refunding.begin(db, gateway), HandClock()
    with losing_the_answer(db, 3), pytest.raises(StoreUnavailable):
        refunding.send(100, key=KEY)
    hand.advance(timedelta(hours=1))
    reconcile.sweep_refunds(db, gateway, URLS, hand.clock)
    assert gateway.sent == []
    with pytest.raises(StillRunning):
        refunding.send(100, key=KEY)
    hand.advance(timedelta(hours=1))
    later = Actor("operator", "request-3", hand.clock)
    refund.refund(db, gateway, refunding.payment.id, Money(100), "returned goods", later, key=KEY)
    assert len(gateway.sent) == len(gateway.made) == len(refunding.rows()) == 1


def test_before_and_after_a_refund_is_sent(db: Database, gateway: FakeGateway) -> None:
    """Of the last word before the call, and of what the gateway answered."""
    refunding = Refunding.begin(db, gateway)
    with losing_the_answer(db, 4), pytest.raises(OutcomeStillUnknown):
        refunding.send(100, key=KEY)
    assert gateway.sent == []
    other = Key("another-key-of-the-merchant", "0")
    with losing_the_answer(db, 5):
        refunding.send(200, key=other)
    refunding.send(200, key=other)
    assert [one.amount.minor for one in gateway.sent] == [200]
    assert len(refunding.rows()) == 2
