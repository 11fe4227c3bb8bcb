"""phonepe-pg-sdk-python 3.0.1 against the simulator: its calls, and what happens to orders."""

import json
import time
from typing import Any

import pytest
from conftest import Simulator
from phonepe.sdk.pg.common.models.request.meta_info import MetaInfo
from phonepe.sdk.pg.common.models.request.payment_mode_constraints.card_payment_mode import (
    CardPaymentModeConstraint,
)
from phonepe.sdk.pg.common.models.request.pg_payment_request import PgPaymentRequest
from phonepe.sdk.pg.payments.v2.custom_checkout_client import CustomCheckoutClient
from phonepe.sdk.pg.payments.v2.models.request.create_sdk_order_request import CreateSdkOrderRequest
from phonepe.sdk.pg.payments.v2.models.request.payment_mode_config import PaymentModeConfig
from phonepe.sdk.pg.payments.v2.models.request.prefill_user_login_details import PrefillUserLoginDetails
from phonepe.sdk.pg.payments.v2.standard_checkout_client import StandardCheckoutClient
from phonepe_words import BACK, Json, fixture, refund_request, request, settings, shape

pytest_plugins = ("phonepe_sdk",)

# ── calls ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_made_paid_and_asked_for(client: StandardCheckoutClient, simulator: Simulator) -> None:
    made = client.pay(request(expire_after=600, message="Course", meta_info=MetaInfo.build_meta_info("u")))
    assert (made.state, made.order_id[:3]) == ("PENDING", "OMO")
    assert made.redirect_url.startswith(f"{simulator.url}/phonepe/transact/uat_v2?token=")
    assert 599_000 < made.expire_at - time.time() * 1000 <= 600_000
    assert client.get_order_status("o1").payment_details == []
    simulator.move("o1", "failure")
    simulator.move("o1", "success", method="card")
    latest, whole = client.get_order_status("o1"), client.get_order_status("o1", details=True)
    assert (latest.state, latest.amount, latest.meta_info.udf1) == ("COMPLETED", 49900, "u")
    assert (latest.order_id, latest.expire_at) == (made.order_id, made.expire_at)
    assert [one.state for one in latest.payment_details] == ["COMPLETED"]
    assert [one.state for one in whole.payment_details] == ["FAILED", "COMPLETED"]
    assert whole.payment_details[0].detailed_error_code == "ZM"
    attempt = whole.payment_details[1]
    assert (attempt.payment_mode, attempt.rail.type, attempt.amount) == ("CARD", "PG", 49900)
    assert attempt.instrument.brn == "520506406845"
    assert attempt.split_instruments[0].amount == 49900


def test_a_transaction_leads_to_its_order(client: StandardCheckoutClient, paid: str) -> None:
    [attempt] = client.get_order_status(paid).payment_details
    found = client.get_transaction_status(attempt.transaction_id)
    assert found.order_id == client.get_order_status(paid).order_id
    assert [one.transaction_id for one in found.payment_details] == [attempt.transaction_id]


@pytest.mark.parametrize("method", ["upi", "upi_collect", "upi_qr", "card", "debit_card", "netbanking"])
def test_the_sdk_reads_every_way_to_pay(client: Any, simulator: Simulator, method: str) -> None:
    client.pay(request())
    simulator.move("o1", "success", method=method)
    [attempt] = client.get_order_status("o1").payment_details
    assert attempt.instrument.type
    assert attempt.rail.type in ("UPI", "PG")


@pytest.mark.parametrize("method", ["wallet", "emi", "corporate_netbanking"])
def test_a_payment_mode_that_the_sdk_lacks_is_its_value_error(
    client: StandardCheckoutClient, simulator: Simulator, method: str
) -> None:
    client.pay(request())
    simulator.move("o1", "success", method=method)
    with pytest.raises(ValueError, match="is not a valid PgV2InstrumentType"):
        client.get_order_status("o1")


def test_what_may_be_said_about_an_order_is_taken(client: StandardCheckoutClient) -> None:
    modes = PaymentModeConfig(enabled_payment_modes=[CardPaymentModeConstraint(card_types=["DEBIT_CARD"])])
    user = PrefillUserLoginDetails(phone_number="9999999999")
    made = client.pay(
        request(
            "A-z_0" + "9" * 58,
            100,
            expire_after=3600,
            disable_payment_retry=True,
            payment_mode_config=modes,
            prefill_user_login_details=user,
        )
    )
    assert made.state == "PENDING"


@pytest.mark.parametrize("build", ["build_standard_checkout_request", "build_custom_checkout_request"])
@pytest.mark.parametrize("kind", ["client", "custom"])
def test_an_order_for_an_app_has_a_token(kind: str, build: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue(kind)
    made = client.create_sdk_order(getattr(CreateSdkOrderRequest, build)("o1", 49900))
    assert (made.state, len(made.token)) == ("PENDING", 40)
    assert client.get_order_status("o1").order_id == made.order_id


def test_a_refund_is_made_and_asked_for(
    client: StandardCheckoutClient, simulator: Simulator, paid: str
) -> None:
    made = client.refund(refund_request(amount=1000))
    assert (made.state, made.amount, made.refund_id[:3]) == ("PENDING", 1000, "OMR")
    status = client.get_refund_status("r1")
    assert (status.state, status.amount, status.original_merchant_order_id) == ("COMPLETED", 1000, "o1")
    [detail] = status.payment_details
    assert (detail.transaction_id, detail.payment_mode, detail.rail.type) == (
        made.refund_id,
        "UPI_INTENT",
        "UPI",
    )


def test_custom_checkout_knows_the_same_orders_and_refunds(
    custom: CustomCheckoutClient, simulator: Simulator
) -> None:
    made = custom.pay(PgPaymentRequest.build_upi_qr_pay_request("o1", 49900))
    assert (made.state, made.qr_data[:10]) == ("PENDING", "upi://pay?")
    [attempt] = custom.get_order_status("o1").payment_details
    assert (attempt.state, attempt.payment_mode) == ("PENDING", "UPI_QR")
    simulator.move("o1", "success")
    assert custom.get_order_status("o1", details=True).state == "COMPLETED"
    assert custom.get_transaction_status(attempt.transaction_id).state == "COMPLETED"
    assert custom.refund(refund_request()).state == "PENDING"
    assert custom.get_refund_status("r1").state == "COMPLETED"


CARD = ("3DS", 1, "number", "cvv", "12", "2030", "A Payer", BACK)
TOKEN = ("3DS", 1, "token", "cvv", "cryptogram", "1234", "12", "2030", BACK)
CUSTOM_PAYMENTS = [
    ("upi_intent", (), {"device_os": "ANDROID", "target_app": "com.phonepe.app"}, "intent_url"),
    ("upi_collect_pay_via_vpa", ("a@ybl", "Course"), {"device_os": "IOS"}, None),
    ("upi_collect_pay_via_phone_number", ("9999999999", "Course"), {}, None),
    ("net_banking", ("SBIN", BACK), {}, "redirect_url"),
    ("card", CARD, {}, "redirect_url"),
    ("token", TOKEN, {}, "redirect_url"),
]


@pytest.mark.parametrize(("kind", "words", "more", "way"), CUSTOM_PAYMENTS, ids=lambda v: str(v)[:20])
def test_custom_checkout_pays_in_every_way_of_the_sdk(
    custom: CustomCheckoutClient, kind: str, words: tuple[Any, ...], more: Json, way: str | None
) -> None:
    suffix = "_request" if "via" in kind else "_pay_request"
    made = custom.pay(getattr(PgPaymentRequest, f"build_{kind}{suffix}")("o1", 100, *words, **more))
    ways = {name: getattr(made, name) for name in ("intent_url", "qr_data", "redirect_url")}
    assert [name for name, address in ways.items() if address] == ([way] if way else [])


def test_the_answers_have_the_recorded_members(client: Any, simulator: Simulator, raw: Any) -> None:
    answer = raw("POST", "/checkout/v2/pay", fixture("v2/pay_request_full"))
    assert shape(answer.json) == shape(fixture("v2/pay_response"))
    answer = raw("POST", "/checkout/v2/pay", fixture("v2/pay_request_as_sent_by_python_sdk"))
    assert answer.status == 200
    answer = raw(
        "POST",
        "/checkout/v2/sdk/order",
        json.loads(CreateSdkOrderRequest.build_standard_checkout_request("o2", 100).to_json()),
    )
    assert shape(answer.json) == shape(fixture("v2/sdk_order_response"))
    client.pay(request())
    simulator.move("o1", "success", method="card")
    assert shape(raw("GET", "/checkout/v2/order/o1/status").json) == shape(
        fixture("v2/order_status_completed_card")
    )


# ── what happens ────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_expires_by_the_clock_and_may_be_paid_late(
    client: StandardCheckoutClient, simulator: Simulator, raw: Any
) -> None:
    client.pay(request(expire_after=300))
    simulator.advance(301)
    status = raw("GET", "/checkout/v2/order/o1/status").json
    wanted = shape(fixture("v2/order_status_failed_expired"))
    assert shape(status) == {**wanted, "payableAmount": "int", "feeAmount": "int"}
    assert (status["errorCode"], status["detailedErrorCode"]) == ("TXN_NOT_COMPLETED", "ORDER_EXPIRED")
    [webhook] = simulator.webhooks("o1")
    assert webhook["event"] == "checkout.order.failed"
    simulator.move("o1", "late-success")
    assert client.get_order_status("o1").state == "COMPLETED"


def test_a_refund_goes_its_way_by_the_clock(
    client: StandardCheckoutClient, simulator: Simulator, paid: str
) -> None:
    settings(simulator, refund_outcome="FAILED", refund_seconds=100)
    client.refund(refund_request())
    assert client.get_refund_status("r1").state == "PENDING"
    simulator.advance(50)
    assert client.get_refund_status("r1").state == "CONFIRMED"
    simulator.advance(50)
    assert client.get_refund_status("r1").state == "FAILED"
    events = [one["event"] for one in simulator.webhooks("o1") if one["try"] == 1]
    assert events == ["checkout.order.completed", "pg.refund.accepted", "pg.refund.failed"]


def test_a_settlement_is_told_as_recorded(client: Any, simulator: Simulator, paid: str, raw: Any) -> None:
    assert "settlementDetails" not in raw("GET", "/checkout/v2/order/o1/status?settlementDetails=true").json
    simulator.control("POST", "settle")
    status = raw("GET", "/checkout/v2/order/o1/status?settlementDetails=true").json
    details = status["settlementDetails"]
    assert shape(details) == shape(fixture("v2/order_status_with_settlement")["settlementDetails"])
    assert details["splitSettlementDetails"][0]["amountBreakup"]["transactionAmount"] == 49900
    listed = raw("GET", "/settlements/v1/range?from=1795000000000&to=9000000000000").json
    assert shape(listed) == shape(fixture("v2/settlements_range_response"))
    settlement_id = listed["settlements"][0]["settlementId"]
    settlement = raw("GET", f"/settlements/v1/{settlement_id}/status").json
    assert shape(settlement) == shape(fixture("v2/settlement_status_response"))
    assert (settlement["amount"], settlement["state"]) == (49900, "PROCESSED")
    assert client.get_order_status("o1").state == "COMPLETED"
