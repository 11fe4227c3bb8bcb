"""SUCCESS is not always money: cash on delivery, holds, offers, currencies; and lists with an odd item."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import OutcomeUnknown, Rejected, Unavailable, UnknownAtGateway
from payments_service.domain.money import Money
from payments_service.domain.news import OrderRef, PaymentSnapshot
from payments_service.domain.states import AttemptStatus, PaymentStatus
from tests.gateways import cashfree_wire
from tests.gateways.cashfree_wire import FAILED_PAYMENT, PAYMENT, error_reply, fixture
from tests.gateways.contract_calls import TROUBLES
from tests.gateways.hooks import REFUND_ID, WIRE_ID
from tests.gateways.strange import WRONG
from tests.gateways.test_cashfree import ORDER_PATH, PAID, PAYMENTS, REFUNDS, Talk, contract, talk
from tests.gateways.wire import Reply, Trouble

__all__ = ["talk"]

P, A = PaymentStatus, AttemptStatus
WORDS = ("ACTIVE", "PAID", "EXPIRED", "TERMINATION_REQUESTED", "TERMINATED")
Json = dict[str, Any]


def attempt(number: int = 0, **changes: Any) -> Json:
    return cashfree_wire.payment(PAID) | {"cf_payment_id": str(int(PAYMENT) + number), **changes}


def cash(number: int = 0, **changes: Any) -> Json:
    """As the faults' payload has it."""
    told = {"payment_group": "cash_on_delivery", "payment_method": {"cash_on_delivery": {}}}
    return attempt(number, **{**told, "is_captured": False, **changes})


def preauthorised(action: str | None = None, status: str | None = "SUCCESS", **changes: Any) -> Json:
    authorization = {
        "action": action,
        "status": status,
        "captured_amount": changes.pop("captured", 0),
        "end_time": "2026-11-12T10:00:00+05:30",
        "approve_by": None,
    }
    return attempt(**{"is_captured": False, "authorization": authorization, **changes})


def fetch(talk: Talk, word: str, *payments: Any, order: Mapping[str, Any] | None = None) -> PaymentSnapshot:
    entity = cashfree_wire.order(PAID.but(order_word=word)) | dict(order or {})
    gateway, _ = talk({ORDER_PATH: Reply.of(entity), PAYMENTS: Reply.of(list(payments))})
    return gateway.fetch_payment(OrderRef(WIRE_ID), Deadline(5))


# ── cash ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"is_captured": True},
        {"payment_method": None},
        {"payment_method": {}},
        {"payment_method": "cash_on_delivery"},
        {"payment_method": "Cash on Delivery", "payment_group": None},
        {"payment_group": None},
        {"payment_group": "cash-on-delivery", "payment_method": None},
        {"payment_group": "other", "payment_method": {"cashOnDelivery": {}}},
        {"payment_group": "CASH_ON_DELIVERY"},
        {"payment_group": "other", "payment_method": {"cash_on_delivery": {"channel": None}}},
    ],
)
@pytest.mark.parametrize("word", ["ACTIVE", "PAID", "EXPIRED", "TERMINATION_REQUESTED"])
def test_cash_on_delivery_leaves_the_order_open(talk: Talk, word: str, told: Json) -> None:
    snapshot = fetch(talk, word, cash(**told))
    assert (snapshot.status, snapshot.gateway_status) == (P.PENDING, "CASH_ON_DELIVERY")
    assert [(a.status, a.amount) for a in snapshot.attempts] == [(A.PLACED, PAID.amount)]
    assert snapshot.refunds == ()


def test_cash_that_was_taken_at_a_counter_is_not_at_cashfree_either(talk: Talk) -> None:
    snapshot = fetch(talk, "PAID", attempt(payment_group="cash", payment_method={"cash": {}}))
    assert (snapshot.status, snapshot.attempts[0].status) == (P.PENDING, A.COLLECTED)


@pytest.mark.parametrize("word", ["NOT_ATTEMPTED", "PENDING", "FAILED", "USER_DROPPED"])
def test_only_the_success_of_cash_is_an_order_that_was_placed(talk: Talk, word: str) -> None:
    snapshot = fetch(talk, "ACTIVE", cash(payment_status=word))
    assert snapshot.attempts[0].status is contract.attempt_words[word]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_part_paid_now_and_the_rest_in_cash_is_not_paid(talk: Talk, order: tuple[int, int]) -> None:
    both = (attempt(payment_amount=20), cash(1, payment_amount=80.15))
    snapshot = fetch(talk, "PAID", *(both[number] for number in order))
    assert (snapshot.status, snapshot.gateway_status) == (P.PENDING, "CASH_ON_DELIVERY")
    assert {(a.status, a.amount.minor) for a in snapshot.attempts} == {(A.SUCCEEDED, 2000), (A.PLACED, 8015)}


def test_what_was_paid_whole_is_paid_although_cash_was_promised_before(talk: Talk) -> None:
    snapshot = fetch(talk, "PAID", cash(1), attempt())
    assert (snapshot.status, snapshot.gateway_status) == (P.COMPLETED, "SUCCESS")


def test_a_qr_code_at_the_door_is_real_money(talk: Talk) -> None:
    upi = {"upi": {"channel": "podQrCode"}}
    assert fetch(talk, "PAID", attempt(payment_method=upi)).status is P.COMPLETED


def test_an_offer_lowers_what_is_paid_and_a_surcharge_raises_it(talk: Talk) -> None:
    for name, paise in (("payment.offer", 90000), ("payment.customer_surcharge", 10236)):
        payment = fixture(f"update-2026-11/api/{name}.response")
        order = {"order_amount": payment["order_amount"]}
        snapshot = fetch(talk, "PAID", payment, order=order)
        assert (snapshot.status, snapshot.attempts[0].amount.minor) == (P.COMPLETED, paise)


# ── money that is held ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("word", WORDS)
def test_held_money_is_authorized_under_every_word_of_its_order(talk: Talk, word: str) -> None:
    snapshot = fetch(talk, word, preauthorised())
    (held,) = snapshot.attempts
    assert (snapshot.status, snapshot.gateway_status, held.status) == (
        P.AUTHORIZED,
        "AUTHORIZED",
        A.AUTHORIZED,
    )
    assert held.capture_by == datetime(2026, 11, 12, 4, 30, tzinfo=UTC)
    assert snapshot.refunds == ()


# action, its status, is_captured → what the attempt came to
ACTIONS = [
    (None, "SUCCESS", False, A.AUTHORIZED),
    ("AUTH", "SUCCESS", False, A.AUTHORIZED),
    ("AUTH", None, None, A.AUTHORIZED),
    ("NEW_ACTION", "SUCCESS", False, A.AUTHORIZED),
    ("CAPTURE", "PENDING", False, A.AUTHORIZED),
    ("CAPTURE", "PENDING", True, A.AUTHORIZED),
    ("CAPTURE", "FAILED", False, A.AUTHORIZED),
    ("CAPTURE", "SUCCESS", True, A.SUCCEEDED),
    ("CAPTURE", "SUCCESS", None, A.SUCCEEDED),
    (None, None, True, A.SUCCEEDED),
    ("VOID", "SUCCESS", False, A.VOIDED),
    ("VOID", None, False, A.VOIDED),
    ("VOID", "PENDING", False, A.AUTHORIZED),
]


@pytest.mark.parametrize(("action", "status", "is_captured", "expected"), ACTIONS)
def test_the_action_says_what_became_of_a_hold(
    talk: Talk, action: str | None, status: str | None, is_captured: bool | None, expected: AttemptStatus
) -> None:
    snapshot = fetch(talk, "PAID", preauthorised(action, status, is_captured=is_captured))
    assert snapshot.attempts[0].status is expected
    claims = {A.AUTHORIZED: P.AUTHORIZED, A.SUCCEEDED: P.COMPLETED, A.VOIDED: P.PENDING}
    assert snapshot.status is claims[expected]


def test_official_pre_authorisations_are_read(talk: Talk) -> None:
    order = {"order_amount": 500}
    held, partly, void = (
        fixture(f"update-2026-11/api/payment.preauth.{name}.response")
        for name in ("authorized", "captured_partly", "void")
    )
    snapshot = fetch(talk, "PAID", held, order=order)
    assert (snapshot.status, snapshot.attempts[0].amount) == (P.AUTHORIZED, Money(50000))
    snapshot = fetch(talk, "PAID", partly, order=order)
    assert (snapshot.status, snapshot.gateway_status) == (P.PENDING, "CAPTURED_PARTLY")
    assert (snapshot.attempts[0].status, snapshot.attempts[0].amount) == (A.SUCCEEDED, Money(30000))
    snapshot = fetch(talk, "PAID", void, order=order)
    assert (snapshot.status, snapshot.attempts[0].status) == (P.PENDING, A.VOIDED)


@pytest.mark.parametrize("wrong", ["AUTH", [], 1, True])
def test_a_hold_that_cannot_be_read_is_not_taken_for_money(talk: Talk, wrong: Any) -> None:
    with pytest.raises(Unavailable):
        fetch(talk, "PAID", attempt(authorization=wrong))


@pytest.mark.parametrize("wrong", [None, "soon", 5, [], "0001-01-01T00:00:00+23:59"])
def test_a_hold_without_a_readable_end_is_still_a_hold(talk: Talk, wrong: Any) -> None:
    one = preauthorised()
    one["authorization"] |= {"approve_by": wrong, "end_time": wrong}
    (held,) = fetch(talk, "PAID", one).attempts
    assert (held.status, held.capture_by) == (A.AUTHORIZED, None)


AUTHORIZATION = f"POST /orders/{WIRE_ID}/authorization"


def test_a_hold_is_captured_or_let_go_by_the_documented_call(talk: Talk) -> None:
    gateway, line = talk()
    gateway.capture(OrderRef(WIRE_ID), PAYMENT, PAID.amount, Deadline(5))
    gateway.void(OrderRef(WIRE_ID), PAYMENT, Deadline(5))
    assert [f"{request.method} {request.path}" for request in line.requests] == [AUTHORIZATION] * 2
    assert [request.json() for request in line.requests] == [
        {"action": "CAPTURE", "amount": "100.15"},
        {"action": "VOID"},
    ]
    assert all("x-idempotency-key" not in request.headers for request in line.requests)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_letting_go_in_trouble_is_sent_once_and_unknown(talk: Talk, trouble: str) -> None:
    gateway, line = talk({AUTHORIZATION: TROUBLES[trouble]})
    with pytest.raises(OutcomeUnknown):
        gateway.void(OrderRef(WIRE_ID), PAYMENT, Deadline(0.4))
    assert len(line.requests) <= 1


def test_an_answer_about_another_hold_leaves_the_outcome_unknown(talk: Talk) -> None:
    gateway, _ = talk({AUTHORIZATION: Reply.of(attempt(1))})
    with pytest.raises(OutcomeUnknown):
        gateway.capture(OrderRef(WIRE_ID), PAYMENT, PAID.amount, Deadline(5))


def test_a_refused_capture_moved_nothing(talk: Talk) -> None:
    gateway, _ = talk({AUTHORIZATION: error_reply("400", code="authorization_invalid")})
    with pytest.raises(Rejected):
        gateway.capture(OrderRef(WIRE_ID), PAYMENT, PAID.amount, Deadline(5))


# ── an order word that does not say paid ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("word", "status"),
    [("ACTIVE", P.PENDING), ("EXPIRED", P.EXPIRED), ("TERMINATED", P.EXPIRED), ("NEW_WORD", None)],
)
def test_a_success_stays_beside_whichever_word_its_order_bears(
    talk: Talk, word: str, status: PaymentStatus | None
) -> None:
    snapshot = fetch(talk, word, attempt())
    assert (snapshot.status, snapshot.gateway_status) == (status, word)
    assert [a.status for a in snapshot.attempts] == [A.SUCCEEDED]
    assert [r.refund_id for r in snapshot.refunds or ()] == [REFUND_ID]  # perhaps it went back already


# ── another currency ────────────────────────────────────────────────────────────────────────────────────


def test_an_order_in_another_currency_is_told_in_it(talk: Talk) -> None:
    paid = attempt(payment_currency="KWD", payment_amount=10.125)
    snapshot = fetch(talk, "PAID", paid, order={"order_currency": "KWD", "order_amount": 10.125})
    assert (snapshot.status, snapshot.amount) == (P.COMPLETED, Money(10125, "KWD"))
    assert snapshot.attempts[0].amount == Money(10125, "KWD")


# ── odd items ───────────────────────────────────────────────────────────────────────────────────────────

ODD = [
    {"payment_amount": 100.155},
    {"payment_amount": None},
    {"payment_amount": "lots"},
    *({"cf_payment_id": wrong} for wrong in (None, "", [], 1.5, True, "\0")),
    *({"payment_currency": wrong} for wrong in ([], 1.5, "")),
]


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("word", ["FAILED", "USER_DROPPED", "PENDING", "SUCCESS"])
def test_an_odd_attempt_hides_neither_a_good_one_nor_the_order(talk: Talk, word: str, odd: Json) -> None:
    snapshot = fetch(talk, "PAID", attempt(1, payment_status=word) | odd, attempt())
    assert (snapshot.status, [a.transaction_id for a in snapshot.attempts]) == (P.COMPLETED, [PAYMENT])


@pytest.mark.parametrize("odd", [*ODD, *({"payment_status": w} for w in (None, 5, [], ""))], ids=str)
@pytest.mark.parametrize("word", ["PAID", "EXPIRED", "TERMINATED", "NEW_WORD"])
def test_an_odd_attempt_that_may_be_the_money_decides(talk: Talk, word: str, odd: Json) -> None:
    with pytest.raises(Unavailable):
        fetch(talk, word, attempt() | odd, attempt(1, payment_status="FAILED"))


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_while_an_order_waits_for_its_payment_no_odd_attempt_decides(talk: Talk, odd: Json) -> None:
    snapshot = fetch(talk, "ACTIVE", attempt() | odd)
    assert (snapshot.status, snapshot.attempts) == (P.PENDING, ())


def test_an_odd_item_is_told_of_once(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    odd = attempt(7, payment_status="FAILED", payment_amount=3.14159)
    for _ in range(3):
        fetch(talk, "PAID", odd, attempt())
    told = [record for record in caplog.records if "cannot be read" in record.getMessage()]
    assert len(told) == 1
    assert "3.14159" not in f"{told[0].getMessage()} {vars(told[0])}"


@pytest.mark.parametrize("junk", [None, "x", 5, []])
def test_what_is_no_attempt_at_all_is_left_out(talk: Talk, junk: Any) -> None:
    assert fetch(talk, "PAID", junk, attempt()).status is P.COMPLETED


@pytest.mark.parametrize(
    "odd",
    [
        {"refund_amount": 1.005},
        {"cf_refund_id": None},
        {"cf_payment_id": None},
        {"refund_status": None},
        {"refund_currency": None},
        {"refund_id": 5.5},
    ],
)
def test_an_odd_refund_hides_nothing(talk: Talk, odd: Json) -> None:
    good = cashfree_wire.refund(PAID)
    gateway, _ = talk({REFUNDS: Reply.of([good | {"cf_refund_id": "9"} | odd, good])})
    snapshot = contract.call("fetch_payment", gateway)
    assert (snapshot.status, [r.refund_id for r in snapshot.refunds]) == (P.COMPLETED, [REFUND_ID])


@pytest.mark.parametrize("status", ["400", "404"])
@pytest.mark.parametrize(
    ("path", "code"),
    [(PAYMENTS, "payment_not_found"), (REFUNDS, "refund_not_found"), (PAYMENTS, "order_not_found")],
)
def test_a_list_that_is_not_there_is_empty(talk: Talk, path: str, code: str, status: str) -> None:
    gateway, _ = talk({path: error_reply(status, code=code)})
    snapshot = contract.call("fetch_payment", gateway)
    assert snapshot.status is P.COMPLETED
    assert (snapshot.attempts if path == PAYMENTS else snapshot.refunds) == ()


def test_an_order_that_is_not_there_is_not_an_empty_one(talk: Talk) -> None:
    gateway, _ = talk({ORDER_PATH: error_reply("404", code="order_not_found")})
    with pytest.raises(UnknownAtGateway):
        contract.call("fetch_payment", gateway)


NOT_A_LIST = [
    Reply.of({}, 404),
    error_reply("404", code="request_failed"),
    Reply.of({"message": "slow down"}, 429),
    Reply.of({"message": "not enabled"}, 403),
    Reply.of("soon"),
    Trouble.RESET,
]


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("answer", NOT_A_LIST)
def test_only_a_missing_list_is_an_empty_one(talk: Talk, answer: Any) -> None:
    gateway, _ = talk({PAYMENTS: answer})
    with pytest.raises((Rejected, Unavailable)):
        contract.call("fetch_payment", gateway, seconds=1)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("answer", NOT_A_LIST)
def test_refunds_that_cannot_be_read_hide_no_payment(talk: Talk, answer: Any) -> None:
    gateway, _ = talk({REFUNDS: answer})
    snapshot = contract.call("fetch_payment", gateway, seconds=1)
    assert (snapshot.status, snapshot.refunds) == (P.COMPLETED, None)


DECORATING = ("created_at", "order_expiry_time", "customer_details", "order_meta", "order_tags", "entity")


@pytest.mark.parametrize("word", ["ACTIVE", "PAID"])
@pytest.mark.parametrize("name", [*DECORATING, "cf_order_id", "payment_session_id"])
def test_what_decorates_an_order_may_be_missing(talk: Talk, name: str, word: str) -> None:
    for wrong in (None, *WRONG):
        entity = cashfree_wire.order(PAID.but(order_word=word)) | {name: wrong}
        gateway, _ = talk({ORDER_PATH: Reply.of(entity)})
        snapshot = contract.call("fetch_payment", gateway)
        assert snapshot.amount == PAID.amount
        assert snapshot.status is contract.order_words[word]


def test_bank_references_are_told_of_attempts_and_refunds(talk: Talk) -> None:
    refund = cashfree_wire.refund(PAID) | {"refund_arn": 205907014017}
    listed = [attempt(bank_reference=234928698581), attempt(-1, bank_reference="NA", payment_status="FAILED")]
    gateway, _ = talk({PAYMENTS: Reply.of(listed), REFUNDS: Reply.of([refund])})
    snapshot = contract.call("fetch_payment", gateway)
    assert {a.transaction_id: a.bank_reference for a in snapshot.attempts} == {
        PAYMENT: "234928698581",
        FAILED_PAYMENT: None,
    }
    assert [r.bank_reference for r in snapshot.refunds] == ["205907014017"]


@pytest.mark.parametrize("name", ["refund.instant_fell_back", "refund_cancel"])
def test_refunds_of_2026_are_read(talk: Talk, name: str) -> None:
    entity = fixture(f"update-2026-11/api/{name}.response")
    gateway, _ = talk({REFUNDS: Reply.of([entity])})
    (refund,) = contract.call("fetch_payment", gateway).refunds
    assert refund.status is contract.refund_words[entity["refund_status"]]
    assert refund.bank_reference == entity["refund_arn"]


def test_the_list_of_an_order_that_was_placed_in_cash_is_read(talk: Talk) -> None:
    listed = fixture("update-2026-11/api/payments.cod.list.response")
    snapshot = fetch(talk, "PAID", *listed, order={"order_amount": 1250})
    assert (snapshot.status, snapshot.attempts[0].amount) == (P.PENDING, Money(125000))
