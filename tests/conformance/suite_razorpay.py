"""razorpay 2.0.1 against the simulator: nothing of the SDK is patched but the address, by its own option."""

import os
from collections.abc import Iterator

import pytest
import razorpay
import razorpay.resources.order
import requests
from conftest import Coverage, Simulator

KEY_ID = "rzp_test_simulator"
KEY_SECRET = "simulator_razorpay_key_secret"


@pytest.fixture(scope="session", autouse=True)
def watched(coverage: Coverage) -> None:
    coverage.watch(razorpay.resources.order.Order, "order")


@pytest.fixture
def client(simulator: Simulator) -> Iterator[razorpay.Client]:
    with requests.Session() as session:
        session.trust_env = False
        base_url = f"{os.environ['SIMULATOR_URL']}/razorpay"
        yield razorpay.Client(session=session, auth=(KEY_ID, KEY_SECRET), base_url=base_url)


def test_an_order_is_created_and_fetched(client: razorpay.Client) -> None:
    order = client.order.create({"amount": 49900, "currency": "INR", "receipt": "r1"})
    assert order["amount"] == 49900
    assert client.order.fetch(order["id"]) == order
