"""razorpay 2.0.1 against the simulator: orders, payments, refunds, and what the browser brings."""

import threading
import warnings
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
import razorpay
from conftest import Answer, Json, Simulator, call
from razorpay.errors import BadRequestError, ServerError, SignatureVerificationError
from razorpay_samples import differences, sample
from razorpay_words import (
    API,
    KEY_ID,
    MANUAL,
    raw,
    settings,
    statuses,
)

pytest_plugins = ("razorpay_sdk",)


# Orders


def test_an_order_is_created_as_documented(client: razorpay.Client) -> None:
    asked = sample("api/order.create.request")
    order = client.order.create(asked)
    assert differences(order, sample("api/order.create.response")) == []
    assert list(order) == list(sample("api/order.create.response"))
    assert (order["amount"], order["amount_due"], order["amount_paid"]) == (50000, 50000, 0)
    assert (order["status"], order["attempts"], order["receipt"]) == ("created", 0, asked["receipt"])
    assert order["notes"] == asked["notes"]
    assert client.order.create({"amount": 100, "currency": "INR"})["notes"] == []
    assert (order["id"][:6], len(order["id"])) == ("order_", 20)
    assert client.order.fetch(order["id"]) == order


def test_capture_settings_are_taken_as_documented(client: razorpay.Client) -> None:
    order = client.order.create(sample("api/order.create.capture_settings.request"))
    assert (order["receipt"], order["status"]) == ("rcptid_11", "created")


def test_orders_are_listed_in_pages_and_by_filters(
    client: razorpay.Client, simulator: Simulator, new_order: Callable[..., Json]
) -> None:
    early = [new_order(receipt=f"early-{number}")["id"] for number in range(12)][::-1]
    simulator.advance(1000)
    late = new_order(receipt="late", **MANUAL)
    simulator.move(late["id"], "success")
    assert [item["id"] for item in client.order.all({"skip": 1})["items"]] == early[:10]
    assert client.order.all({"count": 100})["count"] == 13
    assert [item["id"] for item in client.order.all({"receipt": "early-11"})["items"]] == early[:1]
    assert [item["id"] for item in client.order.all({"from": late["created_at"]})["items"]] == [late["id"]]
    assert client.order.all({"to": late["created_at"] - 500, "count": 100})["count"] == 12
    [held] = client.order.all({"authorized": 1, "expand[]": "payments"})["items"]
    assert (held["id"], statuses(held["payments"])) == (late["id"], ["authorized"])


def test_an_orders_notes_can_be_edited(client: razorpay.Client, new_order: Callable[..., Json]) -> None:
    order = new_order()
    edited = client.order.edit(order["id"], {"notes": {"k": "v"}})
    assert edited == {**order, "notes": {"k": "v"}}


def test_the_attempts_of_an_order_are_all_there(
    client: razorpay.Client, simulator: Simulator, new_order: Callable[..., Json]
) -> None:
    order_id = new_order()["id"]
    simulator.move(order_id, "failure", method="card")
    assert client.order.fetch(order_id)["status"] == "attempted"
    simulator.move(order_id, "success")
    payments = client.order.payments(order_id)
    assert differences(payments, sample("api/order.payments.response")) == []
    assert sorted(statuses(payments)) == ["captured", "failed"]
    paid = client.order.fetch(order_id)
    assert differences(paid, sample("api/order.fetch.paid.response")) == []
    assert (paid["status"], paid["attempts"], paid["amount_due"]) == ("paid", 2, 0)


def test_the_old_names_of_lists_still_work(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payment = pay()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert client.order.fetch_all()["count"] == 1
        assert client.order.fetch_all_payments(payment["order_id"])["count"] == 1
        assert client.payment.fetch_all()["items"] == [payment]
        assert client.refund.fetch_all()["count"] == 0
        assert client.payment_link.fetch_all()["payment_links"] == []


# Payments


@pytest.mark.parametrize("method", ["upi", "card", "netbanking", "wallet"])
@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("success", "api/payment.fetch.captured.response"),
        ("authorize", "api/payment.fetch.authorized.response"),
        ("failure", "api/payment.fetch.failed.response"),
    ],
)
def test_a_payment_has_the_documented_fields(
    client: razorpay.Client, pay: Callable[..., Json], verb: str, name: str, method: str
) -> None:
    payment = pay(verb, method)
    assert (payment["method"], payment["id"][:4], len(payment["id"])) == (method, "pay_", 18)
    # the sample of an authorized payment is of a customer without a telephone
    missing = [one for one in differences(payment, sample(name)) if ".contact" not in one]
    assert [one for one in missing if "error_" not in one] == []
    assert (payment["captured"], payment["status"]) == {
        "success": (True, "captured"),
        "authorize": (False, "authorized"),
        "failure": (False, "failed"),
    }[verb]


def test_fee_and_gst_are_whole_paise_of_the_amount(pay: Callable[..., Json]) -> None:
    captured = pay()
    assert (captured["amount"], captured["fee"], captured["tax"]) == (50000, 1180, 180)
    assert pay("authorize")["fee"] is None


def test_payments_are_listed_fetched_and_edited(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payments = [pay() for _ in range(3)][::-1]
    assert client.payment.all() == {"entity": "collection", "count": 3, "items": payments}
    assert client.payment.all({"count": 1, "skip": 1})["items"] == payments[1:2]
    assert client.payment.fetch(payments[0]["id"]) == payments[0]
    edited = client.payment.edit(payments[0]["id"], {"notes": {"k": "v"}})
    assert edited["notes"] == {"k": "v"}


def test_a_card_can_be_looked_at(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    card = client.payment.fetchCardDetails(pay(method="card")["id"])
    assert (card["entity"], card["last4"], card["network"]) == ("card", "1111", "Visa")
    with pytest.raises(BadRequestError):
        client.payment.fetchCardDetails(pay(method="upi")["id"])


def test_downtimes_are_listed(
    client: razorpay.Client, simulator: Simulator, new_order: Callable[..., Json]
) -> None:
    simulator.send_event(new_order()["id"], "payment.downtime.started")
    [downtime] = client.payment.fetchDownTime()["items"]
    expected = sample("webhooks/payment.downtime.started")["payload"]["payment.downtime"]["entity"]
    assert differences(downtime, expected) == []
    assert client.payment.fetchDownTimeById(downtime["id"]) == downtime


def test_the_sdk_asks_for_methods_where_only_the_edge_answers(client: razorpay.Client) -> None:
    """Its path lacks /v1; the real edge's answer has no `error`, of which the SDK makes this."""
    with pytest.raises(ServerError) as caught:
        client.payment.fetchPaymentMethods()
    assert str(caught.value) == ""
    edge = call("GET", f"{API}/methods")
    assert (edge.status, edge.json) == (404, {"message": "no Route matched with those values"})
    assert raw("GET", "/methods").json["entity"] == "methods"


def test_a_payment_is_captured_once_and_whole(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    held = pay(**MANUAL)
    assert (held["status"], held["captured"], held["fee"]) == ("authorized", False, None)
    captured = client.payment.capture(held["id"], 50000, {"currency": "INR"})
    assert differences(captured, sample("api/payment.capture.response")) == []
    assert (captured["id"], captured["status"], captured["captured"]) == (held["id"], "captured", True)
    assert client.order.fetch(held["order_id"])["status"] == "paid"


# Refunds


def test_a_refund_is_made_as_documented(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payment, asked = pay(), sample("api/refund.create.normal.request")
    refund = client.payment.refund(payment["id"], asked)
    assert differences(refund, sample("api/refund.create.normal.response")) == []
    assert refund["amount"] == int(asked["amount"])
    assert (refund["notes"], refund["receipt"]) == (asked["notes"], asked["receipt"])
    assert (refund["id"][:5], len(refund["id"]), refund["payment_id"]) == ("rfnd_", 19, payment["id"])
    assert (refund["status"], refund["speed_processed"]) == ("processed", "normal")
    after = client.payment.fetch(payment["id"])
    assert (after["amount_refunded"], after["refund_status"], after["status"]) == (100, "partial", "captured")


def test_an_instant_refund_is_made_as_documented(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    refund = client.payment.refund(pay()["id"], sample("api/refund.create.instant.request"))
    assert differences(refund, sample("api/refund.create.instant.response")) == []
    assert (refund["speed_requested"], refund["speed_processed"]) == ("optimum", "instant")


def test_a_full_refund_leaves_the_order_paid(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payment = pay()
    assert client.payment.refund(payment["id"], {})["amount"] == 50000
    after = client.payment.fetch(payment["id"])
    assert (after["status"], after["refund_status"], after["captured"]) == ("refunded", "full", True)
    assert client.order.fetch(payment["order_id"])["status"] == "paid"


def test_refunds_are_found_listed_and_edited(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payment = pay()
    first = client.payment.refund(payment["id"], {"amount": 100})
    second = client.refund.create({"payment_id": payment["id"], "amount": 200})
    of_payment = client.payment.fetch_multiple_refund(payment["id"])
    assert differences(of_payment, sample("api/payment.refunds.response")) == []
    assert of_payment["items"] == [second, first]
    assert client.payment.fetch_multiple_refund(payment["id"], {"count": 1})["items"] == [second]
    assert client.payment.fetch_refund_id(payment["id"], first["id"]) == first
    assert client.refund.all()["items"] == [second, first]
    assert client.refund.fetch(second["id"]) == second
    assert client.refund.edit(first["id"], {"notes": {"k": "v"}})["notes"] == {"k": "v"}


def test_a_refunds_key_makes_asking_twice_harmless(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payment_id = pay()["id"]

    def refund(amount: int) -> Json:
        # a new dict each time: the SDK writes into the one it is given
        key = {"X-Refund-Idempotency": "refund-0001"}
        refunded: Json = client.payment.refund(payment_id, {"amount": amount}, headers=key)
        return refunded

    first = refund(100)
    assert refund(100) == first
    with pytest.raises(BadRequestError, match="same idempotency key has already been processed"):
        refund(200)
    assert client.payment.fetch(payment_id)["amount_refunded"] == 100


def test_a_refund_whose_key_is_still_in_use_is_refused_with_409(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    path, body = f"/payments/{pay()['id']}/refund", {"amount": 100}
    simulator.fault("razorpay", "refund", "slow", seconds=0.7)
    first: list[Answer] = []
    running = threading.Thread(
        target=lambda: first.append(raw("POST", path, body, X_Refund_Idempotency="refund-0001"))
    )
    running.start()
    while simulator.control("GET", "faults")["faults"][0]["remaining"]:
        pass
    second = raw("POST", path, body, X_Refund_Idempotency="refund-0001")
    running.join()
    expected = sample("errors/refund_idempotency_in_progress")
    assert (second.status, second.json) == (expected["http_status"], expected["body"])
    assert first[0].status == 200
    assert client.refund.all()["count"] == 1


def test_refunds_take_their_time_when_asked_to(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    settings(simulator, refund_outcome="processed_later", refund_minutes=90)
    kept = client.payment.refund(pay()["id"], {"amount": 100})
    settings(simulator, refund_outcome="failed_later")
    payment = pay()
    lost = client.payment.refund(payment["id"], {})
    assert (kept["status"], lost["status"], kept["acquirer_data"]) == ("pending", "pending", {"arn": None})
    simulator.advance(89 * 60)
    assert client.refund.fetch(kept["id"])["status"] == "pending"
    simulator.advance(2 * 60)
    assert client.refund.fetch(kept["id"])["status"] == "processed"
    assert client.refund.fetch(lost["id"])["status"] == "failed"
    after = client.payment.fetch(payment["id"])
    assert (after["status"], after["amount_refunded"], after["refund_status"]) == ("captured", 0, None)


# The browser's signature


def test_what_the_browser_brings_is_signed_over_order_and_payment(
    client: razorpay.Client, new_order: Callable[..., Json]
) -> None:
    attempt = {"key": KEY_ID, "order_id": new_order()["id"], "method": "upi", "vpa": "success@razorpay"}
    fields = call("POST", f"{API}/pay/attempts", attempt).json["fields"]
    assert set(fields) == set(sample("checkout/handler.success"))
    assert client.utility.verify_payment_signature(fields) is True
    for name, text in fields.items():
        for changed in (text[:-1] + ("0" if text[-1] != "0" else "1"), text.upper(), ""):
            with pytest.raises(SignatureVerificationError):
                client.utility.verify_payment_signature({**fields, name: changed})


def test_a_failure_in_the_browser_is_as_documented(new_order: Callable[..., Json]) -> None:
    card = {"card_number": "4111111111111111", "card_expiry": "12/39", "card_cvv": "123"}
    attempt = {"key": KEY_ID, "order_id": new_order()["id"], "method": "card", **card}
    shown = call("POST", f"{API}/pay/attempts", attempt).json
    failed = call("POST", f"{API}/pay/attempts/{shown['payment_id']}", {"otp": "12"}).json
    expected = sample("checkout/payment.failed.event")
    assert differences({"error": failed["error"]}, expected) == []
    assert {**failed["error"], "metadata": 0} == {**expected["error"], "metadata": 0}


# As PHP and its plugins ask


def test_a_form_is_understood_like_json() -> None:
    form = {"amount": "50000", "currency": "INR", "notes[shop]": "₹ucky", "payment[capture]": "manual"}
    order = raw("POST", "/orders/", urlencode(form), Content_Type="application/x-www-form-urlencoded")
    assert (order.status, order.json["amount"], order.json["notes"]) == (200, 50000, {"shop": "₹ucky"})


def test_the_script_is_where_razorpays_is(simulator: Simulator) -> None:
    script = call("GET", f"{API}/v1/checkout.js")
    assert (script.status, "window.Razorpay" in script.text) == (200, True)
