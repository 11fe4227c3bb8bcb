"""What is PhonePe V2's alone among the calls: the token, ids that are used once, words of its answers."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import OutcomeUnknown, Rejected, Unavailable, UnknownAtGateway
from payments_service.domain.money import Money
from payments_service.domain.news import OrderRef, PaymentSnapshot, RefundRef
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.domain.variables import WrongVariables
from payments_service.gateways import phonepe
from payments_service.gateways.phonepe import PhonePeConfig, PhonePeGateway
from payments_service.gateways.phonepe_reading import ORDER_STATUS
from tests.gateways.hooks import REFUND_ID, WIRE_ID
from tests.gateways.phonepe_wire import (
    CLIENT_ID,
    CLIENT_SECRET,
    FAR_SECONDS,
    ORDER,
    PAYMENT,
    error_reply,
    fixture,
    order,
    refund,
    token_form,
)
from tests.gateways.test_phonepe_contract import TestPhonePeContract as Contract
from tests.gateways.wire import Answer, Reply, Request, Trouble, Wire, wire

contract = Contract()
PAID = Contract.paid
TOKEN, PAY, STATUS = "/v1/oauth/token", "/checkout/v2/pay", f"/checkout/v2/order/{WIRE_ID}/status"
REFUND, REFUND_STATUS = "/payments/v2/refund", f"/payments/v2/refund/{REFUND_ID}/status"
WRONG_TOKEN = error_reply("v2/error_authorization_failed", 401)
Talk = Callable[..., tuple[PhonePeGateway, Wire]]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A gateway and the line it talks on; by path what is answered other than usual."""
    lines: list[Any] = []

    def start(answers: dict[str, Answer] | None = None) -> tuple[PhonePeGateway, Wire]:
        usual, other = contract.healthy(), answers or {}
        lines.append(wire(lambda request: other.get(request.path) or usual(request)))
        line = lines[-1].__enter__()
        return PhonePeGateway(contract.config(line.url)), line

    yield start
    for line in lines:
        line.__exit__(None, None, None)


def fetch(talk: Talk, body: Any, status: int = 200) -> PaymentSnapshot:
    gateway, _ = talk({STATUS: Reply.of(body, status)})
    snapshot: PaymentSnapshot = contract.call("fetch_payment", gateway)
    return snapshot


def paths(line: Wire) -> list[str]:
    return [request.path for request in line.requests]


# ── the token ───────────────────────────────────────────────────────────────────────────────────────────


class TokenHouse:
    """PhonePe's end: only the newest token is good, and each can be made to end."""

    def __init__(self, life_seconds: float = 3600) -> None:
        self.life_seconds = life_seconds
        self.issued: list[str] = []
        self.is_ended: set[str] = set()
        self.lock = threading.Lock()

    def __call__(self, request: Request) -> Answer:
        with self.lock:
            if request.path == TOKEN:
                self.issued.append(f"token-{len(self.issued)}")
                expires_at = int(time.time() + self.life_seconds)
                issued = {"access_token": self.issued[-1], "expires_at": expires_at}
                return Reply.of(fixture("v2/oauth_token_response") | issued)
            token = request.headers.get("authorization", "").removeprefix("O-Bearer ")
            if token not in self.issued or token in self.is_ended:
                return WRONG_TOKEN
        return contract.serve(request, PAID)

    def end_all(self) -> None:
        with self.lock:
            self.is_ended = set(self.issued)


def test_a_token_is_asked_for_by_a_form_and_used_for_many_calls(talk: Talk) -> None:
    gateway, line = talk()
    for verb in (*contract.writes, *contract.reads):
        contract.call(verb, gateway)
    assert paths(line).count(TOKEN) == 1
    asked = line.requests[0]
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert token_form(asked) == fixture("v2/oauth_token_request")["form"] | {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    genuine = f"O-Bearer {fixture('v2/oauth_token_response')['access_token']}"
    assert {request.headers["authorization"] for request in line.requests[1:]} == {genuine}


def test_a_refused_token_is_replaced_and_the_call_sent_once_more() -> None:
    house = TokenHouse()
    with wire(house) as line:
        gateway = PhonePeGateway(contract.config(line.url))
        contract.call("create_order", gateway)
        house.end_all()
        line.requests.clear()
        contract.call("create_order", gateway)
        assert paths(line) == [PAY, TOKEN, PAY]
        assert line.requests[0].body == line.requests[2].body


def test_a_call_is_repeated_once_only(talk: Talk) -> None:
    gateway, line = talk({PAY: WRONG_TOKEN})
    with pytest.raises(Rejected):
        contract.call("create_order", gateway)
    assert paths(line) == [TOKEN, PAY, TOKEN, PAY]


@pytest.mark.parametrize("status", [400, 403, 417, 422])
def test_no_other_refusal_costs_a_token_or_a_second_call(talk: Talk, status: int) -> None:
    gateway, line = talk({PAY: Reply.of({"code": "BAD_REQUEST"}, status)})
    with pytest.raises(Rejected):
        contract.call("create_order", gateway)
    assert paths(line) == [TOKEN, PAY]


def test_fifty_threads_survive_a_token_that_ends_in_their_midst() -> None:
    house = TokenHouse()
    with wire(house) as line:
        gateway = PhonePeGateway(contract.config(line.url))
        start = threading.Barrier(51)

        def buy(number: int) -> None:
            start.wait()
            for _ in range(4):
                contract.call("create_order", gateway, seconds=20)

        with ThreadPoolExecutor(50) as pool:
            bought = [pool.submit(buy, number) for number in range(50)]
            start.wait()
            while paths(line).count(PAY) < 60:
                time.sleep(0.001)
            house.end_all()
            for one in bought:
                one.result()
        assert paths(line).count(TOKEN) == 2


def test_a_token_is_renewed_before_it_ends(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, line = talk({TOKEN: token_reply(expires_in=600)})
    now = time.monotonic()
    contract.call("fetch_payment", gateway)
    for later, tokens in ((350, 1), (370, 2)):
        monkeypatch.setattr(phonepe.time, "monotonic", lambda later=later: now + later)
        contract.call("fetch_payment", gateway, seconds=5000)
        assert paths(line).count(TOKEN) == tokens


def test_a_clock_of_ours_that_is_wrong_does_not_ask_for_a_token_each_time(talk: Talk) -> None:
    gateway, line = talk({TOKEN: token_reply(expires_in=-9999)})
    for _ in range(5):
        contract.call("fetch_payment", gateway)
    assert paths(line).count(TOKEN) == 1


def token_reply(expires_in: int) -> Reply:
    return Reply.of(fixture("v2/oauth_token_response") | {"expires_at": int(time.time()) + expires_in})


def test_who_waits_for_a_token_waits_no_longer_than_the_deadline(talk: Talk) -> None:
    gateway, line = talk({TOKEN: Trouble.HANG})
    started = time.monotonic()

    def ask(_: int) -> None:
        with pytest.raises(Unavailable):
            contract.call("create_order", gateway, seconds=0.4)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert time.monotonic() - started < 3
    assert PAY not in paths(line)


@pytest.mark.parametrize(
    "answer",
    [
        Reply.of({"access_token": "t"}),
        Reply.of({"expires_at": FAR_SECONDS}),
        Reply.of({"access_token": "a b", "expires_at": FAR_SECONDS}),
        Reply.of({"access_token": "a\r\nX: y", "expires_at": FAR_SECONDS}),
        Reply.of({"access_token": "", "expires_at": FAR_SECONDS}),
        Reply.of({"access_token": None, "expires_at": FAR_SECONDS}),
        Reply.of({"access_token": "t", "expires_at": None}),
        Reply.of({"access_token": "t", "expires_at": 10**400}),
        Reply.of([]),
    ],
)
def test_what_is_no_token_means_that_nothing_was_sent(talk: Talk, answer: Reply) -> None:
    gateway, line = talk({TOKEN: answer})
    with pytest.raises(Unavailable):
        contract.call("create_order", gateway)
    assert PAY not in paths(line)


def test_a_wrong_client_is_a_refusal(talk: Talk) -> None:
    gateway, line = talk({TOKEN: error_reply("v2/oauth_error_invalid_client", 400)})
    with pytest.raises(Rejected) as caught:
        contract.call("create_order", gateway)
    assert caught.value.gateway_code == "INVALID_CLIENT"
    assert paths(line) == [TOKEN]
    assert gateway.health.credentials_refused(0)


@pytest.mark.usefixtures("no_pauses")
def test_asking_for_a_token_is_repeated_like_a_read(talk: Talk) -> None:
    gateway, line = talk({TOKEN: Reply(b"", 503)})
    with pytest.raises(Unavailable):
        contract.call("create_order", gateway)
    assert paths(line) == [TOKEN] * 3


# ── making an order ─────────────────────────────────────────────────────────────────────────────────────


def test_an_order_has_exactly_the_documented_body(talk: Talk) -> None:
    gateway, line = talk()
    checkout = contract.call("create_order", gateway)
    assert line.requests[1].json() == {
        "merchantOrderId": WIRE_ID,
        "amount": "10015",
        "expireAfter": "3600",
        "metaInfo": {"udf1": WIRE_ID},
        "paymentFlow": {
            "type": "PG_CHECKOUT",
            "message": "Course «Algebra»",
            "merchantUrls": {"redirectUrl": "https://shop.example.com/back"},
        },
    }
    official = fixture("v2/pay_response")
    assert checkout.fields == {
        "redirectUrl": official["redirectUrl"],
        "expireAt": "2023-12-28T09:37:39.307000+00:00",
    }
    assert checkout.gateway_status == "PENDING"


@pytest.mark.parametrize(
    ("lifetime_seconds", "sent"), [(-5, 300), (10, 300), (900, 900), (3600, 3600), (9999, 3600)]
)
def test_an_order_lives_as_long_as_phonepe_allows(talk: Talk, lifetime_seconds: int, sent: int) -> None:
    gateway, line = talk()
    ends = datetime.now(UTC) + timedelta(seconds=lifetime_seconds)
    new = dataclasses.replace(contract.new_order(Money(100)), expires_at=ends, description="")
    gateway.create_order(new, Deadline(5))
    body = line.requests[1].json()
    assert abs(int(body["expireAfter"]) - sent) <= 1
    assert "message" not in body["paymentFlow"]


@pytest.mark.parametrize(
    "reply",
    [
        error_reply("v2/error_duplicate_order", 417),
        Reply.of({"code": "INVALID_MERCHANT_ORDER_ID", "message": "Order ID has been used"}, 417),
        Reply.of({"code": "ORDER_ALREADY_EXISTS", "message": "?"}, 400),
    ],
)
def test_an_id_that_is_used_already_means_that_the_order_is_there(talk: Talk, reply: Reply) -> None:
    """The caller asks then, and learns that its address is lost."""
    gateway, line = talk({PAY: reply})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_order", gateway)
    assert paths(line) == [TOKEN, PAY]


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "/here", None, 7, ["https://x"]])
def test_an_address_where_no_browser_can_be_sent_is_no_answer(talk: Talk, url: Any) -> None:
    gateway, _ = talk({PAY: Reply.of(fixture("v2/pay_response") | {"redirectUrl": url})})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_order", gateway)


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────

P, A = PaymentStatus, AttemptStatus
OFFICIAL: dict[str, tuple[PaymentStatus, list[AttemptStatus], str | None]] = {
    "completed_card": (P.COMPLETED, [A.SUCCEEDED], "CARD"),
    "completed_upi_qr": (P.COMPLETED, [A.SUCCEEDED], "UPI_QR"),
    "completed_with_fees_details": (P.COMPLETED, [A.SUCCEEDED], "UPI_INTENT"),
    "failed_error_context": (P.FAILED, [A.FAILED], "UPI_COLLECT"),
    "failed_expired": (P.EXPIRED, [], None),
    "pending_attempt": (P.PENDING, [A.PENDING], "UPI_INTENT"),
    "pending_no_attempt": (P.PENDING, [], None),
    "with_settlement": (P.COMPLETED, [A.SUCCEEDED], "UPI_QR"),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_answer_is_read_as_documented(talk: Talk, name: str) -> None:
    body = fixture(f"v2/order_status_{name}")
    snapshot = fetch(talk, body)
    status, attempts, method = OFFICIAL[name]
    assert (snapshot.status, [a.status for a in snapshot.attempts]) == (status, attempts)
    assert (snapshot.amount, snapshot.gateway_status) == (Money(body["amount"]), body["state"])
    assert snapshot.order == OrderRef(WIRE_ID, body["orderId"])
    assert [a.method for a in snapshot.attempts] == [method] * len(attempts)
    assert (snapshot.checkout, snapshot.refunds) == (None, None)


def test_the_root_decides_whatever_the_attempts_say(talk: Talk) -> None:
    for root in ("PENDING", "COMPLETED", "FAILED"):
        for attempt in ("PENDING", "COMPLETED", "FAILED", "NEW"):
            snapshot = fetch(talk, order(PAID.but(order_word=root, attempt_word=attempt)))
            assert snapshot.status is ORDER_STATUS[root]


def test_every_attempt_is_asked_for(talk: Talk) -> None:
    gateway, line = talk()
    snapshot = contract.call("fetch_payment", gateway)
    assert line.requests[-1].query == {"details": "true"}
    assert [a.status for a in snapshot.attempts] == [A.FAILED, A.SUCCEEDED]


@pytest.mark.parametrize("mode", ["WALLET", "EMI", "SOMETHING_NEW", None])
def test_a_way_of_paying_that_nobody_knows_is_only_a_text(talk: Talk, mode: str | None) -> None:
    body = order(PAID)
    body["paymentDetails"][1]["paymentMode"] = mode
    snapshot = fetch(talk, body)
    assert (snapshot.status, snapshot.attempts[1].method) == (P.COMPLETED, mode)


@pytest.mark.parametrize("details", [{}, "x", {"0": {}}, 7])
def test_what_is_no_list_of_attempts_is_not_an_empty_one(talk: Talk, details: Any) -> None:
    with pytest.raises(Unavailable):
        fetch(talk, order(PAID) | {"paymentDetails": details})


def test_a_failed_attempt_tells_why(talk: Talk) -> None:
    assert fetch(talk, fixture("v2/order_status_failed_error_context")).attempts[0].error_code == "ZM"


@pytest.mark.parametrize("status", [400, 404])
def test_an_unknown_order_is_told_apart_with_either_http_status(talk: Talk, status: int) -> None:
    with pytest.raises(UnknownAtGateway):
        fetch(talk, fixture("v2/error_invalid_merchant_order_id"), status)


def test_a_payment_id_leads_to_its_order(talk: Talk) -> None:
    gateway, line = talk()
    assert gateway.find_by_payment_id(PAYMENT, Deadline(5)) == OrderRef("", ORDER)
    assert line.requests[-1].path == f"/checkout/v2/transaction/{PAYMENT}/status"


@pytest.mark.parametrize(
    ("more", "wire_id"),
    [
        ({"metaInfo": {"udf1": WIRE_ID}}, WIRE_ID),
        ({"merchantOrderId": "shop-1", "metaInfo": {"udf1": "of a shop"}}, "shop-1"),
        *(
            ({"metaInfo": meta}, "")
            for meta in ({"udf1": "of a shop"}, {"udf1": None}, {"udf2": WIRE_ID}, "x")
        ),
    ],
)
def test_the_order_of_a_payment_is_ours_by_the_id_that_we_sent_along(
    talk: Talk, more: dict[str, Any], wire_id: str
) -> None:
    gateway, _ = talk({f"/checkout/v2/transaction/{PAYMENT}/status": Reply.of(order(PAID) | more)})
    assert gateway.find_by_payment_id(PAYMENT, Deadline(5)) == OrderRef(wire_id, ORDER)


@pytest.mark.parametrize(
    "text", ["", "OM", "pay_29QQoUBi66xm2f", "om2403282020198651071949", "OM123456/../x"]
)
def test_what_cannot_be_a_payment_id_is_not_asked_for(talk: Talk, text: str) -> None:
    gateway, line = talk()
    assert gateway.find_by_payment_id(text, Deadline(5)) is None
    assert line.requests == []


def test_nothing_is_ever_captured_or_closed(talk: Talk) -> None:
    gateway, line = talk()
    with pytest.raises(Rejected):
        gateway.capture(OrderRef(WIRE_ID), PAYMENT, Money(100), Deadline(5))
    assert gateway.close(OrderRef(WIRE_ID), Deadline(5)) is None
    assert line.requests == []


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refund_has_exactly_the_documented_body(talk: Talk) -> None:
    gateway, line = talk()
    contract.call("create_refund", gateway)
    sent = line.requests[1].json()
    assert sent == {"merchantRefundId": REFUND_ID, "originalMerchantOrderId": WIRE_ID, "amount": "10015"}
    assert set(sent) == set(fixture("v2/refund_request"))


def test_a_refund_sent_a_second_time_is_found_instead(talk: Talk) -> None:
    gateway, line = talk({REFUND: error_reply("v2/error_duplicate_order", 417)})
    found = contract.call("create_refund", gateway)
    assert (found.refund_id, found.status) == (REFUND_ID, RefundStatus.COMPLETED)
    assert paths(line) == [TOKEN, REFUND, REFUND_STATUS]


def test_a_refund_in_the_way_is_told_as_it_is_or_its_outcome_is_unknown(talk: Talk) -> None:
    reused = error_reply("v2/error_duplicate_order", 417)
    gateway, _ = talk({REFUND: reused, REFUND_STATUS: Trouble.RESET})
    with pytest.raises(OutcomeUnknown):
        contract.call("create_refund", gateway, seconds=1)
    another = refund(PAID.but(amount=Money(1)), "v2/refund_status_completed_upi")
    gateway, _ = talk({REFUND: reused, REFUND_STATUS: Reply.of(another)})
    assert contract.call("create_refund", gateway).amount == Money(1)


def test_a_refund_of_an_order_that_is_unknown_moved_no_money(talk: Talk) -> None:
    gateway, line = talk({REFUND: error_reply("v2/error_invalid_merchant_order_id", 400)})
    with pytest.raises(UnknownAtGateway):
        contract.call("create_refund", gateway)
    assert paths(line) == [TOKEN, REFUND]


@pytest.mark.parametrize(
    ("name", "status", "number"),
    [
        ("completed_net_banking", RefundStatus.COMPLETED, "OMR2507211657281836129569"),
        ("completed_upi", RefundStatus.COMPLETED, "OMR7878098045517540996"),
        ("confirmed", RefundStatus.PENDING, "OMR2403071623443032708524"),  # only in its details
        ("failed", RefundStatus.FAILED, "OMR7878098045517540996"),
        ("pending", RefundStatus.PENDING, "OMR7878098045517540996"),
    ],
)
def test_an_official_refund_is_read_as_documented(
    talk: Talk, name: str, status: RefundStatus, number: str
) -> None:
    gateway, _ = talk({REFUND_STATUS: Reply.of(fixture(f"v2/refund_status_{name}"))})
    found = gateway.fetch_refund(RefundRef(REFUND_ID, OrderRef(WIRE_ID), PAYMENT), Deadline(5))
    assert (found.status, found.gateway_refund_id, found.transaction_id) == (status, number, PAYMENT)


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────


def config(**changes: Any) -> PhonePeConfig:
    usual: dict[str, Any] = {
        "client_id": "c",
        "client_secret": "s",
        "client_version": "1",
        "webhook_users": ("u",),
        "webhook_passwords": ("p",),
        "environment": "production",
        "other_url": "",
        "webhook_hmac_secrets": (),
    }
    return PhonePeConfig(**{**usual, **changes})


def test_in_production_tokens_come_from_a_host_of_their_own() -> None:
    assert config().api_url == "https://api.phonepe.com/apis/pg"
    assert config().token_url == "https://api.phonepe.com/apis/identity-manager/v1/oauth/token"
    sandbox = config(environment="sandbox")
    assert sandbox.token_url == f"{sandbox.api_url}/v1/oauth/token"
    other = config(other_url="http://localhost:9/base/")
    assert (other.api_url, other.token_url) == (
        "http://localhost:9/base",
        "http://localhost:9/base/v1/oauth/token",
    )


def test_the_environment_tells_test_from_live() -> None:
    assert PhonePeGateway(config()).mode == "live"
    assert PhonePeGateway(config(environment="sandbox")).mode == "test"


@pytest.mark.parametrize("users", [(), ("a", "b"), ("a", "b", "c", "d")])
def test_users_that_fit_no_passwords_are_refused(users: tuple[str, ...]) -> None:
    with pytest.raises(WrongVariables) as caught:
        config(webhook_users=users, webhook_passwords=("1", "2", "3"))
    assert list(caught.value.sentences) == ["PHONEPE_WEBHOOK_USER"]
