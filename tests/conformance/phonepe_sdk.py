"""What the suites of phonepe-pg-sdk-python 3.0.1 have at hand.

Nothing of the SDK is patched but its hosts, which it has no option for: the globals of `phonepe.sdk.pg.env`.
"""

import os
from collections.abc import Iterator
from typing import Any

import phonepe.sdk.pg.env as env
import pytest
from conftest import Answer, Coverage, Simulator, call
from phonepe.sdk.pg.common.token_handler.token_service import TokenService
from phonepe.sdk.pg.payments.v2.custom_checkout_client import CustomCheckoutClient
from phonepe.sdk.pg.payments.v2.standard_checkout_client import StandardCheckoutClient
from phonepe_words import API, CREDENTIALS, Json, request, settings

# the SDK's own parser about the nulls of PhonePe's tokens
NULLS = "ignore:.NoneType. object value of non-optional type:RuntimeWarning"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", NULLS)


@pytest.fixture(scope="session", autouse=True)
def watched(coverage: Coverage) -> None:
    """What else the SDK offers is of another domain: `SubscriptionClient` (mandates, not orders)."""
    # `close` ends threads and asks nothing
    coverage.watch(StandardCheckoutClient, "standard", left_out=("close",))
    coverage.watch(CustomCheckoutClient, "custom", left_out=("close",))
    coverage.watch_one(TokenService, "force_refresh_token", "token.force_refresh_token")
    coverage.watch_one(TokenService, "fetch_token_from_phonepe", "token.fetch_token_from_phonepe")


@pytest.fixture(scope="session", autouse=True)
def hosts() -> None:
    url = os.environ["SIMULATOR_URL"] + API
    for name in ("PG", "OAUTH", "EVENT_INGESTION"):
        setattr(env, f"SANDBOX_{name}_BASE_URL", url)
        setattr(env, f"PROD_{name}_BASE_URL", url)
    env.PROD_PCI_PG_BASE_URL = url


@pytest.fixture(autouse=True)
def older_members(simulator: Simulator) -> None:
    """The recorded samples are from before 2026."""
    settings(simulator, newer_members=False)


@pytest.fixture
def client(simulator: Simulator) -> Iterator[StandardCheckoutClient]:
    made = StandardCheckoutClient.get_instance(**CREDENTIALS, env=env.Env.SANDBOX)
    yield made
    made.close()


@pytest.fixture
def custom(simulator: Simulator) -> Iterator[CustomCheckoutClient]:
    made = CustomCheckoutClient.get_instance(**CREDENTIALS, env=env.Env.SANDBOX)
    yield made
    made.close()


@pytest.fixture
def raw(simulator: Simulator) -> Any:
    """A call with a good token, for the whole answer."""
    form = "client_id=SIMULATORUAT&client_secret=simulator_phonepe_client_secret&client_version=1"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    url = simulator.url + API
    answer = call("POST", f"{url}/v1/oauth/token", f"{form}&grant_type=client_credentials", headers)
    token = answer.json["access_token"]

    def made(method: str, path: str, body: Json | None = None) -> Answer:
        return call(method, url + path, body, {"Authorization": f"O-Bearer {token}"})

    return made


@pytest.fixture
def paid(client: StandardCheckoutClient, simulator: Simulator) -> str:
    client.pay(request())
    simulator.move("o1", "success")
    return "o1"
