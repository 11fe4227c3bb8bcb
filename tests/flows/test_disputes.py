"""A dispute changes no status; the merchant is told when it opens and when it is over, stage by stage."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from payments_service.domain import decide
from payments_service.domain.clock import Clock
from payments_service.domain.errors import Conflict, Unavailable
from payments_service.domain.money import Money
from payments_service.domain.news import DisputeSnapshot, EventKind, OrderRef, WebhookEvent
from payments_service.domain.payment import Actor
from payments_service.flows import reconcile, refund, reviews, webhook
from payments_service.flows.payment_view import PaymentView
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.tables import Outbox
from tests.flows.conftest import PRICE, Ledger, buy
from tests.flows.delivering import HandClock, channels, deliver_due
from tests.support.deciding import deciding
from tests.support.fake_gateway import GENUINE, FakeGateway
from tests.support.mailbox import mailbox

RESPOND_BY = datetime(2026, 12, 10, 18, 30, tzinfo=UTC)


class Disputed(FakeGateway):
    """Its events may carry a dispute, or only the id of one."""

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
        is_closed=word in ("won", "lost"),
        observed_at=datetime.now(UTC) - age,
        phase=phase,
        reason="goods_not_received",
        respond_by=RESPOND_BY,
    )


@pytest.fixture
def gateway() -> FakeGateway:
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


@pytest.mark.parametrize(("word", "is_refused"), [("open", True), ("lost", True), ("won", False)])
def test_what_a_dispute_took_is_not_given_back_as_well(
    db: Database, gateway: FakeGateway, opened: PaymentView, word: str, is_refused: bool
) -> None:
    gateway.paid("pay_1", PRICE)
    webhook.receive(db, gateway, GENUINE, gateway.event(**known(opened), dispute=word))
    if is_refused:
        with pytest.raises(Conflict, match="would pay twice"):
            refund.refund(db, gateway, opened.id, None, "", Actor("api", "shop"))
    refund.refund(db, gateway, opened.id, None, "", Actor("api", "shop"), force=is_refused)
    assert len(gateway.sent) == 1
