"""What a payer may enter in the sandbox, and what comes of it. Source: docs sandbox-environment."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway_simulator.cashfree.checks import only
from gateway_simulator.cashfree.records import CASH, Instrument, PaymentError
from gateway_simulator.cashfree.refusals import refusal

OTP = "111000"
CVV = "123"
EXPIRY = ("03", "28")
BANK_CODE, BANK_NAME = 3333, "TESTR"
TEST_CARDS = {
    "4706131211212123": ("visa", "debit_card"),
    "4576238912771450": ("visa", "credit_card"),
    "4444333322221111": ("visa", "credit_card"),
    "5409162669381034": ("mastercard", "debit_card"),
    "5105105105105100": ("mastercard", "credit_card"),
    "6074825972083818": ("rupay", "debit_card"),
    "6528591234543575": ("rupay", "credit_card"),
}

_UPI = {"upi": {"channel": "collect", "upi_id": "testsuccess@gocash"}}
_CARD = {
    "card": {
        "channel": "link",
        "card_number": "XXXXXXXXXXXX1450",
        "card_network": "visa",
        "card_type": "credit_card",
        "card_country": "IN",
        "card_bank_name": "TEST Bank",
    }
}
_BANK = {"netbanking": {"channel": "link", "netbanking_bank_code": 3333, "netbanking_bank_name": "TEST Bank"}}
_WALLET = {"app": {"channel": "link", "provider": "phonepe", "phone": "9999999999"}}
INSTRUMENTS = {
    "upi": Instrument("upi", "upi", _UPI),
    "card": Instrument("card", "credit_card", _CARD),
    "netbanking": Instrument("netbanking", "net_banking", _BANK),
    "wallet": Instrument("wallet", "wallet", _WALLET),
    "cod": Instrument("cod", CASH, {CASH: {}}),
}
DECLINED = PaymentError(
    "TRANSACTION_DECLINED",
    "transaction is rejected at the remitter bank end. Please reach out to issuer bank",
    "bank_rejected",
    "bank",
)
WRONG_OTP = PaymentError("TRANSACTION_DECLINED", "Incorrect OTP", "invalid_otp", "customer")


def declined(reason: str, source: str = "bank") -> PaymentError:
    return replace(DECLINED, reason=reason, source=source)


def declined_with(code: object) -> PaymentError | None:
    """What a simulation wishes for: its words are taken as they are."""
    return replace(DECLINED, code=code) if isinstance(code, str) and code else None


NO_ANSWER = declined("bank_timeout")
DROPPED = declined("user_dropped", "customer")
SILENT = "testtimeoutbank"
"""The bank says nothing, until the control plane does."""
VPA_ERRORS: dict[str, PaymentError | None] = {
    "testsuccess": None,
    SILENT: None,
    "testfailure": DECLINED,
    "testdeclineuser": declined("payment_declined", "customer"),
    "testexpired": declined("collect_request_expired", "customer"),
    "testinsufficientfunds": declined("insufficient_funds"),
    "testbankdeclined": declined("bank_rejected"),
    "testriskflagged": declined("risk_check_failed", "cashfree"),
    "testnetworkerror": declined("network_error"),
    "testinvalidpin": declined("invalid_pin", "customer"),
    "testuserdropped": DROPPED,
}
"""What the bank answers to <name>@gocash; every other address, testinvalid too, is refused at once.
The names are documented, the words of the answers are made up."""


def instrument(name: str, details: Mapping[str, Any]) -> Instrument:
    """With the particulars the payer gave; WireError for what is not test data."""
    match name:
        case "upi":
            return _upi(dict(details))
        case "card":
            return _card(dict(details))
        case "netbanking":
            only(dict(details), ("channel", "netbanking_bank_code", "netbanking_bank_name"))
            asked = (details.get("netbanking_bank_code"), details.get("netbanking_bank_name"))
            if asked[0] == BANK_CODE or asked[1] == BANK_NAME:
                return INSTRUMENTS["netbanking"]
    raise refusal("payment_method : is not one of the test methods", "payment_method_invalid")


def _upi(details: dict[str, Any]) -> Instrument:
    """By an app, whose answer comes later (see checkout.py), or by a request to the payer's UPI ID."""
    only(details, ("channel", "upi_id", "upi_expiry_minutes"))
    channel = details.get("channel")
    if channel == "link" and "upi_id" not in details:
        return replace(INSTRUMENTS["upi"], details={"upi": {"channel": "link", "upi_id": None}})
    if channel != "collect":
        raise refusal("channel : only collect, and link without a upi_id, are simulated", "channel_invalid")
    upi_id = str(details.get("upi_id")).lower()
    name, _, bank = upi_id.partition("@")
    if name not in VPA_ERRORS or bank != "gocash":
        raise refusal("upi_id : invalid value", "upi_id_invalid")
    return replace(INSTRUMENTS["upi"], details={"upi": {"channel": "collect", "upi_id": upi_id}})


def _card(details: dict[str, Any]) -> Instrument:
    fields = ("card_number", "card_holder_name", "card_expiry_mm", "card_expiry_yy", "card_cvv")
    only(details, ("channel", *fields))
    number = re.sub(r"[ -]", "", str(details.get("card_number")))
    given = (details.get("card_expiry_mm"), details.get("card_expiry_yy"))
    for field, is_right in (
        ("channel", details.get("channel") in ("link", "post")),
        ("card_number", number in TEST_CARDS),
        ("card_expiry", given == EXPIRY),
        ("card_cvv", details.get("card_cvv") == CVV),
    ):
        if not is_right:
            raise refusal(f"{field} : invalid value", f"{field}_invalid")
    network, kind = TEST_CARDS[number]
    shown = {
        "channel": details["channel"],
        "card_number": f"XXXXXXXXXXXX{number[-4:]}",
        "card_network": network,
        "card_type": kind,
    }
    usual = INSTRUMENTS["card"]
    return replace(usual, group=kind, details={"card": {**usual.details["card"], **shown}})
