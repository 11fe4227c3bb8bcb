"""What a payer can choose on the pay page, and what the test instruments then do.

Sources: Razorpay docs payments/payments/test-upi-details, test-card-details, hosted/test-integration.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway_simulator.razorpay.books import BANK_DOWN, DECLINED, WRONG_OTP, Books
from gateway_simulator.razorpay.records import Instrument, Payment, PaymentError
from gateway_simulator.razorpay.refusals import refusal
from gateway_simulator.razorpay.settlements import INDIA

BANKS = {"HDFC": "HDFC Bank", "ICIC": "ICICI Bank", "SBIN": "State Bank of India", "UTIB": "Axis Bank"}
WALLETS = {
    "olamoney": "Ola Money",
    "phonepe": "PhonePe",
    "airtelmoney": "Airtel Money",
    "mobikwik": "MobiKwik",
}
# number → network, international
TEST_CARDS = {
    "4111111111111111": ("Visa", False),
    "5267318187975449": ("MasterCard", False),
    "5555555555554444": ("MasterCard", True),
    "4012888888881881": ("Visa", True),
}
SUCCESS_OTP = re.compile(r"[0-9]{4,10}")
# Assumed: what a payer's own "cancel" is called.
CANCELLED = PaymentError(
    "BAD_REQUEST_ERROR",
    "Payment processing cancelled by user",
    "customer",
    "payment_authentication",
    "payment_cancelled",
)
# otp: the bank's page for cards; bank: the mock page with its two buttons; none: the payer's own phone
Page = Literal["otp", "bank", "none"]


@dataclass(frozen=True)
class Choice:
    """What the payer chose, which page asks for more, and what becomes of it where none does."""

    instrument: Instrument
    page: Page
    error: PaymentError | None = None
    silent: bool = False


def chosen(books: Books, data: Mapping[str, str]) -> Choice:
    match data.get("method"):
        case "upi":
            return _upi(books, data)
        case "card":
            return _card(books, data)
        case "netbanking":
            if data.get("bank") not in BANKS:
                raise refusal("The selected bank is invalid.", field="bank")
            return Choice(books.instrument("netbanking", bank=data["bank"]), "bank")
        case "wallet":
            if data.get("wallet") not in WALLETS:
                raise refusal("The selected wallet is invalid.", field="wallet")
            return Choice(books.instrument("wallet", wallet=data["wallet"]), "bank")
    raise refusal("The selected method is invalid.", field="method")


def _upi(books: Books, data: Mapping[str, str]) -> Choice:
    """By QR code or in an app, where the payer pays, declines or waits; else by UPI ID."""
    silent = data.get("outcome") == "pending"
    if "vpa" not in data:
        declined = DECLINED if data.get("outcome") == "failure" else None
        return Choice(books.instrument("upi"), "none", declined, silent)
    vpa = data["vpa"].strip().lower()
    if vpa not in ("success@razorpay", "failure@razorpay"):
        raise refusal("Invalid UPI ID. Test mode knows success@razorpay and failure@razorpay.", field="vpa")
    error = DECLINED if vpa == "failure@razorpay" else None
    return Choice(books.instrument("upi", vpa=vpa), "none", error, silent)


def _card(books: Books, data: Mapping[str, str]) -> Choice:
    number = re.sub(r"[ -]", "", data.get("card_number", ""))
    if number not in TEST_CARDS:
        raise refusal("This card is not one of the test cards.", field="card_number")
    if not _in_future(data.get("card_expiry", ""), datetime.fromtimestamp(books.now(), INDIA)):
        raise refusal("The card has expired, or its expiry is not MM/YY.", field="card_expiry")
    if not re.fullmatch(r"[0-9]{3,4}", data.get("card_cvv", "")):
        raise refusal("The CVV must have 3 or 4 digits.", field="card_cvv")
    network, international = TEST_CARDS[number]
    return Choice(books.card_instrument(number[-4:], network, international=international), "otp")


def _in_future(expiry: str, now: datetime) -> bool:
    written = re.fullmatch(r"\s*(0[1-9]|1[0-2])\s*/\s*(?:20)?([0-9]{2})\s*", expiry)
    if not written:
        return False
    return (2000 + int(written[2]), int(written[1])) >= (now.year, now.month)


def answered(payment: Payment, data: Mapping[str, str]) -> PaymentError | None:
    """What the payer did on the bank's page; None is a success."""
    if data.get("outcome") == "cancel":
        return CANCELLED
    if payment.instrument.method == "card":
        otp = data.get("otp", "").strip()
        if not re.fullmatch(r"[0-9]{1,10}", otp):
            raise refusal("The OTP must have 1 to 10 digits.", field="otp")
        return None if SUCCESS_OTP.fullmatch(otp) else WRONG_OTP
    if data.get("outcome") not in ("success", "failure"):
        raise refusal("The selected outcome is invalid.", field="outcome")
    return BANK_DOWN if data["outcome"] == "failure" else None
