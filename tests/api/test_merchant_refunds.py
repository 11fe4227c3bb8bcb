"""Refunds by the merchant's server: one under each key for ever, and never more than was paid."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
import time_machine
from sqlalchemy import select
from werkzeug.test import TestResponse

from payments_service.api.schemas import MAX_UNKNOWN
from payments_service.domain import decide
from payments_service.domain.errors import (
    CircuitOpen,
    GatewayError,
    OutcomeUnknown,
    Rejected,
    StoreUnavailable,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.domain.money import Money
from payments_service.domain.news import DisputeSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.states import RefundStatus
from payments_service.flows import refund, refund_intent
from payments_service.store.tables import Refund
from tests.api.merchant_shop import MerchantShop, told
from tests.api.merchant_shop import shop as shop
from tests.flows.delivering import HandClock
from tests.support.deciding import deciding

KEY = "refund-of-order-1001"


def ask(shop: MerchantShop, payment_id: str, key: str | None = KEY, **body: object) -> TestResponse:
    headers = {} if key is None else {"Idempotency_Key": key}
    return shop.post(f"/api/payment/{payment_id}/refunds", body, **headers)


def rows(shop: MerchantShop) -> list[Refund]:
    with shop.db.read() as session:
        return list(session.scalars(select(Refund).order_by(Refund.created_at, Refund.id)))


def test_a_refund_is_made_shown_and_listed(shop: MerchantShop) -> None:
    payment_id = shop.paid()
    made = ask(shop, payment_id, amount="100.15", reason="returned", speed="optimum")
    assert made.status_code == 201, made.text
    told_refund = made.json["refund"]
    assert told_refund["amount"] == Decimal("100.15")
    assert (told_refund["status"], told_refund["paymentId"], told_refund["speed"]) == (
        "completed",
        "pay_1",
        "optimum",
    )
    made_on = datetime.fromisoformat(told_refund["createdAt"]).date()
    due_in = (datetime.fromisoformat(told_refund["expectedBy"]).date() - made_on).days
    assert due_in in (9, 10, 11)
    [wire] = shop.gateway.sent
    assert (wire.amount, wire.speed, wire.reason) == (Money(10015), "optimum", "returned")
    assert wire.webhook_url.endswith("/api/webhook/fake")
    one = shop.get(made.headers["Location"], "reader")
    assert one.json == made.json
    assert shop.get(f"/api/payment/{payment_id}/refunds", "reader").json["refunds"] == [told_refund]
    assert shop.get(f"/api/payment/{payment_id}", "reader").json["payment"]["refunds"] == [told_refund]
    assert shop.get(f"/api/payment/{payment_id}").json["payment"]["amountRefunded"] == Decimal("100.15")


def test_a_refund_needs_a_key_and_a_body_that_is_understood(shop: MerchantShop) -> None:
    payment_id = shop.paid()
    assert told(ask(shop, payment_id, None)) == (400, "validation_error")
    assert told(ask(shop, payment_id, "short")) == (400, "validation_error")
    misspelt = ask(shop, payment_id, ammount=100)
    assert told(misspelt) == (400, "unknown_field")
    assert "amount" in misspelt.json["details"]["ammount"][0]
    crowd = ask(shop, payment_id, **{f"member{number}": 1 for number in range(2_000)})
    assert len(crowd.json["details"]) == MAX_UNKNOWN
    for wrong in ({"amount": 0}, {"amount": "1.001"}, {"amount": True}, {"speed": "slow"}, {"force": "?"}):
        answer = ask(shop, payment_id, **wrong)
        assert (answer.status_code, list(answer.json["details"])) == (400, list(wrong))
    raw = shop.app.test_client().post(
        f"/api/payment/{payment_id}/refunds",
        data="[",
        headers={"Authorization": "Bearer psk_secret_of_owner", "Idempotency-Key": KEY},
    )
    assert told(raw) == (400, "invalid_json")
    assert rows(shop) == shop.gateway.sent == []


@pytest.mark.parametrize("later", [timedelta(), timedelta(days=1, hours=1), timedelta(days=32)])
def test_the_same_key_later_is_the_same_refund_as_it_stands_then(
    shop: MerchantShop, later: timedelta
) -> None:
    payment_id = shop.paid()
    shop.gateway.refund_status = RefundStatus.PENDING
    first = ask(shop, payment_id, amount=100)
    assert (first.status_code, first.json["refund"]["status"]) == (201, "pending")
    [row] = rows(shop)
    shop.gateway.ends(row.refund_id or "", RefundStatus.COMPLETED)
    refund.ask(shop.db, shop.gateway, row, Actor("worker", "test"))
    with time_machine.travel(datetime.now(UTC) + later, tick=True):
        again = ask(shop, payment_id, amount="100.00")
    assert (again.status_code, again.json["refund"]["status"]) == (201, "completed")
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json["refund"]["id"] == first.json["refund"]["id"]
    assert len(shop.gateway.sent) == 1


def test_another_body_under_a_key_is_refused_and_another_payment_is_not(shop: MerchantShop) -> None:
    first, second = shop.paid(), shop.paid(transaction_id="pay_2")
    assert ask(shop, first, amount=100).status_code == 201
    for other in ({"amount": 101}, {}, {"amount": 100, "reason": "x"}, {"amount": 100, "speed": "optimum"}):
        assert told(ask(shop, first, **other)) == (422, "idempotency_key_reused")
    assert ask(shop, second, amount=100).status_code == 201
    assert len({row.refund_id for row in rows(shop)}) == 2


def test_the_id_at_the_gateway_is_a_function_of_payment_and_key() -> None:
    """A database that is restored from yesterday asks for yesterday's refund again under the same id."""
    key = refund_intent.Key(KEY, "")
    payment_id = UUID("01900000-0000-7000-8000-000000000001")
    wire_id = refund_intent._wire_id(payment_id, key)
    assert wire_id == refund_intent._wire_id(payment_id, key) == "psr_" + wire_id[4:]
    assert len(wire_id) == 28
    assert wire_id.isascii()
    assert wire_id != refund_intent._wire_id(payment_id, refund_intent.Key(f"{KEY}x", ""))


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_ten_threads_that_refund_one_rupee_of_two(shop: MerchantShop, one_at_a_time: bool) -> None:
    payment_id = shop.paid(2)
    shop.gateway.one_refund_at_a_time = one_at_a_time  # type: ignore[misc]
    shop.gateway.refund_status = RefundStatus.PENDING

    def send(number: int) -> tuple[int, str]:
        answer = ask(shop, payment_id, f"refund-of-thread-{number}", amount=1)
        return answer.status_code, (answer.json or {}).get("code", "")

    with ThreadPoolExecutor(10) as pool:
        answers = Counter(pool.map(send, range(10)))
    if one_at_a_time:
        assert answers == {(201, ""): 1, (409, "refund_in_progress"): 9}
    else:
        assert answers == {(201, ""): 2, (409, "refund_exceeds_captured"): 8}
    booked = [row.amount for row in rows(shop)]
    assert booked == [100] * (1 if one_at_a_time else 2)
    assert len(shop.gateway.sent) == len(booked)


def test_ten_threads_with_one_key_make_one_refund(shop: MerchantShop) -> None:
    payment_id = shop.paid(2)

    def send(_: int) -> int:
        return ask(shop, payment_id, amount=1).status_code

    with ThreadPoolExecutor(10) as pool:
        answers = set(pool.map(send, range(10)))
    assert answers <= {201, 202, 409}
    assert ask(shop, payment_id, amount=1).status_code == 201
    assert len(rows(shop)) == len(shop.gateway.sent) == 1


# ── what may be lost ────────────────────────────────────────────────────────────────────────────────


def test_a_lost_answer_is_202_and_ends_as_one_refund_whoever_retries(shop: MerchantShop) -> None:
    payment_id = shop.paid()
    shop.gateway.refund_error = OutcomeUnknown("timeout")
    shop.gateway.refund_fetch_error = Unavailable("away")
    first = ask(shop, payment_id, amount=100)
    assert (first.status_code, first.json["refund"]["status"]) == (202, "initiated")
    assert first.headers["Location"].endswith(first.json["refund"]["id"])
    assert ask(shop, payment_id, amount=100).status_code == 202  # the first call may still be alive
    shop.gateway.refund_error = shop.gateway.refund_fetch_error = None
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=2), tick=True):
        again = ask(shop, payment_id, amount=100)
    assert (again.status_code, again.json["refund"]["status"]) == (201, "completed")
    assert len(rows(shop)) == len(shop.gateway.made) == 1


@pytest.mark.parametrize("moment", ["before the intent is stored", "after the intent is stored"])
def test_a_lost_commit_of_the_intent_sends_nothing_until_the_same_key_comes_again(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The caller heard that nothing is known, so only the caller may have it sent: no worker does."""
    payment_id = shop.paid()
    write = refund_intent.write

    def lose(*arguments: object) -> Refund:
        if moment.startswith("before"):
            raise StoreUnavailable("the commit was given up")
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(refund_intent, "write", lose)
    monkeypatch.setattr(refund, "_begin_call", gone)
    assert ask(shop, payment_id, amount=100).status_code == 503
    monkeypatch.undo()
    late = datetime.now(UTC) + timedelta(minutes=2)
    for row in rows(shop):
        assert row.awaits_first_send
        with time_machine.travel(late, tick=True), pytest.raises(Rejected):
            refund.ask(shop.db, shop.gateway, row, Actor("worker", "test"))
    assert shop.gateway.sent == []
    with time_machine.travel(late, tick=True):
        again = ask(shop, payment_id, amount=100)
    assert again.status_code == 201
    assert len(rows(shop)) == len(shop.gateway.sent) == 1


def test_a_refund_that_was_never_sent_is_given_up_after_a_day(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = shop.paid()
    monkeypatch.setattr(refund, "_begin_call", gone)
    ask(shop, payment_id, amount=499)
    monkeypatch.undo()
    [row] = rows(shop)
    hand = HandClock()
    worker = Actor("worker", "test", hand.clock)
    with pytest.raises(Rejected):
        refund.ask(shop.db, shop.gateway, row, worker)
    hand.advance(timedelta(days=1, minutes=1))
    assert refund.ask(shop.db, shop.gateway, row, worker).status is RefundStatus.FAILED
    assert told(ask(shop, payment_id, amount=499)) == (409, "refund_failed")
    assert ask(shop, payment_id, "another-key-for-it", amount=499).status_code == 201
    assert len(shop.gateway.sent) == 1


def gone(*_: object) -> None:
    raise StoreUnavailable("the commit was given up")


def test_while_the_first_request_is_at_work_the_second_waits(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = shop.paid()
    monkeypatch.setattr(refund, "_begin_call", gone)
    ask(shop, payment_id, amount=100)
    monkeypatch.undo()
    answer = ask(shop, payment_id, amount=100)
    assert told(answer) == (409, "request_in_progress")
    assert int(answer.headers["Retry-After"]) > 0


def test_when_the_mark_of_the_call_is_lost_the_outcome_is_unknown_and_nothing_was_sent(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = shop.paid()
    monkeypatch.setattr(refund.refunds, "begin_call", gone)
    answer = ask(shop, payment_id, amount=100)
    assert told(answer) == (409, "outcome_unknown")
    assert answer.json["retryable"] is True
    assert int(answer.headers["Retry-After"]) > 0
    monkeypatch.undo()
    assert shop.gateway.sent == []
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=2), tick=True):
        assert ask(shop, payment_id, amount=100).status_code == 201


def test_a_refund_that_failed_is_final_under_its_key(shop: MerchantShop) -> None:
    payment_id = shop.paid()
    shop.gateway.refund_error = Rejected("no balance")
    first = ask(shop, payment_id, amount=100)
    assert told(first) == (409, "refund_failed")
    assert "Retry-After" not in first.headers
    assert (first.json["refund"]["status"], first.json["details"]) == ("failed", "no balance")
    assert first.json["refund"]["expectedBy"] is None
    shop.gateway.refund_error = None
    again = ask(shop, payment_id, amount=100)
    assert told(again) == (409, "refund_failed")
    assert again.json["refund"] == first.json["refund"]
    assert ask(shop, payment_id, "another-key-for-it", amount=100).status_code == 201


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (Unavailable("away"), 500, "gateway_unavailable"),
        (CircuitOpen("left alone", retry_after_seconds=7), 503, "gateway_circuit_open"),
        (UnknownAtGateway("no such order"), 500, "unknown_at_gateway"),
        (Rejected("not with these credentials"), 500, "gateway_rejected"),
        (GatewayError("not readable"), 500, "gateway_error"),
    ],
    ids=lambda one: getattr(one, "code", one),
)
def test_while_the_gateways_refunds_cannot_be_read_nothing_is_sent(
    shop: MerchantShop, trouble: GatewayError, status: int, code: str
) -> None:
    payment_id = shop.paid()
    shop.gateway.fetch_error = trouble
    answer = ask(shop, payment_id, amount=100)
    assert (*told(answer), answer.json["retryable"]) == (status, code, trouble.retryable)
    assert answer.headers.get("Retry-After") == ({500: "5", 503: "7"}[status] if trouble.retryable else None)
    assert rows(shop) == shop.gateway.sent == []
    shop.gateway.fetch_error = None
    assert ask(shop, payment_id, amount=100).status_code == 201


# ── refused ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_not_paid_or_is_not_there_is_not_refunded(shop: MerchantShop) -> None:
    open_one = shop.buy()
    assert told(ask(shop, open_one)) == (409, "not_refundable")
    assert told(ask(shop, "01900000-0000-7000-8000-000000000001")) == (404, "not_found")
    paid = shop.paid()
    assert told(ask(shop, paid, amount=500)) == (409, "refund_exceeds_captured")
    assert told(ask(shop, paid, paymentId="pay_of_another")) == (404, "not_found")
    # Refusals are not kept: the same key may run again.
    assert ask(shop, paid, amount=499).status_code == 201


def test_while_another_refund_is_under_way_the_answer_says_when_to_come_back(shop: MerchantShop) -> None:
    payment_id = shop.paid()
    shop.gateway.one_refund_at_a_time = True  # type: ignore[misc]
    shop.gateway.refund_status = RefundStatus.PENDING
    assert ask(shop, payment_id, amount=100).status_code == 201
    beside = ask(shop, payment_id, "refund-of-order-1002", amount=100)
    assert told(beside) == (409, "refund_in_progress")
    assert int(beside.headers["Retry-After"]) > 0


def test_during_an_open_dispute_only_force_refunds(shop: MerchantShop) -> None:
    payment_id = shop.paid()
    dispute(shop, payment_id, is_closed=False)
    assert told(ask(shop, payment_id, amount=100)) == (409, "disputed")
    [shown] = shop.get(f"/api/payment/{payment_id}").json["payment"]["disputes"]
    assert (shown["isClosed"], shown["needsAnswer"], shown["amountDeductedPaise"]) == (False, True, None)
    assert ask(shop, payment_id, amount=100, force=True).status_code == 201
    dispute(shop, payment_id, is_closed=True)
    assert ask(shop, payment_id, "refund-of-order-1002", amount=100).status_code == 201


def test_a_dispute_that_was_won_for_a_part_shows_what_it_took(shop: MerchantShop) -> None:
    payment_id = shop.paid()
    dispute(shop, payment_id, is_closed=True, deducted=Money(1000))
    assert told(ask(shop, payment_id)) == (409, "disputed")
    [shown] = shop.get(f"/api/payment/{payment_id}").json["payment"]["disputes"]
    expected = {"gatewayStatus": "won", "amountDeductedPaise": 1000, "needsAnswer": False}
    assert {name: shown[name] for name in expected} == expected
    assert ask(shop, payment_id, amount=100, force=True).status_code == 201


def dispute(shop: MerchantShop, payment_id: str, *, is_closed: bool, deducted: Money | None = None) -> None:
    told_dispute = DisputeSnapshot(
        dispute_id="disp_1",
        transaction_id="pay_1",
        gateway_status="won" if is_closed else "open",
        amount=Money(49900),
        is_closed=is_closed,
        is_lost=False,
        needs_answer=not is_closed,
        observed_at=datetime.now(UTC),
        deducted=deducted,
    )
    with deciding(shop.db, UUID(payment_id)) as known:
        decide.apply_dispute(known, told_dispute, Actor("webhook", "event_1"))


def test_the_banks_reference_is_asked_for_after_the_end(shop: MerchantShop) -> None:
    payment_id = shop.paid()
    ask(shop, payment_id, amount=100)
    [row] = rows(shop)
    assert row.next_check_at is not None
    in_an_hour = row.next_check_at - row.updated_at
    assert timedelta(minutes=59) < in_an_hour < timedelta(minutes=61)
    with_reference = {**vars(shop.gateway.made[row.refund_id or ""]), "bank_reference": "ARN1"}
    shop.gateway.made[row.refund_id or ""] = type(shop.gateway.made[row.refund_id or ""])(**with_reference)
    refund.ask(shop.db, shop.gateway, row, Actor("worker", "test"))
    [row] = rows(shop)
    assert (row.bank_reference, row.next_check_at) == ("ARN1", None)
    shown = shop.get(f"/api/payment/{payment_id}/refunds/{row.id}").json["refund"]
    assert shown["bankReference"] == "ARN1"


def test_a_refund_of_another_payment_is_not_shown(shop: MerchantShop) -> None:
    first, second = shop.paid(), shop.paid(transaction_id="pay_2")
    made = ask(shop, first, amount=100).json["refund"]["id"]
    assert told(shop.get(f"/api/payment/{second}/refunds/{made}")) == (404, "not_found")
    assert json.loads(shop.get(f"/api/payment/{second}/refunds").data)["refunds"] == []
