"""What no batch takes, what is said of it, and what a repeated event still has to set going."""

import logging
import threading
import time
from collections.abc import Callable

import pytest

from payments_service.domain.errors import StoreUnavailable
from payments_service.domain.states import PaymentStatus
from payments_service.flows import webhook
from payments_service.flows.intake import BESIDE, Intake
from payments_service.flows.webhook import Wanted
from payments_service.store.db import Database
from payments_service.store.transaction import Transaction
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.test_intake import holding, paid
from tests.flows.test_unknown_commits import losing_the_answer
from tests.support.fake_gateway import GENUINE, FakeGateway

MANY = 3 * BESIDE


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_many_events_of_a_payment_that_is_held_leave_connections_to_the_others(
    database_url: str, db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """SQLite has one writer, for whom all wait."""
    small = Database(database_url, pool_size=BESIDE)
    queue = Intake(small)
    held, other = buy(db, gateway), buy(db, gateway)
    answers: list[int] = []

    def come(number: int) -> None:
        headers = {**GENUINE, "x-event-id": f"evt_{number}"}
        try:
            webhook.receive(small, gateway, headers, paid(gateway, held, "pay_1").body, queue)
            answers.append(200)
        except StoreUnavailable:
            answers.append(503)

    with holding(db, held) as free_at:
        threads = [threading.Thread(target=come, args=(number,)) for number in range(MANY)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        webhook.receive(small, gateway, GENUINE, paid(gateway, other, "pay_2").body, queue)
        assert not free_at
        assert ledger.payment(other.id).status == PaymentStatus.COMPLETED
    for thread in threads:
        thread.join()
    small.engine.dispose()
    assert len(answers) == MANY
    assert 200 in answers
    assert ledger.payment(held.id).status == PaymentStatus.COMPLETED


def test_nothing_is_said_of_an_event_whose_commit_fails(
    db: Database, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Transaction) -> None:
        raise StoreUnavailable("no space left on device")

    stray = gateway.event(order="order_of_another_shop", status="completed", amount=100)
    with monkeypatch.context() as broken, caplog.at_level(logging.INFO):
        broken.setattr(Transaction, "commit", fails)
        with pytest.raises(StoreUnavailable):
            webhook.receive(db, gateway, GENUINE, stray)
        assert not [line for line in caplog.messages if line.startswith("Webhook")]
    with caplog.at_level(logging.INFO):
        webhook.receive(db, gateway, GENUINE, stray)
        assert caplog.messages.count("Webhook") == 1


def test_an_event_whose_first_answer_was_lost_is_followed_up_when_it_comes_again(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """The first time it was kept, and the gateway heard 503: without a worker nothing else would ask."""
    opened, queue = buy(db, gateway), Intake(db)
    gateway.paid("pay_1", PRICE)
    wake_up = gateway.event(order=opened.order_id, wake_up=True, status="completed", amount=PRICE.minor)
    wanted: list[Wanted] = []

    def come(later: Callable[[Wanted], None] | None = wanted.append) -> None:
        webhook.receive(db, gateway, GENUINE, wake_up, queue, later)

    with losing_the_answer(db), pytest.raises(StoreUnavailable):
        come()
    assert (ledger.inbox()[-1].outcome, wanted) == ("waiting", [])
    come()
    assert [(one.payment_id, one.row_id) for one in wanted] == [(opened.id, ledger.inbox()[-1].id)]
    come(None)
    assert ledger.payment(opened.id).status == PaymentStatus.COMPLETED
    come()
    assert len(wanted) == 1, "it is done with"
