"""PhonePe V2's odd answers: what decides, what is left out, which refusals are believed, and disputes."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import (
    GatewayError,
    OutcomeUnknown,
    Rejected,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.domain.money import Money
from payments_service.domain.news import OrderRef, PaymentSnapshot, RefundRef
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.phonepe import PhonePeGateway
from tests.gateways.hooks import REFUND_ID, WIRE_ID
from tests.gateways.phonepe_wire import PAYMENT, fixture, order
from tests.gateways.strange import assert_storable, with_one_strange_member
from tests.gateways.test_phonepe_contract import TestPhonePeContract as Contract
from tests.gateways.wire import Answer, Reply, Wire, wire

contract = Contract()
PAY, STATUS = "/checkout/v2/pay", f"/checkout/v2/order/{WIRE_ID}/status"
REFUND, REFUND_STATUS = "/payments/v2/refund", f"/payments/v2/refund/{REFUND_ID}/status"
ORDERS = fixture("v2_2026/order_status")
REFUSALS = fixture("v2_2026/refusals")
DISPUTES = fixture("v2_2026/disputes")
DISPUTE = "D2611200001"
P, A = PaymentStatus, AttemptStatus
Talk = Callable[..., tuple[PhonePeGateway, Wire]]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A gateway and the line it talks on; by path what is answered other than usual."""
    lines: list[Any] = []

    def start(answers: dict[str, Answer] | None = None) -> tuple[PhonePeGateway, Wire]:
        usual, other = contract.healthy(), answers or {}
        lines.append(wire(lambda request: other.get(request.path) or usual(request)))
        line = lines[-1].__enter__()
        return cast(PhonePeGateway, contract.gateway(line.url)), line

    yield start
    for line in lines:
        line.__exit__(None, None, None)


def fetch(talk: Talk, body: Any) -> PaymentSnapshot:
    gateway, _ = talk({STATUS: Reply.of(body)})
    snapshot: PaymentSnapshot = contract.call("fetch_payment", gateway)
    return snapshot


def reply(refusal: dict[str, Any]) -> Reply:
    if "body" in refusal:
        return Reply.of(refusal["body"], refusal["http_status"])
    headers = {"Content-Type": refusal["content_type"], **refusal.get("headers", {})}
    return Reply(refusal["body_text"].encode(), refusal["http_status"], headers)


def named(refusal: dict[str, Any]) -> str:
    said = refusal["body"].get("code") if "body" in refusal else refusal["body_text"][:40]
    return f"{refusal['http_status']} {said}"


# ── the root decides ────────────────────────────────────────────────────────────────────────────────────

READ: dict[str, tuple[PaymentStatus, list[AttemptStatus], list[str | None]]] = {
    "card_completed": (P.COMPLETED, [A.SUCCEEDED], ["664609297766"]),
    "credit_line": (P.COMPLETED, [A.SUCCEEDED], ["690975846798"]),
    "failed_error_context": (P.FAILED, [A.FAILED], [None]),
    "rupay_credit_attempt_above_order": (P.COMPLETED, [A.SUCCEEDED], ["667664912551"]),
    "upi_qr_completed": (P.COMPLETED, [A.SUCCEEDED], ["655935103353"]),
    "created_without_payment_details": (P.PENDING, [], []),
    "settled_card_igst": (P.COMPLETED, [A.SUCCEEDED], ["602962289077"]),
    "settled_net_banking_cgst_sgst": (P.COMPLETED, [A.SUCCEEDED], ["674175187893"]),
    "settled_upi_no_fee": (P.COMPLETED, [A.SUCCEEDED], ["678265387992"]),
    "settlement_not_initiated": (P.COMPLETED, [A.SUCCEEDED], ["652053937676"]),
    "uat_pending_expires_after_two_days": (P.PENDING, [], []),
    "paid_no_paymentDetails": (P.COMPLETED, [], []),
    "paid_after_failed_attempt_without_id": (P.COMPLETED, [A.SUCCEEDED], [None]),
    "paid_attempt_id_null": (P.COMPLETED, [], []),
    "paid_amount_as_text": (P.COMPLETED, [A.SUCCEEDED], [None]),
}


@pytest.mark.parametrize("name", ORDERS)
def test_an_answer_of_2026_is_read_as_documented(talk: Talk, name: str) -> None:
    snapshot = fetch(talk, ORDERS[name])
    attempts = [attempt.status for attempt in snapshot.attempts]
    references = [attempt.bank_reference for attempt in snapshot.attempts]
    assert (snapshot.status, attempts, references) == READ[name]
    assert snapshot.amount == Money(int(ORDERS[name]["amount"]))


def test_an_attempt_above_its_order_is_told_as_it_is_and_the_order_keeps_its_amount(talk: Talk) -> None:
    snapshot = fetch(talk, ORDERS["rupay_credit_attempt_above_order"])
    assert (snapshot.amount, snapshot.attempts[0].amount) == (Money(500), Money(505))
    assert PhonePeGateway.refunds_up_to_the_order


def test_no_attempt_however_odd_hides_that_the_order_is_paid(talk: Talk) -> None:
    """Each member of it missing or wrong in turn: read or left out, and the other attempt stands."""
    genuine = order(contract.paid)
    failed, paid = genuine["paymentDetails"]
    odd = [*with_one_strange_member(paid), None, 7, "x", [], {}]
    gateway, line = talk()
    for attempt in odd:
        answer = Reply.of(genuine | {"paymentDetails": [failed, attempt]})
        line.answer = contract.healthy_but(STATUS, answer)
        snapshot = contract.call("fetch_payment", gateway)
        assert (snapshot.status, snapshot.attempts[0].status) == (P.COMPLETED, A.FAILED)
        assert_storable(snapshot)


def test_no_order_is_believed_without_a_word_and_an_amount(talk: Talk) -> None:
    genuine = ORDERS["upi_qr_completed"]
    for name, wrong in (("state", None), ("state", 7), ("amount", None), ("amount", 1.5), ("amount", "x")):
        with pytest.raises(Unavailable):
            fetch(talk, {**genuine, name: wrong})


def test_another_currency_is_told_apart(talk: Talk) -> None:
    assert fetch(talk, {**ORDERS["upi_qr_completed"], "currency": "USD"}).amount == Money(49900, "USD")


# ── what is not the API's ───────────────────────────────────────────────────────────────────────────────

EDGE = [*REFUSALS["not_the_api"]]
OTHER_404S = [
    {"http_status": 400, "body": {"code": "BAD_REQUEST", "message": "Api Mapping Not Found"}},
    {"http_status": 404, "body": {"code": "NOT_FOUND", "message": "HTTP 404 Not Found"}},
    {"http_status": 404, "body": {"message": "no Route matched"}},
    {"http_status": 404, "content_type": "text/html", "body_text": "<html>404</html>"},
    {"http_status": 400, "content_type": "text/plain", "body_text": "error code: 1020"},
    {"http_status": 520, "content_type": "text/html", "body_text": "<html>520</html>"},
    {"http_status": 403, "content_type": "application/json", "body_text": "[]"},
]


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("refusal", [*EDGE, *OTHER_404S], ids=named)
def test_what_is_not_the_apis_answer_says_nothing_of_an_order(talk: Talk, refusal: dict[str, Any]) -> None:
    gateway, line = talk()
    contract.call("fetch_payment", gateway)
    line.answer = reply(refusal)
    for verb in contract.reads:
        with pytest.raises(Unavailable):
            contract.call(verb, gateway)
    with pytest.raises(Unavailable):
        gateway.fetch_dispute(DISPUTE, Deadline(5))
    for verb in contract.writes:
        line.requests.clear()
        with pytest.raises(GatewayError) as caught:
            contract.call(verb, gateway)
        assert not isinstance(caught.value, UnknownAtGateway)
        assert [request.method for request in line.requests].count("POST") == 1


@pytest.mark.parametrize("refusal", [one for one in EDGE if "html" in one["content_type"]], ids=named)
def test_a_page_after_a_write_leaves_its_outcome_open(talk: Talk, refusal: dict[str, Any]) -> None:
    if refusal["http_status"] == 429:
        expected: type[GatewayError] = Unavailable  # turned away at the door
    else:
        expected = OutcomeUnknown
    gateway, _ = talk({PAY: reply(refusal), REFUND: reply(refusal)})
    for verb in contract.writes:
        with pytest.raises(expected):
            contract.call(verb, gateway)


def test_a_page_instead_of_a_token_means_that_nothing_was_sent(talk: Talk) -> None:
    gateway, line = talk({"/v1/oauth/token": Reply(b"<html>", 403)})
    with pytest.raises(Unavailable):
        contract.call("create_order", gateway)
    assert {request.path for request in line.requests} == {"/v1/oauth/token"}


# ── unknown ids ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize("refusal", REFUSALS["unknown_ids"], ids=named)
def test_an_unknown_id_is_told_by_its_code_whatever_its_http_status(
    talk: Talk, refusal: dict[str, Any], status: int
) -> None:
    answer = Reply.of(refusal["body"], status)
    gateway, _ = talk({STATUS: answer, f"/checkout/v2/transaction/{PAYMENT}/status": answer})
    for verb in ("fetch_payment", "find_by_payment_id"):
        with pytest.raises(UnknownAtGateway):
            contract.call(verb, gateway)


def test_an_unknown_refund_and_an_unknown_dispute_are_told_apart(talk: Talk) -> None:
    unknown = {"code": "REFUND_NOT_FOUND", "message": "?", "data": {}}
    gateway, _ = talk({REFUND_STATUS: Reply.of(unknown, 404)})
    with pytest.raises(UnknownAtGateway):
        contract.call("fetch_refund", gateway)


# ── an order's end ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("told", ["missing", None, "soon", [], 1.5, 10**400])
def test_an_order_whose_end_is_not_told_ends_when_it_was_asked_to(talk: Talk, told: Any) -> None:
    answer = {**fixture("v2_2026/pay_answer_without_expire_at")}
    if told != "missing":
        answer["expireAt"] = told
    gateway, _ = talk({PAY: Reply.of(answer)})
    asked = datetime.now(UTC) + timedelta(seconds=900)
    new = dataclasses.replace(contract.new_order(Money(10100)), expires_at=asked)
    checkout = gateway.create_order(new, Deadline(5))
    assert checkout.gateway_order_id == answer["orderId"]
    assert abs(datetime.fromisoformat(str(checkout.fields["expireAt"])) - asked) < timedelta(seconds=5)


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────────────

MADE = fixture("v2_2026/refund_status")
NO_SUCH_REFUND = Reply.of({"code": "REFUND_NOT_FOUND", "message": "?", "data": {}}, 404)
MORE_REFUSALS = [
    *({"http_status": 400, "body": {"code": code}} for code in ("BAD_REQUEST", "INVALID_TRANSACTION_ID")),
    {"http_status": 409, "body": {"code": "DUPLICATE_REQUEST"}},
    {"http_status": 417, "body": {"code": "INVALID_MERCHANT_ORDER_ID"}},
    {"http_status": 422, "body": {"code": "REFUND_IN_PROGRESS"}},
]
CREATE_REFUSALS = [*REFUSALS["refunds"][:-1], *MORE_REFUSALS]
USED_BEFORE = ("REFUND_ID_DUPLICATED", "Refund ID Duplicated", "INVALID_TRANSACTION_ID")


@pytest.mark.parametrize("refusal", CREATE_REFUSALS, ids=named)
def test_a_refund_that_is_there_is_never_taken_for_one_that_was_refused(
    talk: Talk, refusal: dict[str, Any]
) -> None:
    gateway, line = talk({REFUND: reply(refusal), REFUND_STATUS: Reply.of(MADE["upi_completed"])})
    found = contract.call("create_refund", gateway)
    assert (found.refund_id, found.status, found.amount) == (REFUND_ID, RefundStatus.COMPLETED, Money(19900))
    assert [request.path for request in line.requests][1:] == [REFUND, REFUND_STATUS]


@pytest.mark.parametrize("refusal", CREATE_REFUSALS, ids=named)
def test_a_refusal_of_a_refund_that_is_not_there_is_believed(talk: Talk, refusal: dict[str, Any]) -> None:
    gateway, _ = talk({REFUND: reply(refusal), REFUND_STATUS: NO_SUCH_REFUND})
    is_contradiction = refusal["http_status"] == 417 or refusal["body"]["code"] in USED_BEFORE
    with pytest.raises(OutcomeUnknown if is_contradiction else Rejected):
        contract.call("create_refund", gateway)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("lookup", [Reply(b"", 503), Reply.of({"code": "FORBIDDEN"}, 403), Reply.of({})])
@pytest.mark.parametrize("refusal", CREATE_REFUSALS, ids=named)
def test_a_refusal_is_not_believed_while_the_refund_cannot_be_looked_for(
    talk: Talk, refusal: dict[str, Any], lookup: Reply
) -> None:
    gateway, _ = talk({REFUND: reply(refusal), REFUND_STATUS: lookup})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_refund", gateway)


@pytest.mark.parametrize(
    "code", ["INVALID_MERCHANT_ORDER_ID", "MERCHANT_ORDER_MAPPING_NOT_FOUND", "ORDER_NOT_FOUND"]
)
def test_of_an_unknown_order_there_is_no_refund(talk: Talk, code: str) -> None:
    gateway, line = talk({REFUND: Reply.of({"code": code}, 400)})
    with pytest.raises(UnknownAtGateway):
        contract.call("create_refund", gateway)
    assert REFUND_STATUS not in [request.path for request in line.requests]


@pytest.mark.parametrize("name", MADE)
def test_a_refund_of_2026_is_read_as_documented(talk: Talk, name: str) -> None:
    gateway, _ = talk({REFUND_STATUS: Reply.of(MADE[name])})
    found = gateway.fetch_refund(RefundRef(REFUND_ID, OrderRef(WIRE_ID), PAYMENT), Deadline(5))
    status = RefundStatus.FAILED if name.startswith("failed") else RefundStatus.COMPLETED
    assert (found.status, found.gateway_refund_id) == (status, MADE[name]["refundId"])
    assert found.bank_reference == ("659082329422" if name == "upi_completed" else None)


@pytest.mark.parametrize(
    ("where", "reference"),
    [
        ({"rail": {"utr": "1"}}, "1"),
        ({"instrument": {"arn": "2"}}, "2"),
        ({"instrument": {"brn": 3}}, "3"),
        ({"rail": {"utr": None}, "splitInstruments": [{"rail": {"utr": "4"}}]}, "4"),
        ({"splitInstruments": [None, {"rail": 7}, {"instrument": {"arn": "5"}}]}, "5"),
        ({"rail": [], "instrument": "x", "splitInstruments": {"rail": {}}}, None),
        ({"rail": {"utr": "NA"}, "instrument": {"arn": ""}}, None),
        ({}, None),
    ],
)
def test_a_bank_reference_is_found_wherever_it_stands(talk: Talk, where: Any, reference: str | None) -> None:
    attempt = {"transactionId": "OM1", "state": "COMPLETED", "amount": 1, **where}
    [read] = fetch(
        talk, {"orderId": "OMO1", "state": "COMPLETED", "amount": 1, "paymentDetails": [attempt]}
    ).attempts
    assert read.bank_reference == reference


# ── disputes ────────────────────────────────────────────────────────────────────────────────────────────


def ask(talk: Talk, answer: Answer, dispute_id: str = DISPUTE) -> Any:
    gateway, _ = talk({f"/v1/disputes/{dispute_id}": answer})
    return gateway.fetch_dispute(dispute_id, Deadline(5))


def test_a_dispute_is_read_as_documented(talk: Talk) -> None:
    dispute = ask(talk, Reply.of(DISPUTES["action_required"]))
    assert (dispute.dispute_id, dispute.transaction_id) == (DISPUTE, "OM2610211630000007796143V")
    assert (dispute.gateway_status, dispute.phase, dispute.is_closed) == (
        "ACTION_REQUIRED",
        "CHARGEBACK",
        False,
    )
    assert dispute.amount == Money(50000)
    assert dispute.respond_by == datetime(2026, 11, 27, 11, 0, tzinfo=UTC)
    assert abs(datetime.now(UTC) - dispute.observed_at) < timedelta(seconds=60)
    assert_storable(dispute)


@pytest.mark.parametrize(
    ("status", "is_closed"),
    [("ACTION_REQUIRED", False), ("UNDER_REVIEW", False), ("WON", True), ("LOST", True), ("NEW", False)],
)
def test_a_dispute_ends_by_being_won_or_lost(talk: Talk, status: str, is_closed: bool) -> None:
    assert ask(talk, Reply.of({**DISPUTES["action_required"], "status": status})).is_closed is is_closed


@pytest.mark.parametrize(
    ("status", "needs_answer"),
    [("ACTION_REQUIRED", True), ("UNDER_REVIEW", False), ("WON", False), ("LOST", False), ("NEW", False)],
)
def test_a_dispute_can_be_answered_only_when_action_is_required(
    talk: Talk, status: str, needs_answer: bool
) -> None:
    dispute = ask(talk, Reply.of({**DISPUTES["action_required"], "status": status}))
    assert (dispute.needs_answer, dispute.asks_again) == (needs_answer, False)


@pytest.mark.parametrize(
    ("status", "went_back", "deducted", "takes_money"),
    [
        ("UNDER_REVIEW", 0, Money(0), True),
        ("WON", 0, Money(0), False),
        ("WON", 500, Money(500), True),  # a part was not contested
        ("WON", None, None, False),
        ("WON", "?", None, False),
        ("LOST", 50000, Money(50000), True),
        ("LOST", 0, Money(0), True),
        ("LOST", None, None, True),
    ],
)
def test_a_dispute_took_what_went_back_to_the_payer(
    talk: Talk, status: str, went_back: Any, deducted: Money | None, takes_money: bool
) -> None:
    changed = {**DISPUTES["action_required"], "status": status, "refundAmount": went_back}
    dispute = ask(talk, Reply.of(changed))
    assert (dispute.deducted, dispute.takes_money) == (deducted, takes_money)


@pytest.mark.parametrize("refusal", DISPUTES["errors"], ids=named)
@pytest.mark.usefixtures("no_pauses")
def test_a_dispute_that_cannot_be_had_is_a_gateways_error(talk: Talk, refusal: dict[str, Any]) -> None:
    expected: type[GatewayError] = Rejected
    if refusal["body"]["code"] == "DISPUTE_NOT_FOUND":
        expected = UnknownAtGateway
    elif refusal["http_status"] >= 500:
        expected = Unavailable
    with pytest.raises(expected) as caught:
        ask(talk, reply(refusal))
    assert type(caught.value) is expected


def test_a_strange_member_of_a_dispute_makes_no_other_error(talk: Talk) -> None:
    gateway, line = talk()
    for answer in with_one_strange_member(DISPUTES["action_required"]):
        line.answer = contract.healthy_but(f"/v1/disputes/{DISPUTE}", Reply.of(answer))
        with contextlib.suppress(Unavailable):
            assert_storable(gateway.fetch_dispute(DISPUTE, Deadline(5)))


@pytest.mark.parametrize("dispute_id", ["", "../x", "D1/accept", "D 1", "é", "x" * 65])
def test_what_cannot_be_a_disputes_id_is_not_asked_for(talk: Talk, dispute_id: str) -> None:
    gateway, line = talk()
    with pytest.raises(UnknownAtGateway):
        gateway.fetch_dispute(dispute_id, Deadline(5))
    assert line.requests == []


def test_a_call_that_is_not_allowed_is_refused_and_not_unknown(talk: Talk) -> None:
    """Disputes are a permission of their own."""
    with pytest.raises(Rejected) as caught:
        ask(talk, Reply.of({"code": "FORBIDDEN", "message": "?"}, 403))
    assert type(caught.value) is Rejected
