"""The overview in a real browser: orders appear by themselves, buttons do what comes next."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.simulator.shop import GATEWAYS, Shop, shop_at
from tests.support.browser import DESKTOP

ROUTINE = ["razorpay", *(pytest.param(name, marks=pytest.mark.check) for name in ("phonepe", "cashfree"))]
"""`make test` pays by one gateway here; the pages of the others have tests of their own."""
AXE = (Path(__file__).parents[1] / "fixtures" / "axe" / "axe.min.js").read_text()


@pytest.fixture
def shop(base: str) -> Iterator[Shop]:
    with shop_at(base) as made:
        yield made


@pytest.fixture
def overview(screen: Page, base: str) -> Page:
    screen.goto(base)
    expect(screen.get_by_text("No orders yet")).to_be_visible()
    return screen


def card(page: Page, order_id: str) -> Locator:
    return page.locator(f'[data-order-id="{order_id}"]')


def press(where: Page | Locator, name: str) -> None:
    where.get_by_role("button", name=name, exact=True).click()


@pytest.mark.parametrize("gateway", ROUTINE)
def test_an_order_appears_by_itself_is_paid_and_given_back_with_buttons(overview, shop, gateway):
    order = card(overview, shop.order(gateway, "psv_1"))
    expect(order.get_by_role("heading")).to_have_text("₹500.00")
    press(order, "Customer pays")
    expect(order.get_by_test_id("status")).to_have_class("pill good")
    expect(order.locator(".webhooks > summary")).to_contain_text("Webhooks: ")
    expect(order.locator(".webhooks > summary")).not_to_contain_text("not delivered")
    expect(order.get_by_role("button", name="Customer pays")).to_have_count(0)
    press(order, "Refund")
    expect(order.locator(".happened li")).to_have_count(2)
    [told] = shop.control("GET", "orders")["orders"]
    assert [refund["amountPaise"] for refund in told["refunds"]] == [50000]


def test_a_refund_that_waits_has_buttons_for_its_end(overview, shop):
    shop.control("POST", "settings", {"razorpay": {"refund_outcome": "pending"}})
    order_id = shop.order("razorpay", "psv_1")
    shop.control("POST", f"orders/{order_id}/success")
    shop.control("POST", f"orders/{order_id}/dashboard-refund")
    order = card(overview, order_id)
    press(order, "Refund fails")
    expect(order.locator(".happened")).to_contain_text("failed")
    expect(order.get_by_role("button", name="Refund fails")).to_have_count(0)


@pytest.mark.check
def test_open_details_half_filled_forms_and_focus_survive_the_refresh(overview, shop):
    shop.order("cashfree", "psv_1")
    order = card(overview, "psv_1")
    order.get_by_text("Anything else").click()
    amount = order.get_by_label("Amount ₹")
    amount.fill("12")
    overview.evaluate("document.querySelector('.order').seen = true")
    shop.control("POST", "orders/psv_1/failure")
    shop.order("cashfree", "psv_2")
    expect(card(overview, "psv_2")).to_be_visible()
    expect(order.locator(".happened")).to_contain_text("FAILED")
    expect(amount).to_be_focused()
    expect(amount).to_have_value("12")
    assert overview.evaluate("document.querySelectorAll('.order')[1].seen")  # the element, not a copy of it


@pytest.mark.check
def test_the_menu_has_every_verb_with_its_details(overview, shop):
    shop.order("cashfree", "psv_1")
    order = card(overview, "psv_1")
    order.get_by_text("Anything else").click()
    order.get_by_label("Amount ₹").fill("120.50")
    order.get_by_label("Method").select_option("card")
    press(order, "Do it")
    expect(order.locator(".happened")).to_contain_text("₹120.50")
    [attempt] = shop.control("GET", "orders/psv_1")["attempts"]
    assert (attempt["amountPaise"], attempt["method"]) == (12050, "card")


@pytest.mark.check
def test_what_a_gateway_refuses_is_said_beside_the_button(overview, shop, expected_complaints):
    expected_complaints.append("409")
    shop.order("phonepe", "psv_1")
    order = card(overview, "psv_1")
    order.get_by_text("Anything else").click()
    order.get_by_label("What").select_option("authorize")
    press(order, "Do it")
    expect(order.get_by_role("alert")).to_contain_text("PhonePe takes money at once")


@pytest.mark.check
def test_faults_and_storms_are_set_shown_and_cleared(overview, shop):
    form = overview.locator("#fault-form")
    for name, value in {"gateway": "cashfree", "on": "webhook", "kind": "drop"}.items():
        form.locator(f"[name={name}]").select_option(value)
    form.get_by_label("Times").fill("3")
    press(overview, "Set fault")
    faults = overview.get_by_test_id("faults")
    expect(faults).to_contain_text("cashfree · webhook · drop · 3 of 3 left")
    overview.get_by_text("A storm").click()
    press(overview, "Start storm")
    expect(faults).to_contain_text("storm · 20 % · seed 7")
    assert shop.control("GET", "faults")["storms"][0]["rate"] == 0.2
    press(overview, "Clear all")
    expect(faults.get_by_role("listitem")).to_have_count(0)
    assert shop.control("GET", "faults")["faults"] == []


@pytest.mark.check
def test_the_clock_moves(overview, shop):
    before = shop.control("GET", "health")["now"]
    press(overview, "+ 1 day")
    press(overview, "+ 1 hour")
    expect(overview.locator("#ahead")).to_have_text("1 d 1 h ahead")
    assert shop.control("GET", "health")["now"] - before >= 25 * 3600
    press(overview, "Settle")
    expect(overview.locator("#done")).to_have_text("Settled")


@pytest.mark.check
def test_settings_are_chosen_from_what_there_is(overview, shop):
    overview.get_by_text("Settings", exact=True).click()
    of_razorpay = overview.get_by_test_id("settings").locator("fieldset.razorpay")
    of_razorpay.get_by_label("refund outcome").select_option("pending")
    expect(overview.locator("#done")).to_have_text("refund_outcome changed")
    assert shop.control("GET", "settings")["razorpay"]["refund_outcome"] == "pending"
    of_phonepe = overview.get_by_test_id("settings").locator("fieldset.phonepe")
    of_phonepe.get_by_label("token seconds").fill("60")
    of_phonepe.get_by_label("token seconds").press("Tab")
    expect(overview.locator("#done")).to_have_text("token_seconds changed")
    assert shop.control("GET", "settings")["phonepe"]["token_seconds"] == 60


@pytest.mark.check
def test_orders_are_found_by_gateway_and_text(overview, shop):
    for gateway in GATEWAYS:
        shop.order(gateway, f"psv_{gateway}")
    expect(overview.locator(".order")).to_have_count(3)
    overview.locator("#filter-text").fill("psv_razor")
    expect(overview.locator(".order")).to_have_count(1)
    overview.locator("#filter-gateway").select_option("cashfree")
    expect(overview.get_by_text("No order is like that")).to_be_visible()
    overview.locator("#filter-text").fill("")
    expect(card(overview, "psv_cashfree")).to_be_visible()


@pytest.mark.check
def test_forgetting_asks_first_and_takes_a_seed(overview, shop):
    shop.order("cashfree", "psv_1")
    press(overview, "Forget everything …")
    press(overview, "Keep it")
    expect(card(overview, "psv_1")).to_be_visible()
    told = []
    for _ in range(2):
        press(overview, "Forget everything …")
        overview.get_by_label("Seed, for the same ids").fill("5")
        press(overview, "Forget everything")
        expect(overview.get_by_text("No orders yet")).to_be_visible()
        told.append(shop.order("razorpay", "psv_1"))
        expect(overview.locator(".order")).to_have_count(1)
    assert told[0] == told[1]


@pytest.mark.check
def test_all_works_with_the_keyboard_alone(overview, shop):
    shop.order("cashfree", "psv_1")
    order = card(overview, "psv_1")
    pay = order.get_by_role("button", name="Customer pays")
    pay.focus()
    overview.keyboard.press("Enter")
    expect(order.get_by_test_id("status")).to_have_text("PAID")
    # the button is gone; whoever used it is not thrown back to the top of the page
    expect(order.get_by_role("heading")).to_be_focused()


def test_text_from_outside_is_text(overview, shop):
    """A receipt is whatever a merchant writes."""
    shop.order("razorpay", "<img src=x onerror=alert(1)>")
    expect(overview.locator(".order .id").first).to_contain_text("<img src=x")
    assert overview.locator(".order img").count() == 0


@pytest.mark.check
def test_a_simulator_that_is_gone_is_told_and_its_return_too(overview, shop, expected_complaints):
    expected_complaints.append("Failed to load resource")
    overview.route("**/_sim/health", lambda route: route.abort())
    expect(overview.locator("#message")).to_contain_text("does not answer")
    overview.unroute("**/_sim/health")
    expect(overview.locator("#message")).to_be_hidden()


@pytest.mark.check
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(overview, shop, width):
    overview.set_viewport_size({"width": width, "height": 844 if width == 390 else DESKTOP["height"]})
    for gateway in GATEWAYS:
        order_id = shop.order(gateway, f"psv_with_quite_a_long_id_{gateway}")
        shop.control("POST", f"orders/{order_id}/success")
        shop.control("POST", f"orders/{order_id}/dashboard-refund", {"amountPaise": 100})
    expect(overview.locator(".order")).to_have_count(3)
    for summary in overview.locator("summary").all():
        if summary.is_visible():
            summary.click()
    assert overview.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.check)])
def test_axe_finds_nothing(overview, shop, width):
    """Contrast, names, roles: with everything open, an error on the page and a fault set."""
    overview.set_viewport_size({"width": width, "height": 844})
    for gateway in GATEWAYS:
        order_id = shop.order(gateway, f"psv_{gateway}")
        shop.control("POST", f"orders/{order_id}/failure")
        shop.control("POST", f"orders/{order_id}/success")
    shop.control("POST", f"orders/{shop.order('razorpay', 'psv_open')}/pending")
    shop.control("POST", "faults/storm", {"rate": 0.2})
    expect(overview.locator(".order")).to_have_count(4)
    for summary in overview.locator("summary").all():
        if not summary.evaluate("one => one.parentElement.open"):
            summary.click()
    expect(overview.get_by_test_id("faults")).to_contain_text("storm")
    overview.evaluate("document.getAnimations().forEach((one) => one.finish())")
    overview.evaluate(AXE)
    found = overview.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
    press(overview, "Forget everything …")
    found = overview.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
