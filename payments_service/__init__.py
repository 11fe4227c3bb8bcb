"""A payments service for Razorpay, PhonePe and Cashfree behind one small API."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from payments_service.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """`create_app` when it is asked for: the simulator starts in half the time without the service."""
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from payments_service.app import create_app

    return create_app
