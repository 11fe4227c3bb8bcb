"""cashfree_pg 6.0.1 against the simulator: orders and paying."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cashfree_words import Answers, assert_same_shape, card, cf, fixture, order_request, pay_request, upi
from conftest import Simulator, call

pytest_plugins = ("cashfree_sdk",)

# ── orders ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_created_and_fetched(client: Any, raw: Answers) -> None:
    meta = cf.OrderMeta(return_url="https://shop.example/r?id={order_id}", payment_methods="cc,upi")
    expiry = (datetime.now(UTC) + timedelta(minutes=20)).isoformat()
    request = order_request(
        amount=1499.5,
        order_meta=meta,
        order_expiry_time=expiry,
        order_note="Shoes",
        order_tags={"size": "44"},
    )
    made = client.PGCreateOrder(request, x_request_id="r-1", x_idempotency_key="k-1")
    assert (made.status_code, made.data.order_status, made.data.order_amount) == (200, "ACTIVE", 1499.5)
    assert client.PGFetchOrder("order_1").data == made.data
    assert_same_shape(raw("GET", "/orders/order_1").json, fixture("api/order.active.response"))
    headers = {name.lower(): value for name, value in made.headers.items()}
    assert set(fixture("api/response_headers")) <= set(headers)
    assert [headers[name] for name in ("x-request-id", "x-idempotency-replayed")] == ["r-1", "false"]


def test_an_order_id_has_3_to_45_characters_or_is_made(client: Any, raw: Answers) -> None:
    for order_id in ("abc", "x" * 45, "a-B_9"):
        assert client.PGCreateOrder(order_request(order_id)).data.order_id == order_id
    for order_id in ("ab", "x" * 46, "no spaces", "ünï"):
        answer = raw("POST", "/orders", {**order_request().to_dict(), "order_id": order_id})
        assert (answer.status, answer.json["code"]) == (400, "order_id_invalid")
    assert client.PGCreateOrder(order_request(None)).data.order_id.startswith("order_")


def test_an_order_is_fetched_in_the_versions_that_the_sdk_speaks(client: Any, order: Any) -> None:
    for version in ("2023-08-01", "2025-01-01", "2026-01-01"):
        client.XApiVersion = version
        assert client.PGFetchOrder("order_1").data.cf_order_id == order.cf_order_id


def test_the_oldest_version_has_ids_that_the_sdk_does_not_read(client: Any, order: Any) -> None:
    client.XApiVersion = "2022-09-01"
    with pytest.raises(ValueError, match="cf_order_id"):
        client.PGFetchOrder("order_1")


def test_an_order_is_terminated_at_once_or_when_its_attempt_has_ended(
    simulator: Simulator, client: Any, order: Any
) -> None:
    end = cf.TerminateOrderRequest(order_status="TERMINATED")
    simulator.move("order_1", "pending")
    assert client.PGTerminateOrder("order_1", end).data.order_status == "TERMINATION_REQUESTED"
    simulator.move("order_1", "failure")
    assert client.PGFetchOrder("order_1").data.order_status == "TERMINATED"
    client.PGCreateOrder(order_request("order_2"))
    assert client.PGTerminateOrder("order_2", end).data.order_status == "TERMINATED"


def test_the_cart_is_part_of_the_extended_data(client: Any) -> None:
    item = cf.CartItem(item_id="i-1", item_name="Shoes", item_quantity=1, item_currency="INR")
    cart = cf.CartDetails(cart_name="Cart", shipping_charge=40, cart_items=[item])
    client.PGCreateOrder(order_request(cart_details=cart))
    found = client.PGFetchOrderExtendedData("order_1").data
    assert (found.order_amount, found.cart.items[0].item_name) == (170, "Shoes")
    assert found.charges.shipping_charges == 40


def test_an_order_ends_by_the_clock(simulator: Simulator, client: Any) -> None:
    expiry = (datetime.now(UTC) + timedelta(minutes=20)).isoformat()
    client.PGCreateOrder(order_request(order_expiry_time=expiry))
    simulator.advance(21 * 60)
    assert client.PGFetchOrder("order_1").data.order_status == "EXPIRED"


# ── paying ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_upi_address_pays(client: Any, order: Any, raw: Answers) -> None:
    answer = client.PGPayOrder(pay_request(order, upi("testsuccess"))).data
    assert (answer.payment_method, answer.channel, answer.action) == ("upi", "collect", "custom")
    [payment] = client.PGOrderFetchPayments("order_1").data
    one = client.PGOrderFetchPayment("order_1", answer.cf_payment_id).data
    assert payment.to_dict() == one.to_dict()
    assert (payment.payment_status, payment.payment_amount, payment.is_captured) == ("SUCCESS", 170, True)
    assert client.PGFetchOrder("order_1").data.order_status == "PAID"
    sample = [{**one, "payment_surcharge": None} for one in fixture("api/payments.list.response")]
    assert_same_shape(raw("GET", "/orders/order_1/payments").json, sample)


@pytest.mark.parametrize(
    ("name", "status", "source"),
    [
        ("testfailure", "FAILED", "bank"),
        ("testinvalidpin", "FAILED", "customer"),
        ("testriskflagged", "FAILED", "cashfree"),
        ("testuserdropped", "USER_DROPPED", "customer"),
        ("testtimeoutbank", "PENDING", None),
    ],
)
def test_a_upi_address_fails(client: Any, order: Any, name: str, status: str, source: str | None) -> None:
    client.PGPayOrder(pay_request(order, upi(name)))
    [payment] = client.PGOrderFetchPayments("order_1").data
    assert payment.payment_status == status
    assert (payment.error_details.error_source if payment.error_details else None) == source
    assert client.PGFetchOrder("order_1").data.order_status == "ACTIVE"


def test_a_card_leads_to_its_banks_page(simulator: Simulator, client: Any, order: Any) -> None:
    answer = client.PGPayOrder(pay_request(order, card("link"))).data
    assert_same_shape(answer.to_dict(), fixture("api/pay_order.card_link.response"))
    page = call("POST", answer.data.url, headers={"Content-Type": answer.data.content_type})
    assert (page.status, "password" in page.text) == (200, True)
    assert client.PGOrderFetchPayments("order_1").data[0].payment_group == "credit_card"


def test_a_card_may_be_paid_on_the_shops_own_page(client: Any, order: Any) -> None:
    answer = client.PGPayOrder(pay_request(order, card("post", "4706131211212123"))).data
    assert (answer.action, bool(answer.data.redirect_to_bank)) == ("post", True)

    def authenticate(action: str, otp: str | None = None) -> str:
        request = cf.OrderAuthenticatePaymentRequest(action=action, otp=otp)
        return client.PGOrderAuthenticatePayment(answer.cf_payment_id, request).data.authenticate_status

    asked = [("SUBMIT_OTP", "000000"), ("RESEND_OTP", None), ("SUBMIT_OTP", "111000")]
    assert [authenticate(*one) for one in asked] == ["FAILED", "SUCCESS", "SUCCESS"]
    assert client.PGOrderFetchPayments("order_1").data[0].payment_group == "debit_card"
    assert client.PGFetchOrder("order_1").data.order_status == "PAID"


def test_a_net_bank_leads_to_its_page(client: Any, order: Any) -> None:
    bank = cf.Netbanking(channel="link", netbanking_bank_code=3333)
    answer = client.PGPayOrder(pay_request(order, cf.NetBankingPaymentMethod(netbanking=bank))).data
    assert (answer.payment_method, answer.action) == ("netbanking", "link")
    [payment] = client.PGOrderFetchPayments("order_1").data
    assert payment.payment_method.actual_instance.netbanking.netbanking_bank_code == 3333


def test_attempts_of_every_method_and_status_are_read(simulator: Simulator, client: Any, order: Any) -> None:
    for method in ("wallet", "card", "netbanking"):
        simulator.move("order_1", "failure", method=method)
    simulator.move("order_1", "success")
    statuses = [payment.payment_status for payment in client.PGOrderFetchPayments("order_1").data]
    assert statuses == ["SUCCESS", "FAILED", "FAILED", "FAILED"]


def test_the_sandbox_simulates_a_payment(simulator: Simulator, client: Any, order: Any, raw: Answers) -> None:
    simulator.move("order_1", "pending")
    [payment] = client.PGOrderFetchPayments("order_1").data
    wanted = cf.EntitySimulationRequest(payment_status="FAILED", payment_error_code="ISSUER_NOT_AVAILABLE")
    request = cf.SimulateRequest(entity="PAYMENTS", entity_id=payment.cf_payment_id, entity_simulation=wanted)
    simulation = client.PGSimulatePayment(request).data
    assert client.PGFetchSimulation(simulation.simulation_id).data == simulation
    told = raw("GET", f"/simulate/{simulation.simulation_id}").json
    assert_same_shape(told, fixture("api/simulate_payment.response"))
    [payment] = client.PGOrderFetchPayments("order_1").data
    assert payment.error_details.error_code == "ISSUER_NOT_AVAILABLE"
