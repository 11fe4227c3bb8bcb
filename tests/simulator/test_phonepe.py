"""PhonePe V2 as the simulator speaks it: shapes, refusals, tokens, verbs, webhooks. Sources: docs v2."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.conftest import Control, Receiver
from tests.simulator.phonepe_client import DIGEST, OLD_DIGEST, ORDER, Client, phonepe_client, without


@pytest.fixture
def phonepe(base: str) -> Iterator[Client]:
    with phonepe_client(base) as client:
        yield client


@pytest.fixture
def order(phonepe: Client) -> dict[str, Any]:
    made: dict[str, Any] = phonepe.pay().json()
    return made


def fault(control: Control, on: str, kind: str, **more: Any) -> None:
    control.call("POST", "/faults", {"gateway": "phonepe", "on": on, "kind": kind, **more}, status=201)


def configure(control: Control, **settings: Any) -> None:
    control.call("POST", "/settings", {"phonepe": settings})


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in receiver.received]


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_looks_as_documented(phonepe):
    answer = phonepe.log_in()
    assert answer.status_code == 200
    token = answer.json()
    assert (token["token_type"], token["expires_in"]) == ("O-Bearer", None)
    assert token["expires_at"] - token["issued_at"] == 24 * 3600
    assert isinstance(token["access_token"], str)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "x"},
        {"client_id": "\u00e9"},
        {"client_secret": ""},
        {"client_version": "2"},
        {"grant_type": "password"},
    ],
)
def test_a_wrong_client_gets_no_token(phonepe, changes):
    answer = phonepe.log_in(**changes)
    assert (answer.status_code, answer.json()["code"], answer.json()["errorCode"]) == (
        400,
        "INVALID_CLIENT",
        "OIM000",
    )


def test_a_token_is_not_asked_for_in_json(phonepe):
    assert phonepe.http.post(f"{phonepe.url}/v1/oauth/token", json={}).status_code == 400


def test_a_token_is_asked_for_with_no_more_than_is_documented(phonepe):
    assert phonepe.log_in(scope="all").json()["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("header", ["", "Bearer {}", "O-Bearer x", "o-bearer {}", "{}"])
def test_nothing_is_told_without_a_good_token(phonepe, order, header):
    headers = {"Authorization": header.format(phonepe.token)}
    answer = phonepe.http.get(f"{phonepe.url}/checkout/v2/order/psv_1/status", headers=headers)
    assert answer.status_code == 401
    assert answer.json().items() >= {"success": False, "code": "AUTHORIZATION_FAILED", "data": {}}.items()


def test_a_token_ends_by_the_simulators_clock(phonepe, order, control):
    control.call("POST", "/clock", {"advance_seconds": 24 * 3600 + 1})
    assert phonepe.ask("GET", "/checkout/v2/order/psv_1/status").status_code == 401
    phonepe.log_in()
    assert phonepe.ask("GET", "/checkout/v2/order/psv_1/status").status_code == 200


def test_the_life_of_a_token_can_be_set(phonepe, control):
    configure(control, token_seconds=0)
    phonepe.log_in()
    assert phonepe.pay().status_code == 401


def test_the_token_service_has_faults_of_its_own(phonepe, control):
    fault(control, "token", "500")
    assert phonepe.http.post(f"{phonepe.url}/v1/oauth/token").status_code == 500
    assert phonepe.pay().status_code == 200


# ── making an order ─────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_answered_as_documented(base, phonepe):
    answer = phonepe.pay()
    assert answer.status_code == 200
    made = answer.json()
    assert set(made) == {"orderId", "state", "expireAt", "redirectUrl"}
    assert (made["orderId"][:3], made["state"]) == ("OMO", "PENDING")
    assert made["redirectUrl"].startswith(f"{base}/phonepe/transact/uat_v2?token=")
    status = phonepe.status()
    assert status.items() >= {"orderId": made["orderId"], "state": "PENDING", "amount": 49950}.items()
    assert (status["paymentDetails"], status["expireAt"]) == ([], made["expireAt"])
    assert not {"merchantOrderId", "merchantId", "metaInfo"} & set(status)


@pytest.mark.parametrize(
    "code", ["INVALID_TRANSACTION_ID", "INVALID_MERCHANT_ORDER_ID", "ORDER_ALREADY_EXISTS"]
)
def test_an_id_is_used_once_for_ever(phonepe, order, control, code):
    configure(control, duplicate_code=code)
    control.move("psv_1", "success")
    answer = phonepe.pay()
    assert (answer.status_code, answer.json()["code"]) == (400 if code.startswith("ORDER") else 417, code)


def test_the_request_of_the_official_sdk_with_its_nulls_is_accepted(phonepe):
    body = {**ORDER, "metaInfo": None, "expireAfter": None, "disablePaymentRetry": None}
    body["paymentFlow"] = {**ORDER["paymentFlow"], "message": None, "paymentModeConfig": None}
    assert phonepe.pay(**body).status_code == 200


def flow(**changes: Any) -> dict[str, Any]:
    return {"paymentFlow": {**ORDER["paymentFlow"], **changes}}


MODES = (
    *("UPI_INTENT", "UPI_COLLECT", "UPI_QR", "CARD", "NET_BANKING"),
    *("WALLET", "EMI", "CORPORATE_NET_BANKING"),
)
CARD = [{"type": "CARD", "cardTypes": ["DEBIT_CARD"]}]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"merchantOrderId": text} for text in ("", "x" * 64, "a b", "a.b", "é", 7, None)),
        *({"amount": amount} for amount in (99, 0, -100, 100.5, "100", True, None)),
        *({"expireAfter": seconds} for seconds in (299, 3601, 600.5, "600", True)),
        *({"disablePaymentRetry": value} for value in (0, 1, "true")),
        *(
            {"metaInfo": meta}
            for meta in ({"udf16": "x"}, {"name": "x"}, {"udf1": "x" * 257}, {"udf11": "#"})
        ),
        *({"metaInfo": meta} for meta in ({"udf15": "x" * 51}, {"udf1": 7}, [])),
        *(flow(type=kind) for kind in ("PG", None)),
        *(flow(merchantUrls=urls) for urls in ({}, None, {"redirectUrl": "/here"}, {"redirectUrl": ""})),
        flow(message=7),
        flow(paymentModeConfig={"enabledPaymentModes": CARD, "disabledPaymentModes": CARD}),
        flow(paymentModeConfig={"enabledPaymentModes": [{"type": "BARTER"}]}),
        flow(paymentModeConfig={"enabledPaymentModes": [{"type": []}]}),
        flow(paymentModeConfig={"enabledPaymentModes": [{"type": "CARD", "cardTypes": ["GOLD"]}]}),
        flow(paymentModeConfig={"disabledPaymentModes": [{"type": mode} for mode in MODES]}),
        flow(message="\ud800"),
        flow(new=1),
        flow(merchantUrls={"redirectUrl": "https://shop.example", "new": 1}),
        {"constraints": 7},
        {"constraints": [{"new": 1}]},
        {"prefillUserLoginDetails": {"phoneNumber": 7}},
        {"callbackUrl": "https://shop.example"},  # V2 has none
        flow(paymentModeConfig={"enabledPaymentModes": {"type": "CARD"}, "disabledPaymentModes": "x"}),
        {"paymentFlow": None},
    ],
    ids=str,
)
def test_what_phonepe_does_not_take_is_refused(phonepe, wrong):
    answer = phonepe.pay(**wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert phonepe.status()["code"] == "INVALID_MERCHANT_ORDER_ID"


@pytest.mark.parametrize(
    "right",
    [
        {"merchantOrderId": "A-z_0" + "9" * 58},
        {"amount": 100},
        {"expireAfter": 300},
        {"expireAfter": 3600},
        {"disablePaymentRetry": False},
        {"metaInfo": {"udf1": "₹ " * 10, "udf11": "a_Z-9 @.+", "udf15": None}},
        flow(message="Course «Algebra»", paymentModeConfig={"enabledPaymentModes": CARD}),
        *(flow(paymentModeConfig={"enabledPaymentModes": [{"type": mode}]}) for mode in MODES),
    ],
    ids=str,
)
def test_what_phonepe_takes_is_taken(phonepe, right):
    assert phonepe.pay(**right).status_code == 200


@pytest.mark.parametrize("raw", [b"", b"x", b"[]", b"null", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(phonepe, raw):
    headers = {"Authorization": f"O-Bearer {phonepe.token}"}
    answer = phonepe.http.post(f"{phonepe.url}/checkout/v2/pay", data=raw, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


def test_an_unknown_order_path_or_transaction_is_told_in_json(phonepe):
    for path, status in (
        ("/checkout/v2/order/nobody/status", 400),
        ("/checkout/v2/transaction/OM1/status", 400),
        ("/payments/v2/refund/nobody/status", 404),
        ("/v1/disputes/nobody", 404),
        ("/checkout/v2/nowhere", 404),
    ):
        answer = phonepe.ask("GET", path)
        assert (answer.status_code, bool(answer.json()["code"])) == (status, True)


# ── what happens next ───────────────────────────────────────────────────────────────────────────────────


def test_a_success_completes_the_order_and_tells_it(phonepe, order, control, receiver):
    shown = control.move("psv_1", "success", method="card")
    assert shown.items() >= {"gateway": "phonepe", "status": "COMPLETED", "amountPaidPaise": 49950}.items()
    status = phonepe.status(details="true")
    [attempt] = status["paymentDetails"]
    assert (status["state"], attempt["state"], attempt["paymentMode"]) == ("COMPLETED", "COMPLETED", "CARD")
    assert attempt["transactionId"] == shown["attempts"][0]["paymentId"]
    control.settle()
    [one] = receiver.received
    body = json.loads(one.body)
    assert (one.path, one.headers["authorization"]) == ("/api/webhook/phonepe", DIGEST)
    assert body["event"] == "checkout.order.completed"
    left_out = ("payableAmount", "payableCurrency", "feeAmount", "feeCurrency")
    told = without(status, "paymentDetails", *left_out)
    assert without(body["payload"], "paymentDetails", "merchantId") == {"merchantOrderId": "psv_1", **told}


def test_a_failed_attempt_leaves_the_order_payable(phonepe, order, control, receiver):
    control.move("psv_1", "failure")
    assert phonepe.status()["state"] == "PENDING"
    control.move("psv_1", "success")
    status = phonepe.status(details="True")
    assert [attempt["state"] for attempt in status["paymentDetails"]] == ["FAILED", "COMPLETED"]
    assert [a["state"] for a in phonepe.status()["paymentDetails"]] == ["COMPLETED"]  # the latest only
    control.settle()
    first, second = bodies(receiver)
    assert first["event"] == "checkout.transaction.attempt.failed"
    assert (first["payload"]["state"], first["payload"]["detailedErrorCode"]) == ("PENDING", "ZM")
    assert second["event"] == "checkout.order.completed"


def test_without_retries_a_failed_attempt_fails_the_order(phonepe, control, receiver):
    phonepe.pay(disablePaymentRetry=True)
    control.move("psv_1", "failure")
    status = phonepe.status(errorContext="true")
    assert (status["state"], status["errorContext"]["detailedErrorCode"]) == ("FAILED", "ZM")
    assert "errorContext" not in phonepe.status()
    control.settle()
    assert [body["event"] for body in bodies(receiver)][-1] == "checkout.order.failed"


def test_a_pending_attempt_is_told_by_nobody_and_can_succeed(phonepe, order, control, receiver):
    control.move("psv_1", "pending")
    control.settle()
    assert (phonepe.status()["state"], receiver.received) == ("PENDING", [])
    pending = phonepe.status()["paymentDetails"][0]["transactionId"]
    control.move("psv_1", "success")
    [attempt] = phonepe.status(details="true")["paymentDetails"]
    assert (attempt["transactionId"], attempt["state"]) == (pending, "COMPLETED")


@pytest.mark.parametrize("by", ["verb", "clock"])
def test_an_order_expires(phonepe, order, control, receiver, by):
    if by == "verb":
        control.move("psv_1", "expire")
    else:
        control.call("POST", "/clock", {"advance_seconds": 901})
    status = phonepe.status()
    assert (status["state"], status["detailedErrorCode"]) == ("FAILED", "ORDER_EXPIRED")
    control.settle()
    [body] = bodies(receiver)
    assert (body["event"], body["payload"]["detailedErrorCode"]) == ("checkout.order.failed", "ORDER_EXPIRED")
    control.move("psv_1", "success", status=409)
    assert control.move("psv_1", "late-success")["status"] == "COMPLETED"
    assert phonepe.status()["state"] == "COMPLETED"


def test_a_late_success_revives_the_attempt_that_failed(phonepe, order, control):
    failed = control.move("psv_1", "failure")["attempts"][0]["paymentId"]
    [attempt] = control.move("psv_1", "late-success")["attempts"]
    assert (attempt["paymentId"], attempt["status"], attempt["lateAuthorized"]) == (failed, "COMPLETED", True)


def test_what_phonepe_cannot_do_is_refused_in_words(phonepe, order, control):
    for verb in ("authorize", "second-success", "dispute", "dashboard-refund"):
        assert control.move("psv_1", verb, status=409)["error"]
    control.move("psv_1", "success")
    for verb in ("success", "failure", "pending", "expire", "late-success", "second-success"):
        assert control.move("psv_1", verb, status=409)["error"]


def test_a_smaller_sum_completes_nothing_and_another_amount_of_the_order_is_told(phonepe, order, control):
    control.move("psv_1", "success", amountPaise=100)
    status = phonepe.status(details="true")
    assert (status["state"], status["amount"]) == ("PENDING", 49950)
    assert [(a["state"], a["amount"]) for a in status["paymentDetails"]] == [("COMPLETED", 100)]
    phonepe.pay(merchantOrderId="psv_2")
    control.move("psv_2", "success", orderAmountPaise=100)
    assert phonepe.status("psv_2").items() >= {"state": "COMPLETED", "amount": 100}.items()


def test_a_transaction_leads_to_its_order(phonepe, order, control):
    paid = control.move("psv_1", "success")["attempts"][0]["paymentId"]
    found = phonepe.ask("GET", f"/checkout/v2/transaction/{paid}/status").json()
    assert (found["orderId"], found["paymentDetails"][0]["transactionId"]) == (order["orderId"], paid)


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def paid(order: dict[str, Any], control: Control, receiver: Receiver) -> str:
    control.move("psv_1", "success")
    control.settle()
    receiver.received.clear()
    return "psv_1"


def refund_state(phonepe: Client, refund_id: str = "psr_1") -> str:
    return str(phonepe.ask("GET", f"/payments/v2/refund/{refund_id}/status").json()["state"])


def test_a_refund_is_pending_and_then_completed(phonepe, paid, control, receiver):
    answer = phonepe.refund().json()
    assert answer.items() >= {"amount": 100, "state": "PENDING"}.items()
    assert answer["refundId"].startswith("OMR")
    assert refund_state(phonepe) == "COMPLETED"
    control.settle()
    [body] = bodies(receiver)
    assert body["event"] == "pg.refund.completed"
    assert body["payload"]["merchantRefundId"] == "psr_1"
    assert body["payload"]["originalMerchantOrderId"] == "psv_1"


@pytest.mark.parametrize(
    ("verb", "state", "event"),
    [("success", "COMPLETED", "pg.refund.completed"), ("failure", "FAILED", "pg.refund.failed")],
)
def test_a_confirmed_refund_may_still_end_either_way(phonepe, paid, control, receiver, verb, state, event):
    configure(control, refund_outcome="CONFIRMED")
    phonepe.refund()
    assert refund_state(phonepe) == "CONFIRMED"
    assert phonepe.refund(merchantRefundId="psr_2").status_code == 400  # one at a time
    control.call("POST", f"/refunds/psr_1/{verb}")
    assert refund_state(phonepe) == state
    control.settle()
    assert [body["event"] for body in bodies(receiver)] == ["pg.refund.accepted", event]
    control.call("POST", f"/refunds/psr_1/{verb}", status=409)


def test_a_refund_that_cannot_be_is_refused(phonepe, paid, control):
    assert phonepe.refund(amount=49951).json()["code"] == "BAD_REQUEST"
    assert phonepe.refund(amount=99).json()["code"] == "BAD_REQUEST"
    assert phonepe.refund(originalMerchantOrderId="nobody").json()["code"] == "INVALID_MERCHANT_ORDER_ID"
    assert phonepe.refund(amount=49000).status_code == 200
    assert phonepe.refund().status_code == 417
    assert phonepe.refund(merchantRefundId="psr_2", amount=951).status_code == 400
    assert phonepe.refund(merchantRefundId="psr_2", amount=950).status_code == 200


def test_an_open_order_has_nothing_to_refund(phonepe, order):
    assert phonepe.refund().status_code == 400


def test_the_dashboard_refunds_under_an_id_of_its_own(phonepe, paid, control):
    [refund] = control.move("psv_1", "dashboard-refund")["refunds"]
    assert (refund["amountPaise"], refund["status"]) == (49950, "COMPLETED")
    assert refund_state(phonepe, refund["refundId"]) == "COMPLETED"


# ── webhooks and settings ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "expected"), [("corrupt_signature", DIGEST[::-1]), ("old_secret", OLD_DIGEST)]
)
def test_credentials_go_wrong_on_demand(order, control, receiver, kind, expected):
    fault(control, "webhook", kind)
    control.move("psv_1", "success")
    control.settle()
    assert receiver.received[0].headers["authorization"] == expected


def test_a_header_is_the_same_for_every_body(phonepe, order, control, receiver):
    phonepe.pay(merchantOrderId="psv_2", amount=200)
    for order_id in ("psv_1", "psv_2"):
        control.move(order_id, "success")
    control.settle()
    assert len({one.headers["authorization"] for one in receiver.received}) == 1
    assert len({one.body for one in receiver.received}) == 2


def test_trouble_is_told_in_phonepes_json(phonepe, control):
    fault(control, "create_order", "500")
    assert phonepe.pay().json()["code"] == "INTERNAL_SERVER_ERROR"
    fault(control, "create_order", "429")
    assert phonepe.pay().status_code == 429


@pytest.mark.parametrize(
    "changes", [{"token_seconds": -1}, {"token_seconds": True}, {"refund_outcome": "x"}, {"new": 1}]
)
def test_settings_that_do_not_exist_are_refused(control, changes):
    control.call("POST", "/settings", {"phonepe": changes}, status=400)


def test_every_reset_forgets_tokens_and_orders(phonepe, order, control):
    control.call("POST", "/reset")
    assert phonepe.pay().status_code == 401
    phonepe.log_in()
    assert phonepe.pay().status_code == 200
