"""A person pays through Cashfree: the page opens it by itself, Cashfree takes its place and sends back."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.support.house import House


def open_payment(page: Page, house: House, **order: Any) -> dict[str, Any]:
    """Our page, and without a click the gateway's in its place."""
    created = house.create_order(gateway="cashfree", returnUrl=f"{house.url}/payment-status", **order)
    page.goto(created["order"]["paymentUrl"], wait_until="commit")
    expect(page.locator("#pay-upi")).to_be_visible()
    assert page.url.startswith(house.simulator_url)
    return created


def expect_paid(page: Page, house: House, created: dict[str, Any]) -> None:
    order_id = created["order"]["orderId"]
    expect(page.locator("#stage")).to_have_attribute("data-status", "completed")
    assert page.url.startswith(f"{house.url}/payment-status?")
    assert f"orderId={order_id}" in page.url
    assert house.status(order_id, "cashfree")["paymentStatus"] == "completed"


def test_a_payer_pays_and_comes_back(page: Page, house: House) -> None:
    created = open_payment(page, house, amount=100.15)
    expect(page.locator("#amount")).to_have_text("₹100.15")
    page.locator("#pay-upi").click()
    expect_paid(page, house, created)
    paid = house.status(created["id"], "cashfree")
    assert (paid["amount"], paid["status"], paid["method"]) == (100.15, "SUCCESS", "upi")


def test_after_a_failure_another_method_succeeds(page: Page, house: House) -> None:
    created = open_payment(page, house)
    page.locator("#upi-id").fill("testinsufficientfunds@gocash")
    page.locator("#pay-upi").click()
    expect(page.locator("#message")).to_contain_text("You can try again")
    assert house.status(created["id"], "cashfree")["paymentStatus"] == "pending"
    page.locator("#tab-card summary").click()
    page.locator("#pay-card").click()
    page.locator("#otp").fill("000000")
    page.locator("#send-otp").click()
    expect(page.locator("#message")).to_contain_text("Incorrect OTP")
    page.locator("#pay-card").click()
    page.locator("#otp").fill("111000")
    page.locator("#send-otp").click()
    expect_paid(page, house, created)
    attempts = house.simulated(f"orders/{created['order']['orderId']}")["attempts"]
    assert [attempt["status"] for attempt in attempts] == ["FAILED", "FAILED", "SUCCESS"]


def test_the_page_of_an_old_shop_reaches_the_gateway_by_its_link(page: Page, house: House) -> None:
    created = house.create_order(gateway="cashfree", returnUrl=f"{house.url}/payment-status")
    page.goto(created["order"]["paymentLink"], wait_until="commit")
    page.locator("#tab-netbanking summary").click()
    page.locator("#pay-bank").click()
    page.locator("#bank-success").click()
    expect_paid(page, house, created)


def test_who_turns_back_lands_at_the_shop_with_an_open_payment(page: Page, house: House) -> None:
    created = open_payment(page, house)
    page.locator("#close-checkout").click()
    page.wait_for_url(re.compile("/payment-status"))
    assert house.status(created["id"], "cashfree")["paymentStatus"] == "pending"


def test_an_order_that_ended_meanwhile_is_not_payable_at_the_gateway(
    page: Page, house: House, expected_complaints: list[str]
) -> None:
    created = open_payment(page, house)
    house.simulate(f"orders/{created['order']['orderId']}/expire")
    page.locator("#pay-upi").click()
    expect(page.locator("#message")).to_have_text("order is not active")
    expected_complaints.append("400 (BAD REQUEST)")


REFUSES_ONCE = """window.calls = 0;
window.Cashfree = () => ({
  checkout: () => Promise.resolve(++window.calls > 1 ? {} : { error: { message: "Session is invalid." } })
});"""


def test_a_checkout_that_refuses_can_be_tried_again(page: Page, house: House) -> None:
    stub = {"content_type": "text/javascript", "body": REFUSES_ONCE}
    page.route("**/pg/cashfree.js", lambda route: route.fulfill(**stub))
    page.goto(house.create_order(gateway="cashfree")["order"]["paymentUrl"])
    expect(page.locator("#heading")).to_have_text("That did not work")
    expect(page.locator("#sentence")).to_contain_text("Session is invalid.")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_function("window.calls === 2")
