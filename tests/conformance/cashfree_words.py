"""The words of Cashfree's conformance suites: requests as the SDK makes them, samples, and how to compare."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import Answer, Simulator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pydantic's, about the SDK
    import cashfree_pg as cf
    import cashfree_pg.api_client as sdk
    from cashfree_pg import exceptions

__all__ = ["cf", "exceptions", "sdk"]

Answers = Callable[..., Answer]
FIXTURES = Path(__file__).parents[1] / "fixtures" / "cashfree"
MERCHANTS_OWN = (".order_tags", ".metadata")
DAY = 24 * 3600


def order_request(order_id: str | None = "order_1", amount: float = 170, **more: Any) -> Any:
    customer = cf.CustomerDetails(
        customer_id="u55",
        customer_phone="9999999999",
        customer_name="Asha Rao",
        customer_email="asha@example.com",
    )
    return cf.CreateOrderRequest(
        order_id=order_id, order_amount=amount, order_currency="INR", customer_details=customer, **more
    )


def refund_request(amount: float = 70, refund_id: str = "refund_1", **more: Any) -> Any:
    return cf.OrderCreateRefundRequest(refund_amount=amount, refund_id=refund_id, **more)


def pay_request(order: Any, method: Any) -> Any:
    chosen = cf.PayOrderRequestPaymentMethod(method)
    return cf.PayOrderRequest(payment_session_id=order.payment_session_id, payment_method=chosen)


def upi(name: str) -> Any:
    return cf.UPIPaymentMethod(upi=cf.Upi(channel="collect", upi_id=f"{name}@gocash"))


def card(channel: str, number: str = "4576238912771450") -> Any:
    data = {"card_number": number, "card_expiry_mm": "03", "card_expiry_yy": "28", "card_cvv": "123"}
    return cf.CardPaymentMethod(card=cf.Card(channel=channel, card_holder_name="Asha Rao", **data))


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def settings(simulator: Simulator, **changes: Any) -> None:
    simulator.control("POST", "settings", {"cashfree": changes})


def kind_of(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__


def assert_same_shape(ours: Any, sample: Any, where: str = "") -> None:
    """The same fields of the same types; null stands for every type, and lists are judged by their first."""
    if ours is None or sample is None or ours == [] or sample == [] or where.endswith(MERCHANTS_OWN):
        return
    assert kind_of(ours) == kind_of(sample), where
    if isinstance(sample, dict):
        assert set(ours) == set(sample), where
        for name in sample:
            assert_same_shape(ours[name], sample[name], f"{where}.{name}")
    elif isinstance(sample, list):
        assert_same_shape(ours[0], sample[0], f"{where}[]")
