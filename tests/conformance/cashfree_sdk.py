"""What the suites of cashfree_pg 6.0.1 have at hand.

Nothing of the SDK is changed but where its requests go: both its hosts are written into each of its methods,
so they are exchanged below them, in an ApiClient.
"""

import os
from typing import Any

import pytest
from cashfree_words import Answers, order_request, sdk
from conftest import Answer, Coverage, Simulator, call

APP_ID, APP_SECRET = "TEST_simulator_app", "simulator_cashfree_app_secret"
HEADERS = {"x-client-id": APP_ID, "x-client-secret": APP_SECRET, "x-api-version": "2025-01-01"}
HOSTS = ("https://sandbox.cashfree.com/pg", "https://api.cashfree.com/pg")
LEFT_OUT = (
    "PGCreateCustomer",  # customers and their saved cards: this service keeps none at a gateway
    "PGCustomer",
    "PGGetCardBin",
    "PGCreatePar",
    "PGEligibility",  # what the browser's checkout shows, and offers
    "PGCreateOffer",
    "PGFetchOffer",
    "PGes",  # easy-split: a market's vendors
    "PGOrderSplitAfterPayment",
    "PGOrderStaticSplit",
    "PGSplitOrderRecon",
    "PGCreateLink",  # payment links: orders of another product
    "PGFetchLink",
    "PGCancelLink",
    "PGLinkFetchOrders",
    "PGPayOrderAuthorizeOnly",  # takes data of somebody else's 3-D Secure
    "PGUpdateOrderExtendedData",  # the goods' delivery
)
"""How the names of the PG* calls begin that are not of our domain; Subs*, Spos* and downtimes neither."""


def pytest_configure(config: pytest.Config) -> None:
    """What pydantic says about the SDK."""
    for filter_ in ("ignore::DeprecationWarning", "ignore:Pydantic serializer warnings:UserWarning"):
        config.addinivalue_line("filterwarnings", filter_)


class SimulatorsClient(sdk.ApiClient):
    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        for host in HOSTS:
            if url.startswith(host):
                url = f"{os.environ['SIMULATOR_URL']}/cashfree/pg{url[len(host) :]}"
        return super().request(method, url, *arguments, **options)


@pytest.fixture(scope="session", autouse=True)
def watched(coverage: Coverage) -> None:
    sdk.ApiClient.set_default(SimulatorsClient())
    for name in dir(sdk.Cashfree):
        if name.startswith("PG") and not name.startswith(LEFT_OUT):
            coverage.watch_one(sdk.Cashfree, name, name)


@pytest.fixture
def client(simulator: Simulator) -> Any:
    made = sdk.Cashfree(sdk.Cashfree.SANDBOX, APP_ID, APP_SECRET)
    made.XApiVersion = "2025-01-01"
    return made


@pytest.fixture
def raw(simulator: Simulator) -> Answers:
    def ask(method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
        given = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        sent = {name: value for name, value in given.items() if value is not None}
        return call(method, f"{simulator.url}/cashfree/pg{path}", body, sent)

    return ask


@pytest.fixture
def order(client: Any) -> Any:
    return client.PGCreateOrder(order_request()).data


@pytest.fixture
def paid(simulator: Simulator, order: Any) -> Any:
    simulator.move("order_1", "success")
    return order
