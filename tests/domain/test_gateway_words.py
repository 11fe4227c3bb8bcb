"""One payment, and all that its gateway can say of it, in any order: the rules hold after each word."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from uuid6 import uuid7

from payments_service.domain import decide
from payments_service.domain.decide import FollowUp
from payments_service.domain.news import WebhookEvent
from payments_service.domain.payment import Actor, Refund
from payments_service.domain.refund_news import apply_refunds
from payments_service.domain.states import (
    ATTEMPT_RANK,
    MOVES,
    AttemptStatus,
    EntryKind,
    PaymentStatus,
    RefundStatus,
    Source,
)
from tests.domain.gateway_words import VOICES, Disputed, GivenBack, Tried, Voice
from tests.domain.test_decide import BEGAN, PRICE, record
from tests.flows.delivering import HandClock

OURS = "psr_1"
SUMS = st.sampled_from([PRICE.minor, PRICE.minor, 10000])
ANY = st.integers(0, 10**6)
"""Which of a gateway's words: each has its own number of them."""
IDS = st.sampled_from(["pay_1", "pay_2"])
TRIED = st.lists(st.tuples(IDS, ANY, SUMS), max_size=2, unique_by=lambda one: one[0])
REFUND = st.tuples(st.sampled_from(["rf_1", "rf_2"]), st.booleans(), IDS, ANY, SUMS)


class Life(RuleBasedStateMachine):
    def __init__(self, voice: type[Voice]) -> None:
        super().__init__()
        self.gateway = voice()
        self.hand = HandClock(BEGAN + timedelta(minutes=1))
        self.actor = Actor(Source.WEBHOOK, "evt_1", self.hand.clock)
        self.known = record()
        payment, [self.order] = self.known.payment, self.known.orders
        payment.provider = self.order.provider = self.gateway.provider
        payment.order_id = self.order.gateway_order_id = self.gateway.order_id
        self.written = payment.history_count

    # ── what the gateway says ──

    @rule(word=ANY, tried=TRIED, refunds=st.lists(REFUND, max_size=2, unique_by=lambda one: one[0]))
    def the_order_is_asked_for(
        self,
        word: int,
        tried: list[tuple[str, int, int]],
        refunds: list[tuple[str, bool, str, int, int]],
    ) -> None:
        words = self.gateway.order_words
        attempts = [self.tried(*one) for one in tried]
        told = self.gateway.answer(words[word % len(words)], attempts, [self.refund(*one) for one in refunds])
        told = replace(told, observed_at=self.hand.moment)

        def learn() -> None:
            follow_up, _ = decide.learn(self.known, self.gateway, self.order, told, self.actor)
            if follow_up is FollowUp.FETCH_AGAIN:
                decide.learn(self.known, self.gateway, self.order, told, self.actor, is_second=True)

        self.hear(learn)
        payment = self.known.payment
        if payment.status in decide.ENDED and self.known.standing.captured:
            assert payment.review or payment.next_check_at, "captured money, and its payment is left alone"

    @rule(name=IDS)
    def it_is_paid(self, name: str) -> None:
        word, how = self.gateway.paid
        told = self.gateway.answer(word, [Tried(name, how, PRICE.minor)], [])
        told = replace(told, observed_at=self.hand.moment)
        self.hear(lambda: decide.learn(self.known, self.gateway, self.order, told, self.actor))

    @rule(tried=st.tuples(IDS, ANY, SUMS), word=st.none() | ANY, minutes=st.integers(-20, 5))
    def an_attempt_is_told(self, tried: tuple[str, int, int], word: int | None, minutes: int) -> None:
        """Late, in time, or by a clock that runs ahead."""
        words = self.gateway.order_words
        order_word = None if word is None else words[word % len(words)]
        at = self.hand.moment + timedelta(minutes=minutes)
        self.hear_event(self.gateway.event(self.tried(*tried), order_word, at))

    @rule(refund=REFUND)
    def a_refund_is_told(self, refund: tuple[str, bool, str, int, int]) -> None:
        self.hear_event(self.gateway.refund_event(self.refund(*refund), self.hand.moment))

    @rule(refund=REFUND)
    def a_refund_is_asked_for(self, refund: tuple[str, bool, str, int, int]) -> None:
        told = self.gateway.refund_answer(self.refund(*refund))
        self.hear(partial(apply_refunds, self.known, (told,), self.actor))

    @rule(word=ANY, attempt=IDS, phase=st.sampled_from(["chargeback", "arbitration"]))
    def a_dispute_is_told(self, word: int, attempt: str, phase: str) -> None:
        words = self.gateway.dispute_words
        disputed = Disputed("disp_1", attempt, words[word % len(words)], phase)
        before = self.known.payment.status
        self.hear_event(self.gateway.dispute_event(disputed, self.hand.moment), notes=EntryKind.DISPUTE)
        assert self.known.payment.status == before

    # ── what happens here ──

    @precondition(lambda self: self.known.standing.captured and not self.known.refunds)
    @rule(paise=SUMS)
    def we_begin_a_refund(self, paise: int) -> None:
        attempt, now = self.known.standing.captured[0], self.hand.moment
        self.known.refunds.append(
            Refund(
                id=uuid7(),
                payment_id=self.known.payment.id,
                attempt_id=attempt.id,
                provider=self.gateway.provider,
                refund_id=OURS,
                reason="returned",
                generation=1,
                next_check_at=now,
                gateway_refund_id=None,
                bank_reference=None,
                speed=None,
                amount=min(paise, attempt.amount),
                currency=attempt.currency,
                status=RefundStatus.INITIATED,
                gateway_status=None,
                created_at=now,
                updated_at=now,
            )
        )

    @rule(minutes=st.sampled_from([1, 15, 90]))
    def time_passes(self, minutes: int) -> None:
        self.hand.advance(timedelta(minutes=minutes))
        self.hear(self.let_the_clock_speak)

    def let_the_clock_speak(self) -> None:
        if decide.may_expire(self.known, self.hand.clock):
            decide.expire(self.known, self.hand.clock)

    @rule()
    def it_is_given_up(self) -> None:
        self.hear(partial(decide.give_up, self.known, self.actor))

    # ── what holds ──

    def hear_event(self, event: WebhookEvent, notes: EntryKind | None = None) -> None:
        self.hear(
            lambda: decide.apply_event(self.known, self.gateway, self.order, event, self.actor), notes=notes
        )

    def hear(self, apply: Callable[[], object], notes: EntryKind | None = None) -> None:
        """Once, and what it may change; then again, and it changes nothing. Of `notes` each makes a row."""
        known = self.known
        before, ranks = PaymentStatus(known.payment.status), {a.id: a.status for a in known.attempts}
        apply()
        after = PaymentStatus(known.payment.status)
        assert after is before or (before, after) in MOVES
        if after is not before and after in decide.ENDED:
            assert not known.standing.holds_money
            assert not known.payment.review
        if after is not before and after is PaymentStatus.COMPLETED and known.standing.ever_captured:
            assert known.payment.transaction_id in {a.transaction_id for a in known.standing.ever_captured}
        for attempt in known.attempts:
            was = AttemptStatus(ranks.get(attempt.id, attempt.status))
            assert ATTEMPT_RANK[AttemptStatus(attempt.status)] >= ATTEMPT_RANK[was]
        once = self.what_counts(notes)
        apply()
        assert self.what_counts(notes) == once, "twice is not once"

    def what_counts(self, notes: EntryKind | None) -> object:
        known = self.known
        return (
            (known.payment.status, known.payment.transaction_id, known.payment.review),
            Counter(entry.kind for entry in known.entries if entry.kind != notes),
            [fact.fact for fact in known.facts],
            sorted((a.transaction_id, str(a.status), a.amount) for a in known.attempts),
            sorted((str(r.gateway_refund_id), str(r.status), r.amount) for r in known.refunds),
            len(known.reviews),
        )

    @invariant()
    def the_history_is_whole(self) -> None:
        known = self.known
        numbers = [entry.sequence for entry in known.entries]
        assert numbers == list(range(self.written + 1, known.payment.history_count + 1))
        at = PaymentStatus.PENDING
        for entry in known.entries:
            if entry.kind is EntryKind.STATUS:
                assert entry.from_status == at
                at = PaymentStatus(entry.to_status or "")
        assert at == known.payment.status
        assert (known.payment.completed_at is not None) == (at is PaymentStatus.COMPLETED)

    @invariant()
    def each_fact_is_told_once(self) -> None:
        """A dispute's word that comes again with its old time is one fact, which the table keeps once."""
        told = Counter(fact.fact for fact in self.known.facts if not fact.type.startswith("dispute."))
        assert not [fact for fact, times in told.items() if times > 1]

    @invariant()
    def the_money_agrees(self) -> None:
        known = self.known
        owners = {attempt.id: attempt.transaction_id for attempt in known.attempts}
        ids = [refund.gateway_refund_id for refund in known.refunds if refund.gateway_refund_id]
        assert len(ids) == len(set(ids))
        assert all(refund.attempt_id in owners and refund.amount > 0 for refund in known.refunds)
        done = Counter[str]()
        for refund in known.refunds:
            if refund.status == RefundStatus.COMPLETED:
                done[owners[refund.attempt_id]] += refund.amount
        assert known.amount_refunded == done[known.payment.transaction_id or ""]
        told = {
            entry.evidence["paymentId"]: entry.to_status
            for entry in known.entries
            if entry.kind is EntryKind.ATTEMPT
        }
        assert told == {attempt.transaction_id: attempt.status for attempt in known.attempts}
        assert (known.payment.amount, known.payment.currency) == (PRICE.minor, PRICE.currency)

    # ── words ──

    def tried(self, name: str, number: int, paise: int) -> Tried:
        return Tried(name, self.gateway.attempts_are[number % len(self.gateway.attempts_are)], paise)

    def refund(self, name: str, is_ours: bool, attempt: str, word: int, paise: int) -> GivenBack:
        words = self.gateway.refund_words
        return GivenBack(name, OURS if is_ours else None, attempt, words[word % len(words)], paise)


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.__name__.lower())
def test_a_dispute_that_is_to_be_answered_now_is_told_once_more_by_the_same_date(voice: type[Voice]) -> None:
    life = Life(voice)
    *before, last = (Disputed("disp_1", "pay_1", word, "chargeback") for word in life.gateway.asked_twice)
    told = []
    for disputed in (*before, before[-1], last, last):  # each word, and a comment under the last two
        life.hand.advance(timedelta(hours=1))
        event = life.gateway.dispute_event(disputed, life.hand.moment)
        life.hear_event(event, notes=EntryKind.DISPUTE)
        told.append([fact.type for fact in life.known.facts])
    *_, waiting, asked, comment = told
    assert waiting == ["dispute.opened"]
    assert asked == comment == ["dispute.opened"] * 2


@pytest.mark.parametrize("examples", [100, pytest.param(1_000, marks=pytest.mark.check)])
@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.__name__.lower())
def test_whatever_a_gateway_says_the_rules_hold(voice: type[Voice], examples: int) -> None:
    run_state_machine_as_test(
        partial(Life, voice),
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # the smallest life that fails may take minutes to find
        ),
    )
