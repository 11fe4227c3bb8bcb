"""What a page must know of a gateway: one row each, keyed by provider, and one small script in static/.

Sources: Razorpay docs payment-gateway/web-integration/standard/integration-steps; what its checkout.js
loads and calls: razorpay/razorpay-magento etc/csp_whitelist.xml and issues 199, 537 and 542 (2026-06);
PhonePe docs website/standard-checkout/invoke-iframe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from payments_service.gateways.base import Gateway


@dataclass(frozen=True)
class Sources:
    """What the Content-Security-Policy of a page allows beyond our own origin, by directive."""

    script: tuple[str, ...] = ()
    style: tuple[str, ...] = ()
    frame: tuple[str, ...] = ()
    connect: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    form: tuple[str, ...] = ()

    @classmethod
    def all_from(cls, origin: str) -> "Sources":
        return cls(script=(origin,), frame=(origin,), connect=(origin,), image=(origin,), form=(origin,))


@dataclass(frozen=True)
class GatewayRow:
    """The facts of one provider.

    `scripts` are the gateway's own, by mode, where it has any; `stand_in_script` is the path below an API
    address that is not the gateway's. `order_fields` are the members of create-order's answer that `opener`
    needs; `link_field` names the one that is the address of the gateway's own page, where it has one.
    """

    label: str
    domain: str
    scripts: Mapping[str, str]
    stand_in_script: str
    sources: Sources
    opener: str
    order_fields: tuple[str, ...]
    link_field: str = ""


CASHFREE_SCRIPT = "https://sdk.cashfree.com/js/v3/cashfree.js"
RAZORPAY_SCRIPT = "https://checkout.razorpay.com/v1/checkout.js"

STYLES_OF_ITS_OWN = ("'unsafe-inline'",)
"""A gateway's own script writes <style> and style attributes into the page, of which no hash is known. So a
page that loads one takes styles from within, for as long as it can be paid, and never scripts."""

ROWS: Mapping[str, GatewayRow] = {
    "razorpay": GatewayRow(
        label="Razorpay",
        domain="razorpay.com",
        scripts={"test": RAZORPAY_SCRIPT, "live": RAZORPAY_SCRIPT},
        stand_in_script="/v1/checkout.js",
        sources=Sources(
            script=("https://checkout.razorpay.com", "https://cdn.razorpay.com"),
            style=STYLES_OF_ITS_OWN,
            frame=("https://*.razorpay.com",),
            connect=("https://*.razorpay.com",),
            image=("https://*.razorpay.com",),
            form=("https:",),  # posts to Razorpay are redirected to banks, at any address
        ),
        opener="razorpay.js",
        order_fields=("razorpayKey",),
    ),
    "phonepe": GatewayRow(
        label="PhonePe",
        domain="phonepe.com",
        scripts={
            "test": "https://mercury-stg.phonepe.com/web/bundle/checkout.js",
            "live": "https://mercury.phonepe.com/web/bundle/checkout.js",
        },
        stand_in_script="/web/bundle/checkout.js",
        sources=Sources(
            script=("https://mercury.phonepe.com", "https://mercury-stg.phonepe.com"),
            style=STYLES_OF_ITS_OWN,
            frame=("https://*.phonepe.com",),
            connect=("https://*.phonepe.com",),
            image=("https://*.phonepe.com",),
        ),
        opener="phonepe.js",
        order_fields=("redirectUrl",),
        link_field="redirectUrl",
    ),
    "phonepe_v1": GatewayRow(
        label="PhonePe",
        domain="phonepe.com",
        scripts={},
        stand_in_script="",
        sources=Sources(),
        opener="phonepe.js",
        order_fields=("redirectUrl",),
        link_field="redirectUrl",
    ),
    "cashfree": GatewayRow(
        label="Cashfree",
        domain="cashfree.com",
        scripts={"test": CASHFREE_SCRIPT, "live": CASHFREE_SCRIPT},
        stand_in_script="/cashfree.js",
        sources=Sources(
            script=("https://sdk.cashfree.com",),
            style=STYLES_OF_ITS_OWN,
            frame=("https://*.cashfree.com",),
            connect=("https://*.cashfree.com",),
            image=("https://*.cashfree.com",),
            form=("https://*.cashfree.com",),  # leaving is a form posted to …/pg/view/sessions/checkout
        ),
        opener="cashfree.js",
        order_fields=("paymentSessionId",),
    ),
}


@dataclass(frozen=True)
class CheckoutPage:
    """One row as it is for a gateway with these settings."""

    label: str
    script: str
    opener: str
    sources: Sources
    order: Mapping[str, Any] = field(repr=False)
    link: str = field(default="", repr=False)
    """The gateway's own page, which opens without any script."""


def label_of(provider: str) -> str:
    """The gateway's name as a payer knows it."""
    return ROWS[provider].label if provider in ROWS else provider.capitalize()


def checkout_page(gateway: Gateway, mode: str, checkout: Mapping[str, Any]) -> CheckoutPage | None:
    """How a browser opens an order that was made in this mode; None for a gateway without a row."""
    row = ROWS.get(gateway.provider)
    if row is None:
        return None
    script, sources = row.scripts.get(mode, ""), row.sources
    api_url: str = gateway.config.api_url
    if row.scripts and not _is_official(row, api_url):
        script, sources = api_url.rstrip("/") + row.stand_in_script, Sources.all_from(_origin(api_url))
    order = {name: checkout[name] for name in row.order_fields}
    link = order.get(row.link_field, "")
    return CheckoutPage(row.label, script, row.opener, sources, order, link)


def stand_in_origin(gateways: Sequence[Gateway]) -> str | None:
    """Where gateways are imitated: the first API address that is no gateway's own; None beside real ones."""
    for gateway in gateways:
        row = ROWS.get(gateway.provider)
        if row and not _is_official(row, gateway.config.api_url):
            return _origin(gateway.config.api_url)
    return None


def _is_official(row: GatewayRow, api_url: str) -> bool:
    host = urlsplit(api_url).hostname or row.domain
    return host == row.domain or host.endswith(f".{row.domain}")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
