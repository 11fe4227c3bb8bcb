"""The service's own settings, in groups; each gateway declares its own in its `Config` by the same means."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from payments_service.domain.money import Money
from payments_service.domain.variables import variable
from payments_service.settings import reading
from payments_service.settings.reading import ApiKey
from payments_service.settings.rules import (
    AMOUNTS,
    DEVELOPMENT,
    DEVELOPMENT_SECRET,
    EXAMPLE_MERCHANT,
    PRODUCTION,
)

TRUE_OR_FALSE: dict[str, Any] = {"choices": ("true", "false"), "read": reading.is_true}


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where and how it runs."""

    env: str = variable("APP_ENV", default=PRODUCTION, choices=(DEVELOPMENT, PRODUCTION))
    port: int = variable("PORT", default="5000", read=reading.whole(1, 65535))
    database_url: str = variable(
        "DATABASE_URL",
        is_hidden=True,
        default="sqlite:///payments.db",
        read=reading.database,
    )
    """With what DATABASE_POOLER says in it, so that there is one place to look."""
    is_behind_pooler: bool = variable("DATABASE_POOLER", default="false", **TRUE_OR_FALSE)
    redis_url: str | None = variable("REDIS_URL", is_hidden=True, read=reading.redis)
    celery_broker_url: str | None = variable("CELERY_BROKER_URL", is_hidden=True, read=reading.broker)
    trusted_proxy_hops: int = variable("TRUSTED_PROXY_HOPS", default="0", read=reading.whole(0, 10))
    takes_test_mode: bool = variable("ALLOW_TEST_MODE", default="false", **TRUE_OR_FALSE)
    """Whether production is a rehearsal, wholly on test credentials; `rules.py` goes by it."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where browsers, payers and gateways find us and the shop."""

    frontend_urls: tuple[str, ...] = variable("FRONTEND_URL", unset=(), read=reading.origins)
    backend_url: str = variable("BACKEND_URL", read=reading.server_address)
    render_external_url: str | None = variable("RENDER_EXTERNAL_URL", read=reading.server_address)
    """Render tells it; BACKEND_URL counts more."""
    return_url: str = variable("RETURN_URL", read=reading.short_web_address)


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """What may be ordered, by whom, and what it means."""

    merchant_name: str = variable("MERCHANT_NAME", default=EXAMPLE_MERCHANT, read=reading.words(most=100))
    min_amount: Money = variable("MIN_AMOUNT", default=AMOUNTS["MIN_AMOUNT"], read=reading.rupees)
    max_amount: Money = variable("MAX_AMOUNT", default=AMOUNTS["MAX_AMOUNT"], read=reading.rupees)
    # 15 minutes is the least that one gateway takes, an hour the most that another does.
    order_expiry: timedelta = variable("ORDER_EXPIRY", default="1800", read=reading.seconds(900, 3600))
    order_limits: Mapping[str, str] = variable(
        "ORDER_LIMITS", default=reading.ORDER_LIMITS, read=reading.order_limits
    )
    """Of create-order by `address` and by `phone`; empty when limits are off."""
    requires_quote: bool = variable("REQUIRE_QUOTE", default="false", **TRUE_OR_FALSE)
    """Whether a browser must bring a price that the merchant signed."""
    late_success: str = variable("LATE_SUCCESS", default="complete", choices=("complete", "review"))
    webhook_allowed_ips: tuple[IPv4Network | IPv6Network, ...] = variable(
        "WEBHOOK_ALLOWED_IPS", unset=(), read=reading.networks
    )
    """Empty: webhooks come from anywhere, and their signature decides."""


@dataclass(frozen=True, kw_only=True)
class Notifications:
    """Who is told."""

    merchant_webhook_url: str | None = variable(
        "MERCHANT_WEBHOOK_URL", is_hidden=True, read=reading.web_address
    )
    merchant_webhook_secrets: tuple[str, ...] = variable(
        "MERCHANT_WEBHOOK_SECRET", is_hidden=True, unset=(), read=reading.signing_secrets
    )
    smtp_url: str | None = variable("SMTP_URL", is_hidden=True, read=reading.mail_server)
    mail_from: str = variable("MAIL_FROM", unset="", read=reading.sender)
    ops_email: str | None = variable("OPS_EMAIL", read=reading.mail_address)


@dataclass(frozen=True, kw_only=True)
class Watching:
    """What is seen of it from outside."""

    log_level: str = variable("LOG_LEVEL", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = variable("LOG_FORMAT", default="text", choices=("text", "json"))
    metrics_token: str | None = variable("METRICS_TOKEN", secret=True, least_characters=reading.LEAST_TOKEN)
    """Reads /metrics, beside API keys that may read."""
    heartbeat_url: str | None = variable("HEARTBEAT_URL", is_hidden=True, read=reading.web_address)
    """Called each minute by a worker while all is well."""
    sentry_dsn: str | None = variable("SENTRY_DSN", is_hidden=True, read=reading.dsn)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What opens doors, and what we sign with."""

    secret_keys: tuple[str, ...] = variable(
        "SECRET_KEY", is_hidden=True, default=DEVELOPMENT_SECRET, read=reading.secrets
    )
    """The newest first: that one signs, all of them are believed while a change is under way."""
    api_keys: tuple[ApiKey, ...] = variable("API_KEYS", unset=(), read=reading.api_keys)
