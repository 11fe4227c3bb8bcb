"""Odd answers of Razorpay: one member or item that is not as documented hides nothing, and ends nothing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import OutcomeUnknown, Rejected, Unavailable, UnknownAtGateway
from payments_service.domain.money import Money
from payments_service.domain.news import OrderRef, PaymentSnapshot, RefundRef
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.razorpay import RazorpayGateway
from tests.gateways import razorpay_wire
from tests.gateways.hooks import WIRE_ID
from tests.gateways.razorpay_wire import FIXTURES, ORDER, PAYMENT, error_reply, fixture, listed
from tests.gateways.strange import WRONG
from tests.gateways.test_razorpay_contract import TestRazorpayContract as Contract
from tests.gateways.wire import Answer, Reply, Wire, wire

contract = Contract()
A, P = AttemptStatus, PaymentStatus
AMOUNT = 100000
Talk = Callable[[dict[str, Answer]], tuple[RazorpayGateway, Wire]]
Fetch = Callable[..., PaymentSnapshot]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A gateway and its line; by path (after /v1/) what is answered other than usual."""
    lines: list[Any] = []

    def start(answers: dict[str, Answer]) -> tuple[RazorpayGateway, Wire]:
        usual = contract.healthy()
        lines.append(wire(lambda request: answers.get(request.path.removeprefix("/v1/")) or usual(request)))
        line = lines[-1].__enter__()
        return RazorpayGateway(contract.config(line.url)), line

    yield start
    for line in lines:
        line.__exit__(None, None, None)


@pytest.fixture
def fetch(talk: Talk) -> Fetch:
    """What is made of an order in these words with these payments and refunds."""

    def ask(order: dict[str, Any], payments: Any, refunds: Any = ()) -> PaymentSnapshot:
        lists = {
            f"orders/{ORDER}/payments": payments if isinstance(payments, Reply) else listed(*payments),
            f"payments/{PAYMENT}/refunds": refunds if isinstance(refunds, Reply) else listed(*refunds),
        }
        replies = {path: a if isinstance(a, Reply) else Reply.of(a) for path, a in lists.items()}
        gateway, _ = talk({f"orders/{ORDER}": Reply.of(an_order(**order)), **replies})
        return gateway.fetch_payment(OrderRef(WIRE_ID, ORDER), Deadline(5))

    return ask


def an_order(**changes: Any) -> dict[str, Any]:
    world = contract.paid.but(amount=Money(AMOUNT), order_word=changes.get("status", "paid"))
    return razorpay_wire.order(world) | changes


def a_payment(**changes: Any) -> dict[str, Any]:
    told = razorpay_wire.payment(contract.paid.but(amount=Money(AMOUNT)))
    return told | {"amount_refunded": 0, "refund_status": None, **changes}


def cash(status: str, **changes: Any) -> dict[str, Any]:
    return a_payment(**{"id": "pay_CashOnDelivry1", "method": "cod", "status": status, **changes})


# ── cash on delivery, and orders that are paid in part ──────────────────────────────────────────────────

PLACED = (("pending", A.PLACED), ("authorized", A.PLACED), ("captured", A.COLLECTED))


@pytest.mark.parametrize(("word", "status"), PLACED)
@pytest.mark.parametrize("order_word", ["placed", "attempted", "paid", "refunded"])
def test_cash_on_delivery_pays_no_order(
    fetch: Fetch, word: str, status: AttemptStatus, order_word: str
) -> None:
    snapshot = fetch({"status": order_word}, [cash(word, amount=AMOUNT + 5000)])
    assert (snapshot.status, snapshot.gateway_status) == (P.PENDING, f"cod_{word}")
    (attempt,) = snapshot.attempts
    assert (attempt.status, attempt.amount, attempt.capture_by) == (status, Money(AMOUNT + 5000), None)
    assert snapshot.amount == Money(AMOUNT)


def test_cash_that_never_came_holds_nothing(fetch: Fetch) -> None:
    for word, status in (("failed", A.FAILED), ("refunded", A.VOIDED), ("created", A.PENDING)):
        snapshot = fetch({"status": "attempted"}, [cash(word)])
        assert (snapshot.status, snapshot.attempts[0].status) == (P.PENDING, status)
    assert fetch({"status": "cancelled"}, [cash("failed")]).status is P.FAILED


@pytest.mark.parametrize("rest", ["pending", "authorized", "captured"])
@pytest.mark.parametrize("order_word", ["placed", "attempted", "paid"])
def test_a_part_that_was_paid_does_not_pay_the_order_beside_cash(
    fetch: Fetch, order_word: str, rest: str
) -> None:
    part = a_payment(amount=20000)
    snapshot = fetch({"status": order_word, "amount_paid": 20000}, [part, cash(rest, amount=80000)])
    assert (snapshot.status, snapshot.amount) == (P.PENDING, Money(AMOUNT))
    assert snapshot.attempts[0].amount == Money(20000)
    assert {attempt.status for attempt in snapshot.attempts} <= {A.SUCCEEDED, A.PLACED, A.COLLECTED}


def test_a_promise_of_cash_that_was_paid_online_after_all_is_paid(fetch: Fetch) -> None:
    snapshot = fetch({"status": "paid"}, [cash("pending"), a_payment()])
    assert (snapshot.status, snapshot.gateway_status) == (P.COMPLETED, "captured")


@pytest.mark.parametrize("paid", [AMOUNT - 10000, AMOUNT + 2360])
def test_an_offer_and_a_fee_of_the_customer_leave_the_order_paid(fetch: Fetch, paid: int) -> None:
    snapshot = fetch({"status": "paid"}, [a_payment(amount=paid)])
    assert (snapshot.status, snapshot.amount) == (P.COMPLETED, Money(AMOUNT))
    assert snapshot.attempts[0].amount == Money(paid)


@pytest.mark.parametrize("word", ["created", "attempted", "placed", "cancelled", "expired", "refunded"])
def test_captured_money_under_a_word_that_lags_stays_open(fetch: Fetch, word: str) -> None:
    snapshot = fetch({"status": word}, [a_payment(amount=20000)])
    assert (snapshot.status, snapshot.attempts[0].status) == (P.PENDING, A.SUCCEEDED)


@pytest.mark.parametrize("word", ["cancelled", "expired"])
def test_an_order_is_over_only_where_no_money_came(fetch: Fetch, word: str) -> None:
    over = {"cancelled": P.FAILED, "expired": P.EXPIRED}[word]
    assert fetch({"status": word}, []).status is over
    assert fetch({"status": word}, [a_payment(status="failed", captured=False)]).status is over
    assert fetch({"status": word, "amount_paid": 1}, []).status is P.PENDING
    assert fetch({"status": word}, [a_payment(status="a new word")]).status is P.PENDING
    assert fetch({"status": word}, [cash("captured")]).status is P.PENDING
    assert fetch({"status": word}, [a_payment(status="authorized")]).status is P.AUTHORIZED


@pytest.mark.parametrize(
    ("order", "payments"),
    [
        ({"amount_paid": AMOUNT}, []),
        ({"amount_paid": AMOUNT}, [a_payment(status="failed", captured=False)]),
        ({"status": "a new word"}, []),
        ({}, [a_payment(status=None)]),
        ({}, [a_payment(status="CAPTURED")]),
        ({}, [a_payment(status="refunded", captured=None)]),
    ],
)
def test_what_may_say_that_money_is_there_says_that_it_is_not_understood(
    fetch: Fetch, order: dict[str, Any], payments: list[Any]
) -> None:
    assert fetch({"status": "attempted", **order}, payments).may_hide_money


@pytest.mark.parametrize("word", ["created", "attempted", "paid"])
def test_what_is_understood_hides_no_money(fetch: Fetch, word: str) -> None:
    tries = [[], [a_payment(status="failed", captured=False)], [a_payment(), a_payment(id="pay_two")]]
    for payments in tries[word == "paid" :]:
        paid = AMOUNT * any(payment["status"] == "captured" for payment in payments)
        assert not fetch({"status": word, "amount_paid": paid}, payments).may_hide_money


def test_an_order_that_was_wholly_refunded_was_paid(fetch: Fetch) -> None:
    back = a_payment(status="refunded", amount_refunded=AMOUNT, refund_status="full")
    assert fetch({"status": "refunded"}, [back]).status is P.COMPLETED
    assert fetch({"status": "refunded"}, [a_payment()]).status is P.COMPLETED


@pytest.mark.parametrize("name", sorted(path.stem for path in (FIXTURES / "api").glob("order.co*.json")))
def test_an_official_order_with_cash_or_a_fee_is_open(talk: Talk, name: str) -> None:
    entity = fixture(f"api/{name}")
    order_id, pending = entity["id"], fixture("api/payment.cod.pending.official.response")
    answers = {f"orders/{order_id}": entity, f"orders/{order_id}/payments": listed(pending)}
    gateway, _ = talk({path: Reply.of(answer) for path, answer in answers.items()})
    snapshot = gateway.fetch_payment(OrderRef(WIRE_ID, order_id), Deadline(5, Urgency.VERIFY))
    assert (snapshot.status, snapshot.amount) == (P.PENDING, Money(entity["amount"]))
    assert snapshot.attempts[0].status is A.PLACED


# ── one odd item ────────────────────────────────────────────────────────────────────────────────────────

ODD: tuple[Any, ...] = (None, {}, [], "x", {"id": None}, a_payment(id="pay_Odd000000001", amount=None))
DECORATION = ("created_at", "method", "acquirer_data", "error_code", "fee", "notes", "vpa", "email", "entity")


@pytest.mark.parametrize("status", ["failed", "created", None])
@pytest.mark.parametrize("member", ["id", "amount", "currency", "order_id", "method", "status", "created_at"])
def test_an_odd_attempt_does_not_hide_the_one_that_paid(fetch: Fetch, member: str, status: Any) -> None:
    for wrong in (*WRONG, "50000", "words"):
        odd = a_payment(id="pay_Odd000000001", captured=False, status=status) | {member: wrong}
        for items in ([odd, a_payment()], [a_payment(), odd]):
            snapshot = fetch({"status": "paid"}, items)
            assert snapshot.status is P.COMPLETED
            assert PAYMENT in {a.transaction_id for a in snapshot.attempts if a.status is A.SUCCEEDED}


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_odd_item_of_any_kind_does_not_hide_the_one_that_paid(fetch: Fetch, odd: Any) -> None:
    assert [a.transaction_id for a in fetch({"status": "paid"}, [odd, a_payment()]).attempts] == [PAYMENT]
    assert fetch({"status": "paid"}, [a_payment()], [odd]).refunds == ()


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("status", ["captured", "authorized", "refunded", "pending", "a new word"])
def test_an_odd_attempt_that_decides_is_asked_for_again(fetch: Fetch, status: str) -> None:
    odd = a_payment(amount=None, status=status)
    for order_word in ("paid", "attempted", "cancelled"):
        with pytest.raises(Unavailable):
            fetch({"status": order_word}, [odd])


@pytest.mark.parametrize("member", DECORATION)
def test_a_member_beside_the_facts_hides_no_payment(fetch: Fetch, member: str) -> None:
    left_out = a_payment()
    del left_out[member]
    for odd in (left_out, *(a_payment(**{member: wrong}) for wrong in (*WRONG, "words"))):
        snapshot = fetch({"status": "paid"}, [odd])
        assert (snapshot.status, snapshot.attempts[0].status) == (P.COMPLETED, A.SUCCEEDED)


def test_an_amount_as_text_is_read(fetch: Fetch) -> None:
    snapshot = fetch({"status": "paid", "amount": str(AMOUNT)}, [a_payment(amount=str(AMOUNT))])
    assert snapshot.amount == snapshot.attempts[0].amount == Money(AMOUNT)


@pytest.mark.parametrize("created_at", [*WRONG, "yesterday", "1582628071"])
def test_an_order_without_a_time_is_an_order(talk: Talk, fetch: Fetch, created_at: Any) -> None:
    snapshot = fetch({"status": "paid", "created_at": created_at}, [a_payment()])
    assert (snapshot.status, snapshot.checkout is not None) == (P.COMPLETED, True)
    gateway, _ = talk({"orders": Reply.of(an_order(status="created", created_at=created_at))})
    checkout = contract.call("create_order", gateway, Money(AMOUNT))
    assert ("createdAt" in checkout.fields) == (created_at == "1582628071" or created_at == 10**9)


def test_the_answer_for_another_order_is_not_believed(fetch: Fetch) -> None:
    assert fetch({"status": "paid", "id": None}, [a_payment()]).order.gateway_order_id == ORDER
    with pytest.raises(Unavailable):
        fetch({"status": "paid", "id": "order_OfSomeoneElse"}, [a_payment()])


def test_a_list_that_is_not_there_is_empty(fetch: Fetch) -> None:
    for missing in (Reply.of({}, 404), error_reply("id_does_not_exist")):
        assert fetch({"status": "created"}, missing).attempts == ()
        snapshot = fetch({"status": "paid"}, [a_payment(amount_refunded=100)], missing)
        assert (snapshot.status, snapshot.refunds) == (P.COMPLETED, ())
    for refused in (error_reply("auth_failed"), Reply.of({}, 403)):
        with pytest.raises(Rejected):
            fetch({"status": "created"}, refused)


def test_a_refund_is_not_unknown_because_of_a_wrong_address(talk: Talk) -> None:
    gateway, _ = talk({f"payments/{PAYMENT}/refunds": Reply.of({"message": "no Route matched"}, 404)})
    with pytest.raises(Rejected) as caught:
        gateway.fetch_refund(RefundRef("psr_mine", OrderRef(WIRE_ID), PAYMENT), Deadline(5))
    assert not isinstance(caught.value, UnknownAtGateway)


def test_the_payments_of_an_order_are_asked_for_without_parameters(talk: Talk) -> None:
    gateway, line = talk({})
    contract.call("fetch_payment", gateway)
    (asked,) = [request for request in line.requests if request.path.endswith(f"{ORDER}/payments")]
    assert asked.query == {}


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_id_is_never_more_than_a_bad_answer(talk: Talk, wrong: Any) -> None:
    changed = {"id": wrong, "order_id": wrong, "payment_id": wrong}
    payment, refund = a_payment() | changed, razorpay_wire.refund(contract.paid) | changed
    answers = {
        "orders": an_order() | changed,
        f"payments/{PAYMENT}": payment,
        f"payments/{PAYMENT}/capture": payment,
        f"payments/{PAYMENT}/refund": refund,
        f"payments/{PAYMENT}/refunds": listed(refund),
        "disputes/disp_1": {"status": "open", "amount": 100, "currency": "INR"} | changed,
    }
    gateway, _ = talk({path: Reply.of(answer) for path, answer in answers.items()})
    for verb in contract.writes:
        with pytest.raises(OutcomeUnknown):
            contract.call(verb, gateway)
    with pytest.raises(Unavailable):
        contract.call("fetch_refund", gateway)
    with pytest.raises(Unavailable):
        gateway.fetch_dispute("disp_1", Deadline(5))
    if wrong is not None:
        with pytest.raises(Unavailable):
            gateway.find_by_payment_id(PAYMENT, Deadline(5))


# ── bank references, refunds, disputes ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("acquirer_data", "reference"),
    [
        ({"upi_transaction_id": "UPI1", "rrn": "630900000002"}, "630900000002"),
        ({"upi_transaction_id": "UPI1", "rrn": None}, "UPI1"),
        ({"bank_transaction_id": "0125836177", "authentication_reference_number": "1"}, "0125836177"),
        ({"auth_code": "100002"}, "100002"),
        ({"auth_code": "100002", "rrn": "1"}, "1"),
        ({"transaction_id": "wallet-7"}, "wallet-7"),
        *(({"rrn": odd}, None) for odd in ("", None, "NA", {}, "\0", "null")),
        *((odd, None) for odd in (None, [], "", {}, "x")),
    ],
)
def test_a_payment_bears_its_banks_reference(fetch: Fetch, acquirer_data: Any, reference: Any) -> None:
    snapshot = fetch({"status": "paid"}, [a_payment(acquirer_data=acquirer_data)])
    assert snapshot.attempts[0].bank_reference == reference


@pytest.mark.parametrize(
    ("name", "reference"),
    [("processed_with_rrn", "631000000001"), ("processed_without_arn", None)],
)
def test_a_refund_bears_its_banks_reference_once_it_is_known(talk: Talk, name: str, reference: Any) -> None:
    entity = fixture(f"api/refund.fetch.{name}.response")
    gateway, _ = talk({f"refunds/{entity['id']}": Reply.of(entity)})
    refund = gateway.fetch_refund(RefundRef("", OrderRef(""), "", entity["id"]), Deadline(5))
    assert (refund.status, refund.bank_reference) == (RefundStatus.COMPLETED, reference)


def test_a_refund_from_before_there_were_statuses_is_told_without_one(fetch: Fetch) -> None:
    old = razorpay_wire.refund(contract.paid) | {"receipt": None}
    good = old | {"id": "rfnd_Another0000001"}
    del old["status"]
    refunds = fetch({"status": "paid"}, [a_payment(amount_refunded=100)], [old, {"id": None}, good]).refunds
    assert [(one.status, one.gateway_status) for one in refunds or ()] == [
        (None, ""),
        (RefundStatus.COMPLETED, "processed"),
    ]


@pytest.mark.parametrize("name", sorted(path.stem for path in (FIXTURES / "api").glob("dispute.[acf]*.json")))
def test_an_official_dispute_is_read(talk: Talk, name: str) -> None:
    answer = fixture(f"api/{name}")
    if "items" in answer:
        answer = answer["items"][0]
    told = answer.get("data", answer)
    gateway, line = talk({f"disputes/{told['id']}": Reply.of(answer)})
    dispute = gateway.fetch_dispute(told["id"], Deadline(5))
    assert line.requests[-1].query == {}
    assert (dispute.dispute_id, dispute.transaction_id) == (told["id"], told["payment_id"])
    assert (dispute.gateway_status, dispute.amount) == (told["status"], Money(told["amount"]))
    assert dispute.is_closed is (told["status"] in ("won", "lost", "closed"))
    assert (dispute.is_lost, dispute.needs_answer) == (told["status"] == "lost", told["status"] == "open")
    assert dispute.deducted == Money(told["amount_deducted"])
    assert dispute.takes_money is (not dispute.is_closed or told["amount_deducted"] > 0)
    assert (dispute.phase, dispute.reason) == (told["phase"], told["reason_code"])
    assert dispute.respond_by == datetime.fromtimestamp(told["respond_by"], UTC)
    assert abs((datetime.now(UTC) - dispute.observed_at).total_seconds()) < 60


def test_a_dispute_without_what_decorates_it_is_a_dispute(talk: Talk) -> None:
    told = fixture("api/dispute.fetch.open.response")
    for member in ("respond_by", "phase", "reason_code", "evidence", "created_at", "amount_deducted"):
        for wrong in WRONG:
            gateway, _ = talk({f"disputes/{told['id']}": Reply.of(told | {member: wrong})})
            assert gateway.fetch_dispute(told["id"], Deadline(5)).gateway_status == "open"


@pytest.mark.parametrize(
    ("status", "figure", "deducted", "takes_money"),
    [
        ("won", 1000, 1000, True),
        ("won", "1000", 1000, True),
        ("won", 1000.0, 1000, True),
        ("won", 0, 0, False),
        ("won", None, None, False),
        ("won", [], None, False),
        ("closed", 1, 1, True),
        ("closed", 0, 0, False),
        ("lost", 10000, 10000, True),
        ("lost", 0, 0, True),
        ("lost", None, None, True),
        ("under_review", 0, 0, True),
        ("a word of next year", None, None, True),
    ],
)
def test_the_figure_says_what_a_dispute_took_and_not_its_status(
    talk: Talk, status: str, figure: Any, deducted: int | None, takes_money: bool
) -> None:
    told = fixture("api/dispute.fetch.won_partial_deduction.response")
    changed = told | {"status": status, "amount_deducted": figure}
    gateway, _ = talk({f"disputes/{told['id']}": Reply.of(changed)})
    dispute = gateway.fetch_dispute(told["id"], Deadline(5))
    assert dispute.deducted == (None if deducted is None else Money(deducted))
    assert dispute.takes_money is takes_money


def test_an_unknown_dispute_is_told_apart(talk: Talk) -> None:
    gateway, _ = talk({"disputes/disp_unknown": error_reply("id_does_not_exist")})
    with pytest.raises(UnknownAtGateway):
        gateway.fetch_dispute("disp_unknown", Deadline(5))
