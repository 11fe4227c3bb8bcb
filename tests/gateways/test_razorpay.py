"""What is Razorpay's alone among the calls: the traps of its SDK, receipts, attempts, official errors."""

import base64
import ssl
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from razorpay.resources.payment import Payment as SdkPayment

from payments_service import net
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
from payments_service.domain.states import AttemptStatus, PaymentStatus
from payments_service.gateways.razorpay import RazorpayConfig, RazorpayGateway
from tests.gateways import razorpay_wire
from tests.gateways.hooks import REFUND_ID, WIRE_ID
from tests.gateways.razorpay_wire import (
    FAILED_PAYMENT,
    FIXTURES,
    KEY_SECRET,
    ORDER,
    PAYMENT,
    error_reply,
    fixture,
    listed,
    payment,
)
from tests.gateways.test_razorpay_contract import TestRazorpayContract as Contract
from tests.gateways.wire import HTML, Answer, Reply, Trouble, Wire, closed_port, wire

contract = Contract()
PAID = Contract.paid
A = AttemptStatus
Talk = Callable[..., tuple[RazorpayGateway, Wire]]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A gateway and the line it talks on; by path (after /v1/) what is answered other than usual."""
    lines: list[Any] = []

    def start(**other: Answer) -> tuple[RazorpayGateway, Wire]:
        answers = {path.replace("__", "/"): answer for path, answer in other.items()}
        usual = contract.healthy()
        lines.append(wire(lambda request: answers.get(request.path.removeprefix("/v1/")) or usual(request)))
        line = lines[-1].__enter__()
        return RazorpayGateway(contract.config(line.url)), line

    yield start
    for line in lines:
        line.__exit__(None, None, None)


# ── traps of the SDK ────────────────────────────────────────────────────────────────────────────────────


def test_captures_at_the_same_time_send_each_their_own_amount(talk: Talk) -> None:
    gateway, line = talk()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            order = OrderRef("")
            capture = lambda n: gateway.capture(order, f"pay_{n}", Money(n), Deadline(20))  # noqa: E731
            list(pool.map(capture, range(100, 300)))
    finally:
        sys.setswitchinterval(interval)
    assert len(line.requests) == 200
    for request in line.requests:
        assert f"pay_{request.json()['amount']}" == request.path.split("/")[3]
    assert SdkPayment.capture.__defaults__ == ({},)  # the dict that all threads would share


def test_each_write_has_exactly_the_documented_body(talk: Talk) -> None:
    gateway, line = talk()
    for verb in contract.writes:
        contract.call(verb, gateway)
    create, capture, refund = line.requests
    options = {"automatic_expiry_period": "7200", "manual_expiry_period": "7200", "refund_speed": "normal"}
    assert create.json() == {
        "amount": "10015",
        "currency": "INR",
        "receipt": WIRE_ID,
        "payment": {"capture": "automatic", "capture_options": options},
    }
    assert capture.json() == {"amount": "10015", "currency": "INR"}
    assert refund.json() == {"amount": "10015", "speed": "normal", "receipt": REFUND_ID}
    assert (capture.path, refund.path) == (
        f"/v1/payments/{PAYMENT}/capture",
        f"/v1/payments/{PAYMENT}/refund",
    )
    assert refund.headers["x-refund-idempotency"] == REFUND_ID
    for request in line.requests:
        name_and_password = base64.b64decode(request.headers["authorization"].removeprefix("Basic "))
        assert name_and_password.decode() == f"{razorpay_wire.KEY_ID}:{KEY_SECRET}"


def test_the_certificates_of_the_sdk_decide_nothing(
    certificate: Path, self_signed: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wire(contract.healthy(), tls=self_signed) as line:
        gateway = RazorpayGateway(contract.config(line.url))
        for path in (str(certificate), False, True):
            gateway.client.cert_path = path
            with pytest.raises(Unavailable):
                contract.call("create_order", gateway)
        assert line.requests == []
        monkeypatch.setattr(net, "tls_context", lambda: ssl.create_default_context(cafile=certificate))
        contract.call("create_order", RazorpayGateway(contract.config(line.url)))


@pytest.mark.usefixtures("no_pauses")
def test_the_sdk_prints_nothing(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    gateway, line = talk()
    with closed_port() as nobody:
        for answer in (
            Trouble.RESET,
            Trouble.HANG,
            Reply(HTML, 502),
            Reply(HTML),
            error_reply("auth_failed"),
            None,
        ):
            line.answer = answer or HTML
            used = gateway if answer else RazorpayGateway(contract.config(nobody))
            for verb in (*contract.writes, *contract.reads):
                with suppress(GatewayError):
                    contract.call(verb, used, seconds=0.2)
    assert capsys.readouterr() == ("", "")


# ── creating an order twice ─────────────────────────────────────────────────────────────────────────────


def receipt_taken(order_id: str | None = ORDER, words: str = "Order receipt should be unique.") -> Reply:
    metadata = {"order_id": order_id} if order_id else {}
    error = {"code": "BAD_REQUEST_ERROR", "description": words, "metadata": metadata}
    return Reply.of({"error": error}, 400)


def test_an_order_that_has_our_receipt_already_is_taken_over(talk: Talk) -> None:
    gateway, line = talk(orders=receipt_taken())
    checkout = contract.call("create_order", gateway)
    assert (checkout.gateway_order_id, checkout.amount) == (ORDER, PAID.amount)
    assert [(r.method, r.path) for r in line.requests] == [
        ("POST", "/v1/orders"),
        ("GET", f"/v1/orders/{ORDER}"),
    ]


def test_an_order_in_the_way_that_cannot_be_read_leaves_the_outcome_unknown(talk: Talk) -> None:
    for answer in (Trouble.RESET, error_reply("id_does_not_exist"), Reply(b"[]"), Reply(b"{}")):
        gateway, _ = talk(orders=receipt_taken(), **{f"orders__{ORDER}": answer})
        with pytest.raises(OutcomeUnknown):
            contract.call("create_order", gateway, seconds=1)


def test_an_order_in_the_way_with_another_receipt_is_not_ours(talk: Talk) -> None:
    theirs = Reply.of(razorpay_wire.order(PAID.but(wire_id="theirs")))
    gateway, _ = talk(orders=receipt_taken(), **{f"orders__{ORDER}": theirs})
    with pytest.raises(Rejected):
        contract.call("create_order", gateway)


@pytest.mark.parametrize("refusal", [receipt_taken(None), receipt_taken(words="The amount is too large")])
def test_any_other_refusal_takes_nothing_over(talk: Talk, refusal: Reply) -> None:
    gateway, line = talk(orders=refusal)
    with pytest.raises(Rejected):
        contract.call("create_order", gateway)
    assert len(line.requests) == 1


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────


def payments(*items: dict[str, Any]) -> dict[str, Answer]:
    return {f"orders__{ORDER}__payments": Reply.of(listed(*items))}


def fetch(talk: Talk, order_word: str, **other: Answer) -> PaymentSnapshot:
    entity = razorpay_wire.order(PAID.but(order_word=order_word))
    gateway, _ = talk(**{f"orders__{ORDER}": Reply.of(entity)}, **other)
    return gateway.fetch_payment(OrderRef(WIRE_ID, ORDER), Deadline(5))


def test_the_attempt_that_paid_is_found_behind_those_that_failed(talk: Talk) -> None:
    paid, failed = payment(PAID), payment(PAID) | razorpay_wire.FAILED
    for items in ([failed, paid], [paid, failed], [failed, failed | {"id": "pay_Another000001"}, paid]):
        snapshot = fetch(talk, "paid", **payments(*items))
        assert (snapshot.status, snapshot.gateway_status) == (PaymentStatus.COMPLETED, "captured")
        assert [a.transaction_id for a in snapshot.attempts] == [item["id"] for item in items]
        assert {a.transaction_id for a in snapshot.attempts if a.status is A.FAILED} >= {FAILED_PAYMENT}


@pytest.mark.parametrize("items", [{}, "", None, 0, {"0": {}}])
def test_what_is_no_list_of_attempts_is_not_an_empty_one(talk: Talk, items: Any) -> None:
    with pytest.raises(Unavailable):
        fetch(talk, "paid", **{f"orders__{ORDER}__payments": Reply.of({"items": items})})


def test_a_failed_attempt_leaves_its_order_payable(talk: Talk) -> None:
    snapshot = fetch(talk, "attempted", **payments(fixture("api/payment.fetch.failed.response")))
    assert (snapshot.status, snapshot.attempts[0].status) == (PaymentStatus.PENDING, A.FAILED)
    assert snapshot.attempts[0].error_code == "BAD_REQUEST_ERROR"


def test_money_that_is_held_makes_the_order_authorized(talk: Talk) -> None:
    held = fixture("api/payment.fetch.authorized.response")
    snapshot = fetch(talk, "attempted", **payments(payment(PAID) | razorpay_wire.FAILED, held))
    assert (snapshot.status, snapshot.gateway_status) == (PaymentStatus.AUTHORIZED, "authorized")


def test_a_payment_refunded_before_its_capture_was_never_ours(talk: Talk) -> None:
    returned = payment(PAID) | {"status": "refunded", "captured": False, "amount_refunded": PAID.amount.minor}
    snapshot = fetch(talk, "attempted", **payments(returned))
    assert (snapshot.status, snapshot.attempts[0].status) == (PaymentStatus.PENDING, A.VOIDED)
    snapshot = fetch(talk, "paid", **payments(returned | {"captured": True}))
    assert (snapshot.status, snapshot.attempts[0].status) == (PaymentStatus.COMPLETED, A.REFUNDED)


def test_refunds_are_asked_for_only_where_there_are_any(talk: Talk) -> None:
    gateway, line = talk()
    snapshot = contract.call("fetch_payment", gateway)
    assert [refund.refund_id for refund in snapshot.refunds] == [REFUND_ID]
    asked = [request.path for request in line.requests if request.path.endswith("/refunds")]
    assert asked == [f"/v1/payments/{PAYMENT}/refunds"]  # and not for the failed attempt
    assert fetch(talk, "paid", **payments(payment(PAID) | {"amount_refunded": 0})).refunds == ()


def test_an_order_is_searched_by_its_receipt_only_until_its_id_is_known(talk: Talk) -> None:
    gateway, line = talk()
    contract.call("fetch_payment", gateway)
    assert line.requests[0].query["receipt"] == WIRE_ID
    line.requests.clear()
    gateway.fetch_payment(OrderRef(WIRE_ID, ORDER), Deadline(5))
    assert "/v1/orders" not in [request.path for request in line.requests]


def test_an_order_that_is_asked_for_by_its_own_id_says_our_receipt(talk: Talk) -> None:
    gateway, _ = talk()
    assert gateway.fetch_payment(OrderRef("", ORDER), Deadline(5)).order == OrderRef(WIRE_ID, ORDER)


def test_only_the_very_receipt_is_our_order(talk: Talk) -> None:
    others = [razorpay_wire.order(PAID.but(wire_id=wrong)) for wrong in (WIRE_ID + "0", WIRE_ID.upper(), "")]
    gateway, line = talk(orders=Reply.of(listed(*others)))
    with pytest.raises(UnknownAtGateway):
        contract.call("fetch_payment", gateway)
    assert len(line.requests) == 1


def test_a_refund_is_asked_for_by_whichever_id_is_known(talk: Talk) -> None:
    gateway, line = talk()
    known = RefundRef(REFUND_ID, OrderRef(WIRE_ID), PAYMENT, "rfnd_ContractPart1")
    assert gateway.fetch_refund(known, Deadline(5)).refund_id == REFUND_ID
    assert line.requests[-1].path == "/v1/refunds/rfnd_ContractPart1"
    with pytest.raises(UnknownAtGateway):
        gateway.fetch_refund(RefundRef("psr_another", OrderRef(WIRE_ID), PAYMENT), Deadline(5))


def test_a_payment_id_leads_to_its_order(talk: Talk) -> None:
    gateway, _ = talk()
    assert gateway.find_by_payment_id(PAYMENT, Deadline(5)) == OrderRef("", ORDER)
    gateway, _ = talk(**{f"payments__{PAYMENT}": Reply.of(payment(PAID) | {"order_id": None})})
    assert gateway.find_by_payment_id(PAYMENT, Deadline(5)) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "pay_", "pay_short", "PAY_29QQoUBi66xm2f", "order_9A33XWu170gUtm", " pay_29QQoUBi66xm2f"),
        *("pay_29QQoUBi66xm2f\n", "pay_29QQoUBi/../x", "pay_29QQoUBi?x=1", "pay_२९QQoUBi66xm2f"),
        f"pay_{'a' * 41}",
    ],
)
def test_what_cannot_be_a_payment_id_is_not_asked_for(talk: Talk, text: str) -> None:
    gateway, line = talk()
    assert gateway.find_by_payment_id(text, Deadline(5)) is None
    assert line.requests == []


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────

ERRORS: dict[str, type[GatewayError]] = {
    "rate_limited": Unavailable,
    "server_error": OutcomeUnknown,
    "gateway_error": OutcomeUnknown,
    "refund_idempotency_in_progress": OutcomeUnknown,
    "id_does_not_exist": UnknownAtGateway,
}


@pytest.mark.parametrize("name", sorted(path.stem for path in (FIXTURES / "errors").glob("*.json")))
def test_an_official_error_of_a_write_says_whether_money_moved(talk: Talk, name: str) -> None:
    reply = error_reply(name)
    gateway, _ = talk(**{f"payments__{PAYMENT}__refund": reply})
    with pytest.raises(GatewayError) as caught:
        contract.call("create_refund", gateway)
    assert type(caught.value) is ERRORS.get(name, Rejected)
    assert (caught.value.gateway_status, caught.value.gateway_code) == (
        reply.status,
        fixture(f"errors/{name}")["body"]["error"]["code"],
    )


@pytest.mark.parametrize("name", ["auth_failed", "api_key_invalid"])
@pytest.mark.parametrize("status", [400, 401])
def test_wrong_keys_are_known_by_what_is_said_of_them(talk: Talk, name: str, status: int) -> None:
    """razorpay.com/docs: orders/create lists "Authentication failed" with 400."""
    gateway, _ = talk(orders=Reply.of(fixture(f"errors/{name}")["body"], status))
    with pytest.raises(Rejected):
        contract.call("create_order", gateway)
    assert gateway.health.credentials_refused(0)


def test_a_payer_who_failed_to_authenticate_says_nothing_of_our_keys(talk: Talk) -> None:
    error = fixture("errors/auth_failed")["body"]["error"]
    said = error | {"description": "Authentication failed due to incorrect OTP"}
    gateway, _ = talk(orders=Reply.of({"error": said}, 400))
    with pytest.raises(Rejected):
        contract.call("create_order", gateway)
    assert not gateway.health.credentials_refused(0)


@pytest.mark.parametrize(
    "body",
    [
        {"message": "no Route matched with those values"},
        fixture("errors/url_not_found")["body"],
        {"error": None},
    ],
)
def test_a_wrong_address_is_not_an_unknown_order(talk: Talk, body: Any) -> None:
    gateway, _ = talk(orders=Reply.of(body, 404))
    with pytest.raises(Rejected) as caught:
        contract.call("fetch_payment", gateway)
    assert type(caught.value) is Rejected


def test_the_key_tells_test_from_live() -> None:
    for key_id, mode in (("rzp_live_x", "live"), ("rzp_test_x", "test"), ("other", "test")):
        config = RazorpayConfig(key_id, "s", ("w",), "http://localhost:9", "automatic")
        assert RazorpayGateway(config).mode == mode
