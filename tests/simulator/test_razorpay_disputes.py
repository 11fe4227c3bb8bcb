"""Razorpay docs, api/disputes and webhooks/disputes."""

import json

import pytest
from razorpay.errors import BadRequestError

WEEK = 7 * 24 * 3600


@pytest.fixture
def dispute(client, control, captured):
    control.move(captured["order_id"], "dispute", amountPaise=20000)
    return client.dispute.all()["items"][0]


def events(control, receiver):
    control.settle()
    return [event.removeprefix("payment.dispute.") for event in receiver.events if "dispute" in event]


def test_a_dispute_goes_back_and_forth_and_is_then_decided(client, control, receiver, captured, dispute):
    statuses = []
    for outcome in ("under_review", "action_required", "under_review", "won"):
        control.move(captured["order_id"], "dispute", outcome=outcome)
        statuses.append(client.dispute.fetch(dispute["id"])["status"])
    assert statuses == ["under_review", "open", "under_review", "won"]
    expected = ["created", "under_review", "action_required", "under_review", "won", "closed"]
    assert events(control, receiver) == expected
    control.move(captured["order_id"], "dispute", status=409, outcome="lost")


def test_a_dispute_can_be_closed_without_a_winner(client, control, receiver, captured, dispute):
    control.move(captured["order_id"], "dispute", outcome="closed")
    closed = client.dispute.fetch(dispute["id"])
    assert (closed["status"], closed["amount_deducted"]) == ("closed", 0)
    assert events(control, receiver) == ["created", "closed"]


def test_an_open_dispute_says_how_it_may_go_on(control, captured, dispute):
    answer = control.move(captured["order_id"], "dispute", status=409)
    assert answer["error"].endswith("under_review, action_required, won, lost, closed")


def test_accepting_is_losing(client, control, receiver, dispute):
    lost = client.dispute.accept(dispute["id"])
    assert (lost["status"], lost["amount_deducted"]) == ("lost", 20000)
    assert events(control, receiver) == ["created", "lost", "closed"]
    for refused in (client.dispute.accept, client.dispute.contest):
        with pytest.raises(BadRequestError, match="not allowed"):
            refused(dispute["id"])


def test_a_contest_is_kept_as_a_draft_until_it_is_submitted(client, control, receiver, dispute):
    draft = client.dispute.contest(dispute["id"], {"amount": 5000, "shipping_proof": ["doc_1"]})
    assert (draft["status"], draft["evidence"]["amount"]) == ("open", 5000)
    sent = client.dispute.contest(dispute["id"], {"summary": "delivered", "action": "submit"})
    evidence = {"amount": 5000, "shipping_proof": ["doc_1"], "summary": "delivered"}
    assert sent["status"] == "under_review"
    assert sent["evidence"].items() >= evidence.items()
    assert sent["evidence"]["submitted_at"] >= dispute["created_at"]
    assert events(control, receiver) == ["created", "under_review"]


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 20001},
        {"amount": "much"},
        {"summary": "x" * 1001},
        {"summary": 7},
        {"shipping_proof": "doc_1"},
        {"shipping_proof": [7]},
        {"others": ["doc_1"]},
        {"action": "shout"},
        {"colour": "blue"},
    ],
)
def test_a_wrong_contest_is_refused_and_changes_nothing(api, client, dispute, body):
    response = api("PATCH", f"/disputes/{dispute['id']}/contest", json=body)
    assert response.status_code == 400
    assert client.dispute.fetch(dispute["id"]) == dispute


def test_who_does_not_answer_in_a_week_has_lost(client, control, captured, dispute):
    control.call("POST", "/clock", {"advance_seconds": WEEK - 60})
    assert client.dispute.fetch(dispute["id"])["status"] == "open"
    control.call("POST", "/clock", {"advance_seconds": 120})
    assert client.dispute.fetch(dispute["id"])["status"] == "lost"


def test_who_has_answered_waits_for_the_bank(client, control, dispute):
    client.dispute.contest(dispute["id"], {"action": "submit"})
    control.call("POST", "/clock", {"advance_seconds": 2 * WEEK})
    assert client.dispute.fetch(dispute["id"])["status"] == "under_review"


def test_where_an_action_is_required_the_evidence_is_beside_the_dispute(control, receiver, captured, dispute):
    control.move(captured["order_id"], "dispute", outcome="action_required")
    control.settle()
    written = json.loads(receiver.received[-1].body)["payload"]["dispute"]
    assert set(written) == {"entity", "evidence"}
    assert "evidence" not in written["entity"]
