"""phonepe-pg-sdk-python 3.0.1 against the simulator: tokens, refusals and trouble."""

import json
import logging
import time
from typing import Any

import phonepe.sdk.pg.env as env
import pytest
from conftest import Simulator, call
from phonepe.sdk.pg.common.exceptions import (
    BadRequest,
    ExpectationFailed,
    ForbiddenAccess,
    PhonePeException,
    ResourceNotFound,
    ServerError,
    TooManyRequests,
    UnauthorizedAccess,
)
from phonepe.sdk.pg.common.models.request.payment_mode_constraints.card_payment_mode import (
    CardPaymentModeConstraint,
)
from phonepe.sdk.pg.payments.v2.custom_checkout_client import CustomCheckoutClient
from phonepe.sdk.pg.payments.v2.models.request.payment_mode_config import PaymentModeConfig
from phonepe.sdk.pg.payments.v2.standard_checkout_client import StandardCheckoutClient
from phonepe_words import API, CREDENTIALS, Json, fixture, refund_request, request, settings, shape

pytest_plugins = ("phonepe_sdk",)

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

NO_SUCH_ORDER, NO_SUCH_REFUND = "INVALID_MERCHANT_ORDER_ID", "REFUND_NOT_FOUND"


def refused(kind: type[PhonePeException], code: str | None, make: Any, *arguments: Any) -> PhonePeException:
    with pytest.raises(kind) as error:
        make(*arguments)
    assert (type(error.value), error.value.code) == (kind, code)
    return error.value


def test_unknown_ids(client: StandardCheckoutClient, raw: Any) -> None:
    refused(BadRequest, NO_SUCH_ORDER, client.get_order_status, "nobody")
    refused(ResourceNotFound, NO_SUCH_REFUND, client.get_refund_status, "nobody")
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
