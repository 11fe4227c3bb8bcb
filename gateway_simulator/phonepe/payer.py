"""What the bank says to what a payer typed on the pay page.

Source: docs v1 uat-testing (cards, their OTP, net banking). The UPI ids are invented, in the
manner of other sandboxes.
"""

from dataclasses import dataclass
from typing import Any

from gateway_simulator.base import Json
from gateway_simulator.phonepe.checking import members
from gateway_simulator.phonepe.instruments import INSTRUMENTS
from gateway_simulator.phonepe.refusals import bad_request

OUTCOMES = ("success", "failure", "pending", "cancel")
UPI_IDS = {"success@ybl": "success", "failed@ybl": "failure", "pending@ybl": "pending"}
# number: method, expiry, CVV
CARDS = {
    "4242424242424242": ("debit_card", "12/2027", "936"),
    "4208585190116667": ("card", "06/2027", "508"),
}
OTP = "123456"
BANKS = {"SBIN": "State Bank of India", "HDFC": "HDFC Bank", "ICIC": "ICICI Bank"}
BANK_USER, BANK_PASSWORD = "test", "test"


@dataclass(frozen=True)
class Choice:
    method: str
    outcome: str


def choice(body: Json) -> Choice:
    """`outcome` is chosen by a tester; otherwise what was typed decides."""
    typed = members(body, "the form", "token method outcome upiId card otp bank user password", bad_request)
    method = typed.get("method", "upi")
    if not isinstance(method, str) or method not in INSTRUMENTS:
        raise bad_request(f"by {method} nothing is typed on the page")
    if "outcome" in typed:
        if typed["outcome"] not in OUTCOMES:
            raise bad_request("the page knows no such outcome")
        return Choice(method, typed["outcome"])
    if method == "card":
        return _by_card(
            members(typed.get("card"), "card", "number expiry cvv", bad_request), typed.get("otp")
        )
    if method == "netbanking":
        is_known = str(typed.get("bank")) in BANKS
        login = (typed.get("user"), typed.get("password"))
        return Choice(method, _outcome(is_known and login == (BANK_USER, BANK_PASSWORD)))
    if method == "upi_collect":
        upi_id = str(typed.get("upiId", "")).strip().lower()
        return Choice(method, UPI_IDS.get(upi_id, "failure"))
    raise bad_request(f"by {method} nothing is typed on the page")


def _by_card(card: Json, otp: Any) -> Choice:
    """An unknown card is a credit card that the bank declines."""
    number = "".join(str(card.get("number", "")).split())
    method, expiry, cvv = CARDS.get(number, ("card", None, None))
    is_right = (_long_year(str(card.get("expiry", ""))), card.get("cvv"), otp) == (expiry, cvv, OTP)
    return Choice(method, _outcome(is_right))


def _long_year(expiry: str) -> str:
    """12/27, as cards have it, is 12/2027."""
    month, _, year = "".join(expiry.split()).partition("/")
    return f"{month}/20{year}" if len(year) == 2 else f"{month}/{year}"


def _outcome(is_right: bool) -> str:
    return "success" if is_right else "failure"
