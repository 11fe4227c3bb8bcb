"""What a person sees: the hosted checkout page, and in development a shop to try it from."""

from flask import Flask

from payments_service.pages import docs, pay, shop
from payments_service.pages.assets import asset_url


def register(app: Flask) -> None:
    app.register_blueprint(pay.blueprint)
    app.register_blueprint(shop.blueprint)
    app.register_blueprint(docs.blueprint)
    app.add_template_global(asset_url, "asset_url")
