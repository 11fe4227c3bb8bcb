"""What the pages say."""

from collections.abc import Mapping
from dataclasses import dataclass

from payments_service.flows.hosted_page import Stage


@dataclass(frozen=True)
class Words:
    heading: str
    sentence: str


STAGES: Mapping[Stage, Words] = {
    Stage.PREPARING: Words(
        "Preparing your payment", "This takes a moment longer than usual. Please stay on this page."
    ),
    Stage.PAYABLE: Words("Ready to pay", "The payment window opens by itself."),
    Stage.CONFIRMING: Words(
        "Confirming your payment", "We are waiting for the last word on it. Please do not pay again."
    ),
    Stage.COMPLETED: Words("Paid", "Thank you, your payment has been received."),
    Stage.FAILED: Words(
        "Payment failed",
        "It was not completed. If money left your account all the same, it comes back or the shop is told.",
    ),
    Stage.EXPIRED: Words(
        "Time is up", "This payment can no longer be made here. Please go back and start again."
    ),
    Stage.REVIEW: Words(
        "We are looking into this payment",
        "Something about it needs a person's eye. Please do not pay again; the shop will be in touch.",
    ),
}
WAITING = frozenset({Stage.PREPARING, Stage.CONFIRMING})

NOT_HERE = Words(
    "This payment cannot be made at the moment", "Please go back to the shop and choose another way to pay."
)
UNKNOWN = Words("There is no such payment", "The link may be incomplete. Please open it again from the shop.")
TROUBLE = Words(
    "Something went wrong on our side",
    "Please open this page again in a moment. If you have paid already, that is not lost.",
)
