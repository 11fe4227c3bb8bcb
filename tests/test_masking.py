"""What other programs say of our requests is logged without personal data and secrets; ids stay."""

import pytest

from payments_service.logs import MAX_WORDS, masked_path, masked_words


@pytest.mark.parametrize(
    ("words", "logged"),
    [
        ("customer_phone: 9876543210 is invalid", "customer_phone: ***3210 is invalid"),
        ("+91 98765 43210", "***3210"),
        ("+1 415-555-0123", "***0123"),
        ("contact '919876543210'", "contact '***3210'"),
        ("09876543210", "***3210"),
        ("asha.rao+shop@mail.example.com.", "a***@mail.example.com."),
        ("vpa 9876543210@ybl", "vpa 9***@ybl"),
        ("card 4111 1111 1111 1111", "card ***1111"),
        (f"signature {'aB3/' * 16}", "signature …"),
        ("see https://api.example.com/x?token=secret#there now", "see https://api.example.com/x now"),
        ("two\nlines\u2028and\x1b[0m", "two lines and [0m"),
    ],
)
def test_what_is_personal_or_secret_is_masked(words: str, logged: str) -> None:
    assert masked_words(words) == logged


@pytest.mark.parametrize(
    "words",
    [
        "Order amount less than minimum amount allowed",
        "order_9876543210 psv_0123456789abcdefghijklmn pay_Nh8kXo2jQ9sYxU",
        "cf_payment_id 2148333968, order 1944392",
        "UTR 412345678901",
        "T2511291455010000000000 and OMO2511291455010000000000W",
        "amount must be at least 100 paise, 49900 given",
    ],
)
def test_ids_and_amounts_stay(words: str) -> None:
    assert masked_words(words) == words


STATUS = "/api/payment/status"


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        (f"{STATUS}/razorpay/9812345678", f"{STATUS}/razorpay/***5678"),
        (f"{STATUS}/razorpay/+91 98123-45678", f"{STATUS}/razorpay/***5678"),
        (f"{STATUS}/razorpay/+14155550123/x", f"{STATUS}/razorpay/***0123/x"),
        ("/nope/leak@example.com", "/nope/l***@example.com"),
        ("/nope/leak%40example.com/more", "/nope/l***@example.com/more"),
        ("/9812345678@ybl", "/9***@ybl"),
        (f"{STATUS}/cashfree/4111111111111111", f"{STATUS}/cashfree/***1111"),
        ("/4111 1111 1111 1111", "/***1111"),
    ],
)
def test_what_is_personal_in_a_path_is_masked(path: str, logged: str) -> None:
    assert masked_path(path) == logged


@pytest.mark.parametrize(
    "path",
    [
        f"{STATUS}/cashfree/2149460581",
        f"{STATUS}/cashfree/5114912345678",
        f"{STATUS}/razorpay/order_9876543210abcd",
        f"{STATUS}/razorpay/pay_9876543210",
        f"{STATUS}/phonepe/OMO2511291455010000000000W",
        "/api/payment/01900000-0000-7000-8000-000000000001/refunds/98123456-7890-4123-8123-456789012345",
        "/api/payment/019a9f0c4f2e7d3a9c5b9812345678ab" * 8,
        "/pay/static/pay.css",
    ],
)
def test_ids_in_a_path_stay(path: str) -> None:
    assert masked_path(path) == path


def test_they_are_cut() -> None:
    assert len(masked_words("word " * 10_000)) == MAX_WORDS
