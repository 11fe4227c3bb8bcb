"""One request however often it is sent: what it began is taken up, and asked about before more is made."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import (
    CircuitOpen,
    Conflict,
    GatewayError,
    OutcomeUnknown,
    Rejected,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.domain.flag import flag
from payments_service.domain.money import Money
from payments_service.domain.news import Checkout, NewOrder, OrderRef, PaymentSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.states import PaymentStatus, ReviewReason
from payments_service.flows import idempotency, monitors, sync, webhook
from payments_service.flows.create_order import CreateOrderFailed, OutcomeStillUnknown, Urls, create_order
from payments_service.flows.idempotency import Claim, Kept, KeyReused, StillRunning
from payments_service.flows.intent import LEASE, NewPayment
from payments_service.flows.payment_view import PaymentView
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.tables import IdempotencyKey, Outbox, Payment, PaymentOrder
from tests.flows.conftest import PRICE, Ledger, wish
from tests.flows.delivering import HandClock
from tests.support.deciding import deciding
from tests.support.fake_gateway import GENUINE, FakeGateway

AFTER_THE_LEASE = LEASE + timedelta(seconds=1)
UNKNOWN = OutcomeUnknown("read timeout")
ABSENT = UnknownAtGateway("no such order")
BELL = Actor("worker", "w")


@dataclass
class Caller:
    """Sends the same request with the same key, again and again."""

    db: Database
    gateway: FakeGateway
    hand: HandClock = field(default_factory=HandClock)
    new: NewPayment = field(default_factory=wish)

    def ask(self, key: str = "key-of-the-test-0", fingerprint: str = "f", owner: str = "") -> PaymentView:
        claim = self.claim(key, fingerprint, owner)
        assert isinstance(claim, Claim)
        urls = Urls("http://127.0.0.1:5000")
        return create_order(self.db, self.gateway, self.new, urls, "r", claim, self.hand.clock)

    def ask_and_keep(self, key: str) -> PaymentView:
        """All that the door does with a key."""
        claim = self.claim(key)
        assert isinstance(claim, Claim)
        urls = Urls("http://127.0.0.1:5000")
        opened = create_order(self.db, self.gateway, self.new, urls, "r", claim, self.hand.clock)
        idempotency.keep(self.db, claim, b"the answer")
        return opened

    def claim(self, key: str = "key-of-the-test-0", fingerprint: str = "f", owner: str = "") -> Claim | Kept:
        words = {"endpoint": "create-order", "owner": owner, "key": key, "fingerprint": fingerprint}
        return idempotency.claim(
            self.db, **words, lease=LEASE, clock=self.hand.clock, still_valid=idempotency.still_payable
        )

    def is_told(self, code: str, **words: Any) -> dict[str, Any]:
        """The same request again gets this error."""
        with pytest.raises((Conflict, CreateOrderFailed)) as raised:
            self.ask(**words)
        assert raised.value.code == code
        return raised.value.extra

    def orders(self) -> list[PaymentOrder]:
        with self.db.read() as session:
            return list(session.scalars(select(PaymentOrder).order_by(PaymentOrder.created_at)))

    def stored_keys(self) -> list[IdempotencyKey]:
        with self.db.read() as session:
            return list(session.scalars(select(IdempotencyKey)))

    def tell(self, order: PaymentOrder, status: str, payment: str = "pay_1", **more: Any) -> None:
        ids = {"order": f"G{order.wire_id}", "wire": order.wire_id}
        event = self.gateway.event(**ids, status=status, amount=PRICE.minor, payment=payment, **more)
        webhook.receive(self.db, self.gateway, GENUINE, event)


@pytest.fixture
def caller(db: Database, gateway: FakeGateway) -> Caller:
    return Caller(db, gateway)


# ── the key ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_of_one_caller_and_one_request_and_is_forgotten_after_a_day(caller: Caller) -> None:
    first = caller.ask()
    idempotency.keep(caller.db, Claim(caller.stored_keys()[0].id, 1, first.id), b"the answer")
    assert caller.claim() == Kept(b"the answer")
    with pytest.raises(KeyReused):
        caller.claim(fingerprint="of another body")
    assert caller.ask(owner="shop").id != first.id
    assert caller.ask(key="another-key-00000").id != first.id
    caller.hand.advance(timedelta(minutes=29))
    assert caller.claim() == Kept(b"the answer")
    caller.hand.advance(timedelta(minutes=1))
    with pytest.raises(Conflict) as raised:
        caller.claim()
    assert raised.value.code == "order_expired"  # nobody rang meanwhile; the time is over all the same
    caller.hand.advance(timedelta(hours=23, minutes=29))
    with pytest.raises(Conflict):
        caller.claim()
    caller.hand.advance(timedelta(minutes=1, seconds=1))
    assert caller.ask(fingerprint="of another body").id != first.id


def test_old_keys_are_tidied_away_and_one_that_is_at_work_is_not(caller: Caller) -> None:
    caller.ask()
    caller.ask(key="another-key-00000")
    caller.hand.advance(timedelta(hours=23, minutes=59))
    caller.gateway.fetch_error = UNKNOWN
    with pytest.raises(Conflict):
        caller.ask()  # its time to pay is over, but it has been taken up
    with caller.db.begin() as session:
        row = session.scalars(select(IdempotencyKey).where(IdempotencyKey.generation == 2)).one()
        row.leased_until = caller.hand.moment + LEASE
    caller.hand.advance(timedelta(minutes=1, seconds=1))
    with pytest.raises(StillRunning):
        caller.claim()
    monitors.tidy(caller.db, caller.hand.clock)
    assert len(caller.stored_keys()) == 2
    caller.hand.advance(LEASE)
    monitors.tidy(caller.db, caller.hand.clock)
    assert [row.generation for row in caller.stored_keys()] == [2]
    caller.hand.advance(timedelta(days=1))
    monitors.tidy(caller.db, caller.hand.clock)
    assert caller.stored_keys() == []


def test_of_requests_at_once_one_runs(caller: Caller) -> None:
    told = []

    def again(*_: object) -> None:
        told.append(caller.is_told("request_in_progress"))

    caller.gateway.during_create = again
    caller.ask()
    assert len(told) == 1
    assert caller.gateway.calls == ["create_order"]


def test_a_key_that_is_let_go_while_others_claim_it_is_claimed_by_one_of_them(caller: Caller) -> None:
    """Its row vanishes between finding that it is there and reading it."""
    results: list[object] = []
    for _ in range(20):
        first = caller.claim()
        assert isinstance(first, Claim)
        start = threading.Barrier(4)

        def claims(start: threading.Barrier = start) -> None:
            start.wait()
            try:
                results.append(caller.claim())
            except Exception as error:
                results.append(error)

        threads = [threading.Thread(target=claims) for _ in range(3)]
        for thread in threads:
            thread.start()
        start.wait()
        idempotency.release(caller.db, first)
        for thread in threads:
            thread.join()
        for row in caller.stored_keys():
            idempotency.release(caller.db, Claim(row.id, row.generation, None))
    assert {type(result) for result in results} <= {Claim, StillRunning}


@pytest.mark.parametrize("error", [Rejected("no"), Unavailable("away"), CircuitOpen("open")])
def test_what_never_reached_the_gateway_may_run_again_with_any_body(
    caller: Caller, error: GatewayError
) -> None:
    caller.gateway.create_error = error
    caller.is_told(error.code)
    assert caller.stored_keys() == []
    caller.gateway.create_error = None
    assert caller.ask(fingerprint="of another body").status is PaymentStatus.PENDING


def test_a_refusal_that_news_contradicts_keeps_the_key(caller: Caller) -> None:
    """The gateway says no, and meanwhile an event has told that the order is there."""

    def tell(_gateway_order_id: str, order: NewOrder) -> None:
        caller.gateway.orders[f"G{order.wire_id}"] = order
        caller.tell(caller.orders()[0], "pending", attempt="none")

    caller.gateway.during_create, caller.gateway.create_error = tell, Rejected("no")
    caller.is_told("gateway_rejected")
    caller.gateway.during_create = caller.gateway.create_error = None
    caller.ask()
    assert len(caller.gateway.orders) == len(caller.orders()) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [("completed", "order_paid"), ("authorized", "order_paid"), ("failed", "order_expired")],
)
def test_an_order_that_ended_is_handed_out_to_nobody(caller: Caller, status: str, code: str) -> None:
    """Neither the answer that was kept nor, when keeping it failed, a new one."""
    caller.ask()
    other = caller.ask(key="another-key-00000")
    [kept] = [row for row in caller.stored_keys() if row.key == "another-key-00000"]
    idempotency.keep(caller.db, Claim(kept.id, 1, other.id), b"the answer")
    caller.gateway.capture = lambda *_: None  # type: ignore[assignment, method-assign]
    attempt = {"completed": "succeeded", "authorized": "authorized", "failed": "failed"}[status]
    for number, order in enumerate(caller.orders()):
        caller.tell(order, status, f"pay_{number}", attempt=attempt)
    caller.hand.advance(AFTER_THE_LEASE)
    for _ in range(2):
        caller.is_told(code)
        caller.is_told(code, key="another-key-00000")
    assert caller.gateway.calls.count("create_order") == 2


def test_a_payment_that_a_person_looks_at_is_handed_out_to_nobody(caller: Caller) -> None:
    caller.gateway.amount = Money(100)
    caller.is_told("gateway_error")
    caller.is_told("payment_review")
    other = Caller(caller.db, FakeGateway(), caller.hand)
    opened = other.ask(key="another-key-00000")
    [kept] = [row for row in caller.stored_keys() if row.key == "another-key-00000"]
    idempotency.keep(caller.db, Claim(kept.id, 1, opened.id), b"the answer")
    with deciding(caller.db, opened.id) as known:
        flag(known, ReviewReason.SECOND_SUCCESS, BELL, {"paymentIds": ["pay_1"]})
    other.is_told("payment_review", key="another-key-00000")


# ── an unknown outcome ──────────────────────────────────────────────────────────────────────────────


def test_a_lost_answer_ends_with_one_order_found_again(caller: Caller) -> None:
    caller.gateway.create_error, caller.gateway.fetch_error = UNKNOWN, Unavailable("away")
    first = caller.is_told("outcome_unknown")
    assert caller.is_told("outcome_unknown")["id"] == first["id"]
    caller.gateway.fetch_error = None
    assert str(caller.ask().id) == first["id"]
    assert caller.gateway.calls.count("create_order") == 1
    assert [order.status for order in caller.orders()] == ["open"]


def test_a_lost_address_ends_with_one_payable_order_and_the_lost_one_watched(
    caller: Caller, ledger: Ledger
) -> None:
    caller.gateway.tells_checkout_again = False
    caller.gateway.create_error, caller.gateway.fetch_error = UNKNOWN, Unavailable("away")
    first = caller.is_told("outcome_unknown")
    caller.gateway.create_error = caller.gateway.fetch_error = None
    opened = caller.ask_and_keep("key-of-the-test-0")
    assert str(opened.id) == first["id"]
    lost, current = caller.orders()
    assert (lost.status, current.status) == ("lost", "open")
    assert opened.order_id == current.gateway_order_id
    assert ledger.payment(opened.id).next_check_at is not None
    caller.tell(lost, "completed", "pay_lost")
    caller.is_told("order_paid")
    assert ledger.payment(opened.id).review is None
    caller.tell(current, "completed", "pay_current")
    assert ledger.payment(opened.id).review == "second_success"
    assert ledger.moves(opened.id).count("completed") == 1


def test_a_payment_whose_second_order_was_refused_has_failed_and_its_first_one_is_watched(
    caller: Caller, ledger: Ledger
) -> None:
    """What was found out about the first order is written down before another one is asked for."""
    gateway, caller.db.destinations = caller.gateway, (outbox.MERCHANT,)
    gateway.tells_checkout_again = False
    gateway.create_error = UNKNOWN

    def refuse_the_second(_gateway_order_id: str, _order: NewOrder) -> None:
        if gateway.calls.count("create_order") == 2:
            gateway.create_error = Unavailable("away")

    gateway.during_create = refuse_the_second
    first = UUID(caller.is_told("gateway_unavailable")["id"])
    lost, refused = caller.orders()
    assert (lost.status, lost.gateway_order_id) == ("lost", f"G{lost.wire_id}")
    assert (refused.status, refused.gateway_order_id) == ("refused", None)
    assert ledger.moves(first) == ["initiated", "pending", "failed"]
    with caller.db.read() as session:
        assert [row.type for row in session.scalars(select(Outbox))] == ["payment.failed"]
    gateway.create_error = None
    assert caller.ask().id != first  # nobody could pay the first one
    gateway.calls.clear()
    gateway.paid("pay_1", PRICE)
    sync.refresh(caller.db, gateway, first, BELL, Deadline(5))
    assert gateway.calls == ["fetch_payment"]  # of the lost one: there is nothing to ask of the refused
    assert ledger.payment(first).status == "completed"


def test_an_order_that_is_absent_is_replaced_only_after_the_lease(caller: Caller, ledger: Ledger) -> None:
    caller.gateway.create_error, caller.gateway.fetch_error = UNKNOWN, ABSENT
    first = caller.is_told("outcome_unknown")
    caller.gateway.create_error = None
    for _ in range(2):
        with pytest.raises(OutcomeStillUnknown) as raised:
            caller.ask()
        assert raised.value.extra["id"] == first["id"]
    assert caller.gateway.calls.count("create_order") == 1
    caller.hand.advance(timedelta(minutes=40))  # longer than it could be paid
    opened = caller.ask()
    assert str(opened.id) == first["id"]
    lost, current = caller.orders()
    assert lost.wire_id != current.wire_id
    assert (lost.status, current.status) == ("lost", "open")
    lifetime = caller.new.lifetime
    assert opened.expires_at == caller.hand.moment + lifetime  # nobody could pay before
    assert caller.gateway.orders[f"G{current.wire_id}"].expires_at == caller.hand.moment + lifetime
    assert opened.status is PaymentStatus.PENDING


def test_an_order_that_the_gateway_told_us_of_is_never_replaced_because_it_denies_it(caller: Caller) -> None:
    caller.gateway.tells_checkout_again = False
    caller.gateway.create_error, caller.gateway.fetch_error = UNKNOWN, Unavailable("away")
    caller.is_told("outcome_unknown")
    caller.tell(caller.orders()[0], "pending", attempt="none")
    caller.gateway.create_error, caller.gateway.fetch_error = None, ABSENT
    caller.hand.advance(AFTER_THE_LEASE)
    caller.is_told("outcome_unknown")
    assert caller.gateway.calls.count("create_order") == 1


def test_nobody_takes_up_a_payment_whose_other_order_was_refused(caller: Caller, ledger: Ledger) -> None:
    caller.gateway.tells_checkout_again = False
    caller.gateway.create_error, caller.gateway.fetch_error = UNKNOWN, Unavailable("away")
    first = caller.is_told("outcome_unknown")
    caller.gateway.create_error, caller.gateway.fetch_error = CircuitOpen("open"), None
    assert caller.is_told("gateway_circuit_open") == {**first, "retryable": True}
    assert ledger.payment(UUID(first["id"])).status == "failed"
    caller.gateway.create_error = None
    caller.gateway.calls.clear()
    with pytest.raises(KeyReused):  # the gateway was reached
        caller.claim(fingerprint="of another body")
    assert str(caller.ask().id) != first["id"]
    assert caller.gateway.calls == ["create_order"]  # there was nothing to ask about
    assert [order.status for order in caller.orders()] == ["lost", "refused", "open"]


def test_money_on_a_lost_order_that_a_person_looks_at_makes_no_room_for_another_payment(
    caller: Caller, ledger: Ledger
) -> None:
    caller.db.reviews_late_success = True
    caller.gateway.tells_checkout_again = False
    caller.gateway.create_error, caller.gateway.fetch_error = UNKNOWN, Unavailable("away")
    first = caller.is_told("outcome_unknown")
    caller.gateway.create_error, caller.gateway.fetch_error = CircuitOpen("open"), None
    caller.is_told("gateway_circuit_open")
    caller.gateway.create_error = None
    caller.tell(caller.orders()[0], "completed")
    payment = ledger.payment(UUID(first["id"]))
    assert (payment.status, payment.review) == ("failed", "late_success")
    assert caller.is_told("payment_review")["id"] == first["id"]


@pytest.mark.parametrize("what", ["paid", "found", "replaced"])
def test_news_between_asking_and_replacing_stops_the_replacing(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A webhook or a status page may learn of the order just after we were told that it is not there."""
    caller.gateway.create_error, caller.gateway.fetch_error = UNKNOWN, ABSENT
    first = caller.is_told("outcome_unknown")
    caller.hand.advance(AFTER_THE_LEASE)
    [order] = caller.orders()
    before_locking(monkeypatch, "payments_service.flows.create_order._another", lambda: news())

    def news() -> None:
        if what == "paid":
            caller.tell(order, "completed")
        elif what == "replaced":
            monkeypatch.undo()
            caller.hand.advance(AFTER_THE_LEASE)
            caller.ask()
        else:
            caller.gateway.fetch_error = None
            sync.refresh(caller.db, caller.gateway, UUID(first["id"]), BELL, Deadline(5))

    caller.gateway.create_error = None
    caller.is_told("order_paid" if what == "paid" else "request_in_progress")
    made = 2 if what == "replaced" else 1
    assert len(caller.orders()) == caller.gateway.calls.count("create_order") == made
    if what == "found":
        monkeypatch.undo()
        assert str(caller.ask().id) == first["id"]
        assert caller.gateway.calls.count("create_order") == 1


def test_an_order_that_is_paid_before_we_hear_of_it_is_not_replaced(caller: Caller) -> None:
    """Gateways do not say how to open what nobody has to pay any more."""
    caller.gateway.tells_checkout_again = False
    caller.gateway.create_error = UNKNOWN
    caller.gateway.paid("pay_1", PRICE)
    caller.is_told("outcome_unknown")
    caller.is_told("order_paid")
    assert len(caller.gateway.orders) == 1


def test_machines_whose_clocks_disagree_hand_out_the_same_order(caller: Caller) -> None:
    """An order that was lost may look newer than the one in its place: its status tells, not its time."""
    caller.gateway.tells_checkout_again = False
    caller.gateway.create_error, caller.gateway.fetch_error = UNKNOWN, Unavailable("away")
    caller.is_told("outcome_unknown")
    for error in (CircuitOpen("open"), None):
        caller.gateway.create_error, caller.gateway.fetch_error = error, None
        caller.is_told("gateway_circuit_open") if error else caller.ask()
    for number, order in enumerate(caller.orders()[:2]):  # the lost one and the refused one
        with caller.db.begin() as session:
            session.get_one(PaymentOrder, order.id).created_at += timedelta(hours=1 + number)
    caller.hand.advance(AFTER_THE_LEASE)
    caller.gateway.calls.clear()
    opened = caller.ask()
    assert opened.order_id == next(o.gateway_order_id for o in caller.orders() if o.status == "open")
    assert caller.gateway.calls == []


def test_a_request_that_slept_through_its_lease_answers_with_what_took_its_place(caller: Caller) -> None:
    """Its own order is at the gateway, too, and nobody was sent there: it is watched."""
    answers = []

    def sleep(_gateway_order_id: str, order: NewOrder) -> None:
        caller.gateway.during_create = None
        caller.hand.advance(AFTER_THE_LEASE)
        caller.gateway.fetch_error = ABSENT
        answers.append(caller.ask())
        caller.gateway.fetch_error = None

    caller.gateway.during_create = sleep
    answers.append(caller.ask())
    assert answers[0] == answers[1]
    assert [order.status for order in caller.orders()] == ["lost", "open"]
    assert answers[0].order_id == caller.orders()[1].gateway_order_id


def test_what_other_credentials_began_is_not_asked_for_with_ours(caller: Caller) -> None:
    caller.gateway.create_error, caller.gateway.fetch_error = UNKNOWN, Unavailable("away")
    caller.is_told("outcome_unknown")
    caller.gateway.create_error = caller.gateway.fetch_error = None
    caller.gateway.provider = "fake_v2"  # type: ignore[misc]
    caller.gateway.calls.clear()
    caller.hand.advance(AFTER_THE_LEASE)
    caller.is_told("order_expired")
    assert caller.gateway.calls == []


# ── a crash between any two commits ─────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """As kill -9: nothing is written after it. The real ones are in tests/e2e/test_idempotency.py."""


class HonestGateway(FakeGateway):
    """It knows what it made; it may die with us before it makes anything."""

    dies_before_making = False

    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        if self.dies_before_making:
            raise Killed
        return super().create_order(order, deadline)

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        if f"G{order.wire_id}" not in self.orders:
            raise ABSENT
        return super().fetch_payment(order, deadline)


@contextmanager
def dying(db: Database, before: int) -> Iterator[None]:
    """The process ends where its n-th transaction that writes would begin."""
    begin, seen = db.begin, []

    @contextmanager
    def counted() -> Iterator[Any]:
        seen.append(1)
        if len(seen) >= before:
            raise Killed
        with begin() as session:
            yield session

    db.begin = counted  # type: ignore[method-assign]
    try:
        with pytest.raises(Killed):
            yield
    finally:
        db.begin = begin  # type: ignore[method-assign]


@pytest.mark.parametrize("tells_again", [True, False], ids=["tells its address again", "never again"])
@pytest.mark.parametrize("times", [1, 2], ids=["once", "and again"])
def test_a_crash_anywhere_ends_with_one_payable_order(db: Database, tells_again: bool, times: int) -> None:
    gateway = HonestGateway()
    gateway.tells_checkout_again = tells_again
    caller = Caller(db, gateway)
    places = {"before the intent": 2, "before the call": 9, "before writing": 3, "before keeping": 4}
    for place, transaction in places.items():
        key, made = f"killed {place}", len(gateway.orders)
        gateway.dies_before_making = place == "before the call"
        for _ in range(times):
            with dying(db, transaction):
                caller.ask_and_keep(key)
            caller.is_told("request_in_progress", key=key)
            caller.hand.advance(AFTER_THE_LEASE)
        gateway.dies_before_making = False
        opened = caller.ask_and_keep(key)
        *lost, current = [order for order in caller.orders() if order.payment_id == opened.id]
        assert (current.status, current.gateway_order_id) == ("open", opened.order_id), place
        assert {order.status for order in lost} <= {"lost"}
        if tells_again or place in ("before the intent", "before the call"):
            assert len(gateway.orders) == made + 1, place
        assert isinstance(caller.claim(key), Kept)
    with db.read() as session:
        assert len(list(session.scalars(select(Payment)))) == len(places)


def before_locking(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], None]) -> None:
    """Let something happen just before a function takes its lock."""
    module, _, function = name.rpartition(".")
    original = getattr(__import__(module, fromlist=[function]), function)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        act()
        return original(*args, **kwargs)

    monkeypatch.setattr(name, wrapped)
