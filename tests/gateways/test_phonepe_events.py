"""What PhonePe sends: V2's official webhooks, who is believed, and how V1 is told from V2."""

import base64
import json
from typing import Any

import pytest

from payments_service.domain.errors import MissingCredentials, SignatureInvalid
from payments_service.domain.news import EventKind, OrderRef, WebhookEvent
from payments_service.domain.states import PaymentStatus
from payments_service.gateways import GATEWAYS
from payments_service.gateways.phonepe import PhonePeConfig, PhonePeGateway
from payments_service.gateways.phonepe_v1 import PhonePeV1Gateway
from tests.gateways.hooks import WIRE_ID
from tests.gateways.phonepe_wire import compact, fixture, sha256
from tests.gateways.strange import assert_storable, paths, replaced
from tests.gateways.test_phonepe_contract import TestPhonePeContract as Contract
from tests.gateways.test_phonepe_contract import TestPhonePeV1Contract as V1Contract

contract, v1 = Contract(), V1Contract()
PAID = Contract.paid
P = PaymentStatus


def gateway_with(users: tuple[str, ...], passwords: tuple[str, ...]) -> PhonePeGateway:
    return PhonePeGateway(PhonePeConfig("c", "s", "1", users, passwords, "sandbox", "http://localhost:9", ()))


OFFICIAL = gateway_with(("phonepe_hook",), ("Passw0rd123",))


def read_official(name: str) -> WebhookEvent:
    sample = fixture(f"v2/webhook_{name}")
    headers = {header.lower(): value for header, value in sample["headers"].items()}
    return OFFICIAL.read_webhook(headers, compact(sample["body"]))


def read(body: Any) -> WebhookEvent:
    return contract.read(compact(body))


# ── credentials ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("vector", fixture("v2/signature_vectors")["vectors"], ids=lambda v: v["username"])
def test_an_official_digest_is_accepted_and_only_as_it_is(vector: dict[str, str]) -> None:
    gateway = gateway_with((vector["username"],), (vector["password"],))
    raw, digest = contract.event("checkout.order.completed", PAID), vector["authorization"]
    assert gateway.read_webhook({"authorization": digest}, raw).wake_up
    for wrong in (digest.upper(), f"SHA256 {digest}", f"Bearer {digest}", f" {digest}", digest[:-1]):
        with pytest.raises(SignatureInvalid):
            gateway.read_webhook({"authorization": wrong}, raw)


def test_http_basic_with_the_same_credentials_is_accepted_too() -> None:
    raw = contract.event("checkout.order.completed", PAID)
    for pair, is_right in (
        ("phonepe_hook:Passw0rd123", True),
        ("phonepe_hook:passw0rd123", False),
        ("phonepe_hook:", False),
        ("phonepe_hook:Passw0rd123:", False),
    ):
        headers = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        if is_right:
            assert OFFICIAL.read_webhook(headers, raw).wake_up
        else:
            with pytest.raises(SignatureInvalid):
                OFFICIAL.read_webhook(headers, raw)


def test_users_and_passwords_belong_together_by_their_place() -> None:
    gateway = gateway_with(("new_user", "old_user"), ("new_pass1", "old_pass1"))
    raw = contract.event("checkout.order.completed", PAID)
    for pair in ("new_user:new_pass1", "old_user:old_pass1"):
        assert gateway.read_webhook({"authorization": sha256(pair)}, raw).wake_up
    for pair in ("new_user:old_pass1", "old_user:new_pass1", "new_user", ":"):
        with pytest.raises(SignatureInvalid):
            gateway.read_webhook({"authorization": sha256(pair)}, raw)


def test_a_single_user_goes_with_every_password() -> None:
    gateway = gateway_with(("user",), ("new_pass1", "old_pass1"))
    raw = contract.event("checkout.order.completed", PAID)
    for pair in ("user:new_pass1", "user:old_pass1"):
        assert gateway.read_webhook({"authorization": sha256(pair)}, raw).wake_up


# ── official events ─────────────────────────────────────────────────────────────────────────────────────

EXPECTED: dict[str, tuple[str, EventKind, OrderRef | None, PaymentStatus | None]] = {
    "checkout_order_completed": (
        "checkout.order.completed",
        EventKind.PAYMENT,
        OrderRef("merchantOrderId"),
        P.COMPLETED,
    ),
    "checkout_order_failed": (
        "checkout.order.failed",
        EventKind.PAYMENT,
        OrderRef("merchantOrderId"),
        P.FAILED,
    ),
    "checkout_transaction_attempt_failed": (
        "checkout.transaction.attempt.failed",
        EventKind.PAYMENT,
        OrderRef("MOID01"),
        None,
    ),
    "pg_refund_accepted": ("pg.refund.accepted", EventKind.REFUND, OrderRef("Order-12345"), None),
    "pg_refund_completed": ("pg.refund.completed", EventKind.REFUND, OrderRef("Order-12345"), None),
    "pg_refund_failed": ("pg.refund.failed", EventKind.REFUND, OrderRef("Order-12345"), None),
    "refund_completed_no_envelope": ("pg.refund", EventKind.REFUND, OrderRef("Order-12345"), None),
    "settlement_initiated": ("settlement.initiated", EventKind.SETTLEMENT, None, None),
}
OF_2026: dict[str, tuple[str, EventKind, str | None, PaymentStatus | None]] = {
    "autopay_setup_as_checkout_order_completed": (
        "checkout.order.completed",
        EventKind.IGNORED,
        "FX-AUTOPAY-SETUP-1",
        None,
    ),
    "checkout_order_completed": ("checkout.order.completed", EventKind.PAYMENT, "FX-ORD-1001", P.COMPLETED),
    "checkout_order_failed": ("checkout.order.failed", EventKind.PAYMENT, "FX-ORD-1002", P.FAILED),
    "downtime_upi_bank_started": ("downtime.upi.bank.started", EventKind.IGNORED, None, None),
    "order_split_settlement_failed": (
        "order.split.settlement.failed",
        EventKind.SETTLEMENT,
        "FX-ORD-1001",
        None,
    ),
    "paylink_order_completed": ("paylink.order.completed", EventKind.IGNORED, "FX-LINK-1", None),
    "payment_dispute_action_required": (
        "payment.dispute.action_required",
        EventKind.DISPUTE,
        "FX-ORD-0906",
        None,
    ),
    "payment_dispute_created": ("payment.dispute.created", EventKind.DISPUTE, "FX-ORD-0906", None),
    "payment_dispute_won": ("payment.dispute.won", EventKind.DISPUTE, "FX-ORD-0907", None),
    "pg_refund_completed": ("pg.refund.completed", EventKind.REFUND, "FX-ORD-1001", None),
    "pg_refund_failed": ("pg.refund.failed", EventKind.REFUND, "FX-ORD-1001", None),
    "pg_transaction_failed_order_pending": (
        "pg.transaction.failed",
        EventKind.PAYMENT,
        "FX-ORD-1003",
        None,
    ),
    "settlement_attempt_failed": ("settlement.attempt.failed", EventKind.SETTLEMENT, None, None),
    "settlement_processed": ("settlement.processed", EventKind.SETTLEMENT, None, None),
}
HOOKS = {name: json.loads(hook["body"]) for name, hook in fixture("v2_2026/webhooks").items()}
WAKES = (EventKind.PAYMENT, EventKind.DISPUTE)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_official_event_is_read_as_documented(name: str) -> None:
    event = read_official(name)
    assert (event.type, event.kind, event.order, event.claims) == EXPECTED[name]
    assert event.wake_up is (event.kind in WAKES)
    assert event.snapshot is None


def test_every_event_of_2026_is_expected_somehow() -> None:
    assert set(HOOKS) == set(OF_2026)


@pytest.mark.parametrize("name", HOOKS)
def test_an_event_of_2026_is_read_as_documented(name: str) -> None:
    event = read(HOOKS[name])
    wire_id = event.order.wire_id if event.order else None
    assert (event.type, event.kind, wire_id, event.claims) == OF_2026[name]
    assert event.wake_up is (event.kind in WAKES)
    assert event.dispute_id == (HOOKS[name]["payload"].get("disputeId"))
    assert event.snapshot is event.dispute is None


@pytest.mark.parametrize("flow", ["SUBSCRIPTION_CHECKOUT_SETUP", "SUBSCRIPTION_SETUP", "PAYLINK"])
@pytest.mark.parametrize("name", ["checkout.order.completed", "checkout.order.failed", "pg.order.completed"])
def test_another_products_order_under_a_familiar_name_is_no_payment_of_ours(name: str, flow: str) -> None:
    payload = {"merchantOrderId": WIRE_ID, "state": "COMPLETED", "paymentFlow": {"type": flow}}
    event = read({"event": name, "payload": payload})
    assert (event.kind, event.wake_up, event.claims) == (EventKind.IGNORED, False, None)


@pytest.mark.parametrize("flow", [{"type": "PG"}, {"type": "PG_CHECKOUT"}, {"type": None}, {}, None, [], "x"])
def test_a_payment_may_tell_its_flow(flow: Any) -> None:
    payload = {"merchantOrderId": WIRE_ID, "state": "COMPLETED", "paymentFlow": flow}
    event = read({"event": "checkout.order.completed", "payload": payload})
    assert (event.kind, event.wake_up, event.claims) == (EventKind.PAYMENT, True, P.COMPLETED)


SPOILED = (None, [], {"x": 1}, "", "\0", "\ud800", -1, 10**30, 1.5, True)


NAMES_THE_ORDER = (("payload", "merchantOrderId"), ("payload", "originalMerchantOrderId"))
NAMES_THE_REST = (("event",), ("payload",))


@pytest.mark.parametrize("name", HOOKS)
def test_an_event_that_lacks_or_spoils_a_member_keeps_its_type_and_its_order(name: str) -> None:
    """All but what the member itself would have said."""
    whole, genuine = HOOKS[name], read(HOOKS[name])
    for path in paths(whole):
        for spoiled in (*SPOILED, "missing"):
            event = read(replaced(whole, path, spoiled, missing=spoiled == "missing"))
            assert_storable(event)
            if path != ("event",):
                assert event.type == genuine.type, path
            if path not in NAMES_THE_REST and "paymentFlow" not in path:
                assert (event.kind, event.wake_up) == (genuine.kind, genuine.wake_up), path
            if path not in (*NAMES_THE_REST, *NAMES_THE_ORDER):
                assert event.order == genuine.order, path


def test_only_an_event_without_a_name_is_unreadable() -> None:
    payload = {"merchantOrderId": WIRE_ID, "state": "COMPLETED"}
    for body in (
        {"payload": payload},
        {"event": None, "payload": payload},
        {"event": [], "type": {}, "payload": payload},
    ):
        event = read(body)
        assert (event.kind, event.order, event.wake_up) == (EventKind.UNREADABLE, OrderRef(WIRE_ID), False)
    for body in ({"event": "checkout.order.completed"}, {"event": "checkout.order.completed", "payload": []}):
        event = read(body)
        assert (event.kind, event.order, event.wake_up) == (EventKind.PAYMENT, None, True)
    bare = read({"event": "checkout.order.completed", **payload})
    assert (bare.order, bare.claims) == (OrderRef(WIRE_ID), P.COMPLETED)


def test_an_event_without_an_order_names_its_payment() -> None:
    dispute = replaced(HOOKS["payment_dispute_created"], ("payload", "merchantOrderId"), None)
    del dispute["payload"]["orderId"]
    event = read(dispute)
    assert (event.order, event.transaction_id) == (None, "OM2610212130000007508822V")
    dispute["payload"]["orderId"] = "OMO2610212130000007508822W"  # by which PhonePe cannot be asked
    event = read(dispute)
    assert event.order == OrderRef("", "OMO2610212130000007508822W")
    assert event.transaction_id == "OM2610212130000007508822V"
    failed = {"originalMerchantOrderId": "", "refundId": "OMR2611271844059816630164V", "state": "FAILED"}
    attempts = [
        {"transactionId": "OMR2611271844059816630164V"},
        {"transactionId": "OM2611271102054127279291V"},
    ]
    event = read({"event": "pg.refund.failed", "payload": {**failed, "paymentDetails": attempts}})
    assert (event.kind, event.order, event.transaction_id) == (
        EventKind.REFUND,
        None,
        "OM2611271102054127279291V",
    )


@pytest.mark.parametrize("told", [None, "", "../../v1/oauth", "D1/accept", "D 1", "x" * 65, [], 1.5])
def test_a_dispute_whose_id_cannot_stand_in_a_path_only_wakes(told: Any) -> None:
    event = read(replaced(HOOKS["payment_dispute_created"], ("payload", "disputeId"), told))
    assert (event.kind, event.wake_up, event.dispute_id) == (EventKind.DISPUTE, True, None)


def test_the_older_name_of_an_event_is_understood_where_the_newer_is_missing() -> None:
    body = fixture("v2/webhook_checkout_transaction_attempt_failed")["body"]
    del body["event"]
    assert read(body).type == "checkout.transaction.attempt.failed"
    dispute = {**HOOKS["payment_dispute_action_required"], "type": "PAYMENT_DISPUTE_ACTION_REQUIRED"}
    del dispute["event"]
    assert read(dispute).type == "payment.dispute.action_required"
    body["event"] = "checkout.order.completed"  # and does not count where it is there
    assert read(body).type == "checkout.order.completed"


def test_an_event_claims_what_its_root_state_says() -> None:
    for state, details, claim in (
        ("COMPLETED", {}, P.COMPLETED),
        ("FAILED", {}, P.FAILED),
        ("FAILED", {"errorCode": "TXN_NOT_COMPLETED", "detailedErrorCode": "ORDER_EXPIRED"}, P.EXPIRED),
        ("FAILED", {"errorCode": "ORDER_EXPIRED"}, P.EXPIRED),
        ("EXPIRED", {}, P.EXPIRED),
        ("PENDING", {}, None),
        ("SOMETHING_NEW", {}, None),
    ):
        for name in ("checkout.order.completed", "checkout.order.failed", "pg.order.failed"):
            payload = {"merchantOrderId": WIRE_ID, "state": state, **details}
            event = read({"event": name, "payload": payload})
            assert (event.wake_up, event.claims) == (True, claim)


def test_an_event_names_its_order_by_our_id_and_only_without_it_by_phonepes() -> None:
    payload = {"merchantOrderId": WIRE_ID, "orderId": "OMO1", "state": "COMPLETED"}
    assert read({"event": "checkout.order.completed", "payload": payload}).order == OrderRef(WIRE_ID)
    del payload["merchantOrderId"]
    assert read({"event": "checkout.order.completed", "payload": payload}).order == OrderRef("", "OMO1")
    del payload["orderId"]
    assert read({"event": "checkout.order.completed", "payload": payload}).order is None


def test_a_refund_event_without_our_order_is_kept_all_the_same() -> None:
    event = read({"refundId": "OMR1", "state": "COMPLETED", "amount": 1})
    assert (event.kind, event.order, event.wake_up) == (EventKind.REFUND, None, False)


def test_a_genuine_header_makes_nobody_believe_a_body() -> None:
    """An attacker who saw one webhook can write any other."""
    headers = contract.sign(b"", contract.webhook_secrets[0])
    forged = contract.event("checkout.order.completed", PAID)
    event = contract.gateway().read_webhook(headers, forged)
    assert (event.snapshot, event.wake_up) == (None, True)


# ── which generation ────────────────────────────────────────────────────────────────────────────────────


def test_new_orders_go_to_v2_where_both_are_configured() -> None:
    phonepes = [gateway for gateway in GATEWAYS if gateway.name == "phonepe"]
    assert phonepes == [PhonePeGateway, PhonePeV1Gateway]


def test_each_generation_recognises_its_own_and_only_its_own() -> None:
    v2_raw, v1_raw = (
        contract.event("checkout.order.completed", PAID),
        v1.event("PAYMENT_SUCCESS", V1Contract.paid),
    )
    digest = contract.sign(v2_raw, contract.webhook_secrets[0])
    x_verify = v1.sign(v1_raw, v1.webhook_secrets[0])
    for headers, raw, is_v1 in (
        (x_verify, v1_raw, True),
        ({**x_verify, **digest}, v1_raw, True),
        (digest, v2_raw, False),
        (digest, v1_raw, False),
        ({**x_verify, **digest}, v2_raw, False),
        ({}, b"", False),
    ):
        assert v1.gateway().recognises_webhook(headers, raw) is is_v1
        assert contract.gateway().recognises_webhook(headers, raw) is not is_v1


def test_a_v1_body_under_v2_credentials_says_nothing() -> None:
    raw = v1.event("PAYMENT_SUCCESS", V1Contract.paid)
    event = contract.read(raw)
    assert (event.kind, event.order) == (EventKind.UNREADABLE, None)
    with pytest.raises(MissingCredentials):
        v1.gateway().read_webhook(contract.sign(raw, contract.webhook_secrets[0]), raw)
    assert json.loads(raw).keys() == {"response"}
