"""PhonePe's transfers to the merchant's bank.

Sources: docs v2 settlement/range, settlement/status, order-status (settlementDetails). What is taken as a fee
is invented, and so is that refunds are not held back; fees and taxes are told as negative numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gateway_simulator.base import Json

FEE_BASIS_POINTS = {"UPI": 0}
USUAL_FEE_BASIS_POINTS = 200
GST_PERCENT = 18


@dataclass(frozen=True)
class Deduction:
    fee: int
    igst: int

    @classmethod
    def of(cls, amount: int, rail: str) -> "Deduction":
        fee = amount * FEE_BASIS_POINTS.get(rail, USUAL_FEE_BASIS_POINTS) // 10_000
        return cls(fee, fee * GST_PERCENT // 100)

    @property
    def total(self) -> int:
        return self.fee + self.igst

    def members(self) -> Json:
        return {"sgst": 0, "cgst": 0, "igst": -self.igst, "fee": -self.fee, "commission": 0}


@dataclass(eq=False)
class Settlement:
    id: str
    utr: str
    merchant_id: str
    created_at: int
    """Milliseconds."""
    amount: int = 0
    state: Literal["INITIATED", "PROCESSED"] = "INITIATED"

    def add(self, amount: int, rail: str) -> None:
        self.amount += amount - Deduction.of(amount, rail).total

    def row(self) -> Json:
        return {"state": self.state, "settlementId": self.id, "utr": self.utr, "date": self.created_at}

    def entity(self, state: str | None = None) -> Json:
        """As a status tells it, or an event that claims a state; the words of the error are invented."""
        is_failed = state == "ATTEMPT_FAILED"
        return {
            "settlementId": self.id,
            "state": state or self.state,
            "utr": self.utr,
            "amount": self.amount,
            "merchantId": self.merchant_id,
            "lastAttemptErrorCode": "BANK_ERROR" if is_failed else "",
            "lastAttemptErrorDescription": "The bank did not take the transfer" if is_failed else "",
            "lastUpdatedAt": self.created_at,
        }

    def details_of(self, payments: Iterable[tuple[int, str]]) -> Json:
        """The part that an order's payments (amount, rail) have in it."""
        return {"state": self.state, "splitSettlementDetails": [self._part(*one) for one in payments]}

    def _part(self, amount: int, rail: str) -> Json:
        deduction = Deduction.of(amount, rail)
        return {
            "type": rail,
            "settlementId": self.id,
            "utr": self.utr,
            "timestamp": self.created_at,
            "amountBreakup": {
                "transactionAmount": amount,
                "settlementAmount": amount - deduction.total,
                "settlementDeduction": deduction.members(),
            },
        }
