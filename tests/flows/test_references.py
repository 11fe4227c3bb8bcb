"""A merchant's order number that the merchant vouches for is paid once, however it is asked for and where."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Conflict, GatewayError, OutcomeUnknown, Rejected, Unavailable
from payments_service.domain.flag import flag
from payments_service.domain.money import Money
from payments_service.domain.news import OrderRef, PaymentSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, PaymentStatus, ReviewReason
from payments_service.flows import create_order as create_order_flow
from payments_service.flows import hosted_page, idempotency, sync, webhook
from payments_service.flows.create_order import CreateOrderFailed, Urls, create_order
from payments_service.flows.idempotency import Claim
from payments_service.flows.intent import LEASE, NewPayment
from payments_service.flows.payment_view import PaymentView
from payments_service.flows.verify import verify
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.tables import Outbox, Payment, PaymentReference
from tests.flows.conftest import PRICE, Ledger, wish
from tests.flows.delivering import HandClock
from tests.support.deciding import deciding
from tests.support.fake_gateway import GENUINE, FakeGateway

BELL = Actor("worker", "w")


class OtherGateway(FakeGateway):
    name = provider = "other"


def order_for(
    db: Database,
    gateway: FakeGateway,
    reference: str = "A-1",
    amount: Money = PRICE,
    *,
    vouched: bool = True,
    claim: Claim | None = None,
    hand: HandClock | None = None,
    others: Sequence[FakeGateway] = (),
) -> PaymentView:
    new: NewPayment = replace(wish(amount), reference=reference, price_verified=vouched)
    clock = (hand or HandClock()).clock
    return create_order(db, gateway, new, Urls("http://127.0.0.1:5000"), "r", claim, clock, others=others)


class Closing(FakeGateway):
    """Ends an order when it is asked to."""

    def close(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        self.status = PaymentStatus.EXPIRED
        return self.fetch_payment(order, deadline)


class OtherClosing(Closing):
    name = provider = "other"


def claim(db: Database, key: str, hand: HandClock | None = None) -> Any:
    words = {"endpoint": "create-order", "owner": "shop", "key": key, "fingerprint": "f"}
    clock, still_valid = (hand or HandClock()).clock, idempotency.still_payable
    return idempotency.claim(db, **words, lease=LEASE, clock=clock, still_valid=still_valid)


def refused(ask: Callable[[], object]) -> str:
    with pytest.raises(Conflict) as raised:
        ask()
    return raised.value.code


def tell(db: Database, gateway: FakeGateway, opened: PaymentView, status: str, **more: Any) -> None:
    """The gateway's webhook: each order has an attempt of its own."""
    event = gateway.event(
        order=opened.order_id, status=status, amount=opened.amount.minor, payment=f"pay_{opened.id}", **more
    )
    assert webhook.receive(db, gateway, GENUINE, event) is None


def told(db: Database) -> list[str]:
    with db.read() as session:
        return sorted(row.type for row in session.scalars(select(Outbox)))


def test_a_reference_that_is_open_gets_its_order_again(db: Database, gateway: FakeGateway) -> None:
    first = order_for(db, gateway)
    assert order_for(db, gateway) == first
    assert order_for(db, gateway, claim=claim(db, "key-of-the-test-1")) == first
    assert order_for(db, gateway, "A-2").id != first.id
    assert refused(lambda: order_for(db, gateway, amount=Money(1000))) == "reference_open"
    assert refused(lambda: order_for(db, OtherGateway(), amount=Money(1000))) == "reference_open"
    assert gateway.calls.count("create_order") == 2


def test_from_a_bare_browser_it_is_only_a_label(db: Database, gateway: FakeGateway) -> None:
    db.destinations = (outbox.MERCHANT,)
    vouched = order_for(db, gateway)
    tell(db, gateway, vouched, "completed")
    labelled = [order_for(db, gateway, vouched=False) for _ in range(2)]
    assert len({vouched.id, *(opened.id for opened in labelled)}) == 3
    for opened in labelled:
        tell(db, gateway, opened, "completed")
    assert told(db) == ["payment.completed"] * 3


def test_a_label_of_a_browser_keeps_no_merchant_from_using_it(db: Database, gateway: FakeGateway) -> None:
    labelled = order_for(db, gateway, vouched=False)
    tell(db, gateway, labelled, "completed")
    assert order_for(db, gateway).id != labelled.id


@pytest.mark.parametrize("end", ["failed", "expired", "over"])
def test_what_came_to_its_end_unpaid_makes_room_for_a_new_payment(
    db: Database, gateway: FakeGateway, end: str
) -> None:
    hand = HandClock()
    first = order_for(db, gateway)
    if end == "over":
        hand.advance(timedelta(minutes=31))  # and nobody has rung since
    else:
        tell(db, gateway, first, end, attempt="failed")
    second = order_for(db, gateway, hand=hand)
    assert second.id != first.id
    assert order_for(db, gateway, hand=hand) == second
    tell(db, gateway, second, "completed")
    assert refused(lambda: order_for(db, gateway, hand=hand)) == "reference_paid"
    assert refused(lambda: order_for(db, OtherGateway(), hand=hand)) == "reference_paid"


def test_on_another_gateway_it_gets_another_order_and_back_on_the_first_the_first_again(
    db: Database, gateway: FakeGateway
) -> None:
    other = OtherGateway()
    first, second = order_for(db, gateway), order_for(db, other)
    assert first.id != second.id
    assert order_for(db, gateway) == first
    assert order_for(db, other) == second
    assert gateway.calls + other.calls == ["create_order"] * 2


def test_paid_on_two_gateways_it_is_completed_once_and_flagged_once(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    db.destinations = (outbox.MERCHANT,)
    other = OtherGateway()
    first, second = order_for(db, gateway), order_for(db, other)
    for _ in range(2):
        tell(db, other, second, "completed")
        tell(db, gateway, first, "completed")
    assert told(db) == ["payment.completed", "payment.review"]
    assert ledger.payment(second.id).review is None
    assert ledger.payment(first.id).review == "reference_paid_twice"
    assert {ledger.payment(opened.id).status for opened in (first, second)} == {"completed"}


def test_a_reference_whose_row_is_missing_is_paid_once_all_the_same(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    """A process of an older version made the payments."""
    other = OtherGateway()
    both = [(gateway, order_for(db, gateway)), (other, order_for(db, other))]
    with db.begin() as session:
        session.execute(delete(PaymentReference))
    for one, opened in both:
        one.paid(f"pay_{opened.id}", PRICE)
        sync.refresh(db, one, opened.id, BELL, Deadline(5))
    assert [ledger.payment(opened.id).review for _, opened in both] == [None, "reference_paid_twice"]


def test_what_is_paid_elsewhere_is_handed_out_to_no_key(db: Database, gateway: FakeGateway) -> None:
    """Neither the answer that was kept, nor an order of which nobody knew yet whether it is there."""
    other, hand = OtherGateway(), HandClock()
    kept = claim(db, "key-that-is-kept-0")
    idempotency.keep(db, replace(kept, payment_id=order_for(db, gateway, claim=kept).id), b"the answer")
    third = OtherGateway()
    third.provider = third.name = "third"  # type: ignore[misc]
    third.create_error, third.fetch_error = OutcomeUnknown("reset"), Unavailable("away")
    with pytest.raises(CreateOrderFailed):
        order_for(db, third, claim=claim(db, "key-that-is-open-0"))
    tell(db, other, order_for(db, other), "completed")
    third.create_error = third.fetch_error = None
    hand.advance(timedelta(minutes=2))
    assert refused(lambda: claim(db, "key-that-is-kept-0")) == "reference_paid"
    again = claim(db, "key-that-is-open-0", hand)
    assert refused(lambda: order_for(db, third, claim=again, hand=hand)) == "reference_paid"
    assert third.calls.count("create_order") == 1


@pytest.mark.parametrize("what", ["held", "reviewed", "late"])
def test_while_money_is_held_or_a_person_looks_nobody_pays_again(
    db: Database, gateway: FakeGateway, what: str
) -> None:
    db.reviews_late_success = True
    first = order_for(db, gateway)
    gateway.capture = lambda *_: None  # type: ignore[assignment, method-assign]
    if what == "held":
        tell(db, gateway, first, "authorized", attempt="authorized")
    elif what == "late":
        tell(db, gateway, first, "failed", attempt="failed")
        tell(db, gateway, first, "completed")
    else:
        with deciding(db, first.id) as known:
            flag(known, ReviewReason.SECOND_SUCCESS, BELL, {"paymentIds": ["pay_1"]})
    assert refused(lambda: order_for(db, gateway)) == "reference_open"
    assert refused(lambda: order_for(db, OtherGateway())) == "reference_open"


# ── at the same time ────────────────────────────────────────────────────────────────────────────────


class Books(FakeGateway):
    """It knows of each of its orders whether that one is paid."""

    def __init__(self) -> None:
        super().__init__()
        self.paid_orders: set[str] = set()

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        snapshot = super().fetch_payment(order, deadline)
        if snapshot.order.gateway_order_id not in self.paid_orders:
            return snapshot
        attempt = self.attempt(f"pay_of_{order.wire_id}", AttemptStatus.SUCCEEDED, snapshot.amount)
        return replace(snapshot, status=PaymentStatus.COMPLETED, attempts=(attempt,))

    def pays(self, opened: PaymentView) -> bytes:
        """The payer pays; what the gateway's webhook says of it."""
        assert opened.order_id
        self.paid_orders.add(opened.order_id)
        wire = self.orders[opened.order_id].wire_id
        about = {"order": opened.order_id, "wire": wire, "payment": f"pay_of_{wire}"}
        return self.event(**about, status="completed", amount=opened.amount.minor)


class OtherBooks(Books):
    name = provider = "other"


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each of them returned or raised."""
    start = threading.Barrier(len(acts))
    results: list[object] = []

    def run(act: Callable[[], object]) -> None:
        start.wait()
        try:
            results.append(act())
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("is_new", [True, False], ids=["a new reference", "one that failed before"])
def test_twenty_at_once_for_one_reference_get_one_order(
    db: Database, gateway: FakeGateway, is_new: bool
) -> None:
    if not is_new:
        tell(db, gateway, order_for(db, gateway), "failed", attempt="failed")
        gateway.calls.clear()
        gateway.orders.clear()
    results = at_once(
        *(lambda n=n: order_for(db, gateway, claim=claim(db, f"key-of-thread-{n:03}")) for n in range(10)),
        *(lambda: order_for(db, gateway) for _ in range(10)),
    )
    opened = [result for result in results if isinstance(result, PaymentView)]
    others = {getattr(result, "code", result) for result in results if result not in opened}
    assert {view.id for view in opened} == {order_for(db, gateway).id}
    assert others <= {"request_in_progress"}
    assert len(gateway.orders) == gateway.calls.count("create_order") == 1


@pytest.mark.parametrize("is_slower", [True, False], ids=["the first answers last", "the second does"])
def test_two_gateways_at_once_for_one_reference_leave_one_order_to_pay(
    db: Database, ledger: Ledger, is_slower: bool
) -> None:
    """Each was begun before the other could be paid, so neither saw an order to close."""
    one, two = Closing(), OtherClosing()
    second: list[object] = []
    is_begun, may_answer = threading.Event(), threading.Event()

    def begin_second(*_: object) -> None:
        thread.start()
        assert is_begun.wait(10)
        if is_slower:
            thread.join()

    def wait_for_first(*_: object) -> None:
        is_begun.set()
        assert is_slower or may_answer.wait(10)

    def open_second() -> None:
        second.append(order_for(db, two, others=[one, two]))

    thread = threading.Thread(target=open_second)
    one.during_create, two.during_create = begin_second, wait_for_first
    if is_slower:
        assert refused(lambda: order_for(db, one, others=[one, two])) == "reference_open"
    else:
        assert isinstance(order_for(db, one, others=[one, two]), PaymentView)
        may_answer.set()
        thread.join()
    assert isinstance(second[0], PaymentView), second
    with db.read() as session:
        statuses = {row.gateway: row.status for row in session.scalars(select(Payment))}
    assert statuses == {"fake": "expired", "other": "pending"}


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["at the same gateway", "at another"])
def test_what_is_paid_while_the_next_order_is_made_gets_none(db: Database, is_elsewhere: bool) -> None:
    one = FakeGateway()
    two = OtherGateway() if is_elsewhere else one
    first = order_for(db, one)
    tell(db, one, first, "failed", attempt="failed")
    two.during_create = lambda *_: tell(db, one, first, "completed")
    assert refused(lambda: order_for(db, two, others=[one, two])) == "reference_paid"


WRONG = Money(PRICE.minor - 100)


@pytest.mark.parametrize("came", ["held", "another sum", "captured, and the order's word lags"])
@pytest.mark.parametrize("told_by", ["the gateway that is left", "an event"])
def test_where_money_came_no_payer_is_sent_to_a_second_order(db: Database, came: str, told_by: str) -> None:
    one, two = FakeGateway(), OtherGateway()
    one.captures_automatically = False  # type: ignore[misc]
    first = order_for(db, one, claim=(key := claim(db, "key-of-the-first-tab")))
    idempotency.keep(db, key, b"the first order")
    if told_by == "an event":
        second = order_for(db, two, claim=(other := claim(db, "key-of-the-other-tab")))
        idempotency.keep(db, other, b"the second order")
        assert second.id != first.id
    status, amount = {
        "held": (AttemptStatus.AUTHORIZED, PRICE),
        "another sum": (AttemptStatus.SUCCEEDED, WRONG),
        "captured, and the order's word lags": (AttemptStatus.SUCCEEDED, PRICE),
    }[came]
    one.attempts = (one.attempt("pay_1", status, amount),)
    if told_by == "an event":
        sync.refresh(db, one, first.id, BELL, Deadline(5))
        assert refused(lambda: claim(db, "key-of-the-other-tab")) == "reference_open"
    assert refused(lambda: order_for(db, two, others=[one, two])) == "reference_open"


def test_where_a_person_looks_no_payer_is_sent_to_a_second_order(db: Database) -> None:
    """The gateway that is left says that another sum was paid, and tells no attempt."""
    one, two = FakeGateway(), OtherGateway()
    order_for(db, one)
    one.status, one.amount = PaymentStatus.COMPLETED, WRONG
    assert refused(lambda: order_for(db, two, others=[one, two])) == "reference_open"


def test_a_kept_answer_hands_out_no_order_that_the_payer_has_left(db: Database) -> None:
    one, two = FakeGateway(), OtherGateway()
    order_for(db, one, claim=(key := claim(db, "key-of-the-first-tab")))
    idempotency.keep(db, key, b"the first order")
    assert isinstance(claim(db, "key-of-the-first-tab"), idempotency.Kept)
    order_for(db, two)
    assert refused(lambda: claim(db, "key-of-the-first-tab")) == "reference_open"
    order_for(db, one)
    assert isinstance(claim(db, "key-of-the-first-tab"), idempotency.Kept)


def test_a_closed_payment_makes_room_for_another(db: Database, ledger: Ledger) -> None:
    one = FakeGateway()
    first = order_for(db, one)
    with db.begin() as session:  # as `close` leaves it that ended between its commits
        session.execute(update(Payment).values(closed_at=datetime.now(UTC)))
    assert hosted_page.hosted_page(db, first.id).stage is hosted_page.Stage.EXPIRED
    assert order_for(db, one).id != first.id


@pytest.mark.parametrize(
    ("error", "code"), [(None, "reference_paid"), (Rejected("no"), None)], ids=["paid", "refused"]
)
def test_what_became_of_the_gateway_that_was_chosen_meanwhile_is_heard_before_a_payer_is_sent_to_this_one(
    db: Database, error: GatewayError | None, code: str | None
) -> None:
    one, two = Closing(), OtherClosing()
    two.create_error = error

    def choose_the_other(*_: object) -> None:
        try:
            tell(db, two, order_for(db, two, others=[one, two]), "completed")
        except CreateOrderFailed:
            assert error

    one.during_create = choose_the_other
    if code:
        assert refused(lambda: order_for(db, one, others=[one, two])) == code
    else:
        assert order_for(db, one, others=[one, two]).status == "pending"


def test_an_order_that_is_paid_while_it_is_handed_out_is_told_as_paid(
    db: Database, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as a fault of the gateway's, though a person has to look at the two payments."""
    other = OtherGateway()
    both = [(gateway, order_for(db, gateway)), (other, order_for(db, other))]
    take_up = create_order_flow._take_up

    def and_pay_meanwhile(call: create_order_flow.Call, payment_id: UUID) -> None:
        take_up(call, payment_id)
        for one, opened in both:
            tell(db, one, opened, "completed")

    monkeypatch.setattr(create_order_flow, "_take_up", and_pay_meanwhile)
    assert refused(lambda: order_for(db, other)) == "order_paid"


def test_everybody_at_once_about_one_reference_agrees_and_nobody_is_locked_out(db: Database) -> None:
    """Webhooks, verifications and new orders take the reference's lock before a payment's."""
    db.destinations = (outbox.MERCHANT,)
    one, two = Books(), OtherBooks()
    rounds = 5 if db.is_sqlite else 12
    for number in range(rounds):
        name = f"R-{number}"
        first, second = order_for(db, one, name), order_for(db, two, name)
        news, other_news = one.pays(first), two.pays(second)
        proof = {"orderId": str(first.order_id), "proof": f"proof of {first.order_id}"}
        results = at_once(
            lambda news=news: webhook.receive(db, one, GENUINE, news),
            lambda news=other_news: webhook.receive(db, two, GENUINE, news),
            lambda proof=proof: verify(db, "fake", [one], proof, "r"),
            lambda name=name: order_for(db, one, name),
            lambda name=name: order_for(db, two, name, claim=claim(db, f"key-of-round-{name}")),
        )
        errors = [result for result in results if isinstance(result, Exception)]
        assert {getattr(error, "code", error) for error in errors} <= {
            "reference_paid",
            "reference_open",
            "order_paid",
            "request_in_progress",
        }
    with db.read() as session:
        rows = list(session.scalars(select(Payment)))
        assert {row.status for row in rows} == {"completed"}
        assert len(rows) == 2 * rounds
        assert [row.review for row in rows].count("reference_paid_twice") == rounds
    assert told(db) == ["payment.completed"] * rounds + ["payment.review"] * rounds


def test_money_held_for_a_paid_reference_is_not_captured_and_flagged_again_once_it_is(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    db.destinations = (outbox.MERCHANT,)
    other = OtherGateway()
    first, second = order_for(db, gateway), order_for(db, other)
    tell(db, other, second, "completed")
    held = {"order": first.order_id, "status": "authorized", "amount": PRICE.minor, "attempt": "authorized"}
    webhook.receive(db, gateway, GENUINE, gateway.event(**held))
    assert not [call for call in gateway.calls if call.startswith("capture")]
    tell(db, gateway, first, "completed")  # captured in the gateway's dashboard
    assert ledger.payment(first.id).status == "completed"
    assert [event.reason for event in ledger.trail(first.id, "review")] == ["reference_paid_twice"] * 2
    assert told(db).count("payment.completed") == 1
