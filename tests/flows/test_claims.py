"""When has a payment come as far as an event that only woke us claimed?"""

from types import SimpleNamespace

import pytest

from payments_service.domain.decide import has_reached
from payments_service.domain.news import EventKind, WebhookEvent
from payments_service.domain.states import PaymentStatus

P = PaymentStatus


@pytest.mark.parametrize(
    ("status", "claim", "is_reached"),
    [
        (P.PENDING, None, True),
        (P.PENDING, P.COMPLETED, False),
        (P.PENDING, P.FAILED, False),
        (P.COMPLETED, P.COMPLETED, True),
        (P.COMPLETED, P.FAILED, True),
        (P.FAILED, P.COMPLETED, False),
        (P.FAILED, P.EXPIRED, True),  # an end is an end: only the fetched answer tells which
        (P.EXPIRED, P.FAILED, True),
    ],
)
def test_a_claim_is_reached_by_as_much_or_more(
    status: PaymentStatus, claim: PaymentStatus | None, is_reached: bool
) -> None:
    event = WebhookEvent("e", "t", EventKind.PAYMENT, wake_up=True, claims=claim)
    assert has_reached(SimpleNamespace(status=status, review=None), event) is is_reached
