"""What Razorpay sends us, by its official samples and signatures."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from payments_service.errors import (
    SignatureInvalid,
)
from payments_service.gateways.base import (
    EventKind,
    OrderRef,
    PaymentSnapshot,
    WebhookEvent,
)
from payments_service.gateways.razorpay import RazorpayConfig, RazorpayGateway
from payments_service.money import Money
from payments_service.states import AttemptStatus, PaymentStatus, RefundStatus
from tests.gateways.hooks import WIRE_ID
from tests.gateways.razorpay_wire import (
    FIXTURES,
    KEY_SECRET,
    ORDER,
    PAYMENT,
    fixture,
    signature,
)
from tests.gateways.test_razorpay_contract import TestRazorpayContract as Contract

contract = Contract()
PAID = Contract.paid
VECTORS = json.loads((FIXTURES / "signature_vectors.json").read_text())
SAMPLES = sorted(path.stem for path in (FIXTURES / "webhooks").glob("*.json"))


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


def test_the_event_id_of_the_header_tells_events_apart_and_not_their_bytes() -> None:
    raw = contract.event("payment.captured", PAID)
    ids = [contract.read(raw, number=number).event_id for number in (1, 2)]
    assert ids == ["event000000001", "event000000002"]


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
    [
        ("refund.created", RefundStatus.COMPLETED),
        ("refund.failed", RefundStatus.FAILED),
        ("refund.created.auto_refund", RefundStatus.COMPLETED),
    ],
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
