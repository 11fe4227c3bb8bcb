"""In development only: a shop to try payments from, and where it lands. Both use the public API alone."""

from dataclasses import dataclass

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from payments_service.api import guards, services
from payments_service.money import Money, json_number
from payments_service.pages.security import add_headers

blueprint = Blueprint("shop", __name__, template_folder="templates")
blueprint.after_request(add_headers)


@dataclass(frozen=True)
class Product:
    name: str
    about: str
    price: Money

    @property
    def amount(self) -> int | float:
        return json_number(self.price)


PRODUCTS = (
    Product("Masala chai", "One cup, with a biscuit", Money(10_50)),
    Product("Course in photography", "Six evenings, small group", Money(499_00)),
    Product("Laptop", "14 inches, 16 GB", Money(1_24_999_00)),
)


@blueprint.get("/")
@guards.development_only
def shop() -> ResponseReturnValue:
    house = services()
    return render_template(
        "pages/shop.html",
        merchant=house.settings.merchant_name,
        products=PRODUCTS,
        gateways=house.gateway_names(),
        return_url=f"{house.settings.backend_url}/payment-status",
    )


@blueprint.get("/payment-status")
@guards.development_only
def payment_status() -> ResponseReturnValue:
    return render_template("pages/status.html", merchant=services().settings.merchant_name)
