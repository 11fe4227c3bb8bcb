"""A database that is put back as it was yesterday gives nothing back twice: the gateway knows what went back.

The gateway by hand goes on; the database is copied before a refund, and the copy put in its place after it.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from payments_service.domain import decide
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Conflict, OutcomeUnknown, Unavailable
from payments_service.domain.flag import flag
from payments_service.domain.money import Money
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus, ReviewReason
from payments_service.flows import sync
from payments_service.flows.idempotency import KeyReused
from payments_service.flows.refund import RefundView
from payments_service.flows.refund_intent import Key, NotBegun
from payments_service.store import migrations, outbox
from payments_service.store.db import Database
from payments_service.store.tables import Outbox
from tests.flows.conftest import PRICE
from tests.flows.refunding import Refunding
from tests.flows.test_disputes import told_dispute
from tests.support.deciding import deciding
from tests.support.fake_gateway import FakeGateway

COMPLETED, INITIATED = RefundStatus.COMPLETED, RefundStatus.INITIATED
YESTERDAYS, TODAYS = Key("the-key-of-yesterday", "asked for so"), Key("the-key-of-today", "and so")


class Restorable(Refunding):
    """A paid payment in a file that is copied, and put back."""

    @property
    def file(self) -> Path:
        return Path(cast(str, self.db.engine.url.database))

    def back_up(self) -> None:
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute(f"VACUUM INTO '{self.file}.copy'")

    def restore(self) -> None:
        self.db.engine.dispose()
        for ending in ("-wal", "-shm"):
            Path(f"{self.file}{ending}").unlink(missing_ok=True)
        shutil.copy(f"{self.file}.copy", self.file)

    def give(self, paise: int | None, key: Key) -> RefundView:
        return self.send(paise, key=key)  # type: ignore[arg-type]

    @property
    def went_back(self) -> int:
        return sum(refund.amount.minor for refund in self.gateway.made.values())


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Restorable]:
    db = Database(f"sqlite:///{tmp_path / 'payments.db'}")
    migrations.upgrade(db)
    begun = Restorable.begin(db, FakeGateway())
    assert isinstance(begun, Restorable)
    begun.back_up()
    yield begun
    db.engine.dispose()


@pytest.mark.parametrize("amount", [None, 49900, 20000])
def test_another_key_gives_back_no_more_than_is_left_at_the_gateway(
    shop: Restorable, amount: int | None
) -> None:
    shop.give(30000, YESTERDAYS)
    shop.restore()
    assert shop.rows() == []
    if amount is None:
        assert shop.give(None, TODAYS).amount == Money(19900)
    else:
        with pytest.raises(Conflict) as refused:
            shop.give(amount, TODAYS)
        assert (refused.value.code, refused.value.extra) == (
            "refund_exceeds_captured",
            {"refundablePaise": 19900},
        )
    assert sum(row.amount for row in shop.rows()) == shop.went_back <= PRICE.minor


@pytest.mark.parametrize("is_heard_first", [False, True])
@pytest.mark.parametrize("lists", [False, True])
def test_the_key_of_yesterday_is_the_refund_of_yesterday(
    shop: Restorable, lists: bool, is_heard_first: bool
) -> None:
    shop.gateway.lists_refunds = lists  # type: ignore[misc]
    shop.give(30000, YESTERDAYS)
    shop.restore()
    if is_heard_first and lists:
        shop.hear(*shop.gateway.made.values())
    again = shop.give(30000, YESTERDAYS)
    assert (again.status, again.amount, again.reason) == (COMPLETED, Money(30000), "returned goods")
    assert shop.give(30000, YESTERDAYS).id == again.id
    assert (len(shop.gateway.made), shop.row().idempotency_key) == (1, YESTERDAYS.text)
    assert len(shop.gateway.sent) == (1 if lists else 2)


def test_the_key_of_yesterday_with_another_sum_is_refused(shop: Restorable) -> None:
    shop.give(30000, YESTERDAYS)
    shop.restore()
    with pytest.raises(KeyReused):
        shop.give(10000, YESTERDAYS)
    assert shop.went_back == shop.row().amount == 30000


def test_nothing_is_sent_while_the_gateway_cannot_be_read(shop: Restorable) -> None:
    shop.give(30000, YESTERDAYS)
    shop.restore()
    shop.gateway.fetch_error = Unavailable("away")
    with pytest.raises(NotBegun) as refused:
        shop.give(30000, TODAYS)
    assert (refused.value.code, refused.value.extra) == ("gateway_unavailable", {"retryable": True})
    assert (shop.rows(), len(shop.gateway.sent)) == ([], 1)
    shop.gateway.fetch_error = None
    assert shop.give(19900, TODAYS).status is COMPLETED


def test_a_refund_that_is_known_here_needs_no_look(shop: Restorable) -> None:
    shop.give(30000, YESTERDAYS)
    shop.gateway.fetch_error = Unavailable("away")
    assert shop.give(30000, YESTERDAYS).status is COMPLETED


def test_beside_a_refund_without_an_answer_no_other_is_sent_while_one_there_is_not_booked(
    shop: Restorable,
) -> None:
    """Which of the two it is, is not known yet, so what is left is not known either."""
    shop.give(30000, YESTERDAYS)
    shop.restore()
    shop.gateway.refund_error, shop.gateway.refund_is_lost = OutcomeUnknown("timeout"), True
    shop.gateway.lists_refunds = False  # type: ignore[misc] (so that it begins beside the one that was lost)
    assert shop.give(10000, TODAYS).status is INITIATED
    shop.gateway.refund_error, shop.gateway.lists_refunds = None, True  # type: ignore[misc]
    with pytest.raises(Conflict) as refused:
        shop.give(15000, Key("a-third-key-of-today", ""))
    assert refused.value.code == "refund_in_progress"
    assert shop.went_back == 30000


@pytest.mark.parametrize("is_asked_for_again", [False, True])
def test_a_refund_is_told_under_one_id_before_and_after(shop: Restorable, is_asked_for_again: bool) -> None:
    shop.db.destinations = (outbox.MERCHANT,)
    shop.give(30000, YESTERDAYS)
    [before] = told_of_refunds(shop.db)
    shop.restore()
    assert told_of_refunds(shop.db) == []
    if is_asked_for_again:
        shop.give(30000, YESTERDAYS)
    else:
        shop.hear(*shop.gateway.made.values())
    assert told_of_refunds(shop.db) == [before]


def told_of_refunds(db: Database) -> list[str]:
    """The ids of the events."""
    with db.read() as session:
        rows = session.query(Outbox).order_by(Outbox.created_at, Outbox.id)
        return [row.event_id for row in rows if row.type == "refund.completed"]


def test_a_dispute_is_told_under_one_id_before_and_after(shop: Restorable) -> None:
    shop.db.destinations = (outbox.MERCHANT,)
    opened, ids = told_dispute("open", "chargeback"), []
    for _ in range(2):
        shop.give(10000, TODAYS) if not ids else shop.restore()
        with deciding(shop.db, shop.payment.id) as record:
            decide.apply_dispute(record, opened, Actor("webhook", "evt_1"))
        with shop.db.read() as session:
            ids.append([row.event_id for row in session.query(Outbox) if row.type == "dispute.opened"])
    assert ids[0] == ids[1] != []


def test_another_question_has_another_id_although_its_number_is_the_same(shop: Restorable) -> None:
    shop.db.destinations = (outbox.MERCHANT,)
    ids = []
    for twice in (["pay_a"], ["pay_b"], ["pay_a"]):
        with deciding(shop.db, shop.payment.id) as record:
            flag(record, ReviewReason.SECOND_SUCCESS, Actor("worker", "sweep"), {"paymentIds": twice})
        with shop.db.read() as session:
            ids += [row.event_id for row in session.query(Outbox) if row.type == "payment.review"]
        shop.restore()
    assert ids[0] == ids[2] != ids[1]


def test_the_same_question_has_one_id_in_any_order_of_the_news(shop: Restorable) -> None:
    shop.db.destinations = (outbox.MERCHANT,)
    ids = []
    more = [shop.gateway.attempt(f"pay_{name}", AttemptStatus.SUCCEEDED, PRICE) for name in "ab"]
    for news in (more, more[::-1]):
        shop.gateway.status, shop.gateway.attempts = PaymentStatus.COMPLETED, tuple(news)
        sync.refresh(shop.db, shop.gateway, shop.payment.id, Actor("worker", "sweep"), Deadline(5))
        with shop.db.read() as session:
            ids += [row.event_id for row in session.query(Outbox) if row.type == "payment.review"]
        shop.restore()
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_nothing_is_sent_while_the_refunds_of_a_payment_cannot_be_read(
    shop: Restorable, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = shop.gateway.fetch_payment
    monkeypatch.setattr(shop.gateway, "fetch_payment", lambda *args: replace(fetch(*args), refunds=None))
    with pytest.raises(NotBegun):
        shop.give(100, TODAYS)
    assert shop.gateway.sent == []
