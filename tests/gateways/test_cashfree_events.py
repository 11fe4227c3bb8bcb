"""What Cashfree sends us, by its official samples and signatures, in every version."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from payments_service.domain.errors import MissingCredentials, SignatureInvalid
from payments_service.domain.money import Money
from payments_service.domain.news import EventKind, OrderRef, PaymentSnapshot, WebhookEvent
from payments_service.domain.states import AttemptStatus, PaymentStatus
from payments_service.gateways.cashfree import CashfreeGateway
from tests.gateways.cashfree_wire import FIXTURES, OLD_SECRET, SECRET, event, fixture, signature
from tests.gateways.hooks import WIRE_ID
from tests.gateways.strange import WRONG, assert_storable, paths, replaced
from tests.gateways.test_cashfree_contract import TestCashfreeContract as Contract

contract = Contract()
VECTORS = {one["name"]: one for one in fixture("vectors/signature_vectors")["vectors"]}
SAMPLES = sorted(
    str(p.relative_to(FIXTURES)).removesuffix(".json")
    for p in FIXTURES.rglob("*.json")
    if "webhooks" in p.parts
)
HOLDERS = ("order", "refund", "auto_refund", "order_details")
ASKED = (EventKind.PAYMENT, EventKind.REFUND, EventKind.DISPUTE)
GONE = object()
NOTHING: tuple[Any, ...] = (None, "", "NA", "N/A", "null", [], {}, True, "\0")
"""What stands for a bank reference that there is none of."""
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
    assert told.kind is not EventKind.UNREADABLE
    if name == "v1_minimal":  # that one tells of a payment without telling which
        assert (told.order, told.wake_up, told.snapshot) == (OrderRef("order_1"), True, None)
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
    holder = next((data[h] for h in HOLDERS if h in data), None)
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
    "PAYMENT_SUCCESS_WEBHOOK.cod": (P.PENDING, A.PLACED, 125000, 125000, "cash_on_delivery", None),
    "PAYMENT_SUCCESS_WEBHOOK.customer_surcharge": (P.PENDING, A.SUCCEEDED, 10000, 10236, "upi", None),
}


def test_every_payment_sample_is_expected() -> None:
    samples = {name.partition("webhooks/")[2] for name in SAMPLES if is_of_payment(name)}
    assert set(EXPECTED) == samples


def is_of_payment(name: str) -> bool:
    return Contract.event_names[fixture(name)["type"]] is EventKind.PAYMENT


@pytest.mark.parametrize("name", EXPECTED)
def test_a_payment_sample_says_what_the_documents_say(name: str) -> None:
    path = f"webhooks/{name}" if "/" in name else f"update-2026-11/webhooks/{name}"
    snapshot, body = snapshot_of(read_sample(path)), fixture(path)
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
    assert read(raw.replace(b"1005.10", b"1005.105")).snapshot is None


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


def test_an_automatic_refund_wakes_also_by_its_payment_alone() -> None:
    told = read_sample("webhooks/auto_refund_status")
    assert (told.kind, told.wake_up, told.snapshot) == (EventKind.REFUND, True, None)
    assert told.transaction_id is None  # the order is named
    told = changed("webhooks/auto_refund_status", lambda data: data["auto_refund"].pop("order_id"))
    assert (told.order, told.wake_up, told.transaction_id) == (None, True, "2148333968")


def test_the_dashboards_test_is_ignored_on_purpose() -> None:
    raw = (FIXTURES / "vectors" / "v8_seconds_ts.body").read_bytes()
    assert (read(raw).type, read(raw).kind) == ("WEBHOOK", EventKind.IGNORED)


def test_a_time_without_a_zone_is_indian() -> None:
    raw = contract.event("PAYMENT_SUCCESS_WEBHOOK", Contract.paid).replace(b"12:19:01+05:30", b"12:19:01")
    assert snapshot_of(read(raw)).observed_at == datetime(2025, 1, 15, 6, 49, 1, tzinfo=UTC)


# ── members that are missing or spoiled ─────────────────────────────────────────────────────────────────

GENUINE = sorted(name for name in SAMPLES if Contract.event_names[fixture(name)["type"]] in ASKED)
NAMES = ("order_id", "cf_payment_id", "dispute_id")


@pytest.mark.parametrize("name", GENUINE)
def test_an_event_that_lacks_or_spoils_a_member_still_names_its_order(name: str) -> None:
    """Each member of each genuine body in turn, at any depth."""
    body = fixture(name)
    whole = read(json.dumps(body).encode())
    for path in paths(body):
        for new in (GONE, *WRONG, "", "Nov 29, 2026, 4:50:31 PM", 100.005, "1e9999"):
            changed = replaced(body, path, None if new is GONE else new, missing=new is GONE)
            told = read(json.dumps(changed).encode())
            assert_storable(told)
            if path == ("type",):
                continue
            assert (told.kind, told.type) == (whole.kind, whole.type), (path, new)
            if path[-1] not in NAMES and path not in (("data",), *((("data", h)) for h in HOLDERS)):
                assert told.order == whole.order, (path, new)
            if told.snapshot is None and told.dispute is None:
                named = told.order or told.transaction_id or told.dispute_id
                assert told.wake_up is bool(named), (path, new)


@pytest.mark.parametrize("type_", [GONE, None, "", 5, ["PAYMENT_SUCCESS_WEBHOOK"], {}, "\0", "\ud800"])
def test_only_an_event_without_a_type_is_unreadable_and_names_its_order(type_: Any) -> None:
    body = fixture(PAID_SAMPLE)
    whole = read(json.dumps(body).encode())
    changed = replaced(body, ("type",), None if type_ is GONE else type_, missing=type_ is GONE)
    told = read(json.dumps(changed).encode())
    assert (told.kind, told.order) == (EventKind.UNREADABLE, whole.order)


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (("event_time",), GONE),
        (("event_time",), "Nov 29, 2026, 4:50:31 PM"),
        (("event_time",), 1795951000),
        (("event_time",), None),
        (("data", "payment", "payment_amount"), 500.001),
        (("data", "payment", "payment_amount"), None),
        (("data", "payment", "cf_payment_id"), None),
        (("data", "payment", "cf_payment_id"), []),
        (("data", "payment", "payment_status"), None),
        (("data", "payment", "authorization"), "AUTH"),
        (("data", "payment"), None),
        (("data", "order", "order_amount"), 1499.505),
        (("data", "order", "order_currency"), None),
    ],
)
def test_a_success_that_cannot_be_read_whole_wakes_its_order(path: tuple[str, ...], new: Any) -> None:
    body = replaced(fixture(PAID_SAMPLE), path, None if new is GONE else new, missing=new is GONE)
    told = read(json.dumps(body).encode())
    assert (told.type, told.order) == ("PAYMENT_SUCCESS_WEBHOOK", OrderRef("edu_ord_10001"))
    assert (told.wake_up, told.snapshot) == (True, None)


@pytest.mark.parametrize(
    "path",
    [
        ("data", "payment", "payment_group"),
        ("data", "payment", "payment_method"),
        ("data", "payment", "payment_time"),
        ("data", "payment", "payment_currency"),
        ("data", "payment", "bank_reference"),
        ("data", "customer_details"),
        ("data", "payment_offers"),
    ],
)
def test_a_member_that_decorates_may_be_missing(path: tuple[str, ...]) -> None:
    for body in (replaced(fixture(PAID_SAMPLE), path, None, missing=is_gone) for is_gone in (True, False)):
        assert snapshot_of(read(json.dumps(body).encode())).status is P.COMPLETED


@pytest.mark.parametrize("order", [GONE, None, {}, {"order_id": None}])
def test_a_payment_of_no_order_is_looked_for_by_its_own_id(order: Any) -> None:
    body = replaced(fixture(PAID_SAMPLE), ("data", "order"), order, missing=order is GONE)
    told = read(json.dumps(body).encode())
    payment_id = str(body["data"]["payment"]["cf_payment_id"])
    assert (told.order, told.transaction_id, told.wake_up) == (None, payment_id, True)


# ── cash, held money, another currency ──────────────────────────────────────────────────────────────────

HELD = {"action": None, "status": "SUCCESS", "captured_amount": 0, "end_time": "2025-01-22T12:00:00+05:30"}


@pytest.mark.parametrize("method", [{"cash_on_delivery": {"channel": None}}, {"cash_on_delivery": {}}, {}])
@pytest.mark.parametrize("group", ["cash_on_delivery", "CASH_ON_DELIVERY", None])
def test_cash_on_delivery_is_placed_and_never_paid(group: str | None, method: dict[str, Any]) -> None:
    told = {"payment_group": group, "payment_method": method}
    snapshot = snapshot_of(changed(PAID_SAMPLE, lambda data: data["payment"].update(told)))
    if group is None and not method:
        assert snapshot.status is P.COMPLETED
        return
    assert (snapshot.status, snapshot.gateway_status) == (P.PENDING, "CASH_ON_DELIVERY")
    assert [a.status for a in snapshot.attempts] == [A.PLACED]


def test_a_qr_code_at_the_door_is_real_money() -> None:
    told = {"payment_method": {"upi": {"channel": "podQrCode"}}}
    snapshot = snapshot_of(changed(PAID_SAMPLE, lambda data: data["payment"].update(told)))
    assert snapshot.status is P.COMPLETED


@pytest.mark.parametrize("is_captured", [False, GONE])
def test_a_pre_authorisation_is_held_and_not_paid(is_captured: Any) -> None:
    told = {"authorization": HELD, **({} if is_captured is GONE else {"is_captured": is_captured})}
    snapshot = snapshot_of(changed(PAID_SAMPLE, lambda data: data["payment"].update(told)))
    (attempt,) = snapshot.attempts
    assert (snapshot.status, attempt.status) == (P.AUTHORIZED, A.AUTHORIZED)
    assert attempt.capture_by == datetime(2025, 1, 22, 6, 30, tzinfo=UTC)


def test_a_message_of_a_pre_authorisation_is_enough_to_doubt_a_success() -> None:
    """Whether events show the authorization is not documented."""
    message = {"payment_message": "PRE_AUTH|Transaction Success"}
    snapshot = snapshot_of(changed(PAID_SAMPLE, lambda data: data["payment"].update(message)))
    assert (snapshot.status, snapshot.attempts[0].status) == (P.AUTHORIZED, A.AUTHORIZED)
    message |= {"is_captured": True}
    snapshot = snapshot_of(changed(PAID_SAMPLE, lambda data: data["payment"].update(message)))
    assert snapshot.status is P.COMPLETED


def test_an_order_in_another_currency_is_told_in_that_currency() -> None:
    def in_dollars(data: Any) -> None:
        data["order"].update(order_currency="USD", order_amount=12.5)
        data["payment"].update(payment_currency="USD", payment_amount=12.5)

    snapshot = snapshot_of(changed(PAID_SAMPLE, in_dollars))
    assert (snapshot.status, snapshot.amount) == (P.COMPLETED, Money(1250, "USD"))


@pytest.mark.parametrize(
    ("told", "known"),
    [("234928698581", "234928698581"), (234928698581, "234928698581"), *((w, None) for w in NOTHING)],
)
def test_a_bank_reference_is_told_where_there_is_one(told: Any, known: str | None) -> None:
    event = changed(PAID_SAMPLE, lambda data: data["payment"].update(bank_reference=told))
    assert snapshot_of(event).attempts[0].bank_reference == known


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


def test_an_amount_that_would_fill_the_memory_is_not_written_out() -> None:
    """`1e999999999` is eleven characters, of which an unproven body may have as many as it likes."""
    raw = contract.event("PAYMENT_SUCCESS_WEBHOOK", Contract.paid).replace(b"100.15", b"1e5000")
    signature = fields_signature(raw, "1" + "0" * 5000)
    headers = {"x-webhook-signature": signature, "x-webhook-timestamp": "1"}
    with pytest.raises(SignatureInvalid):
        gateway(scheme="sha256-fields").read_webhook(headers, raw)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"data":{"order":{"order_amount":1}}}', b"[" * 100_000])
def test_what_has_no_three_fields_is_not_believed(raw: bytes) -> None:
    headers = {"x-webhook-signature": "0" * 64, "x-webhook-timestamp": "1"}
    with pytest.raises(SignatureInvalid):
        gateway(scheme="sha256-fields").read_webhook(headers, raw)


@pytest.mark.parametrize("currency", ["inr", "INR ", "356", "Rs", "USD"])
def test_a_sum_in_another_currency_is_left_to_the_order_however_it_is_spelt(currency: str) -> None:
    """One rupee, or one cent, would else pass for the sum of the order."""
    paid = {"payment_currency": currency, "payment_amount": 0.01}
    told = changed(PAID_SAMPLE, lambda data: data["payment"].update(paid))
    assert (told.snapshot, told.wake_up) == (None, True)
