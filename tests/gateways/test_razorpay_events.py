"""What Razorpay sends us, by its official samples and signatures."""

import hashlib
import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from payments_service.domain.errors import (
    SignatureInvalid,
)
from payments_service.domain.money import Money
from payments_service.domain.news import EventKind, OrderRef, PaymentSnapshot, WebhookEvent
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.razorpay import RazorpayConfig, RazorpayGateway
from tests.gateways.hooks import WIRE_ID
from tests.gateways.razorpay_wire import (
    FIXTURES,
    KEY_SECRET,
    ORDER,
    PAYMENT,
    fixture,
    signature,
)
from tests.gateways.strange import A_SEVENTH_OR_ALL, assert_storable, paths, replaced
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
    "order.placed.cod": (EventKind.PAYMENT, P.PENDING, A.PLACED),
    "payment.pending.cod": (EventKind.PAYMENT, P.PENDING, A.PLACED),
    "payment.captured.cod": (EventKind.PAYMENT, P.PENDING, A.COLLECTED),
    "payment.captured.customer_fee_bearer": (EventKind.PAYMENT, P.COMPLETED, A.SUCCEEDED),
    "refund.processed.card_arn": (EventKind.REFUND, P.COMPLETED, A.SUCCEEDED),
    "settlement.processed.2025_11": (EventKind.SETTLEMENT, None, None),
    "payment_link.paid": (EventKind.IGNORED, None, None),
    **{name: (EventKind.DISPUTE, None, None) for name in SAMPLES if name.startswith("payment.dispute.")},
    **{name: (EventKind.IGNORED, None, None) for name in SAMPLES if name.startswith("payment.downtime.")},
    **{name: (EventKind.IGNORED, None, None) for name in SAMPLES if name.startswith("qr_code.")},
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
    assert not event.wake_up
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
    event = read_sample(body)
    assert (event.kind, event.snapshot, event.wake_up) == (EventKind.REFUND, None, True)


def test_members_that_samples_leave_out_are_not_missed() -> None:
    body = sample("payment.captured.upi")
    entity = body["payload"]["payment"]["entity"]
    for name in ("acquirer_data", "notes", "fee", "tax", "error_code", "email", "contact", "vpa"):
        entity.pop(name, None)
    assert snapshot_of(read_sample(body)).status is PaymentStatus.COMPLETED


def test_an_empty_error_code_is_none() -> None:
    assert sample("payment.failed.card")["payload"]["payment"]["entity"]["error_code"] == ""
    assert snapshot_of(read_sample(sample("payment.failed.card"))).attempts[0].error_code is None


def test_a_payment_that_names_no_order_is_asked_for() -> None:
    body = sample("payment.captured.upi")
    entity = body["payload"]["payment"]["entity"]
    entity["order_id"] = None
    event = read_sample(body)
    assert (event.kind, event.order, event.snapshot) == (EventKind.PAYMENT, None, None)
    assert (event.transaction_id, event.wake_up) == (entity["id"], True)


def test_cash_on_delivery_never_claims_that_an_order_is_paid() -> None:
    """Whichever word the payment has, and also where Razorpay says that the order is paid."""
    body = sample("order.placed.cod")
    payment, order = (body["payload"][name]["entity"] for name in ("payment", "order"))
    expected = {"authorized": A.PLACED, "captured": A.COLLECTED, "refunded": A.VOIDED, "failed": A.FAILED}
    for order_word in ("placed", "paid", "attempted", "refunded"):
        for word, status in expected.items():
            payment["status"], order["status"] = word, order_word
            event = read_sample(body)
            if status in (A.PLACED, A.COLLECTED) or order_word != "paid":
                snapshot = snapshot_of(event)
                assert (snapshot.status, snapshot.attempts[0].status) == (P.PENDING, status)
                assert snapshot.attempts[0].capture_by is None
            if status in (A.PLACED, A.COLLECTED):
                assert snapshot.gateway_status == f"cod_{word}"


@pytest.mark.parametrize("word", ["cancelled", "expired"])
def test_an_event_alone_does_not_end_an_order(word: str) -> None:
    body = sample("order.placed.cod")
    body["payload"]["order"]["entity"]["status"] = word
    body["payload"]["payment"]["entity"]["status"] = "failed"
    event = read_sample(body)
    assert (event.snapshot, event.wake_up) == (None, True)


def test_an_unknown_word_of_a_known_product_is_loud() -> None:
    for name in (
        "payment.something",
        "order.something",
        "refund.something",
        "settlement.failed",
        "new.thing",
    ):
        event = read_sample(sample("payment.captured.upi") | {"event": name})
        assert (event.kind, event.snapshot, event.wake_up) == (EventKind.UNKNOWN, None, False)


# ── events that name only a payment ─────────────────────────────────────────────────────────────────────


def test_a_refund_without_its_payment_names_it() -> None:
    for entity in ({}, {"entity": None}, None, {"entity": {}}, {"entity": {"order_id": None}}):
        body = sample("refund.processed.card_arn")
        body["payload"]["payment"] = entity
        event = read_sample(body)
        assert event.refund is not None
        assert (event.kind, event.order, event.snapshot) == (EventKind.REFUND, None, None)
        assert event.transaction_id == event.refund.transaction_id == "pay_UpdCardPay0001"
        assert (event.refund.status, event.refund.amount) == (RefundStatus.COMPLETED, Money(5000))
        assert event.refund.bank_reference == "74332746310000000000001"
        assert not event.wake_up


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("payment.dispute.")])
def test_a_dispute_is_read_with_its_phase_reason_and_date(name: str) -> None:
    body = sample(name)
    told = body["payload"]["dispute"]["entity"]
    for payment in (body["payload"]["payment"], None):
        body["payload"]["payment"] = payment
        event = read_sample(body)
        dispute = event.dispute
        assert dispute is not None
        assert (dispute.dispute_id, dispute.transaction_id) == (told["id"], told["payment_id"])
        assert (dispute.phase, dispute.reason) == (told["phase"], told["reason_code"])
        assert dispute.respond_by == datetime.fromtimestamp(told["respond_by"], UTC)
        assert dispute.observed_at == datetime.fromtimestamp(body["created_at"], UTC)
        assert dispute.is_closed is (told["status"] in ("won", "lost", "closed"))
        assert dispute.needs_answer is (told["status"] == "open")
        assert dispute.asks_again is (name == "payment.dispute.action_required")
        assert dispute.deducted == Money(told["amount_deducted"])
        order_id = payment and payment["entity"]["order_id"]
        assert (event.order.gateway_order_id if event.order else None) == order_id
        assert event.transaction_id == (None if order_id else told["payment_id"])


def test_the_status_of_a_dispute_closes_it_under_any_event() -> None:
    body = sample("payment.dispute.created")
    for status, is_closed in {"open": False, "under_review": False, "won": True, "lost": True}.items():
        body["payload"]["dispute"]["entity"]["status"] = status
        event = read_sample(body)
        assert event.dispute is not None
        assert event.dispute.is_closed is is_closed


@pytest.mark.parametrize(
    ("event", "status", "needs_answer", "asks_again", "is_lost"),
    [
        ("created", "open", True, False, False),
        ("under_review", "under_review", False, False, False),
        ("action_required", "open", True, True, False),
        ("action_required", "under_review", True, True, False),
        ("action_required", "lost", False, False, True),
        ("won", "won", False, False, False),
        ("won", "open", False, False, False),
        ("lost", "lost", False, False, True),
        ("lost", "open", False, False, True),
        ("closed", "closed", False, False, False),
        ("closed", "lost", False, False, True),
        ("created", "a word of next year", False, False, False),
    ],
)
def test_a_dispute_says_whose_turn_it_is(
    event: str, status: str, needs_answer: bool, asks_again: bool, is_lost: bool
) -> None:
    body = sample("payment.dispute.created") | {"event": f"payment.dispute.{event}"}
    body["payload"]["dispute"]["entity"]["status"] = status
    told = read_sample(body).dispute
    assert told is not None
    assert (told.needs_answer, told.asks_again, told.is_lost) == (needs_answer, asks_again, is_lost)


def test_a_dispute_without_a_time_is_observed_now() -> None:
    for wrong in (None, "1589909172", [], -1, 10**30):
        event = read_sample(sample("payment.dispute.created") | {"created_at": wrong})
        assert event.dispute is not None
        assert abs((datetime.now(UTC) - event.dispute.observed_at).total_seconds()) < 60


# ── members that are missing or spoiled ─────────────────────────────────────────────────────────────────

SPOILED: tuple[Any, ...] = (None, [], {"x": 1}, "\0", "\ud800", "", 1.5, True, -(2**62), 10**30)
CONTAINERS = ("payload", "payment", "refund", "order", "dispute", "entity")
OURS = [name for name, (kind, *_) in EXPECTED.items() if kind in ("payment", "refund", "dispute")]


@A_SEVENTH_OR_ALL
@pytest.mark.parametrize("name", OURS)
def test_a_spoiled_event_keeps_its_type_and_leads_to_its_order(name: str, step: int) -> None:
    """Each member of a genuine body is left out or replaced in turn, also by its own number as text."""
    genuine = sample(name)
    expected, turn = read_sample(genuine), count()  # of each member others, so that each kind has its turn
    for path in paths(genuine):
        value = genuine
        for key in path:
            value = value[key]
        texts = (str(value),) if isinstance(value, int) else ()
        changed = [replaced(genuine, path, wrong) for wrong in (*SPOILED, *texts)]
        chosen = (*changed, replaced(genuine, path, None, missing=True))
        for body in chosen[next(turn) % step :: step]:
            event = read_sample(body)
            assert_storable(event)
            if path == ("event",):
                assert event.kind in (EventKind.UNREADABLE, EventKind.UNKNOWN)
                continue
            assert (event.type, event.kind) == (expected.type, expected.kind)
            if path[-1] in CONTAINERS:
                continue
            leads = event.order or event.transaction_id or event.dispute_id
            assert leads or event.refund or event.dispute
            assert event.wake_up or event.snapshot or event.refund or event.dispute
            if expected.order and path[-1] not in ("order_id", "id"):
                assert event.order is not None
                assert event.order.gateway_order_id == expected.order.gateway_order_id
            if event.snapshot and expected.snapshot and path[-1] != "captured":
                assert_nothing_more(event.snapshot, expected.snapshot)


def assert_nothing_more(told: PaymentSnapshot, expected: PaymentSnapshot) -> None:
    """What a spoiled body still says is no other money, and no better end, than the genuine one said."""
    assert told.status in (expected.status, None)
    assert abs(told.amount.minor) in (expected.amount.minor, 2**62, 10**30)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("payload", "payment", "entity", "amount"), "50000"),
        (("created_at",), None),
        (("created_at",), "1795951000"),
        (("payload", "order"), None),
        (("payload", "order"), {"entity": None}),
        (("payload", "payment", "entity", "status"), None),
        (("payload", "payment", "entity", "method"), None),  # perhaps cash
    ],
)
def test_a_payment_event_off_its_documents_asks_for_the_order(path: tuple[str, ...], value: Any) -> None:
    body = sample("payment.captured.upi")
    body["payload"].setdefault("order", {})
    if "order" not in path:
        del body["payload"]["order"]
    event = read_sample(replaced(body, path, value))
    assert (event.type, event.kind, event.wake_up) == ("payment.captured", EventKind.PAYMENT, True)
    assert event.order == OrderRef("", body["payload"]["payment"]["entity"]["order_id"])
    assert event.snapshot is None


def test_a_dispute_that_cannot_be_read_is_fetched() -> None:
    for member in ("amount", "currency", "status", "payment_id"):
        body = sample("payment.dispute.lost.full")
        body["payload"]["dispute"]["entity"][member] = None
        event = read_sample(body)
        assert (event.dispute, event.dispute_id, event.wake_up) == (None, "disp_UpdChgback0001", True)
