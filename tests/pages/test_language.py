"""English and Hindi: who gets which, and that nothing is said in one of them only."""

import re
import string
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from payments_service.flows.hosted_page import Stage
from payments_service.pages.words import LANGUAGES, WHILE_PAYING, WORDS, Speech
from tests.pages.conftest import MakePayment

ENGLISH, HINDI = "Payment failed", "भुगतान नहीं हो पाया"
SAME_IN_BOTH = {"method.upi"}


def names(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", WORDS)
def test_everything_is_said_in_both_languages_with_the_same_names(key: str) -> None:
    text = WORDS[key]
    assert names(text.en) == names(text.hi)
    assert not re.search("[ऀ-ॿ]", text.en)
    assert key in SAME_IN_BOTH or re.search("[ऀ-ॿ]", text.hi)


def test_every_stage_and_everything_that_the_script_says_has_words() -> None:
    for name in (*Stage, *WHILE_PAYING, "not_here", "unknown", "trouble"):
        assert {f"{name}.heading", f"{name}.sentence"} <= WORDS.keys()


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "en"),
        ("en-IN", "en"),
        ("hi", "hi"),
        ("hi-IN,hi;q=0.9,en;q=0.8", "hi"),
        ("en-IN,hi;q=0.9", "en"),
        ("ta-IN,hi;q=0.8,en;q=0.5", "hi"),
        ("fr", "en"),
        ("hi;q=0", "en"),
        ("nonsense;;q=x", "en"),
    ],
)
def test_the_browsers_first_wish_that_we_know_decides(
    client: FlaskClient, make_payment: MakePayment, accepted: str, expected: str
) -> None:
    html = client.get(make_payment("failed").path, headers={"Accept-Language": accepted}).text
    assert f'<html lang="{expected}">' in html
    assert (ENGLISH in html, HINDI in html) == (expected == "en", expected == "hi")


@pytest.mark.parametrize(("asked", "expected"), [("hi", "hi"), ("en", "en"), ("xx", "hi"), ("<b>", "hi")])
def test_the_address_overrules_the_browser(
    client: FlaskClient, make_payment: MakePayment, asked: str, expected: str
) -> None:
    path = make_payment("failed").path
    html = client.get(path, query_string={"lang": asked}, headers={"Accept-Language": "hi"}).text
    assert f'<html lang="{expected}">' in html
    assert "<b>" not in html


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_offers_the_other_language_in_its_own_words(
    client: FlaskClient, make_payment: MakePayment, language: str
) -> None:
    [(other, name)] = Speech(language, {}).others.items()
    for path in (make_payment().path, make_payment("completed").path, "/pay/none", "/payment-status"):
        html = client.get(f"{path}?lang={language}").text
        assert f'href="?lang={other}" lang="{other}" hreflang="{other}">{name}<' in html


def test_names_with_braces_are_not_filled_in_again() -> None:
    assert Speech("en", {"merchant": "{gateway} {0}"})("back") == "Back to {gateway} {0}"


@pytest.mark.parametrize(
    ("language", "expected"), [("en", "1 January 2027, 00:10"), ("hi", "1 जनवरी 2027, 00:10")]
)
def test_times_are_those_of_india(language: str, expected: str) -> None:
    assert Speech(language, {}).moment(datetime(2026, 12, 31, 18, 40, tzinfo=UTC)) == expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [("upi", "UPI"), ("UPI_INTENT", "UPI"), ("card", "कार्ड"), ("net_banking", "net banking"), ("emi", "emi")],
)
def test_methods_are_told_in_words_where_there_are_some(method: str, expected: str) -> None:
    assert Speech("hi", {}).method(method) == expected


def receipt(html: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html))


@pytest.mark.parametrize(("language", "label"), [("en", "Your order"), ("hi", "आपका ऑर्डर")])
@pytest.mark.parametrize("status", ["completed", "failed", "authorized"])
def test_the_receipt_names_the_merchants_order_where_the_merchant_vouches_for_it(
    client: FlaskClient, make_payment: MakePayment, status: str, language: str, label: str
) -> None:
    trusted = make_payment(status, reference="A-1001 <b>", price_verified=True)
    assert receipt(client.get(f"{trusted.path}?lang={language}").text)[label] == "A-1001 &lt;b&gt;"
    labelled = make_payment(status, reference="A-1001 <b>", price_verified=False)
    assert "A-1001" not in client.get(f"{labelled.path}?lang={language}").text


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Test payment, no real money"), ("hi", "टेस्ट भुगतान, असली पैसा नहीं")]
)
@pytest.mark.parametrize("status", ["initiated", "pending", "authorized", "completed", "failed", "expired"])
def test_a_payment_by_test_credentials_says_so_in_every_state_and_a_live_one_never(
    client: FlaskClient, make_payment: MakePayment, status: str, language: str, words: str
) -> None:
    for mode, count in (("test", 1), ("live", 0)):
        html = client.get(f"{make_payment(status, mode=mode).path}?lang={language}").text
        assert html.count(words) == html.count('id="test"') == count


def test_the_receipt_says_what_a_payer_may_have_to_tell(
    client: FlaskClient, make_payment: MakePayment, db: Any
) -> None:
    payment = make_payment("completed", transaction_id="pay_1", payment_method="upi")
    html = client.get(payment.path).text
    assert receipt(html) == {
        "Method": "UPI",
        "Through": "Razorpay",
        "Payment number": "pay_1",
        "Order number": payment.order_id,
    }
