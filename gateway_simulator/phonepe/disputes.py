"""PhonePe's disputes: a payer's bank wants money back, the merchant answers until a date, the bank decides.

Sources: docs v2 chargeback/fetch-dispute, chargeback/webhook. The length of time to answer is not published
and invented; that a dispute may be decided from any state is inferred.
"""

from dataclasses import dataclass
from typing import Literal

from gateway_simulator.base import DisputeView, Json

ANSWER_MS = 7 * 24 * 3600 * 1000
ENDS = ("WON", "LOST")
OUTCOMES = {
    "action_required": "ACTION_REQUIRED",
    "under_review": "UNDER_REVIEW",
    "won": "WON",
    "lost": "LOST",
}
"""How a dispute may go on, and what its status is then."""
EVIDENCES = (
    *("explanationLetter", "customerRecallLetter", "serviceConfirmation", "refundConfirmation"),
    *("serviceCancellation", "deliveryProof", "shippingProof", "accessActivityLog"),
)


@dataclass(eq=False)
class Dispute:
    id: str
    merchant_id: str
    order_id: str
    """The merchant's."""
    order_number: str
    transaction_id: str
    transaction_amount: int
    completed_at: int
    """Milliseconds, like all times here."""
    amount: int
    created_at: int
    updated_at: int
    status: str = "UNDER_REVIEW"
    stage: Literal["CHARGEBACK", "PRE_ARBITRATION"] = "CHARGEBACK"

    @property
    def is_open(self) -> bool:
        return self.status not in ENDS

    def entity(self, status: str | None = None) -> Json:
        """As a fetch tells it, or an event that claims a status."""
        status = status or self.status
        return {
            "merchantId": self.merchant_id,
            "disputeId": self.id,
            "merchantOrderId": self.order_id,
            "orderId": self.order_number,
            "transactionId": self.transaction_id,
            "transactionCompletedAt": self.completed_at,
            "transactionAmount": self.transaction_amount,
            "disputeAmount": self.amount,
            "refundAmount": self.amount if status == "LOST" else 0,
            "contestAmount": 0,
            "status": status,
            "stage": self.stage,
            "dueDate": self.created_at + ANSWER_MS,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "evidences": {name: [] for name in EVIDENCES},
        }

    def view(self) -> DisputeView:
        return DisputeView(self.id, self.transaction_id, self.amount, self.status)
