"""What is Razorpay's alone: its official samples and signatures, and the traps of its SDK."""

import base64
import hashlib
import json
import ssl
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from razorpay.resources.payment import Payment as SdkPayment

from payments_service.errors import (
    GatewayError,
    OutcomeUnknown,
    Rejected,
    SignatureInvalid,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.gateways import http
from payments_service.gateways.base import (
    Deadline,
    EventKind,
    OrderRef,
    PaymentSnapshot,
    RefundRef,
    WebhookEvent,
)
from payments_service.gateways.razorpay import RazorpayConfig, RazorpayGateway
from payments_service.money import Money
from payments_service.states import AttemptStatus, PaymentStatus, RefundStatus
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
    signature,
)
from tests.gateways.test_razorpay_contract import TestRazorpayContract as Contract
from tests.gateways.wire import HTML, Answer, Reply, Trouble, Wire, closed_port, wire

contract = Contract()
PAID = Contract.paid
VECTORS = json.loads((FIXTURES / "signature_vectors.json").read_text())
SAMPLES = sorted(path.stem for path in (FIXTURES / "webhooks").glob("*.json"))
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


def gateway_with(*, key_secret: str = KEY_SECRET, webhook_secret: str = "unused") -> RazorpayGateway:
    return RazorpayGateway(
        RazorpayConfig("rzp_test_x", key_secret, (webhook_secret,), "http://localhost:9", "automatic")
    )


def vectors(*kinds: str) -> list[Any]:
    return [pytest.param(v, id=f"{v['kind']} {v['source'][:40]}") for v in VECTORS if v["kind"] in kinds]


def read(raw: bytes) -> WebhookEvent:
    return contract.read(raw)


def sample(name: str) -> dict[str, Any]:
    made: dict[str, Any] = fixture(f"webhooks/{name}")
    return made


def read_sample(body: dict[str, Any]) -> WebhookEvent:
    return read(json.dumps(body).encode())


def snapshot_of(event: WebhookEvent) -> PaymentSnapshot:
    assert event.snapshot is not None
    return event.snapshot


# ── official signatures ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("vector", vectors("checkout_order"))
def test_an_official_checkout_signature_is_accepted(vector: dict[str, str]) -> None:
    order_id, payment_id = vector["message"].split("|")
    gateway = gateway_with(key_secret=vector["secret"])
    fields = {"orderId": order_id, "paymentId": payment_id, "signature": vector["signature"]}
    gateway.check_return(OrderRef("psv_x", order_id), fields)
    for wrong in ({"paymentId": payment_id[:-1]}, {"signature": vector["signature"].upper()}):
        with pytest.raises(SignatureInvalid):
            gateway.check_return(OrderRef("psv_x", order_id), {**fields, **wrong})
    with pytest.raises(SignatureInvalid):
        gateway_with(key_secret="other").check_return(OrderRef("psv_x", order_id), fields)


def test_the_order_id_that_a_browser_brings_is_not_the_one_that_is_checked() -> None:
    theirs = OrderRef("psv_x", "order_OfSomebodyElse")
    fields = contract.genuine_return(theirs, PAYMENT)
    with pytest.raises(SignatureInvalid):
        contract.gateway().check_return(OrderRef(WIRE_ID, ORDER), fields)
    contract.gateway().check_return(theirs, {**fields, "orderId": "anything"})


@pytest.mark.parametrize("vector", vectors("webhook", "webhook_utf8"))
def test_an_official_webhook_signature_is_accepted(vector: dict[str, str]) -> None:
    raw, headers = vector["message"].encode(), {"x-razorpay-signature": vector["signature"]}
    assert gateway_with(webhook_secret=vector["secret"]).read_webhook(headers, raw).snapshot is None
    for secret in ("other", vector["secret"] + " "):
        with pytest.raises(SignatureInvalid):
            gateway_with(webhook_secret=secret).read_webhook(headers, raw)


def test_the_api_secret_signs_no_webhook_and_the_webhook_secret_no_return() -> None:
    raw = contract.event("payment.captured", PAID)
    with pytest.raises(SignatureInvalid):
        contract.read(raw, KEY_SECRET)
    signed = signature(contract.webhook_secrets[0], f"{ORDER}|{PAYMENT}")
    with pytest.raises(SignatureInvalid):
        contract.gateway().check_return(OrderRef(WIRE_ID, ORDER), {"paymentId": PAYMENT, "signature": signed})


def test_without_an_event_id_the_digest_of_the_bytes_tells_events_apart() -> None:
    raw = contract.event("payment.captured", PAID)
    headers = {"x-razorpay-signature": signature(contract.webhook_secrets[1], raw)}
    event = contract.gateway().read_webhook(headers, raw)
    assert event.event_id == hashlib.sha256(raw).hexdigest()


# ── official events ─────────────────────────────────────────────────────────────────────────────────────

P, A = PaymentStatus, AttemptStatus
EXPECTED: dict[str, tuple[EventKind, PaymentStatus | None, AttemptStatus | None]] = {
    "order.paid": (EventKind.PAYMENT, P.COMPLETED, A.SUCCEEDED),
    "payment.authorized.card": (EventKind.PAYMENT, P.AUTHORIZED, A.AUTHORIZED),  # with captured: true
    "payment.authorized.late": (EventKind.PAYMENT, P.AUTHORIZED, A.AUTHORIZED),
    "payment.authorized.netbanking": (EventKind.PAYMENT, P.AUTHORIZED, A.AUTHORIZED),
    "payment.authorized.upi": (EventKind.PAYMENT, P.AUTHORIZED, A.AUTHORIZED),
    "payment.captured.card": (EventKind.PAYMENT, P.COMPLETED, A.SUCCEEDED),
    "payment.captured.upi": (EventKind.PAYMENT, P.COMPLETED, A.SUCCEEDED),
    "payment.failed.card": (EventKind.PAYMENT, P.PENDING, A.FAILED),  # with captured: true
    "payment.failed.upi": (EventKind.PAYMENT, P.PENDING, A.FAILED),
    "refund.created": (EventKind.REFUND, P.COMPLETED, A.SUCCEEDED),
    "refund.created.auto_refund": (EventKind.REFUND, P.PENDING, A.VOIDED),
    "refund.failed": (EventKind.REFUND, P.COMPLETED, A.SUCCEEDED),
    "refund.processed": (EventKind.REFUND, P.COMPLETED, A.SUCCEEDED),
    **{name: (EventKind.DISPUTE, None, None) for name in SAMPLES if name.startswith("payment.dispute.")},
    "payment.downtime.started": (EventKind.IGNORED, None, None),
    "payment_link.paid": (EventKind.IGNORED, None, None),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_an_official_sample_means_what_the_documents_say(name: str) -> None:
    kind, status, attempt_status = EXPECTED[name]
    body, entity = sample(name), sample(name)["payload"].get("payment", {}).get("entity", {})
    event = read((FIXTURES / "webhooks" / f"{name}.json").read_bytes())
    assert (event.kind, event.type) == (kind, body["event"])
    assert (event.order.gateway_order_id if event.order else None) == entity.get("order_id")
    for private in (entity.get("email"), entity.get("contact")):
        assert private is None or private not in repr(event)
    if status is None:
        assert event.snapshot is None
        return
    snapshot = snapshot_of(event)
    (attempt,) = snapshot.attempts
    assert (snapshot.status, attempt.status) == (status, attempt_status)
    assert (attempt.transaction_id, attempt.gateway_status) == (entity["id"], entity["status"])
    assert attempt.amount == snapshot.amount == Money(entity["amount"])
    assert snapshot.observed_at == datetime.fromtimestamp(body["created_at"], UTC)


@pytest.mark.parametrize(
    ("name", "status"),
    [("refund.created", RefundStatus.COMPLETED), ("refund.failed", RefundStatus.FAILED)]
    + [("refund.created.auto_refund", RefundStatus.COMPLETED)],
)
def test_a_refund_event_carries_its_refund(name: str, status: RefundStatus) -> None:
    entity = sample(name)["payload"]["refund"]["entity"]
    (refund,) = snapshot_of(read_sample(sample(name))).refunds or ()
    assert (refund.gateway_refund_id, refund.transaction_id) == (entity["id"], entity["payment_id"])
    assert (refund.status, refund.amount) == (status, Money(entity["amount"]))


def test_the_paid_order_names_us_by_our_receipt() -> None:
    body = sample("order.paid")
    body["payload"]["order"]["entity"].update(receipt=WIRE_ID, amount=499900)
    snapshot = snapshot_of(read_sample(body))
    assert snapshot.order == OrderRef(WIRE_ID, "order_DESlLckIVRkHWj")
    assert snapshot.amount == Money(499900)  # the order's, and not that of the attempt
    body["payload"]["order"]["entity"]["receipt"] = None
    assert snapshot_of(read_sample(body)).order.wire_id == ""


def test_the_time_of_an_event_may_stand_inside_its_payload() -> None:
    body = sample("refund.processed") | {"event": "refund.speed_changed"}
    body["payload"]["created_at"] = body.pop("created_at")
    event = read_sample(body)
    assert (event.kind, snapshot_of(event).observed_at.year) == (EventKind.REFUND, 2020)
    del body["payload"]["created_at"]
    assert read_sample(body).kind is EventKind.UNREADABLE


def test_members_that_samples_leave_out_are_not_missed() -> None:
    body = sample("payment.captured.upi")
    entity = body["payload"]["payment"]["entity"]
    for name in ("acquirer_data", "notes", "fee", "tax", "method", "error_code", "email", "contact", "vpa"):
        entity.pop(name, None)
    assert snapshot_of(read_sample(body)).status is PaymentStatus.COMPLETED


def test_an_empty_error_code_is_none() -> None:
    assert sample("payment.failed.card")["payload"]["payment"]["entity"]["error_code"] == ""
    assert snapshot_of(read_sample(sample("payment.failed.card"))).attempts[0].error_code is None


def test_money_without_an_order_is_nobodys_payment() -> None:
    body = sample("payment.captured.upi")
    body["payload"]["payment"]["entity"]["order_id"] = None
    event = read_sample(body)
    assert (event.kind, event.order, event.snapshot) == (EventKind.PAYMENT, None, None)


# ── traps of the SDK ────────────────────────────────────────────────────────────────────────────────────


def test_captures_at_the_same_time_send_each_their_own_amount(talk: Talk) -> None:
    gateway, line = talk()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda n: gateway.capture(f"pay_{n}", Money(n), Deadline(20)), range(100, 300)))
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
        monkeypatch.setattr(http, "_tls_context", lambda: ssl.create_default_context(cafile=certificate))
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
    assert (checkout.order_id, checkout.amount) == (ORDER, PAID.amount)
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
    ["", "pay_", "pay_short", "PAY_29QQoUBi66xm2f", "order_9A33XWu170gUtm", " pay_29QQoUBi66xm2f"]
    + [
        "pay_29QQoUBi66xm2f\n",
        "pay_29QQoUBi/../x",
        "pay_29QQoUBi?x=1",
        "pay_२९QQoUBi66xm2f",
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
