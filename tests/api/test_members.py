"""The members of a request: as people paste and misspell them, all wrong ones in one short answer."""

import json
import logging
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from werkzeug.test import TestResponse

from payments_service.api import schemas
from payments_service.domain.errors import InvalidInput
from payments_service.store.tables import Payment
from tests.api.test_idempotency import CUSTOMER, GOOD, LIMITS, Shop
from tests.api.test_keys import bearer, entry, made

CREATE, VERIFY = "/api/payment/create-order", "/api/payment/verify-payment"
NOT_TEXT = "Contains characters that are not text"
HALF = "\ud800"


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    app = made(database_url, entry("shop"))
    yield Shop(app)
    app.extensions["payments_service"].db.engine.dispose()


def ask(shop: Shop, body: dict[str, Any], *, path: str = CREATE, **headers: str) -> TestResponse:
    return shop.app.test_client().post(
        path, data=json.dumps(body), headers=headers, content_type="application/json"
    )


def details(answer: TestResponse) -> dict[str, list[str]]:
    assert answer.status_code == 400, answer.text
    assert answer.json is not None
    found: dict[str, list[str]] = answer.json["details"]
    return found


# ── phones ──────────────────────────────────────────────────────────────────────────────────────────

EVERY_CHARACTER = [chr(number) for number in range(0x110000) if not 0xD800 <= number < 0xE000]
DROPPED = [c for c in EVERY_CHARACTER if c.isspace() or unicodedata.category(c) in ("Cf", "Pd", "Ps", "Pe")]
DROPPED += [".", "\N{MINUS SIGN}", *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))]
PREFIXES = ["", "+91", "0091", "091", "91", "0", "+91(0)", "tel:", "TEL:+91", "tel:0"]


def phone_of(phone: object) -> str:
    loaded, _ = schemas.create_order(
        {**GOOD, "amount": 499, "customer": {**CUSTOMER, "phone": phone}}, None, LIMITS, knows_all=True
    )
    return str(loaded["customer"]["phone"])


@settings(max_examples=300, deadline=None)
@given(
    prefix=st.sampled_from(PREFIXES),
    digits=st.from_regex(r"[6-9][0-9]{9}", fullmatch=True),
    gaps=st.lists(st.text(st.sampled_from(DROPPED), max_size=3), min_size=20, max_size=20),
)
@example(prefix="\u202a+91", digits="9876543210", gaps=["\u202c", " ", *[""] * 18])
@example(prefix="", digits="9198765432", gaps=[""] * 20)
@example(prefix="91", digits="9198765432", gaps=[""] * 20)
@example(prefix="", digits="9876543210", gaps=["\ufeff", "\u200b", "\ufe0f", "\u2013", *[""] * 16])
def test_what_pasting_brings_along_is_dropped_from_a_phone(prefix: str, digits: str, gaps: list[str]) -> None:
    text = prefix + digits
    assert phone_of("".join(c + gap for c, gap in zip(text, gaps, strict=False))) == digits
    assert phone_of(gaps[0] + text + gaps[1]) == digits


@pytest.mark.parametrize(
    "phone",
    [
        "\u202a+91 98765 43210\u202c",
        "0919876543210",
        "+91 (0) 9876543210",
        9876543210,
        919876543210,
    ],
)
def test_a_phone_is_taken_as_it_is_pasted(phone: object) -> None:
    assert phone_of(phone) == "9876543210"


def test_a_phone_that_is_a_number_with_a_point_is_the_same_number(shop: Shop) -> None:
    raw = json.dumps({**GOOD, "customer": {**CUSTOMER, "phone": 9876543210.0}})
    assert '"phone": 9876543210.0' in raw
    assert shop.ask(key=None, raw=raw).status_code == 200


@pytest.mark.parametrize(
    "phone",
    [
        "९८७६५४३२१०",
        "98765４３210",
        "5876543210",
        "+1 9876543210",
        "+919876543210 ext 4",
        "0 0 9876543210",
        "+91 91 9876543210",
        "919198765432101",
        "987654321",
        "98765432101",
        "tel:tel:9876543210",
        "9876543210,9876543211",
        "9876543210\u0301",
        [9876543210],
        {"n": 1},
        True,
        987654321.5,
    ],
)
def test_what_is_no_indian_mobile_number_stays_refused(phone: object) -> None:
    with pytest.raises(InvalidInput) as raised:
        phone_of(phone)
    assert list(raised.value.extra["details"]) == ["customer.phone"]  # type: ignore[call-overload]


# ── members that we do not know ─────────────────────────────────────────────────────────────────────

MISSPELT = [
    ({"refrence": "A-1"}, "refrence", "reference"),
    ({"Reference": "A-1"}, "Reference", "reference"),
    ({"user_id": "7"}, "user_id", "userId"),
    ({"return_url": "x"}, "return_url", "returnUrl"),
    ({"metaData": {}}, "metaData", "metadata"),
    ({"customer_email": "a@example.com"}, "customer_email", "customer.email"),
    ({"phone": "9876543210"}, "phone", "customer.phone"),
    ({"customer": {**CUSTOMER, "fone": 1}}, "customer.fone", "customer.phone"),
    ({"customer": {**CUSTOMER, "reference": 1}}, "customer.reference", "reference"),
]


@pytest.mark.parametrize(("changes", "name", "nearest"), MISSPELT, ids=[name for _, name, _ in MISSPELT])
def test_a_misspelt_member_from_the_merchants_server_is_named_with_the_nearest(
    shop: Shop, changes: dict[str, Any], name: str, nearest: str
) -> None:
    answer = ask(shop, {**GOOD, **changes}, Authorization=bearer("shop"))
    message = f"Unknown field {name}; the nearest known one is {nearest}"
    assert details(answer) == {name: [message]}
    assert answer.json is not None
    assert (answer.json["code"], answer.json["error"]) == ("unknown_field", message)
    assert (shop.count(Payment), shop.gateway.calls) == (0, [])


@pytest.mark.parametrize("name", ["", "x" * 50_000, "  ", "🙂", "__proto__"])
def test_a_member_that_is_like_no_other_is_named_all_the_same(shop: Shop, name: str) -> None:
    answer = ask(shop, {**GOOD, name: 1}, Authorization=bearer("shop"))
    assert len(details(answer)) == 1
    assert len(answer.data) < 500


def test_a_pages_unknown_members_are_ignored_and_logged_once_without_values(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    odd = {"refrence": "secret-1", "asha@example.com": 1, "9876543210": 2, "a\nb": 3}
    answer = ask(shop, {**GOOD, **odd, "customer": {**CUSTOMER, "pan": "secret-2"}})
    assert answer.status_code == 200
    [told] = [vars(record)["data"] for record in caplog.records if "ignored" in record.getMessage()]
    assert told == {"members": ["refrence", "customer.pan"], "count": 5}
    assert "secret-" not in caplog.text + str([vars(record) for record in caplog.records])
    caplog.clear()
    assert ask(shop, GOOD).status_code == 200
    assert "ignored" not in caplog.text
    assert ask(shop, {"custmer": CUSTOMER}).status_code == 400
    [told] = [vars(record)["data"] for record in caplog.records if "ignored" in record.getMessage()]
    assert told == {"members": ["custmer"], "count": 1}  # the developer reads why


# ── all of them, in a short answer ──────────────────────────────────────────────────────────────────

ALL_WRONG = {
    "amount": 0.5,
    "gateway": "stripe",
    "customer": {"name": "", "email": "x", "phone": "1"},
    "description": "x" * 256,
    "currency": "USD",
    "reference": "x" * 65,
    "userId": "x" * 65,
    "returnUrl": "https://evil.example/",
    "quote": ["q"],
    "metadata": {"a": 1, "b": ["x"]},
}


def test_all_wrong_members_stand_in_one_answer_the_gateway_among_them(shop: Shop) -> None:
    answer = ask(shop, ALL_WRONG, **{"Idempotency-Key": "short"})
    expected = [
        "Idempotency-Key",
        "amount",
        "gateway",
        "customer.name",
        "customer.email",
        "customer.phone",
        "description",
    ]
    expected += ["currency", "reference", "userId", "returnUrl", "quote", "metadata.b.value"]
    assert list(details(answer)) == expected
    assert answer.json is not None
    assert answer.json["error"] == details(answer)["Idempotency-Key"][0]
    with_key = ask(
        shop, {**ALL_WRONG, "refrence": 1}, Authorization=bearer("shop"), **{"Idempotency-Key": "s"}
    )
    assert list(details(with_key)) == ["refrence", *expected]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"amount": 5000, "gateway": "stripe"}, ["amount", "gateway"]),
        ({"amount": 5000, "returnUrl": "https://evil.example/"}, ["amount", "returnUrl"]),
        ({"gateway": "stripe", "customer": None}, ["gateway", "customer"]),
        ({"amount": True, "metadata": []}, ["amount", "metadata"]),
    ],
)
def test_limits_are_checked_beside_shapes(changes: dict[str, Any], expected: list[str]) -> None:
    with pytest.raises(InvalidInput) as raised:
        schemas.create_order({**GOOD, **changes}, None, LIMITS, knows_all=False)
    assert list(raised.value.extra["details"]) == expected  # type: ignore[call-overload]


MANY = [
    {"metadata": {f"key-{number}": [number] for number in range(2_000)}},
    {"metadata": {"k" * 2_000 + str(number): "v" * 501 for number in range(15)}},
    {"metadata": {HALF * 100 + str(number): HALF for number in range(15)}},
    {"customer": {**CUSTOMER, **{f"more-{number}": 1 for number in range(3_000)}}},
    {f"more-{number}" + "k" * 500: HALF for number in range(100)},
]


@pytest.mark.parametrize("changes", MANY, ids=["count", "long", "halves", "customer", "unknown"])
def test_however_much_is_wrong_the_answer_is_short(shop: Shop, changes: dict[str, Any]) -> None:
    answer = ask(shop, {**GOOD, **changes}, Authorization=bearer("shop"))
    assert 1 <= len(details(answer)) <= schemas.MAX_DETAILS
    assert len(answer.data) < 20_000
    if len(changes.get("metadata", {})) > 15:
        assert details(answer) == {"metadata": ["At most 15 pairs"]}


# ── what is no text ─────────────────────────────────────────────────────────────────────────────────

NOWHERE = [
    ({HALF: 1}, "\\ud800"),
    ({"more": HALF}, "more"),
    ({"more": [{"deep": {HALF: 1}}]}, "more"),
    ({"amount": HALF}, "amount"),
    ({"gateway": HALF}, "gateway"),
    ({"gateway": f"fake{HALF}"}, "gateway"),
    ({"currency": HALF}, "currency"),
    ({"description": HALF}, "description"),
    ({"reference": HALF}, "reference"),
    ({"userId": HALF}, "userId"),
    ({"returnUrl": f"http://127.0.0.1:3000/{HALF}"}, "returnUrl"),
    ({"metadata": {HALF: "v"}}, "metadata.\\ud800.key"),
    ({"metadata": {"k": HALF}}, "metadata.k.value"),
    ({"metadata": {"k": {"deep": HALF}}}, "metadata.k.value"),
    ({"quote": HALF}, "quote"),
    ({"customer": HALF}, "customer"),
    ({"customer": {**CUSTOMER, "name": HALF}}, "customer.name"),
    ({"customer": {**CUSTOMER, "email": f"{HALF}@example.com"}}, "customer.email"),
    ({"customer": {**CUSTOMER, "phone": f"98765{HALF}43210"}}, "customer.phone"),
    ({"customer": {**CUSTOMER, HALF: 1}}, "customer.\\ud800"),
    ({"customer": {**CUSTOMER, "more": {"deep": [HALF]}}}, "customer.more"),
]


@pytest.mark.parametrize(("changes", "name"), NOWHERE)
@pytest.mark.parametrize("half", [HALF, "\udfff"])
def test_half_of_a_surrogate_pair_is_refused_wherever_it_stands(
    shop: Shop, changes: dict[str, Any], name: str, half: str
) -> None:
    raw = json.dumps({**GOOD, **changes}).replace("\\ud800", json.dumps(half)[1:-1])
    for raw_body in (raw, raw.replace(json.dumps(half)[1:-1], half).encode("utf-8", "surrogatepass")):
        for headers in ({}, {"Authorization": bearer("shop")}):
            answer = shop.app.test_client().post(
                CREATE, data=raw_body, headers=headers, content_type="application/json"
            )
            assert name.replace("\\ud800", json.dumps(half)[1:-1]) in details(answer)
    assert shop.count(Payment) == 0


@pytest.mark.parametrize("number", ["1e1000000", "-1e1000000", "1e-1000000", "1e999999999999999999"])
@pytest.mark.parametrize(
    ("member", "name"),
    [
        *((member, member) for member in ("amount", "gateway", "currency", "description", "reference")),
        *((member, member) for member in ("userId", "returnUrl")),
        *((f"customer.{member}", f"customer.{member}") for member in ("name", "email", "phone")),
        ("metadata.k", "metadata.k.value"),
    ],
)
def test_a_number_beyond_all_measure_is_refused_wherever_it_stands(
    shop: Shop, number: str, member: str, name: str
) -> None:
    """It is short, and arithmetic with it overflows."""
    body = {**GOOD, "customer": {**CUSTOMER}, "metadata": {"k": "v"}}
    inner, _, last = member.rpartition(".")
    (body[inner] if inner else body)[last] = "HERE"
    raw = json.dumps(body).replace('"HERE"', number)
    for headers in ({}, {"Authorization": bearer("shop")}):
        answer = shop.app.test_client().post(
            CREATE, data=raw, headers=headers, content_type="application/json"
        )
        assert name in details(answer), answer.text
    assert shop.count(Payment) == 0


@pytest.mark.parametrize("depth", [100, 5_000])
def test_it_is_found_in_any_depth(shop: Shop, depth: int) -> None:
    raw = json.dumps(GOOD)[:-1] + ', "more": ' + "[" * depth + '"\\ud800"' + "]" * depth + "}"
    assert shop.ask(key=None, raw=raw).status_code == 400


def test_a_whole_pair_and_every_script_are_text(shop: Shop) -> None:
    name = "आशा 🙏 \U00010330"
    assert ask(shop, {**GOOD, "more": name, "customer": {**CUSTOMER, "name": name}}).status_code == 200
    with shop.db.read() as session:
        assert [payment.customer_name for payment in session.scalars(select(Payment))] == [name]


VERIFIED = {"gateway": "razorpay", "orderId": "order_1", "paymentId": "pay_1", "signature": "00"}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"gateway": f"razorpay{HALF}"}, "gateway"),
        ({"orderId": HALF}, "orderId"),
        ({"paymentId": f"pay_{HALF}"}, "paymentId"),
        ({"signature": HALF}, "signature"),
        ({"razorpay_signature": HALF}, "razorpay_signature"),
    ],
)
def test_verify_refuses_it_too(client: FlaskClient, changes: dict[str, Any], name: str) -> None:
    body = json.dumps({**VERIFIED, **changes})
    answer = client.post(VERIFY, data=body, content_type="application/json")
    assert details(answer) == {name: [NOT_TEXT]}


@pytest.mark.parametrize("path", ["order_%ED%A0%80", "%FF", "order_1?x=%ED%A0%80", "order_1?%ED%BF%BF=1"])
@pytest.mark.parametrize("gateway", ["razorpay", "%ED%A0%80"])
def test_an_address_that_is_no_text_is_refused(client: FlaskClient, path: str, gateway: str) -> None:
    answer = client.get(f"/api/payment/status/{gateway}/{path}")
    assert (answer.status_code, answer.json and answer.json["code"]) == (400, "invalid_address")
    assert client.post(f"{CREATE}?x=%ED%A0%80", json={}).status_code == 400


@pytest.mark.parametrize("path", ["order_1", "%F0%9F%99%82", "order_1?utm=%E0%A4%86", "%00"])
def test_every_other_address_is_only_unknown(client: FlaskClient, path: str) -> None:
    assert client.get(f"/api/payment/status/razorpay/{path}").status_code == 404
