"""Razorpay's settlements and their reconciliation: T+2, fee and GST, UTR, what goes off."""

from datetime import datetime

import pytest

from gateway_simulator.razorpay.settlements import INDIA, transfer_after

DAY = 24 * 3600


@pytest.fixture
def settle(control):
    return lambda: control.call("POST", "/settle")


@pytest.fixture
def report(client):
    """The rows of the day on which a settlement was made."""

    def run(settlement, **more):
        day = datetime.fromtimestamp(settlement["created_at"], INDIA)
        asked = {"year": day.year, "month": day.month, "day": day.day, **more}
        return client.settlement.report(asked)["items"]

    return run


@pytest.mark.parametrize(
    ("captured", "transferred"),
    [
        ("2026-11-23T00:00", "2026-11-25T11:00"),  # Monday
        ("2026-11-23T23:59", "2026-11-25T11:00"),
        ("2026-11-26T12:00", "2026-11-30T11:00"),  # Thursday: over the weekend
        ("2026-11-27T12:00", "2026-12-01T11:00"),  # Friday
        ("2026-11-28T12:00", "2026-12-01T11:00"),  # Saturday
        ("2026-11-29T12:00", "2026-12-01T11:00"),  # Sunday
    ],
)
def test_the_transfer_comes_two_working_days_later(captured, transferred):
    def moment(text):
        return int(datetime.fromisoformat(f"{text}+05:30").timestamp())

    assert transfer_after(moment(captured)) == moment(transferred)


def test_the_payments_of_a_day_are_one_settlement(client, control, receiver, new_order):
    for amount in (50000, 10000, 33333):
        control.move(new_order(amount)["id"], "success")
    assert client.settlement.all()["items"] == []
    control.call("POST", "/clock", {"advance_seconds": 5 * DAY})
    [settlement] = client.settlement.all()["items"]
    payments = client.payment.all()["items"]
    fees, tax = sum(one["fee"] for one in payments), sum(one["tax"] for one in payments)
    assert (settlement["fees"], settlement["tax"]) == (fees, tax)
    assert settlement["amount"] == 93333 - fees
    assert settlement["utr"].startswith(str(settlement["created_at"]))
    control.settle()
    assert receiver.events.count("settlement.processed") == 1
    control.call("POST", "/clock", {"advance_seconds": 5 * DAY})
    assert client.settlement.all()["count"] == 1


def test_only_captured_money_is_settled(client, control, new_order, settle):
    control.move(new_order()["id"], "authorize")
    control.move(new_order()["id"], "failure")
    settle()
    assert client.settlement.all()["count"] == 0


def test_a_refund_goes_off_the_next_transfer(client, captured, control, new_order, settle, report):
    settle()
    refund = client.payment.refund(captured["id"], {"notes": {"why": "Größe"}})
    settle()
    assert client.settlement.all()["count"] == 1  # more is owed than earned: it waits
    control.move(new_order(90000)["id"], "success")
    settle()
    newest, first = client.settlement.all()["items"]
    assert first["amount"] == 50000 - 1180
    assert newest["amount"] == 90000 - 2124 - 50000
    rows = [row for row in report(newest) if row["settlement_id"] == newest["id"]]
    assert sum(row["credit"] - row["debit"] for row in rows) == newest["amount"]
    [row] = [row for row in rows if row["type"] == "refund"]
    assert (row["entity_id"], row["payment_id"]) == (refund["id"], captured["id"])
    assert row["notes"] == '{"why": "Gr\\u00f6\\u00dfe"}'


def test_a_failed_refund_takes_nothing(client, captured, control, settle):
    control.call("POST", "/settings", {"razorpay": {"refund_outcome": "pending"}})
    refund = client.payment.refund(captured["id"], {"amount": 100})
    control.call("POST", f"/refunds/{refund['id']}/failure")
    settle()
    assert client.settlement.all()["items"][0]["amount"] == 50000 - 1180


def test_a_lost_dispute_is_an_adjustment(client, captured, control, settle, report):
    control.move(captured["order_id"], "dispute", amountPaise=10000)
    order = control.move(captured["order_id"], "dispute", outcome="lost")
    settle()
    [settlement] = client.settlement.all()["items"]
    assert settlement["amount"] == 50000 - 1180 - 10000
    payment, adjustment = report(settlement)
    assert (payment["type"], payment["entity_id"], payment["payment_id"]) == ("payment", captured["id"], None)
    said = {"type": "adjustment", "debit": 10000, "credit": 0, "notes": None, "settlement_utr": None}
    assert adjustment.items() >= said.items()
    assert adjustment["entity_id"].startswith("adj_")
    assert adjustment["dispute_id"] == order["disputes"][0]["disputeId"]


def test_the_report_is_paged_and_wants_year_and_month(
    api, client, captured, control, new_order, settle, report
):
    control.move(new_order()["id"], "success", method="card")
    settle()
    [settlement] = client.settlement.all()["items"]
    both = report(settlement)
    assert [row["card_network"] for row in both] == [None, "Visa"]
    assert report(settlement, count=1) == both[:1]
    assert report(settlement, count=1, skip=1) == both[1:]
    day = datetime.fromtimestamp(settlement["created_at"], INDIA)
    month = {"year": day.year, "month": day.month}
    assert client.settlement.report(month)["items"] == both
    assert client.settlement.report({**month, "day": 1 + day.day % 28})["items"] == []
    for wrong in ({"year": 2026}, {"month": 1}, {"year": 2026, "month": 13}, {**month, "day": "x"}):
        assert api("GET", "/settlements/recon/combined", params=wrong).status_code == 400
