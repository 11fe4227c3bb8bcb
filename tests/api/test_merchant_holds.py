"""Capture, void and close: money that is held, and payments that are stopped."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import OutcomeUnknown, Rejected, Unavailable
from payments_service.domain.flag import flag
from payments_service.domain.money import Money
from payments_service.domain.news import OrderRef, PaymentSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, PaymentStatus, ReviewReason
from payments_service.flows import reviews
from payments_service.store.tables import Event, Payment, PaymentEvent
from tests.api.merchant_shop import MerchantShop, told
from tests.api.merchant_shop import shop as shop
from tests.support.deciding import deciding
from tests.support.fake_gateway import FakeGateway

PRICE = Money(49900)


def held(shop: MerchantShop, transaction_id: str = "pay_1") -> str:
    """The id of a payment whose money is held, at a gateway where no machine captures."""
    shop.gateway.captures_automatically = False  # type: ignore[misc]
    payment_id = shop.buy()
    shop.gateway.held(transaction_id, PRICE)
    shop.look(payment_id)
    return payment_id


def act(shop: MerchantShop, what: str, payment_id: str, **headers: str) -> TestResponse:
    return shop.post(f"/api/payment/{payment_id}/{what}", **headers)


def stored(shop: MerchantShop, payment_id: str) -> Payment:
    with shop.db.read() as session:
        return session.get_one(Payment, UUID(payment_id))


def notes(shop: MerchantShop) -> list[tuple[str, str, str]]:
    with shop.db.read() as session:
        rows = session.scalars(select(PaymentEvent).where(PaymentEvent.kind == "note"))
        return [(row.source, row.actor, row.reason) for row in rows]


# ── capture ─────────────────────────────────────────────────────────────────────────────────────────


def test_verify_tells_that_money_is_held_and_until_when(shop: MerchantShop) -> None:
    shop.gateway.captures_automatically = False  # type: ignore[misc]
    opened = shop.post(
        "/api/payment/create-order",
        {"amount": 499, "gateway": "fake", "customer": {"name": "A", "email": "a@b.in", "phone": 9876543210}},
    ).json
    order_id = opened["order"]["orderId"]
    until = datetime.now(UTC) + timedelta(days=3)
    shop.gateway.held("pay_1", PRICE)
    shop.gateway.attempts = (replace(shop.gateway.attempts[0], capture_by=until),)
    body = {"gateway": "fake", "orderId": order_id, "proof": f"proof of {order_id}"}
    answer = shop.post("/api/payment/verify-payment", body, None)
    assert answer.status_code == 200, answer.text
    assert (answer.json["success"], answer.json["paymentStatus"]) == (True, "authorized")
    assert answer.json["captureBy"] == until.isoformat()
    shop.post(f"/api/payment/{opened['id']}/capture")
    again = shop.post("/api/payment/verify-payment", body, None).json
    assert (again["paymentStatus"], "captureBy" in again) == ("completed", False)


def test_a_capture_takes_what_is_held_once_and_is_harmless_when_repeated(shop: MerchantShop) -> None:
    payment_id = held(shop)
    first, again = act(shop, "capture", payment_id), act(shop, "capture", payment_id)
    assert (first.status_code, first.json["paymentStatus"]) == (200, "completed"), first.text
    assert again.json == first.json
    assert shop.gateway.calls.count("capture pay_1") == 1
    assert ("api", "owner", "capture is wanted") in notes(shop)


def test_the_first_answer_under_a_key_is_replayed(shop: MerchantShop) -> None:
    payment_id = held(shop)
    key = {"Idempotency_Key": "capture-of-order-1001"}
    first, again = act(shop, "capture", payment_id, **key), act(shop, "capture", payment_id, **key)
    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")


def test_a_refusal_under_a_key_is_not_kept(shop: MerchantShop) -> None:
    payment_id = shop.buy()
    key = {"Idempotency_Key": "capture-of-order-1001"}
    assert told(act(shop, "capture", payment_id, **key)) == (409, "not_capturable")
    shop.gateway.captures_automatically = False  # type: ignore[misc]
    shop.gateway.held("pay_1", PRICE)
    shop.look(payment_id)
    assert act(shop, "capture", payment_id, **key).status_code == 200


def test_a_capture_whose_answer_is_lost_is_found_by_asking(shop: MerchantShop) -> None:
    payment_id = held(shop)
    shop.gateway.capture_error = OutcomeUnknown("timeout")  # and it was carried out
    assert act(shop, "capture", payment_id).json["paymentStatus"] == "completed"


def test_a_capture_that_cannot_be_confirmed_is_to_be_repeated(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = held(shop)
    shop.gateway.capture_error, shop.gateway.fetch_error = OutcomeUnknown("x"), Unavailable("away")
    answer = act(shop, "capture", payment_id)
    assert told(answer) == (409, "outcome_unknown")
    assert int(answer.headers["Retry-After"]) > 0
    shop.gateway.capture_error = shop.gateway.fetch_error = None
    assert act(shop, "capture", payment_id).json["paymentStatus"] == "completed"


def refuse(*_: object) -> None:
    raise Rejected("too late")


def test_a_capture_that_the_gateway_refuses_changes_nothing(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = held(shop)
    monkeypatch.setattr(shop.gateway, "capture", refuse)
    answer = act(shop, "capture", payment_id)
    assert told(answer) == (409, "not_capturable")
    assert (answer.json["paymentStatus"], answer.json["details"]) == ("authorized", "too late")


@pytest.mark.parametrize("what", ["capture", "void", "close"])
def test_a_payment_that_is_not_there_or_a_body_that_says_something_is_refused(
    shop: MerchantShop, what: str
) -> None:
    assert told(act(shop, what, "01900000-0000-7000-8000-000000000001")) == (404, "not_found")
    answer = shop.post(f"/api/payment/{shop.buy()}/{what}", {"amount": 1})
    assert told(answer) == (400, "unknown_field")


# ── void ────────────────────────────────────────────────────────────────────────────────────────────


def let_go(shop: MerchantShop, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls = []

    def void(order: OrderRef, transaction_id: str, deadline: Deadline) -> None:
        calls.append(transaction_id)
        shop.gateway.status = PaymentStatus.EXPIRED
        shop.gateway.attempts = (FakeGateway.attempt(transaction_id, AttemptStatus.VOIDED, PRICE),)

    monkeypatch.setattr(shop.gateway, "void", void)
    return calls


def test_a_void_lets_the_money_go_once(shop: MerchantShop, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = held(shop)
    calls = let_go(shop, monkeypatch)
    first, again = act(shop, "void", payment_id), act(shop, "void", payment_id)
    assert (first.status_code, first.json["paymentStatus"]) == (200, "failed"), first.text
    assert (again.status_code, calls) == (200, ["pay_1"])
    assert told(act(shop, "capture", payment_id)) == (409, "not_capturable")


def test_a_void_beside_a_review_lets_the_money_go_once(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = held(shop)
    with deciding(shop.db, UUID(payment_id)) as record:
        flag(record, ReviewReason.LATE_SUCCESS, Actor("worker", "test"), {"paymentIds": [], "amountPaise": 1})
    calls = let_go(shop, monkeypatch)
    first, again = act(shop, "void", payment_id), act(shop, "void", payment_id)
    assert (first.status_code, first.json["paymentStatus"]) == (200, "authorized"), first.text
    assert (again.status_code, calls) == (200, ["pay_1"])
    reviews.clear(shop.db, UUID(payment_id), "asha")
    assert stored(shop, payment_id).next_check_at <= datetime.now(UTC)
    shop.look(payment_id)
    assert stored(shop, payment_id).status == "failed"


def test_where_holds_go_by_themselves_only_a_void_is_refused(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = held(shop)
    monkeypatch.setattr(shop.gateway, "void", refuse)
    assert told(act(shop, "void", payment_id)) == (409, "not_voidable")
    assert told(act(shop, "void", shop.paid(transaction_id="pay_2"))) == (409, "not_voidable")


# ── close ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_payment_is_closed_here_where_its_gateway_cannot_end_it(shop: MerchantShop) -> None:
    payment_id = shop.buy(reference="ORDER-1")
    first, again = act(shop, "close", payment_id), act(shop, "close", payment_id)
    assert (first.status_code, first.json["paymentStatus"]) == (200, "expired"), first.text
    assert again.json == first.json
    row = stored(shop, payment_id)
    assert row.closed_at is not None
    assert row.next_check_at is not None
    assert notes(shop).count(("api", "owner", "the merchant closed it")) == 1
    assert shop.buy(reference="ORDER-1") != payment_id


def test_a_payment_is_closed_at_the_gateway_where_that_can(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = shop.buy()

    def close(order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        shop.gateway.status = PaymentStatus.FAILED
        return shop.gateway.fetch_payment(order, deadline)

    monkeypatch.setattr(shop.gateway, "close", close)
    assert act(shop, "close", payment_id).json["paymentStatus"] == "failed"
    assert stored(shop, payment_id).closed_at is not None


@pytest.mark.parametrize("error", [Rejected("no"), Unavailable("away"), OutcomeUnknown("timeout")])
def test_a_payment_whose_close_is_not_confirmed_ends_here_and_is_watched(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    payment_id = shop.buy()

    def close(*_: object) -> None:
        raise error

    monkeypatch.setattr(shop.gateway, "close", close)
    assert act(shop, "close", payment_id).json["paymentStatus"] == "expired"
    assert stored(shop, payment_id).next_check_at is not None


def test_what_is_paid_or_being_paid_is_not_closed(shop: MerchantShop) -> None:
    assert told(act(shop, "close", shop.paid())) == (409, "order_paid")
    payment_id = shop.buy()
    shop.gateway.paid("pay_3", PRICE)  # nobody has told us yet
    assert told(act(shop, "close", payment_id)) == (409, "order_paid")
    being_paid = act(shop, "close", held(shop, "pay_4"))
    assert told(being_paid) == (409, "being_paid")
    assert int(being_paid.headers["Retry-After"]) > 0


def test_a_payment_whose_order_is_being_made_is_not_closed(shop: MerchantShop) -> None:
    codes = []

    def meanwhile(*_: object) -> None:
        with shop.db.read() as session:
            [payment] = session.scalars(select(Payment))
        codes.append(told(act(shop, "close", str(payment.id))))

    shop.gateway.during_create = meanwhile
    shop.buy()
    assert codes == [(409, "being_paid")]


def test_money_that_comes_after_the_close_is_flagged_and_never_completed(shop: MerchantShop) -> None:
    payment_id = shop.buy()
    act(shop, "close", payment_id)
    shop.gateway.paid("pay_1", PRICE)
    shop.look(payment_id)
    row = stored(shop, payment_id)
    assert (row.status, row.review) == ("expired", "late_success")
    with shop.db.read() as session:
        assert "payment.completed" not in {event.type for event in session.scalars(select(Event))}


def test_money_that_is_held_after_the_close_is_captured_by_nobody(shop: MerchantShop) -> None:
    payment_id = shop.buy()
    act(shop, "close", payment_id)
    shop.gateway.held("pay_1", PRICE)
    shop.look(payment_id)
    assert "capture pay_1" not in shop.gateway.calls
    assert told(act(shop, "capture", payment_id)) == (409, "payment_closed")
