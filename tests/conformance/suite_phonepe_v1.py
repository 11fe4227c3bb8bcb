"""PhonePe V1 against its documents: it has no public SDK, so their formulas and samples are the referee.

Two of the samples, the forms of redirectMode POST, were captured from the real sandbox.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Answer, Simulator, call
from phonepe_words import API, Json, fixture, shape

pytest_plugins = ("phonepe_sdk",)

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
