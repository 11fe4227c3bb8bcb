"""Each alarm that is raised where it is noticed: told once, told again when the trouble is back, and not for
a day once a person has dismissed it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from payments_service.domain.alarms import ALARMS
from payments_service.domain.errors import Rejected, Unavailable
from payments_service.domain.states import AlertCode
from payments_service.flows import alerts, liveness, monitors, reviews, webhook
from payments_service.flows.watch import Watch
from payments_service.gateways.health import LEAST_FAILURES, LEAST_REFUSALS, READS, Health
from payments_service.store import gauges, heartbeats, outbox
from payments_service.store.db import Database
from payments_service.store.tables import Payment, PaymentWebhook
from tests.flows.conftest import PRICE, buy
from tests.flows.delivering import channels
from tests.ops.trouble import HOUR, MINUTE, Ops
from tests.support.event_samples import UNDELIVERED
from tests.support.fake_gateway import GENUINE


class Heard(Ops):
    """A web process and a worker, each of which looks when a test says so."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        began = self.hand.moment

        def seconds() -> float:
            return (self.hand.moment - began).total_seconds()

        self.gateway.health = Health(seconds)
        self.web = Watch(db, [self.gateway], channels(), self.hand.clock, seconds)
        self.hand.advance(HOUR)
        self.end_sweep()
        self.work()

    def codes(self) -> list[str]:
        return [code for code, _ in self.open()]

    def learn(self, error: Unavailable | Rejected | None, count: int = 1) -> None:
        for _ in range(count):
            self.gateway.health.learn(READS, error)
            self.hand.advance(timedelta(seconds=15))

    def work(self) -> None:
        """A worker's turn."""
        liveness.beat(self.db, self.hand.clock)
        monitors.watch(self.db, self.gateway, self.hand.clock)

    def end_sweep(self) -> None:
        with self.db.begin() as session:
            heartbeats.beat(session, heartbeats.SWEEP + "outbox", self.hand.moment)

    def refuse(self) -> None:
        self.web.webhook_refused(self.gateway)
        self.web.look()

    def pay(self) -> None:
        """Long enough ago that its webhook should have come."""
        opened = buy(self.db, self.gateway)
        paid = {"status": "completed", "completed_at": self.hand.moment - gauges.GRACE}
        self.change(update(Payment).where(Payment.id == opened.id).values(**paid, next_check_at=None))

    def dismiss(self, code: str) -> None:
        [review] = [one for one in reviews.open_reviews(self.db) if one.why == code]
        assert reviews.clear(self.db, review.id, "Meera", clock=self.hand.clock) == "Alert cleared"


Act = Callable[[Heard], None]


def gateway_down(ops: Heard) -> None:
    ops.learn(Unavailable("away"), LEAST_FAILURES)


def credentials_refused(ops: Heard) -> None:
    ops.learn(Rejected("no", gateway_status=401), LEAST_REFUSALS)


def answered(ops: Heard) -> None:
    ops.learn(None)
    ops.work()


def webhook_silence(ops: Heard) -> None:
    for _ in range(gauges.SILENT_PAYMENTS):
        ops.pay()


def webhooks_refused(ops: Heard) -> None:
    ops.refuse()
    ops.hand.advance(11 * MINUTE)


def good_webhook(ops: Heard) -> None:
    opened = buy(ops.db, ops.gateway)
    about = {"status": "completed", "amount": PRICE.minor, "payment": f"pay_{opened.id}"}
    webhook.receive(ops.db, ops.gateway, GENUINE, ops.gateway.event(order=opened.order_id, **about))
    ops.change(update(PaymentWebhook).values(created_at=ops.hand.moment))
    told_of = Payment.id == opened.id
    ops.change(update(Payment).where(told_of).values(completed_at=ops.hand.moment - gauges.GRACE))
    ops.hand.advance(MINUTE)
    ops.work()


def worker_silent(ops: Heard) -> None:
    ops.hand.advance(4 * MINUTE)


def sweep_silent(ops: Heard) -> None:
    ops.hand.advance(4 * MINUTE)
    ops.work()


def sweep_ends(ops: Heard) -> None:
    ops.hand.advance(MINUTE)
    ops.end_sweep()
    ops.work()


def look(ops: Heard) -> None:
    ops.web.look()


def work_and_look(ops: Heard) -> None:
    ops.work()
    ops.web.look()


TROUBLE: dict[str, tuple[Act, Act, Act]] = {
    # alarm: how its trouble begins, how it is noticed, how it ends
    "gateway_down": (gateway_down, Heard.work, answered),
    "credentials_refused": (credentials_refused, Heard.work, answered),
    "webhook_silence": (webhook_silence, Heard.work, good_webhook),
    "webhooks_refused": (webhooks_refused, Heard.refuse, good_webhook),
    "worker_silent": (worker_silent, look, Heard.work),
    "sweep_silent": (sweep_silent, work_and_look, sweep_ends),
}
ELSEWHERE = {
    "event_undelivered",  # below
    "dispute_opened",  # tests/flows/test_disputes.py
    "database_away",  # tests/ops/test_watching.py
}


@pytest.fixture
def ops(db: Database) -> Heard:
    return Heard(db)


def test_every_alarm_that_is_heard_is_tried_here() -> None:
    assert {alarm.code for alarm in ALARMS if alarm.is_heard} == {*TROUBLE, *ELSEWHERE}


@pytest.mark.parametrize("code", TROUBLE)
def test_it_is_told_again_when_it_is_back(ops: Heard, code: str) -> None:
    begin, notice, mend = TROUBLE[code]
    for times in (1, 2):
        begin(ops)
        notice(ops)
        assert code in ops.codes()
        ops.hand.advance(liveness.AGAIN)  # so long the letter about one that comes and goes may wait
        notice(ops)
        assert len({told["id"] for told in ops.told(code)}) == len(ops.told(code)) == times
        mend(ops)
        assert code not in ops.codes()


@pytest.mark.parametrize("code", TROUBLE)
def test_one_that_is_dismissed_is_left_in_peace_for_a_day(ops: Heard, code: str) -> None:
    begin, notice, _ = TROUBLE[code]
    begin(ops)
    notice(ops)
    ops.dismiss(code)
    for _ in range(20):
        ops.hand.advance(HOUR)
        notice(ops)
        assert code not in ops.codes()
    assert len(ops.told(code)) == 1
    ops.hand.advance(5 * HOUR)
    begin(ops)
    notice(ops)
    assert code in ops.codes()
    assert len(ops.told(code)) == 2


@pytest.mark.parametrize("code", TROUBLE)
def test_one_that_ended_after_it_was_dismissed_is_news_when_it_comes_back(ops: Heard, code: str) -> None:
    begin, notice, mend = TROUBLE[code]
    begin(ops)
    notice(ops)
    ops.dismiss(code)
    ops.hand.advance(liveness.AGAIN)
    mend(ops)
    begin(ops)
    notice(ops)
    assert code in ops.codes()
    assert len(ops.told(code)) == 2


def test_an_outage_that_is_back_is_open_at_once_and_its_letter_waits_ten_minutes_at_most(ops: Heard) -> None:
    for _ in range(2):
        gateway_down(ops)
        ops.work()
        assert ops.codes() == ["gateway_down"]
        answered(ops)
        assert ops.codes() == []
    gateway_down(ops)
    ops.work()
    assert len(ops.told("gateway_down")) == 1
    ops.hand.advance(liveness.AGAIN)
    ops.work()
    ops.work()
    assert len(ops.told("gateway_down")) == 2


def test_another_event_that_is_given_up_is_news_whatever_was_dismissed(ops: Heard) -> None:
    code = AlertCode.EVENT_UNDELIVERED
    for times in (1, 2):
        with ops.db.begin() as session:
            alerts.raise_alert(session, code, outbox.MERCHANT, UNDELIVERED, ops.hand.clock)
        assert len(ops.told(code)) == times
        ops.dismiss(code)
