"""Doors: HTTP in, JSON out, no decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from flask import current_app, g

from payments_service import logs
from payments_service.api import schemas
from payments_service.api.limits import Budgets
from payments_service.domain.errors import InvalidInput
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway, gateway_of
from payments_service.services import Services


@dataclass(frozen=True, kw_only=True)
class WebServices(Services):
    """The wired service, and what only its doors need."""

    budgets: Budgets
    """How often one caller may ask."""

    def providers(self, gateway_name: str) -> Sequence[Gateway]:
        """The providers of one gateway as the API calls it; InvalidInput names those that are on."""
        found = [gateway for gateway in self.gateways if gateway.name == gateway_name.strip().lower()]
        if not found:
            message = schemas.unknown_gateway(self.gateway_names())
            raise InvalidInput(message, details={"gateway": [message]})
        logs.note(gateway=found[0].name, mode=found[0].mode)
        return found

    @cached_property
    def limits(self) -> schemas.Limits:
        """What create-order takes."""
        least = {name: self.settings.min_amount for name in self.gateway_names()}
        for gateway in reversed(self.gateways):
            least[gateway.name] = max(self.settings.min_amount, gateway.minimum_amount)
        return schemas.Limits(
            least, self.settings.min_amount, self.settings.max_amount, self.settings.return_origins
        )

    def known_gateway(self, gateway_name: str) -> tuple[str, Sequence[Gateway]]:
        """Its name and the providers that are on, if any: a payment is known also when its gateway is off."""
        name = gateway_name.strip().lower()
        if name in {gateway.name for gateway in GATEWAYS}:
            return name, [gateway for gateway in self.gateways if gateway.name == name]
        return name, self.providers(name)

    def order_id_names(self, provider: str) -> tuple[str, ...]:
        """The names under which pages of this provider read the order id."""
        gateway = gateway_of(provider, self.gateways)
        return gateway.order_id_names if gateway else ("orderId",)


def services() -> WebServices:
    return cast(WebServices, current_app.extensions["payments_service"])


def request_id() -> str:
    return cast(str, g.request_id)
