"""phonepe-pg-sdk-python 3.0.1 against the simulator: every event, and what its verifier makes of it."""

import hashlib
import json
from typing import Any

import pytest
from conftest import Simulator
from phonepe.sdk.pg.common.exceptions import PhonePeException
from phonepe.sdk.pg.common.models.request.meta_info import MetaInfo
from phonepe.sdk.pg.common.models.request.pg_payment_request import PgPaymentRequest
from phonepe.sdk.pg.payments.v2.custom_checkout_client import CustomCheckoutClient
from phonepe.sdk.pg.payments.v2.standard_checkout_client import StandardCheckoutClient
from phonepe_words import HOOK, Json, fixture, refund_request, request, settings, shape

pytest_plugins = ("phonepe_sdk",)

# ── webhooks ────────────────────────────────────────────────────────────────────────────────────────────

BY_TYPE = [
    "checkout.order.completed",
    "checkout.order.failed",
    "checkout.transaction.attempt.failed",
    "pg.order.completed",
    "pg.order.failed",
    "pg.transaction.attempt.failed",
    "paylink.order.completed",
    "paylink.order.failed",
    "subscription.setup.order.completed",
    "subscription.setup.order.failed",
    "subscription.redemption.order.completed",
    "subscription.redemption.order.failed",
    "pg.refund.accepted",
    "pg.refund.completed",
    "pg.refund.failed",
    "settlement.initiated",
    "settlement.processed",
    "settlement.attempt.failed",
]
CLAIMED = {
    "completed": "COMPLETED",
    "accepted": "CONFIRMED",
    "initiated": "INITIATED",
    "processed": "PROCESSED",
}


DISPUTES = ["created", "action_required", "under_review", "won", "lost"]


def claimed(event: str) -> str:
    if event.endswith("attempt.failed"):
        return "ATTEMPT_FAILED" if event.startswith("settlement") else "PENDING"
    return CLAIMED.get(event.rpartition(".")[2], "FAILED")


def accepted(client: StandardCheckoutClient, webhook: Json, body: str | None = None) -> Any:
    return client.validate_callback(*HOOK, webhook["headers"]["Authorization"], body or webhook["body"])


@pytest.mark.parametrize("event", BY_TYPE)
def test_every_type_of_event_is_sent_and_accepted(
    client: StandardCheckoutClient, simulator: Simulator, paid: str, event: str
) -> None:
    client.refund(refund_request())
    simulator.control("POST", "settle")
    if "transaction" in event:
        client.pay(request("o2"))
        simulator.move("o2", "failure")
        paid = "o2"
    simulator.send_event(paid, event)
    webhook = simulator.webhooks(paid, event)[-1]
    told = accepted(client, webhook)
    assert (told.event, told.payload.state) == (event, claimed(event))


@pytest.mark.parametrize("word", DISPUTES)
def test_every_dispute_event_is_sent_and_accepted(
    client: StandardCheckoutClient, simulator: Simulator, paid: str, word: str
) -> None:
    simulator.move(paid, "dispute")
    simulator.send_event(paid, f"payment.dispute.{word}")
    told = accepted(client, simulator.webhooks(paid, f"payment.dispute.{word}")[-1])
    assert (told.event, told.type) == (f"payment.dispute.{word}", None)
    assert told.payload.merchant_order_id == paid


def test_the_members_of_2026_disturb_nobody(
    client: StandardCheckoutClient, simulator: Simulator, paid: str
) -> None:
    settings(simulator, newer_members=True)
    client.refund(refund_request())
    assert client.get_order_status(paid).payment_details[0].amount == 49900
    assert client.get_refund_status("r1").state == "COMPLETED"
    for event in ("checkout.order.completed", "pg.refund.completed"):
        simulator.send_event(paid, event)
        webhook = simulator.webhooks(paid, event)[-1]
        assert json.loads(webhook["body"])["payload"]["currency"] == "INR"
        assert accepted(client, webhook).payload.state == "COMPLETED"


def verbs_lead_to(client: Any, custom: Any, simulator: Simulator) -> None:
    meta = MetaInfo.build_meta_info("")
    for order_id in ("o1", "o2"):
        client.pay(request(order_id, meta_info=meta, disable_payment_retry=True))
    for order_id in ("c1", "c2"):
        custom.pay(PgPaymentRequest.build_upi_qr_pay_request(order_id, 49900, meta_info=meta))
    for order_id, verb in (("o1", "success"), ("o2", "failure"), ("c1", "success"), ("c2", "failure")):
        simulator.move(order_id, verb, **({"method": "netbanking"} if order_id == "o2" else {}))
    for outcome in ("COMPLETED", "FAILED"):
        settings(simulator, refund_outcome=outcome, refund_seconds=2)
        client.refund(refund_request(f"r-{outcome}"))
        simulator.advance(2)
    simulator.control("POST", "settle")


def test_the_verbs_lead_to_events_of_the_recorded_shape(
    client: StandardCheckoutClient, custom: CustomCheckoutClient, simulator: Simulator
) -> None:
    verbs_lead_to(client, custom, simulator)
    sent = simulator.control("GET", "deliveries?wait=10")["deliveries"]
    bodies = {one["event"]: json.loads(one["body"]) for one in sent if one["try"] == 1}
    recorded = {
        "checkout.order.completed": "webhook_checkout_order_completed",
        "checkout.order.failed": "webhook_checkout_order_failed",
        "checkout.transaction.attempt.failed": "webhook_checkout_transaction_attempt_failed",
        "pg.order.completed": "webhook_checkout_order_completed",
        "pg.order.failed": "webhook_checkout_order_failed",
        "pg.transaction.attempt.failed": "webhook_checkout_transaction_attempt_failed",
        "pg.refund.accepted": "webhook_pg_refund_accepted",
        "pg.refund.completed": "webhook_pg_refund_completed",
        "pg.refund.failed": "webhook_pg_refund_failed",
        "settlement.initiated": "webhook_settlement_initiated",
        "settlement.processed": "webhook_settlement_initiated",
    }
    assert set(bodies) == set(recorded)
    for event, name in recorded.items():
        assert members(bodies[event]["payload"]) == members(fixture(f"v2/{name}")["body"]["payload"]), event
    for one in sent:
        assert accepted(client, one).event == one["event"]


def members(value: Any) -> Any:
    """The shape, but for the means of payment and the free names of metaInfo: the samples have one each."""
    if isinstance(value, list):
        return [members(one) for one in value]
    if not isinstance(value, dict):
        return shape(value)
    free = ("metaInfo", "rail", "instrument")
    return {name: {} if name in free else members(one) for name, one in value.items()}


def test_a_failed_bank_payment_is_told_with_its_means(client: Any, simulator: Simulator) -> None:
    client.pay(request(meta_info=MetaInfo.build_meta_info("dummy1")))
    simulator.move("o1", "failure", method="netbanking")
    [webhook] = simulator.webhooks("o1")
    wanted = fixture("v2/webhook_checkout_transaction_attempt_failed")["body"]
    assert shape(json.loads(webhook["body"])) == shape(wanted)


def test_a_changed_header_is_refused_and_a_changed_body_is_not(
    client: StandardCheckoutClient, simulator: Simulator, paid: str
) -> None:
    """The scheme covers no byte of the body: who saw one header can say anything."""
    [webhook] = simulator.webhooks("o1")
    header = webhook["headers"]["Authorization"]
    assert header == hashlib.sha256(":".join(HOOK).encode()).hexdigest()
    for place, letter in enumerate(header):
        changed = header[:place] + ("0" if letter != "0" else "1") + header[place + 1 :]
        with pytest.raises(PhonePeException, match="Invalid Callback") as error:
            accepted(client, {**webhook, "headers": {"Authorization": changed}})
        assert error.value.http_status_code == 417
    forged = webhook["body"].replace("49900", "1")
    assert forged != webhook["body"]
    assert accepted(client, webhook, forged).payload.amount == 1


def test_custom_checkout_reads_the_same_webhooks(custom: CustomCheckoutClient, simulator: Simulator) -> None:
    custom.pay(PgPaymentRequest.build_upi_intent_pay_request("o1", 49900, device_os="ANDROID"))
    simulator.move("o1", "failure")
    assert [one["event"] for one in simulator.webhooks("o1")] == [
        "pg.transaction.attempt.failed",
        "pg.order.failed",
    ]
    for webhook in simulator.webhooks("o1"):
        told = custom.validate_callback(*HOOK, webhook["headers"]["Authorization"], webhook["body"])
        assert told.type == webhook["event"].upper().replace(".", "_")


@pytest.mark.parametrize(
    ("fault", "password"), [("corrupt_signature", None), ("old_secret", "simulator_OldPassw0rd1")]
)
def test_wrong_credentials_on_demand(
    client: Any, simulator: Simulator, fault: str, password: str | None
) -> None:
    client.pay(request())
    simulator.fault("phonepe", "webhook", fault)
    simulator.move("o1", "success")
    webhook = simulator.webhooks("o1")[0]
    with pytest.raises(PhonePeException, match="Invalid Callback"):
        accepted(client, webhook)
    if password:
        assert client.validate_callback(
            HOOK[0], password, webhook["headers"]["Authorization"], webhook["body"]
        )


def test_a_refund_event_may_come_without_its_envelope(client: Any, simulator: Simulator, paid: str) -> None:
    settings(simulator, refund_envelope=False)
    client.refund(refund_request())
    webhook = simulator.webhooks("o1", "pg.refund.completed")[-1]
    told = accepted(client, webhook)
    assert (told.event, told.payload) == (None, None)
    body = json.loads(webhook["body"])
    assert body.pop("merchantRefundId") == "r1"
    assert shape(body) == shape(fixture("v2/webhook_refund_completed_no_envelope")["body"])


def test_a_type_that_the_sdk_lacks_is_its_value_error(client: StandardCheckoutClient) -> None:
    header = hashlib.sha256(":".join(HOOK).encode()).hexdigest()
    with pytest.raises(ValueError, match="is not a valid CallbackType"):
        client.validate_callback(*HOOK, header, '{"type": "SETTLEMENT_INITIATED", "payload": {}}')
