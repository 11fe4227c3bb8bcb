"""What the flows of the merchant's server share: who acts, and what they may answer."""

from payments_service.domain.errors import Conflict, GatewayError
from payments_service.domain.payment import Actor
from payments_service.domain.states import Source
from payments_service.flows.payment_view import PaymentView

RETRY_AFTER_SECONDS = 5
"""Told with `outcome_unknown`."""


class OutcomeNotKnown(Conflict):
    """What was sent may have been carried out; the same request again finds out."""

    code = "outcome_unknown"
    retry_after_seconds = RETRY_AFTER_SECONDS

    def __init__(self, payment: PaymentView) -> None:
        super().__init__(
            "The outcome is not known yet; repeat the request",
            paymentStatus=payment.status.value,
            retryable=True,
        )


class RefusedByGateway(Conflict):
    """The gateway said no. Nothing has changed."""

    def __init__(self, cause: GatewayError, code: str, payment: PaymentView) -> None:
        super().__init__("The gateway refuses it", code=code, paymentStatus=payment.status.value)
        self.explanation = cause.message


def actor(key_name: str) -> Actor:
    """The merchant's server, by the name of its key, in the history."""
    return Actor(Source.API, key_name)
