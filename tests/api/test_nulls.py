"""Null for a member that is not required: the same request as without it, at every door that takes a body."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from marshmallow import Schema

from payments_service.api import merchant_schemas, schemas
from payments_service.api.described import DESCRIBED, Described
from payments_service.domain.errors import InvalidInput
from payments_service.domain.money import Money
from tests.api.merchant_shop import CUSTOMER, MerchantShop
from tests.api.merchant_shop import shop as shop
from tests.api.test_document import METHODS
from tests.api.test_idempotency import GOOD, LIMITS
from tests.support.recorder import DOCUMENT

CREATE, QUOTE, VERIFY, SEARCH = (
    "/api/payment/create-order",
    "/api/quote",
    "/api/payment/verify-payment",
    "/api/payment/search",
)
REFUND = "/api/payment/{payment_id}/refunds"
ORDER = {"amount": 499, "gateway": "fake", "customer": CUSTOMER}
WISH = {"amount": 499, "reference": "ORDER-1001"}
KEY = "key-of-order-1001"
ALL_OF_QUOTE = {**WISH, "description": "x", "userId": "u1", "metadata": {"a": "b"}, "expiresIn": 700}
ALL_OF_ORDER = {
    **GOOD,
    "description": "A course",
    "currency": "INR",
    "reference": "A-1",
    "userId": "u1",
    "returnUrl": "http://127.0.0.1:3000/x",
    "metadata": {"course": "physics"},
}
ALL_OF_REFUND = {"amount": 100, "reason": "x", "paymentId": "pay_1", "speed": "optimum", "force": True}


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON body that the document describes, by its path."""
    for path, operations in DOCUMENT["paths"].items():
        for method in operations.keys() & set(METHODS):
            content = operations[method].get("requestBody", {}).get("content", {}).get("application/json")
            if content and "$ref" in content["schema"]:
                yield path, DOCUMENT["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]


def optional(path: str) -> list[str]:
    schema = dict(bodies())[path]
    return [name for name in schema["properties"] if name not in schema.get("required", ())]


NEEDED_WITHOUT_QUOTE = "amount"
OPTIONAL = [(path, name) for path in (QUOTE, REFUND, SEARCH) for name in optional(path)]
OPTIONAL += [(CREATE, name) for name in optional(CREATE) if name != NEEDED_WITHOUT_QUOTE]
EXAMPLES = {CREATE: ORDER, QUOTE: WISH, SEARCH: {"query": "ORDER-1001"}, REFUND: {}}


def test_the_document_says_that_null_may_stand_for_every_member_that_is_not_required() -> None:
    described = dict(bodies())
    assert described.keys() >= {CREATE, QUOTE, VERIFY, SEARCH, REFUND}
    for path, schema in described.items():
        for name, rule in schema.get("properties", {}).items():
            takes_null = "null" in rule.get("type", ()) and None in rule.get("enum", [None])
            assert takes_null == (name not in schema.get("required", ())), f"{path} {name}"


def test_every_body_is_read_by_a_schema_that_drops_nulls_or_has_no_members(shop: MerchantShop) -> None:
    for view in shop.app.view_functions.values():
        entry = getattr(view, DESCRIBED, None)
        takes = entry.takes if isinstance(entry, Described) else None
        if takes is not None:
            kind = type(takes) if isinstance(takes, Schema) else takes
            assert issubclass(kind, schemas.BodySchema) or not kind._declared_fields, kind


@pytest.mark.parametrize(("path", "name"), OPTIONAL, ids=str)
def test_null_is_taken_for_a_member_that_is_not_required(shop: MerchantShop, path: str, name: str) -> None:
    place = path.replace("{payment_id}", shop.paid()) if path == REFUND else path
    body = {**EXAMPLES[path], name: None}
    answer = shop.post(place, body, Idempotency_Key=KEY)
    assert answer.status_code in (200, 201), answer.text
    again = shop.post(place, EXAMPLES[path], Idempotency_Key=KEY)
    assert again.status_code == answer.status_code, again.text
    if path == REFUND:
        assert again.json["refund"]["id"] == answer.json["refund"]["id"]
        assert len(shop.gateway.sent) == 1
    elif path != SEARCH:
        assert (again.data, again.headers["Idempotency-Replayed"]) == (answer.data, "true")


@pytest.mark.parametrize("first_has_nulls", [True, False])
@pytest.mark.parametrize(
    ("path", "names"),
    [(CREATE, [n for n in optional(CREATE) if n != "amount"]), (QUOTE, optional(QUOTE))],
    ids=["create-order", "quote"],
)
def test_all_nulls_at_once_are_the_request_without_them(
    shop: MerchantShop, path: str, names: list[str], first_has_nulls: bool
) -> None:
    plain, nulls = EXAMPLES[path], {**EXAMPLES[path], **dict.fromkeys(names)}
    first, second = (nulls, plain) if first_has_nulls else (plain, nulls)
    one, other = (shop.post(path, body, Idempotency_Key=KEY) for body in (first, second))
    assert (one.status_code, other.status_code, other.data) == (200, 200, one.data)


def test_a_page_may_send_nulls_too(shop: MerchantShop) -> None:
    nulls = dict.fromkeys(name for name in optional(CREATE) if name != "amount")
    assert shop.post(CREATE, {**ORDER, **nulls}, None).status_code == 200


def test_beside_a_quote_a_null_changes_nothing_that_it_fixes(shop: MerchantShop) -> None:
    quote = shop.post(QUOTE, ALL_OF_QUOTE).json["quote"]
    nulls = dict.fromkeys(name for name in optional(CREATE) if name != "quote")
    asked = {"quote": quote, "gateway": "fake", "customer": CUSTOMER}
    with_nulls = shop.post(CREATE, {**asked, **nulls}, None, Idempotency_Key=KEY)
    without = shop.post(CREATE, asked, None, Idempotency_Key=KEY)
    assert (with_nulls.status_code, without.data) == (200, with_nulls.data), with_nulls.text
    payment = shop.get(f"/api/payment/{with_nulls.json['id']}").json["payment"]
    assert (payment["amount"], payment["reference"]) == (499, "ORDER-1001")
    assert (payment["metadata"], payment["userId"]) == ({"a": "b"}, "u1")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *((CREATE, name) for name in ("amount", "gateway", "customer")),
        *((CREATE, f"customer.{name}") for name in CUSTOMER),
        *((QUOTE, name) for name in WISH),
        (SEARCH, "query"),
        (VERIFY, "gateway"),
    ],
)
def test_null_for_a_required_member_is_refused_by_its_name(shop: MerchantShop, path: str, name: str) -> None:
    good = {**EXAMPLES, VERIFY: {"gateway": "fake", "orderId": "o", "proof": "p"}}[path]
    body = {**good, name: None}
    if name.startswith("customer."):
        body = {**good, "customer": {**CUSTOMER, name.partition(".")[2]: None}}
    answer = shop.post(path, body)
    assert (answer.status_code, list(answer.json["details"])) == (400, [name])
    assert name.rpartition(".")[2] in answer.json["error"].lower()


@pytest.mark.parametrize("name", ["orderId", "proof"])
def test_null_for_what_the_gateway_needs_is_named(shop: MerchantShop, name: str) -> None:
    answer = shop.post(VERIFY, {"gateway": "fake", "orderId": "o", "proof": "p", name: None}, None)
    assert (answer.status_code, list(answer.json["details"])) == (400, [name])


def test_a_misspelt_member_is_refused_also_when_it_is_null(shop: MerchantShop) -> None:
    """With null it does no harm today; with the value that it has tomorrow it would pay twice."""
    for path, body in ((CREATE, ORDER), (QUOTE, WISH), (SEARCH, EXAMPLES[SEARCH])):
        answer = shop.post(path, {**body, "refrence": None})
        assert (answer.status_code, list(answer.json["details"])) == (400, ["refrence"])


def test_a_null_within_metadata_is_no_text(shop: MerchantShop) -> None:
    """Its names are the merchant's own, so a pair without a value is no member that was left out."""
    answer = shop.post(CREATE, {**ORDER, "metadata": {"course": None}})
    assert (answer.status_code, list(answer.json["details"])) == (400, ["metadata.course.value"])


def test_a_null_amount_of_a_refund_is_all_that_is_left(shop: MerchantShop) -> None:
    payment_id = shop.paid()
    assert (
        shop.post(f"/api/payment/{payment_id}/refunds", {"amount": None}, Idempotency_Key=KEY).status_code
        == 201
    )
    [sent] = shop.gateway.sent
    assert (sent.amount, sent.speed, sent.reason) == (Money(49900), "normal", "")


# ── keys that are stored ────────────────────────────────────────────────────────────────────────────

STORED = {
    "order": "ad99cf10ab514c342d1bd76b646f74a6b2f710d3cc0f5352c50df3a5a914a7ff",
    "whole order": "fb85a3693eccebce8493dd6fe5d6c0bcef5d8138e12a9695f84a0787de771e0f",
    "quote": "47e51e6e1d907c5ff5b453c03e1950920c8cb8de763f0fdc489b26394dd60c32",
    "whole quote": "3bf84c5aac4772db3d472734c58fb4803e9f4b8a7839b62824438228d8651f4b",
    "refund": "2b0b2a63da7f68be425c6575ea8f9f3a2f9738855656d4a0009edae2d41d3bd8",
    "whole refund": "817d5e7ca2092eb62c16f2671c7aa982dbe277b70d9708aa6eace9bc1bbb384a",
}
"""What is stored with a key. Keys of refunds are kept for ever: another fingerprint would refuse them all."""


def of_order(body: dict[str, Any]) -> str:
    loaded, _ = schemas.create_order(body, None, LIMITS, knows_all=True)
    return schemas.fingerprint(loaded)


def of_quote(body: dict[str, Any]) -> str:
    return merchant_schemas.fingerprint(schemas.quote_order(body, LIMITS))


def of_refund(body: dict[str, Any]) -> str:
    return merchant_schemas.fingerprint(merchant_schemas.loaded(merchant_schemas.NewRefundSchema(), body))


def test_keys_that_are_stored_still_match_with_nulls_and_without() -> None:
    nothing = {
        "order": dict.fromkeys(name for name in optional(CREATE) if name != "amount"),
        "quote": dict.fromkeys(optional(QUOTE)),
        "refund": dict.fromkeys(optional(REFUND)),
    }
    made = {
        "order": of_order(dict(GOOD)),
        "whole order": of_order(ALL_OF_ORDER),
        "quote": of_quote({**WISH, "reference": "A-1"}),
        "whole quote": of_quote({**ALL_OF_QUOTE, "reference": "A-1"}),
        "refund": of_refund({}),
        "whole refund": of_refund(ALL_OF_REFUND),
    }
    assert made == STORED
    assert of_order({**GOOD, **nothing["order"]}) == STORED["order"]
    assert of_quote({**WISH, "reference": "A-1", **nothing["quote"]}) == STORED["quote"]
    assert of_refund(nothing["refund"]) == STORED["refund"]


@pytest.mark.parametrize("body", [{"customer": None}, {"customer": {}}, json.loads("null"), []])
def test_what_is_no_order_stays_refused(body: object) -> None:
    with pytest.raises(InvalidInput):
        schemas.create_order(body, None, LIMITS, knows_all=False)
