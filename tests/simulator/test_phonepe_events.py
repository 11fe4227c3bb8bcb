"""PhonePe's events on demand, custom checkout, orders for apps. Sources: docs v2 webhook; the SDK."""

import base64
import json
from collections.abc import Iterator

import pytest

from tests.simulator.conftest import Control, Receiver
from tests.simulator.phonepe_client import DIGEST, Client, phonepe_client


@pytest.fixture
def phonepe(base: str) -> Iterator[Client]:
    with phonepe_client(base) as client:
        yield client


@pytest.fixture
def paid(phonepe: Client, control: Control) -> str:
    phonepe.pay()
    control.move("psv_1", "success")
    return "psv_1"


def events(control: Control, receiver: Receiver) -> list[str]:
    control.settle()
    return [one.event for one in receiver.received]


# ── events on demand ────────────────────────────────────────────────────────────────────────────────────


def send(control: Control, order_id: str, event: str, status: int = 200) -> None:
    control.call("POST", f"/orders/{order_id}/webhook", {"type": event}, status)


def test_an_event_claims_what_its_name_says_and_changes_nothing(phonepe, control, receiver, paid):
    send(control, "psv_1", "checkout.order.failed")
    control.settle()
    claim = json.loads(receiver.received[-1].body)
    assert (claim["type"], claim["payload"]["state"]) == ("CHECKOUT_ORDER_FAILED", "FAILED")
    assert receiver.received[-1].headers["authorization"] == DIGEST
    assert phonepe.status()["state"] == "COMPLETED"


@pytest.mark.parametrize(
    "event",
    ["pg.refund.failed", "settlement.processed", "checkout.transaction.attempt.failed", "PAYMENT_ERROR"],
)
def test_an_event_needs_what_it_is_about(control, paid, event):
    send(control, "psv_1", event, 409)


def test_v1_sends_its_own_codes_and_no_events(phonepe, control, receiver):
    phonepe.v1_pay(callbackUrl=f"{receiver.url}/own")
    send(control, "psv_1", "checkout.order.failed", 409)
    send(control, "psv_1", "PAYMENT_DECLINED")
    control.settle()
    said = json.loads(base64.b64decode(json.loads(receiver.received[-1].body)["response"]))
    assert (said["code"], said["data"]["state"]) == ("PAYMENT_DECLINED", "FAILED")
    assert phonepe.v1_status().json()["code"] == "PAYMENT_PENDING"


def test_no_event_of_another_name_is_sent(control, paid):
    send(control, "psv_1", "checkout.order.celebrated", 400)


# ── custom checkout and the mobile SDKs ─────────────────────────────────────────────────────────────────

CUSTOM = {
    "merchantOrderId": "psv_1",
    "amount": 49950,
    "paymentFlow": {"type": "PG", "paymentMode": {"type": "NET_BANKING", "bankId": "SBIN"}},
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "PG", "paymentMode": {"type": "BARTER"}},
        {"type": "PG", "paymentMode": {"type": "UPI_QR", "vpa": "x"}},
        {"type": "PG", "paymentMode": {"type": "UPI_COLLECT"}},
        {"type": "PG"},
        {"type": "PG_CHECKOUT", "paymentMode": {"type": "UPI_QR"}},
        CUSTOM["paymentFlow"],  # a bank's page must know the way back
    ],
    ids=str,
)
def test_custom_checkout_is_as_strict(phonepe, wrong):
    answer = phonepe.ask("POST", "/payments/v2/pay", {**CUSTOM, "paymentFlow": wrong})
    assert answer.json()["code"] == "BAD_REQUEST"


def test_a_custom_payment_that_fails_ends_its_order(phonepe, control, receiver):
    flow = {"type": "PG", "paymentMode": {"type": "UPI_QR"}}
    phonepe.ask("POST", "/payments/v2/pay", {**CUSTOM, "paymentFlow": flow})
    control.move("psv_1", "failure")
    assert phonepe.ask("GET", "/payments/v2/order/psv_1/status").json()["state"] == "FAILED"
    assert events(control, receiver) == ["pg.transaction.attempt.failed", "pg.order.failed"]


@pytest.mark.parametrize(
    "said",
    [
        {"method": []},
        {"method": "barter"},
        {"method": "upi"},
        {"method": "upi", "outcome": []},
        {"method": "card", "card": 7},
        {"method": "card", "card": {"number": "4242424242424242", "pin": "1"}},
        {"method": "emi", "outcome": "success", "new": 1},
    ],
    ids=str,
)
def test_the_page_takes_nothing_strange(phonepe, said):
    token = phonepe.pay().json()["redirectUrl"].partition("token=")[2]
    url = f"{phonepe.url.partition('/apis')[0]}/transact/attempts"
    assert phonepe.http.post(url, json={"token": token, **said}).status_code == 400
    assert phonepe.http.post(url, json={**said}).status_code == 400
    assert phonepe.status()["paymentDetails"] == []


def test_the_token_of_an_app_opens_no_page(base, phonepe):
    flow = {"type": "PG_CHECKOUT"}
    body = {"merchantOrderId": "psv_1", "amount": 100, "paymentFlow": flow}
    token = phonepe.ask("POST", "/checkout/v2/sdk/order", body).json()["token"]
    url = f"{base}/phonepe/transact/uat_v2?token={token}"
    answer = phonepe.http.get(url, headers={"Referer": base})
    assert answer.status_code == 401
    assert "PR004" in answer.text


def test_an_order_takes_only_the_modes_it_was_made_for(phonepe, control):
    modes = {"enabledPaymentModes": [{"type": "CARD", "cardTypes": ["DEBIT_CARD"]}]}
    flow = {
        "type": "PG_CHECKOUT",
        "merchantUrls": {"redirectUrl": "https://shop.example"},
        "paymentModeConfig": modes,
    }
    assert phonepe.pay(paymentFlow=flow).status_code == 200
    control.move("psv_1", "success", status=409, method="upi")
    control.move("psv_1", "success")
    [attempt] = phonepe.status()["paymentDetails"]
    assert (attempt["paymentMode"], attempt["instrument"]["type"]) == ("CARD", "DEBIT_CARD")
