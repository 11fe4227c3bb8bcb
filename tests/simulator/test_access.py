"""Who may ask, and what unknown paths answer."""

import pytest
import razorpay
import requests
from razorpay.errors import BadRequestError

from tests.simulator.conftest import KEY_ID, KEY_SECRET

DISPUTE_FIELDS = {
    *("id", "entity", "payment_id", "amount", "currency", "amount_deducted", "reason_code", "respond_by"),
    *("status", "phase", "created_at", "evidence"),
}


@pytest.mark.parametrize(
    ("auth", "description"),
    [
        (None, "Authentication failed"),
        ((KEY_ID, "wrong"), "Authentication failed"),
        ((KEY_ID, ""), "Authentication failed"),
        (("rzp_test_other", KEY_SECRET), "The api key provided is invalid"),
    ],
)
def test_wrong_credentials_are_refused_with_401_json(api, auth, description):
    response = api("GET", "/orders", auth=auth)
    assert response.status_code == 401
    assert response.json() == {
        "error": {
            "code": "BAD_REQUEST_ERROR",
            "description": description,
            "source": "NA",
            "step": "NA",
            "reason": "NA",
            "metadata": {},
        }
    }


@pytest.mark.parametrize("header", ["Bearer abc", "Basic %%%", "Basic", "Basic " + "w4A="])
def test_nonsense_in_the_authorization_header_is_refused(api, header):
    assert api("GET", "/orders", auth=None, headers={"Authorization": header}).status_code == 401


def test_the_sdk_sees_a_bad_request_error(base):
    with requests.Session() as session:
        client = razorpay.Client(session=session, auth=(KEY_ID, "wrong"), base_url=f"{base}/razorpay/")
        with pytest.raises(BadRequestError, match="Authentication failed"):
            client.order.create({"amount": 100, "currency": "INR"})


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("DELETE", "/orders"), ("POST", "/settlements")]
)
def test_unknown_urls_of_the_api_are_answered_as_the_api_does(api, method, path):
    response = api(method, path)
    assert response.status_code == 400
    assert response.json()["error"]["description"] == "The requested URL was not found on the server"


def test_paths_beside_the_api_meet_only_its_edge(client, base):
    with requests.Session() as session:
        response = session.get(f"{base}/razorpay/methods")
    assert (response.status_code, response.json()) == (404, {"message": "no Route matched with those values"})
    # The SDK asks for /methods without /v1, which the real edge does not know either.
    with pytest.raises(razorpay.errors.ServerError):
        client.payment.fetchPaymentMethods()


def test_a_trailing_slash_changes_nothing(api):
    assert api("GET", "/orders/").json() == api("GET", "/orders").json()


def test_a_disputed_payment_can_be_listed_and_fetched(client, control, captured):
    control.move(captured["order_id"], "dispute", amountPaise=10000)
    [dispute] = client.dispute.all()["items"]
    assert set(dispute) == DISPUTE_FIELDS
    assert dispute.items() >= {"payment_id": captured["id"], "amount": 10000, "status": "open"}.items()
    assert client.dispute.fetch(dispute["id"]) == dispute
