"""What a start tells, one line each: gateways with their mode, the database, who is told, what is off."""

import logging
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway
from payments_service.settings import Settings

log = logging.getLogger(__name__)


def tell(settings: Settings, gateways: Sequence[Gateway]) -> None:
    """Log it once a process; no password, no user and no path of an address is in it."""
    modes = {gateway.provider: f"{gateway.mode}, {_host(gateway.config.api_url)}" for gateway in gateways}
    log.info("Gateways", extra={"data": {"env": settings.env, **modes}})
    log.info("Database", extra={"data": dict(_database(settings.database_url))})
    log.info("Told", extra={"data": dict(_told(settings))})
    log.info("Off", extra={"data": {"off": list(_off(settings, gateways))}})


def _database(url: str) -> Iterator[tuple[str, str]]:
    parts = make_url(url)
    is_file = parts.drivername.startswith("sqlite")
    yield "kind", "sqlite" if is_file else "postgresql"
    if is_file:
        yield "file", parts.database or ""
    else:
        yield "host", str(parts.host or parts.query.get("host") or "local socket")


def _told(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.merchant_webhook_url:
        yield "merchant", _host(settings.merchant_webhook_url)
    if settings.smtp_url:
        mail = f"by mail through {_host(settings.smtp_url)}"
        yield "payers", mail
        if settings.ops_email:
            yield "operators", mail


def _off(settings: Settings, gateways: Sequence[Gateway]) -> Iterator[str]:
    """Each by the setting that would switch it on; a gateway by its name."""
    on = {gateway.provider for gateway in gateways}
    yield from (gateway.provider for gateway in GATEWAYS if gateway.provider not in on)
    parts = {
        "MERCHANT_WEBHOOK_URL": settings.merchant_webhook_url,
        "SMTP_URL": settings.smtp_url,
        "OPS_EMAIL": settings.ops_email,
        "API_KEYS": settings.api_keys,
        "CELERY_BROKER_URL": settings.celery_broker_url,
        "METRICS_TOKEN": settings.metrics_token,
        "HEARTBEAT_URL": settings.heartbeat_url,
        "SENTRY_DSN": settings.sentry_dsn,
    }
    yield from (name for name, value in parts.items() if not value)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
