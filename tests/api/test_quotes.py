"""Quotes: a browser brings a price that it cannot choose, and pays it once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import GatewayError, Unavailable
from payments_service.domain.money import Money
from payments_service.domain.news import OrderRef, PaymentSnapshot
from payments_service.domain.states import PaymentStatus
from payments_service.flows import quotes, webhook
from payments_service.flows.quotes import Quote, QuoteExpired, QuoteInvalid
from payments_service.settings import Settings
from payments_service.store.tables import Payment
from tests.api.test_idempotency import CUSTOMER, GOOD, KEY, Shop
from tests.support.environment import environment
from tests.support.fake_gateway import GENUINE, FakeGateway

API_KEYS = {"shop": "psk_shop", "reader": "psk_reader"}
WISH = {
    "amount": 499,
    "reference": "A-1",
    "description": "A course",
    "userId": "u1",
    "metadata": {"course": "physics"},
}
FIXED = Quote(Money(49900), "A-1", None, None, {}, datetime(2100, 1, 1, tzinfo=UTC))
KEYS = ("new-key-of-16-chars", "old-key-of-16-chars")


class Closing(FakeGateway):
    """Ends an order when it is asked to, or says why not."""

    close_error: GatewayError | None = None

    def close(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot | None:
        self.calls.append("close")
        if self.close_error:
            raise self.close_error
        self.status = PaymentStatus.FAILED
        return self.fetch_payment(order, deadline)


class OtherGateway(FakeGateway):
    name = provider = "other"


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    entries = [
        f"{name}:{'write' if name == 'shop' else 'read'}:{sha256(key.encode()).hexdigest()}"
        for name, key in API_KEYS.items()
    ]
    variables = environment(database_url=database_url, simulator_port=9, API_KEYS=",".join(entries))
    app = create_app(Settings.from_environment(variables))
    yield Shop(app)
    app.extensions["payments_service"].db.engine.dispose()


def ask(shop: Shop, path: str, body: Any, **headers: str) -> TestResponse:
    return shop.app.test_client().post(f"/api/{path}", json=body, headers=headers)


def make(shop: Shop, key: str = "shop", **changes: Any) -> TestResponse:
    return ask(shop, "quote", {**WISH, **changes}, Authorization=f"Bearer {API_KEYS[key]}")


def quote_of(shop: Shop, **changes: Any) -> str:
    answer = make(shop, **changes)
    assert answer.status_code == 200, answer.text
    text: str = told(answer)["quote"]
    return text


def buy(shop: Shop, quote: Any, gateway: str = "fake", headers: Any = None, **more: Any) -> TestResponse:
    body = {"quote": quote, "gateway": gateway, "customer": CUSTOMER, **more}
    return ask(shop, "payment/create-order", body, **(headers or {}))


def told(answer: TestResponse) -> dict[str, Any]:
    assert answer.json is not None
    return answer.json


def refusal(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, told(answer)["code"]


def stored(shop: Shop) -> list[Payment]:
    with shop.db.read() as session:
        return list(session.scalars(select(Payment).order_by(Payment.created_at)))


def require_quotes(shop: Shop) -> None:
    services = shop.app.extensions["payments_service"]
    object.__setattr__(services, "settings", replace(services.settings, requires_quote=True))


def second_gateway(shop: Shop) -> OtherGateway:
    """One whose orders cannot be ended, beside the first, whose orders can."""
    other, shop.gateway = OtherGateway(), Closing()
    object.__setattr__(shop.app.extensions["payments_service"], "gateways", (shop.gateway, other))
    return other


def tell(shop: Shop, gateway: FakeGateway, answer: TestResponse, status: str, **more: Any) -> None:
    order = told(answer)["order"]["orderId"]
    event = gateway.event(order=order, status=status, amount=49900, payment=f"pay_{order}", **more)
    assert webhook.receive(shop.db, gateway, GENUINE, event) is None


# ── the quote itself ────────────────────────────────────────────────────────────────────────────────


def test_a_quote_fixes_what_the_merchant_said_and_until_when(shop: Shop) -> None:
    answer = make(shop, expiresIn=600)
    expires_at = datetime.fromisoformat(told(answer)["expiresAt"])
    assert timedelta(seconds=590) < expires_at - datetime.now(UTC) <= timedelta(seconds=600)
    assert buy(shop, told(answer)["quote"]).status_code == 200
    [payment] = stored(shop)
    assert (payment.amount, payment.reference, payment.price_verified) == (49900, "A-1", True)
    assert (payment.description, payment.user_id) == ("A course", "u1")
    assert payment.metadata_ == {"course": "physics"}


def test_only_a_key_that_may_write_makes_one(shop: Shop) -> None:
    assert refusal(ask(shop, "quote", WISH)) == (401, "unauthorized")
    assert refusal(ask(shop, "quote", WISH, Authorization="Bearer psk_wrong")) == (401, "unauthorized")
    assert refusal(make(shop, "reader")) == (403, "scope_missing")


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"amount": None}, "amount"),
        ({"amount": "1.001"}, "amount"),
        ({"amount": 0.5}, "amount"),
        ({"amount": 10_000_000}, "amount"),
        ({"reference": ""}, "reference"),
        ({"reference": None}, "reference"),
        ({"reference": "x" * 65}, "reference"),
        ({"expiresIn": 59}, "expiresIn"),
        ({"expiresIn": 30 * 24 * 3600 + 1}, "expiresIn"),
        ({"expiresIn": "soon"}, "expiresIn"),
        ({"expiresIn": 60.5}, "expiresIn"),
        ({"metadata": {"a": 1}}, "metadata.a.value"),
        ({"refrence": "A-2"}, "refrence"),
    ],
)
def test_bad_input_is_named(shop: Shop, changes: dict[str, Any], member: str) -> None:
    answer = make(shop, **changes)
    if member == "metadata.a.value":  # a number counts as its text, as in create-order
        assert answer.status_code == 200
        return
    assert answer.status_code == 400
    assert list(told(answer)["details"]) == [member]


def test_one_changed_byte_is_refused() -> None:
    text = quotes.sign(FIXED, KEYS, "test")
    assert quotes.read(text, KEYS, "test") == FIXED
    for place, letter in enumerate(text):
        for other in {"A", "B", ".", "_", chr(ord(letter) ^ 1)} - {letter}:
            with pytest.raises(QuoteInvalid):
                quotes.read(text[:place] + other + text[place + 1 :], KEYS, "test")
    for changed in (text + "=", text + "\n", text[:-1], " " + text, "." + text, "", "a.b", "é.é"):
        with pytest.raises(QuoteInvalid):
            quotes.read(changed, KEYS, "test")


def test_a_quote_is_of_one_mode_and_of_our_keys_the_old_ones_too() -> None:
    old = quotes.sign(FIXED, KEYS[1:], "test")
    assert quotes.read(old, KEYS, "test") == FIXED
    assert quotes.sign(FIXED, KEYS, "test") == quotes.sign(FIXED, KEYS[:1], "test")
    for keys, mode in ((KEYS, "live"), (KEYS[:1], "test")):
        with pytest.raises(QuoteInvalid):
            quotes.read(old, keys, mode)


def test_a_quote_ends() -> None:
    late = replace(FIXED, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(QuoteExpired):
        quotes.read(quotes.sign(late, KEYS, "test"), KEYS, "test")


def test_a_forged_and_an_expired_quote_open_nothing(shop: Shop) -> None:
    services = shop.app.extensions["payments_service"]
    late = replace(FIXED, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    expired = quotes.sign(late, services.settings.secret_keys, "test")
    assert refusal(buy(shop, quote_of(shop)[:-1])) == (401, "quote_invalid")
    assert refusal(buy(shop, "q", amount=-1)) == (401, "quote_invalid")
    assert refusal(buy(shop, expired)) == (401, "quote_expired")
    assert stored(shop) == []


# ── what a browser says beside it ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "said",
    [{"amount": 1}, {"reference": "B"}, {"userId": "u2"}, {"metadata": {"a": "b"}}, {"description": "x"}],
)
def test_what_contradicts_the_quote_is_refused_by_name(shop: Shop, said: dict[str, Any]) -> None:
    answer = buy(shop, quote_of(shop), **said)
    assert refusal(answer) == (400, "validation_error")
    assert list(told(answer)["details"]) == list(said)
    assert buy(shop, quote_of(shop), **{name: WISH[name] for name in said}).status_code == 200


def test_what_the_quote_leaves_out_a_browser_cannot_add(shop: Shop) -> None:
    text = quote_of(shop, metadata={}, userId=None, description=None)
    for said in ({"metadata": {"a": "b"}}, {"userId": "u1"}, {"description": "x"}):
        assert refusal(buy(shop, text, **said)) == (400, "validation_error")


def test_with_require_quote_a_browser_names_no_amount(shop: Shop) -> None:
    require_quotes(shop)
    for nothing in ({}, {"quote": None}, {"quote": ""}, {"quote": "  "}):
        answer = ask(shop, "payment/create-order", {**GOOD, **nothing})
        assert refusal(answer) == (401, "quote_required")
    assert stored(shop) == []
    assert buy(shop, quote_of(shop)).status_code == 200
    key = {"Authorization": f"Bearer {API_KEYS['shop']}"}
    assert ask(shop, "payment/create-order", {**GOOD, "reference": "B"}, **key).status_code == 200


NO_QUOTES = [5, 0, 1.5, True, ["q"], {"q": 1}]


@pytest.mark.parametrize("no_quote", NO_QUOTES)
def test_what_is_no_text_is_no_quote(shop: Shop, no_quote: object) -> None:
    """A number counts as its text in other members."""
    answer = ask(shop, "payment/create-order", {**GOOD, "quote": no_quote})
    assert refusal(answer) == (400, "validation_error")
    assert list(told(answer)["details"]) == ["quote"]
    assert stored(shop) == []


@pytest.mark.parametrize("no_quote", NO_QUOTES)
def test_with_require_quote_what_is_no_text_opens_nothing(shop: Shop, no_quote: object) -> None:
    """Any member of that name would do otherwise, and the browser would choose the amount."""
    require_quotes(shop)
    assert refusal(ask(shop, "payment/create-order", {**GOOD, "quote": no_quote})) == (401, "quote_required")
    assert stored(shop) == []


def test_the_same_request_with_a_fresh_quote_is_the_same_request(shop: Shop) -> None:
    first = buy(shop, quote_of(shop), headers={"Idempotency-Key": KEY})
    again = buy(shop, quote_of(shop, expiresIn=700), headers={"Idempotency-Key": KEY})
    other = buy(shop, quote_of(shop, reference="B"), headers={"Idempotency-Key": KEY})
    assert again.data == first.data
    assert refusal(other) == (422, "idempotency_key_reused")


def test_making_a_quote_twice_under_one_key_is_one_quote(shop: Shop) -> None:
    key = {"Authorization": f"Bearer {API_KEYS['shop']}", "Idempotency-Key": KEY}
    first, again = (ask(shop, "quote", WISH, **key) for _ in range(2))
    assert (first.data, again.headers["Idempotency-Replayed"]) == (again.data, "true")
    assert refusal(ask(shop, "quote", {**WISH, "amount": 1}, **key)) == (422, "idempotency_key_reused")


# ── pays once ───────────────────────────────────────────────────────────────────────────────────────


def test_one_quote_pays_once_across_a_change_of_gateway(shop: Shop) -> None:
    other, text = second_gateway(shop), quote_of(shop)
    first, second = buy(shop, text), buy(shop, text, "other")
    assert (first.status_code, second.status_code) == (200, 200)
    assert "close" in shop.gateway.calls
    page = shop.app.test_client().get(f"/pay/{told(first)['id']}").text
    assert "This payment has moved" in page
    assert "This payment has moved" not in shop.app.test_client().get(f"/pay/{told(second)['id']}").text
    tell(shop, other, second, "completed")
    for gateway in ("fake", "other"):
        assert refusal(buy(shop, text, gateway)) == (409, "reference_paid")
    assert refusal(buy(shop, quote_of(shop))) == (409, "reference_paid")
    tell(shop, shop.gateway, first, "completed")
    assert stored(shop)[0].review == "reference_paid_twice"


def test_back_at_a_gateway_that_ends_no_order_the_open_one_is_used_again(shop: Shop) -> None:
    second_gateway(shop)
    text = quote_of(shop)
    first, between, third = buy(shop, text, "other"), buy(shop, text), buy(shop, text, "other")
    asked = {**told(first)["order"], "status": "pending"}  # the gateway's word, when it was left
    assert told(third) == {**told(first), "order": asked}
    assert told(between)["id"] != told(first)["id"]
    assert "has moved" not in shop.app.test_client().get(f"/pay/{told(first)['id']}").text


def test_an_order_that_cannot_be_closed_keeps_nothing_from_being_paid(shop: Shop) -> None:
    second_gateway(shop)
    text = quote_of(shop)
    buy(shop, text)
    assert isinstance(shop.gateway, Closing)
    shop.gateway.close_error = Unavailable("away")
    assert buy(shop, text, "other").status_code == 200


def test_after_a_failed_try_the_quote_opens_another_order(shop: Shop) -> None:
    text = quote_of(shop)
    first = buy(shop, text)
    tell(shop, shop.gateway, first, "failed", attempt="failed")
    second = buy(shop, text)
    assert (second.status_code, told(second)["id"] == told(first)["id"]) == (200, False)


def test_a_quote_of_another_sum_waits_for_the_open_one(shop: Shop) -> None:
    buy(shop, quote_of(shop))
    assert refusal(buy(shop, quote_of(shop, amount=500))) == (409, "reference_open")


def test_the_content_is_readable_and_has_no_secret(shop: Shop) -> None:
    text = quote_of(shop)
    assert "psk_" not in text
    assert len(json.dumps(text)) < 1000


@pytest.mark.parametrize("left_by", ["closing", "asking"])
def test_a_payer_who_has_just_paid_where_they_come_from_gets_no_second_order(
    shop: Shop, left_by: str
) -> None:
    """No webhook has told of it yet: the gateway that is left is asked before a payer is sent to another."""
    other, text = second_gateway(shop), quote_of(shop)
    left, next_one = (shop.gateway, "other") if left_by == "closing" else (other, "fake")
    assert buy(shop, text, "fake" if left is shop.gateway else "other").status_code == 200
    left.paid("pay_1", Money(49900))
    if left_by == "closing":
        left.close = left.fetch_payment  # type: ignore[method-assign]
    assert refusal(buy(shop, text, next_one)) == (409, "reference_paid")
    assert stored(shop)[0].status == "completed"


def test_a_payer_whose_money_is_held_where_they_come_from_gets_no_second_order(shop: Shop) -> None:
    second_gateway(shop)
    text = quote_of(shop)
    buy(shop, text)
    shop.gateway.captures_automatically = False
    shop.gateway.held("pay_1", Money(49900))
    shop.gateway.close = shop.gateway.fetch_payment  # type: ignore[method-assign]
    assert refusal(buy(shop, text, "other")) == (409, "reference_open")
