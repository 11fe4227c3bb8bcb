"""What the suites of razorpay 2.0.1 have at hand.

Nothing of the SDK is patched but its address, by its own option.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import razorpay
import razorpay.resources
import requests
from conftest import Coverage, Json, Simulator
from razorpay_words import API, KEY_ID, KEY_SECRET

# Every resource has these; they are how the SDK talks, and `delete` posts to an address that no API has.
PLUMBING = ("get_url", "patch_url", "post_url", "put_url", "delete_url", "file_url", "delete")
RESOURCES = {
    # Magic Checkout's fulfilment and returns
    "order": (razorpay.resources.Order, ("viewRtoReview", "editFulfillment")),
    "payment": (
        razorpay.resources.Payment,
        (
            # Route (split payments) and Smart Collect (virtual accounts)
            *("transfer", "transfers", "bank_transfer", "upi_transfer"),
            # server-to-server payments, for merchants who handle cards themselves; subscriptions
            *("createPaymentJson", "createUpi", "createRecurring", "validateVpa"),
            *("otpGenerate", "otpSubmit", "otpResend"),
        ),
    ),
    "refund": (razorpay.resources.Refund, ()),
    # instant settlements, which a merchant asks for and pays for one by one
    "settlement": (
        razorpay.resources.Settlement,
        ("create_ondemand_settlement", "fetch_all_ondemand_settlement", "fetch_ondemand_settlement_id"),
    ),
    "dispute": (razorpay.resources.Dispute, ()),
    "payment_link": (razorpay.resources.PaymentLink, ()),
    # deleting is only for partners' sub-merchants, in /v2
    "webhook": (razorpay.resources.Webhook, ()),
}
# subscriptions; and a comparison for Python 2
NOT_OUR_UTILITY = ("verify_subscription_payment_signature", "compare_string")


@pytest.fixture(scope="session", autouse=True)
def watched(coverage: Coverage) -> None:
    for name, (resource, left_out) in RESOURCES.items():
        coverage.watch(resource, name, (*PLUMBING, *left_out))
    coverage.watch(razorpay.utility.Utility, "utility", NOT_OUR_UTILITY)


@pytest.fixture(scope="session")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


@pytest.fixture
def client(simulator: Simulator, session: requests.Session) -> razorpay.Client:
    return razorpay.Client(session=session, auth=(KEY_ID, KEY_SECRET), base_url=API)


@pytest.fixture
def new_order(client: razorpay.Client) -> Callable[..., Json]:
    def create(amount: int = 50000, **more: Any) -> Json:
        order: Json = client.order.create({"amount": amount, "currency": "INR", **more})
        return order

    return create


@pytest.fixture
def pay(simulator: Simulator, client: razorpay.Client, new_order: Callable[..., Json]) -> Callable[..., Json]:
    """An order's payment, made by one of the control plane's verbs."""

    def run(verb: str = "success", method: str = "upi", **order: Any) -> Json:
        order_id = new_order(**order)["id"]
        simulator.move(order_id, verb, method=method)
        payment: Json = client.order.payments(order_id)["items"][0]
        return payment

    return run
