"""Disputes at Cashfree: what events and answers say of them, and how one is asked for."""

import contextlib
import json
from datetime import datetime
from typing import Any

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Unavailable, UnknownAtGateway
from payments_service.domain.money import Money
from payments_service.domain.news import DisputeSnapshot, WebhookEvent
from tests.gateways.cashfree_wire import error_reply, fixture
from tests.gateways.strange import assert_storable, with_one_strange_member
from tests.gateways.test_cashfree import Talk, talk
from tests.gateways.test_cashfree_events import changed, read, read_sample
from tests.gateways.wire import Reply

__all__ = ["talk"]

# sample → phase, reason, until when, whether it is closed
DISPUTES = {
    "webhooks/dispute_created": ("DISPUTE", "Duplicate Processing", "2023-06-18T23:59:59+05:30", False),
    "update-2026-11/webhooks/DISPUTE_CREATED.retrieval": (
        "RETRIEVAL",
        "Fraud Transaction",
        "2026-10-31T23:59:59+05:30",
        False,
    ),
    "update-2026-11/webhooks/DISPUTE_UPDATED.insufficient_evidence": (
        "CHARGEBACK",
        "Goods or Services Not Provided",
        "2026-11-06T23:59:59+05:30",
        False,
    ),
    "update-2026-11/webhooks/DISPUTE_CLOSED.merchant_lost": (
        "CHARGEBACK",
        "Goods or Services Not Provided",
        "2026-11-06T23:59:59+05:30",
        True,
    ),
    "update-2026-11/webhooks/DISPUTE_CLOSED.merchant_accepted": (
        "CHARGEBACK",
        "Goods or Services Not Provided",
        "2026-11-06T23:59:59+05:30",
        True,
    ),
}


def dispute_of(told: WebhookEvent) -> DisputeSnapshot:
    assert told.dispute is not None
    return told.dispute


@pytest.mark.parametrize("name", DISPUTES)
def test_a_dispute_says_what_for_and_until_when(name: str) -> None:
    phase, reason, until, is_closed = DISPUTES[name]
    body = fixture(name)
    dispute = dispute_of(read_sample(name))
    assert (dispute.phase, dispute.reason, dispute.is_closed) == (phase, reason, is_closed)
    assert dispute.respond_by == datetime.fromisoformat(until)
    assert dispute.observed_at == datetime.fromisoformat(body["event_time"])
    assert dispute.amount == Money.from_major(str(body["data"]["dispute"]["dispute_amount"]))
    assert dispute.transaction_id == str(body["data"]["order_details"]["cf_payment_id"])


@pytest.mark.parametrize("kind", ["DISPUTE", "CHARGEBACK", "RETRIEVAL", "PRE_ARBITRATION", "ARBITRATION"])
@pytest.mark.parametrize(
    ("stage", "is_closed", "needs_answer"),
    [
        ("CREATED", False, True),
        ("DOCS_RECEIVED", False, False),
        ("UNDER_REVIEW", False, False),
        ("INSUFFICIENT_EVIDENCE", False, True),
        ("MERCHANT_WON", True, False),
        ("MERCHANT_LOST", True, False),
        ("MERCHANT_ACCEPTED", True, False),
        ("NEW_STAGE", False, False),
    ],
)
def test_the_stage_says_whether_a_dispute_is_closed_or_to_be_answered(
    kind: str, stage: str, is_closed: bool, needs_answer: bool
) -> None:
    told = changed(
        "webhooks/dispute_updated", lambda data: data["dispute"].update(dispute_status=f"{kind}_{stage}")
    )
    dispute = dispute_of(told)
    assert (dispute.is_closed, dispute.needs_answer) == (is_closed, needs_answer)
    assert dispute.asks_again is (stage == "INSUFFICIENT_EVIDENCE")


@pytest.mark.parametrize(
    ("stage", "deducted", "takes_money"),
    [
        ("CREATED", None, True),
        ("MERCHANT_WON", Money(0), False),
        ("MERCHANT_LOST", Money(4000000), True),
        ("MERCHANT_ACCEPTED", Money(4000000), True),
    ],
)
def test_a_dispute_is_lost_whole_or_won_without_loss(
    stage: str, deducted: Money | None, takes_money: bool
) -> None:
    told = changed(
        "webhooks/dispute_updated",
        lambda data: data["dispute"].update(dispute_status=f"PRE_ARBITRATION_{stage}"),
    )
    assert (dispute_of(told).deducted, dispute_of(told).takes_money) == (deducted, takes_money)


@pytest.mark.parametrize(
    ("stage", "deducted", "takes_money"),
    [
        ("CREATED", None, True),
        ("UNDER_REVIEW", None, True),
        ("MERCHANT_WON", Money(0), False),
        ("MERCHANT_LOST", None, False),
        ("MERCHANT_ACCEPTED", Money(4000000), True),  # given back to the payer, from the balance
    ],
)
def test_a_banks_question_takes_no_money_that_was_not_accepted(
    stage: str, deducted: Money | None, takes_money: bool
) -> None:
    told = changed(
        "webhooks/dispute_updated", lambda data: data["dispute"].update(dispute_status=f"RETRIEVAL_{stage}")
    )
    dispute = dispute_of(told)
    assert (dispute.deducted, dispute.takes_money) == (deducted, takes_money)
    assert dispute.is_lost is (stage == "MERCHANT_ACCEPTED")


@pytest.mark.parametrize("stage", ["UNDER_REVIEW", "INSUFFICIENT_EVIDENCE", "MERCHANT_LOST", "A_NEW_WORD"])
def test_a_banks_question_that_is_closed_is_not_lost(stage: str) -> None:
    body = fixture("update-2026-11/webhooks/DISPUTE_CREATED.retrieval")
    body["data"]["dispute"]["dispute_status"] = f"RETRIEVAL_{stage}"
    dispute = dispute_of(read(json.dumps(body | {"type": "DISPUTE_CLOSED"}).encode()))
    assert (dispute.is_closed, dispute.takes_money, dispute.deducted) == (True, False, None)


def test_a_closed_dispute_is_to_be_answered_in_no_word() -> None:
    body = fixture("update-2026-11/webhooks/DISPUTE_UPDATED.insufficient_evidence")
    dispute = dispute_of(read(json.dumps(body | {"type": "DISPUTE_CLOSED"}).encode()))
    assert (dispute.is_closed, dispute.needs_answer, dispute.asks_again) == (True, False, False)


@pytest.mark.parametrize("stage", ["UNDER_REVIEW", "INSUFFICIENT_EVIDENCE", "LOST", "EXPIRED", "A_NEW_WORD"])
def test_a_dispute_that_is_closed_in_another_word_is_not_won(stage: str) -> None:
    body = fixture("update-2026-11/webhooks/DISPUTE_UPDATED.insufficient_evidence")
    body["data"]["dispute"]["dispute_status"] = f"CHARGEBACK_{stage}"
    dispute = dispute_of(read(json.dumps(body | {"type": "DISPUTE_CLOSED"}).encode()))
    assert (dispute.is_closed, dispute.takes_money, dispute.deducted) == (True, True, None)


def test_a_dispute_that_says_too_little_is_fetched() -> None:
    told = changed("webhooks/dispute_created", lambda data: data["dispute"].update(dispute_amount=3.005))
    assert (told.wake_up, told.dispute, told.dispute_id) == (True, None, "433475258")
    told = changed("webhooks/dispute_created", lambda data: data.pop("order_details"))
    assert (told.order, told.wake_up, told.dispute_id) == (None, True, "433475258")


def test_without_a_time_of_its_own_a_dispute_is_as_old_as_its_last_change() -> None:
    body = fixture("update-2026-11/webhooks/DISPUTE_CLOSED.merchant_lost")
    del body["event_time"]
    observed_at = dispute_of(read(json.dumps(body).encode())).observed_at
    assert observed_at == datetime.fromisoformat(body["data"]["dispute"]["updated_at"])


# ── asking for one ──────────────────────────────────────────────────────────────────────────────────────

# answer → phase, reason, whether it is closed
ANSWERS = {
    "api/dispute.response": ("DISPUTE", "Fraud Transaction", False),
    "update-2026-11/api/dispute.chargeback_created.response": (
        "CHARGEBACK",
        "Goods or Services Not Provided",
        False,
    ),
    "update-2026-11/api/dispute.insufficient_evidence.response": (
        "CHARGEBACK",
        "Goods or Services Not Provided",
        False,
    ),
    "update-2026-11/api/dispute.merchant_won.response": (
        "CHARGEBACK",
        "Goods or Services Not Provided",
        True,
    ),
    "update-2026-11/api/dispute.accept.response": (
        "CHARGEBACK",
        "Goods or Services Not Provided",
        True,
    ),
    "update-2026-11/api/dispute.pre_arbitration_after_win.response": (
        "PRE_ARBITRATION",
        "Merchandise / Services Not Received",
        False,
    ),
}


def asked(talk: Talk, entity: Any, dispute_id: str | None = None) -> DisputeSnapshot:
    number = dispute_id or str(entity["dispute_id"])
    gateway, _ = talk({f"GET /disputes/{number}": Reply.of(entity)})
    return gateway.fetch_dispute(number, Deadline(5))


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_about_a_dispute_is_read(talk: Talk, name: str) -> None:
    entity, (phase, reason, is_closed) = fixture(name), ANSWERS[name]
    dispute = asked(talk, entity)
    assert (dispute.phase, dispute.reason, dispute.is_closed) == (phase, reason, is_closed)
    assert dispute.respond_by == datetime.fromisoformat(entity["respond_by"] + "+05:30")  # India's, unsaid
    assert dispute.amount == Money.from_major(str(entity["dispute_amount"]))
    assert dispute.transaction_id == str(entity["order_details"]["cf_payment_id"])


def test_every_dispute_of_an_orders_list_can_be_read(talk: Talk) -> None:
    first, second = (
        asked(talk, one) for one in fixture("update-2026-11/api/disputes_by_order.list.response")
    )
    assert (first.transaction_id, first.phase) == ("4300000002", "CHARGEBACK")
    assert (second.amount, second.is_closed) == (Money(10000), False)


def test_the_code_stands_for_a_reason_without_words(talk: Talk) -> None:
    entity = fixture("update-2026-11/api/dispute.chargeback_created.response")
    assert asked(talk, entity | {"reason_description": None, "reason_code": 4855}).reason == "4855"


def test_a_dispute_that_cashfree_does_not_know_is_told_apart(talk: Talk) -> None:
    gateway, line = talk({"GET /disputes/1": error_reply("404", code="dispute_not_found")})
    for number in ("1", "..", "1/accept", "1?x=1", ""):
        with pytest.raises(UnknownAtGateway):
            gateway.fetch_dispute(number, Deadline(5))
    assert [request.path for request in line.requests] == ["/disputes/1"]


def test_an_answer_about_another_dispute_is_no_answer(talk: Talk) -> None:
    with pytest.raises(Unavailable):
        asked(talk, fixture("update-2026-11/api/dispute.chargeback_created.response"), "1")


def test_a_strange_member_of_a_dispute_never_makes_another_error(talk: Talk) -> None:
    genuine = fixture("update-2026-11/api/dispute.chargeback_created.response")
    gateway, line = talk()
    for value in with_one_strange_member(genuine):
        line.answer = Reply.of(value)
        with contextlib.suppress(Unavailable):
            assert_storable(gateway.fetch_dispute(str(genuine["dispute_id"]), Deadline(5)))
