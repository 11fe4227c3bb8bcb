"""What Cashfree sends us, by its official samples and signatures, in every version."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from payments_service.errors import MissingCredentials, SignatureInvalid
from payments_service.gateways.base import EventKind, OrderRef, PaymentSnapshot, WebhookEvent
from payments_service.gateways.cashfree import CashfreeGateway
from payments_service.money import Money
from payments_service.states import AttemptStatus, PaymentStatus
from tests.gateways import cashfree_wire
from tests.gateways.cashfree_wire import FIXTURES, OLD_SECRET, SECRET, event, fixture, signature
from tests.gateways.hooks import WIRE_ID
from tests.gateways.test_cashfree_contract import TestCashfreeContract as Contract

contract = Contract()
VECTORS = {one["name"]: one for one in fixture("vectors/signature_vectors")["vectors"]}
SAMPLES = sorted(
    str(p.relative_to(FIXTURES)).removesuffix(".json") for p in FIXTURES.glob("webhooks/**/*.json")
)
P, A = PaymentStatus, AttemptStatus


def gateway(*secrets: str, scheme: str = "standard") -> CashfreeGateway:
    config = contract.config("", webhook_scheme=scheme)
    if secrets:
        object.__setattr__(config, "app_secrets", secrets)
    return CashfreeGateway(config)


def read(raw: bytes, **headers: str) -> WebhookEvent:
    signed = {"x-webhook-timestamp": "1746427759733"}
    signed["x-webhook-signature"] = signature(SECRET, "1746427759733", raw)
    return gateway().read_webhook({**signed, **{k.replace("_", "-"): v for k, v in headers.items()}}, raw)


def read_sample(name: str) -> WebhookEvent:
    return read(json.dumps(fixture(name)).encode())


def snapshot_of(told: WebhookEvent) -> PaymentSnapshot:
    assert told.snapshot is not None
    return told.snapshot


def changed(name: str, change: Any) -> WebhookEvent:
    body = fixture(name)
    change(body["data"])
    return read(json.dumps(body).encode())


# ── signatures ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", VECTORS)
def test_a_verified_vector_is_believed_byte_for_byte_and_nothing_else(name: str) -> None:
    vector = VECTORS[name]
    raw = (FIXTURES / "vectors" / vector["body_file"]).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == vector["body_sha256"]
    headers = {"x-webhook-signature": vector["signature"], "x-webhook-timestamp": vector["timestamp"]}
    told = gateway("newer-secret", vector["secret"]).read_webhook(headers, raw)
    is_whole = name != "v1_minimal"  # that one tells of a payment without telling which
    assert (told.kind is not EventKind.UNREADABLE) is is_whole
    for wrong in (
        {"x-webhook-timestamp": str(int(vector["timestamp"]) + 1)},
        {"x-webhook-signature": signature(vector["secret"], vector["timestamp"] + ".", raw)},
        {"x-webhook-signature": signature(vector["secret"], "", raw)},
        {"x-webhook-signature": vector["design_doc_sha256_concat"]},
    ):
        with pytest.raises(SignatureInvalid):
            gateway(vector["secret"]).read_webhook({**headers, **wrong}, raw)
    if vector["reserialised_json_rejected"]:
        again = json.dumps(json.loads(raw), separators=(",", ":")).encode()
        with pytest.raises(SignatureInvalid):
            gateway(vector["secret"]).read_webhook(headers, again)


@pytest.mark.parametrize("scheme", ["standard", "sha256-fields"])
@pytest.mark.parametrize("header", ["x-webhook-signature", "x-webhook-timestamp"])
def test_a_missing_header_is_told_from_a_wrong_one(scheme: str, header: str) -> None:
    raw = event("WEBHOOK", {})
    headers = contract.sign(raw, SECRET)
    del headers[header]
    with pytest.raises(MissingCredentials):
        gateway(scheme=scheme).read_webhook(headers, raw)


def test_an_event_is_known_by_its_key_and_without_one_by_its_bytes() -> None:
    raw = event("WEBHOOK", {})
    given = fixture("headers.2025-01-01")["x-idempotency-key"]
    assert read(raw, x_idempotency_key=given).event_id == given
    assert read(raw).event_id == hashlib.sha256(raw).hexdigest()


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_understood(name: str) -> None:
    told, body = read_sample(name), fixture(name)
    assert (told.type, told.kind) == (body["type"], Contract.event_names[body["type"]])
    data = body["data"]
    holder = next((data[h] for h in ("order", "refund", "auto_refund", "order_details") if h in data), None)
    assert told.order == (OrderRef(holder["order_id"]) if holder else None)
    assert told.wake_up == (told.kind is EventKind.REFUND)


# sample → order status, attempt status, paise of the order, paise of the attempt, method, error
EXPECTED = {
    "2022-09-01/payment_success": (P.PENDING, A.SUCCEEDED, 200, 100, "upi", None),  # an offer: ask
    "2023-08-01/payment_success": (P.PENDING, A.SUCCEEDED, 200, 100, "upi", None),
    "2025-01-01/payment_success": (P.PENDING, A.SUCCEEDED, 200, 100, "upi", None),
    "2025-01-01/payment_success.edu_ord_10001": (P.COMPLETED, A.SUCCEEDED, 149950, 149950, "upi", None),
    "2022-09-01/payment_failed": (P.PENDING, A.FAILED, 180, 180, "net_banking", "GATEWAY_ERROR"),
    "2025-01-01/payment_failed": (P.PENDING, A.FAILED, 180, 180, "net_banking", "GATEWAY_ERROR"),
    "2022-09-01/payment_user_dropped": (P.PENDING, A.FAILED, 100, 100, "upi", None),
    "2025-01-01/payment_user_dropped": (P.PENDING, A.FAILED, 149950, 149950, "upi", None),
}


def test_every_payment_sample_is_expected() -> None:
    samples = [name.removeprefix("webhooks/") for name in SAMPLES if "/payment_" in name]
    assert sorted(EXPECTED) == samples


@pytest.mark.parametrize("name", EXPECTED)
def test_a_payment_sample_says_what_the_documents_say(name: str) -> None:
    snapshot, body = snapshot_of(read_sample(f"webhooks/{name}")), fixture(f"webhooks/{name}")
    (attempt,) = snapshot.attempts
    seen = (
        snapshot.status,
        attempt.status,
        snapshot.amount.minor,
        attempt.amount.minor,
        attempt.method,
        attempt.error_code,
    )
    assert seen == EXPECTED[name]
    assert attempt.transaction_id == str(body["data"]["payment"]["cf_payment_id"])
    assert snapshot.observed_at == datetime.fromisoformat(body["event_time"]).astimezone(UTC)
    assert (snapshot.fetched, snapshot.refunds) == (False, None)


# ── traps ───────────────────────────────────────────────────────────────────────────────────────────────

PAID_SAMPLE = "webhooks/2025-01-01/payment_success.edu_ord_10001"


def test_amounts_are_exact_to_the_paisa() -> None:
    raw = (FIXTURES / "vectors" / "v2_success_full.body").read_bytes()
    assert snapshot_of(read(raw)).amount == Money(149950)
    raw = raw.replace(b"1499.50", b"1005.10")  # 1005.1 * 100 is 100509.99… as a float
    assert snapshot_of(read(raw)).amount == Money(100510)
    assert read(raw.replace(b"1005.10", b"1005.105")).kind is EventKind.UNREADABLE


@pytest.mark.parametrize(
    ("word", "status", "attempt"),
    [
        ("PENDING", P.PENDING, A.PENDING),
        ("FLAGGED", P.PENDING, A.PENDING),
        ("FAILED", P.PENDING, A.FAILED),
        ("CANCELLED", P.PENDING, A.VOIDED),
        ("NEW_WORD", None, None),
    ],
)
def test_the_field_decides_and_not_the_name_of_the_event(
    word: str, status: PaymentStatus | None, attempt: AttemptStatus | None
) -> None:
    told = snapshot_of(changed(PAID_SAMPLE, lambda data: data["payment"].update(payment_status=word)))
    assert (told.status, told.attempts[0].status) == (status, attempt)


@pytest.mark.parametrize("amount", [1499.49, 1499.51, 1])
def test_a_success_of_another_amount_does_not_speak_for_the_order(amount: float) -> None:
    told = snapshot_of(changed(PAID_SAMPLE, lambda data: data["payment"].update(payment_amount=amount)))
    assert (told.status, told.amount) == (P.PENDING, Money(149950))
    assert told.attempts[0].amount == Money.from_major(str(amount))


def test_an_automatic_refund_wakes_and_one_of_nobodys_order_is_kept() -> None:
    told = read_sample("webhooks/auto_refund_status")
    assert (told.kind, told.wake_up, told.snapshot) == (EventKind.REFUND, True, None)
    told = changed("webhooks/auto_refund_status", lambda data: data["auto_refund"].pop("order_id"))
    assert (told.kind, told.wake_up, told.order) == (EventKind.REFUND, False, None)


def test_the_dashboards_test_is_ignored_on_purpose() -> None:
    raw = (FIXTURES / "vectors" / "v8_seconds_ts.body").read_bytes()
    assert (read(raw).type, read(raw).kind) == ("WEBHOOK", EventKind.IGNORED)


def test_a_time_without_a_zone_is_indian() -> None:
    raw = contract.event("PAYMENT_SUCCESS_WEBHOOK", Contract.paid).replace(b"12:19:01+05:30", b"12:19:01")
    assert snapshot_of(read(raw)).observed_at == datetime(2025, 1, 15, 6, 49, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", ["null", "[]", "true", '""', "1.5"])
def test_a_payment_without_an_id_is_unreadable(value: str) -> None:
    raw = contract.event("PAYMENT_SUCCESS_WEBHOOK", Contract.paid)
    assert f'"{cashfree_wire.PAYMENT}"'.encode() in raw
    assert (
        read(raw.replace(f'"{cashfree_wire.PAYMENT}"'.encode(), value.encode())).kind is EventKind.UNREADABLE
    )


# ── the scheme of our first design ──────────────────────────────────────────────────────────────────────


def fields_signature(raw: bytes, printed: str, secret: str = SECRET) -> str:
    order = json.loads(raw)["data"]["order"]
    return hashlib.sha256(f"{order['order_id']}{printed}INR{secret}".encode()).hexdigest()


# what stands in the body → how JavaScript prints it
PRINTED = {"170.00": "170", "170": "170", "1499.50": "1499.5", "100.15": "100.15", '"170.00"': "170.00"}


@pytest.mark.parametrize("written", PRINTED)
@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_the_sum_of_three_fields_wakes_and_says_nothing_more(written: str, secret: str) -> None:
    raw = contract.event("PAYMENT_SUCCESS_WEBHOOK", Contract.paid).replace(b"100.15", written.encode())
    headers = {"x-webhook-signature": fields_signature(raw, PRINTED[written], secret)}
    waking = gateway(scheme="sha256-fields")
    told = waking.read_webhook(headers, raw)
    assert (told.kind, told.order, told.wake_up, told.snapshot, told.claims) == (
        EventKind.PAYMENT,
        OrderRef(WIRE_ID),
        True,
        None,
        None,
    )
    assert waking.reread_webhook(told.event_id, raw) == told  # also when it is read again later
    with pytest.raises((MissingCredentials, SignatureInvalid)):
        gateway().read_webhook(headers, raw)
    with pytest.raises(SignatureInvalid):
        gateway().read_webhook({**headers, "x-webhook-timestamp": "1746427759733"}, raw)


def test_the_real_scheme_is_still_believed_beside_it() -> None:
    raw = contract.event("PAYMENT_SUCCESS_WEBHOOK", Contract.paid)
    told = gateway(scheme="sha256-fields").read_webhook(contract.sign(raw, SECRET), raw)
    assert snapshot_of(told).status is P.COMPLETED


def test_a_key_header_cannot_turn_three_fields_into_a_snapshot() -> None:
    raw = contract.event("PAYMENT_SUCCESS_WEBHOOK", Contract.paid)
    headers = {"x-webhook-signature": fields_signature(raw, "100.15"), "x-idempotency-key": "chosen"}
    assert gateway(scheme="sha256-fields").read_webhook(headers, raw).event_id.startswith("fields:")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"data":{"order":{"order_amount":1}}}', b"[" * 100_000])
def test_what_has_no_three_fields_is_not_believed(raw: bytes) -> None:
    headers = {"x-webhook-signature": "0" * 64, "x-webhook-timestamp": "1"}
    with pytest.raises(SignatureInvalid):
        gateway(scheme="sha256-fields").read_webhook(headers, raw)
