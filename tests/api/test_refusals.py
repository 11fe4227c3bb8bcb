"""What may be refused, seen at the door once: with what other tests see, all that docs/openapi.json names."""

import hmac
from collections.abc import Callable
from hashlib import sha256

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from payments_service.api import schemas
from payments_service.api.merchant_schemas import fingerprint
from payments_service.domain.errors import GatewayError, OutcomeUnknown, Unavailable, UnknownAtGateway
from payments_service.domain.money import Money
from payments_service.domain.payment import Actor
from payments_service.domain.states import PaymentStatus
from payments_service.flows import repeat
from payments_service.flows.idempotency import claim
from tests.api.merchant_shop import CUSTOMER, UNKNOWN, MerchantShop, told
from tests.api.merchant_shop import shop as shop
from tests.api.test_merchant_holds import held

PRICE = Money(49900)
KEY = "key-of-order-1001"
EVENT = f"evt_{'0' * 32}"
CREATE, VERIFY = "/api/payment/create-order", "/api/payment/verify-payment"
OPERATOR = Actor("operator", "test")


def open_order(shop: MerchantShop, key: str | None = KEY, **more: object) -> TestResponse:
    headers = {"Idempotency_Key": key} if key else {}
    return shop.post(CREATE, {"amount": 499, "gateway": "fake", "customer": CUSTOMER, **more}, **headers)


def flagged(shop: MerchantShop, payment_id: str) -> str:
    """The gateway's order has another amount than ours, also when it is asked twice."""
    shop.gateway.amount = PRICE + Money(1)
    shop.look(payment_id)
    return payment_id


# ── create-order ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (GatewayError("not readable"), "gateway_error"),
        (UnknownAtGateway("no such account"), "unknown_at_gateway"),
        (OutcomeUnknown("timeout"), "outcome_unknown"),
    ],
    ids=lambda one: getattr(one, "code", one),
)
def test_an_order_that_the_gateway_does_not_open(
    shop: MerchantShop, trouble: GatewayError, code: str
) -> None:
    shop.gateway.create_error, shop.gateway.fetch_error = trouble, Unavailable("away")
    answer = open_order(shop)
    assert (*told(answer), answer.json["retryable"]) == (500, code, trouble.retryable)
    assert ("Retry-After" in answer.headers) == trouble.retryable


def test_an_order_whose_outcome_stays_unknown(shop: MerchantShop) -> None:
    shop.gateway.create_error, shop.gateway.fetch_error = OutcomeUnknown("timeout"), Unavailable("away")
    first = open_order(shop)
    again = open_order(shop)
    assert told(again) == (409, "outcome_unknown")
    assert (again.json["id"], int(again.headers["Retry-After"]) > 0) == (first.json["id"], True)


def pay(shop: MerchantShop, payment_id: str) -> None:
    shop.gateway.paid("pay_1", PRICE)
    shop.look(payment_id)


def end(shop: MerchantShop, payment_id: str) -> None:
    shop.gateway.status = PaymentStatus.FAILED
    shop.look(payment_id)


@pytest.mark.parametrize(
    ("happens", "code"), [(pay, "order_paid"), (end, "order_expired"), (flagged, "payment_review")]
)
def test_a_key_whose_order_can_be_paid_no_more(
    shop: MerchantShop, happens: Callable[[MerchantShop, str], None], code: str
) -> None:
    payment_id = open_order(shop).json["id"]
    happens(shop, payment_id)
    answer = open_order(shop)
    assert (*told(answer), answer.json["id"]) == (409, code, payment_id)


# ── verify-payment, status ──────────────────────────────────────────────────────────────────────────


def verify(shop: MerchantShop, order_id: str, proof: str | None = None) -> TestResponse:
    body = {"gateway": "fake", "orderId": order_id, "proof": proof or f"proof of {order_id}"}
    return shop.post(VERIFY, body, None)


def test_what_is_not_paid_is_never_a_success(shop: MerchantShop) -> None:
    opened = open_order(shop).json
    order_id = opened["order"]["orderId"]
    pending = verify(shop, order_id)
    assert (*told(pending), pending.json["paymentStatus"]) == (402, "payment_pending", "pending")
    assert int(pending.headers["Retry-After"]) > 0
    assert told(verify(shop, order_id, "forged")) == (400, "signature_invalid")
    flagged(shop, opened["id"])
    assert told(verify(shop, order_id)) == (409, "payment_review")


def test_a_payment_that_failed_is_told_as_one(shop: MerchantShop) -> None:
    opened = open_order(shop).json
    shop.gateway.status = PaymentStatus.FAILED
    answer = verify(shop, opened["order"]["orderId"])
    assert (*told(answer), answer.json["paymentStatus"]) == (400, "payment_failed", "failed")


def test_a_gateway_that_there_is_not(shop: MerchantShop) -> None:
    assert told(shop.get("/api/payment/status/stripe/order_1", None)) == (400, "validation_error")


# ── capture, void, close, refund ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ["capture", "void", "refunds"])
def test_a_gateway_that_is_switched_off_can_do_nothing(shop: MerchantShop, what: str) -> None:
    payment_id = shop.paid() if what == "refunds" else held(shop)
    object.__setattr__(shop.services, "gateways", ())
    answer = shop.post(f"/api/payment/{payment_id}/{what}", Idempotency_Key=KEY)
    assert told(answer) == (409, "gateway_off")


def test_a_payment_of_a_gateway_that_is_switched_off_is_closed_here(shop: MerchantShop) -> None:
    payment_id = shop.buy()
    object.__setattr__(shop.services, "gateways", ())
    answer = shop.post(f"/api/payment/{payment_id}/close")
    assert (answer.status_code, answer.json["paymentStatus"]) == (200, "expired")


def test_held_money_that_a_person_must_look_at_is_not_captured(shop: MerchantShop) -> None:
    payment_id = flagged(shop, held(shop))
    assert told(shop.post(f"/api/payment/{payment_id}/capture")) == (409, "payment_review")
    assert "capture pay_1" not in shop.gateway.calls


def test_held_money_for_a_reference_that_is_paid_is_not_captured(shop: MerchantShop) -> None:
    """The reference was given up here, and paid by another payment before the money came."""
    late = shop.buy(reference="ORDER-1001")
    end(shop, late)
    shop.gateway.captures_automatically = False  # type: ignore[misc]
    shop.gateway.status = PaymentStatus.PENDING
    paid = shop.paid(reference="ORDER-1001", transaction_id="pay_2")
    shop.gateway.held("pay_1", PRICE)
    shop.look(late)
    answer = shop.post(f"/api/payment/{late}/capture")
    assert (*told(answer), answer.json["id"]) == (409, "reference_paid", paid)


def test_a_hold_whose_end_cannot_be_confirmed_is_to_be_let_go_again(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = held(shop)

    def lose(*_: object) -> None:
        raise OutcomeUnknown("timeout")

    monkeypatch.setattr(shop.gateway, "void", lose)
    answer = shop.post(f"/api/payment/{payment_id}/void")
    assert told(answer) == (409, "outcome_unknown")
    assert int(answer.headers["Retry-After"]) > 0


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────


WISH = {"amount": 499, "reference": "ORDER-1001"}


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/api/quote", "quote"),
        (f"/api/payment/{UNKNOWN}/capture", f"capture {UNKNOWN}"),
        (f"/api/payment/{UNKNOWN}/void", f"void {UNKNOWN}"),
        (f"/api/payment/{UNKNOWN}/close", f"close {UNKNOWN}"),
        (f"/api/events/{EVENT}/resend", f"resend {EVENT}"),
    ],
)
def test_while_the_first_request_of_a_key_runs_the_next_one_waits(
    shop: MerchantShop, path: str, endpoint: str
) -> None:
    body = WISH if endpoint == "quote" else {}
    asked = fingerprint(schemas.quote_order(body, shop.services.limits)) if body else ""
    claim(shop.db, endpoint=endpoint, owner="owner", key=KEY, fingerprint=asked, lease=repeat.LEASE)
    answer = shop.post(path, body, Idempotency_Key=KEY)
    assert told(answer) == (409, "request_in_progress")
    assert int(answer.headers["Retry-After"]) > 0


# ── webhooks ────────────────────────────────────────────────────────────────────────────────────────


def test_a_webhook_that_is_signed_is_taken_in(client: FlaskClient) -> None:
    body = b'{"event": "invoice.paid", "payload": {}}'
    signature = hmac.digest(b"simulator_razorpay_webhook_secret", body, sha256).hex()
    answer = client.post("/api/webhook/razorpay", data=body, headers={"X-Razorpay-Signature": signature})
    assert (answer.status_code, answer.json) == (200, {"success": True, "message": "Webhook received"})
