"""The environment, checked once, as one frozen `Settings`; a wrong start names every wrong variable."""

import base64
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, cast
from urllib.parse import urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from payments_service.domain.money import Money
from payments_service.domain.variables import SHORTEST_SECRET, Variable, WrongVariables, variables_of
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway
from payments_service.settings import names, rules
from payments_service.settings.rules import DEVELOPMENT, PRODUCTION, Errors, listed, note
from payments_service.store.address import POOLER, unknown_parameters

DEVELOPMENT_ORIGINS = ("http://localhost:3000", "http://127.0.0.1:3000")
NOT_BUILT_YET = (
    "HEARTBEAT_URL",
    "METRICS_TOKEN",
    "SENTRY_DSN",
)
"""Promised settings whose parts do not exist yet: set, they would only look as if they worked."""

SCOPES = ("read", "write", "refund", "personal")
_SCOPE = f"(?:{'|'.join(SCOPES)})"
API_KEY = re.compile(rf"[A-Za-z0-9_.-]{{1,40}}:{_SCOPE}(?:\+{_SCOPE})*:[0-9a-f]{{64}}")
SIGNING_PREFIX = "whsec_"
NOTHING_MORE = (("", "", ""), ("/", "", ""))
"""Of path, query and fragment."""
MAX_URL = 180
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")
"""No path, no default port, no pattern: an origin is compared, not matched."""
PARAMETER = re.compile(r"[a-zA-Z_]{1,40}")
EMPTY_KEY = hashlib.sha256(b"").hexdigest()
ORDER_LIMITS = "60/minute, 10/minute"
ORDER_LIMIT = r"[1-9][0-9]{0,5}/(?:second|minute|hour|day)"
ORDER_LIMITS_FORM = re.compile(rf"({ORDER_LIMIT})(?: an address)?\s*,\s*({ORDER_LIMIT})(?: a phone)?")


class SettingsError(Exception):
    """The environment is not usable; the message names every variable and what is wrong with it."""

    def __init__(self, errors: Errors) -> None:
        self.errors = errors
        lines = [f"  {name}: {' '.join(messages)}" for name, messages in sorted(errors.items())]
        super().__init__("The settings are not usable:\n" + "\n".join(lines))


@dataclass(frozen=True)
class ApiKey:
    """A key of the merchant's server, known by its SHA-256 alone.

    Two may bear one name while the newer takes the older one's place: what the name owns stays its own.
    """

    name: str
    scopes: frozenset[str]
    digest: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    env: str
    port: int
    frontend_urls: tuple[str, ...]
    backend_url: str
    return_url: str
    merchant_name: str
    database_url: str = field(repr=False)
    secret_keys: tuple[str, ...] = field(repr=False)
    """The newest first: that one signs, all of them are believed while a change is under way."""
    trusted_proxy_hops: int
    webhook_allowed_ips: tuple[IPv4Network | IPv6Network, ...]
    """Empty: webhooks come from anywhere, and their signature decides."""
    order_limits: Mapping[str, str]
    """Of create-order by `address` and by `phone`; empty when limits are off."""
    redis_url: str | None = field(repr=False)
    log_level: str
    log_format: str
    min_amount: Money
    max_amount: Money
    order_expiry: timedelta
    merchant_webhook_url: str | None = field(repr=False)
    merchant_webhook_secrets: tuple[str, ...] = field(repr=False)
    smtp_url: str | None = field(repr=False)
    mail_from: str
    ops_email: str | None
    reviews_late_success: bool
    requires_quote: bool
    """Whether a browser must bring a price that the merchant signed."""
    celery_broker_url: str | None = field(repr=False)
    api_keys: tuple[ApiKey, ...]
    gateways: tuple[tuple[type[Gateway], Any], ...]
    """Each configured provider with its own frozen config."""

    @property
    def secret_key(self) -> str:
        return self.secret_keys[0]

    @property
    def is_development(self) -> bool:
        return self.env == DEVELOPMENT

    @property
    def return_origins(self) -> frozenset[str]:
        """Where a payer may be sent back to."""
        return frozenset(_origin(url) for url in (*self.frontend_urls, self.backend_url, self.return_url))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read and check; raises SettingsError. An empty variable counts as one that is not set."""
        given = {k: v.strip() for k, v in (environment or os.environ).items() if v.strip()}
        values, errors = _load(given)
        gateways = tuple(_configured_gateways(given, errors))
        _check_names(given, errors)
        rules.check(values, given, errors)
        if errors:
            raise SettingsError(errors)
        return _settings(values, gateways)


def _origin_list(text: str) -> tuple[str, ...]:
    return tuple(part.rstrip("/") for part in listed(text))


def _is_web_address(text: str) -> None:
    parts = urlsplit("")
    with suppress(ValueError):
        urlsplit(text).port  # noqa: B018 (raises for one that is none)
        parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValidationError("must be an address that begins with https:// (or http://)")


def _is_server_address(text: str) -> None:
    """What comes below the address is ours: a path in it would be in every link twice, or missing."""
    _is_web_address(text)
    if text.partition("://")[2].removesuffix("/") != urlsplit(text).netloc:
        raise ValidationError("must be an address without a path, like https://pay.example.com")


def _is_secrets(text: str) -> None:
    if not listed(text):
        raise ValidationError("names nothing")
    if any(len(secret) < SHORTEST_SECRET for secret in listed(text)):
        raise ValidationError(f"must have at least {SHORTEST_SECRET} characters, each of a list")


def _is_origins(text: str) -> None:
    for part in _origin_list(text):
        if not ORIGIN.fullmatch(part) or part.endswith((":80", ":443")):
            raise ValidationError(
                f"{part!r} must be an origin as browsers send it, like https://shop.example.com"
            )


def _is_database(text: str) -> None:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValidationError("must be a database URL") from None
    if url.drivername not in ("sqlite", "postgres", "postgresql", "postgresql+psycopg"):
        raise ValidationError("must be a sqlite:/// or a postgresql:// URL")
    if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValidationError("must name a file, like sqlite:///payments.db")
    if unknown := unknown_parameters(url):
        raise ValidationError(f"has parameters that the driver does not know: {_shown(unknown)}")
    if url.query.get(POOLER, "true") not in ("true", "false"):
        raise ValidationError(f"must say {POOLER}=true, or leave it out")


def _shown(parameters: list[str]) -> str:
    """What is no name may be the rest of a password that has a question mark in it."""
    names = [
        name if re.fullmatch("[a-zA-Z_]{1,40}", name) else "(one that is no name)" for name in parameters
    ]
    advice = "; write ? & @ in a password as %3F %26 %40" if names != parameters else ""
    return ", ".join(names) + advice


def _is_broker(text: str) -> None:
    if find_spec("celery") is None:
        raise ValidationError("needs Celery: pip install -r requirements-celery.txt")
    if urlsplit(text).scheme not in ("redis", "rediss", "amqp", "amqps"):
        raise ValidationError("must be a redis:// or amqp:// URL (rediss://, amqps://)")


def _is_redis(text: str) -> None:
    if urlsplit(text).scheme not in ("redis", "rediss"):
        raise ValidationError("must be a redis:// URL (rediss:// for TLS)")


def _is_networks(text: str) -> None:
    for part in listed(text) or [text]:
        try:
            ip_network(part)
        except ValueError as error:
            raise ValidationError(f"{part!r} must be an address or a network like 203.0.113.0/24") from error


def _is_order_limits(text: str) -> None:
    if text != "off" and not ORDER_LIMITS_FORM.fullmatch(text):
        raise ValidationError(f"must be off, or two limits, an address and a phone, like {ORDER_LIMITS}")


def _is_signing_secrets(text: str) -> None:
    for secret in listed(text) or [""]:
        try:
            key = base64.b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
        except ValueError:
            key = b""
        if not secret.startswith(SIGNING_PREFIX) or not 24 <= len(key) <= 64:
            raise ValidationError(f"must be {SIGNING_PREFIX} and the base64 of 24 to 64 bytes, or a list")


def _is_mail_server(text: str) -> None:
    parts = urlsplit("")
    try:
        parts = urlsplit(text)
        is_server = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.port != 0
    except ValueError:
        is_server = False
    if not is_server or parts[2:] not in NOTHING_MORE or bool(parts.username) != bool(parts.password):
        raise ValidationError("must be smtp://user:password@host:port (smtps:// for TLS from the start)")


def _is_sender(text: str) -> None:
    """An address, or a name and an address, as the header of an e-mail takes it."""
    letter = EmailMessage()
    with suppress(ValueError):
        letter["From"] = text
    senders = letter["From"].addresses if "From" in letter and not letter["From"].defects else ()
    if [bool(sender.domain) and sender.addr_spec.isascii() for sender in senders] != [True]:
        raise ValidationError("must be an address, or Name <address>")


def _is_api_keys(text: str) -> None:
    entries = listed(text)
    if not all(API_KEY.fullmatch(entry) for entry in entries):
        raise ValidationError("must be name:scopes:sha256hex entries, as `flask api-key NAME` prints them")
    keys = [entry.split(":") for entry in entries]
    if len({digest for _, _, digest in keys}) < len(keys):
        raise ValidationError("has the same key twice")
    rights = {(name, frozenset(scopes.split("+"))) for name, scopes, _ in keys}
    if len(rights) > len({name for name, _ in rights}):
        raise ValidationError("names a key twice with different scopes")
    if EMPTY_KEY in {digest for _, _, digest in keys}:
        raise ValidationError("has the SHA-256 of nothing at all, which is no key")


class _Environment(Schema):
    """The variables that are not a gateway's."""

    class Meta:
        unknown = EXCLUDE

    APP_ENV = fields.String(load_default=PRODUCTION, validate=validate.OneOf([DEVELOPMENT, PRODUCTION]))
    PORT = fields.Integer(load_default=5000, validate=validate.Range(1, 65535))
    FRONTEND_URL = fields.String(load_default="", validate=_is_origins)
    BACKEND_URL = fields.String(validate=_is_server_address)
    RENDER_EXTERNAL_URL = fields.String(validate=_is_server_address)
    RETURN_URL = fields.String(validate=[_is_web_address, validate.Length(max=MAX_URL)])
    MERCHANT_NAME = fields.String(validate=validate.Length(max=100))
    DATABASE_URL = fields.String(validate=_is_database)
    DATABASE_POOLER = fields.String(load_default="false", validate=validate.OneOf(["true", "false"]))
    SECRET_KEY = fields.String(validate=_is_secrets)
    TRUSTED_PROXY_HOPS = fields.Integer(load_default=0, validate=validate.Range(0, 10))
    LOG_LEVEL = fields.String(
        load_default="INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])
    )
    LOG_FORMAT = fields.String(load_default="text", validate=validate.OneOf(["text", "json"]))
    MIN_AMOUNT = fields.String(load_default="1")
    MAX_AMOUNT = fields.String(load_default="500000")
    # 15 minutes is the least that one gateway takes, an hour the most that another does.
    ORDER_EXPIRY = fields.Integer(load_default=1800, validate=validate.Range(900, 3600))
    MERCHANT_WEBHOOK_URL = fields.String(validate=_is_web_address)
    MERCHANT_WEBHOOK_SECRET = fields.String(validate=_is_signing_secrets)
    SMTP_URL = fields.String(validate=_is_mail_server)
    MAIL_FROM = fields.String(validate=_is_sender)
    OPS_EMAIL = fields.Email()
    CELERY_BROKER_URL = fields.String(validate=_is_broker)
    REDIS_URL = fields.String(validate=_is_redis)
    ORDER_LIMITS = fields.String(load_default=ORDER_LIMITS, validate=_is_order_limits)
    WEBHOOK_ALLOWED_IPS = fields.String(load_default="", validate=_is_networks)
    API_KEYS = fields.String(load_default="", validate=_is_api_keys)
    LATE_SUCCESS = fields.String(load_default="complete", validate=validate.OneOf(["complete", "review"]))
    ALLOW_TEST_MODE = fields.String(load_default="false", validate=validate.OneOf(["true", "false"]))
    REQUIRE_QUOTE = fields.String(validate=validate.OneOf(["true", "false"]))


def _load(given: Mapping[str, str]) -> tuple[dict[str, Any], Errors]:
    try:
        return cast(dict[str, Any], _Environment().load(given)), {}
    except ValidationError as error:
        return dict(cast(dict[str, Any], error.valid_data)), cast(Errors, error.messages_dict)


def variable_names() -> Iterator[str]:
    """Every variable that the service reads."""
    yield from _Environment().fields
    for gateway in GATEWAYS:
        yield from (declared.name for _, declared in variables_of(gateway.config_type))


# ── gateways ────────────────────────────────────────────────────────────────────────────────────────


def _configured_gateways(given: Mapping[str, str], errors: Errors) -> Iterator[tuple[type[Gateway], Any]]:
    """Those that are on and complete; of the others, what is missing or wrong is noted."""
    for gateway in GATEWAYS:
        declared = dict(variables_of(gateway.config_type))
        values = {field_name: _variable_value(v, given, errors) for field_name, v in declared.items()}
        if not rules.is_on(gateway, given):
            continue
        missing = [v.name for v in declared.values() if v.default is None and v.name not in given]
        for name in missing:
            note(errors, name, f"is missing, {gateway.provider} is only partly configured")
        try:
            config = gateway.config_type(**values)
        except WrongVariables as error:
            for name in error.sentences.keys() - errors.keys():
                note(errors, name, error.sentences[name])
            continue
        if not missing and not errors.keys() & {v.name for v in declared.values()}:
            yield gateway, config


def _variable_value(declared: Variable, given: Mapping[str, str], errors: Errors) -> str | tuple[str, ...]:
    text = given.get(declared.name, declared.default or "")
    entries = listed(text) if declared.is_list else (text,)
    try:
        if declared.choices and declared.name in given and text not in declared.choices:
            raise ValidationError(f"must be one of: {', '.join(declared.choices)}")
        if declared.is_url and text:
            _is_web_address(text)
        if text and not entries:
            raise ValidationError("names nothing")
        if text and any(len(entry) < declared.least_characters for entry in entries):
            each = ", each of a list" if declared.is_list else ""
            raise ValidationError(f"must have at least {declared.least_characters} characters{each}")
    except ValidationError as error:
        for sentence in cast(list[str], error.messages):
            note(errors, declared.name, sentence)
    return entries if declared.is_list else text


def _check_names(given: Mapping[str, str], errors: Errors) -> None:
    for name in NOT_BUILT_YET:
        if name in given:
            note(errors, name, "is not supported yet; remove it")
    for name, nearest in names.misspelt(given, {*variable_names(), *NOT_BUILT_YET}):
        note(errors, name, f"is not a setting; did you mean {nearest}?")


def _settings(values: dict[str, Any], gateways: tuple[tuple[type[Gateway], Any], ...]) -> Settings:
    port = values["PORT"]
    is_development = values["APP_ENV"] == DEVELOPMENT
    frontend_urls = _origin_list(values["FRONTEND_URL"])
    backend_url = values.get("BACKEND_URL") or values.get("RENDER_EXTERNAL_URL") or f"http://127.0.0.1:{port}"
    backend_url = backend_url.rstrip("/")
    if is_development:
        frontend_urls = tuple(dict.fromkeys((*frontend_urls, *DEVELOPMENT_ORIGINS)))
    return Settings(
        env=values["APP_ENV"],
        port=port,
        frontend_urls=frontend_urls,
        backend_url=backend_url,
        return_url=values.get("RETURN_URL") or f"{frontend_urls[0]}/payment-status",
        merchant_name=values.get("MERCHANT_NAME", rules.EXAMPLE_MERCHANT),
        database_url=_database_url(values),
        secret_keys=listed(values.get("SECRET_KEY", rules.DEVELOPMENT_SECRET)),
        trusted_proxy_hops=values["TRUSTED_PROXY_HOPS"],
        webhook_allowed_ips=tuple(ip_network(part) for part in listed(values["WEBHOOK_ALLOWED_IPS"])),
        order_limits=_order_limits(values["ORDER_LIMITS"]),
        redis_url=values.get("REDIS_URL"),
        log_level=values["LOG_LEVEL"],
        log_format=values["LOG_FORMAT"],
        min_amount=values["MIN_AMOUNT"],
        max_amount=values["MAX_AMOUNT"],
        order_expiry=timedelta(seconds=values["ORDER_EXPIRY"]),
        merchant_webhook_url=values.get("MERCHANT_WEBHOOK_URL"),
        merchant_webhook_secrets=listed(values.get("MERCHANT_WEBHOOK_SECRET", "")),
        smtp_url=values.get("SMTP_URL"),
        mail_from=values.get("MAIL_FROM", ""),
        ops_email=values.get("OPS_EMAIL"),
        celery_broker_url=values.get("CELERY_BROKER_URL"),
        reviews_late_success=values["LATE_SUCCESS"] == "review",
        requires_quote=values.get("REQUIRE_QUOTE") == "true",
        api_keys=tuple(_api_keys(values["API_KEYS"])),
        gateways=gateways,
    )


def _database_url(values: Mapping[str, Any]) -> str:
    """The URL carries what DATABASE_POOLER says, so that there is one place to look."""
    text: str = values.get("DATABASE_URL", "sqlite:///payments.db")
    url = make_url(text)
    if values["DATABASE_POOLER"] == "false" or url.drivername == "sqlite":
        return text
    return url.update_query_dict({POOLER: "true"}).render_as_string(hide_password=False)


def _order_limits(text: str) -> Mapping[str, str]:
    found = ORDER_LIMITS_FORM.fullmatch(text)
    return {"address": found[1], "phone": found[2]} if found else {}


def _api_keys(text: str) -> Iterator[ApiKey]:
    for entry in listed(text):
        name, scopes, digest = entry.split(":")
        yield ApiKey(name, frozenset(scopes.split("+")), digest)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
