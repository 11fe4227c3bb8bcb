"""A dispute changes no status; the merchant is told when it opens and when it is over, stage by stage."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from payments_service.domain import decide
from payments_service.domain.clock import Clock
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import BudgetUsedUp, CircuitOpen, Conflict, GatewayError, Unavailable
from payments_service.domain.money import Money
from payments_service.domain.news import DisputeSnapshot, EventKind, OrderRef, WebhookEvent
from payments_service.domain.payment import Actor
from payments_service.domain.schedule import polling
from payments_service.domain.states import EntryKind
from payments_service.flows import reconcile, refund, reviews, webhook
from payments_service.flows.payment_view import PaymentView
from payments_service.store import disputes, outbox
from payments_service.store.db import Database
from payments_service.store.tables import Outbox, PaymentOrder
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.delivering import HandClock, channels, deliver_due
from tests.support.deciding import deciding
from tests.support.fake_gateway import GENUINE, FakeGateway
from tests.support.mailbox import mailbox

RESPOND_BY = datetime(2026, 12, 10, 18, 30, tzinfo=UTC)


class Disputed(FakeGateway):
    """Its events may carry a dispute, or only the id of one."""

    polling = polling((60, 20), (300, 30), (1200, 60))
    dispute_error: GatewayError | None = None

    def fetch_dispute(self, dispute_id: str, deadline: Deadline) -> DisputeSnapshot:
        if self.dispute_error:
            raise self.dispute_error
        return replace(super().fetch_dispute(dispute_id, deadline), observed_at=datetime.now(UTC))

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        event = super().reread_webhook(event_id, raw_body)
        body = json.loads(raw_body)
        if "dispute" not in body:
            return event
        event = replace(event, kind=EventKind.DISPUTE, snapshot=None, dispute_id="disp_1")
        if body.get("unsigned"):
            return event
        if body.get("names_no_order"):
            event = replace(event, order=None, transaction_id="pay_1")
        return replace(event, dispute=told_dispute(body["dispute"], body.get("phase", "chargeback")))


def told_dispute(word: str, phase: str, age: timedelta = timedelta(0)) -> DisputeSnapshot:
    return DisputeSnapshot(
        dispute_id="disp_1",
        transaction_id="pay_1",
        gateway_status=word,
        amount=Money(100),
        is_closed=word in ("won", "lost", "closed"),
        is_lost=word == "lost",
        needs_answer=word == "open",
        observed_at=datetime.now(UTC) - age,
        phase=phase,
        reason="goods_not_received",
        respond_by=RESPOND_BY,
    )


@pytest.fixture
def gateway() -> Disputed:
    return Disputed()


@pytest.fixture
def opened(db: Database, gateway: FakeGateway) -> PaymentView:
    """A completed payment of a merchant who is told of it."""
    db.destinations = (outbox.MERCHANT,)
    opened = buy(db, gateway)
    webhook.receive(db, gateway, GENUINE, gateway.event(**known(opened)))
    return opened


def known(opened: PaymentView, **more: object) -> dict[str, object]:
    return {"order": opened.order_id, "status": "completed", "amount": PRICE.minor, **more}


def told(db: Database) -> list[tuple[str, str, str]]:
    with db.read() as session:
        rows = [json.loads(row.body) for row in session.query(Outbox).order_by(Outbox.created_at, Outbox.id)]
    about = [(row["type"], row["data"].get("dispute")) for row in rows]
    return [(kind, dispute["gatewayStatus"], dispute["phase"]) for kind, dispute in about if dispute]


def test_opened_and_closed_are_told_once_for_each_stage(
    db: Database, gateway: FakeGateway, ledger: Ledger, opened: PaymentView
) -> None:
    steps = [("open", "chargeback"), ("under_review", "chargeback"), ("won", "chargeback")]
    steps += [("open", "pre_arbitration"), ("lost", "pre_arbitration")]
    for word, phase in steps:
        webhook.receive(db, gateway, GENUINE, gateway.event(**known(opened), dispute=word, phase=phase))
    assert told(db) == [
        ("dispute.opened", "open", "chargeback"),
        ("dispute.closed", "won", "chargeback"),
        ("dispute.opened", "open", "pre_arbitration"),
        ("dispute.closed", "lost", "pre_arbitration"),
    ]
    assert ledger.payment(opened.id).status == "completed"
    assert {row.outcome for row in ledger.inbox()} == {"applied"}
    rows = ledger.trail(opened.id, "dispute")
    assert [(row.evidence["gatewayStatus"], row.evidence["phase"]) for row in rows] == steps


def test_the_merchant_is_told_why_and_until_when_to_answer(
    db: Database, gateway: FakeGateway, opened: PaymentView
) -> None:
    webhook.receive(db, gateway, GENUINE, gateway.event(**known(opened), dispute="open"))
    with db.read() as session:
        row = session.scalars(select(Outbox).where(Outbox.type == "dispute.opened")).one()
    assert json.loads(row.body)["data"]["dispute"] == {
        "disputeId": "disp_1",
        "paymentId": "pay_1",
        "amountPaise": 100,
        "amountDeductedPaise": None,
        "gatewayStatus": "open",
        "phase": "chargeback",
        "reason": "goods_not_received",
        "respondBy": RESPOND_BY.isoformat(),
    }


def test_an_older_word_that_comes_late_opens_nothing_again(
    db: Database, gateway: FakeGateway, opened: PaymentView
) -> None:
    webhook.receive(db, gateway, GENUINE, gateway.event(**known(opened), dispute="won"))
    with deciding(db, opened.id) as record:
        late = told_dispute("open", "chargeback", timedelta(days=3))
        decide.apply_dispute(record, late, Actor("webhook", "late"))
    assert told(db) == [("dispute.closed", "won", "chargeback")]


def test_a_dispute_that_names_its_payment_only_finds_the_order(
    db: Database, gateway: FakeGateway, ledger: Ledger, opened: PaymentView
) -> None:
    body = gateway.event(**known(opened), dispute="open", names_no_order=True)
    webhook.receive(db, gateway, GENUINE, body)
    assert told(db) == [("dispute.opened", "open", "chargeback")]
    assert ledger.inbox()[-1].payment_id == opened.id


def test_a_payment_id_that_is_not_known_here_is_asked_for(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    db.destinations = (outbox.MERCHANT,)
    bought = buy(db, gateway)
    body = gateway.event(**known(bought), dispute="open", names_no_order=True)
    gateway.lookup_error = Unavailable("away")
    webhook.receive(db, gateway, GENUINE, body)
    assert (told(db), ledger.inbox()[-1].outcome) == ([], "unmatched")
    gateway.lookup_error = None
    gateway.owner_of_payment_id = OrderRef("", bought.order_id)
    hand = HandClock()
    hand.advance(timedelta(minutes=1))
    reconcile.sweep_inbox(db, gateway, hand.clock)
    assert told(db) == [("dispute.opened", "open", "chargeback")]
    assert ledger.inbox()[-1].outcome == "applied"


def test_a_body_that_proves_nothing_has_its_dispute_fetched(
    db: Database, gateway: FakeGateway, ledger: Ledger, opened: PaymentView
) -> None:
    body = gateway.event(**known(opened), dispute="lost", unsigned=True)
    gateway.dispute = told_dispute("open", "chargeback")
    webhook.receive(db, gateway, GENUINE, body)
    assert told(db) == [("dispute.opened", "open", "chargeback")]
    assert ledger.inbox()[-1].outcome == "applied"


def test_a_dispute_that_may_not_be_fetched_is_an_alarm(
    db: Database, gateway: FakeGateway, ledger: Ledger, opened: PaymentView
) -> None:
    webhook.receive(db, gateway, GENUINE, gateway.event(**known(opened), dispute="open", unsigned=True))
    assert told(db) == []
    assert [(review.why, review.subject) for review in reviews.open_reviews(db)] == [
        ("dispute_unconfirmed", "disp_1")
    ]
    assert ledger.inbox()[-1].outcome == "waiting"


# ── it is asked for, and the answer lags or does not come ───────────────────────────────────────────────


def unsigned(opened: PaymentView, number: int) -> bytes:
    """An event that only says of which dispute it is."""
    return FakeGateway.event(**known(opened), dispute="?", unsigned=True, number=number)


def waits(ledger: Ledger) -> tuple[str, bool]:
    """What became of the newest event, and whether it is tried again."""
    return ledger.inbox()[-1].outcome, ledger.inbox()[-1].next_try_at is not None


def try_again_after(db: Database, gateway: FakeGateway, hand: HandClock, wait: timedelta) -> None:
    hand.advance(wait)
    reconcile.sweep_inbox(db, gateway, hand.clock)


@pytest.fixture
def looked_at(db: Database, gateway: Disputed, ledger: Ledger, opened: PaymentView) -> PaymentView:
    """One whose dispute is known, and needs no answer yet."""
    gateway.dispute = WAITING
    webhook.receive(db, gateway, GENUINE, unsigned(opened, 1))
    assert (told(db), waits(ledger)) == (
        [("dispute.opened", "under_review", "chargeback")],
        ("applied", False),
    )
    return opened


def test_an_answer_that_lags_behind_its_event_does_not_spend_it(
    db: Database, gateway: Disputed, ledger: Ledger, looked_at: PaymentView
) -> None:
    webhook.receive(db, gateway, GENUINE, unsigned(looked_at, 2))
    hand = HandClock()
    for _ in range(3):
        assert waits(ledger) == ("waiting", True)
        try_again_after(db, gateway, hand, timedelta(minutes=1))
    assert len(told(db)) == 1
    assert len(ledger.trail(looked_at.id, "dispute")) == 1  # asking is no row of the history
    gateway.dispute = OPEN
    try_again_after(db, gateway, hand, timedelta(minutes=1))
    assert told(db)[1:] == [("dispute.opened", "open", "chargeback")]
    assert waits(ledger) == ("applied", False)


def test_an_event_whose_word_is_known_ends_after_ten_minutes(
    db: Database, gateway: Disputed, ledger: Ledger, looked_at: PaymentView
) -> None:
    webhook.receive(db, gateway, GENUINE, unsigned(looked_at, 2))
    hand = HandClock()
    try_again_after(db, gateway, hand, timedelta(minutes=9, seconds=50))
    assert waits(ledger) == ("waiting", True)
    try_again_after(db, gateway, hand, timedelta(minutes=2))
    assert waits(ledger) == ("applied", False)
    assert len(told(db)) == 1
    assert reviews_of(db, "dispute_unconfirmed") == []


def test_of_an_order_that_was_lost_a_dispute_is_waited_for_all_the_same(
    db: Database, gateway: Disputed, ledger: Ledger, looked_at: PaymentView
) -> None:
    with db.begin() as session:
        session.execute(update(PaymentOrder).values(status="lost"))
    webhook.receive(db, gateway, GENUINE, unsigned(looked_at, 2))
    assert waits(ledger) == ("waiting", True)


def reviews_of(db: Database, why: str) -> list[tuple[str, object]]:
    found = [review for review in reviews.open_reviews(db) if review.why == why]
    return [(review.subject, review.detail["error"]) for review in found]


def test_a_dispute_that_could_not_be_asked_for_long_is_an_alarm(
    db: Database, gateway: Disputed, ledger: Ledger, opened: PaymentView
) -> None:
    gateway.dispute_error = Unavailable("a page", gateway_status=403)
    webhook.receive(db, gateway, GENUINE, unsigned(opened, 1))
    hand = HandClock()
    try_again_after(db, gateway, hand, timedelta(minutes=29))
    assert reviews_of(db, "dispute_unconfirmed") == []
    for error in (BudgetUsedUp("enough for now"), CircuitOpen("left alone")):
        gateway.dispute_error = error
        try_again_after(db, gateway, hand, timedelta(minutes=5))
        assert reviews_of(db, "dispute_unconfirmed") == []
    gateway.dispute_error = Unavailable("a page", gateway_status=403)
    try_again_after(db, gateway, hand, timedelta(minutes=5))
    assert reviews_of(db, "dispute_unconfirmed") == [("disp_1", "gateway_unavailable")]
    assert waits(ledger) == ("waiting", True)
    [alarm] = reviews.open_reviews(db)
    reviews.clear(db, alarm.id, "asha", clock=hand.clock)
    try_again_after(db, gateway, hand, timedelta(hours=1))
    assert reviews_of(db, "dispute_unconfirmed") == []  # a person knows of it
    gateway.dispute_error, gateway.dispute = None, OPEN
    try_again_after(db, gateway, hand, timedelta(hours=2))
    assert told(db) == [("dispute.opened", "open", "chargeback")]
    assert waits(ledger) == ("applied", False)


def test_a_dispute_that_was_never_answered_for_is_an_alarm_when_it_is_given_up(
    db: Database, gateway: Disputed, ledger: Ledger, opened: PaymentView
) -> None:
    gateway.dispute_error = CircuitOpen("left alone")
    webhook.receive(db, gateway, GENUINE, unsigned(opened, 1))
    hand = HandClock()
    try_again_after(db, gateway, hand, timedelta(days=6))
    assert waits(ledger) == ("unconfirmed", False)
    assert reviews_of(db, "dispute_unconfirmed") == [("disp_1", "gateway_unavailable")]


def test_the_operator_gets_a_letter_and_a_line_with_the_date_until_it_is_over(
    db: Database, gateway: FakeGateway, opened: PaymentView
) -> None:
    db.destinations = (outbox.MERCHANT, outbox.OPERATOR)
    for word in ("open", "under_review"):
        webhook.receive(db, gateway, GENUINE, gateway.event(**known(opened), dispute=word))
        [line] = reviews.open_reviews(db)
        assert (line.why, line.subject) == ("dispute_opened", "fake disp_1")
        assert line.detail["respondBy"] == RESPOND_BY.isoformat()
        assert line.detail["id"] == str(opened.id)
    with mailbox() as box:
        deliver_due(db, channels(smtp_url=box.url), Clock(), 10)
    [letter] = box.letters
    assert "dispute.opened" in letter["Subject"]
    assert f"until {RESPOND_BY.isoformat()}" in letter.get_content()
    webhook.receive(db, gateway, GENUINE, gateway.event(**known(opened), dispute="won"))
    assert reviews.open_reviews(db) == []
    again = gateway.event(**known(opened), dispute="open", phase="pre_arbitration")
    webhook.receive(db, gateway, GENUINE, again)
    assert [line.detail["phase"] for line in reviews.open_reviews(db)] == ["pre_arbitration"]


@pytest.mark.parametrize("words", [("won", "lost"), ("lost", "won")])
def test_an_end_that_a_later_word_turns_is_told(
    db: Database, gateway: FakeGateway, opened: PaymentView, words: tuple[str, str]
) -> None:
    for word in ("open", *words):
        webhook.receive(db, gateway, GENUINE, gateway.event(**known(opened), dispute=word))
    assert [word for _, word, _ in told(db)] == ["open", *words]


def test_a_dispute_that_is_to_be_answered_again_is_told_with_its_new_date(
    db: Database, opened: PaymentView
) -> None:
    """Razorpay's `action_required`, Cashfree's insufficient evidence."""
    sooner = RESPOND_BY - timedelta(days=7)
    for word, date in (("open", RESPOND_BY), ("under_review", RESPOND_BY), ("open", sooner)):
        with deciding(db, opened.id) as record:
            asked = replace(told_dispute(word, "chargeback"), respond_by=date)
            decide.apply_dispute(record, asked, Actor("webhook", word))
    assert [word for _, word, _ in told(db)] == ["open", "open"]
    [line] = reviews.open_reviews(db)
    assert line.detail["respondBy"] == sooner.isoformat()


# ── an answer is asked for again ────────────────────────────────────────────────────────────────────────


def hear(db: Database, opened: PaymentView, *words: DisputeSnapshot) -> None:
    for word in words:
        with deciding(db, opened.id) as record:
            decide.apply_dispute(record, word, Actor("webhook", word.gateway_status))


def in_turn(*words: DisputeSnapshot) -> list[DisputeSnapshot]:
    """An hour after each other, the last one now."""
    now = datetime.now(UTC)
    first = len(words) - 1
    return [
        replace(word, observed_at=now - timedelta(hours=first - place)) for place, word in enumerate(words)
    ]


OPEN, WAITING = told_dispute("open", "chargeback"), told_dispute("under_review", "chargeback")
AGAIN = replace(OPEN, asks_again=True)
ENDS = ("lost", "closed")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((OPEN, WAITING, AGAIN), ["open", "open"]),
        ((OPEN, WAITING, OPEN), ["open", "open"]),
        ((WAITING, OPEN), ["under_review", "open"]),  # it is looked at before the merchant is asked
        ((OPEN, WAITING, AGAIN, WAITING, AGAIN), ["open", "open", "open"]),
        ((OPEN, AGAIN), ["open", "open"]),  # that the answer came was never told
    ],
    ids=lambda value: " ".join(str(getattr(one, "gateway_status", one)) for one in value),
)
def test_a_second_answer_by_the_same_date_is_asked_for_as_loudly_as_the_first(
    db: Database, opened: PaymentView, words: tuple[DisputeSnapshot, ...], expected: list[str]
) -> None:
    db.destinations = (outbox.MERCHANT, outbox.OPERATOR)
    lines = []
    for word in in_turn(*words):
        hear(db, opened, word)
        lines += [line.id for line in reviews.open_reviews(db)]
    assert [word for _, word, _ in told(db)] == [word for word in expected for _ in db.destinations]
    assert len(set(lines)) == len(expected)
    with mailbox() as box:
        deliver_due(db, channels(smtp_url=box.url), Clock(), 10)
    assert len(box.letters) == len(expected)


def test_words_that_ask_for_nothing_new_are_not_told(db: Database, opened: PaymentView) -> None:
    first, comment, waiting, more, again, twice = in_turn(OPEN, OPEN, WAITING, WAITING, AGAIN, AGAIN)
    hear(db, opened, first, first, comment, waiting, waiting, more)
    assert [word for _, word, _ in told(db)] == ["open"]
    hear(db, opened, again, again, twice)
    assert [word for _, word, _ in told(db)] == ["open", "open"]


def test_an_older_word_that_comes_late_asks_for_no_answer(db: Database, opened: PaymentView) -> None:
    first, waiting, again, answered = in_turn(OPEN, WAITING, AGAIN, WAITING)
    hear(db, opened, first, again, waiting, first, again)
    assert [word for _, word, _ in told(db)] == ["open", "open"]
    hear(db, opened, answered, again, waiting, first)
    assert [word for _, word, _ in told(db)] == ["open", "open"]


def test_a_second_answer_asked_for_in_the_same_second_is_an_event_of_its_own(
    db: Database, opened: PaymentView
) -> None:
    """Gateways tell their times in whole seconds."""
    hear(db, opened, OPEN, replace(WAITING, observed_at=OPEN.observed_at), AGAIN)
    assert [word for _, word, _ in told(db)] == ["open", "open"]


def test_the_fact_of_a_stage_is_the_same_in_each_version(db: Database, opened: PaymentView) -> None:
    with deciding(db, opened.id) as record:
        for word in (OPEN, replace(told_dispute("won", "chargeback"), deducted=PRICE)):
            decide.apply_dispute(record, word, Actor("webhook", "1"))
            stage = f"chargeback:{word.gateway_status}:{word.observed_at}"
            event = "dispute.closed" if word.is_closed else "dispute.opened"
            assert record.facts[-1].fact == f"{event}:{record.payment.provider}:disp_1:{stage}"


def as_an_earlier_version_wrote_it(db: Database, opened: PaymentView, word: DisputeSnapshot) -> None:
    with deciding(db, opened.id) as record:
        evidence = {
            "disputeId": word.dispute_id,
            "paymentId": word.transaction_id,
            "gatewayStatus": word.gateway_status,
            "amountPaise": word.amount.minor,
            "phase": word.phase,
            "isClosed": word.is_closed,
            "respondBy": RESPOND_BY.isoformat(),
            "observedAt": word.observed_at.isoformat(),
        }
        record.append(EntryKind.DISPUTE, Actor("webhook", "old"), "the gateway says so", evidence)


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        ("open", AGAIN, False),  # in this word it was told by the earlier version, or was no news
        ("open", OPEN, False),
        ("open", WAITING, False),
        ("under_review", WAITING, False),
        ("under_review", AGAIN, True),
        ("under_review", OPEN, True),
        ("created", replace(AGAIN, gateway_status="insufficient_evidence"), True),
        ("won", told_dispute("won", "chargeback"), False),
    ],
)
def test_what_an_earlier_version_wrote_is_told_again_only_for_another_word(
    db: Database, opened: PaymentView, before: str, after: DisputeSnapshot, is_told: bool
) -> None:
    as_an_earlier_version_wrote_it(db, opened, told_dispute(before, "chargeback", timedelta(days=1)))
    hear(db, opened, replace(after, observed_at=datetime.now(UTC)))
    assert len(told(db)) == is_told


# ── what it took ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("word", "deducted", "is_refused"),
    [
        ("open", None, True),
        ("under_review", 0, True),
        ("lost", 100, True),
        ("lost", 0, True),  # the figure lags behind the word
        ("lost", None, True),
        ("won", None, False),
        ("won", 0, False),
        ("won", 1, True),
        ("won", 100, True),
        ("closed", None, False),
        ("closed", 0, False),
        ("closed", 40, True),
    ],
)
def test_what_a_dispute_took_is_not_given_back_as_well(
    db: Database,
    gateway: FakeGateway,
    opened: PaymentView,
    word: str,
    deducted: int | None,
    is_refused: bool,
) -> None:
    gateway.paid("pay_1", PRICE)
    taken = None if deducted is None else Money(deducted)
    hear(db, opened, replace(told_dispute(word, "chargeback"), deducted=taken))
    if is_refused:
        with pytest.raises(Conflict, match="would pay twice"):
            refund.refund(db, gateway, opened.id, None, "", Actor("api", "shop"))
    refund.refund(db, gateway, opened.id, None, "", Actor("api", "shop"), force=is_refused)
    assert len(gateway.sent) == 1


def test_what_a_dispute_took_is_kept_and_told(db: Database, ledger: Ledger, opened: PaymentView) -> None:
    """That it is closed after it was lost, or won, forgets nothing."""
    hear(db, opened, *(replace(told_dispute(word, "chargeback"), deducted=Money(40)) for word in ENDS))
    assert [row.evidence["amountDeductedPaise"] for row in ledger.trail(opened.id, "dispute")] == [40, 40]
    with db.read() as session:
        bodies = [json.loads(row.body) for row in session.query(Outbox) if row.type == "dispute.closed"]
        assert disputes.takes_the_money(session, opened.id)
    assert [body["data"]["dispute"]["amountDeductedPaise"] for body in bodies] == [40, 40]


@pytest.mark.parametrize(
    ("word", "is_taken"),
    [
        *(("open", True), ("under_review", True), ("lost", True), ("won", False), ("closed", False)),
        *(("CHARGEBACK_MERCHANT_LOST", True), ("CHARGEBACK_MERCHANT_ACCEPTED", True)),
        ("CHARGEBACK_MERCHANT_WON", False),
    ],
)
def test_of_an_earlier_version_the_gateways_word_says_whether_it_took_money(
    db: Database, opened: PaymentView, word: str, is_taken: bool
) -> None:
    is_closed = word not in ("open", "under_review")
    as_an_earlier_version_wrote_it(db, opened, replace(told_dispute(word, "chargeback"), is_closed=is_closed))
    with db.read() as session:
        assert disputes.takes_the_money(session, opened.id) is is_taken
