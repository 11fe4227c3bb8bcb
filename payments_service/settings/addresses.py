"""Which web addresses lead to this machine or into a private network, however they are spelt."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import inet_aton
from urllib.parse import urlsplit

DEVELOPMENT_NAMES = (
    *("localhost", "localdomain", "local", "test", "invalid"),
    *("internal", "intranet", "lan", "home.arpa"),
)
"""Last parts of names that no public name server knows."""


def is_loopback(url: str) -> bool:
    """Whether the address is this machine itself."""
    host = _host(url)
    ip = _ip(host)
    return ip.is_loopback if ip else host == "localhost" or host.endswith(".localhost")


def is_private(url: str) -> bool:
    """Whether no payer and no gateway on the internet can reach the address."""
    host = _host(url)
    ip = _ip(host)
    if ip:
        return not ip.is_global
    return "." not in host or f".{host}".endswith(tuple(f".{name}" for name in DEVELOPMENT_NAMES))


def _host(url: str) -> str:
    """The host as a browser asks for it: in lower case, full-width letters and dots as plain ones."""
    try:
        return (urlsplit(url).hostname or "").encode("idna").decode().lower().rstrip(".")
    except ValueError:
        return ""


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    """An IP address, also one written as 127.1, 2130706433 or 0x7f.1, or inside an IPv6 address."""
    with suppress(ValueError):
        ip = ip_address(host.partition("%")[0])
        return (isinstance(ip, IPv6Address) and ip.ipv4_mapped) or ip
    with suppress(OSError):
        return IPv4Address(inet_aton(host))
    return None
