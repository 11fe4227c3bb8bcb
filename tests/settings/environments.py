"""Environments of each kind, and what the service says of them."""

import dataclasses

from payments_service.domain.variables import Variable
from payments_service.gateways import GATEWAYS
from payments_service.settings import Settings, SettingsError

LIVE_GATEWAYS = {
    "RAZORPAY_KEY_ID": "rzp_live_1",
    "RAZORPAY_KEY_SECRET": "razorpay-key-secret",
    "RAZORPAY_WEBHOOK_SECRET": "razorpay-webhook-secret",
    "PHONEPE_CLIENT_ID": "SHOPONLINE",
    "PHONEPE_CLIENT_SECRET": "phonepe-client-secret",
    "PHONEPE_CLIENT_VERSION": "3",
    "PHONEPE_WEBHOOK_USER": "hook",
    "PHONEPE_WEBHOOK_PASS": "Passw0rd1",
    "PHONEPE_WEBHOOK_HMAC_SECRET": "phonepe-hmac-secret",
    "PHONEPE_MERCHANT_ID": "SHOP",
    "PHONEPE_SALT_KEY": "phonepe-salt-key-of-ours",
    "PHONEPE_SALT_INDEX": "1",
    "PHONEPE_ENV": "production",
    "CASHFREE_APP_ID": "1234",
    "CASHFREE_APP_SECRET": "cashfree-app-secret",
    "CASHFREE_ENV": "production",
}
LIVE = {
    "APP_ENV": "production",
    "FRONTEND_URL": "https://shop.example.com",
    "BACKEND_URL": "https://pay.example.com",
    "MERCHANT_NAME": "Shop",
    "DATABASE_URL": "postgresql://user:word@db.example.com/payments",
    "SECRET_KEY": "a-secret-key-of-ours",
    "REQUIRE_QUOTE": "false",
    **LIVE_GATEWAYS,
}
MODES = {
    "razorpay": {"RAZORPAY_KEY_ID": "rzp_test_1"},
    "phonepe": {"PHONEPE_ENV": "sandbox"},
    "cashfree": {"CASHFREE_ENV": ""},  # its default is the sandbox
}
"""What makes each gateway one for tests."""
ALL_TEST = {name: value for changes in MODES.values() for name, value in changes.items()}


def load(base: dict[str, str], **changes: str) -> Settings:
    return Settings.from_environment({**base, **changes})


def wrong(base: dict[str, str], **changes: str) -> dict[str, list[str]]:
    """The errors by variable; {} for an environment that is fine."""
    try:
        load(base, **changes)
    except SettingsError as error:
        return error.errors
    return {}


def gateway_variables() -> dict[str, tuple[Variable, bool]]:
    """Every variable of a gateway by its name, and whether it is a secret."""
    return {
        field.metadata["variable"].name: (field.metadata["variable"], not field.repr)
        for gateway in GATEWAYS
        for field in dataclasses.fields(gateway.config_type)
    }
