"""A merchant's end of PhonePe, written from the documents and not from the simulator."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from tests.simulator.conftest import session

TOKEN_FORM = {
    "client_id": "SIMULATORUAT",
    "client_secret": "simulator_phonepe_client_secret",
    "client_version": "1",
    "grant_type": "client_credentials",
}
ORDER = {
    "merchantOrderId": "psv_1",
    "amount": 49950,
    "expireAfter": 900,
    "paymentFlow": {"type": "PG_CHECKOUT", "merchantUrls": {"redirectUrl": "https://shop.example/back?a=1"}},
}
V1_ORDER = {
    "merchantId": "SIMULATORV1",
    "merchantTransactionId": "psv_1",
    "merchantUserId": "c0ffee",
    "amount": 49950,
    "redirectUrl": "https://shop.example/back?a=1",
    "redirectMode": "REDIRECT",
    "callbackUrl": "http://127.0.0.1:9/hook",
    "paymentInstrument": {"type": "PAY_PAGE"},
}
SALT, OLD_SALT = "simulator_phonepe_salt_key", "simulator_phonepe_old_salt_key"
DIGEST = hashlib.sha256(b"simulator_hook:simulator_Passw0rd1").hexdigest()
OLD_DIGEST = hashlib.sha256(b"simulator_hook:simulator_OldPassw0rd1").hexdigest()
Json = dict[str, Any]


def x_verify(payload: str, path: str = "", salt: str = SALT, index: str = "1") -> str:
    return f"{hashlib.sha256((payload + path + salt).encode()).hexdigest()}###{index}"


class Client:
    def __init__(self, http: requests.Session, base: str) -> None:
        self.http = http
        self.url = f"{base}/phonepe/apis/pg-sandbox"
        self.token = ""

    # V2

    def log_in(self, **changes: str) -> requests.Response:
        answer = self.http.post(f"{self.url}/v1/oauth/token", data={**TOKEN_FORM, **changes})
        self.token = answer.json().get("access_token", "")
        return answer

    def ask(self, method: str, path: str, body: Any = None, **parameters: str) -> requests.Response:
        headers = {"Authorization": f"O-Bearer {self.token}"}
        return self.http.request(method, self.url + path, json=body, params=parameters, headers=headers)

    def pay(self, **changes: Any) -> requests.Response:
        return self.ask("POST", "/checkout/v2/pay", {**ORDER, **changes})

    def status(self, order_id: str = "psv_1", **parameters: str) -> Json:
        answer: Json = self.ask("GET", f"/checkout/v2/order/{order_id}/status", **parameters).json()
        return answer

    def refund(self, **changes: Any) -> requests.Response:
        body = {"merchantRefundId": "psr_1", "originalMerchantOrderId": "psv_1", "amount": 100, **changes}
        return self.ask("POST", "/payments/v2/refund", body)

    # V1

    def v1_post(self, path: str, body: Any, signature: str | None = None) -> requests.Response:
        text = base64.b64encode(json.dumps(body, indent=1).encode()).decode()
        headers = {"X-VERIFY": x_verify(text, path) if signature is None else signature}
        return self.http.post(self.url + path, json={"request": text}, headers=headers)

    def v1_pay(self, **changes: Any) -> requests.Response:
        return self.v1_post("/pg/v1/pay", {**V1_ORDER, **changes})

    def v1_status(self, our_id: str = "psv_1", **headers: str) -> requests.Response:
        path = f"/pg/v1/status/SIMULATORV1/{our_id}"
        given = {"X-VERIFY": x_verify("", path), "X-MERCHANT-ID": "SIMULATORV1", **headers}
        return self.http.get(self.url + path, headers=given)

    def v1_refund(self, **changes: Any) -> requests.Response:
        ids = {"originalTransactionId": "psv_1", "merchantTransactionId": "psr_1"}
        return self.v1_post("/pg/v1/refund", {"merchantId": "SIMULATORV1", **ids, "amount": 100, **changes})


@contextmanager
def phonepe_client(base: str) -> Iterator[Client]:
    with session() as http:
        client = Client(http, base)
        client.log_in()
        yield client


def without(body: Json, *names: str) -> Json:
    return {name: value for name, value in body.items() if name not in names}
