"""What the suites of PhonePe say again and again."""

import json
from pathlib import Path
from typing import Any

from conftest import Simulator
from phonepe.sdk.pg.common.models.request.refund_request import RefundRequest
from phonepe.sdk.pg.payments.v2.models.request.standard_checkout_pay_request import StandardCheckoutPayRequest

FIXTURES = Path(__file__).parents[1] / "fixtures" / "phonepe"
API = "/phonepe/apis/pg-sandbox"
CREDENTIALS = {
    "client_id": "SIMULATORUAT",
    "client_secret": "simulator_phonepe_client_secret",
    "client_version": 1,
}
HOOK = ("simulator_hook", "simulator_Passw0rd1")
BACK = "https://shop.example/back?a=1"
Json = dict[str, Any]


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def request(order_id: str = "o1", amount: int = 49900, **more: Any) -> StandardCheckoutPayRequest:
    return StandardCheckoutPayRequest.build_request(order_id, amount, redirect_url=BACK, **more)


def refund_request(refund_id: str = "r1", amount: int = 100, order_id: str = "o1") -> RefundRequest:
    return RefundRequest.build_refund_request(refund_id, amount, order_id)


def settings(simulator: Simulator, **changes: Any) -> None:
    simulator.control("POST", "settings", {"phonepe": changes})


def shape(value: Any) -> Any:
    """The members and the kinds of their values."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__
