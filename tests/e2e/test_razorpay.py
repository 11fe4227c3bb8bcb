"""Razorpay over real HTTP: page → service ⇄ simulator → webhook → service, on both databases."""

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from payments_service.ledger.tables import Payment, PaymentEvent, PaymentWebhook
from tests.support.house import CUSTOMER, House


def sign(order_id: str, payment_id: str, secret: str = "simulator_razorpay_key_secret") -> str:
    return hmac.new(secret.encode(), f"{order_id}|{payment_id}".encode(), hashlib.sha256).hexdigest()


def proof(order_id: str, payment_id: str, **changes: str) -> dict[str, str]:
    """What checkout.js hands to the page after a successful authorisation."""
    fields = {"orderId": order_id, "paymentId": payment_id, "signature": sign(order_id, payment_id)}
    return {"gateway": "razorpay", **fields, **changes}


def payment_id_of(house: House, order_id: str) -> str:
    attempts = house.simulated(f"orders/{order_id}")["attempts"]
    payment_id: str = attempts[-1]["paymentId"]
    return payment_id


def drop_webhooks(house: House, count: int = 50) -> None:
    house.simulate("faults", {"gateway": "razorpay", "on": "webhook", "kind": "drop", "count": count})


def deliver(house: House, event: dict[str, Any], event_id: str, secret: str | None = None) -> int:
    """A webhook by hand."""
    raw = json.dumps(event, separators=(",", ":")).encode()
    key = (secret or "simulator_razorpay_webhook_secret").encode()
    headers = {
        "X-Razorpay-Signature": hmac.new(key, raw, hashlib.sha256).hexdigest(),
        "x-razorpay-event-id": event_id,
        "Content-Type": "application/json",
    }
    return house.http.post(
        house.url + "/api/webhook/razorpay", data=raw, headers=headers, timeout=20
    ).status_code


def events_of(house: House, payment_id: str, kind: str = "status") -> list[str | None]:
    with house.database() as db, db.read() as session:
        query = select(PaymentEvent).where(
            PaymentEvent.payment_id == UUID(payment_id), PaymentEvent.kind == kind
        )
        return [e.to_status for e in session.scalars(query.order_by(PaymentEvent.sequence))]


def test_a_payment_completes_by_its_webhook_alone(house: House) -> None:
    created = house.create_order(499)
    order = created["order"]
    assert order["amount"] == 49900
    assert order["razorpayKey"] == "rzp_test_simulator"
    house.simulate(f"orders/{order['orderId']}/success")
    paid = house.wait_for_status(order["orderId"], "completed")
    assert (paid["amount"], paid["status"], paid["method"]) == (499, "captured", "upi")
    assert paid["paymentId"].startswith("pay_")
    assert events_of(house, created["id"])[-1] == "completed"


@pytest.mark.parametrize("amount", [1, "1.01", 100.15, 4999])
def test_amounts_arrive_to_the_paisa(house: House, amount: float | str) -> None:
    created = house.create_order(amount)
    seen = house.simulated(f"orders/{created['order']['orderId']}")
    assert seen["amountPaise"] == created["order"]["amount"] == round(float(amount) * 100)
    assert house.status(created["id"])["amount"] == float(amount)


def test_a_payment_whose_webhooks_are_lost_completes_by_verify(house: House) -> None:
    drop_webhooks(house)
    order_id = house.create_order()["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    answer = house.post("/api/payment/verify-payment", proof(order_id, payment_id_of(house, order_id)))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["success"], body["paymentStatus"], body["status"]) == (True, "completed", "captured")
    assert (body["amount"], body["currency"]) == (499, "INR")


def test_a_payment_whose_webhooks_are_lost_completes_by_its_status_page(house: House) -> None:
    drop_webhooks(house)
    order_id = house.create_order()["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    assert house.wait_for_status(order_id, "completed")["paymentStatus"] == "completed"


def test_razorpays_own_field_names_are_taken(house: House) -> None:
    order_id = house.create_order()["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    payment_id = payment_id_of(house, order_id)
    fields = {
        "gateway": "RAZORPAY",
        "razorpay_order_id": order_id,
        "razorpay_payment_id": payment_id,
        "razorpay_signature": sign(order_id, payment_id),
    }
    assert house.post("/api/payment/verify-payment", fields).status_code == 200


def test_verify_before_the_webhook_and_again_after_it_agree(house: House) -> None:
    delay = {"gateway": "razorpay", "on": "webhook", "kind": "delay", "count": 3, "seconds": 1}
    house.simulate("faults", delay)
    created = house.create_order()
    order_id = created["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    fields = proof(order_id, payment_id_of(house, order_id))
    before = house.post("/api/payment/verify-payment", fields).json()
    house.until(lambda: inbox_of(house, order_id), lambda rows: len(rows) == 3)
    after = house.post("/api/payment/verify-payment", fields).json()
    assert before == after
    assert events_of(house, created["id"]).count("completed") == 1


def test_failure_then_success_is_a_success(house: House) -> None:
    created = house.create_order()
    order_id = created["order"]["orderId"]
    house.simulate(f"orders/{order_id}/failure")
    house.until(lambda: events_of(house, created["id"], "attempt"), lambda e: e == ["failed"])
    assert house.status(order_id)["paymentStatus"] == "pending"
    house.simulate(f"orders/{order_id}/success")
    house.wait_for_status(order_id, "completed")


def test_a_success_after_our_expiry_still_completes(house: House) -> None:
    created = house.create_order()
    order_id = created["order"]["orderId"]
    expire_now(house, created["id"])
    assert house.wait_for_status(order_id, "expired")["paymentStatus"] == "expired"
    house.simulate(f"orders/{order_id}/late-success")
    house.wait_for_status(order_id, "completed")
    moves = events_of(house, created["id"])
    assert moves[:3] == ["initiated", "pending", "expired"]
    assert moves[-1] == "completed"


def test_verify_still_asks_for_an_expired_payment(house: House) -> None:
    drop_webhooks(house)
    created = house.create_order()
    order_id = created["order"]["orderId"]
    expire_now(house, created["id"])
    house.wait_for_status(order_id, "expired")
    house.simulate(f"orders/{order_id}/success")
    answer = house.post("/api/payment/verify-payment", proof(order_id, payment_id_of(house, order_id)))
    assert answer.json()["paymentStatus"] == "completed"


def test_money_that_is_only_held_is_captured(house: House) -> None:
    created = house.create_order()
    order_id = created["order"]["orderId"]
    house.simulate(f"orders/{order_id}/authorize")
    house.wait_for_status(order_id, "completed")
    assert house.simulated(f"orders/{order_id}")["attempts"][0]["status"] == "captured"
    assert "authorized" in events_of(house, created["id"])


def test_every_event_delivered_twice_changes_nothing_more(house: House) -> None:
    house.simulate("faults", {"gateway": "razorpay", "on": "webhook", "kind": "duplicate", "count": 3})
    created = house.create_order()
    order_id = created["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    house.until(lambda: len(deliveries_of(house, order_id)), lambda n: n == 6)
    assert {d["status"] for d in deliveries_of(house, order_id)} == {200}
    assert len(inbox_of(house, order_id)) == 3
    assert events_of(house, created["id"]).count("completed") == 1
    assert events_of(house, created["id"], "attempt")[-1] == "succeeded"


def test_an_amount_below_the_orders_is_flagged_and_never_completed(house: House) -> None:
    created = house.create_order(499)
    order_id = created["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success", {"amountPaise": 100})
    house.until(lambda: review_of(house, created["id"]), lambda r: r == "amount_mismatch")
    answer = house.post("/api/payment/verify-payment", proof(order_id, payment_id_of(house, order_id)))
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_review")
    assert house.status(order_id)["paymentStatus"] == "pending"


def test_an_order_of_another_amount_at_the_gateway_is_flagged_and_never_completed(house: House) -> None:
    created = house.create_order(499)
    order_id = created["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success", {"orderAmountPaise": 100})
    house.until(lambda: review_of(house, created["id"]), lambda r: r == "amount_mismatch")
    assert house.status(order_id)["paymentStatus"] != "completed"


def test_the_genuine_proof_of_another_order_opens_nothing(house: House) -> None:
    cheap, dear = (house.create_order(amount)["order"]["orderId"] for amount in (1, 4999))
    house.simulate(f"orders/{cheap}/success")
    stolen = proof(cheap, payment_id_of(house, cheap), orderId=dear)
    answer = house.post("/api/payment/verify-payment", stolen)
    assert answer.status_code == 400
    assert answer.json()["error"] == "Payment signature verification failed"
    assert house.status(dear)["paymentStatus"] == "pending"


def test_a_genuine_proof_without_money_is_not_a_success(house: House) -> None:
    """Signed by the merchant's own leaked page or an old try: the gateway still has the last word."""
    order_id = house.create_order()["order"]["orderId"]
    house.simulate(f"orders/{order_id}/failure")
    answer = house.post("/api/payment/verify-payment", proof(order_id, payment_id_of(house, order_id)))
    assert answer.status_code == 402
    assert answer.headers["Retry-After"]
    body = answer.json()
    assert (body["success"], body["paymentStatus"], body["retryable"]) == (False, "pending", True)
    assert body["error"] == "Payment is not completed yet"


@pytest.mark.parametrize("signature", ["", "00" * 32, "not hex", "é" * 64])
def test_a_forged_proof_is_refused(house: House, signature: str) -> None:
    order_id = house.create_order()["order"]["orderId"]
    answer = house.post("/api/payment/verify-payment", proof(order_id, "pay_forged", signature=signature))
    assert answer.status_code == 400
    assert answer.json()["error"] in (
        "Payment signature verification failed",
        "Missing required fields: orderId, paymentId, signature",
    )


def test_a_forged_webhook_changes_nothing_and_is_not_kept(house: House) -> None:
    created = house.create_order()
    order_id = created["order"]["orderId"]
    event = captured_event(order_id, "pay_forged", 49900)
    assert deliver(house, event, "evt_forged", secret="a guess") == 401
    assert house.status(order_id)["paymentStatus"] == "pending"
    assert inbox_of(house, order_id) == []


def test_a_webhook_with_a_spoilt_signature_is_sent_again_and_then_counts(house: House) -> None:
    spoil = {"gateway": "razorpay", "on": "webhook", "kind": "corrupt_signature", "count": 1}
    house.simulate("faults", spoil)
    order_id = house.create_order()["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    house.until(lambda: [d["status"] for d in deliveries_of(house, order_id)], lambda s: s.count(200) == 3)
    assert 401 in [d["status"] for d in deliveries_of(house, order_id)]


def test_an_event_of_an_order_that_is_not_ours_is_kept_and_left_alone(house: House) -> None:
    event_id = f"evt_{time.time_ns()}"
    assert deliver(house, captured_event("order_Elsewhere00001", "pay_Elsewhere00001", 100), event_id) == 200
    with house.database() as db, db.read() as session:
        row = session.scalars(select(PaymentWebhook).where(PaymentWebhook.event_id == event_id)).one()
    assert (row.outcome, row.order_id, row.payment_id) == ("foreign", "order_Elsewhere00001", None)


def test_an_unknown_event_and_an_unreadable_body_are_kept(house: House) -> None:
    event_id = f"evt_{time.time_ns()}"
    assert deliver(house, {"event": "payment.teleported", "payload": {}}, event_id) == 200
    raw = b"\xff not json"
    signature = hmac.new(b"simulator_razorpay_webhook_secret", raw, hashlib.sha256).hexdigest()
    answer = house.http.post(
        house.url + "/api/webhook/razorpay",
        data=raw,
        headers={"X-Razorpay-Signature": signature, "x-razorpay-event-id": event_id + "b"},
        timeout=20,
    )
    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "Webhook received"})
    with house.database() as db, db.read() as session:
        query = select(PaymentWebhook).where(PaymentWebhook.event_id.like(f"{event_id}%"))
        kept = {row.event_id: (row.outcome, row.payload) for row in session.scalars(query)}
    assert kept[event_id][0] == "unknown"
    assert kept[event_id + "b"] == ("unreadable", raw)


def test_a_refund_made_in_the_dashboard_is_booked(house: House) -> None:
    created = house.create_order(499)
    order_id = created["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    house.wait_for_status(order_id, "completed")
    house.simulate(f"orders/{order_id}/dashboard-refund", {"amountPaise": 10015})
    house.until(lambda: house.status(order_id)["amountRefunded"], lambda a: a == 100.15)
    assert house.status(order_id)["paymentStatus"] == "completed"


def test_a_hold_that_razorpay_gave_back_fails_the_payment(house: House) -> None:
    """Authorised, never captured, refunded by the gateway: the order was never paid."""
    created = house.create_order()
    order_id = created["order"]["orderId"]
    for kind in ("500", "500"):
        house.simulate("faults", {"gateway": "razorpay", "on": "capture", "kind": kind, "count": 5})
    house.simulate(f"orders/{order_id}/authorize")
    house.wait_for_status(order_id, "authorized")
    house.simulate(f"orders/{order_id}/dashboard-refund")
    house.wait_for_status(order_id, "failed")


def test_a_second_success_on_a_paid_order_is_flagged(house: House) -> None:
    created = house.create_order()
    order_id = created["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    house.wait_for_status(order_id, "completed")
    house.simulate(f"orders/{order_id}/second-success")
    house.until(lambda: review_of(house, created["id"]), lambda r: r == "second_success")
    assert events_of(house, created["id"]).count("completed") == 1


def test_a_payment_id_that_nobody_told_us_is_matched_by_its_order(house: House) -> None:
    drop_webhooks(house)
    created = house.create_order()
    house.simulate(f"orders/{created['order']['orderId']}/success")
    found = house.status(payment_id_of(house, created["order"]["orderId"]))
    assert (found["id"], found["paymentStatus"]) == (created["id"], "completed")


@pytest.mark.parametrize("reference", ["order_nobody", "pay_nobodyknows001", "x" * 300, "%00", "a/b"])
def test_what_is_not_ours_is_not_found(house: House, reference: str) -> None:
    answer = house.get(f"/api/payment/status/razorpay/{reference}")
    assert answer.status_code == 404, answer.text
    assert answer.json()["code"] == "not_found"


def test_dispute_and_settlement_events_are_kept(house: House) -> None:
    created = house.create_order()
    order_id = created["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    house.wait_for_status(order_id, "completed")
    house.simulate(f"orders/{order_id}/dispute")
    kept = house.until(
        lambda: {row.webhook_type: row.outcome for row in inbox_of(house, order_id)},
        lambda types: "payment.dispute.created" in types,
    )
    assert kept["payment.dispute.created"] == "stored"


def captured_event(order_id: str, payment_id: str, amount: int) -> dict[str, Any]:
    entity = {
        "id": payment_id,
        "entity": "payment",
        "amount": amount,
        "currency": "INR",
        "status": "captured",
        "order_id": order_id,
        "captured": True,
        "method": "upi",
    }
    return {
        "entity": "event",
        "event": "payment.captured",
        "contains": ["payment"],
        "payload": {"payment": {"entity": entity}},
        "created_at": int(time.time()),
    }


def deliveries_of(house: House, order_id: str) -> list[dict[str, Any]]:
    found = house.simulated("deliveries")["deliveries"]
    return [d for d in found if order_id in d["body"] and d["status"]]


def inbox_of(house: House, order_id: str) -> list[PaymentWebhook]:
    with house.database() as db, db.read() as session:
        query = select(PaymentWebhook).where(PaymentWebhook.order_id == order_id)
        return list(session.scalars(query.order_by(PaymentWebhook.created_at)))


def review_of(house: House, payment_id: str) -> str | None:
    with house.database() as db, db.read() as session:
        return session.get_one(Payment, UUID(payment_id)).review


def expire_now(house: House, payment_id: str) -> None:
    """Let the payment's time run out."""
    with house.database() as db, db.begin() as session:
        session.get_one(Payment, UUID(payment_id)).expires_at = datetime.now(UTC) - timedelta(seconds=1)


def test_the_log_of_all_that_happened_here_holds_no_secret_and_nobodys_data(house: House) -> None:
    order_id = house.create_order()["order"]["orderId"]
    house.simulate(f"orders/{order_id}/success")
    house.wait_for_status(order_id, "completed")
    fields = proof(order_id, payment_id_of(house, order_id))
    assert house.post("/api/payment/verify-payment", fields).status_code == 200
    log = house.log()
    assert "Creating order" in log
    assert "a***@example.com" in log
    private = [*CUSTOMER.values(), *(v for k, v in house.environment.items() if "SECRET" in k)]
    private += [fields["signature"], "Basic "]
    assert [value for value in private if value in log] == []
