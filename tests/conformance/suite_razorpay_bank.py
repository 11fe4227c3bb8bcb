"""razorpay 2.0.1 against the simulator: settlements, disputes, and what the clock does."""

import json
from collections.abc import Callable

import pytest
import razorpay
from conftest import Json, Simulator
from razorpay.errors import BadRequestError
from razorpay_samples import differences, sample
from razorpay_words import (
    DAY,
    MANUAL,
    in_india,
    settings,
    told,
)

pytest_plugins = ("razorpay_sdk",)


# Settlements and disputes


@pytest.fixture
def disputed(simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]) -> Json:
    simulator.move(pay()["order_id"], "dispute")
    [dispute] = client.dispute.all()["items"]
    return dict(dispute)


def test_what_was_captured_is_settled_two_working_days_later(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    first, second = pay(method="card"), pay(amount=10000)
    refund = client.payment.refund(first["id"], {"amount": 20000})
    assert client.settlement.all()["count"] == 0
    simulator.advance(5 * DAY)
    [settlement] = client.settlement.all()["items"]
    assert differences(settlement, sample("api/settlement.fetch.response")) == []
    assert (settlement["id"][:5], len(settlement["id"])) == ("setl_", 19)
    assert (settlement["fees"], settlement["tax"]) == (1180 + 236, 180 + 36)
    assert settlement["amount"] == 50000 + 10000 - 1180 - 236 - refund["amount"]
    assert client.settlement.fetch(settlement["id"]) == settlement
    assert DAY < settlement["created_at"] - first["created_at"] < 5 * DAY
    assert second["status"] == "captured"


def test_the_report_tells_what_a_settlement_is_made_of(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    payment = pay(method="card", receipt="ours-1", notes={"k": "v"})
    refund = client.payment.refund(payment["id"], {"amount": 20000})
    lost = pay()
    simulator.move(lost["order_id"], "dispute", amountPaise=5000)
    simulator.move(lost["order_id"], "dispute", outcome="lost")
    simulator.control("POST", "settle")
    [settlement] = client.settlement.all()["items"]
    year, month, day = in_india(settlement["created_at"])
    report = client.settlement.report({"year": year, "month": month, "day": day, "count": 100})
    rows = {row["entity_id"]: row for row in report["items"]}
    samples = {row["type"]: row for row in sample("api/settlement.recon_combined.response")["items"]}
    for row in rows.values():
        assert differences(row, samples[row["type"]]) == []
        assert list(row) == list(samples[row["type"]])
        assert row["settlement_id"] == settlement["id"]
    assert sum(row["credit"] - row["debit"] for row in rows.values()) == settlement["amount"]
    paid = rows[payment["id"]]
    assert (paid["credit"], paid["fee"], paid["tax"], paid["payment_id"]) == (48820, 1180, 180, None)
    assert (paid["order_receipt"], paid["settlement_utr"]) == ("ours-1", settlement["utr"])
    assert (rows[refund["id"]]["debit"], rows[refund["id"]]["payment_id"]) == (20000, payment["id"])
    assert [row["debit"] for row in rows.values() if row["type"] == "adjustment"] == [5000]
    assert client.settlement.report({"year": year, "month": month, "count": 1})["count"] == 1
    assert client.settlement.report({"year": year - 1, "month": month})["count"] == 0


def test_a_dispute_is_as_documented(client: razorpay.Client, disputed: Json) -> None:
    assert differences(disputed, sample("api/dispute.fetch_all.response")["items"][0]) == []
    assert (disputed["status"], disputed["amount_deducted"]) == ("open", 0)
    assert client.dispute.fetch(disputed["id"]) == disputed


def test_a_dispute_is_accepted(client: razorpay.Client, disputed: Json) -> None:
    lost = client.dispute.accept(disputed["id"])
    assert (lost["status"], lost["amount_deducted"]) == ("lost", 50000)
    with pytest.raises(BadRequestError):
        client.dispute.accept(disputed["id"])


def test_a_dispute_is_contested_first_as_a_draft(client: razorpay.Client, disputed: Json) -> None:
    others = [{"type": "receipt_signed_by_customer", "document_ids": ["doc_EFtmUsbwpXwBH1"]}]
    draft = {"amount": 5000, "summary": "goods delivered", "others": others, "action": "draft"}
    kept = client.dispute.contest(disputed["id"], {**draft, "shipping_proof": ["doc_EFtmUsbwpXwBH9"]})
    assert (kept["status"], kept["evidence"]["amount"], kept["evidence"]["submitted_at"]) == (
        "open",
        5000,
        None,
    )
    sent = client.dispute.contest(disputed["id"], {"billing_proof": ["doc_1"], "action": "submit"})
    assert (sent["status"], sent["evidence"]["summary"]) == ("under_review", "goods delivered")
    assert sent["evidence"]["others"] == others
    assert isinstance(sent["evidence"]["submitted_at"], int)


def test_a_dispute_that_nobody_answers_is_lost(
    simulator: Simulator, client: razorpay.Client, disputed: Json
) -> None:
    simulator.advance(disputed["respond_by"] - disputed["created_at"])
    assert client.dispute.fetch(disputed["id"])["status"] == "lost"


# What the clock does


def test_an_unanswered_attempt_fails_after_ten_minutes_and_may_succeed_later(
    simulator: Simulator, client: razorpay.Client, new_order: Callable[..., Json]
) -> None:
    settings(simulator, late_authorization_minutes=120)
    order_id = new_order()["id"]
    simulator.move(order_id, "pending")
    [payment] = client.order.payments(order_id)["items"]
    simulator.advance(9 * 60)
    assert client.payment.fetch(payment["id"])["status"] == "created"
    simulator.advance(2 * 60)
    assert client.payment.fetch(payment["id"])["status"] == "failed"
    simulator.advance(110 * 60)
    late = client.payment.fetch(payment["id"])
    assert (late["status"], late["late_authorized"], late["error_code"]) == ("captured", True, None)
    events = [one["event"] for one in told(simulator)]
    assert events == ["payment.failed", "payment.authorized", "payment.captured", "order.paid"]
    first = json.loads(told(simulator)[1]["body"])
    assert differences(first, sample("webhooks/payment.authorized.late")) == []


def test_a_late_authorization_of_a_paid_order_goes_back_at_once(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    settings(simulator, late_on_paid_order="refunded")
    failed = pay("failure")
    simulator.move(failed["order_id"], "success")
    simulator.move(failed["order_id"], "late-success")
    after = client.payment.fetch(failed["id"])
    assert (after["status"], after["captured"], after["refund_status"]) == ("refunded", False, "full")


@pytest.mark.parametrize(("order", "days"), [({"payment_capture": 0}, 3), (MANUAL, 5)])
def test_what_nobody_captures_goes_back_after_days(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json], order: Json, days: int
) -> None:
    held = pay(**order)
    simulator.advance(days * DAY - 60)
    assert client.payment.fetch(held["id"])["status"] == "authorized"
    simulator.advance(120)
    after = client.payment.fetch(held["id"])
    assert (after["status"], after["captured"], after["amount_refunded"]) == ("refunded", False, 50000)
    assert client.order.fetch(held["order_id"])["status"] == "attempted"
    created = json.loads(simulator.webhooks(held["order_id"], "refund.created")[0]["body"])
    assert differences(created, sample("webhooks/refund.created.auto_refund")) == []
    assert created["payload"]["payment"]["entity"]["captured"] is False
    simulator.control("POST", "settle")
    assert client.settlement.all()["count"] == 0


def test_authorized_after_the_automatic_window_it_waits_for_a_capture_by_hand(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    options = {"automatic_expiry_period": 12, "manual_expiry_period": 1440, "refund_speed": "normal"}
    payment = {"payment": {"capture": "automatic", "capture_options": options}}
    quick, slow = pay(**payment), pay("failure", **payment)
    assert quick["status"] == "captured"
    simulator.advance(13 * 60)
    simulator.move(slow["order_id"], "late-success")
    assert client.payment.fetch(slow["id"])["status"] == "authorized"
    simulator.advance(DAY)
    assert client.payment.fetch(slow["id"])["status"] == "refunded"
