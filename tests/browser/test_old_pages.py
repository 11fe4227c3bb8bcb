"""Pages written for the original design keep working, unchanged and from their own origin.

The walk is the last table of the contract; `old_pages/` makes exactly its calls.
"""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.browser.old_shop import (
    PAGES,
    SERVICE_IN_PAGES,
    OldShop,
    answer_in_place_of,
    stand_in_for_gateways,
)
from tests.support.house import House, running_house

CORS_REFUSED = ["blocked by CORS policy", "net::ERR_FAILED"]
DEVELOPMENT_ORIGINS = ("http://localhost:3000", "http://127.0.0.1:3000")


def pay(page: Page, shop: OldShop, gateway: str, button: str = "#pay") -> None:
    page.goto(f"{shop.url}/{gateway}.html")
    page.locator(button).click()


def razorpay(page: Page) -> FrameLocator:
    return page.frame_locator(".razorpay-checkout-frame")


def expect_result(page: Page, text: str) -> None:
    expect(page.locator("#result")).to_have_text(text)


def remembered(page: Page, name: str) -> str:
    return str(page.evaluate("name => localStorage.getItem(name)", name))


# ── Razorpay ────────────────────────────────────────────────────────────────────────────────────────


def test_razorpay_pays_and_verifies(old_page: Page, any_house: House, old_shop: OldShop) -> None:
    pay(old_page, old_shop, "razorpay")
    expect(razorpay(old_page).locator("#amount")).to_have_text("₹499.00")
    razorpay(old_page).locator("#pay-upi").click()
    expect_result(old_page, "Paid ₹499 (captured)")


def test_razorpay_after_a_declined_try_and_a_closed_window_is_not_paid(
    old_page: Page, any_house: House, old_shop: OldShop
) -> None:
    pay(old_page, old_shop, "razorpay")
    razorpay(old_page).locator("#upi-decline").click()
    expect(razorpay(old_page).locator("#message")).not_to_be_empty()
    razorpay(old_page).locator("#close-checkout").click()
    expect_result(old_page, "Payment cancelled")


def test_razorpay_with_a_forged_signature_is_told_why(
    old_page: Page, any_house: House, old_shop: OldShop, expected_complaints: list[str]
) -> None:
    expected_complaints.append("400 (BAD REQUEST)")
    old_page.add_init_script("window.forgedSignature = '0'.repeat(64)")
    pay(old_page, old_shop, "razorpay")
    razorpay(old_page).locator("#pay-upi").click()
    expect_result(old_page, "Not verified: Payment signature verification failed")


# ── PhonePe ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("button", ["#pay", "#pay-with-script"])
def test_phonepe_leaves_returns_and_verifies(
    old_page: Page, any_house: House, old_shop: OldShop, button: str
) -> None:
    pay(old_page, old_shop, "phonepe", button)
    expect(old_page.locator("#amount")).to_have_text("₹1249.50")
    old_page.locator("#success").click()
    expect(old_page.locator("#result")).to_contain_text("Paid ₹1249.5, psv_")
    expect_result(old_page, f"Paid ₹1249.5, {remembered(old_page, 'transactionId')}")
    assert old_page.url.startswith(f"{old_shop.url}/payment-status?")


def test_phonepe_cancelled_is_not_paid(
    old_page: Page, any_house: House, old_shop: OldShop, expected_complaints: list[str]
) -> None:
    expected_complaints.append("400 (BAD REQUEST)")
    pay(old_page, old_shop, "phonepe")
    old_page.locator("#cancel").click()
    expect_result(old_page, "Not paid: Payment verification failed")


@pytest.mark.parametrize(("outcome", "expected"), [("#success", "Paid ₹1249.5"), ("#cancel", "Failed")])
def test_phonepe_can_also_be_polled_by_transaction_id(
    old_page: Page,
    any_house: House,
    old_shop: OldShop,
    expected_complaints: list[str],
    outcome: str,
    expected: str,
) -> None:
    expected_complaints.append("400 (BAD REQUEST)")
    pay(old_page, old_shop, "phonepe")
    old_page.locator(outcome).click()
    expect(old_page.locator("#result")).to_contain_text("aid")
    address = f"/payment-status?poll=1&gateway=phonepe&transactionId={remembered(old_page, 'transactionId')}"
    old_page.goto(old_shop.url + address)
    expect_result(old_page, expected)


# ── Cashfree ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("button", ["#pay", "#pay-with-script"])
def test_cashfree_leaves_without_a_second_click_and_is_polled(
    old_page: Page, any_house: House, old_shop: OldShop, button: str
) -> None:
    pay(old_page, old_shop, "cashfree", button)
    old_page.locator("#pay-upi").click()
    expect_result(old_page, "Paid ₹100.15")
    assert old_page.url.startswith(f"{old_shop.url}/payment-status?")


def test_cashfree_that_stays_unpaid_is_polled_fifty_times_and_always_answered(
    old_page: Page, any_house: House, old_shop: OldShop
) -> None:
    pay(old_page, old_shop, "cashfree")
    old_page.locator("#upi-id").fill("testfailure@gocash")
    old_page.locator("#pay-upi").click()
    expect(old_page.locator("#message")).to_contain_text("You can try again")
    old_page.add_init_script("const wait = setTimeout; window.setTimeout = (act, ms) => wait(act, ms / 1000)")
    old_page.locator("#close-checkout").click()
    expect_result(old_page, "Still pending")
    expect(old_page.locator("#questions")).to_have_text("50")


def test_a_status_page_gives_up_at_the_first_refusal(
    old_page: Page, any_house: House, old_shop: OldShop, expected_complaints: list[str]
) -> None:
    expected_complaints.append("404 (NOT FOUND)")
    old_page.goto(f"{old_shop.url}/payment-status?gateway=phonepe&transactionId=nobodys&poll=1")
    expect_result(old_page, "Cannot be checked")


@pytest.mark.parametrize("gateway", ["razorpay", "phonepe", "cashfree"])
def test_an_order_that_cannot_be_made_is_told_by_its_error(
    old_page: Page, any_house: House, old_shop: OldShop, expected_complaints: list[str], gateway: str
) -> None:
    expected_complaints.append("500 (INTERNAL SERVER ERROR)")
    any_house.simulate("faults", {"gateway": gateway, "on": "create_order", "kind": "500", "count": 5})
    try:
        pay(old_page, old_shop, gateway)
        expect_result(old_page, "Error: Failed to create order")
    finally:
        any_house.clear_faults()


# ── origins ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_browser_asked_for_leave_and_got_it(old_page: Page, any_house: House, old_shop: OldShop) -> None:
    """Without the service's own answer to the preflight these tests would show nothing."""
    before = any_house.log().count('"method":"OPTIONS","path":"/api/payment/create-order"')
    pay(old_page, old_shop, "razorpay")
    expect(razorpay(old_page).locator("#pay-upi")).to_be_visible()
    after = any_house.log().count('"method":"OPTIONS","path":"/api/payment/create-order"')
    assert after == before + 1


@pytest.mark.parametrize("gateway", ["razorpay", "phonepe", "cashfree"])
def test_from_a_third_origin_the_browser_refuses(
    old_page: Page, any_house: House, old_shop: OldShop, expected_complaints: list[str], gateway: str
) -> None:
    expected_complaints += CORS_REFUSED
    made = len(any_house.simulated("orders")["orders"])
    old_page.goto(f"{old_shop.url_nobody_knows}/{gateway}.html")
    old_page.locator("#pay").click()
    expect_result(old_page, "Error: Failed to fetch")
    assert len(any_house.simulated("orders")["orders"]) == made


def test_a_third_origin_reads_no_status(
    old_page: Page, any_house: House, old_shop: OldShop, expected_complaints: list[str]
) -> None:
    expected_complaints += CORS_REFUSED
    order_id = any_house.create_order()["order"]["orderId"]
    old_page.goto(f"{old_shop.url_nobody_knows}/razorpay.html")
    address = f"{any_house.url}/api/payment/status/razorpay/{order_id}"
    assert old_page.evaluate("url => fetch(url).then(() => 'read', error => error.message)", address) == (
        "Failed to fetch"
    )


@pytest.mark.parametrize("origin", DEVELOPMENT_ORIGINS)
def test_in_development_port_3000_needs_no_setting(
    old_page: Page, any_house: House, old_shop: OldShop, origin: str
) -> None:
    """Whoever has that port on this machine: the page is put there for this browser alone.

    It came from no address then, and Chromium would ask a person whether it may speak to this machine.
    """
    old_page.context.grant_permissions(["local-network-access"], origin=origin)
    answer_in_place_of(old_page, {f"{origin}/": ("text/html", old_shop.html("/razorpay.html") or "")})
    old_page.goto(f"{origin}/")
    old_page.locator("#pay").click()
    razorpay(old_page).locator("#pay-upi").click()
    expect_result(old_page, "Paid ₹499 (captured)")


def test_cookies_may_be_sent_along(old_page: Page, any_house: House, old_shop: OldShop) -> None:
    old_page.goto(f"{old_shop.url}/cashfree.html")
    options = json.dumps({"credentials": "include"})
    told = old_page.evaluate(
        f"url => fetch(url, {options}).then(answer => answer.status)",
        f"{any_house.url}/api/payment/status/razorpay/{any_house.create_order()['id']}",
    )
    assert told == 200


# ── the original site's own page ────────────────────────────────────────────────────────────────────

ORIGINAL = "http://localhost:3000"


@pytest.fixture(scope="module")
def original_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service whose payers come back to port 3000."""
    folder = tmp_path_factory.mktemp("original")
    with running_house(f"sqlite:///{folder / 'payments.db'}", folder, FRONTEND_URL=ORIGINAL) as house:
        yield house


@pytest.fixture
def original_page(page: Page, original_house: House, expected_complaints: list[str]) -> Page:
    """The page and the one that payers come back to, on port 3000 for this browser alone."""
    pages = {"/": "original.html", "/payment-status": "payment-status.html"}
    html = {path: (PAGES / name).read_text() for path, name in pages.items()}
    page.context.grant_permissions(["local-network-access"], origin=ORIGINAL)
    stand_in_for_gateways(
        page,
        original_house,
        {
            ORIGINAL + path: ("text/html", text.replace(SERVICE_IN_PAGES, original_house.url))
            for path, text in html.items()
        },
    )
    expected_complaints.append("name")  # the checkout may say that it was opened without a shop's name
    page.goto(f"{ORIGINAL}/")
    for field, value in {"name": "Asha Rao", "email": "asha@example.com", "phone": "+91 98765 43210"}.items():
        page.locator(f"[name={field}]").fill(value)
    return page


PAY_AT_GATEWAY = {"razorpay": "#pay-upi", "phonepe": "#success", "cashfree": "#pay-upi"}


@pytest.mark.parametrize("gateway", PAY_AT_GATEWAY)
def test_the_original_sites_own_page_pays_by_every_gateway(
    original_page: Page, original_house: House, gateway: str
) -> None:
    """It opens Razorpay without the option `name`, which Razorpay's documents call mandatory."""
    original_page.locator("[name=gateway]").select_option(gateway)
    original_page.locator("#pay").click()
    form = razorpay(original_page) if gateway == "razorpay" else original_page
    form.locator(PAY_AT_GATEWAY[gateway]).click()
    expect(original_page.locator("#result")).to_contain_text("Paid ₹499")
    assert original_page.url.startswith(f"{ORIGINAL}/payment-status?")
    order_id = remembered(original_page, "orderId")
    assert original_house.status(order_id, gateway)["paymentStatus"] == "completed"


def test_the_original_sites_own_page_tells_what_is_wrong(
    original_page: Page, original_house: House, expected_complaints: list[str]
) -> None:
    expected_complaints.append("400 (BAD REQUEST)")
    original_page.locator("[name=phone]").fill("12345")
    original_page.locator("#pay").click()
    expect(original_page.locator("#result")).to_contain_text("Error: ")
