"""Razorpay's error bodies.

Sources: Razorpay docs errors, api/orders/create, api/payments/capture, api/refunds/create-normal.
"""

from typing import Any

from gateway_simulator.base import Json, WireError

ALREADY_PAID = (
    "Your payment has been declined as the order is already paid. "
    "Please initiate the payment with a new order."
)
# status → body of the troubles that come from Razorpay's side
TROUBLE: dict[int, Json] = {
    429: {
        "error": {
            "code": "BAD_REQUEST_ERROR",
            "description": "Request failed. Please try after sometime.",
            "source": "NA",
            "step": "NA",
            "reason": "NA",
            "metadata": {},
        }
    },
    500: {
        "error": {
            "code": "SERVER_ERROR",
            "description": "The server encountered an error. The incident has been reported to admins.",
        }
    },
}
NO_ROUTE: Json = {"message": "no Route matched with those values"}


def refusal(
    description: str, *, field: str | None = None, source: str = "business", metadata: Json | None = None
) -> WireError:
    """A 400 after a look at the request itself."""
    error: dict[str, Any] = {
        "code": "BAD_REQUEST_ERROR",
        "description": description,
        "source": source,
        "step": "payment_initiation",
        "reason": "input_validation_failed",
        "metadata": metadata or {},
    }
    if field is not None:
        error["field"] = field
    return WireError(400, {"error": error})


def plain_refusal(status: int, description: str) -> WireError:
    """A refusal that has nothing to say about source, step and reason."""
    error = {"code": "BAD_REQUEST_ERROR", "description": description}
    return WireError(
        status, {"error": {**error, "source": "NA", "step": "NA", "reason": "NA", "metadata": {}}}
    )


def list_refusal(field: str, description: str) -> WireError:
    return WireError(
        400, {"error": {"field": field, "code": "BAD_REQUEST_ERROR", "description": description}}
    )


def unknown_id() -> WireError:
    return refusal("The id provided does not exist", source="internal")


def unknown_url() -> WireError:
    return plain_refusal(400, "The requested URL was not found on the server")


def already_paid() -> WireError:
    return refusal(ALREADY_PAID)
