"""Where an answer leads: which of its members the next request takes. OpenAPI calls that links.

A client that is made from the document can follow them, and the tests do (tests/api/test_chains.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    operation: str
    """The operationId of the next request."""
    about: str
    takes: Mapping[str, str]
    """Its parameters, each with the runtime expression that finds its value in this answer or request."""


def _of_payment(payment_id: str) -> dict[str, Link]:
    """What can be asked and done about a payment, by the expression that finds its id."""
    takes = {"payment_id": payment_id}
    return {
        "payment": Link("merchant_payment_get", "the payment with all that is stored about it", takes),
        "refund": Link("merchant_new_refund_post", "send money back, once it is paid", takes),
        "refunds": Link("merchant_refunds_get", "its refunds", takes),
        "capture": Link("merchant_capture_post", "take money that is held", takes),
        "void": Link("merchant_void_post", "let go of money that is held", takes),
        "close": Link("merchant_close_post", "stop it while it is open", takes),
        "events": Link("events_events_get", "what was told of it", {"payment": payment_id}),
    }


_OPENED = "$response.body#/id"
_NAMED = "$request.path.payment_id"
_REFUND = {
    "refund": Link(
        "merchant_refund_get",
        "the refund as it stands later",
        {"payment_id": _NAMED, "refund_id": "$response.body#/refund/id"},
    ),
    "events": Link("events_events_get", "what was told of the payment", {"payment": _NAMED}),
}

LINKS: Mapping[tuple[str, int], Mapping[str, Link]] = {
    ("payments_create_order_post", 200): {
        "status": Link(
            "payments_payment_status_get",
            "where it stands",
            {"gateway": "$response.body#/gateway", "reference": _OPENED},
        ),
        **_of_payment(_OPENED),
    },
    ("merchant_payments_get", 200): {
        "older": Link("merchant_payments_get", "the next page", {"after": "$response.body#/after"}),
        **_of_payment("$response.body#/payments/0/id"),
    },
    ("merchant_new_refund_post", 201): _REFUND,
    ("merchant_new_refund_post", 202): _REFUND,
    ("events_events_get", 200): {
        "later": Link("events_events_get", "what follows", {"after": "$response.body#/after"}),
        "resend": Link("events_resend_post", "tell it again", {"event_id": "$response.body#/events/0/id"}),
    },
}
"""By operationId and status of an answer, and the link's name."""
