"""A clock that leaps, or is wrong from the start: nothing is given up, forgotten or released on it."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from payments_service import worker
from payments_service.domain import clock as clocks
from payments_service.domain.clock import LEAP, REAL_TIME, Clock, Watch, since_switched_on, utc_now
from payments_service.domain.errors import OutcomeUnknown, PaymentsError, Unavailable, UnknownAtGateway
from payments_service.flows import asking, idempotency, monitors, reconcile, webhook
from payments_service.flows.create_order import Urls, create_order
from payments_service.flows.idempotency import KEPT, Claim, Kept, StillRunning
from payments_service.flows.intent import LEASE
from payments_service.flows.payment_view import PaymentView
from payments_service.flows.status import status
from payments_service.flows.verify import verify
from payments_service.store import inbox, outbox, payments
from payments_service.store.db import Database
from payments_service.store.tables import (
    Alert,
    IdempotencyKey,
    Outbox,
    Payment,
    PaymentOrder,
    PaymentWebhook,
    Refund,
)
from tests.flows.clocks import DatedGateway, Machine
from tests.flows.conftest import PRICE, Ledger, wish
from tests.flows.delivering import HandClock, Telling, channels, deliver_due
from tests.flows.refunding import Refunding
from tests.gateways.wire import Reply, wire
from tests.support.fake_gateway import GENUINE, FakeGateway
from tests.support.sweeping import sweep_payments

YEAR, DAY, HOUR = timedelta(days=365), timedelta(days=1), timedelta(hours=1)
URLS = Urls("http://127.0.0.1:5000")
LIFETIME = timedelta(minutes=30)
AFTER_ITS_TIME = LIFETIME + timedelta(minutes=1)
EVERY_LEAP = [YEAR, 2 * DAY, timedelta(hours=5, minutes=30), HOUR, -HOUR, -YEAR]
"""Among them India's distance from UTC: a hardware clock that is kept in local time starts with it."""


@dataclass
class Shop:
    """All that asks the time, one after another as in the service: web process, worker, deliveries."""

    db: Database
    gateway: DatedGateway
    machine: Machine
    clock: Clock = REAL_TIME

    def claim(self, key: str = "key-of-the-test-0") -> Claim | Kept:
        words = {"endpoint": "create-order", "owner": "", "key": key, "fingerprint": "f"}
        return idempotency.claim(
            self.db, **words, lease=LEASE, clock=self.clock, still_valid=idempotency.still_payable
        )

    def buy(self, key: str = "key-of-the-test-0") -> PaymentView | None:
        """What the door does; None when the kept answer serves."""
        claim = self.claim(key)
        if isinstance(claim, Kept):
            return None
        opened = create_order(self.db, self.gateway, wish(), URLS, "r", claim, self.clock)
        idempotency.keep(self.db, claim, b"the answer")
        return opened

    def sweep(self) -> None:
        sweep_payments(self.db, self.gateway, self.clock)
        reconcile.sweep_refunds(self.db, self.gateway, URLS, self.clock)
        reconcile.sweep_inbox(self.db, self.gateway, self.clock)
        monitors.tidy(self.db, self.clock)

    def work(self) -> None:
        """One round of the worker as it is wired."""
        for sweep in worker.sweeps(self.db, [self.gateway], channels(), URLS, self.clock):
            sweep.run()

    def ring_everywhere(self, payment: PaymentView) -> None:
        """Status page, verification, the same request again, and the worker."""
        with suppress(PaymentsError):
            status(self.db, "fake", [self.gateway], payment.order_id or "", "r")
        with suppress(PaymentsError):
            fields = {"orderId": payment.order_id or "", "proof": f"proof of {payment.order_id}"}
            verify(self.db, "fake", [self.gateway], fields, "r")
        with suppress(PaymentsError):
            self.buy()
        self.work()

    def alerts(self) -> list[str]:
        with self.db.read() as session:
            return [alert.code for alert in session.scalars(select(Alert))]

    def stored(self, table: Any) -> Any:
        with self.db.read() as session:
            return session.scalars(select(table)).one()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The count begins with the wall clock right."""
    machine = Machine(lambda watch: monkeypatch.setattr(clocks, "WATCH", watch))
    machine.start_process()
    return machine


@pytest.fixture
def shop(db: Database, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(
        asking, "LOOK_EVERY_SECONDS", 100.0
    )  # longer than any deadline: a closed window stays
    gateway = DatedGateway()
    gateway.machine = machine
    return Shop(db, gateway, machine)


def opened_before(shop: Shop) -> PaymentView:
    opened = shop.buy()
    assert opened is not None
    shop.machine.pass_time(timedelta(minutes=2))
    return opened


# ── a leap while the process runs ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_away", [False, True])
@pytest.mark.parametrize("leap", EVERY_LEAP)
def test_a_leap_of_twenty_seconds_leaves_no_trace_but_its_alert(
    shop: Shop, ledger: Ledger, leap: timedelta, is_away: bool
) -> None:
    opened = opened_before(shop)
    shop.machine.off = leap
    shop.gateway.fetch_error = Unavailable("away") if is_away else None
    for _ in range(4):
        shop.ring_everywhere(opened)
        shop.machine.pass_time(timedelta(seconds=5))
    shop.machine.off = timedelta(0)
    shop.work()
    payment = ledger.payment(opened.id)
    assert payment.status == "pending"
    assert shop.gateway.calls.count("create_order") == 1
    assert payment.next_check_at is not None
    assert payment.next_check_at <= shop.machine.moment + timedelta(minutes=5)
    assert shop.claim() == Kept(b"the answer")
    assert shop.alerts() == ["clock_leap"]
    shop.gateway.fetch_error = None
    shop.machine.pass_time(AFTER_ITS_TIME)
    shop.work()
    assert ledger.payment(opened.id).status == "expired"  # its real time has run out


@pytest.mark.parametrize("leap", EVERY_LEAP)
def test_while_a_leap_lasts_gateways_are_asked_as_ever(shop: Shop, leap: timedelta) -> None:
    opened_before(shop)
    shop.sweep()
    shop.machine.off = leap
    shop.gateway.calls.clear()
    for _ in range(5):
        shop.machine.pass_time(timedelta(minutes=5))
        shop.sweep()
    assert shop.gateway.calls.count("fetch_payment") == 5


def test_an_ordinary_correction_is_followed_and_not_told(shop: Shop) -> None:
    for correction in (timedelta(seconds=2), -LEAP + timedelta(seconds=1)):
        shop.machine.off += correction
        assert utc_now() == shop.machine.moment + shop.machine.off
    shop.work()
    assert shop.alerts() == []


@pytest.mark.parametrize("leap", [YEAR, -HOUR])
def test_events_are_told_at_their_times_whatever_the_wall_clock_says(
    shop: Shop, machine: Machine, leap: timedelta
) -> None:
    telling = Telling(shop.db)
    telling.tell(now=utc_now())
    machine.off = leap
    with wire(Reply(b"{}", 503)) as line:
        deliver_due(shop.db, channels(line.url), REAL_TIME, 1)
    assert timedelta(0) < telling.row().next_try_at - machine.moment < timedelta(minutes=1)
    machine.pass_time(timedelta(minutes=1))
    with wire(Reply(b"{}")) as line:
        assert deliver_due(shop.db, channels(line.url), REAL_TIME, 1) == 1


@pytest.mark.parametrize("leap", [YEAR, 2 * DAY, HOUR])
def test_a_clock_that_was_moved_outright_ends_nothing(shop: Shop, ledger: Ledger, leap: timedelta) -> None:
    """Worker and commands are given their clock; one that differs from the watch is not believed."""
    opened = opened_before(shop)
    moved = replace(shop, clock=replace(REAL_TIME, now=lambda: shop.machine.moment + leap))
    for trouble in (None, Unavailable("away"), UnknownAtGateway("no such order")):
        shop.gateway.fetch_error = trouble
        moved.sweep()
        with suppress(PaymentsError):
            moved.buy()
    assert ledger.payment(opened.id).status == "pending"
    assert shop.gateway.calls.count("create_order") == 1
    assert shop.claim() == Kept(b"the answer")


def test_a_machine_that_slept_is_right_as_soon_as_a_gateway_says_so(shop: Shop, ledger: Ledger) -> None:
    """The count stands still while a virtual machine does: that looks like a leap, and is none."""
    opened = opened_before(shop)
    shop.machine.pass_time(AFTER_ITS_TIME, counts=False)
    shop.gateway.fetch_error = Unavailable("away")
    shop.sweep()
    assert ledger.payment(opened.id).status == "pending"
    shop.gateway.fetch_error = None
    shop.machine.pass_time(timedelta(minutes=5))
    shop.sweep()
    assert ledger.payment(opened.id).status == "expired"
    assert utc_now() == shop.machine.moment


def test_the_count_goes_on_while_a_laptop_sleeps() -> None:
    counts_asleep = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    before, counted = time.clock_gettime(counts_asleep), since_switched_on().total_seconds()
    assert before <= counted + 1e-6
    assert counted <= time.clock_gettime(counts_asleep) + 1e-6


# ── wrong from the start ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trouble", [None, Unavailable("away"), UnknownAtGateway("no such order")])
@pytest.mark.parametrize("off", EVERY_LEAP)
def test_a_process_that_starts_with_a_wrong_clock_ends_nothing(
    shop: Shop, ledger: Ledger, off: timedelta, trouble: Exception | None
) -> None:
    opened = opened_before(shop)
    shop.machine.pass_time(timedelta(minutes=5))
    shop.machine.off = off
    shop.machine.start_process()
    shop.gateway.fetch_error = trouble  # type: ignore[assignment]
    for _ in range(4):
        shop.ring_everywhere(opened)
        shop.machine.pass_time(timedelta(seconds=5))
    assert ledger.payment(opened.id).status == "pending"
    shop.machine.off = timedelta(0)
    shop.machine.start_process()
    shop.gateway.fetch_error = None
    shop.gateway.calls.clear()
    assert shop.claim() == Kept(b"the answer")
    # What was put off by less than the longest wait is waited for; what is further off is due.
    shop.machine.pass_time(HOUR + (off if timedelta(0) < off < YEAR else timedelta(0)))
    shop.work()
    assert shop.gateway.calls.count("fetch_payment") == 1
    assert ledger.payment(opened.id).status == "expired"


@pytest.mark.parametrize("off", EVERY_LEAP)
def test_when_the_rows_side_with_the_gateways_theirs_is_the_time(shop: Shop, off: timedelta) -> None:
    opened = opened_before(shop)
    shop.machine.off = off
    shop.machine.start_process()
    status(shop.db, "fake", [shop.gateway], opened.order_id or "", "r")  # brings the Date
    shop.work()
    assert abs(utc_now() - shop.machine.moment) < timedelta(seconds=1)
    assert shop.alerts() == ["clock_leap"]
    shop.machine.off = timedelta(0)  # somebody sets it
    assert utc_now() == shop.machine.moment


def test_a_gateway_with_a_wrong_date_cannot_move_our_clock(shop: Shop, ledger: Ledger) -> None:
    """One witness alone: nothing ends on either time. A second gateway settles it."""
    opened = opened_before(shop)
    shop.machine.start_process()
    shop.gateway.tells_date = False
    for wrong in (YEAR, -YEAR):
        clocks.WATCH.hear("fake", format_datetime(shop.machine.moment + wrong))
        shop.machine.pass_time(AFTER_ITS_TIME)
        shop.sweep()
        assert abs(utc_now() - shop.machine.moment) < timedelta(seconds=1)
        assert ledger.payment(opened.id).status == "pending"
    clocks.WATCH.hear("another", format_datetime(shop.machine.moment))
    shop.machine.pass_time(HOUR)
    shop.sweep()
    assert ledger.payment(opened.id).status == "expired"


def test_a_quiet_shop_that_starts_ends_nothing_before_a_gateway_has_told_the_time(
    shop: Shop, ledger: Ledger
) -> None:
    opened = opened_before(shop)
    shop.machine.pass_time(6 * DAY)
    shop.machine.start_process()
    shop.gateway.fetch_error = Unavailable("away")
    shop.sweep()
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.next_check_at) == ("pending", shop.machine.moment + HOUR)
    with shop.db.read() as session:
        assert session.scalars(select(IdempotencyKey)).all()
    shop.gateway.fetch_error = None
    shop.machine.pass_time(HOUR)
    shop.sweep()
    payment = ledger.payment(opened.id)
    assert (payment.status, payment.next_check_at) == ("expired", None)
    with shop.db.read() as session:
        assert session.scalars(select(IdempotencyKey)).all() == []


def test_an_event_that_waits_is_not_given_up_on_a_leap(shop: Shop, ledger: Ledger) -> None:
    opened = opened_before(shop)
    body = {"order": opened.order_id, "status": "completed", "amount": PRICE.minor, "wake_up": True}
    webhook.receive(shop.db, shop.gateway, GENUINE, shop.gateway.event(**body))
    moved = replace(shop, clock=replace(REAL_TIME, now=lambda: shop.machine.moment + YEAR))
    moved.sweep()
    [row] = ledger.inbox()
    assert (row.outcome, row.next_try_at is not None) == ("waiting", True)


# ── leases and keys ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("off", [YEAR, HOUR])
def test_no_process_with_a_wrong_clock_takes_over_a_call_that_is_alive(shop: Shop, off: timedelta) -> None:
    """The same key, while the first request is at the gateway: there is one order."""

    def meanwhile(*_: object) -> None:
        shop.gateway.during_create = None
        shop.machine.off = off
        shop.machine.start_process()
        shop.gateway.fetch_error = UnknownAtGateway("no such order")
        for _attempt in range(3):
            with pytest.raises(StillRunning):
                shop.buy()
        shop.machine.off = timedelta(0)
        shop.machine.start_process()

    shop.gateway.during_create = meanwhile
    assert shop.buy() is not None
    assert shop.gateway.calls.count("create_order") == 1


def test_a_call_of_unknown_outcome_is_not_taken_for_nothing_by_a_wrong_clock(shop: Shop) -> None:
    """The gateway has no such order yet: only time can tell that it will never have it."""
    new = replace(wish(), reference="SHOP-1", price_verified=True)
    moved = replace(REAL_TIME, now=lambda: shop.machine.moment + YEAR)
    shop.gateway.create_error = OutcomeUnknown("?")
    shop.gateway.fetch_error = UnknownAtGateway("no such order")
    for clock in (REAL_TIME, moved):
        with pytest.raises(PaymentsError):
            create_order(shop.db, shop.gateway, new, URLS, "r", None, clock)
    assert shop.gateway.calls.count("create_order") == 1


def test_an_order_that_never_came_to_be_fails_only_when_the_time_is_sure(shop: Shop, ledger: Ledger) -> None:
    shop.gateway.create_error = OutcomeUnknown("?")
    shop.gateway.fetch_error = UnknownAtGateway("no such order")
    with pytest.raises(PaymentsError):
        shop.buy()
    replace(shop, clock=replace(REAL_TIME, now=lambda: shop.machine.moment + YEAR)).sweep()
    assert ledger.only_payment().status == "initiated"
    shop.machine.pass_time(HOUR + AFTER_ITS_TIME)
    set_all(shop.db, Payment, next_check_at=shop.machine.moment)
    shop.sweep()
    assert ledger.only_payment().status == "failed"


def test_a_lease_from_a_time_to_come_begins_anew_and_then_ends(shop: Shop) -> None:
    """It was written by a clock that was ahead: its call may be alive, and must not block for a year."""
    shop.gateway.during_create = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        shop.buy()
    ahead = {"leased_until": shop.machine.moment + YEAR, "created_at": shop.machine.moment + YEAR}
    with shop.db.begin() as session:
        session.execute(update(IdempotencyKey).values(**ahead))
        session.execute(update(PaymentOrder).values(**ahead))
    shop.gateway.during_create, shop.gateway.fetch_error = None, UnknownAtGateway("no such order")
    for _lease in ("of the key", "of the order"):
        with pytest.raises(StillRunning):
            shop.buy()
        shop.machine.pass_time(LEASE - timedelta(seconds=5))
        with pytest.raises(StillRunning):
            shop.buy()
        shop.machine.pass_time(timedelta(seconds=10))
    assert shop.buy() is not None
    assert shop.gateway.calls.count("create_order") == 2


def test_old_keys_are_forgotten_only_when_the_time_is_sure(shop: Shop) -> None:
    assert shop.buy() is not None
    moved = replace(REAL_TIME, now=lambda: shop.machine.moment + YEAR)
    assert monitors.tidy(shop.db, moved) == 0
    shop.machine.pass_time(KEPT + HOUR)
    assert monitors.tidy(shop.db, REAL_TIME) == 1


def test_a_trusted_reference_has_one_open_order_on_a_leap(shop: Shop) -> None:
    new = replace(wish(), reference="SHOP-1", price_verified=True)
    first = create_order(shop.db, shop.gateway, new, URLS, "r", None, REAL_TIME)
    moved = replace(REAL_TIME, now=lambda: shop.machine.moment + YEAR)
    assert create_order(shop.db, shop.gateway, new, URLS, "r", None, moved).id == first.id
    assert shop.gateway.calls.count("create_order") == 1


# ── moments that a clock has written which was ahead ────────────────────────────────────────────────────

FAR = timedelta(days=300)


def set_all(db: Database, table: Any, **values: object) -> None:
    with db.begin() as session:
        session.execute(update(table).values(**values))


def payment_is_due(db: Database, gateway: FakeGateway, hand: HandClock) -> bool:
    Refunding.begin(db, gateway)
    set_all(db, Payment, next_check_at=hand.moment + FAR)
    return sweep_payments(db, gateway, hand.clock) == 1


def refund_is_due(db: Database, gateway: FakeGateway, hand: HandClock) -> bool:
    gateway.refund_status = None
    Refunding.begin(db, gateway).send()
    set_all(db, Refund, next_check_at=hand.moment + FAR)
    return reconcile.sweep_refunds(db, gateway, URLS, hand.clock) == 1


def webhook_is_due(db: Database, gateway: FakeGateway, hand: HandClock) -> bool:
    paying = Refunding.begin(db, gateway)
    event = gateway.event(order=paying.payment.order_id, status="completed", amount=1, wake_up=True)
    webhook.receive(db, gateway, GENUINE, event)
    set_all(db, PaymentWebhook, next_try_at=hand.moment + FAR)
    return reconcile.sweep_inbox(db, gateway, hand.clock) == 1


def event_is_due(db: Database, gateway: FakeGateway, hand: HandClock) -> bool:
    Telling(db).tell()
    set_all(db, Outbox, next_try_at=hand.moment + FAR)
    with wire(Reply(b"{}")) as line:
        return deliver_due(db, channels(line.url), hand.clock, 5) == 1


def asking_is_due(db: Database, gateway: FakeGateway, hand: HandClock) -> bool:
    payment = Refunding.begin(db, gateway).payment
    set_all(db, Payment, asked_at=hand.moment + FAR)
    return asking.may_ask(db, payment.id)


@pytest.mark.parametrize(
    "is_due", [payment_is_due, refund_is_due, webhook_is_due, event_is_due, asking_is_due]
)
def test_a_moment_further_off_than_any_wait_has_come(
    db: Database, gateway: FakeGateway, is_due: Callable[[Database, FakeGateway, HandClock], bool]
) -> None:
    assert is_due(db, gateway, HandClock())


@pytest.mark.parametrize(
    "claimed",
    [
        lambda session, now: payments.claim_due(session, "fake", now, now, 5),
        lambda session, now: payments.claim_due_refunds(session, "fake", now, now, 5),
        lambda session, now: inbox.claim_due(session, "fake", now, now, 5),
        lambda session, now: outbox.claim(session, "merchant", now, now, 5),
    ],
)
def test_the_longest_wait_is_waited(
    db: Database, gateway: FakeGateway, claimed: Callable[[Any, datetime], list[Any]]
) -> None:
    now = datetime.now(UTC)
    webhook_is_due(db, gateway, HandClock())
    gateway.refund_status = None
    set_all(db, PaymentWebhook, next_try_at=now + timedelta(hours=6))
    set_all(db, Payment, next_check_at=now + timedelta(days=4))
    set_all(db, Outbox, next_try_at=now + timedelta(hours=26))
    with db.begin() as session:
        assert claimed(session, now) == []


def made_ahead(shop: Shop) -> UUID:
    """A payment that a machine made whose clock was a year ahead, and that is right by now."""
    shop.machine.off = YEAR
    shop.machine.start_process()
    opened = shop.buy()
    assert opened is not None
    shop.machine.off = timedelta(0)
    shop.machine.start_process()
    return opened.id


def test_a_payment_that_a_clock_has_made_which_was_ahead_begins_when_that_is_seen(
    shop: Shop, ledger: Ledger
) -> None:
    payment_id = made_ahead(shop)
    shop.sweep()
    payment = ledger.payment(payment_id)
    assert (payment.created_at, payment.expires_at) == (
        shop.machine.moment,
        shop.machine.moment + LIFETIME,
    )
    [note] = ledger.trail(payment_id, "note")
    assert note.reason == "made by a clock that was ahead"
    shop.machine.pass_time(AFTER_ITS_TIME)
    shop.sweep()
    assert ledger.payment(payment_id).status == "expired"


def test_a_completion_from_a_time_to_come_is_read_again_as_one_of_now(shop: Shop, ledger: Ledger) -> None:
    payment_id = made_ahead(shop)
    shop.gateway.paid("pay_1", PRICE)
    shop.sweep()
    set_all(shop.db, Payment, completed_at=shop.machine.moment + YEAR, next_check_at=shop.machine.moment)
    shop.sweep()
    payment = ledger.payment(payment_id)
    assert (payment.completed_at, payment.next_check_at) == (
        shop.machine.moment,
        shop.machine.moment + HOUR,
    )


def test_an_answer_from_a_time_to_come_makes_no_later_one_old(shop: Shop, ledger: Ledger) -> None:
    opened = opened_before(shop)
    set_all(shop.db, Payment, observed_at=shop.machine.moment + YEAR)
    shop.gateway.held("pay_1", PRICE)
    shop.gateway.captures_automatically = False
    shop.sweep()
    payment = ledger.payment(opened.id)
    assert payment.gateway_status == "authorized"
    assert payment.observed_at is not None
    assert payment.observed_at <= shop.machine.moment


@pytest.mark.parametrize(
    "command", [("worker", "--once"), ("worker", "--once", "--time-scale", "60"), ("replay-webhooks",)]
)
def test_commands_go_by_the_clock_that_witnesses_may_contradict(
    app: Flask, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    given: list[Clock] = []

    def keep_clock(*wired: Any) -> list[worker.Sweep]:
        given.extend(one for one in wired if isinstance(one, Clock))
        return []

    monkeypatch.setattr(worker, "sweeps", keep_clock)
    with app.app_context():
        result = app.test_cli_runner().invoke(args=list(command))
    assert result.exit_code == 0, result.output
    assert [clock.is_watched for clock in given] == [True]


# ── what a Date says ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("date", "age"),
    [
        (None, None),
        ("", None),
        ("yesterday", None),
        ("2026-11-29", None),
        ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        ("Sun, 29 Nov 2026 10:00:00 -0000", None),
        ("Sun, 99 Nov 2026 10:00:00 GMT", None),
        ("Sun, 29 Nov 2026 10:00:00 GMT", "86400"),
        ("Sun, 29 Nov 2026 10:00:00 GMT", "old"),
    ],
)
def test_a_date_that_says_nothing_is_not_heard(machine: Machine, date: str | None, age: str | None) -> None:
    watch = Watch(lambda: machine.moment, lambda: machine.counted)
    watch.hear("fake", date, age)
    assert watch.gateways_agree() is None


@pytest.mark.parametrize(
    ("offs", "is_agreed"),
    [([0], True), ([4 * 60], True), ([6 * 60], False), ([-6 * 60], False), ([86400, 0], True)],
)
def test_one_gateway_that_tells_our_time_is_enough(
    machine: Machine, offs: list[int], is_agreed: bool
) -> None:
    watch = Watch(lambda: machine.moment, lambda: machine.counted)
    for number, off in enumerate(offs):
        watch.hear(f"gateway {number}", format_datetime(machine.moment + timedelta(seconds=off)), "0")
    machine.pass_time(DAY)
    assert watch.gateways_agree() is is_agreed
