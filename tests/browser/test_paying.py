"""A person pays: shop, hosted page, the gateway's checkout, and back, in a real browser over real HTTP."""

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Dialog, FrameLocator, Page, Route, expect
from sqlalchemy import update

from payments_service.store.tables import Payment
from tests.browser.states import decline
from tests.support.browser import DESKTOP, PHONE
from tests.support.house import House

CHECKOUT_SCRIPT = "**/v1/checkout.js"
FAR = datetime(2100, 1, 1, tzinfo=UTC)


def checkout(page: Page) -> FrameLocator:
    """The gateway's own window in front of our page."""
    return page.frame_locator(".razorpay-checkout-frame")


def open_payment(page: Page, house: House, **order: Any) -> dict[str, Any]:
    created = house.create_order(returnUrl=f"{house.url}/payment-status", **order)
    page.goto(created["order"]["paymentUrl"], wait_until="domcontentloaded")
    return created


def expect_paid(page: Page, house: House, amount: str) -> None:
    """The payer is back at the shop and reads that it is paid; the API says the same."""
    expect(page.locator("#stage")).to_have_attribute("data-status", "completed")
    expect(page.locator("#amount")).to_have_text(amount)
    order_id = re.search(r"orderId=(\w+)", page.url)
    assert order_id
    assert house.status(order_id[1])["paymentStatus"] == "completed"


def change(house: House, payment_id: str, **columns: Any) -> None:
    """What somebody else has written into the ledger meanwhile."""
    with house.database() as database, database.begin() as session:
        session.execute(update(Payment).where(Payment.id == UUID(payment_id)).values(**columns))


def buy(page: Page, house: House, product: str, **customer: str) -> None:
    page.goto(f"{house.url}/")
    page.get_by_label(product).check()
    who = {"Name": "Asha Rao", "E-mail": "asha@example.com", "Phone": "98765 43210", **customer}
    for label, value in who.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Pay").click()


def test_a_purchase_in_the_demo_shop_ends_as_paid(page: Page, house: House) -> None:
    buy(page, house, "Laptop")
    expect(page.locator("#amount")).to_have_text("₹1,24,999")
    expect(page.locator("#description")).to_have_text("Laptop")
    expect(checkout(page).locator("#amount")).to_have_text("₹124999.00")
    checkout(page).locator("#pay-upi").click()
    expect_paid(page, house, "₹1,24,999")


def test_paise_survive_the_whole_way(page: Page, house: House) -> None:
    buy(page, house, "Masala chai")
    checkout(page).locator("#pay-upi").click()
    expect_paid(page, house, "₹10.50")


def test_the_end_of_the_checkout_takes_the_payer_back_at_once(page: Page, house: House) -> None:
    """Not only when the page's own question happens to be answered."""

    def be_silent(route: Route) -> None:
        if "/pay/" in route.request.headers.get("referer", ""):
            route.fulfill(json={})
        else:
            route.continue_()

    page.route("**/api/payment/status/**", be_silent)
    open_payment(page, house)
    checkout(page).locator("#pay-upi").click()
    expect_paid(page, house, "₹499")


def test_after_a_declined_try_the_next_one_succeeds_in_the_same_window(page: Page, house: House) -> None:
    open_payment(page, house)
    checkout(page).locator("#upi-decline").click()
    expect(page.locator("#heading")).to_have_text("That did not work")
    checkout(page).locator("#pay-upi").click()
    expect_paid(page, house, "₹499")


def test_who_closes_the_checkout_can_open_it_again(page: Page, house: House) -> None:
    open_payment(page, house)
    checkout(page).locator("#close-checkout").click()
    expect(page.locator("#heading")).to_have_text("Payment not finished")
    page.get_by_role("button", name="Try again").click()
    checkout(page).locator("#pay-upi").click()
    expect_paid(page, house, "₹499")


def test_who_closes_the_checkout_after_a_declined_try_still_reads_why(page: Page, house: House) -> None:
    open_payment(page, house)
    decline(page)
    reason = page.locator("#sentence").inner_text()
    assert re.search(r"\w\. You can try again, also with another method\.$", reason)
    for _ in range(2):  # the second time without another try
        checkout(page).locator("#close-checkout").click()
        expect(page.locator(".razorpay-checkout-frame")).to_have_count(0)
        expect(page.locator("#heading")).to_have_text("That did not work")
        expect(page.locator("#sentence")).to_have_text(reason)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#heading")).to_have_text("Ready to pay")
    checkout(page).locator("#pay-upi").click()
    expect_paid(page, house, "₹499")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Payment failed", "Payment failed. You can"),
        ("Declined by the bank. ", "Declined by the bank. You can"),
        ("बैंक ने मना किया।", "बैंक ने मना किया। You can"),
        ("Try $& later!", "Try $& later! You can"),
        (None, "You can"),
    ],
)
def test_what_a_gateway_says_of_a_declined_try_is_told_as_a_sentence(
    page: Page, any_house: House, reason: str | None, told: str
) -> None:
    answer = json.dumps({"error": {"description": reason}})
    script = f"""window.Razorpay = function (options) {{
      this.on = (event, hear) => {{ this.hear = hear; }};
      this.open = () => {{ this.hear({answer}); options.modal.ondismiss(); }};
    }};"""
    page.route(CHECKOUT_SCRIPT, lambda route: route.fulfill(content_type="text/javascript", body=script))
    open_payment(page, any_house)
    expect(page.locator("#sentence")).to_have_text(f"{told} try again, also with another method.")
    expect(page.locator("#heading")).to_have_text("That did not work")


def test_a_blocked_script_is_told_in_words_and_can_be_loaded_later(
    page: Page, house: House, expected_complaints: list[str]
) -> None:
    page.route(CHECKOUT_SCRIPT, lambda route: route.abort())
    open_payment(page, house)
    expect(page.locator("#heading")).to_have_text("Razorpay could not be opened")
    expected_complaints.append("ERR_FAILED")
    page.unroute(CHECKOUT_SCRIPT)
    page.get_by_role("button", name="Try again").click()
    checkout(page).locator("#pay-upi").click()
    expect_paid(page, house, "₹499")


def test_a_script_that_is_something_else_is_told_in_words(page: Page, house: House) -> None:
    page.route(CHECKOUT_SCRIPT, lambda route: route.fulfill(content_type="text/javascript", body="/**/"))
    open_payment(page, house)
    expect(page.locator("#heading")).to_have_text("Razorpay could not be opened")
    expect(page.get_by_role("button", name="Try again")).to_be_enabled()


def test_a_slow_script_is_waited_for_with_words(page: Page, house: House) -> None:
    held: list[Route] = []
    page.clock.install()
    page.route(CHECKOUT_SCRIPT, lambda route: held.append(route))
    open_payment(page, house)
    expect(page.locator("#heading")).to_have_text("One moment")
    page.clock.fast_forward(10_000)
    expect(page.locator("#heading")).to_have_text("Still opening Razorpay")
    held[0].continue_()
    expect(checkout(page).locator("#pay-upi")).to_be_visible()


def test_a_payment_that_completes_elsewhere_takes_the_payer_back(page: Page, house: House) -> None:
    order_id = open_payment(page, house)["order"]["orderId"]
    expect(checkout(page).locator("#pay-upi")).to_be_visible()
    house.simulate(f"orders/{order_id}/success")
    expect_paid(page, house, "₹499")


def test_a_page_that_waits_leaves_when_the_payment_completes(page: Page, house: House) -> None:
    created = house.create_order(returnUrl=f"{house.url}/payment-status")
    change(house, created["id"], status="authorized", asked_at=FAR)
    page.goto(created["order"]["paymentUrl"])
    expect(page.locator("#heading")).to_have_text("Confirming your payment")
    change(house, created["id"], status="completed")
    expect_paid(page, house, "₹499")


def test_who_closes_the_checkout_after_the_time_reads_that_it_is_over(page: Page, house: House) -> None:
    created = open_payment(page, house)
    expect(checkout(page).locator("#pay-upi")).to_be_visible()
    change(house, created["id"], expires_at=datetime.now(UTC))
    checkout(page).locator("#close-checkout").click()
    expect(page.locator("#heading")).to_have_text("Time is up")
    expect(page.get_by_role("button")).to_have_count(0)


def test_a_page_opened_after_the_time_finds_out_that_it_is_over(page: Page, house: House) -> None:
    created = house.create_order()
    change(house, created["id"], expires_at=datetime.now(UTC))
    page.goto(created["order"]["paymentUrl"])
    expect(page.locator("#heading")).to_have_text("Time is up")


def test_going_back_after_paying_shows_that_it_is_paid(page: Page, house: House) -> None:
    open_payment(page, house)
    checkout(page).locator("#pay-upi").click()
    expect_paid(page, house, "₹499")
    page.go_back()
    expect(page.locator("#heading")).to_have_text("Paid")
    expect(page.get_by_role("button")).to_have_count(0)


def test_hostile_words_are_only_words(page: Page, house: House) -> None:
    alarms: list[str] = []

    def note(dialog: Dialog) -> None:
        alarms.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    words = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    customer = {"name": "O'Brien <b>😀</b>\u2028", "email": "o@example.com", "phone": "9876543210"}
    open_payment(page, house, description=words, customer=customer)
    expect(checkout(page).locator("#pay-upi")).to_be_visible()
    expect(page.locator("#description")).to_have_text(words)
    assert alarms == []


def test_the_shop_shows_errors_where_they_belong(
    page: Page, house: House, expected_complaints: list[str]
) -> None:
    buy(page, house, "Laptop", Name="", Phone="12345")
    expect(page.locator("[data-error='customer.name']")).to_have_text("Customer name is required")
    expect(page.locator("[data-error='customer.phone']")).to_contain_text("Invalid phone number")
    expect(page.locator("#name")).to_be_focused()
    expected_complaints.append("400 (BAD REQUEST)")
    buy(page, house, "Laptop")
    expect(checkout(page).locator("#pay-upi")).to_be_visible()


def test_nothing_is_wider_than_the_screen(page: Page, house: House, expected_complaints: list[str]) -> None:
    page.route(CHECKOUT_SCRIPT, lambda route: route.fulfill(content_type="text/javascript", body=""))
    long = house.create_order(description="W" * 255)["id"]
    for path in ("/", "/payment-status", "/pay/nothing", f"/pay/{long}"):
        page.goto(house.url + path)
        for width in (320, PHONE["width"], DESKTOP["width"]):
            page.set_viewport_size({"width": width, "height": 800})
            is_fitting = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert is_fitting, f"{path} at {width}"
    expected_complaints.append("404 (NOT FOUND)")
