"""PhonePe V1 as the simulator speaks it: base64, X-VERIFY, codes, callbacks. Sources: docs v1."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway_simulator.phonepe.events import return_form
from tests.gateways.phonepe_wire import fixture
from tests.simulator.conftest import Receiver
from tests.simulator.phonepe_client import OLD_SALT, V1_ORDER, Client, phonepe_client, x_verify


@pytest.fixture
def phonepe(base: str) -> Iterator[Client]:
    with phonepe_client(base) as client:
        yield client


@pytest.fixture
def order(phonepe: Client, receiver: Receiver) -> str:
    assert phonepe.v1_pay(callbackUrl=f"{receiver.url}/own?x=1").status_code == 200
    return "psv_1"


def said(received: Any) -> dict[str, Any]:
    """What a callback says, after its signature has been computed again."""
    response = json.loads(received.body)["response"]
    assert received.headers["x-verify"] == x_verify(response)
    decoded: dict[str, Any] = json.loads(base64.b64decode(response))
    return decoded


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_answered_as_documented(base, phonepe):
    answer = phonepe.v1_pay().json()
    assert (answer["success"], answer["code"]) == (True, "PAYMENT_INITIATED")
    assert answer["data"]["merchantTransactionId"] == "psv_1"
    instrument = answer["data"]["instrumentResponse"]
    assert (instrument["type"], instrument["redirectInfo"]["method"]) == ("PAY_PAGE", "GET")
    assert instrument["redirectInfo"]["url"].startswith(f"{base}/phonepe/transact/simulator?token=")
    status = phonepe.v1_status().json()
    assert (status["code"], status["data"]["state"], status["data"]["amount"]) == (
        "PAYMENT_PENDING",
        "PENDING",
        49950,
    )


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("", "KEY_NOT_CONFIGURED"),
        ("x###1", "AUTHORIZATION_FAILED"),
        ("x###9", "KEY_NOT_CONFIGURED"),
        ("0" * 64 + "###1", "AUTHORIZATION_FAILED"),
    ],
)
def test_a_call_that_is_not_signed_with_our_salt_is_refused(phonepe, order, signature, expected):
    for answer in (
        phonepe.v1_post("/pg/v1/pay", {**V1_ORDER, "merchantTransactionId": "psv_2"}, signature),
        phonepe.v1_post("/pg/v1/refund", {"merchantId": "SIMULATORV1"}, signature),
        phonepe.v1_status(**{"X-VERIFY": signature}),
    ):
        assert answer.json()["code"] == expected
        assert answer.status_code in (400, 401)


def test_what_is_signed_is_the_very_text_and_the_path_behind_the_host(phonepe):
    text = base64.b64encode(json.dumps(V1_ORDER).encode()).decode()
    spaced = base64.b64encode(json.dumps(V1_ORDER, indent=2).encode()).decode()
    path = "/pg/v1/pay"
    for signed, signed_path in ((spaced, path), (text, f"/apis/pg-sandbox{path}"), (text, "/pg/v1/refund")):
        headers = {"X-VERIFY": x_verify(signed, signed_path)}
        answer = phonepe.http.post(phonepe.url + path, json={"request": text}, headers=headers)
        assert code(answer) == (401, "AUTHORIZATION_FAILED")
    headers = {"X-VERIFY": x_verify(text, path, OLD_SALT, "2")}
    assert phonepe.http.post(phonepe.url + path, json={"request": text}, headers=headers).ok


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        *(({"merchantTransactionId": v}, "INVALID_TRANSACTION_ID") for v in ("x" * 35, "a b", "", None, 7)),
        *(({"merchantUserId": v}, "BAD_REQUEST") for v in ("x" * 36, "a@example.com", "", None)),
        *(({"amount": v}, "BAD_REQUEST") for v in (99, 100.5, "100", True, None)),
        *(({"redirectUrl": v}, "BAD_REQUEST") for v in ("", None, "/x")),
        *(({"callbackUrl": v}, "BAD_REQUEST") for v in ("", None, "/x")),
        *(({"redirectMode": v}, "BAD_REQUEST") for v in ("GET", None)),
        *(({"paymentInstrument": v}, "BAD_REQUEST") for v in (None, {}, {"type": "BARTER"})),
        ({"merchantId": "SOMEBODY"}, "KEY_NOT_CONFIGURED"),
    ],
    ids=str,
)
def test_what_phonepe_does_not_take_is_refused(phonepe, wrong, expected):
    answer = phonepe.v1_pay(**wrong)
    assert code(answer) == (400, expected)
    assert answer.json().items() >= {"success": False, "data": {}}.items()


def test_ids_are_shorter_than_35_and_used_once(phonepe, order):
    assert phonepe.v1_pay(merchantTransactionId="x" * 34).status_code == 200
    assert code(phonepe.v1_pay()) == (400, "INVALID_TRANSACTION_ID")


def test_an_unknown_order_and_a_wrong_merchant_are_told_apart(phonepe, order):
    assert code(phonepe.v1_status("nobody")) == (404, "TRANSACTION_NOT_FOUND")
    assert code(phonepe.v1_status(**{"X-MERCHANT-ID": "SOMEBODY"})) == (400, "BAD_REQUEST")


def test_the_generations_do_not_know_each_others_orders(phonepe, order):
    assert phonepe.status()["code"] == "INVALID_MERCHANT_ORDER_ID"
    phonepe.pay(merchantOrderId="psv_2")
    assert code(phonepe.v1_status("psv_2")) == (404, "TRANSACTION_NOT_FOUND")


# ── what happens next ───────────────────────────────────────────────────────────────────────────────────


def test_a_success_is_called_back_to_where_the_request_said(phonepe, order, control, receiver):
    shown = control.move("psv_1", "success")
    assert shown.items() >= {"status": "PAYMENT_SUCCESS", "amountPaidPaise": 49950}.items()
    control.settle()
    [one] = receiver.received
    assert one.path == "/api/webhook/own?x=1"
    assert "authorization" not in one.headers
    assert said(one) == phonepe.v1_status().json()
    data = said(one)["data"]
    assert (data["state"], data["responseCode"], data["paymentInstrument"]["type"]) == (
        "COMPLETED",
        "SUCCESS",
        "UPI",
    )
    assert data["transactionId"] == shown["attempts"][0]["paymentId"]


def test_a_failure_is_final_and_says_success_true(phonepe, order, control, receiver):
    control.move("psv_1", "failure")
    control.move("psv_1", "success", status=409)
    control.settle()
    [one] = receiver.received
    assert (said(one)["success"], said(one)["code"]) == (True, "PAYMENT_ERROR")
    assert said(one)["data"]["state"] == "FAILED"


@pytest.mark.parametrize(("first", "word"), [("failure", "PAYMENT_ERROR"), ("expire", "TIMED_OUT")])
def test_a_late_success_comes_under_the_same_number(phonepe, order, control, receiver, first, word):
    control.move("psv_1", first)
    ended = phonepe.v1_status().json()
    assert ended["code"] == word
    control.move("psv_1", "late-success")
    control.settle()
    assert [said(one)["code"] for one in receiver.received] == [word, "PAYMENT_SUCCESS"]
    assert said(receiver.received[1])["data"]["transactionId"] == ended["data"]["transactionId"]


def test_a_pending_payment_is_called_back_by_nobody(phonepe, order, control, receiver):
    control.move("psv_1", "pending")
    control.settle()
    assert (phonepe.v1_status().json()["code"], receiver.received) == ("PAYMENT_PENDING", [])


def test_another_sum_is_told_as_the_transactions_amount(phonepe, order, control):
    control.move("psv_1", "success", amountPaise=100)
    assert phonepe.v1_status().json()["data"]["amount"] == 100


@pytest.mark.parametrize("kind", ["corrupt_signature", "old_secret"])
def test_signatures_go_wrong_on_demand(order, control, receiver, kind):
    fault = {"gateway": "phonepe", "on": "webhook", "kind": kind}
    control.call("POST", "/faults", fault, status=201)
    control.move("psv_1", "success")
    control.settle()
    [one] = receiver.received
    response = json.loads(one.body)["response"]
    digest, index = x_verify(response).split("###")
    wrong = {
        "corrupt_signature": f"{digest[::-1]}###{index}",
        "old_secret": x_verify(response, "", OLD_SALT, "2"),
    }
    assert one.headers["x-verify"] == wrong[kind]


def test_a_refund_is_called_back_with_a_payments_codes(phonepe, order, control, receiver):
    control.move("psv_1", "success")
    answer = phonepe.v1_refund(callbackUrl=f"{receiver.url}/refunds").json()
    assert (answer["code"], answer["data"]["state"]) == ("PAYMENT_PENDING", "PENDING")
    assert phonepe.v1_status("psr_1").json()["code"] == "PAYMENT_SUCCESS"
    control.settle()
    refund = receiver.received[-1]
    assert refund.path == "/api/webhook/refunds"
    assert said(refund)["data"]["merchantTransactionId"] == "psr_1"
    assert said(refund)["data"]["transactionId"].startswith("TR")


def test_a_refund_names_the_merchants_own_order_and_not_phonepes(phonepe, order, control):
    number = control.move("psv_1", "success")["attempts"][0]["paymentId"]
    assert code(phonepe.v1_refund(originalTransactionId=number)) == (404, "TRANSACTION_NOT_FOUND")
    assert code(phonepe.v1_refund(merchantTransactionId="psv_1")) == (400, "INVALID_TRANSACTION_ID")
    assert code(phonepe.v1_refund(amount=49951)) == (400, "BAD_REQUEST")
    assert phonepe.v1_refund().status_code == 200


# ── the form ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_forms_of_the_real_sandbox_are_made_again():
    captured = fixture("v1/redirect_post_form_success")
    made = return_form(
        captured["code"],
        captured["merchantId"],
        captured["transactionId"],
        int(captured["amount"]),
        captured["providerReferenceId"],
    )
    assert list(made.items()) == list(captured.items())


def test_the_form_of_a_failure_has_no_reference():
    captured = next(v for v in fixture("v1/signature_vectors")["vectors"] if "without" in v["name"])
    made = return_form("PAYMENT_ERROR", "PGTESTPAYUAT", "MTID3620230108095646", 23200, None)
    assert made.pop("checksum") == captured["checksum"]
    assert "".join(made.values()) == captured["concatenated_before_salt"]
