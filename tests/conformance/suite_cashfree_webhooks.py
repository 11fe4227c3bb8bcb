"""The simulator's webhooks before cashfree_pg's own verifier: every type, every version, every byte."""

import base64
import json
from typing import Any

import pytest
from cashfree_words import FIXTURES, assert_same_shape, cf, fixture, order_request, pay_request, settings, upi
from conftest import Json, Simulator

VERSIONS = ("2022-09-01", "2023-08-01", "2025-01-01")

pytest_plugins = ("cashfree_sdk",)


def by_verbs(simulator: Simulator, client: Any) -> list[str]:
    """All that happens to orders by what customers, banks and the dashboard do; returns the orders."""
    order = client.PGFetchOrder("order_1").data
    client.PGPayOrder(pay_request(order, upi("testuserdropped")))
    simulator.move("order_1", "failure", method="netbanking")
    simulator.move("order_1", "success", method="upi")
    simulator.move("order_1", "dashboard-refund", amountPaise=100)
    for outcome in ({}, {"outcome": "pre_arbitration"}, {"outcome": "won"}):
        simulator.move("order_1", "dispute", **outcome)
    for outcome in ("FAILED", "REVERSED"):
        settings(simulator, settlement_outcome=outcome)
        simulator.control("POST", "settle")
    client.PGCreateOrder(order_request("order_2"))
    client.PGTerminateOrder("order_2", cf.TerminateOrderRequest(order_status="TERMINATED"))
    simulator.move("order_2", "late-success")
    return ["order_1", "order_2"]


ON_DEMAND = (
    *(f"VENDOR_SETTLEMENT_{status}" for status in ("INITIATED", "SUCCESS", "FAILED", "REVERSED")),
    "INSTRUMENT_ACTIVE_WEBHOOK",
    "INSTRUMENT_FAILED_WEBHOOK",
    "WEBHOOK",
)
SAMPLES = {
    "PAYMENT_SUCCESS_WEBHOOK": "{version}/payment_success",
    "PAYMENT_FAILED_WEBHOOK": "{version}/payment_failed",
    "PAYMENT_USER_DROPPED_WEBHOOK": "{version}/payment_user_dropped",
    "REFUND_STATUS_WEBHOOK": "{version}/refund_status",
    "AUTO_REFUND_STATUS_WEBHOOK": "auto_refund_status",
    "SETTLEMENT_INITIATED": "2025-01-01/settlement_success",
    "SETTLEMENT_SUCCESS": "2025-01-01/settlement_success",
    "SETTLEMENT_FAILED": "2025-01-01/settlement_failed",
    "SETTLEMENT_REVERSED": "2025-01-01/settlement_success",
    "DISPUTE_CREATED": "dispute_created",
    "DISPUTE_UPDATED": "dispute_updated",
    "DISPUTE_CLOSED": None,  # none is recorded
}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_type_is_sent_in_every_version(
    simulator: Simulator, client: Any, order: Any, version: str
) -> None:
    settings(simulator, webhook_version=version)
    orders = by_verbs(simulator, client)
    for event in ON_DEMAND:
        simulator.send_event("order_1", event)
    sent = [webhook for order_id in orders for webhook in simulator.webhooks(order_id)]
    assert {one["event"] for one in sent} == {*SAMPLES, *ON_DEMAND}
    for one in sent:
        assert_genuine(client, one, version)
        sample = SAMPLES.get(one["event"])
        path = FIXTURES / "webhooks" / f"{(sample or '').format(version=version)}.json"
        if sample and path.exists():
            told = json.loads(one["body"])
            assert_same_shape(told, json.loads(path.read_text()), one["event"])


def assert_genuine(client: Any, sent: Json, version: str) -> None:
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    timestamp = headers["x-webhook-timestamp"]
    event = client.PGVerifyWebhookSignature(headers["x-webhook-signature"], sent["body"], timestamp)
    assert event.type == sent["event"]
    sample = FIXTURES / f"headers.{'2025-01-01' if version == '2025-01-01' else '2023-08-01'}.json"
    assert set(headers) | {"content-length"} == set(json.loads(sample.read_text()))
    assert (headers["x-webhook-version"], headers["x-webhook-attempt"]) == (version, "1")
    assert len(timestamp) == (10 if sent["event"] == "WEBHOOK" else 13)
    if "x-idempotency-key" in headers:
        assert len(base64.b64decode(headers["x-idempotency-key"])) == 32


def test_every_type_is_sent_on_demand_too(simulator: Simulator, client: Any, paid: Any) -> None:
    simulator.move("order_1", "dashboard-refund", amountPaise=100)
    simulator.move("order_1", "dispute")
    simulator.control("POST", "settle")
    before = len(simulator.webhooks("order_1"))
    for event in (*SAMPLES, *ON_DEMAND):
        simulator.send_event("order_1", event)
    sent = simulator.webhooks("order_1")[before:]
    assert [one["event"] for one in sent] == [*SAMPLES, *ON_DEMAND]
    for one in sent:
        assert_genuine(client, one, "2025-01-01")
        sample = SAMPLES.get(one["event"])
        if sample:
            expected = fixture(f"webhooks/{sample.format(version='2025-01-01')}")
            told = json.loads(one["body"])
            if one["event"].startswith("PAYMENT"):  # one attempt for them all
                expected["data"]["payment"]["payment_method"] = told["data"]["payment"]["payment_method"]
            assert_same_shape(told, expected, one["event"])
    assert client.PGFetchOrder("order_1").data.order_status == "PAID"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_webhook_is_refused_after_any_change(
    simulator: Simulator, client: Any, paid: Any, version: str
) -> None:
    settings(simulator, webhook_version=version)
    simulator.send_event("order_1", "PAYMENT_SUCCESS_WEBHOOK")
    *_, sent = simulator.webhooks("order_1")
    signature, timestamp = (sent["headers"][f"x-webhook-{name}"] for name in ("signature", "timestamp"))
    body: str = sent["body"]

    def refuses(signature: str, body: str, timestamp: str) -> None:
        with pytest.raises(Exception, match="did not match"):
            client.PGVerifyWebhookSignature(signature, body, timestamp)

    raw = body.encode()
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        refuses(signature, changed.decode(), timestamp)
    refuses(signature, body, str(int(timestamp) + 1))
    refuses(signature[:-2] + ("A" if signature[-2] != "A" else "B") + "=", body, timestamp)
    refuses(signature, json.dumps(json.loads(body)), timestamp)
    refuses(signature, json.dumps(json.loads(body), separators=(",", ":")), timestamp)
    assert '"order_amount":170.00,' in body


def test_a_spoilt_signature_and_an_old_secret_are_refused(
    simulator: Simulator, client: Any, order: Any
) -> None:
    for kind in ("corrupt_signature", "old_secret"):
        simulator.fault("cashfree", "webhook", kind)
        simulator.move("order_1", "failure")
    for sent in simulator.webhooks("order_1"):
        with pytest.raises(Exception, match="did not match"):
            assert_genuine(client, sent, "2025-01-01")
