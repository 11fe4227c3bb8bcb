"""What is PhonePe V1's alone: X-VERIFY over exact bytes, codes that decide, callbacks with a signed body."""

import base64
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import (
    MissingCredentials,
    OutcomeUnknown,
    Rejected,
    SignatureInvalid,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.domain.money import Money
from payments_service.domain.news import EventKind, NewRefund, OrderRef, PaymentSnapshot, RefundRef
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.domain.variables import WrongVariables
from payments_service.gateways import phonepe_v1
from payments_service.gateways.phonepe_v1 import PhonePeV1Config, PhonePeV1Gateway
from tests.gateways.hooks import CUSTOMER, REFUND_ID, WIRE_ID
from tests.gateways.phonepe_wire import (
    MERCHANT,
    SALT,
    TRANSACTION,
    compact,
    error_reply,
    fixture,
    sha256,
    v1_refund,
    v1_sent,
    v1_status,
)
from tests.gateways.test_phonepe_contract import TestPhonePeV1Contract as Contract
from tests.gateways.wire import Answer, Reply, Trouble, Wire, wire

contract = Contract()
PAID = Contract.paid
PAY, REFUND = "/pg/v1/pay", "/pg/v1/refund"
STATUS, REFUND_STATUS = f"/pg/v1/status/{MERCHANT}/{WIRE_ID}", f"/pg/v1/status/{MERCHANT}/{REFUND_ID}"
VECTORS = fixture("v1/signature_vectors")
OFFICIAL_ORDER = "MT7850590068188104"
Talk = Callable[..., tuple[PhonePeV1Gateway, Wire]]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A gateway and the line it talks on; by path what is answered other than usual."""
    lines: list[Any] = []

    def start(answers: dict[str, Answer] | None = None) -> tuple[PhonePeV1Gateway, Wire]:
        usual, other = contract.healthy(), answers or {}
        lines.append(wire(lambda request: other.get(request.path) or usual(request)))
        line = lines[-1].__enter__()
        return PhonePeV1Gateway(contract.config(line.url)), line

    yield start
    for line in lines:
        line.__exit__(None, None, None)


def config(**changes: Any) -> PhonePeV1Config:
    usual: dict[str, Any] = {
        "merchant_id": VECTORS["merchantId"],
        "salt_keys": (VECTORS["saltKey"],),
        "salt_indexes": (VECTORS["saltIndex"],),
        "require_basic": "false",
        "webhook_users": (),
        "webhook_passwords": (),
        "environment": "sandbox",
        "other_url": "http://localhost:9",
    }
    return PhonePeV1Config(**{**usual, **changes})


def fetch(talk: Talk, body: Any, status: int = 200) -> PaymentSnapshot:
    gateway, _ = talk({STATUS: Reply.of(body, status)})
    snapshot: PaymentSnapshot = contract.call("fetch_payment", gateway)
    return snapshot


def official(name: str) -> dict[str, Any]:
    """An official answer, about our order."""
    body: dict[str, Any] = fixture(f"v1/{name}")
    body["data"] |= {"merchantTransactionId": WIRE_ID}
    return body


def paths(line: Wire) -> list[str]:
    return [request.path for request in line.requests]


# ── signing our calls ───────────────────────────────────────────────────────────────────────────────────


def test_what_is_signed_is_the_base64_text_as_sent_with_the_path_behind_the_host(talk: Talk) -> None:
    _, line = talk()
    gateway = PhonePeV1Gateway(dataclasses.replace(contract.config(line.url), other_url=f"{line.url}/apis/h"))
    for verb, path in (("create_order", PAY), ("create_refund", REFUND)):
        with pytest.raises(Rejected):  # nobody lives below /apis/h
            contract.call(verb, gateway)
        sent = [request for request in line.requests if request.method == "POST"][-1]
        assert sent.path == f"/apis/h{path}"
        assert sent.headers["x-verify"] == f"{sha256(sent.json()['request'] + path + SALT)}###3"


def test_asking_signs_the_path_and_names_the_merchant(talk: Talk) -> None:
    gateway, line = talk()
    contract.call("fetch_payment", gateway)
    contract.call("fetch_refund", gateway)
    assert paths(line) == [STATUS, REFUND_STATUS]
    for sent in line.requests:
        assert sent.headers["x-verify"] == f"{sha256(sent.path + SALT)}###3"
        assert sent.headers["x-merchant-id"] == MERCHANT


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS["vectors"] if "x_verify" in v], ids=lambda v: v["name"][:40]
)
def test_an_official_signature_is_ours(vector: dict[str, str]) -> None:
    gateway = PhonePeV1Gateway(config())
    assert gateway._signature(vector["base64"], vector["signed_path"]) == vector["x_verify"]


def test_the_body_of_the_published_request_is_made_byte_for_byte() -> None:
    """Without its mobile number, which we never send."""
    documented = fixture("v1/pay_request_decoded")
    del documented["mobileNumber"]
    with wire(contract.healthy(PAID.but(wire_id=OFFICIAL_ORDER))) as line:
        gateway = PhonePeV1Gateway(config(other_url=line.url))
        order = dataclasses.replace(
            contract.new_order(Money(10000)),
            wire_id=OFFICIAL_ORDER,
            customer=dataclasses.replace(CUSTOMER, id="MUID123"),
            return_url=documented["redirectUrl"],
            webhook_url=documented["callbackUrl"],
        )
        gateway.create_order(order, Deadline(5))
        assert base64.b64decode(line.requests[0].json()["request"]) == compact(documented)


# ── making an order ─────────────────────────────────────────────────────────────────────────────────────


def test_the_browser_gets_phonepes_address_exactly(talk: Talk) -> None:
    gateway, line = talk()
    checkout = contract.call("create_order", gateway)
    info = fixture("v1/pay_response_initiated")["data"]["instrumentResponse"]["redirectInfo"]
    assert checkout.fields == {"redirectUrl": info["url"]}
    assert v1_sent(line.requests[0])["merchantUserId"] == CUSTOMER.id
    for private in (CUSTOMER.name, CUSTOMER.email, CUSTOMER.phone):
        assert private not in json.dumps(v1_sent(line.requests[0]))


@pytest.mark.parametrize("status", [200, 400, 417])
def test_an_id_that_is_used_already_means_that_the_order_is_there(talk: Talk, status: int) -> None:
    gateway, line = talk({PAY: error_reply("v1/error_invalid_transaction_id", status)})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_order", gateway)
    assert paths(line) == [PAY]


@pytest.mark.parametrize("status", [200, 400, 401, 404])
@pytest.mark.parametrize("name", ["bad_request", "authorization_failed", "key_not_configured"])
def test_a_refusal_is_one_with_whatever_http_status_it_comes(talk: Talk, name: str, status: int) -> None:
    reply = error_reply(f"v1/error_{name}", status)
    gateway, _ = talk({PAY: reply, STATUS: reply, REFUND: reply, REFUND_STATUS: reply})
    for verb in ("create_order", "fetch_payment", "create_refund"):
        with pytest.raises(Rejected) as caught:
            contract.call(verb, gateway)
        assert type(caught.value) is Rejected
        assert caught.value.gateway_code == name.upper()


@pytest.mark.parametrize("code", ["PAYMENT_PENDING", "INTERNAL_SERVER_ERROR", "NEW_CODE"])
def test_an_order_that_was_not_said_to_be_initiated_may_still_be(talk: Talk, code: str) -> None:
    gateway, _ = talk({PAY: Reply.of(fixture("v1/pay_response_initiated") | {"code": code})})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_order", gateway)


def test_an_answer_about_another_order_is_none(talk: Talk) -> None:
    gateway, _ = talk({PAY: Reply.of(fixture("v1/pay_response_initiated"))})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_order", gateway)
    with pytest.raises(Unavailable):
        fetch(talk, fixture("v1/status_response_success_upi"))


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────

P, A = PaymentStatus, AttemptStatus
OFFICIAL: dict[str, tuple[PaymentStatus, AttemptStatus, str, str | None]] = {
    "status_response_success_upi": (P.COMPLETED, A.SUCCEEDED, "COMPLETED", "UPI"),
    "status_response_success_upi_official_sample": (P.COMPLETED, A.SUCCEEDED, "COMPLETED", None),
    "status_response_success_netbanking": (P.COMPLETED, A.SUCCEEDED, "COMPLETED", "NETBANKING"),
    "status_response_pending": (P.PENDING, A.PENDING, "PENDING", None),
    "status_response_payment_error": (P.FAILED, A.FAILED, "FAILED", None),  # with success: true
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_answer_is_read_as_documented(talk: Talk, name: str) -> None:
    body = official(name)
    snapshot = fetch(talk, body)
    status, attempt, word, method = OFFICIAL[name]
    assert (snapshot.status, snapshot.gateway_status) == (status, word)
    assert [(a.transaction_id, a.status, a.method) for a in snapshot.attempts] == [
        (body["data"]["transactionId"], attempt, method)
    ]
    assert (snapshot.amount, snapshot.checkout) == (Money(body["data"]["amount"]), None)


@pytest.mark.parametrize("success", [True, False, None, "no"])
def test_whether_the_request_succeeded_says_nothing_of_the_payment(talk: Talk, success: Any) -> None:
    for name in OFFICIAL:
        assert fetch(talk, official(name) | {"success": success}).status is OFFICIAL[name][0]


@pytest.mark.parametrize("state", ["PENDING", "FAILED", "NEW"])
def test_a_success_that_is_not_completed_is_believed_by_nobody(talk: Talk, state: str) -> None:
    assert fetch(talk, v1_status(PAID.but(attempt_word=state))).status is None


def test_trouble_at_phonepe_is_no_failed_payment(talk: Talk) -> None:
    pending = official("status_response_pending") | {"code": "INTERNAL_SERVER_ERROR"}
    assert fetch(talk, pending).status is P.PENDING
    for status in (200, 500):
        with pytest.raises(Unavailable):
            fetch(talk, fixture("v1/error_internal_server_error"), status)


@pytest.mark.parametrize("status", [200, 400, 404])
def test_an_unknown_order_is_told_apart_with_any_http_status(talk: Talk, status: int) -> None:
    with pytest.raises(UnknownAtGateway):
        fetch(talk, fixture("v1/error_transaction_not_found"), status)


def test_a_failed_attempt_tells_why_and_another_says_nothing(talk: Talk) -> None:
    assert fetch(talk, official("status_response_payment_error")).attempts[0].error_code == "ZU"
    assert fetch(talk, official("status_response_success_upi")).attempts[0].error_code is None


def test_an_order_without_a_transaction_has_no_attempt(talk: Talk) -> None:
    body = official("status_response_pending")
    for nothing in (None, ""):
        body["data"]["transactionId"] = nothing
        assert fetch(talk, body).attempts == ()


def test_nothing_is_ever_captured_closed_or_searched(talk: Talk) -> None:
    gateway, line = talk()
    with pytest.raises(Rejected):
        gateway.capture(OrderRef(WIRE_ID), TRANSACTION, Money(100), Deadline(5))
    assert gateway.close(OrderRef(WIRE_ID), Deadline(5)) is None
    assert gateway.find_by_payment_id(TRANSACTION, Deadline(5)) is None
    assert line.requests == []


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refund_names_our_order_and_not_phonepes(talk: Talk) -> None:
    gateway, line = talk()
    url = "https://shop.example.com/hook"
    new = NewRefund(REFUND_ID, OrderRef(WIRE_ID, WIRE_ID), TRANSACTION, Money(10015), "returned", url)
    gateway.create_refund(new, Deadline(5))
    sent = v1_sent(line.requests[0])
    assert sent == {
        "merchantId": MERCHANT,
        "originalTransactionId": WIRE_ID,
        "merchantTransactionId": REFUND_ID,
        "amount": "10015",
        "callbackUrl": url,
    }
    assert set(sent) == set(fixture("v1/refund_request_decoded")) - {"merchantUserId"}


def test_a_refund_sent_a_second_time_is_found_instead(talk: Talk) -> None:
    gateway, line = talk({REFUND: error_reply("v1/error_invalid_transaction_id", 400)})
    found = contract.call("create_refund", gateway)
    assert (found.refund_id, found.status) == (REFUND_ID, RefundStatus.COMPLETED)
    assert paths(line) == [REFUND, REFUND_STATUS]


def test_a_refund_in_the_way_is_told_as_it_is_or_its_outcome_is_unknown(talk: Talk) -> None:
    reused = error_reply("v1/error_invalid_transaction_id", 400)
    gateway, _ = talk({REFUND: reused, REFUND_STATUS: Trouble.RESET})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_refund", gateway, seconds=1)
    gateway, _ = talk({REFUND: reused, REFUND_STATUS: Reply.of(v1_refund(PAID.but(amount=Money(1))))})
    assert contract.call("create_refund", gateway).amount == Money(1)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("refund_response_pending", RefundStatus.PENDING),
        ("refund_status_success", RefundStatus.COMPLETED),
        ("refund_status_error", RefundStatus.FAILED),  # with success: true
    ],
)
def test_an_official_refund_is_read_as_documented(talk: Talk, name: str, status: RefundStatus) -> None:
    body = fixture(f"v1/{name}")
    body["data"]["merchantTransactionId"] = REFUND_ID
    gateway, _ = talk({REFUND_STATUS: Reply.of(body)})
    found = gateway.fetch_refund(RefundRef(REFUND_ID, OrderRef(WIRE_ID), TRANSACTION), Deadline(5))
    assert (found.status, found.gateway_refund_id) == (status, "TR620471739210623")


# ── callbacks ───────────────────────────────────────────────────────────────────────────────────────────


def published(name: str) -> tuple[dict[str, str], bytes]:
    sample = fixture(f"v1/{name}")
    return {"x-verify": sample["headers"]["X-VERIFY"]}, compact(sample["body"])


def test_the_published_callback_is_believed_and_dated_by_nobody() -> None:
    event = PhonePeV1Gateway(config()).read_webhook(*published("callback_payment_success"))
    assert (event.type, event.kind, event.wake_up) == ("PAYMENT_SUCCESS", EventKind.PAYMENT, False)
    snapshot = event.snapshot
    assert snapshot is not None
    assert (snapshot.order.wire_id, snapshot.status, snapshot.amount) == (
        OFFICIAL_ORDER,
        P.COMPLETED,
        Money(100),
    )
    assert snapshot.attempts[0].transaction_id == "T2111221437456190170379"
    assert snapshot.observed_at.year == 1970  # it could be a copy of an old one


@pytest.mark.parametrize("vector", [v for v in VECTORS["vectors"] if "callback" in v["name"]])
def test_an_official_callback_signature_is_accepted_and_any_other_is_not(vector: dict[str, str]) -> None:
    raw = compact({"response": vector["base64"]})
    gateway = PhonePeV1Gateway(config())
    assert gateway.read_webhook({"x-verify": vector["x_verify"]}, raw).kind is EventKind.PAYMENT
    upper = vector["x_verify"].upper()
    with_path = hashlib.sha256((vector["base64"] + PAY + VECTORS["saltKey"]).encode()).hexdigest()
    for wrong in (upper, vector["x_verify"][:-4], f"{with_path}###1", vector["x_verify"][:-1] + "2", "###1"):
        with pytest.raises(SignatureInvalid):
            gateway.read_webhook({"x-verify": wrong}, raw)


def test_a_refunds_callback_is_kept_and_no_payments() -> None:
    """Its codes are a payment's; only our id says what it is about."""
    raw = contract.enclose(compact(v1_refund(PAID)))
    event = contract.read(raw)
    assert (event.type, event.kind) == ("PAYMENT_SUCCESS", EventKind.REFUND)
    assert (event.order, event.snapshot, event.wake_up) == (None, None, False)


def test_a_callback_of_somebody_elses_refund_names_an_order_that_is_not_ours() -> None:
    event = PhonePeV1Gateway(config()).read_webhook(*published("callback_refund_success"))
    assert event.order == OrderRef("ROD620471739210623", "ROD620471739210623")


def test_another_merchants_callback_is_not_believed_under_our_salt() -> None:
    answer = v1_status(PAID)
    answer["data"]["merchantId"] = "SOMEBODY"
    event = contract.read(contract.enclose(compact(answer)))
    assert (event.kind, event.snapshot) == (EventKind.UNKNOWN, None)


def test_a_salt_counts_only_under_its_own_index() -> None:
    raw = contract.event("PAYMENT_SUCCESS", PAID)
    new, old = contract.webhook_secrets
    response = json.loads(raw)["response"]
    for salt, index, is_right in ((new, "3", True), (old, "1", True), (new, "1", False), (old, "3", False)):
        headers = {"x-verify": f"{sha256(response + salt)}###{index}"}
        if is_right:
            assert contract.gateway().read_webhook(headers, raw).snapshot
        else:
            with pytest.raises(SignatureInvalid):
                contract.gateway().read_webhook(headers, raw)


BASIC = f"Basic {base64.b64encode(b'hook:Passw0rd1').decode()}"
WITH_BASIC = {"webhook_users": ("hook",), "webhook_passwords": ("Passw0rd1", "0ldPassw0rd")}


@pytest.mark.parametrize("right", [BASIC, sha256("hook:Passw0rd1"), sha256("hook:0ldPassw0rd"), None])
def test_an_authorization_header_may_be_there_and_must_be_right_then(right: str | None) -> None:
    gateway = PhonePeV1Gateway(config(**WITH_BASIC))
    headers, raw = published("callback_payment_success")
    more = {"authorization": right} if right else {}
    assert gateway.read_webhook({**headers, **more}, raw).snapshot
    for wrong in ("Basic Z3Vlc3M6Z3Vlc3M=", "x", "Basic ", sha256("hook:guess")):
        with pytest.raises(SignatureInvalid):
            gateway.read_webhook({**headers, "authorization": wrong}, raw)


def test_the_right_password_does_not_stand_in_for_the_signature() -> None:
    gateway = PhonePeV1Gateway(config(**WITH_BASIC))
    headers, raw = published("callback_payment_success")
    with pytest.raises(MissingCredentials):
        gateway.read_webhook({"authorization": BASIC}, raw)
    with pytest.raises(SignatureInvalid):
        gateway.read_webhook({"x-verify": headers["x-verify"][::-1], "authorization": BASIC}, raw)


def test_the_settings_can_demand_the_password() -> None:
    gateway = PhonePeV1Gateway(config(require_basic="true", **WITH_BASIC))
    headers, raw = published("callback_payment_success")
    assert gateway.read_webhook({**headers, "authorization": BASIC}, raw).snapshot
    with pytest.raises(MissingCredentials):
        gateway.read_webhook(headers, raw)


def test_a_body_without_what_is_signed_is_refused() -> None:
    for raw in (b"", b"[]", b"{}", b'{"response": 7}', b'{"response": null}', b"[" * 100_000, b"\xff"):
        with pytest.raises(SignatureInvalid):
            PhonePeV1Gateway(config()).read_webhook({"x-verify": f"{sha256(VECTORS['saltKey'])}###1"}, raw)


def test_what_is_applied_is_what_was_signed_however_the_body_is_written() -> None:
    """However its text is escaped; and a second member of that name, or one further in, has it refused."""
    paid = json.loads(contract.event("PAYMENT_SUCCESS", PAID))["response"]
    other = base64.b64encode(compact(v1_status(PAID) | {"code": "PAYMENT_ERROR"})).decode()
    salt, headers = contract.webhook_secrets[0], {}
    headers["x-verify"] = f"{sha256(paid + salt)}###3"
    raw = json.dumps({"response": paid}).replace("=", "\\u003d").replace("/", "\\/")
    assert contract.gateway().read_webhook(headers, raw.encode()).type == "PAYMENT_SUCCESS"
    for raw in (
        f'{{"response":"{paid}","response":"{other}"}}',
        f'{{"first":{{"response":"{paid}"}},"response":"{other}"}}',
        f'{{"response":"{other}","response":"{paid}"}}',
    ):
        with pytest.raises(SignatureInvalid):
            contract.gateway().read_webhook(headers, raw.encode())


def test_nothing_of_a_body_is_parsed_before_its_signature_was_right(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Any] = []
    monkeypatch.setattr(phonepe_v1.json, "loads", lambda given: parsed.append(given) or "text")
    raw = b'{"response": "aGk=", "more": ' + b"[{},{}]," * 1000 + b"0}"
    with pytest.raises(SignatureInvalid):
        PhonePeV1Gateway(config()).read_webhook({"x-verify": "00###1"}, raw)
    assert parsed == [b'"aGk="']


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"salt_keys": ("a", "b")}, "PHONEPE_SALT_INDEX"),
        ({"salt_indexes": ("1", "2")}, "PHONEPE_SALT_INDEX"),
        ({"salt_keys": ("a", "b"), "salt_indexes": ("1", "1")}, "PHONEPE_SALT_INDEX"),
        ({"webhook_users": ("u",)}, "PHONEPE_WEBHOOK_USER"),
        ({"webhook_passwords": ("p",)}, "PHONEPE_WEBHOOK_USER"),
        ({"webhook_users": ("u", "v"), "webhook_passwords": ("p", "q", "r")}, "PHONEPE_WEBHOOK_USER"),
        ({"require_basic": "true"}, "PHONEPE_V1_REQUIRE_BASIC"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(WrongVariables) as caught:
        config(**changes)
    assert list(caught.value.sentences) == [name]


def test_the_environment_chooses_host_and_mode() -> None:
    live = PhonePeV1Gateway(config(environment="production", other_url=""))
    assert (live.mode, live.config.api_url) == ("live", "https://api.phonepe.com/apis/hermes")
    assert PhonePeV1Gateway(config()).mode == "test"
