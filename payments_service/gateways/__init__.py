"""The registry: one line a gateway. What settings, API and command line know of gateways comes from here."""

from payments_service.gateways.base import Gateway
from payments_service.gateways.cashfree import CashfreeGateway
from payments_service.gateways.phonepe import PhonePeGateway
from payments_service.gateways.phonepe_v1 import PhonePeV1Gateway
from payments_service.gateways.razorpay import RazorpayGateway

GATEWAYS: tuple[type[Gateway], ...] = (
    RazorpayGateway,
    PhonePeGateway,
    PhonePeV1Gateway,
    CashfreeGateway,
)
"""Where two providers serve one gateway, the first that is configured takes new orders."""
