"""PhonePe's life by the clock, its settlements, and a restart. Sources: docs v2, v1."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway_simulator import create_simulator
from gateway_simulator.serving import serving
from tests.simulator.conftest import Control, Receiver, session
from tests.simulator.phonepe_client import Client, phonepe_client


@pytest.fixture
def phonepe(base: str) -> Iterator[Client]:
    with phonepe_client(base) as client:
        yield client


@pytest.fixture
def paid(phonepe: Client, control: Control) -> str:
    phonepe.pay()
    control.move("psv_1", "success")
    return "psv_1"


def configure(control: Control, **settings: Any) -> None:
    control.call("POST", "/settings", {"phonepe": settings})


def advance(control: Control, seconds: float) -> None:
    control.call("POST", "/clock", {"advance_seconds": seconds})


def events(control: Control, receiver: Receiver) -> list[str]:
    control.settle()
    return [one.event for one in receiver.received]


def refund_state(phonepe: Client) -> str:
    return str(phonepe.ask("GET", "/payments/v2/refund/psr_1/status").json()["state"])


# ── the clock ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_tells_its_expiry_though_nobody_looks(phonepe, control, receiver):
    phonepe.pay()
    advance(control, 899)
    assert events(control, receiver) == []
    advance(control, 2)
    control.settle()
    [one] = receiver.received
    body = json.loads(one.body)
    assert (body["event"], body["payload"]["state"]) == ("checkout.order.failed", "FAILED")
    assert body["payload"]["detailedErrorCode"] == "ORDER_EXPIRED"


def test_what_is_over_does_not_expire(phonepe, control, receiver, paid):
    advance(control, 901)
    assert phonepe.status()["state"] == "COMPLETED"
    assert events(control, receiver) == ["checkout.order.completed"]


def test_a_pending_attempt_fails_with_its_order(phonepe, control):
    phonepe.pay()
    control.move("psv_1", "pending")
    advance(control, 901)
    [attempt] = phonepe.status(details="true")["paymentDetails"]
    assert (attempt["state"], attempt["detailedErrorCode"]) == ("FAILED", "ORDER_EXPIRED")


@pytest.mark.parametrize("seconds", [60, 1200])
def test_v1_times_out(phonepe, control, receiver, seconds):
    configure(control, v1_timeout_seconds=seconds)
    phonepe.v1_pay(callbackUrl=f"{receiver.url}/own")
    advance(control, seconds - 1)
    assert phonepe.v1_status().json()["code"] == "PAYMENT_PENDING"
    advance(control, 2)
    assert phonepe.v1_status().json()["code"] == "TIMED_OUT"
    control.settle()
    [one] = receiver.received
    assert json.loads(base64.b64decode(json.loads(one.body)["response"]))["code"] == "TIMED_OUT"


@pytest.mark.parametrize(
    ("outcome", "states"),
    [
        ("COMPLETED", ["PENDING", "CONFIRMED", "COMPLETED"]),
        ("FAILED", ["PENDING", "CONFIRMED", "FAILED"]),
        ("CONFIRMED", ["PENDING", "CONFIRMED", "CONFIRMED"]),
        ("PENDING", ["PENDING", "PENDING", "PENDING"]),
    ],
)
def test_a_refund_goes_as_far_as_the_setting_says(phonepe, control, receiver, paid, outcome, states):
    configure(control, refund_outcome=outcome, refund_seconds=10)
    phonepe.refund()
    seen = [refund_state(phonepe)]
    for _ in range(2):
        advance(control, 5)
        seen.append(refund_state(phonepe))
    assert seen == states
    words = {"CONFIRMED": "accepted", "COMPLETED": "completed", "FAILED": "failed"}
    told = [f"pg.refund.{words[state]}" for state in dict.fromkeys(states[1:]) if state in words]
    assert events(control, receiver)[1:] == told


def test_a_verb_is_faster_than_the_clock(phonepe, control, receiver, paid):
    configure(control, refund_outcome="COMPLETED", refund_seconds=10)
    phonepe.refund()
    control.call("POST", "/refunds/psr_1/failure")
    advance(control, 11)
    assert refund_state(phonepe) == "FAILED"
    assert events(control, receiver)[1:] == ["pg.refund.failed"]


def test_a_refund_that_fails_at_once_gives_its_sum_back(phonepe, control, paid):
    configure(control, refund_outcome="FAILED")
    assert phonepe.refund(amount=49950).status_code == 200
    assert refund_state(phonepe) == "FAILED"
    assert phonepe.refund(merchantRefundId="psr_2", amount=49950).status_code == 200


def test_after_ninety_days_nothing_is_refunded(phonepe, control, paid):
    advance(control, 90 * 24 * 3600 + 1)
    phonepe.log_in()
    assert phonepe.refund().json()["code"] == "REFUND_FOR_TXN_OLDER_THAN_LIMIT"


def test_the_smallest_refund_is_a_setting(phonepe, control, paid):
    assert phonepe.refund(amount=1).status_code == 400
    configure(control, least_refund_paise=1)
    assert phonepe.refund(amount=1).status_code == 200


def test_a_call_may_be_forbidden(phonepe, control, paid):
    configure(control, forbidden="refund")
    assert (phonepe.refund().status_code, phonepe.refund().json()["code"]) == (403, "FORBIDDEN")
    assert phonepe.status()["state"] == "COMPLETED"


# ── settlements ─────────────────────────────────────────────────────────────────────────────────────────


def settlements(phonepe: Client, **more: str) -> Any:
    window = {"from": "1795000000000", "to": "9000000000000", **more}
    return phonepe.ask("GET", "/settlements/v1/range", **window)


def test_a_day_after_the_payment_it_is_settled(phonepe, control, receiver, paid):
    assert settlements(phonepe).json() == {"settlements": [], "hasNext": False}
    advance(control, 24 * 3600)
    phonepe.log_in()
    [settled] = settlements(phonepe).json()["settlements"]
    status = phonepe.ask("GET", f"/settlements/v1/{settled['settlementId']}/status").json()
    assert (settled["state"], status["amount"], status["utr"]) == ("PROCESSED", 49950, settled["utr"])
    assert events(control, receiver)[1:] == ["settlement.initiated", "settlement.processed"]
    advance(control, 24 * 3600)
    phonepe.log_in()
    assert len(settlements(phonepe).json()["settlements"]) == 1


def test_a_cards_fee_and_the_tax_on_it_are_told_as_negative(phonepe, control):
    phonepe.pay(amount=100_000)
    control.move("psv_1", "success", method="card")
    control.call("POST", "/settle")
    [part] = phonepe.status(settlementDetails="true")["settlementDetails"]["splitSettlementDetails"]
    amounts = part["amountBreakup"]
    taxes = {"sgst": 0, "cgst": 0, "igst": -360}
    assert amounts["settlementDeduction"] == {**taxes, "fee": -2000, "commission": 0}
    assert (amounts["transactionAmount"], amounts["settlementAmount"]) == (100_000, 97_640)
    assert "settlementDetails" not in phonepe.status()


def test_settlements_come_in_pages(phonepe, control):
    for number in range(3):
        phonepe.pay(merchantOrderId=f"psv_{number}")
        control.move(f"psv_{number}", "success")
        control.call("POST", "/settle")
    first, second = (settlements(phonepe, limit="2", offset=offset).json() for offset in ("0", "2"))
    assert (len(first["settlements"]), first["hasNext"]) == (2, True)
    assert (len(second["settlements"]), second["hasNext"]) == (1, False)


@pytest.mark.parametrize(
    "wrong",
    [{"limit": "41"}, {"limit": "0"}, {"from": "x"}, {"from": "1"}, {"to": ""}, {"new": "1"}],
    ids=str,
)
def test_settlements_are_asked_for_as_documented(phonepe, wrong):
    assert settlements(phonepe, **wrong).json()["code"] == "BAD_REQUEST"


def test_nobody_knows_another_settlement(phonepe):
    assert phonepe.ask("GET", "/settlements/v1/nobody/status").status_code == 400


# ── a restart ───────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def restarted(state: Path, receiver: Receiver, token: str = "") -> Iterator[tuple[Client, Control]]:
    app = create_simulator(receiver.url, backoff_seconds=1000, state=state)
    with serving(app) as url, phonepe_client(url) as phonepe, session() as http:
        phonepe.token = token or phonepe.token
        yield phonepe, Control(url, http)


def test_a_restart_keeps_orders_tokens_alarms_and_open_webhooks(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [500]
    with restarted(tmp_path / "state", receiver) as (phonepe, control):
        token = phonepe.token
        phonepe.pay()
        page = phonepe.pay(merchantOrderId="psv_2").json()["redirectUrl"].partition("token=")[2]
        control.move("psv_1", "success")
        configure(control, refund_outcome="COMPLETED", refund_seconds=600)
        phonepe.refund()
        control.settle()
    assert [one.event for one in receiver.received] == ["checkout.order.completed"]
    with restarted(tmp_path / "state", receiver, token) as (phonepe, control):
        assert phonepe.status()["state"] == "COMPLETED"
        assert phonepe.pay().status_code == 417
        assert refund_state(phonepe) == "PENDING"
        assert phonepe.refund(merchantRefundId="psr_2").status_code == 400  # one is under way
        body = {"token": page, "outcome": "cancel"}
        url = f"{control.base}/phonepe/transact/attempts"
        assert phonepe.http.post(url, json=body).json()["cancelled"]
        assert control.call("GET", "/settings")["phonepe"]["refund_seconds"] == 600
        advance(control, 1001)
        assert refund_state(phonepe) == "COMPLETED"
        assert sorted(events(control, receiver)) == [
            "checkout.order.completed",
            "checkout.order.completed",
            "checkout.order.failed",
            "pg.refund.accepted",
            "pg.refund.completed",
        ]
