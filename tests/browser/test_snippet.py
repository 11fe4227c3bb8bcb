"""What docs/front-end.md prints is run as printed: every gateway, success and failure, and its errors."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route, expect

from payments_service.domain.money import Money
from payments_service.flows import quotes
from payments_service.settings.rules import DEVELOPMENT_SECRET
from tests.browser.old_shop import OldShop
from tests.browser.states import change
from tests.support.house import ROOT, House
from tests.support.ports import free_port

GUIDE = (ROOT / "docs" / "front-end.md").read_text()
SERVICE = "https://pay.example.com"
PAGE = "<!doctype html><title>Shop</title><link rel=icon href='data:,'><script>%s</script>%s"
RETURN = """<p id="result">…</p><script>result().then((told) => {
  document.getElementById("result").textContent = told;
});</script>"""
FORM = {"razorpay": ".razorpay-checkout-frame"}
PAY = {"razorpay": "#pay-upi", "phonepe": "#success", "cashfree": "#pay-upi"}


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture
def shop(old_shop: OldShop, any_house: House) -> Iterator[OldShop]:
    """The merchant's site made of nothing but the guide."""
    before = dict(old_shop.pages)
    script = block("js").replace(SERVICE, any_house.url)
    for gateway in PAY:
        button = block("html").replace('"razorpay"', f'"{gateway}"')
        old_shop.pages[f"/{gateway}"] = PAGE % (script, button)
    old_shop.pages["/payment-status"] = PAGE % (script, RETURN)
    yield old_shop
    old_shop.pages = before


def sign(route: Route) -> None:
    """What the shop's own server does."""
    price, ends = Money(49900), datetime.now(UTC) + timedelta(hours=1)
    quote = quotes.Quote(price, f"ORDER-{uuid4()}", "A course", None, {}, ends)
    route.fulfill(json={"quote": quotes.sign(quote, [DEVELOPMENT_SECRET], "test")})


def buy(page: Page, shop: OldShop, gateway: str) -> None:
    page.route("**/orders/ORDER-1001/quote", sign)
    page.goto(f"{shop.url}/{gateway}")
    page.get_by_role("button", name="Buy for ₹499").click()


def payment_id(page: Page) -> str:
    page.wait_for_url("**/pay/*")
    return page.url.rpartition("/")[2]


def test_the_snippet_is_short() -> None:
    lines = block("js").splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("gateway", PAY)
def test_a_buyer_pays_and_the_shop_knows(page: Page, any_house: House, shop: OldShop, gateway: str) -> None:
    buy(page, shop, gateway)
    form = page.frame_locator(FORM[gateway]) if gateway in FORM else page
    form.locator(PAY[gateway]).click()
    expect(page.locator("#result")).to_have_text("completed")


def test_a_cancelled_payment_is_told_as_failed(page: Page, any_house: House, shop: OldShop) -> None:
    buy(page, shop, "phonepe")
    page.locator("#cancel").click()
    expect(page.locator("#result")).to_have_text("failed")


def test_a_payment_out_of_time_is_told_as_expired(page: Page, any_house: House, shop: OldShop) -> None:
    buy(page, shop, "razorpay")
    change(any_house, payment_id(page), expires_at=datetime.now(UTC))
    page.frame_locator(".razorpay-checkout-frame").locator("#close-checkout").click()
    page.locator("[data-stage=expired] ~ .acts #back").click()
    expect(page.locator("#result")).to_have_text("expired")


def test_an_unpaid_payment_stays_pending_after_all_its_tries(
    page: Page, any_house: House, shop: OldShop
) -> None:
    page.add_init_script("const wait = setTimeout; window.setTimeout = (act, ms) => wait(act, ms / 1000)")
    order_id = any_house.create_order(gateway="cashfree")["order"]["orderId"]
    page.goto(f"{shop.url}/payment-status?gateway=cashfree&orderId={order_id}")
    expect(page.locator("#result")).to_have_text("pending")


def expect_problem(page: Page, text: str) -> None:
    expect(page.locator("#problem")).to_have_text(text)
    expect(page.get_by_role("button")).to_be_enabled()


def test_a_refused_order_is_told_in_the_services_words(
    page: Page, any_house: House, shop: OldShop, expected_complaints: list[str]
) -> None:
    expected_complaints.append("400 (BAD REQUEST)")
    shop.pages["/razorpay"] = shop.pages["/razorpay"].replace("9876543210", "12345")
    buy(page, shop, "razorpay")
    expect(page.locator("#problem")).to_contain_text("Invalid phone number")


def test_a_gateway_that_fails_is_told(
    page: Page, any_house: House, shop: OldShop, expected_complaints: list[str]
) -> None:
    expected_complaints.append("500 (INTERNAL SERVER ERROR)")
    any_house.simulate("faults", {"gateway": "razorpay", "on": "create_order", "kind": "500", "count": 5})
    try:
        buy(page, shop, "razorpay")
        expect(page.locator("#problem")).not_to_be_empty()
        expect(page.get_by_role("button")).to_be_enabled()
    finally:
        any_house.clear_faults()


def test_a_service_that_is_away_is_told(
    page: Page, any_house: House, shop: OldShop, expected_complaints: list[str]
) -> None:
    expected_complaints.append("ERR_CONNECTION_REFUSED")
    nowhere = f"http://127.0.0.1:{free_port()}"
    shop.pages["/razorpay"] = shop.pages["/razorpay"].replace(any_house.url, nowhere)
    buy(page, shop, "razorpay")
    expect_problem(page, "The payment service cannot be reached. Check your connection and try again.")
