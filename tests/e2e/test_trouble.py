"""A gateway in trouble: bounded waits, honest answers, one order, nothing lost."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from payments_service.flows import create_order
from payments_service.store.tables import Payment, PaymentOrder, PaymentWebhook
from tests.support.house import CUSTOMER, House, running_house

PAY = {"amount": 499, "gateway": "razorpay", "customer": CUSTOMER}


def ask(house: House) -> requests.Response:
    return house.post("/api/payment/create-order", PAY)


def fault(house: House, kind: str, on: str = "create_order", count: int = 1, **more: Any) -> None:
    house.simulate("faults", {"gateway": "razorpay", "on": on, "kind": kind, "count": count, **more})


def orders_at_the_gateway(house: House, wire_id: str) -> list[dict[str, Any]]:
    return [o for o in house.simulated("orders")["orders"] if o["reference"] == wire_id]


def stored(house: House, payment_id: str) -> tuple[Payment, PaymentOrder]:
    with house.database() as db, db.read() as session:
        query = select(Payment, PaymentOrder).join(PaymentOrder, PaymentOrder.payment_id == Payment.id)
        return next((p, o) for p, o in session.execute(query) if str(p.id) == payment_id)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("500", "outcome_unknown"),
        ("html502", "outcome_unknown"),
        ("reset_before", "outcome_unknown"),
        ("429", "gateway_unavailable"),
    ],
)
def test_a_failing_gateway_is_told_truthfully_and_the_intent_is_kept(
    house: House, kind: str, code: str
) -> None:
    fault(house, kind)
    answer = ask(house)
    body = answer.json()
    assert (answer.status_code, body["error"]) == (500, "Failed to create order")
    assert (body["success"], body["code"], body["retryable"]) == (False, code, True)
    payment, order = stored(house, body["id"])
    assert payment.amount == 49900
    assert orders_at_the_gateway(house, order.wire_id) == []
    assert ask(house).status_code == 200


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after"])
def test_an_order_whose_answer_was_lost_is_found_again_and_made_once(house: House, kind: str) -> None:
    fault(house, kind, **({"seconds": 13} if kind == "timeout_after" else {}))
    started = time.monotonic()
    answer = ask(house)
    assert time.monotonic() - started < create_order.BUDGET_SECONDS + 5
    assert answer.status_code == 200, answer.text
    _payment, order = stored(house, answer.json()["id"])
    assert len(orders_at_the_gateway(house, order.wire_id)) == 1
    order_id = answer.json()["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    house.wait_for_status(order_id, "completed")


def test_an_order_that_could_not_be_found_at_once_is_found_by_its_status_page(house: House) -> None:
    fault(house, "reset_after")
    fault(house, "500", on="fetch", count=3)
    answer = ask(house)
    assert (answer.status_code, answer.json()["code"]) == (500, "outcome_unknown")
    payment_id = answer.json()["id"]
    found = house.until(lambda: house.status(payment_id), lambda s: s["paymentStatus"] == "pending")
    house.simulate(f"orders/{found['orderId']}/success")
    house.wait_for_status(payment_id, "completed")


def test_reads_are_repeated_through_a_short_trouble(house: House) -> None:
    order_id = house.create_order()["order"]["orderId"]
    fault(house, "drop", on="webhook", count=10)
    house.simulate(f"orders/{order_id}/success")
    fault(house, "500", on="fetch")
    assert house.status(order_id)["paymentStatus"] == "completed"


def test_many_pages_polling_one_payment_ask_the_gateway_seldom(house: House) -> None:
    order_id = house.create_order()["order"]["orderId"]
    before = house.log().count(f"/v1/orders/{order_id}/payments")
    for _ in range(30):
        house.status(order_id)
    assert house.log().count(f"/v1/orders/{order_id}/payments") - before <= 2


def test_when_the_gateway_is_gone_every_answer_is_bounded_and_true(tmp_path: Path) -> None:
    with running_house(f"sqlite:///{tmp_path / 'payments.db'}", tmp_path) as house:
        known = house.create_order()["order"]["orderId"]
        house.kill_simulator()
        started = time.monotonic()
        answer = ask(house)
        assert time.monotonic() - started < create_order.BUDGET_SECONDS
        assert (answer.status_code, answer.json()["code"]) == (500, "gateway_unavailable")
        assert answer.json()["retryable"] is True
        assert stored(house, answer.json()["id"])[0].status == "failed"
        started = time.monotonic()
        assert house.status(known)["paymentStatus"] == "pending"
        fields = {"gateway": "razorpay", "orderId": known, "paymentId": "pay_1", "signature": "00"}
        assert house.post("/api/payment/verify-payment", fields).status_code == 400
        assert house.get("/health").status_code == 200
        assert time.monotonic() - started < 20


def test_a_service_killed_in_the_middle_of_a_create_has_kept_the_intent(tmp_path: Path) -> None:
    """kill -9 before the gateway's answer was written down. The first events name only the gateway's order
    id and wait; one that names our receipt too makes the order ours, and what waited counts."""
    url = f"sqlite:///{tmp_path / 'payments.db'}"
    with running_house(url, tmp_path) as house:
        fault(house, "timeout_after", seconds=8)
        with ThreadPoolExecutor(1) as pool:
            page = pool.submit(requests.post, house.url + "/api/payment/create-order", json=PAY, timeout=30)
            [seen] = house.until(lambda: house.simulated("orders")["orders"], lambda orders: len(orders) == 1)
            house.kill_service()
            with pytest.raises(requests.ConnectionError):
                page.result()
        house.start_service()
        house.simulate(f"orders/{seen['orderId']}/success")
        house.until(lambda: inbox_outcomes(house), lambda outcomes: outcomes == ["applied"] * 3)
        assert house.status(seen["orderId"])["paymentStatus"] == "completed"


def inbox_outcomes(house: House) -> list[str]:
    with house.database() as db, db.read() as session:
        return [row.outcome for row in session.scalars(select(PaymentWebhook))]
