"""Gateway, credentials, webhooks and worker: each alarm is raised once, in need only, and ends by itself."""

import logging
from datetime import timedelta

import pytest

from payments_service import worker
from payments_service.domain.errors import MissingCredentials, Rejected, SignatureInvalid, Unavailable
from payments_service.domain.news import EventKind, WebhookEvent
from payments_service.flows import liveness, monitors, reviews, webhook
from payments_service.flows.create_order import Urls
from payments_service.gateways.health import LEAST_FAILURES, READS, WRITES, Health
from payments_service.store import heartbeats
from payments_service.store.db import Database
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.delivering import HandClock, channels
from tests.support.fake_gateway import GENUINE, FakeGateway

AWAY = Unavailable("away")
REFUSED = Rejected("no", gateway_status=401)
MINUTE = timedelta(minutes=1)


class House:
    """A gateway, and a hand that moves both clocks."""

    def __init__(self, db: Database) -> None:
        self.db, self.hand = db, HandClock()
        self.began = self.hand.moment
        self.gateway = self.process()

    def process(self) -> FakeGateway:
        """The gateway as one process sees it."""
        gateway = FakeGateway()
        gateway.health = Health(lambda: (self.hand.moment - self.began).total_seconds())
        return gateway

    def calls(
        self, error: Unavailable | Rejected | None, count: int = 1, gateway: FakeGateway | None = None
    ) -> None:
        for _ in range(count):
            (gateway or self.gateway).health.learn(READS, error)
            self.hand.advance(timedelta(seconds=15))

    def watch(self, gateway: FakeGateway | None = None) -> int:
        self.hand.advance(timedelta(seconds=1))
        return monitors.watch(self.db, gateway or self.gateway, self.hand.clock)

    def open(self) -> list[str]:
        return [review.why for review in reviews.open_reviews(self.db)]

    def refuse(self, after: timedelta = timedelta(0)) -> bool:
        self.hand.advance(after)
        with self.db.begin() as session:
            return liveness.hear_of_refused_webhook(session, self.gateway, self.hand.clock)

    def good_webhook(self) -> None:
        """It is stored under the real time, which the hand must not have passed."""
        opened = buy(self.db, self.gateway)
        event = self.gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor)
        webhook.receive(self.db, self.gateway, GENUINE, event)

    def silent(self, after: timedelta = timedelta(0)) -> bool:
        self.hand.advance(after)
        with self.db.begin() as session:
            return liveness.worker_silent_since(session, self.hand.clock) is not None


@pytest.fixture
def house(db: Database) -> House:
    return House(db)


# ── the gateway and our credentials ─────────────────────────────────────────────────────────────────────


def test_a_gateway_that_is_down_is_told_once_and_is_over_with_a_good_answer(house: House) -> None:
    house.calls(AWAY, LEAST_FAILURES)
    assert [house.watch(), house.watch()] == [1, 0]
    [review] = reviews.open_reviews(house.db)
    assert (review.why, review.subject, review.detail["calls"]) == ("gateway_down", "fake", [READS])
    house.gateway.health.learn(WRITES, None)
    house.watch()
    assert house.open() == ["gateway_down"]  # a write says nothing of reads
    house.gateway.health.learn(READS, None)
    house.watch()
    assert house.open() == []


def test_a_gateway_that_fails_now_and_then_is_not_down(house: House) -> None:
    for _ in range(20):
        house.calls(AWAY, LEAST_FAILURES - 1)
        house.calls(None)
    assert house.watch() == 0
    assert house.open() == []


def test_one_that_is_down_for_one_process_only_is_told_each_ten_minutes(house: House) -> None:
    other = house.process()
    told = 0
    for _ in range(20):  # 31 minutes
        house.calls(AWAY, LEAST_FAILURES)
        told += house.watch()
        assert house.open() == ["gateway_down"]
        house.calls(None, 1, other)
        told += house.watch(other)
    assert told == 3
    assert house.open() == []


def test_a_process_that_has_not_asked_since_ends_nothing(house: House) -> None:
    other = house.process()
    house.calls(None, 1, other)
    house.calls(AWAY, LEAST_FAILURES)
    assert house.watch() == 1
    house.watch(other)
    assert house.open() == ["gateway_down"]


def test_refused_credentials_are_told_with_the_variables_and_are_over_once_taken(house: House) -> None:
    house.calls(REFUSED, 2)
    assert [house.watch(), house.watch()] == [1, 0]
    [review] = reviews.open_reviews(house.db)
    assert (review.why, review.detail) == ("credentials_refused", {"check": ["FAKE_KEY", "FAKE_SECRET"]})
    house.calls(None)
    house.watch()
    assert house.open() == []


def test_a_token_that_had_run_out_is_no_alarm(house: House) -> None:
    house.gateway.health.learn(READS, REFUSED)
    assert house.watch() == 0
    house.calls(None)
    house.hand.advance(MINUTE)
    assert house.watch() == 0


# ── webhooks ────────────────────────────────────────────────────────────────────────────────────────────


def test_webhooks_that_keep_being_refused_are_told_once_a_day(house: House) -> None:
    told = [house.refuse(5 * MINUTE) for _ in range(12)]
    assert told.count(True) == 1
    [review] = reviews.open_reviews(house.db)
    assert (review.why, review.subject) == ("webhooks_refused", "fake")
    assert review.detail["check"] == ["FAKE_WEBHOOK_SECRET"]
    reviews.clear(house.db, review.id, "asha", clock=house.hand.clock)
    assert not any(house.refuse(30 * MINUTE) for _ in range(40))
    assert any(house.refuse(30 * MINUTE) for _ in range(20))


def test_a_stray_request_is_no_alarm(house: House) -> None:
    assert not house.refuse()
    assert not house.refuse(MINUTE)
    assert not house.refuse(timedelta(hours=25))


def test_noise_beside_good_webhooks_is_no_alarm(house: House) -> None:
    house.hand.moment -= timedelta(minutes=30)
    assert not house.refuse()
    house.good_webhook()  # now, in real time
    house.hand.moment += timedelta(minutes=31)
    assert not house.refuse()
    house.hand.moment -= timedelta(minutes=2)
    house.good_webhook()
    assert not house.refuse(timedelta(minutes=1))


def test_a_good_webhook_ends_the_alarm(house: House) -> None:
    house.hand.moment -= timedelta(hours=1)
    house.refuse()
    assert house.refuse(11 * MINUTE)
    house.watch()
    assert house.open() == ["webhooks_refused"]
    house.good_webhook()
    house.hand.advance(MINUTE)
    house.watch()
    assert house.open() == []


@pytest.mark.parametrize("headers", [{}, {"x-fake": "forged signature"}])
def test_a_refused_webhook_is_a_warning_that_says_what_to_check(
    db: Database, gateway: FakeGateway, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    with pytest.raises((MissingCredentials, SignatureInvalid)):
        webhook.receive(db, gateway, headers, b"{}")
    [record] = [record for record in caplog.records if record.message == "Webhook refused"]
    assert record.levelno == logging.WARNING
    facts = record.__dict__["data"]
    assert (facts["gateway"], facts["check"]) == ("fake", ["FAKE_WEBHOOK_SECRET"])
    assert "forged signature" not in str(facts)


class OtherProducts(FakeGateway):
    """Its account has other products, whose events come to the same address."""

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        return WebhookEvent(event_id, "subscription.charged", EventKind.IGNORED)


def test_events_of_the_accounts_other_products_are_quiet(
    db: Database, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    webhook.receive(db, OtherProducts(), GENUINE, b"{}")
    assert [row.outcome for row in ledger.inbox()] == ["ignored"]
    assert max(record.levelno for record in caplog.records) <= logging.INFO


# ── the worker ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_that_beats_is_alive_also_once_a_minute_by_cron(house: House) -> None:
    for _ in range(60):
        liveness.beat(house.db, house.hand.clock)
        assert not house.silent(timedelta(seconds=75))


def test_a_worker_that_runs_once_beats_too_and_counts_it_as_no_work(house: House) -> None:
    now = house.hand.clock
    sweeps = worker.sweeps(house.db, [house.gateway], channels(), Urls("http://127.0.0.1:5000"), now)
    assert worker.run_once(list(sweeps)) == worker.Done(0, ())
    with house.db.read() as session:
        assert heartbeats.last(session, heartbeats.WORKER) == house.hand.moment


@pytest.mark.parametrize("ahead", [heartbeats.WORKER, heartbeats.WATCH_BEGAN])
def test_a_beat_of_a_clock_that_was_ahead_is_no_sign_of_life(house: House, ahead: str) -> None:
    with house.db.begin() as session:
        heartbeats.beat(session, ahead, house.hand.moment + timedelta(days=30))
    assert not house.silent()
    assert house.silent(11 * MINUTE)
    liveness.beat(house.db, house.hand.clock)
    assert not house.silent()


def test_a_clock_that_is_a_little_ahead_is_believed(house: House) -> None:
    with house.db.begin() as session:
        heartbeats.beat(session, heartbeats.WATCH_BEGAN, house.hand.moment - timedelta(days=1))
        heartbeats.beat(session, heartbeats.WORKER, house.hand.moment + 4 * MINUTE)
    assert not house.silent()


def test_one_that_was_killed_is_silent_until_the_next_beat(house: House) -> None:
    liveness.beat(house.db, house.hand.clock)
    assert not house.silent(2 * MINUTE)
    assert house.silent(2 * MINUTE)
    with house.db.begin() as session:
        assert liveness.tell_of_silence(session, house.began, house.hand.clock)
        assert not liveness.tell_of_silence(session, house.began, house.hand.clock)
    assert house.open() == ["worker_silent"]
    liveness.beat(house.db, house.hand.clock)
    assert not house.silent()
    assert house.open() == []


def test_a_fresh_installation_has_ten_minutes_to_start_one(house: House) -> None:
    assert not house.silent()
    assert not house.silent(9 * MINUTE)
    assert house.silent(2 * MINUTE)
    liveness.beat(house.db, house.hand.clock)
    assert not house.silent()


def test_a_beat_is_one_moment_under_a_name(house: House) -> None:
    for _ in range(2):
        house.hand.advance(MINUTE)
        liveness.beat(house.db, house.hand.clock)
    with house.db.read() as session:
        assert heartbeats.last(session, heartbeats.WORKER) == house.hand.moment
