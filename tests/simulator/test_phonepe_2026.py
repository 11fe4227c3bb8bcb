"""PhonePe as it is in 2026: signed webhooks, disputes, attempts above their order. Sources: docs v2 webhook,
chargeback, order-status; the headers of a signed webhook are as integrators saw them."""

import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest

from tests.simulator.conftest import Control, Receiver
from tests.simulator.phonepe_client import DIGEST, Client, phonepe_client

SECRET, OLD_SECRET = "simulator_phonepe_hmac_secret", "simulator_phonepe_old_hmac_secret"
SIGNATURE, KEY_ID = "x-phonepe-checksum-signature", "x-phonepe-checksum-key-id"


@pytest.fixture
def phonepe(base: str) -> Iterator[Client]:
    with phonepe_client(base) as client:
        yield client


@pytest.fixture
def paid(phonepe: Client, control: Control, receiver: Receiver) -> str:
    phonepe.pay()
    control.move("psv_1", "success")
    control.settle()
    receiver.received.clear()
    return "psv_1"


def settings(control: Control, **changes: object) -> None:
    control.call("POST", "/settings", {"phonepe": changes})


def fault_on(control: Control, kind: str) -> None:
    control.call("POST", "/faults", {"gateway": "phonepe", "on": "webhook", "kind": kind}, 201)


def signed(body: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()


# ── signed webhooks ─────────────────────────────────────────────────────────────────────────────────────


def test_webhooks_are_signed_where_the_settings_say_so(phonepe, control, receiver):
    settings(control, webhook_kind="hmac")
    phonepe.pay()
    control.move("psv_1", "success")
    control.settle()
    [one] = receiver.received
    assert one.headers[SIGNATURE] == signed(one.body)
    assert one.headers[KEY_ID].startswith("CF")
    assert "authorization" not in one.headers


def test_by_default_they_bring_a_password(phonepe, control, receiver):
    phonepe.pay()
    control.move("psv_1", "success")
    control.settle()
    [one] = receiver.received
    assert one.headers["authorization"] == DIGEST
    assert SIGNATURE not in one.headers


def test_a_signature_is_wrong_or_old_on_demand(phonepe, control, receiver):
    settings(control, webhook_kind="hmac")
    phonepe.pay()
    for verb, fault in (("failure", "corrupt_signature"), ("success", "old_secret")):
        fault_on(control, fault)
        control.move("psv_1", verb)
    control.settle()
    corrupt, old = receiver.received
    assert corrupt.headers[SIGNATURE] == signed(corrupt.body)[::-1]
    assert old.headers[SIGNATURE] == signed(old.body, OLD_SECRET)


# ── disputes ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dispute_is_told_with_its_dates_and_can_be_fetched(phonepe, control, receiver, paid):
    [view] = control.move(paid, "dispute", amountPaise=20000)["disputes"]
    control.settle()
    [one] = receiver.received
    told = json.loads(one.body)
    assert (told["event"], "type" in told) == ("payment.dispute.created", False)
    assert told["payload"] == phonepe.ask("GET", f"/v1/disputes/{view['disputeId']}").json()
    payload = told["payload"]
    assert (payload["status"], payload["stage"]) == ("UNDER_REVIEW", "CHARGEBACK")
    assert (payload["merchantOrderId"], payload["disputeAmount"]) == (paid, 20000)
    assert payload["transactionAmount"] == 49950
    assert payload["transactionId"] == view["paymentId"]
    assert payload["createdAt"] < payload["dueDate"]
    assert payload["createdAt"] > 10**12  # milliseconds


@pytest.mark.parametrize(("outcome", "goes_back"), [("won", 0), ("lost", 49950)])
def test_a_dispute_goes_on_and_ends(phonepe, control, receiver, paid, outcome, goes_back):
    control.move(paid, "dispute")
    control.move(paid, "dispute", status=409)
    for word in ("action_required", "under_review", outcome):
        [view] = control.move(paid, "dispute", outcome=word)["disputes"]
        assert view["status"] == word.upper()
    control.move(paid, "dispute", status=409, outcome="won")
    control.settle()
    told = [one.event.removeprefix("payment.dispute.") for one in receiver.received]
    assert told == ["created", "action_required", "under_review", outcome]
    assert json.loads(receiver.received[-1].body)["payload"]["refundAmount"] == goes_back


def test_only_what_was_paid_is_disputed(phonepe, control, paid):
    control.move(paid, "dispute", status=409, amountPaise=49951)
    phonepe.pay(merchantOrderId="psv_2")
    control.move("psv_2", "dispute", status=409)
    phonepe.v1_pay(merchantTransactionId="psv_3")
    control.move("psv_3", "success")
    control.move("psv_3", "dispute", status=409)


def test_disputes_are_a_permission_of_their_own(phonepe, control, paid):
    [view] = control.move(paid, "dispute")["disputes"]
    settings(control, forbidden="disputes")
    assert phonepe.ask("GET", f"/v1/disputes/{view['disputeId']}").status_code == 403
    assert phonepe.status()["state"] == "COMPLETED"


# ── members and sums ────────────────────────────────────────────────────────────────────────────────────


def test_an_attempt_above_its_order_is_paid_and_no_more_than_the_order_goes_back(phonepe, control):
    phonepe.pay(amount=500)
    control.move("psv_1", "success", amountPaise=505)
    status = phonepe.status()
    assert (status["state"], status["amount"], status["paymentDetails"][0]["amount"]) == (
        "COMPLETED",
        500,
        505,
    )
    assert phonepe.refund(amount=505).status_code == 400
    assert phonepe.refund(amount=500).status_code == 200


def test_the_members_of_2026_are_there_and_can_be_left_out(phonepe, control, receiver, paid):
    newer = phonepe.status()
    [attempt] = newer["paymentDetails"]
    assert {newer["currency"], attempt["currency"], attempt["payableCurrency"], attempt["feeCurrency"]} == {
        "INR"
    }
    assert attempt["splitInstruments"][0]["currency"] is None
    assert attempt["phonepeTPAPTxnDetailsLink"].startswith("https://")
    control.call("POST", f"/orders/{paid}/webhook", {"type": "checkout.order.completed"})
    settings(control, newer_members=False)
    assert "currency" not in phonepe.status()
    control.call("POST", f"/orders/{paid}/webhook", {"type": "checkout.order.completed"})
    control.settle()
    told = ["currency" in json.loads(one.body)["payload"] for one in receiver.received]
    assert told == [True, False]
