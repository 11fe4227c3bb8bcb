"""What is Cashfree's alone among the calls: bodies, keys, conflicts, refunds, official errors."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

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
from payments_service.gateways.cashfree import CashfreeGateway
from payments_service.settings import Settings, SettingsError
from tests.gateways import cashfree_wire
from tests.gateways.cashfree_wire import (
    FAILED_PAYMENT,
    FIXTURES,
    ORDER,
    PAYMENT,
    SESSION,
    error_reply,
    fixture,
)
from tests.gateways.hooks import CUSTOMER, REFUND_ID, WIRE_ID
from tests.gateways.test_cashfree_contract import TestCashfreeContract as Contract
from tests.gateways.wire import Answer, Reply, Trouble, Wire, wire
from tests.support.environment import environment

contract = Contract()
PAID = Contract.paid
A = AttemptStatus
ORDER_PATH, PAYMENTS, REFUNDS, REFUND = (
    f"GET /orders/{WIRE_ID}",
    f"GET /orders/{WIRE_ID}/payments",
    f"GET /orders/{WIRE_ID}/refunds",
    f"GET /orders/{WIRE_ID}/refunds/{REFUND_ID}",
)
Talk = Callable[..., tuple[CashfreeGateway, Wire]]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A gateway and the line it talks on; by "METHOD path" what is answered other than usual."""
    lines: list[Any] = []

    def start(other: dict[str, Answer] | None = None, **config: str) -> tuple[CashfreeGateway, Wire]:
        usual, answers = contract.healthy(), other or {}
        lines.append(wire(lambda request: answers.get(f"{request.method} {request.path}") or usual(request)))
        line = lines[-1].__enter__()
        return CashfreeGateway(contract.config(line.url, **config)), line

    yield start
    for line in lines:
        line.__exit__(None, None, None)


# ── what is sent ────────────────────────────────────────────────────────────────────────────────────────


def test_each_write_has_exactly_the_documented_body_and_headers(talk: Talk) -> None:
    gateway, line = talk()
    contract.call("create_order", gateway)
    contract.call("create_refund", gateway)
    gateway.close(OrderRef(WIRE_ID), Deadline(5))
    create, refund, close = contract.sent_writes(line)
    assert create.json() == {
        "order_id": WIRE_ID,
        "order_amount": "100.15",
        "order_currency": "INR",
        "customer_details": {
            "customer_id": CUSTOMER.id,
            "customer_phone": CUSTOMER.phone,
            "customer_name": CUSTOMER.name,
            "customer_email": CUSTOMER.email,
        },
        "order_meta": {
            "return_url": "https://shop.example.com/back",
            "notify_url": "https://shop.example.com/back",
        },
        "order_expiry_time": "2099-01-01T05:31:00+05:30",
        "order_note": "Course Algebra",
    }
    assert refund.json() == {
        "refund_id": REFUND_ID,
        "refund_amount": "100.15",
        "refund_speed": "STANDARD",
        "refund_note": "returned goods",
    }
    assert (close.method, close.path) == ("PATCH", f"/orders/{WIRE_ID}")
    assert close.json() == {"order_status": "TERMINATED"}
    for request in line.requests:
        assert request.headers["x-client-id"] == cashfree_wire.APP_ID
        assert request.headers["x-client-secret"] == cashfree_wire.SECRET  # the newest of them
        assert request.headers["x-api-version"] == "2025-01-01"


def test_the_key_of_an_order_follows_from_its_id_and_a_refund_has_none(talk: Talk) -> None:
    gateway, line = talk()
    for wire_id in (WIRE_ID, WIRE_ID, WIRE_ID[::-1]):
        line.answer = Reply.of(cashfree_wire.order(PAID.but(wire_id=wire_id)))
        gateway.create_order(replace(contract.new_order(PAID.amount), wire_id=wire_id), Deadline(5))
    keys = [request.headers["x-idempotency-key"] for request in line.requests]
    assert keys[0] == keys[1] != keys[2]
    assert [str(uuid.UUID(key)) for key in keys] == keys
    line.answer = contract.healthy()
    contract.call("create_refund", gateway)
    assert "x-idempotency-key" not in line.requests[-1].headers


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Asha Rao", "Asha Rao"),
        ("आशा राव", "आशा राव"),
        ("Zoë O'Brien-Núñez Jr.", "Zoë O'Brien-Núñez Jr."),
        ("  Asha \t\n Rao \u0000", "Asha Rao"),
        ("<b>Asha</b> 😀", "b Asha b"),
        ("Al", None),
        ("😀😀😀", None),
        ("", None),
        ("x" * 150, "x" * 100),
    ],
)
def test_a_name_is_made_acceptable_or_left_out(talk: Talk, name: str, sent: str | None) -> None:
    gateway, line = talk()
    gateway.create_order(with_customer(name=name), Deadline(5))
    assert line.requests[0].json()["customer_details"].get("customer_name") == sent


@pytest.mark.parametrize("email", ["", "a@", f"{'x' * 95}@y.com", "ü@example.com"])
def test_an_address_that_would_be_refused_is_left_out(talk: Talk, email: str) -> None:
    gateway, line = talk()
    gateway.create_order(with_customer(email=email), Deadline(5))
    assert "customer_email" not in line.requests[0].json()["customer_details"]


@pytest.mark.parametrize(
    ("description", "note"), [("", None), ("ab", None), ("abc", "abc"), ("y" * 250, "y" * 200)]
)
def test_a_note_is_sent_only_where_it_fits(talk: Talk, description: str, note: str | None) -> None:
    gateway, line = talk()
    gateway.create_order(replace(contract.new_order(PAID.amount), description=description), Deadline(5))
    assert line.requests[0].json().get("order_note") == note


def test_webhooks_are_asked_for_only_where_they_can_arrive(talk: Talk) -> None:
    gateway, line = talk()
    order = replace(contract.new_order(PAID.amount), webhook_url="http://127.0.0.1:5000/api/webhook/cashfree")
    gateway.create_order(order, Deadline(5))
    assert line.requests[0].json()["order_meta"] == {"return_url": "https://shop.example.com/back"}


def with_customer(**changes: str) -> Any:
    order = contract.new_order(PAID.amount)
    return replace(order, customer=replace(order.customer, **changes))


def test_the_setting_decides_host_and_mode() -> None:
    sandbox, live = (contract.config("", environment=name) for name in ("sandbox", "production"))
    assert (sandbox.api_url, live.api_url) == (
        "https://sandbox.cashfree.com/pg",
        "https://api.cashfree.com/pg",
    )
    assert (CashfreeGateway(sandbox).mode, CashfreeGateway(live).mode) == ("test", "live")
    assert (
        contract.config("http://localhost:9/pg/", environment="production").api_url == "http://localhost:9/pg"
    )


@pytest.mark.parametrize("wrong", [{"CASHFREE_APP_SECRET": ","}, {"CASHFREE_API_VERSION": "v3"}])
def test_a_setting_that_cannot_work_stops_the_start(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(environment(database_url="sqlite:///x.db", **wrong))
    assert set(raised.value.errors) == set(wrong)


def test_the_session_opens_the_checkout_and_is_not_shown(talk: Talk) -> None:
    gateway, _ = talk()
    checkout = contract.call("create_order", gateway)
    assert checkout.fields == {"paymentSessionId": SESSION, "cfOrderId": ORDER}
    assert SESSION not in repr(checkout)


# ── creating an order twice ─────────────────────────────────────────────────────────────────────────────

CONFLICTS = (
    error_reply("409"),
    error_reply("422"),
    error_reply("400", code="idempotency_key_mismatch"),
)
active = Reply.of(cashfree_wire.order(PAID.but(order_word="ACTIVE")))


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_an_order_that_has_our_id_already_is_taken_over(talk: Talk, conflict: Reply) -> None:
    gateway, line = talk({"POST /orders": conflict, ORDER_PATH: active})
    checkout = contract.call("create_order", gateway)
    assert (checkout.gateway_order_id, checkout.amount) == (WIRE_ID, PAID.amount)
    assert checkout.fields["paymentSessionId"] == SESSION
    assert len(contract.sent_writes(line)) == 1


@pytest.mark.parametrize("answer", [Trouble.RESET, error_reply("404", code="order_not_found"), Reply(b"{}")])
def test_an_order_in_the_way_that_cannot_be_read_leaves_the_outcome_unknown(
    talk: Talk, answer: Answer
) -> None:
    gateway, _ = talk({"POST /orders": CONFLICTS[0], ORDER_PATH: answer})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_order", gateway, seconds=1)


@pytest.mark.parametrize(
    "found", [PAID.but(order_word="ACTIVE", amount=Money(10016)), PAID.but(order_word="EXPIRED")]
)
def test_an_order_in_the_way_of_another_amount_or_no_longer_open_is_not_taken(talk: Talk, found: Any) -> None:
    gateway, _ = talk({"POST /orders": CONFLICTS[0], ORDER_PATH: Reply.of(cashfree_wire.order(found))})
    with pytest.raises(Rejected):
        contract.call("create_order", gateway)


def test_any_other_refusal_takes_nothing_over(talk: Talk) -> None:
    gateway, line = talk({"POST /orders": contract.refusal})
    with pytest.raises(Rejected):
        contract.call("create_order", gateway)
    assert len(line.requests) == 1


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────


def fetch(
    talk: Talk, order_word: str, *payments: dict[str, Any], refunds: Sequence[dict[str, Any]] = ()
) -> PaymentSnapshot:
    entity = cashfree_wire.order(PAID.but(order_word=order_word))
    told = {ORDER_PATH: entity, PAYMENTS: list(payments), REFUNDS: list(refunds)}
    gateway, _ = talk({path: Reply.of(answer) for path, answer in told.items()})
    return gateway.fetch_payment(OrderRef(WIRE_ID), Deadline(5))


def test_an_open_order_tells_again_how_to_open_it(talk: Talk) -> None:
    snapshot = fetch(talk, "ACTIVE")
    assert snapshot.checkout is not None
    assert snapshot.checkout.fields["paymentSessionId"] == SESSION
    for word in ("PAID", "EXPIRED", "TERMINATED", "TERMINATION_REQUESTED", "NEW_WORD"):
        assert fetch(talk, word).checkout is None


def test_the_attempt_that_paid_is_found_wherever_it_stands(talk: Talk) -> None:
    paid, failed = cashfree_wire.payment(PAID), cashfree_wire.failed_payment(PAID)
    for items in ([failed, paid], [paid, failed]):
        snapshot = fetch(talk, "PAID", *items)
        assert (snapshot.status, snapshot.gateway_status) == (PaymentStatus.COMPLETED, "SUCCESS")
        assert {a.transaction_id: a.status for a in snapshot.attempts} == {
            PAYMENT: A.SUCCEEDED,
            FAILED_PAYMENT: A.FAILED,
        }
    assert [a.error_code for a in snapshot.attempts] == [None, "TRANSACTION_DECLINED"]


def test_a_success_that_did_not_pay_the_order_leaves_it_open(talk: Talk) -> None:
    snapshot = fetch(talk, "ACTIVE", cashfree_wire.payment(PAID) | {"payment_amount": 1.5})
    assert (snapshot.status, snapshot.gateway_status) == (PaymentStatus.PENDING, "ACTIVE")
    assert (snapshot.attempts[0].status, snapshot.attempts[0].amount) == (A.SUCCEEDED, Money(150))


def test_money_that_came_too_late_went_back(talk: Talk) -> None:
    late = cashfree_wire.payment(PAID) | {"payment_status": "CANCELLED"}
    back = cashfree_wire.refund(PAID) | {"refund_id": None, "refund_type": "PAYMENT_AUTO_REFUND"}
    snapshot = fetch(talk, "EXPIRED", late, refunds=[back])
    assert (snapshot.status, snapshot.attempts[0].status) == (PaymentStatus.EXPIRED, A.VOIDED)
    (refund,) = snapshot.refunds or ()
    assert (refund.refund_id, refund.transaction_id, refund.amount) == (None, PAYMENT, PAID.amount)


def test_what_was_paid_in_another_currency_counts_as_what_was_ordered(talk: Talk) -> None:
    abroad = cashfree_wire.payment(PAID) | {"payment_amount": 1.25, "payment_currency": "USD"}
    assert fetch(talk, "PAID", abroad).attempts[0].amount == PAID.amount


def test_ids_are_texts_whatever_they_came_as(talk: Talk) -> None:
    snapshot = fetch(talk, "PAID", cashfree_wire.payment(PAID) | {"cf_payment_id": int(PAYMENT)})
    assert snapshot.attempts[0].transaction_id == PAYMENT
    old = cashfree_wire.refund(PAID) | {"cf_refund_id": "refund_1553338", "cf_payment_id": int(PAYMENT)}
    gateway, _ = talk({REFUNDS: Reply.of([old])})
    (refund,) = contract.call("fetch_payment", gateway).refunds
    assert (refund.gateway_refund_id, refund.transaction_id) == ("1553338", PAYMENT)


def test_refunds_are_asked_for_only_where_there_can_be_any(talk: Talk) -> None:
    gateway, line = talk()
    assert [r.refund_id for r in contract.call("fetch_payment", gateway).refunds] == [REFUND_ID]
    gateway, line = talk({ORDER_PATH: active, PAYMENTS: Reply.of([cashfree_wire.failed_payment(PAID)])})
    assert contract.call("fetch_payment", gateway).refunds == ()
    assert not [request for request in line.requests if request.path.endswith("/refunds")]


@pytest.mark.parametrize("items", [{}, {"data": []}, {"0": {}}])
def test_what_is_no_list_of_attempts_is_not_an_empty_one(talk: Talk, items: Any) -> None:
    gateway, _ = talk({PAYMENTS: Reply.of(items)})
    with pytest.raises(Unavailable):
        contract.call("fetch_payment", gateway)


def test_an_answer_about_another_order_is_no_answer(talk: Talk) -> None:
    other = Reply.of(cashfree_wire.order(PAID.but(wire_id=WIRE_ID[::-1])))
    gateway, _ = talk({ORDER_PATH: other, "POST /orders": other})
    with pytest.raises(Unavailable):
        contract.call("fetch_payment", gateway)
    with pytest.raises(OutcomeUnknown):
        contract.call("create_order", gateway)


@pytest.mark.parametrize("name", sorted(p.stem for p in (FIXTURES / "api").glob("order.*.json")))
def test_official_orders_are_read(talk: Talk, name: str) -> None:
    entity = fixture(f"api/{name}") | {"order_id": WIRE_ID}
    gateway, _ = talk({ORDER_PATH: Reply.of(entity), PAYMENTS: Reply.of([]), REFUNDS: Reply.of([])})
    snapshot = gateway.fetch_payment(OrderRef(WIRE_ID), Deadline(5))
    assert snapshot.status is Contract.order_words[entity["order_status"]]
    assert snapshot.amount == Money.from_major(str(entity["order_amount"]))
    assert snapshot.order.gateway_order_id == WIRE_ID


@pytest.mark.parametrize("name", sorted(p.stem for p in (FIXTURES / "api").glob("payments.*.json")))
def test_official_attempts_are_read(talk: Talk, name: str) -> None:
    payments, words = fixture(f"api/{name}"), Contract.attempt_words
    snapshot = fetch(talk, "ACTIVE", *payments)
    assert [(a.transaction_id, a.status) for a in snapshot.attempts] == [
        (one["cf_payment_id"], A.AUTHORIZED if one["authorization"] else words[one["payment_status"]])
        for one in payments
    ]  # the one sample with an authorization waits for its capture


@pytest.mark.parametrize("name", sorted(p.stem for p in (FIXTURES / "api").glob("refund.*.json")))
def test_official_refunds_are_read(talk: Talk, name: str) -> None:
    entity = fixture(f"api/{name}")
    gateway, _ = talk({REFUND: Reply.of(entity)})
    refund = contract.call("fetch_refund", gateway)
    assert refund.status is Contract.refund_words[entity["refund_status"]]
    assert (refund.refund_id, refund.amount) == (
        entity["refund_id"],
        Money.from_major(str(entity["refund_amount"])),
    )


def test_no_payment_id_leads_to_an_order(talk: Talk) -> None:
    gateway, line = talk()
    assert gateway.find_by_payment_id(PAYMENT, Deadline(5)) is None
    assert line.requests == []


# ── closing ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("TERMINATED", PaymentStatus.EXPIRED),
        ("TERMINATION_REQUESTED", PaymentStatus.PENDING),
        ("PAID", PaymentStatus.COMPLETED),
    ],
)
def test_how_a_closed_order_really_ended_is_read_back(talk: Talk, word: str, status: PaymentStatus) -> None:
    gateway, _ = talk({ORDER_PATH: Reply.of(cashfree_wire.order(PAID.but(order_word=word)))})
    snapshot = gateway.close(OrderRef(WIRE_ID), Deadline(5))
    assert snapshot is not None
    assert (snapshot.status, snapshot.fetched) == (status, True)


def test_a_closed_order_that_cannot_be_read_back_is_unknown(talk: Talk) -> None:
    gateway, _ = talk({ORDER_PATH: Trouble.RESET})
    with pytest.raises(OutcomeUnknown):
        gateway.close(OrderRef(WIRE_ID), Deadline(1))


# ── refunding twice ─────────────────────────────────────────────────────────────────────────────────────

POST_REFUND = f"POST /orders/{WIRE_ID}/refunds"
NOT_THERE = error_reply("404", code="refund_not_found")
MAYBE_DOUBLED = (error_reply("400"), error_reply("400", code="refund_id_already_exists"), error_reply("409"))


@pytest.mark.parametrize("refusal", MAYBE_DOUBLED)
def test_a_refused_refund_that_is_there_already_is_found(talk: Talk, refusal: Reply) -> None:
    gateway, line = talk({POST_REFUND: refusal})
    refund = contract.call("create_refund", gateway)
    assert (refund.refund_id, refund.status) == (REFUND_ID, RefundStatus.COMPLETED)
    assert [request.method for request in line.requests] == ["POST", "GET"]


def test_a_refused_refund_that_is_not_there_was_refused(talk: Talk) -> None:
    gateway, _ = talk({POST_REFUND: error_reply("400", code="refund_amount_invalid"), REFUND: NOT_THERE})
    with pytest.raises(Rejected) as caught:
        contract.call("create_refund", gateway)
    assert caught.value.gateway_code == "refund_amount_invalid"


@pytest.mark.parametrize("code", ["refund_id_already_exists", "idempotency_key_mismatch"])
def test_a_refund_said_to_be_there_and_not_found_is_unknown(talk: Talk, code: str) -> None:
    gateway, _ = talk({POST_REFUND: error_reply("400", code=code), REFUND: NOT_THERE})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_refund", gateway)


def test_a_refused_refund_that_cannot_be_looked_for_is_unknown(talk: Talk) -> None:
    gateway, _ = talk({POST_REFUND: error_reply("400"), REFUND: Trouble.RESET})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_refund", gateway, seconds=1)


def test_a_refund_of_another_amount_under_our_id_is_told_as_it_is(talk: Talk) -> None:
    """Money moved: whoever asked must hear how much."""
    other = Reply.of(cashfree_wire.refund(PAID.but(amount=Money(1))))
    gateway, _ = talk({POST_REFUND: MAYBE_DOUBLED[1], REFUND: other})
    assert contract.call("create_refund", gateway).amount == Money(1)


def test_a_refund_that_did_not_begin_here_is_found_by_cashfrees_id(talk: Talk) -> None:
    theirs = cashfree_wire.refund(PAID) | {"refund_id": "dashboard_1", "cf_refund_id": "1553338"}
    another = theirs | {"cf_refund_id": "1553339"}
    gateway, line = talk({REFUNDS: Reply.of([another, theirs])})
    ref = RefundRef("", OrderRef(WIRE_ID), PAYMENT, "1553338")
    assert gateway.fetch_refund(ref, Deadline(5)).gateway_refund_id == "1553338"
    with pytest.raises(UnknownAtGateway):
        gateway.fetch_refund(replace(ref, gateway_refund_id="1"), Deadline(5))
    assert {request.path for request in line.requests} == {f"/orders/{WIRE_ID}/refunds"}


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────

ERRORS: dict[str, type[GatewayError]] = {
    "404": UnknownAtGateway,
    "429": Unavailable,
    "500": Unavailable,
    "502": Unavailable,
}


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("name", sorted(path.stem for path in (FIXTURES / "errors").glob("*.json")))
def test_an_official_error_is_told_apart(talk: Talk, name: str) -> None:
    gateway, _ = talk({ORDER_PATH: error_reply(name)})
    with pytest.raises(GatewayError) as caught:
        contract.call("fetch_payment", gateway)
    assert type(caught.value) is ERRORS.get(name, Rejected)
    expected = "idempotency_error" if name == "422" else fixture(f"errors/{name}")["code"]
    assert (caught.value.gateway_status, caught.value.gateway_code) == (int(name[:3]), expected)


@pytest.mark.parametrize("status", ["400", "404"])
def test_an_unknown_order_may_be_a_400_or_a_404_and_a_wrong_address_is_neither(
    talk: Talk, status: str
) -> None:
    for code, expected in (("order_not_found", UnknownAtGateway), ("request_failed", Rejected)):
        gateway, _ = talk({ORDER_PATH: error_reply(status, code=code)})
        with pytest.raises(Rejected) as caught:
            contract.call("fetch_payment", gateway)
        assert type(caught.value) is expected


def test_cashfrees_own_header_says_how_long_to_wait(talk: Talk) -> None:
    gateway, _ = talk({ORDER_PATH: Reply.of({}, 429, **{"x-ratelimit-retry": "4", "Retry-After": "9"})})
    with pytest.raises(Unavailable) as caught:
        contract.call("fetch_payment", gateway)
    assert caught.value.retry_after_seconds == 4


def test_a_fetch_is_dated_by_its_beginning(talk: Talk) -> None:
    gateway, _ = talk()
    before = datetime.now(UTC)
    assert before <= contract.call("fetch_payment", gateway).observed_at <= datetime.now(UTC)
