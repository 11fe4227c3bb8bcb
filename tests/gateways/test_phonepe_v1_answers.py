"""PhonePe V1 as it answers today: OMO ids, missing members, refused refunds, spoiled callbacks."""

import base64
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from payments_service.domain.errors import (
    GatewayError,
    OutcomeUnknown,
    Rejected,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.domain.money import Money
from payments_service.domain.news import EventKind, OrderRef, PaymentSnapshot, WebhookEvent
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.phonepe_v1 import PhonePeV1Config, PhonePeV1Gateway
from tests.gateways.hooks import REFUND_ID, WIRE_ID
from tests.gateways.phonepe_wire import MERCHANT, TRANSACTION, compact, fixture, v1_refund, v1_status
from tests.gateways.strange import assert_storable, paths, replaced
from tests.gateways.test_phonepe_contract import TestPhonePeV1Contract as Contract
from tests.gateways.wire import Answer, Reply, Wire, wire

contract = Contract()
PAID = Contract.paid
PAY, REFUND = "/pg/v1/pay", "/pg/v1/refund"
STATUS, REFUND_STATUS = f"/pg/v1/status/{MERCHANT}/{WIRE_ID}", f"/pg/v1/status/{MERCHANT}/{REFUND_ID}"
P, A = PaymentStatus, AttemptStatus
Talk = Callable[..., tuple[PhonePeV1Gateway, Wire]]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A gateway and the line it talks on; by path what is answered other than usual."""
    lines: list[Any] = []

    def start(answers: dict[str, Answer] | None = None) -> tuple[PhonePeV1Gateway, Wire]:
        usual, other = contract.healthy(), answers or {}
        lines.append(wire(lambda request: other.get(request.path) or usual(request)))
        line = lines[-1].__enter__()
        return cast(PhonePeV1Gateway, contract.gateway(line.url)), line

    yield start
    for line in lines:
        line.__exit__(None, None, None)


def fetch(talk: Talk, body: dict[str, Any]) -> PaymentSnapshot:
    body["data"] |= {"merchantTransactionId": WIRE_ID}
    gateway, _ = talk({STATUS: Reply.of(body)})
    snapshot: PaymentSnapshot = contract.call("fetch_payment", gateway)
    return snapshot


# ── wrong keys ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", ["KEY_NOT_CONFIGURED", "AUTHORIZATION_FAILED"])
@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_wrong_key_is_known_by_its_code(talk: Talk, code: str, status: int) -> None:
    gateway, _ = talk({STATUS: Reply.of({"success": False, "code": code}, status)})
    with pytest.raises(Rejected):
        contract.call("fetch_payment", gateway)
    assert gateway.health.credentials_refused(0)


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "status", "attempt", "reference", "error"),
    [
        ("success", P.COMPLETED, A.SUCCEEDED, "616313464420", None),
        ("pending", P.PENDING, A.PENDING, None, None),
        ("failed", P.FAILED, A.FAILED, "690460073678", "Z8"),
    ],
)
def test_an_answer_of_today_is_read(
    talk: Talk, name: str, status: Any, attempt: Any, reference: str | None, error: str | None
) -> None:
    body = fixture(f"v1/status_{name}_omo")
    snapshot = fetch(talk, body)
    [told] = snapshot.attempts
    assert (snapshot.status, snapshot.amount, told.status) == (status, Money(10100), attempt)
    assert told.transaction_id == body["data"]["transactionId"]
    assert (told.bank_reference, told.error_code) == (reference, error)


def test_no_decorating_member_however_odd_hides_what_was_paid(talk: Talk) -> None:
    genuine = v1_status(PAID)
    deciding = (
        ("code",),
        ("data",),
        *(("data", name) for name in ("merchantTransactionId", "amount", "state")),
    )
    gateway, line = talk()
    for path in paths(genuine):
        for odd in (None, [], {"x": 1}, "", "\0", "\ud800", 1.5, True, "missing"):
            changed = replaced(genuine, path, odd, missing=odd == "missing")
            line.answer = contract.healthy_but(STATUS, Reply.of(changed))
            if path in deciding:
                continue
            snapshot = contract.call("fetch_payment", gateway)
            assert (snapshot.status, snapshot.amount) == (P.COMPLETED, PAID.amount), path
            assert_storable(snapshot)


@pytest.mark.parametrize(
    ("instrument", "reference"),
    [
        ({"type": "UPI", "utr": "1"}, "1"),
        ({"type": "CARD", "arn": "2", "brn": "3"}, "2"),
        ({"type": "CARD", "arn": None, "brn": "3"}, "3"),
        ({"type": "NETBANKING", "bankTransactionId": "4"}, "4"),
        ({"type": "NETBANKING", "bankTransactionId": None, "utr": ""}, None),
        ("UPI", None),
        ([], None),
        (None, None),
    ],
)
def test_a_bank_reference_is_told_where_there_is_one(
    talk: Talk, instrument: Any, reference: str | None
) -> None:
    body = v1_status(PAID)
    body["data"]["paymentInstrument"] = instrument
    [attempt] = fetch(talk, body).attempts
    assert attempt.bank_reference == reference


PAGES = [Reply(b"<html>", 403), Reply(b"R016", 400), Reply(b"<html>", 404), Reply(b"<html>", 524)]


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.status} {page.body.decode()}")
def test_a_page_in_front_of_the_api_says_nothing_of_an_order(talk: Talk, page: Reply) -> None:
    gateway, _ = talk({PAY: page, STATUS: page, REFUND: page, REFUND_STATUS: page})
    for verbs, expected in ((contract.reads, Unavailable), (contract.writes, OutcomeUnknown)):
        for verb in verbs:
            with pytest.raises(expected):
                contract.call(verb, gateway)


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────────────


def refused(code: str, status: int = 400) -> Reply:
    return Reply.of({"success": False, "code": code, "message": "?", "data": {}}, status)


REFUSED = ("BAD_REQUEST", "DUPLICATE_TXN_REQUEST", "INVALID_TRANSACTION_ID", "EXCESS_REFUND_AMOUNT")


@pytest.mark.parametrize("code", REFUSED)
def test_a_refund_that_is_there_is_never_taken_for_one_that_was_refused(talk: Talk, code: str) -> None:
    gateway, _ = talk({REFUND: refused(code)})
    found = contract.call("create_refund", gateway)
    assert (found.refund_id, found.status) == (REFUND_ID, RefundStatus.COMPLETED)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("code", REFUSED)
def test_a_refusal_is_believed_only_of_a_refund_that_is_not_there(talk: Talk, code: str) -> None:
    absent = refused("TRANSACTION_NOT_FOUND", 404)
    believed: type[GatewayError] = OutcomeUnknown if code == "INVALID_TRANSACTION_ID" else Rejected
    for lookup, expected in ((absent, believed), (Reply(b"", 503), OutcomeUnknown)):
        gateway, _ = talk({REFUND: refused(code), REFUND_STATUS: lookup})
        with pytest.raises(expected):
            contract.call("create_refund", gateway)


def test_of_an_unknown_order_there_is_no_refund(talk: Talk) -> None:
    gateway, line = talk({REFUND: refused("TRANSACTION_NOT_FOUND", 404)})
    with pytest.raises(UnknownAtGateway):
        contract.call("create_refund", gateway)
    assert [request.path for request in line.requests] == [REFUND]


def test_a_second_refund_while_the_first_is_pending_failed_by_itself(talk: Talk) -> None:
    answer = fixture("v1/refund_response_excess")
    answer["data"] |= {"merchantTransactionId": REFUND_ID}
    gateway, _ = talk({REFUND: Reply.of(answer), REFUND_STATUS: Reply.of(answer)})
    assert contract.call("create_refund", gateway).status is RefundStatus.FAILED


def test_a_failed_answer_to_a_repeat_does_not_hide_the_refund_that_is_there(talk: Talk) -> None:
    """The first one of the same id is pending, and the second is more than what is left."""
    failed = fixture("v1/refund_response_excess")
    failed["data"] |= {"merchantTransactionId": REFUND_ID}
    pending = v1_refund(PAID.but(refund_word="PAYMENT_PENDING"))
    gateway, _ = talk({REFUND: Reply.of(failed), REFUND_STATUS: Reply.of(pending)})
    assert contract.call("create_refund", gateway).status is RefundStatus.PENDING


# ── callbacks ───────────────────────────────────────────────────────────────────────────────────────────


def read(answer: Any) -> WebhookEvent:
    return contract.read(contract.enclose(compact(answer)))


def test_the_official_callback_without_an_instrument_is_read() -> None:
    sample, salt = fixture("v1/callback_null_instrument"), fixture("v1/signature_vectors")["saltKey"]
    config = PhonePeV1Config("merchantId", (salt,), ("1",), "false", (), (), "sandbox", "http://localhost:9")
    headers = {"x-verify": sample["headers"]["X-VERIFY"]}
    event = PhonePeV1Gateway(config).read_webhook(headers, compact(sample["body"]))
    assert event.snapshot is not None
    assert (event.snapshot.status, event.snapshot.attempts[0].method) == (P.FAILED, None)
    assert base64.b64decode(sample["body"]["response"]).endswith(b'"paymentInstrument":null}}')


def test_a_callback_that_lacks_or_spoils_a_member_keeps_its_code_and_its_order() -> None:
    genuine = v1_status(PAID)
    names_the_rest = (("code",), ("data",), ("data", "merchantTransactionId"))
    for path in paths(genuine):
        for odd in (None, [], {"x": 1}, "\0", "\ud800", -1, 1.5, True, "missing"):
            event = read(replaced(genuine, path, odd, missing=odd == "missing"))
            assert_storable(event)
            if path in (("code",), ("data", "merchantId")):
                continue  # without the first it is no event, and another merchant's is none of ours
            assert (event.type, event.kind) == ("PAYMENT_SUCCESS", EventKind.PAYMENT), path
            assert event.wake_up is (event.snapshot is None)
            if path not in names_the_rest:
                assert event.order == OrderRef(WIRE_ID, WIRE_ID), path


def test_a_callback_that_does_not_name_the_merchant_only_wakes() -> None:
    genuine = v1_status(PAID)
    event = read(replaced(genuine, ("data", "merchantId"), None, missing=True))
    assert (event.kind, event.snapshot, event.wake_up) == (EventKind.PAYMENT, None, True)
    assert read(replaced(genuine, ("data", "merchantId"), "OTHER")).kind is EventKind.UNKNOWN
    assert TRANSACTION in str(read(genuine).snapshot)
