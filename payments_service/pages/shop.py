"""In development only: a shop to try payments from, where it lands, and what can be seen of a payment.

The shop takes its prices from its own server, as a quote; for the rest, shop and status page use the public
API alone. The panel beside them also reads the history of one payment.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from payments_service.api import guards, services
from payments_service.api.bodies import json_body
from payments_service.api.described import undescribed
from payments_service.domain.clock import utc_now
from payments_service.domain.errors import InvalidInput
from payments_service.domain.money import Money
from payments_service.flows import quotes
from payments_service.flows.history import Step, steps_of
from payments_service.flows.quotes import Quote
from payments_service.pages.gateways import label_of, stand_in_origin
from payments_service.pages.language import reader_language
from payments_service.pages.security import add_headers
from payments_service.pages.words import Speech

blueprint = Blueprint("shop", __name__, template_folder="templates")
blueprint.after_request(add_headers)

QUOTE_LASTS = timedelta(minutes=15)
"""In the shop of development."""
ENDINGS = ("looking", "completed", "failed", "expired", "authorized", "pending", "unknown")


@dataclass(frozen=True)
class Product:
    name: str
    about: str
    price: Money
    picture: str


PRODUCTS = (
    Product("Masala chai", "One cup, with a biscuit", Money(10_50), "cup"),
    Product("Course in photography", "Six evenings, small group", Money(499_00), "camera"),
    Product("Laptop", "14 inches, 16 GB", Money(1_24_999_00), "laptop"),
)
METHODS = {
    "razorpay": "opens in front of the page",
    "phonepe": "takes the page’s place",
    "cashfree": "takes the page’s place",
}


@blueprint.get("/")
@guards.development_only
@undescribed("the demo shop, in development only")
def shop() -> ResponseReturnValue:
    house = services()
    return render_template(
        "pages/shop.html",
        say=Speech("en", {}),
        merchant=house.settings.merchant_name,
        products=PRODUCTS,
        gateways=[(name, label_of(name), METHODS.get(name, "")) for name in house.gateway_names()],
        return_url=f"{house.settings.backend_url}/payment-status",
        simulator=stand_in_origin(house.gateways),
    )


@blueprint.post("/demo/quote")
@guards.development_only
@undescribed("the demo shop, in development only")
def price() -> ResponseReturnValue:
    """What a shop's own server does when the buyer presses Pay: a new order number, at the shop's own price.

    A shop elsewhere asks `POST /api/quote` for it, with its API key.
    """
    house = services()
    wanted = json_body()
    name = wanted.get("product") if isinstance(wanted, dict) else None
    product = next((one for one in PRODUCTS if one.name == name), None)
    if product is None:
        raise InvalidInput("There is no such product", details={"product": ["There is no such product"]})
    quote = Quote(
        amount=product.price,
        reference=f"DEMO-{secrets.token_hex(4).upper()}",
        description=product.name,
        user_id=None,
        metadata={},
        expires_at=utc_now() + QUOTE_LASTS,
    )
    return {"quote": quotes.sign(quote, house.settings.secret_keys, house.mode), "reference": quote.reference}


@blueprint.get("/payment-status")
@guards.development_only
@undescribed("the demo shop, in development only")
def payment_status() -> ResponseReturnValue:
    house = services()
    merchant = house.settings.merchant_name
    say = Speech(reader_language(), {"merchant": merchant})
    receipt = {name: say(f"receipt.{name}") for name in ("method", "order", "payment", "refunded")}
    words = {"endings": say.pairs(*ENDINGS, prefix="shop."), "receipt": receipt, "check": say("check")}
    simulator = stand_in_origin(house.gateways)
    return render_template("pages/status.html", say=say, merchant=merchant, facts=words, simulator=simulator)


@blueprint.get("/demo/history/<uuid:payment_id>")
@guards.development_only
@undescribed("the demo shop, in development only")
def what_happened(payment_id: UUID) -> ResponseReturnValue:
    """Every step of a payment so far, for the panel."""
    return {"steps": [_told(step) for step in steps_of(services().db, payment_id)]}


def _told(step: Step) -> dict[str, object]:
    return {
        "id": str(step.id),
        "at": step.at.isoformat(),
        "kind": step.kind,
        "source": step.source,
        "what": step.what,
        "before": step.before,
        "after": step.after,
        "evidence": step.evidence,
    }
