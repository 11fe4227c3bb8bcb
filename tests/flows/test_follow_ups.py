"""After the 200: what a webhook makes necessary, the process that took it does itself, and only in part."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from payments_service.domain.clock import REAL_TIME
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Unavailable
from payments_service.domain.news import OrderRef, PaymentSnapshot
from payments_service.flows import follow_ups, reconcile, webhook
from payments_service.flows.follow_ups import AGAIN_AFTER_SECONDS, AT_ONCE, BEGUN_WITHIN_SECONDS, FollowUps
from payments_service.flows.lines import FAILURES_IN_A_ROW
from payments_service.store.db import Database
from payments_service.store.tables import PaymentWebhook
from tests.flows.conftest import PRICE, Ledger, buy
from tests.support.fake_gateway import GENUINE, FakeGateway

SECONDS = 20


class Slow(FakeGateway):
    """A gateway that lets a test see who asks, and answers when it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.asking, self.most = 0, 0
        self.lock = threading.Lock()

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        with self.lock:
            self.asking += 1
            self.most = max(self.most, self.asking)
        try:
            assert self.answers.wait(SECONDS)
            return super().fetch_payment(order, deadline)
        finally:
            with self.lock:
                self.asking -= 1


@pytest.fixture
def gateway() -> Slow:
    slow = Slow()
    slow.answers.set()
    return slow


@dataclass
class Process:
    """A web process that takes in webhooks."""

    db: Database
    gateway: Slow
    now: float = 0.0
    follow_ups: FollowUps = field(init=False)

    def __post_init__(self) -> None:
        self.follow_ups = FollowUps(self.db, [self.gateway], lambda: self.now)

    def wake(self) -> None:
        """A webhook whose body is no proof: the gateway is to be asked."""
        order = buy(self.db, self.gateway).order_id
        event = self.gateway.event(order=order, status="completed", amount=PRICE.minor, wake_up=True)
        webhook.receive(self.db, self.gateway, GENUINE, event, later=self.follow_ups.add)


@pytest.fixture
def process(db: Database, gateway: Slow, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    monkeypatch.setattr(follow_ups, "AGAIN_AFTER_SECONDS", ())
    made = Process(db, gateway)
    yield made
    gateway.answers.set()
    made.now += BEGUN_WITHIN_SECONDS + 1
    [queue] = made.follow_ups._queues.values()
    until(lambda: not queue.is_worked_on)
    assert queue.line.wait(SECONDS)


def until(is_so: Callable[[], Any]) -> None:
    ends = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.02)


def outcomes(ledger: Ledger) -> list[str]:
    return [row.outcome for row in ledger.inbox()]


def test_the_answer_does_not_wait_for_the_gateway_and_no_worker_is_needed(
    process: Process, gateway: Slow, ledger: Ledger
) -> None:
    gateway.paid("pay_1", PRICE)
    gateway.answers.clear()
    process.wake()
    assert outcomes(ledger) == ["waiting"], "it is answered, and the gateway is still silent"
    gateway.answers.set()
    until(lambda: outcomes(ledger) == ["applied"])
    assert ledger.only_payment().status == "completed"


def test_meanwhile_the_worker_leaves_it_alone(process: Process, gateway: Slow, ledger: Ledger) -> None:
    gateway.paid("pay_1", PRICE)
    gateway.answers.clear()
    process.wake()
    assert reconcile.sweep_inbox(process.db, gateway, REAL_TIME) == 0
    gateway.answers.set()
    until(lambda: outcomes(ledger) == ["applied"])
    assert gateway.calls.count("fetch_payment") == 1


def test_it_ends_before_the_worker_begins() -> None:
    last = max(BEGUN_WITHIN_SECONDS, *AGAIN_AFTER_SECONDS) + follow_ups.BUDGET_SECONDS
    assert timedelta(seconds=last) < webhook.LEFT_TO_THE_WORKER


def test_a_crowd_of_webhooks_asks_a_few_things_at_once(
    process: Process, gateway: Slow, ledger: Ledger
) -> None:
    [queue] = process.follow_ups._queues.values()
    for _ in range(AT_ONCE * 2):
        queue.line.place.learn(True, 0.1)  # a gateway that is known to be quick
    gateway.paid("pay_1", PRICE)
    gateway.answers.clear()
    for _ in range(AT_ONCE * 2):
        process.wake()
    until(lambda: gateway.asking >= AT_ONCE)
    time.sleep(0.5)  # a fifth would come at once
    assert gateway.most == AT_ONCE
    gateway.answers.set()
    until(lambda: not queue.is_worked_on and not queue.line.busy)
    assert gateway.most == AT_ONCE


def test_a_gateway_whose_word_lags_is_asked_again(
    process: Process, gateway: Slow, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_ups, "AGAIN_AFTER_SECONDS", (0.0, 0.0))
    process.wake()
    until(lambda: gateway.calls.count("fetch_payment") == 3)
    assert outcomes(ledger) == ["waiting"]
    gateway.calls.clear()
    gateway.paid("pay_1", PRICE)
    process.wake()
    until(lambda: "applied" in outcomes(ledger))


def test_what_it_does_not_come_to_in_time_is_left_to_the_worker(
    process: Process, gateway: Slow, ledger: Ledger
) -> None:
    gateway.fetch_error = Unavailable("away")
    for _ in range(FAILURES_IN_A_ROW + 2):
        process.wake()
    until(lambda: gateway.calls.count("fetch_payment") >= FAILURES_IN_A_ROW)
    process.now += BEGUN_WITHIN_SECONDS + 1
    [queue] = process.follow_ups._queues.values()
    until(lambda: not queue.is_worked_on)
    assert not queue.waiting
    assert {row.outcome for row in ledger.inbox()} == {"waiting"}


def test_no_more_waits_than_a_process_can_remember(
    process: Process, gateway: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_ups, "MOST_WAITING", 2)
    gateway.answers.clear()
    for _ in range(6):
        process.wake()
    [queue] = process.follow_ups._queues.values()
    assert len(queue.waiting) <= 2
    gateway.answers.set()


def test_a_new_process_does_what_an_earlier_one_left(
    process: Process, gateway: Slow, ledger: Ledger, db: Database
) -> None:
    gateway.paid("pay_1", PRICE)
    opened = buy(db, gateway)
    event = gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, wake_up=True)
    webhook.receive(db, gateway, GENUINE, event, later=lambda _: None)  # and then it died
    with db.begin() as session:
        for row in session.query(PaymentWebhook):
            row.next_try_at = row.created_at
    process.follow_ups.begin()
    until(lambda: outcomes(ledger) == ["applied"])
