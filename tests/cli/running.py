"""A service in this process whose only gateway is one by hand, and its commands."""

from dataclasses import dataclass, replace
from typing import Any

from click.testing import Result
from flask import Flask

from payments_service.api import Services
from payments_service.flows.create_order import Urls, create_order
from payments_service.flows.payment_view import PaymentView
from payments_service.store.db import Database
from tests.flows.conftest import PRICE, wish
from tests.flows.delivering import channels
from tests.support.fake_gateway import FakeGateway

REQUEST = "request-of-24-characters"


@dataclass
class Shop:
    app: Flask
    gateway: FakeGateway

    @property
    def db(self) -> Database:
        services: Services = self.app.extensions["payments_service"]
        return services.db

    def command(self, *arguments: str, given: str | None = None) -> Result:
        with self.app.app_context():
            return self.app.test_cli_runner().invoke(args=arguments, input=given)

    def says(self, *arguments: str, exit_code: int = 0, given: str | None = None) -> str:
        """All that it prints, on both channels."""
        result = self.command(*arguments, given=given)
        assert result.exit_code == exit_code, (result.output, result.exception)
        return result.output

    def buy(self, **changes: Any) -> PaymentView:
        self.gateway.status, self.gateway.attempts = self.gateway.__class__().status, ()
        urls = Urls("http://127.0.0.1:5000")
        return create_order(self.db, self.gateway, replace(wish(), **changes), urls, REQUEST)

    def pays(self, transaction_id: str = "pay_1", bank_reference: str | None = None) -> None:
        """From now on the gateway says so."""
        self.gateway.paid(transaction_id, PRICE)
        [attempt] = self.gateway.attempts
        self.gateway.attempts = (replace(attempt, bank_reference=bank_reference),)


def shop_of(app: Flask, gateway: FakeGateway) -> Shop:
    services: Services = app.extensions["payments_service"]
    services.db.destinations = ("merchant",)
    told = channels("http://127.0.0.1:9/hooks")
    app.extensions["payments_service"] = replace(services, gateways=(gateway,), channels=told)
    return Shop(app, gateway)
