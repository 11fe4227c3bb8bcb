"""Who calls, as far as an address can tell."""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from flask import request

from payments_service.settings import Settings

Address = IPv4Address | IPv6Address
WITH_PORT = re.compile(r"\[(.+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")
"""As some proxies write an address."""
PLATFORM = [
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]
"""Where proxies of a platform are, and no payer."""
HOME_BITS = 64
"""Of an IPv6 address, what one home or machine has for itself: all within count as one caller."""


def caller_address() -> Address | None:
    """Of the client that the trusted hops saw (TRUSTED_PROXY_HOPS), else of whom we are connected to."""
    text = request.remote_addr or ""
    if found := WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def is_ours(origin: str, settings: Settings) -> bool:
    """Our own pages name an origin too, though no browser refuses them."""
    return origin == settings.backend_url or origin.partition("://")[2] == request.host


def caller_network(address: Address) -> str:
    """By what one caller's requests are counted together."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, HOME_BITS), strict=False))
    return str(address)


def is_of_a_platform(address: Address) -> bool:
    return any(address in network for network in PLATFORM)
