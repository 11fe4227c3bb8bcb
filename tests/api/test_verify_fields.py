"""What verify-payment reads of its body: what the gateway needs, as text. No other member stops it."""

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from payments_service.api import schemas
from payments_service.domain.errors import InvalidInput
from payments_service.domain.states import PaymentStatus
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway, VerifyField
from payments_service.gateways.cashfree import CashfreeGateway
from payments_service.gateways.phonepe import PhonePeGateway
from tests.api.merchant_shop import MerchantShop
from tests.api.merchant_shop import shop as shop

VERIFY = "/api/payment/verify-payment"
DETAILS = {"paymentMessage": "Payment finished. Check status."}
"""What cashfree.js gives its caller as `paymentDetails`."""
NO_TEXT = [DETAILS, {}, [], ["1"], [DETAILS], True, False, Decimal("5.1e12"), Decimal("0.5"), Decimal("NaN")]
SAYS_NOTHING = [None, ""]


def needed(gateway: type[Gateway]) -> dict[str, Any]:
    return {one.name: f"{one.name}-1" for one in gateway.verify_fields if one.required}


def names(gateway: type[Gateway], *, required: bool) -> list[tuple[str, str]]:
    """Each field of this kind, by each name it goes by."""
    chosen = [one for one in gateway.verify_fields if one.required is required]
    return [(one.name, name) for one in chosen for name in (one.name, *one.aliases)]


@pytest.mark.parametrize("value", [*NO_TEXT, *SAYS_NOTHING], ids=repr)
@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda one: one.provider)
def test_a_field_that_is_not_needed_is_left_out_unless_it_is_text(gateway: type[Gateway], value: Any) -> None:
    for _, name in names(gateway, required=False):
        assert schemas.verify_fields(gateway.verify_fields, {**needed(gateway), name: value}) == needed(
            gateway
        )


@pytest.mark.parametrize("value", [*NO_TEXT, *SAYS_NOTHING], ids=repr)
@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda one: one.provider)
def test_a_field_that_is_needed_is_named_unless_it_is_text(gateway: type[Gateway], value: Any) -> None:
    for field, name in names(gateway, required=True):
        body = {**needed(gateway), field: None, name: value}
        with pytest.raises(InvalidInput) as raised:
            schemas.verify_fields(gateway.verify_fields, body)
        assert raised.value.code == "missing_fields"
        assert raised.value.extra["details"] == {field: [f"{field} is required, as text"]}


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda one: one.provider)
def test_what_is_no_text_hides_no_other_name_of_the_field(gateway: type[Gateway]) -> None:
    for one in gateway.verify_fields:
        for alias in one.aliases:
            body = {**needed(gateway), one.name: DETAILS, alias: "by its other name"}
            assert schemas.verify_fields(gateway.verify_fields, body)[one.name] == "by its other name"


@pytest.mark.parametrize("value", ["5114912345678", 5114912345678])
def test_a_payment_id_that_is_text_or_a_whole_number_is_read(value: str | int) -> None:
    body = {"orderId": "order_1", "paymentId": value}
    expected = {"orderId": "order_1", "paymentId": "5114912345678"}
    assert schemas.verify_fields(CashfreeGateway.verify_fields, body) == expected


@pytest.mark.parametrize(
    "member",
    [
        f'"paymentId": {json.dumps(DETAILS)}',
        '"paymentId": 5.1e12',
        '"paymentId": 5114912345678.0',
        '"paymentId": null',
        '"paymentId": true',
        '"cf_payment_id": 5.1e12',
        f'"paymentId": 5.1e12, "cf_payment_id": [{json.dumps(DETAILS)}]',
        f'"paymentDetails": {json.dumps(DETAILS)}',
        '"course": "half of a guitar \\ud83c"',
        '"details": {"\\ud83c": ["\\udfb8"]}',
        '"\\ud83c": 1',
    ],
)
def test_a_paid_order_of_cashfree_verifies_with_any_payment_id(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    monkeypatch.setattr(type(shop.gateway), "verify_fields", CashfreeGateway.verify_fields)
    monkeypatch.setattr(type(shop.gateway), "check_return", lambda *_: None)
    payment_id = shop.paid()
    order_id = shop.get(f"/api/payment/{payment_id}").json["payment"]["orderId"]
    raw = f'{{"gateway": "fake", "orderId": "{order_id}", {member}}}'
    answer = shop.app.test_client().post(VERIFY, data=raw, content_type="application/json")
    assert (answer.status_code, answer.json and answer.json["paymentStatus"]) == (200, "completed"), (
        answer.text
    )


def aliased() -> list[Any]:
    return [pytest.param(g, one, id=f"{g.provider}-{one.name}") for g in GATEWAYS for one in g.verify_fields]


@pytest.mark.parametrize("nothing", ["null", "undefined", " null "])
@pytest.mark.parametrize(("gateway", "one"), aliased())
def test_a_missing_value_that_was_printed_hides_no_other_name(
    gateway: type[Gateway], one: VerifyField, nothing: str
) -> None:
    for alias in one.aliases:
        for said, printed in ((one.name, alias), (alias, one.name)):
            body = {**needed(gateway), said: "said-1", printed: nothing}
            assert schemas.verify_fields(gateway.verify_fields, body)[one.name] == "said-1"


@pytest.mark.parametrize(("gateway", "one"), aliased())
def test_two_names_of_a_field_are_never_answered_by_one_of_them(
    gateway: type[Gateway], one: VerifyField
) -> None:
    for alias in one.aliases:
        body = {**needed(gateway), one.name: "A", alias: "B"}
        if not one.required:  # as good as absent: nothing needs it
            assert schemas.verify_fields(gateway.verify_fields, body) == needed(gateway)
            continue
        with pytest.raises(InvalidInput) as raised:
            schemas.verify_fields(gateway.verify_fields, body, {"A": uuid4(), "B": uuid4()}.get)
        assert raised.value.code == "validation_error"
        assert raised.value.extra["details"].keys() == {one.name, alias}
        assert one.name in raised.value.message
        assert alias in raised.value.message


@pytest.fixture
def phonepe(shop: MerchantShop, monkeypatch: pytest.MonkeyPatch) -> MerchantShop:
    """A shop whose gateway takes the fields of PhonePe, and gives no proof."""
    monkeypatch.setattr(type(shop.gateway), "verify_fields", PhonePeGateway.verify_fields)
    monkeypatch.setattr(type(shop.gateway), "check_return", lambda *_: None)
    return shop


def order_of(shop: MerchantShop, payment_id: str) -> str:
    return str(shop.get(f"/api/payment/{payment_id}").json["payment"]["orderId"])


def verified(shop: MerchantShop, **ids: str) -> tuple[int, str]:
    answer = shop.call("POST", VERIFY, None, {"gateway": "fake", **ids})
    assert answer.json is not None
    return answer.status_code, answer.json.get("code") or answer.json["id"]


def test_a_payer_is_not_told_of_another_order_that_is_paid(phonepe: MerchantShop) -> None:
    """A page kept the order of yesterday, and its payer comes back from another one."""
    paid = order_of(phonepe, phonepe.paid())
    phonepe.gateway.attempts, phonepe.gateway.status = (), PaymentStatus.PENDING
    unpaid = order_of(phonepe, phonepe.buy())
    for ids in ((paid, unpaid), (unpaid, paid)):
        said = dict(zip(("orderId", "transactionId"), ids, strict=True))
        assert verified(phonepe, **said) == (400, "validation_error")


def test_an_id_that_names_no_order_here_turns_no_payer_away(phonepe: MerchantShop) -> None:
    """A page that keeps one orderId for all its gateways; and one that says the same order by two ids."""
    payment_id = phonepe.paid()
    order_id = order_of(phonepe, payment_id)
    for other in ("order_of_another_gateway", "pay_1", "undefined", payment_id):
        for ids in ((order_id, other), (other, order_id)):
            said = dict(zip(("orderId", "transactionId"), ids, strict=True))
            assert verified(phonepe, **said) == (200, payment_id)
    assert verified(phonepe, orderId="unknown_1", transactionId="unknown_2") == (404, "not_found")
