"""Coming, going, coming back, waiting: what a payer meets on the hosted page beyond the straight way."""

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.old_shop import OldShop
from tests.browser.states import (
    CHECKOUT_SCRIPT,
    FAR,
    HELD,
    change,
    hold,
    let_go,
    opened,
    order,
    preparing,
    visit,
)
from tests.e2e import look
from tests.support.browser import PHONE
from tests.support.house import House

STATUS = "**/api/payment/status/**"
CASHFREE_SCRIPT = "**/pg/cashfree.js"


def expect_mood(page: Page, mood: str) -> None:
    expect(page.locator("#stage")).to_have_attribute("data-mood", mood)


def expect_at_gateway(page: Page, house: House) -> None:
    page.wait_for_url(f"{house.simulator_url}/**", wait_until="domcontentloaded")


# ── by itself, once ─────────────────────────────────────────────────────────────────────────────────


def test_the_back_button_from_the_gateway_is_not_sent_there_again(page: Page, any_house: House) -> None:
    """The page left after a click, so that the browser kept its place in the history."""
    page.route(CASHFREE_SCRIPT, lambda route: route.fulfill(content_type="text/javascript", body=""))
    visit(page, order(any_house, "cashfree"), "en")
    expect_mood(page, "blocked")
    page.unroute(CASHFREE_SCRIPT)
    page.get_by_role("button", name="Try again").click()
    expect_at_gateway(page, any_house)
    page.go_back(wait_until="domcontentloaded")
    expect_mood(page, "shown_again")
    page.get_by_role("button", name="Pay ₹499").click()
    expect_at_gateway(page, any_house)


def test_the_back_button_after_an_opening_by_itself_leads_out_of_it(
    page: Page, any_house: House, old_shop: OldShop
) -> None:
    old_shop.pages["/blank"] = "<!doctype html><title>Shop</title><link rel=icon href='data:,'>"
    page.goto(f"{old_shop.url}/blank")
    page.evaluate("url => { location.href = url }", order(any_house, "phonepe")["order"]["paymentUrl"])
    expect_at_gateway(page, any_house)
    page.go_back(wait_until="domcontentloaded")
    expect(page).to_have_title(re.compile("Shop|Ready to pay"))
    assert not page.url.startswith(any_house.simulator_url)


def test_who_pays_and_goes_back_is_found_out_at_once(page: Page, any_house: House) -> None:
    created = order(any_house)
    visit(page, created, "en")
    expect_mood(page, "open")
    change(any_house, created["id"], status="completed")
    page.reload()
    expect(page.locator("#heading")).to_have_text("Paid")


def test_a_reload_offers_the_button_and_asks_at_once(page: Page, any_house: House) -> None:
    opened(page, any_house, "en")
    with page.expect_request(STATUS):
        page.reload()
    expect_mood(page, "shown_again")
    expect(page.locator(".razorpay-checkout-frame")).to_have_count(0)
    page.get_by_role("button", name="Pay ₹499").click()
    expect(page.locator(".razorpay-checkout-frame")).to_have_count(1)


def test_another_link_to_the_same_payment_opens_it_again(page: Page, any_house: House) -> None:
    """A shop's own button, pressed a second time in the same tab, needs no second click here."""
    created = order(any_house)
    visit(page, created, "en")
    expect_mood(page, "open")
    page.goto(f"{any_house.url}/payment-status")
    visit(page, created, "en")
    expect_mood(page, "open")


def test_changing_the_language_keeps_the_gateway_closed(page: Page, any_house: House) -> None:
    opened(page, any_house, "en")
    page.frame_locator(".razorpay-checkout-frame").locator("#close-checkout").click()
    page.get_by_role("link", name="हिन्दी").click()
    expect(page.locator("html")).to_have_attribute("lang", "hi")
    expect_mood(page, "shown_again")
    expect(page.get_by_role("button", name="₹499 का भुगतान करें")).to_be_enabled()


def test_without_storage_only_the_way_of_arriving_decides(page: Page, any_house: House) -> None:
    page.add_init_script("Object.defineProperty(window, 'sessionStorage', { get() { throw new Error(); } })")
    opened(page, any_house, "en")


# ── the gateway's script ────────────────────────────────────────────────────────────────────────────


def test_a_script_that_hangs_can_be_asked_for_again(page: Page, any_house: House) -> None:
    page.clock.install()
    page.route(CHECKOUT_SCRIPT, lambda route: route.continue_() if HELD else hold(route))
    visit(page, order(any_house), "en")
    expect_mood(page, "opening")
    page.clock.fast_forward(10_000)
    expect_mood(page, "slow")
    page.get_by_role("button", name="Try again").click()
    expect_mood(page, "open")
    expect(page.locator(".razorpay-checkout-frame")).to_have_count(1)
    let_go()


def test_a_gateway_that_does_not_take_over_leaves_the_button(page: Page, any_house: House) -> None:
    stub = "window.PhonePeCheckout = { transact() {} }"
    page.route(
        "**/web/bundle/checkout.js", lambda route: route.fulfill(content_type="text/javascript", body=stub)
    )
    page.clock.install()
    visit(page, order(any_house, "phonepe"), "en")
    expect_mood(page, "opening")
    page.clock.fast_forward(10_000)
    expect_mood(page, "slow")
    expect(page.locator("#pay")).to_have_text("Try again")


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────


NO_NEWS = """
  window.asked = 0;
  window.fetch = () => {
    window.asked += 1;
    return Promise.resolve({ ok: true, json: () => Promise.resolve({ paymentStatus: "authorized" }) });
  };
"""


def wait_for_ever(page: Page, house: House) -> None:
    """A page that waits for news and is always told that there are none, on a clock of the test's own."""
    page.clock.install()
    page.add_init_script(NO_NEWS)
    created = order(house)
    change(house, created["id"], status="authorized", asked_at=FAR)
    visit(page, created, "en")
    expect_mood(page, "confirming")


def asked(page: Page) -> int:
    return int(page.evaluate("window.asked"))


def test_waiting_asks_ever_more_seldom_and_not_for_ever(page: Page, any_house: House) -> None:
    wait_for_ever(page, any_house)
    page.clock.run_for(60_000)
    in_the_first_minute = asked(page)
    page.clock.run_for(60_000)
    in_the_second = asked(page) - in_the_first_minute
    assert 2 <= in_the_second < in_the_first_minute <= 9
    page.clock.run_for(3_600_000)
    expect_mood(page, "long")
    assert asked(page) == 60
    page.get_by_role("link", name="Check now").click()
    expect(page.locator("#note")).to_have_text("Asked just now: nothing new yet.")
    assert asked(page) == 61


def set_hidden(page: Page, hidden: bool) -> None:
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_page_that_nobody_looks_at_asks_nothing(page: Page, any_house: House) -> None:
    wait_for_ever(page, any_house)
    set_hidden(page, True)
    page.clock.run_for(120_000)
    assert asked(page) == 0
    set_hidden(page, False)
    page.wait_for_function("window.asked === 1")
    page.clock.run_for(10_000)
    assert asked(page) > 1


def test_news_are_found_by_hand(page: Page, any_house: House) -> None:
    page.clock.install()
    created = order(any_house)
    change(any_house, created["id"], status="authorized", asked_at=FAR)
    visit(page, created, "en")
    change(any_house, created["id"], status="failed")
    page.get_by_role("link", name="Check now").click()
    expect(page.locator("#heading")).to_have_text("Payment failed")


def test_who_is_offline_is_told_and_goes_on_when_back(
    page: Page, any_house: House, expected_complaints: list[str]
) -> None:
    expected_complaints.append("ERR_FAILED")
    preparing(page, any_house, "en")
    page.evaluate("Object.defineProperty(navigator, 'onLine', { configurable: true, value: false })")
    page.route(STATUS, lambda route: route.abort("failed"))
    page.get_by_role("link", name="Check now").click()
    expect(page.locator("#note")).to_contain_text("You seem to be offline.")
    page.unroute(STATUS)
    with page.expect_response(STATUS):
        page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator("#note")).to_be_empty()


def test_a_payment_that_gets_ready_opens_by_itself(page: Page, any_house: House) -> None:
    created = order(any_house)
    change(any_house, created["id"], status="initiated", asked_at=FAR)
    visit(page, created, "en")
    expect_mood(page, "preparing")
    change(any_house, created["id"], status="pending", asked_at=FAR)
    page.get_by_role("link", name="Check now").click()
    expect(page.locator(".razorpay-checkout-frame")).to_have_count(1)


def test_trying_again_after_the_time_leads_back_to_the_shop(page: Page, any_house: House) -> None:
    created = order(any_house)
    visit(page, created, "en")
    expect_mood(page, "open")
    change(any_house, created["id"], expires_at=datetime.now(UTC))
    page.frame_locator(".razorpay-checkout-frame").locator("#close-checkout").click()
    expect(page.locator("#heading")).to_have_text("Time is up")
    page.get_by_role("link", name="Back to Asha's Courses").click()
    expect(page.locator("#stage")).to_have_attribute("data-status", "expired")


# ── without JavaScript, with a keyboard ─────────────────────────────────────────────────────────────


@pytest.fixture
def plain_page(browser: Browser) -> Page:
    return browser.new_context(viewport=PHONE, java_script_enabled=False).new_page()  # type: ignore[arg-type]


def test_without_javascript_phonepe_is_one_link_away(plain_page: Page, any_house: House) -> None:
    visit(plain_page, order(any_house, "phonepe"), "en")
    plain_page.get_by_role("link", name="Pay ₹499").click()
    expect_at_gateway(plain_page, any_house)
    expect(plain_page.locator("#success")).to_be_visible()


@pytest.mark.parametrize("gateway", ["razorpay", "cashfree"])
def test_without_javascript_the_others_say_what_to_do(
    plain_page: Page, any_house: House, gateway: str
) -> None:
    visit(plain_page, order(any_house, gateway), "en")
    expect(plain_page.locator("noscript p")).to_contain_text("this page needs JavaScript")
    expect(plain_page.get_by_role("button", name="Pay ₹499")).to_be_disabled()
    plain_page.get_by_role("link", name="Back to").click()
    expect(plain_page).to_have_url(re.compile("/payment-status"))


def test_without_javascript_news_are_a_link_away(plain_page: Page, any_house: House) -> None:
    preparing(plain_page, any_house, "hi")
    with plain_page.expect_navigation():
        plain_page.get_by_role("link", name="अभी पता करें").click()
    expect(plain_page.locator("html")).to_have_attribute("lang", "hi")


def test_the_page_can_be_used_with_the_keyboard(page: Page, any_house: House) -> None:
    opened(page, any_house, "en")
    page.frame_locator(".razorpay-checkout-frame").locator("#close-checkout").press("Enter")
    expect(page.locator("#pay")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    expect(page.locator("#back")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".help p")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".razorpay-checkout-frame")).to_have_count(1)


# ── the demo shop ───────────────────────────────────────────────────────────────────────────────────


def steps(page: Page) -> str:
    return " ".join(page.locator("#steps .step-title").all_inner_texts())


def test_the_panel_tells_the_whole_story_in_order(page: Page, any_house: House) -> None:
    page.goto(any_house.url)
    page.get_by_role("button", name="Pay", exact=True).click()
    page.wait_for_url("**/pay/*")
    payment_id = page.url.rpartition("/")[2]

    def let_the_webhook_go_first(route: Route) -> None:
        any_house.until(lambda: look.trail(any_house, payment_id), lambda moves: moves[-1] == "completed")
        route.continue_()

    page.route(re.compile("/return$|/api/payment/status/"), let_the_webhook_go_first)
    page.frame_locator(".razorpay-checkout-frame").locator("#pay-upi").click()
    expect(page.locator("[data-kind=status]", has_text="completed")).to_have_count(1)
    expect(page.locator("[data-kind=webhook]", has_text="order.paid")).to_have_count(1)
    story = (
        "POST /api/payment/create-order.* initiated: .*initiated → pending: .*200 after .*"
        "opens the hosted page.*webhook payment.*→ completed: .*GET /api/payment/status/razorpay/order_"
    )
    assert re.search(story, steps(page))
    assert "asha@example.com" not in page.locator("#steps").inner_text()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#steps li")).to_have_count(0)


def test_the_shop_and_the_simulator_lead_to_each_other(page: Page, any_house: House) -> None:
    for path in ("/", "/payment-status"):
        page.goto(any_house.url + path)
        page.get_by_role("link", name="Open the gateway simulator").click()
        expect(page.get_by_role("heading", name="Gateway simulator")).to_be_visible()
        page.get_by_role("link", name="To the shop").click()
        expect(page.get_by_role("heading", name="Asha's Courses")).to_be_visible()


@pytest.mark.parametrize(("language", "words"), [("en", "Test payment"), ("hi", "टेस्ट भुगतान")])
def test_the_status_page_says_test_once_it_knows(
    page: Page, any_house: House, language: str, words: str
) -> None:
    created = order(any_house)
    address = f"{any_house.url}/payment-status?lang={language}&gateway=razorpay&orderId="
    for mode, is_told in (("test", True), ("live", False)):
        change(any_house, created["id"], mode=mode, status="failed")
        page.goto(address + created["order"]["orderId"])
        expect(page.locator("#stage")).to_have_attribute("data-status", "failed")
        expect(page.locator("#test")).to_contain_text(words)
        expect(page.locator("#test")).to_be_visible(visible=is_told)


def test_the_shop_can_watch_a_payment_in_another_tab(page: Page, any_house: House) -> None:
    page.goto(any_house.url)
    page.get_by_label("PhonePe").check()
    with page.context.expect_page() as other:
        page.get_by_role("button", name="Go there in a new tab").click()
    other.value.locator("#success").click()
    expect(page.locator("[data-kind=status]", has_text="completed")).to_have_count(1)
    assert page.url == f"{any_house.url}/"
