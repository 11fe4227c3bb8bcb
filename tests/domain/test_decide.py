"""Decisions without a database: any order of the same news ends alike, and twice is once."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import permutations
from types import SimpleNamespace
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments_service.domain import decide
from payments_service.domain.decide import FollowUp
from payments_service.domain.money import Money
from payments_service.domain.news import AttemptSnapshot, OrderRef, PaymentSnapshot, RefundSnapshot
from payments_service.domain.payment import Actor, Order, Payment, PaymentRecord, Policy
from payments_service.domain.schedule import polling
from payments_service.domain.states import (
    ATTEMPT_RANK,
    MOVES,
    AttemptStatus,
    PaymentStatus,
    RefundStatus,
)

PRICE = Money(49900)
BEGAN = datetime.now(UTC) - timedelta(minutes=20)
GATEWAY = SimpleNamespace(
    provider="fake", browser_knows_wire_id=False, captures_automatically=True, polling=polling((60, 20))
)
ACTOR = Actor("webhook", "event")
P, A = PaymentStatus, AttemptStatus


def record(status: PaymentStatus = P.PENDING) -> PaymentRecord:
    payment_id = uuid4()
    payment = Payment(
        id=payment_id,
        gateway="fake",
        provider="fake",
        mode="test",
        order_id="order_1",
        transaction_id=None,
        user_id=None,
        amount=PRICE.minor,
        currency=PRICE.currency,
        status=status,
        gateway_status=None,
        payment_method=None,
        reference=None,
        price_verified=False,
        metadata={},
        webhook_data=None,
        review=None,
        expires_at=BEGAN + timedelta(hours=1),
        observed_at=None,
        completed_at=None,
        closed_at=None,
        next_check_at=None,
        created_at=BEGAN,
        updated_at=BEGAN,
        history_count=2,
        history_unchained=0,
        history_head=None,
    )
    order = Order(
        id=uuid4(),
        payment_id=payment_id,
        provider="fake",
        wire_id="psv_1",
        gateway_order_id="order_1",
        status="open",
        generation=1,
        leased_until=BEGAN,
        checkout={},
        created_at=BEGAN,
        updated_at=BEGAN,
    )
    return PaymentRecord(payment, [order], [], [], [], policy=Policy(("merchant",)))


def told(
    minute: int, status: PaymentStatus, *attempts: tuple[str, AttemptStatus], fetched: bool = False
) -> PaymentSnapshot:
    return PaymentSnapshot(
        order=OrderRef("psv_1", "order_1"),
        status=status,
        gateway_status=status.value,
        amount=PRICE,
        observed_at=BEGAN + timedelta(minutes=minute),
        attempts=tuple(AttemptSnapshot(name, word, word.value, PRICE) for name, word in attempts),
        fetched=fetched,
    )


def hear(known: PaymentRecord, news: PaymentSnapshot) -> FollowUp:
    return decide.learn(known, GATEWAY, known.orders[0], news, ACTOR)[0]


def outcome(known: PaymentRecord) -> tuple[object, ...]:
    attempts = sorted((a.transaction_id, str(a.status)) for a in known.attempts)
    return str(known.payment.status), known.payment.transaction_id, known.payment.review, attempts


LIVES = {
    "paid at once": [told(1, P.COMPLETED, ("pay_1", A.SUCCEEDED))],
    "failed, then held and captured": [
        told(1, P.PENDING, ("pay_1", A.FAILED)),
        told(2, P.AUTHORIZED, ("pay_2", A.AUTHORIZED)),
        told(3, P.COMPLETED, ("pay_2", A.SUCCEEDED)),
    ],
    "two tries, the second pays": [
        told(1, P.PENDING, ("pay_1", A.PENDING)),
        told(2, P.PENDING, ("pay_1", A.FAILED)),
        told(3, P.COMPLETED, ("pay_2", A.SUCCEEDED)),
    ],
    "expired, and money comes late": [
        told(1, P.PENDING, ("pay_1", A.PENDING)),
        told(2, P.EXPIRED),
        told(3, P.COMPLETED, ("pay_1", A.SUCCEEDED)),
    ],
}


@pytest.mark.parametrize("news", LIVES.values(), ids=list(LIVES))
def test_any_order_of_the_same_news_ends_alike(news: list[PaymentSnapshot]) -> None:
    ends = []
    for order in permutations(news):
        known = record()
        for one in order:
            hear(known, one)
        ends.append(outcome(known))
    assert len({str(end) for end in ends}) == 1
    assert ends[0][0] == "completed"


@pytest.mark.parametrize("news", LIVES.values(), ids=list(LIVES))
def test_twice_is_once(news: list[PaymentSnapshot]) -> None:
    known = record()
    for one in news:
        hear(known, one)
    entries, facts, end = len(known.entries), len(known.facts), outcome(known)
    for one in news:
        hear(known, one)
    assert (len(known.entries), len(known.facts), outcome(known)) == (entries, facts, end)


def test_what_is_undone_left_nothing() -> None:
    known = record()
    hear(known, told(1, P.AUTHORIZED, ("pay_1", A.AUTHORIZED)))
    before = deepcopy(vars(known))
    undo = known.mark()
    hear(known, told(2, P.COMPLETED, ("pay_1", A.SUCCEEDED), ("pay_2", A.SUCCEEDED)))
    assert vars(known) != before
    undo()
    assert vars(known) == before


NEWS = st.builds(
    lambda minute, status, words, fetched: told(minute, status, *words, fetched=fetched),
    minute=st.integers(0, 19),
    status=st.sampled_from(list(P)),
    words=st.lists(
        st.tuples(st.sampled_from(["pay_1", "pay_2"]), st.sampled_from(list(A))),
        max_size=3,
        unique_by=lambda w: w[0],
    ),
    fetched=st.booleans(),
)


@given(st.lists(NEWS, max_size=8))
@settings(max_examples=200, deadline=None)
def test_whatever_is_told_the_rules_hold(news: list[PaymentSnapshot]) -> None:
    """Also what no gateway says: nothing leaves completed, nothing goes back, no end while money is there."""
    known = record()
    for one in news:
        before, ranks = known.payment.status, {a.transaction_id: a.status for a in known.attempts}
        count = known.payment.history_count
        hear(known, one)
        after = known.payment.status
        assert after == before or (P(before), P(after)) in MOVES
        for attempt in known.attempts:
            was = ranks.get(attempt.transaction_id, attempt.status)
            assert ATTEMPT_RANK[A(attempt.status)] >= ATTEMPT_RANK[A(was)]
        if after != before and after in (P.FAILED, P.EXPIRED):
            assert not known.standing.holds_money
        assert [e.sequence for e in known.entries][-1:] in ([], [known.payment.history_count])
        assert known.payment.history_count >= count
    told_facts = [fact.fact for fact in known.facts]
    assert len(told_facts) == len(set(told_facts))
    assert sum(entry.to_status == P.COMPLETED for entry in known.entries if entry.kind == "status") <= 1


REFUNDS = st.builds(
    lambda number, status, paise: RefundSnapshot(f"rf_{number}", None, "pay_1", status, "word", Money(paise)),
    number=st.integers(1, 3),
    status=st.sampled_from(list(RefundStatus)),
    paise=st.sampled_from([100, 20000, 49900]),
)


@given(st.lists(REFUNDS, max_size=6))
@settings(max_examples=200, deadline=None)
def test_money_of_refunds_and_payment_agrees(refunds: list[RefundSnapshot]) -> None:
    known = record()
    hear(known, told(1, P.COMPLETED, ("pay_1", A.SUCCEEDED)))
    for refund in refunds:
        decide.apply_refunds(known, (refund,), ACTOR)
        done = sum(r.amount for r in known.refunds if r.status == RefundStatus.COMPLETED)
        assert known.amount_refunded == done
        assert len({r.gateway_refund_id for r in known.refunds}) == len(known.refunds)
    assert known.payment.status == P.COMPLETED
