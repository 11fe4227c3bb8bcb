"""phonepe-pg-sdk-python 3.0.1 and V1's documented vectors against the simulator.

Nothing of the SDK is patched but its hosts, which it has no option for: the globals of `phonepe.sdk.pg.env`.
V1 has no public SDK: it is held to the formulas of its documents, by their samples and by two forms captured
from the real sandbox.
"""

import base64
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import phonepe.sdk.pg.env as env
import pytest
from conftest import Answer, Coverage, Simulator, call
from phonepe.sdk.pg.common.exceptions import (
    BadRequest,
    ExpectationFailed,
    ForbiddenAccess,
    PhonePeException,
    ServerError,
    TooManyRequests,
    UnauthorizedAccess,
)
from phonepe.sdk.pg.common.models.request.meta_info import MetaInfo
from phonepe.sdk.pg.common.models.request.payment_mode_constraints.card_payment_mode import (
    CardPaymentModeConstraint,
)
from phonepe.sdk.pg.common.models.request.pg_payment_request import PgPaymentRequest
from phonepe.sdk.pg.common.models.request.refund_request import RefundRequest
from phonepe.sdk.pg.common.token_handler.token_service import TokenService
from phonepe.sdk.pg.payments.v2.custom_checkout_client import CustomCheckoutClient
from phonepe.sdk.pg.payments.v2.models.request.create_sdk_order_request import CreateSdkOrderRequest
from phonepe.sdk.pg.payments.v2.models.request.payment_mode_config import PaymentModeConfig
from phonepe.sdk.pg.payments.v2.models.request.prefill_user_login_details import PrefillUserLoginDetails
from phonepe.sdk.pg.payments.v2.models.request.standard_checkout_pay_request import StandardCheckoutPayRequest
from phonepe.sdk.pg.payments.v2.standard_checkout_client import StandardCheckoutClient

FIXTURES = Path(__file__).parents[1] / "fixtures" / "phonepe"
API = "/phonepe/apis/pg-sandbox"
CREDENTIALS = {
    "client_id": "SIMULATORUAT",
    "client_secret": "simulator_phonepe_client_secret",
    "client_version": 1,
}
HOOK = ("simulator_hook", "simulator_Passw0rd1")
BACK = "https://shop.example/back?a=1"
Json = dict[str, Any]


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


@pytest.fixture(scope="session", autouse=True)
def watched(coverage: Coverage) -> None:
    """What else the SDK offers is of another domain: `SubscriptionClient` (mandates, not orders)."""
    # `close` ends threads and asks nothing
    coverage.watch(StandardCheckoutClient, "standard", left_out=("close",))
    coverage.watch(CustomCheckoutClient, "custom", left_out=("close",))
    coverage.watch_one(TokenService, "force_refresh_token", "token.force_refresh_token")
    coverage.watch_one(TokenService, "fetch_token_from_phonepe", "token.fetch_token_from_phonepe")


@pytest.fixture(scope="session", autouse=True)
def hosts() -> None:
    url = os.environ["SIMULATOR_URL"] + API
    for name in ("PG", "OAUTH", "EVENT_INGESTION"):
        setattr(env, f"SANDBOX_{name}_BASE_URL", url)
        setattr(env, f"PROD_{name}_BASE_URL", url)
    env.PROD_PCI_PG_BASE_URL = url


@pytest.fixture
def client(simulator: Simulator) -> Iterator[StandardCheckoutClient]:
    made = StandardCheckoutClient.get_instance(**CREDENTIALS, env=env.Env.SANDBOX)
    yield made
    made.close()


@pytest.fixture
def custom(simulator: Simulator) -> Iterator[CustomCheckoutClient]:
    made = CustomCheckoutClient.get_instance(**CREDENTIALS, env=env.Env.SANDBOX)
    yield made
    made.close()


@pytest.fixture
def raw(simulator: Simulator) -> Any:
    """A call with a good token, for the whole answer."""
    form = "client_id=SIMULATORUAT&client_secret=simulator_phonepe_client_secret&client_version=1"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    url = simulator.url + API
    answer = call("POST", f"{url}/v1/oauth/token", f"{form}&grant_type=client_credentials", headers)
    token = answer.json["access_token"]

    def made(method: str, path: str, body: Json | None = None) -> Answer:
        return call(method, url + path, body, {"Authorization": f"O-Bearer {token}"})

    return made


def request(order_id: str = "o1", amount: int = 49900, **more: Any) -> StandardCheckoutPayRequest:
    return StandardCheckoutPayRequest.build_request(order_id, amount, redirect_url=BACK, **more)


def refund_request(refund_id: str = "r1", amount: int = 100, order_id: str = "o1") -> RefundRequest:
    return RefundRequest.build_refund_request(refund_id, amount, order_id)


def settings(simulator: Simulator, **changes: Any) -> None:
    simulator.control("POST", "settings", {"phonepe": changes})


@pytest.fixture
def paid(client: StandardCheckoutClient, simulator: Simulator) -> str:
    client.pay(request())
    simulator.move("o1", "success")
    return "o1"


def shape(value: Any) -> Any:
    """The members and the kinds of their values."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


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


@pytest.mark.parametrize("method", ["wallet", "emi"])
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


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_that_ran_out_is_a_401_once(client: StandardCheckoutClient, simulator: Simulator) -> None:
    client.pay(request())
    simulator.advance(24 * 3600 + 1)
    with pytest.raises(UnauthorizedAccess) as error:
        client.get_order_status("o1")
    assert (error.value.code, error.value.data) == ("AUTHORIZATION_FAILED", {})
    assert client.get_order_status("o1").state == "FAILED"  # its time ran out as well


def test_a_token_is_in_seconds_and_of_phonepes_own_kind(simulator: Simulator) -> None:
    form = {**fixture("v2/oauth_token_request")["form"], **CREDENTIALS}
    text = "&".join(f"{name}={value}" for name, value in form.items())
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = call("POST", f"{simulator.url}{API}/v1/oauth/token", text, headers)
    assert shape(answer.json) == shape(fixture("v2/oauth_token_response"))
    assert answer.json["token_type"] == "O-Bearer"
    assert abs(answer.json["issued_at"] - time.time()) < 60
    assert answer.json["expires_at"] - answer.json["issued_at"] == 24 * 3600


@pytest.mark.parametrize(
    "wrong", [{"client_id": "x"}, {"client_secret": "x"}, {"client_version": 2}], ids=lambda w: next(iter(w))
)
@pytest.mark.parametrize("kind", [StandardCheckoutClient, CustomCheckoutClient])
def test_a_wrong_client_is_refused_at_once(simulator: Simulator, kind: Any, wrong: Json) -> None:
    with pytest.raises(BadRequest) as error:
        kind.get_instance(**{**CREDENTIALS, **wrong}, env=env.Env.SANDBOX)
    assert (error.value.http_status_code, error.value.code) == (400, "OIM000")
    assert error.value.data == {"error_description": "Client authentication failure"}


def test_a_token_service_in_trouble_does_not_keep_a_client_from_being_made(simulator: Simulator) -> None:
    simulator.fault("phonepe", "token", "500")
    client = StandardCheckoutClient.get_instance(**CREDENTIALS, env=env.Env.SANDBOX)
    try:
        assert client.pay(request()).state == "PENDING"
    finally:
        client.close()


def test_what_the_sdk_tells_about_itself_is_taken(simulator: Simulator, caplog: Any, raw: Any) -> None:
    """Only its production side tells anything, every second."""
    caplog.set_level(logging.DEBUG, "urllib3")
    client = StandardCheckoutClient.get_instance(**CREDENTIALS, env=env.Env.PRODUCTION)
    try:
        client.pay(request())
        ends = time.monotonic() + 5
        wanted = f'"POST {API}/client/v1/backend/events/batch HTTP/1.1" 200'
        while wanted not in caplog.text and time.monotonic() < ends:
            time.sleep(0.05)
    finally:
        client.close()
    assert wanted in caplog.text
    batch = "/client/v1/backend/events/batch"
    assert raw("POST", batch, fixture("v2/sdk_event_batch_request")).status == 200
    assert raw("POST", batch, {**fixture("v2/sdk_event_batch_request"), "events": []}).status == 400
    assert call("POST", simulator.url + API + batch, {}).status == 401


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────

NO_SUCH_ORDER, NO_SUCH_REFUND = "INVALID_MERCHANT_ORDER_ID", "INVALID_MERCHANT_REFUND_ID"


def refused(kind: type[PhonePeException], code: str | None, make: Any, *arguments: Any) -> PhonePeException:
    with pytest.raises(kind) as error:
        make(*arguments)
    assert (type(error.value), error.value.code) == (kind, code)
    return error.value


def test_unknown_ids(client: StandardCheckoutClient, raw: Any) -> None:
    refused(BadRequest, NO_SUCH_ORDER, client.get_order_status, "nobody")
    refused(BadRequest, NO_SUCH_REFUND, client.get_refund_status, "nobody")
    refused(BadRequest, "INVALID_TRANSACTION_ID", client.get_transaction_status, "nobody")
    refused(BadRequest, NO_SUCH_ORDER, client.refund, refund_request(order_id="nobody"))
    answer = raw("GET", "/checkout/v2/order/nobody/status")
    assert answer.json == fixture("v2/error_invalid_merchant_order_id")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_TRANSACTION_ID", ExpectationFailed),
        ("INVALID_MERCHANT_ORDER_ID", ExpectationFailed),
        ("ORDER_ALREADY_EXISTS", BadRequest),
    ],
)
def test_an_id_is_used_once_for_ever(
    client: StandardCheckoutClient, simulator: Simulator, paid: str, raw: Any, code: str, kind: Any
) -> None:
    """The documents name three codes and two statuses."""
    settings(simulator, duplicate_code=code)
    error = refused(kind, code, client.pay, request())
    assert error.http_status_code == (417 if kind is ExpectationFailed else 400)
    client.refund(refund_request())
    refused(kind, code, client.refund, refund_request())
    answer = raw("POST", "/checkout/v2/pay", json.loads(request().to_json()))
    assert answer.json == {**fixture("v2/error_duplicate_order"), "code": code}


REFUSED = [
    {"amount": 99},
    {"order_id": "x" * 64},
    {"order_id": "a b"},
    {"expire_after": 299},
    {"expire_after": 3601},
    {"payment_mode_config": PaymentModeConfig([CardPaymentModeConstraint()], [CardPaymentModeConstraint()])},
]


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda w: "-".join(map(str, w.items()))[:40])
def test_what_the_documents_forbid(client: StandardCheckoutClient, raw: Any, wrong: Json) -> None:
    error = refused(BadRequest, "BAD_REQUEST", client.pay, request(**wrong))
    assert error.message.startswith(fixture("v2/error_bad_request")["message"])
    answer = raw("POST", "/checkout/v2/pay", json.loads(request(**wrong).to_json()))
    assert (answer.status, shape(answer.json)) == (400, shape(fixture("v2/error_bad_request")))


@pytest.mark.parametrize("name", ["merchantOrderId", "amount", "paymentFlow"])
def test_a_missing_or_unknown_member_is_refused(raw: Any, name: str) -> None:
    body = json.loads(request().to_json())
    assert raw("POST", "/checkout/v2/pay", {**body, name: None}).json["code"] == "BAD_REQUEST"
    assert raw("POST", "/checkout/v2/pay", {**body, "new": 1}).json["code"] == "BAD_REQUEST"
    assert raw("POST", "/checkout/v2/pay", body).status == 200


def test_more_than_was_paid_or_two_at_a_time_are_not_refunded(
    client: StandardCheckoutClient, simulator: Simulator, paid: str
) -> None:
    refused(BadRequest, "BAD_REQUEST", client.refund, refund_request(amount=49901))
    refused(BadRequest, "BAD_REQUEST", client.refund, refund_request(amount=99))
    settings(simulator, refund_outcome="CONFIRMED")
    client.refund(refund_request(amount=49000))
    assert client.get_refund_status("r1").state == "CONFIRMED"
    refused(BadRequest, "BAD_REQUEST", client.refund, refund_request("r2", 900))
    simulator.control("POST", "refunds/r1/success")
    refused(BadRequest, "BAD_REQUEST", client.refund, refund_request("r2", 901))
    assert client.refund(refund_request("r2", 900)).state == "PENDING"


def test_an_order_that_is_not_paid_is_not_refunded(client: StandardCheckoutClient) -> None:
    client.pay(request())
    refused(BadRequest, "BAD_REQUEST", client.refund, refund_request())


@pytest.mark.parametrize(
    ("kind", "error", "status", "code"),
    [
        ("429", TooManyRequests, 429, "TOO_MANY_REQUESTS"),
        ("500", ServerError, 500, "INTERNAL_SERVER_ERROR"),
        ("html502", ServerError, 502, None),
    ],
)
@pytest.mark.parametrize("on", ["create_order", "fetch", "refund"])
def test_trouble(
    client: StandardCheckoutClient,
    simulator: Simulator,
    on: str,
    kind: str,
    error: Any,
    status: int,
    code: Any,
) -> None:
    simulator.fault("phonepe", on, kind)
    calls = {
        "create_order": lambda: client.pay(request()),
        "fetch": lambda: client.get_order_status("o1"),
        "refund": lambda: client.refund(refund_request()),
    }
    assert refused(error, code, calls[on]).http_status_code == status


@pytest.mark.parametrize("call_name", ["create_order", "fetch", "refund"])
def test_a_call_without_the_permission(
    client: StandardCheckoutClient, simulator: Simulator, call_name: str
) -> None:
    settings(simulator, forbidden=call_name)
    calls = {
        "create_order": lambda: client.pay(request()),
        "fetch": lambda: client.get_order_status("o1"),
        "refund": lambda: client.refund(refund_request()),
    }
    assert refused(ForbiddenAccess, "FORBIDDEN", calls[call_name]).http_status_code == 403


@pytest.mark.parametrize("header", ["", "Bearer {}", "O-Bearer x"])
def test_another_kind_of_token_is_refused(simulator: Simulator, client: Any, header: str) -> None:
    token = client._token_service.get_auth_token().partition(" ")[2]
    url = f"{simulator.url}{API}/checkout/v2/order/o1/status"
    answer = call("GET", url, headers={"Authorization": header.format(token)})
    assert (answer.status, answer.json) == (401, fixture("v2/error_authorization_failed"))


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


# ── V1, by its documents ────────────────────────────────────────────────────────────────────────────────

V1 = fixture("v1/signature_vectors")
SALT = V1["saltKey"]
FORM = (
    "code",
    "merchantId",
    "transactionId",
    "amount",
    "providerReferenceId",
    *(f"param{n}" for n in range(1, 21)),
)


def x_verify(text: str, salt: str = SALT) -> str:
    return f"{hashlib.sha256((text + salt).encode()).hexdigest()}###1"


def sent_v1(simulator: Simulator, path: str, body: str, signature: str) -> Answer:
    headers = {"X-VERIFY": signature, "Content-Type": "application/json"}
    return call("POST", simulator.url + API + path, json.dumps({"request": body}), headers)


def asked_v1(simulator: Simulator, our_id: str, **headers: str) -> Answer:
    path = f"/pg/v1/status/PGTESTPAYUAT/{our_id}"
    usual = {"X-VERIFY": x_verify(path), "X-MERCHANT-ID": "PGTESTPAYUAT"}
    return call("GET", simulator.url + API + path, headers={**usual, **headers})


def paid_v1(simulator: Simulator, **changes: Any) -> Answer:
    body = {**fixture("v1/pay_request_decoded"), **changes}
    text = base64.b64encode(json.dumps(body).encode()).decode()
    return sent_v1(simulator, "/pg/v1/pay", text, x_verify(text + "/pg/v1/pay"))


@pytest.mark.parametrize("place", [0, 1])
def test_v1_takes_the_documented_payments_as_they_are_signed(simulator: Simulator, place: int) -> None:
    vector = [one for one in V1["vectors"] if one.get("signed_path") == "/pg/v1/pay"][place]
    answer = sent_v1(simulator, "/pg/v1/pay", vector["base64"], vector["x_verify"])
    assert (answer.status, shape(answer.json)) == (200, shape(fixture("v1/pay_response_initiated")))
    data = answer.json["data"]
    assert data["merchantTransactionId"] == json.loads(vector["json"])["merchantTransactionId"]


def test_v1_signs_the_text_and_not_what_it_says(simulator: Simulator) -> None:
    vector = next(one for one in V1["vectors"] if "whitespace" in one["name"])
    compact = base64.b64encode(
        json.dumps(json.loads(vector["json"]), separators=(",", ":")).encode()
    ).decode()
    for text in (compact, base64.b64encode(vector["json"].encode() + b" ").decode()):
        answer = sent_v1(simulator, "/pg/v1/pay", text, vector["x_verify"])
        assert (answer.status, answer.json) == (401, fixture("v1/error_authorization_failed"))


def test_v1_status_and_refund_by_the_documented_vectors(simulator: Simulator) -> None:
    status = next(one for one in V1["vectors"] if one["name"] == "status")
    paid_v1(simulator)
    answer = asked_v1(simulator, "MT7850590068188104", **{"X-VERIFY": status["x_verify"]})
    assert shape(answer.json) == shape(fixture("v1/status_response_pending"))
    paid_v1(simulator, merchantTransactionId="OD620471739210623")
    simulator.move("OD620471739210623", "success")
    vector = next(one for one in V1["vectors"] if one["name"].startswith("refund, official"))
    answer = sent_v1(simulator, "/pg/v1/refund", vector["base64"], vector["x_verify"])
    wanted = fixture("v1/refund_response_pending")
    assert (answer.status, shape(answer.json)) == (200, shape(wanted))
    assert (answer.json["code"], answer.json["message"]) == (wanted["code"], wanted["message"])
    vector = next(one for one in V1["vectors"] if one["name"].startswith("refund status"))
    answer = asked_v1(simulator, "ROD620471739210623", **{"X-VERIFY": vector["x_verify"]})
    assert shape(answer.json) == shape(fixture("v1/refund_status_success"))


@pytest.mark.parametrize(
    ("verb", "method", "name"),
    [
        ("success", "netbanking", "status_response_success_netbanking"),
        ("failure", "upi", "status_response_payment_error"),
    ],
)
def test_v1_calls_back_what_the_status_says(simulator: Simulator, verb: str, method: str, name: str) -> None:
    paid_v1(simulator)
    simulator.move("MT7850590068188104", verb, method=method)
    [callback] = simulator.webhooks("MT7850590068188104")
    response = json.loads(callback["body"])["response"]
    assert callback["headers"]["X-VERIFY"] == x_verify(response)
    assert callback["url"] == fixture("v1/pay_request_decoded")["callbackUrl"]
    told = json.loads(base64.b64decode(response))
    assert told == asked_v1(simulator, "MT7850590068188104").json
    wanted = fixture(f"v1/{name}")
    assert (shape(told), told["success"], told["code"]) == (shape(wanted), wanted["success"], wanted["code"])


def test_v1_callback_is_refused_after_any_changed_byte(simulator: Simulator) -> None:
    """By the documents' formula, which the published sample satisfies."""

    def is_good(text: str, signature: str) -> bool:
        digest, _, index = signature.partition("###")
        return index == "1" and hashlib.sha256((text + SALT).encode()).hexdigest() == digest

    sample = fixture("v1/callback_payment_success")
    assert is_good(sample["body"]["response"], sample["headers"]["X-VERIFY"])
    paid_v1(simulator)
    simulator.move("MT7850590068188104", "success")
    [callback] = simulator.webhooks("MT7850590068188104")
    text, signature = json.loads(callback["body"])["response"], callback["headers"]["X-VERIFY"]
    assert is_good(text, signature)
    for changed in one_byte_changed(text):
        assert not is_good(changed, signature)
    for changed in one_byte_changed(signature):
        assert not is_good(text, changed)


def one_byte_changed(text: str) -> Iterator[str]:
    for place, letter in enumerate(text):
        yield text[:place] + ("A" if letter != "A" else "B") + text[place + 1 :]


@pytest.mark.parametrize("code", ["PAYMENT_SUCCESS", "PAYMENT_ERROR", "PAYMENT_DECLINED", "TIMED_OUT"])
def test_v1_calls_back_with_every_final_code(simulator: Simulator, code: str) -> None:
    paid_v1(simulator)
    simulator.move("MT7850590068188104", "success")
    simulator.send_event("MT7850590068188104", code)
    callback = simulator.webhooks("MT7850590068188104", code)[-1]
    response = json.loads(callback["body"])["response"]
    assert callback["headers"]["X-VERIFY"] == x_verify(response)
    assert json.loads(base64.b64decode(response))["code"] == code


def test_v1_gives_up_by_the_clock(simulator: Simulator) -> None:
    paid_v1(simulator)
    simulator.advance(20 * 60 + 1)
    [callback] = simulator.webhooks("MT7850590068188104")
    assert callback["event"] == "TIMED_OUT"
    assert asked_v1(simulator, "MT7850590068188104").json["code"] == "TIMED_OUT"


@pytest.mark.parametrize("name", ["success", "error"])
def test_v1_forms_of_the_real_sandbox_are_signed_in_this_order(name: str) -> None:
    """The captures themselves: without them the order of the members would be a guess."""
    vector = next(
        one for one in V1["vectors"] if ("without" in one["name"]) == (name == "error") and "checksum" in one
    )
    assert x_verify(vector["concatenated_before_salt"]) == vector["checksum"]
    form = fixture("v1/redirect_post_form_success")
    if name == "error":
        assert form["providerReferenceId"] not in vector["concatenated_before_salt"]
        return
    assert (*FORM, "checksum") == tuple(form)
    assert "".join(form[member] for member in FORM) == vector["concatenated_before_salt"]


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_v1_posts_a_form_that_is_signed_in_this_order(simulator: Simulator, outcome: str) -> None:
    made = paid_v1(simulator, redirectMode="POST", amount=12345).json
    token = made["data"]["instrumentResponse"]["redirectInfo"]["url"].partition("token=")[2]
    body = {"token": token, "outcome": outcome, "method": "upi"}
    form = call("POST", f"{simulator.url}/phonepe/transact/attempts", body).json["leave"]["fields"]
    said = [member for member in FORM if member in form]
    assert set(form) == {*said, "checksum"}
    assert ("providerReferenceId" in form) is (outcome == "success")
    assert form["checksum"] == x_verify("".join(form[member] for member in said))
    assert (form["amount"], form["transactionId"]) == ("12345", "MT7850590068188104")


@pytest.mark.parametrize(
    ("changes", "status", "name"),
    [
        ({"merchantTransactionId": "x" * 35}, 400, "error_invalid_transaction_id"),
        ({"merchantId": "SOMEBODY"}, 400, "error_key_not_configured"),
    ],
)
def test_v1_refusals(simulator: Simulator, changes: Json, status: int, name: str) -> None:
    answer = paid_v1(simulator, **changes)
    assert (answer.status, answer.json) == (status, fixture(f"v1/{name}"))


@pytest.mark.parametrize(
    "changes",
    [{"amount": 99}, {"merchantUserId": "a@example.com"}, {"redirectMode": "GET"}, {"new": 1}],
    ids=str,
)
def test_v1_bad_requests(simulator: Simulator, changes: Json) -> None:
    answer = paid_v1(simulator, **changes)
    assert (answer.status, shape(answer.json)) == (400, shape(fixture("v1/error_bad_request")))


def test_v1_ids_are_shorter_than_35_and_used_once(simulator: Simulator) -> None:
    assert paid_v1(simulator, merchantTransactionId="x" * 34).status == 200
    assert paid_v1(simulator, merchantTransactionId="x" * 34).json == fixture(
        "v1/error_invalid_transaction_id"
    )


def test_v1_status_needs_its_merchant_and_a_known_id(simulator: Simulator) -> None:
    paid_v1(simulator)
    answer = asked_v1(simulator, "nobody")
    assert (answer.status, answer.json) == (404, fixture("v1/error_transaction_not_found"))
    wrong = asked_v1(simulator, "MT7850590068188104", **{"X-MERCHANT-ID": "SOMEBODY"})
    assert (wrong.status, shape(wrong.json)) == (400, shape(fixture("v1/error_bad_request")))
    simulator.fault("phonepe", "fetch", "500")
    trouble = asked_v1(simulator, "MT7850590068188104")
    assert (trouble.status, trouble.json) == (500, fixture("v1/error_internal_server_error"))
