"""What each kind of setting may be: a reader makes the value of the text, or raises ValueError with a
sentence that follows the variable's name."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from payments_service.domain.money import Money
from payments_service.domain.variables import SHORTEST_SECRET
from payments_service.store.address import POOLER, unknown_parameters

DSN = re.compile(r"https?://[0-9A-Za-z]+@[^/?#@]+(/[^?#@]*)?/[0-9]+")
LEAST_TOKEN = 16

SCOPES = ("read", "write", "refund", "personal")
_SCOPE = f"(?:{'|'.join(SCOPES)})"
KEY_PREFIX = "psk_"
"""How every key begins that `flask api-key` makes."""
API_KEY = re.compile(rf"[A-Za-z0-9_.-]{{1,40}}:{_SCOPE}(?:\+{_SCOPE})*:[0-9a-f]{{64}}")
EMPTY_KEY = hashlib.sha256(b"").hexdigest()
SIGNING_PREFIX = "whsec_"
NOTHING_MORE = (("", "", ""), ("/", "", ""))
"""Of path, query and fragment."""
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")
"""No path, no default port, no pattern: an origin is compared, not matched."""
PARAMETER = re.compile(r"[a-zA-Z_]{1,40}")
ORDER_LIMITS = "60/minute, 10/minute"
ORDER_LIMIT = r"[1-9][0-9]{0,5}/(?:second|minute|hour|day)"
ORDER_LIMITS_FORM = re.compile(rf"({ORDER_LIMIT})(?: an address)?\s*,\s*({ORDER_LIMIT})(?: a phone)?")


@dataclass(frozen=True)
class ApiKey:
    """A key of the merchant's server, known by its SHA-256 alone.

    Two may bear one name while the newer takes the older one's place: what the name owns stays its own.
    """

    name: str
    scopes: frozenset[str]
    digest: str = field(repr=False)


def listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def is_true(text: str) -> bool:
    """For choices of true and false."""
    return text == "true"


def whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if re.fullmatch("[0-9]{1,9}", text) else -1
        if not least <= number <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return number

    return read


def words(*, least: int = 0, most: int = 1_000) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not least <= len(text) <= most:
            raise ValueError(f"must have {least or 1} to {most} characters")
        return text

    return read


def seconds(least: int, most: int) -> Callable[[str], timedelta]:
    return lambda text: timedelta(seconds=whole(least, most)(text))


def rupees(text: str) -> Money:
    try:
        return Money.from_major(text)
    except ValueError:
        raise ValueError("must be rupees with at most two decimals") from None


def web_address(text: str) -> str:
    parts = urlsplit("")
    with suppress(ValueError):
        urlsplit(text).port  # noqa: B018 (raises for one that is none)
        parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must be an address that begins with https:// (or http://)")
    return text


def short_web_address(text: str) -> str:
    """One that is part of others, which gateways take up to some length."""
    return words(most=180)(web_address(text))


def server_address(text: str) -> str:
    """What comes below the address is ours: a path in it would be in every link twice, or missing."""
    web_address(text)
    if text.partition("://")[2].removesuffix("/") != urlsplit(text).netloc:
        raise ValueError("must be an address without a path, like https://pay.example.com")
    return text.rstrip("/")


def origins(text: str) -> tuple[str, ...]:
    found = tuple(part.rstrip("/") for part in listed(text))
    for part in found:
        if not ORIGIN.fullmatch(part) or part.endswith((":80", ":443")):
            raise ValueError(f"{part!r} must be an origin as browsers send it, like https://shop.example.com")
    return found


def secrets(text: str) -> tuple[str, ...]:
    if not listed(text):
        raise ValueError("names nothing")
    if any(len(secret) < SHORTEST_SECRET for secret in listed(text)):
        raise ValueError(f"must have at least {SHORTEST_SECRET} characters, each of a list")
    return listed(text)


def signing_secrets(text: str) -> tuple[str, ...]:
    for secret in listed(text) or [""]:
        try:
            key = base64.b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
        except ValueError:
            key = b""
        if not secret.startswith(SIGNING_PREFIX) or not 24 <= len(key) <= 64:
            raise ValueError(f"must be {SIGNING_PREFIX} and the base64 of 24 to 64 bytes, or a list")
    return listed(text)


def database(text: str) -> str:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("must be a database URL") from None
    if url.drivername not in ("sqlite", "postgres", "postgresql", "postgresql+psycopg"):
        raise ValueError("must be a sqlite:/// or a postgresql:// URL")
    if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError("must name a file, like sqlite:///payments.db")
    if unknown := unknown_parameters(url):
        raise ValueError(f"has parameters that the driver does not know: {_shown(unknown)}")
    if url.query.get(POOLER, "true") not in ("true", "false"):
        raise ValueError(f"must say {POOLER}=true, or leave it out")
    return text


def _shown(parameters: list[str]) -> str:
    """A URL's parameters begin at a question mark, also at one in a password: a parameter that does not look
    like a name may be the rest of the password, and is not shown."""
    names = [name if PARAMETER.fullmatch(name) else "(one that is no name)" for name in parameters]
    advice = "; write ? & @ in a password as %3F %26 %40" if names != parameters else ""
    return ", ".join(names) + advice


def broker(text: str) -> str:
    if find_spec("celery") is None:
        raise ValueError("needs Celery: pip install -r requirements-celery.txt")
    if urlsplit(text).scheme not in ("redis", "rediss", "amqp", "amqps"):
        raise ValueError("must be a redis:// or amqp:// URL (rediss://, amqps://)")
    return text


def redis(text: str) -> str:
    if urlsplit(text).scheme not in ("redis", "rediss"):
        raise ValueError("must be a redis:// URL (rediss:// for TLS)")
    return text


def dsn(text: str) -> str:
    if not DSN.fullmatch(text):
        raise ValueError("must be a DSN as Sentry shows it, like https://key@host/123")
    if find_spec("sentry_sdk") is None:
        raise ValueError("needs Sentry's client: pip install -r requirements-sentry.txt")
    return text


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    found = []
    for part in listed(text) or [text]:
        try:
            found.append(ip_network(part))
        except ValueError:
            raise ValueError(f"{part!r} must be an address or a network like 203.0.113.0/24") from None
    return tuple(found)


def order_limits(text: str) -> Mapping[str, str]:
    """By `address` and by `phone`; empty when they are off."""
    if text == "off":
        return {}
    if found := ORDER_LIMITS_FORM.fullmatch(text):
        return {"address": found[1], "phone": found[2]}
    raise ValueError(f"must be off, or two limits, an address and a phone, like {ORDER_LIMITS}")


def mail_server(text: str) -> str:
    parts = urlsplit("")
    try:
        parts = urlsplit(text)
        is_server = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.port != 0
    except ValueError:
        is_server = False
    if not is_server or parts[2:] not in NOTHING_MORE or bool(parts.username) != bool(parts.password):
        raise ValueError("must be smtp://user:password@host:port (smtps:// for TLS from the start)")
    return text


def sender(text: str) -> str:
    """An address, or a name and an address, as the header of an e-mail takes it."""
    letter = EmailMessage()
    with suppress(ValueError):
        letter["From"] = text
    senders = letter["From"].addresses if "From" in letter and not letter["From"].defects else ()
    if [bool(one.domain) and one.addr_spec.isascii() for one in senders] != [True]:
        raise ValueError("must be an address, or Name <address>")
    return text


def mail_address(text: str) -> str:
    with suppress(ValueError):
        if "<" not in sender(text) and "." in text.rpartition("@")[2]:
            return text
    raise ValueError("must be an e-mail address")


def api_keys(text: str) -> tuple[ApiKey, ...]:
    entries = listed(text)
    if not all(API_KEY.fullmatch(entry) for entry in entries):
        raise ValueError("must be name:scopes:sha256hex entries, as `flask api-key NAME` prints them")
    parts = [entry.split(":") for entry in entries]
    keys = tuple(ApiKey(name, frozenset(scopes.split("+")), digest) for name, scopes, digest in parts)
    digests = {key.digest for key in keys}
    if len(digests) < len(keys):
        raise ValueError("has the same key twice")
    if len({(key.name, key.scopes) for key in keys}) > len({key.name for key in keys}):
        raise ValueError("names a key twice with different scopes")
    if EMPTY_KEY in digests:
        raise ValueError("has the SHA-256 of nothing at all, which is no key")
    return keys
