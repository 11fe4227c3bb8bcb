"""The stand-in for cashfree.js in a real browser, on a shop of another origin."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from tests.simulator.conftest import session
from tests.simulator.test_cashfree import HEADERS, ORDER

SHOP = """<!doctype html><title>Shop</title><link rel="icon" href="data:,">
<script src="%s/cashfree/pg/cashfree.js"></script>
<script>
  window.seen = [];
  window.open_checkout = function (options) {
    Cashfree({ mode: "sandbox" }).checkout(options).then(function (answer) { window.seen.push(answer); });
  };
</script>"""


@pytest.fixture
def shop(base: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            html = (SHOP % base).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(html)))
            self.end_headers()
            self.wfile.write(html)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def open_checkout(screen: Page, shop: str, base: str) -> Callable[..., None]:
    """Opens the checkout of an order that returns to the shop, with an {order_id} in its address."""
    with session() as http:
        order = {**ORDER, "order_meta": {"return_url": f"{shop}/back?order={{order_id}}&a=1"}}
        made = http.post(f"{base}/cashfree/pg/orders", json=order, headers=HEADERS).json()
    screen.goto(shop)

    def run(**options: str) -> None:
        given = {"paymentSessionId": made["payment_session_id"], **options}
        screen.evaluate("options => window.open_checkout(options)", given)

    run.session_id = made["payment_session_id"]
    return run


def answer(page: Page) -> dict:
    page.wait_for_function("window.seen.length >= 1")
    [seen] = json.loads(page.evaluate("JSON.stringify(window.seen)"))
    return seen


def test_the_checkout_takes_the_place_of_the_shop_and_returns_with_the_order_id(screen, shop, open_checkout):
    open_checkout(redirectTarget="_self")
    screen.locator("#pay-upi").click()
    screen.wait_for_url(f"{shop}/back?order=psv_1&a=1")


@pytest.mark.parametrize(("is_on", "channel"), [(False, "link"), (True, "collect")])
def test_a_upi_id_is_asked_for_only_where_collect_is_on(
    base, screen, shop, control, open_checkout, is_on, channel
):
    control.call("POST", "/settings", {"cashfree": {"upi_collect": is_on}})
    open_checkout(redirectTarget="_self")
    screen.locator("#pay-upi").click()
    screen.wait_for_url(f"{shop}/back?order=psv_1&a=1")
    with session() as http:
        [attempt] = http.get(f"{base}/cashfree/pg/orders/psv_1/payments", headers=HEADERS).json()
    assert attempt["payment_method"]["upi"]["channel"] == channel


def test_the_page_may_wish_for_another_return_address(screen, shop, open_checkout):
    open_checkout(returnUrl=f"{shop}/elsewhere")
    screen.locator("#pay-upi").click()
    screen.wait_for_url(f"{shop}/elsewhere")


def test_an_overlay_tells_that_the_payment_is_finished(screen, control, open_checkout):
    open_checkout(redirectTarget="_modal")
    frame = screen.frame_locator("[data-testid=cashfree-checkout-frame]")
    frame.locator("#upi-id").fill("testfailure@gocash")
    frame.locator("#pay-upi").click()
    expect(frame.locator("#message")).to_contain_text("You can try again")
    frame.locator("#upi-id").fill("testsuccess@gocash")
    frame.locator("#pay-upi").click()
    assert "paymentDetails" in answer(screen)
    expect(screen.get_by_test_id("cashfree-checkout-frame")).to_have_count(0)
    assert control.order("psv_1")["status"] == "PAID"


def test_an_overlay_that_is_closed_is_an_error(screen, open_checkout):
    open_checkout(redirectTarget="_modal")
    screen.frame_locator("[data-testid=cashfree-checkout-frame]").locator("#close-checkout").click()
    assert answer(screen)["error"]["code"] == "payment_aborted"


def test_a_bank_that_stays_silent_is_waited_for(screen, shop, control, open_checkout):
    open_checkout()
    screen.locator("#upi-id").fill("testtimeoutbank@gocash")
    screen.locator("#pay-upi").click()
    expect(screen.locator("#message")).to_contain_text("Waiting for your bank")
    control.move("psv_1", "success")
    screen.wait_for_url(f"{shop}/back?order=psv_1&a=1")


def test_an_attempt_can_be_given_up_at_the_bank(screen, control, open_checkout):
    open_checkout()
    screen.locator("#tab-netbanking summary").click()
    screen.locator("#pay-bank").click()
    screen.locator("#drop").click()
    expect(screen.locator("#message")).to_contain_text("You can try again")
    assert [a["status"] for a in control.order("psv_1")["attempts"]] == ["USER_DROPPED"]


def test_a_session_that_nobody_knows_or_that_is_paid_is_refused(
    screen, control, expected_complaints, open_checkout
):
    control.move("psv_1", "success")
    open_checkout()
    expect(screen.locator("#checkout-error")).to_have_text("This order is PAID.")
    expected_complaints.append("400 (BAD REQUEST)")


@pytest.mark.parametrize("options", [{"paymentSessionId": ""}, {"redirectTarget": "_nowhere"}])
def test_wrong_options_are_an_error(screen, open_checkout, options):
    open_checkout(**options)
    assert set(answer(screen)) == {"error"}


def test_a_phone_pays_by_keyboard_alone(screen, shop, control, open_checkout):
    open_checkout(redirectTarget="_self")
    expect(screen.locator("body.cashfree:not([inert])")).to_be_visible()  # what is inert takes no focus
    screen.locator("#tab-card summary").focus()
    screen.keyboard.press("Enter")
    screen.locator("#card-number").fill("5105 1051 0510 5100")
    screen.keyboard.press("Enter")
    expect(screen.locator("#otp")).to_be_focused()
    screen.keyboard.type("111000")
    screen.keyboard.press("Enter")
    screen.wait_for_url(f"{shop}/back?order=psv_1&a=1")
    assert [a["status"] for a in control.order("psv_1")["attempts"]] == ["SUCCESS"]


def test_a_wrong_password_brings_the_payer_back_to_try_again(screen, shop, open_checkout):
    open_checkout()
    screen.locator("#tab-card summary").click()
    screen.locator("#pay-card").click()
    screen.locator("#otp").fill("000000")
    screen.locator("#send-otp").click()
    expect(screen.locator("#message")).to_have_text("Incorrect OTP. You can try again.")
    expect(screen.locator("#pay-card")).to_be_visible()
    screen.locator("#tab-netbanking summary").click()
    screen.locator("#pay-bank").click()
    screen.locator("#bank-failure").click()
    expect(screen.locator("#message")).to_contain_text("You can try again")


def test_an_overlay_goes_to_the_bank_and_back(screen, open_checkout):
    open_checkout(redirectTarget="_modal")
    frame = screen.frame_locator("[data-testid=cashfree-checkout-frame]")
    frame.locator("#tab-netbanking summary").click()
    frame.locator("#pay-bank").click()
    frame.locator("#bank-failure").click()
    expect(frame.locator("#message")).to_contain_text("You can try again")
    frame.locator("#pay-bank").click()
    frame.locator("#bank-success").click()
    assert "paymentDetails" in answer(screen)


def test_an_element_of_the_page_may_hold_the_checkout(screen, open_checkout):
    screen.evaluate("document.body.innerHTML = '<div id=here></div>'")
    session_id = open_checkout.session_id
    screen.evaluate(
        "id => window.open_checkout({paymentSessionId: id, redirectTarget: document.getElementById('here')})",
        session_id,
    )
    frame = screen.frame_locator("#here iframe")
    frame.locator("[data-with='testfailure@gocash']").click()
    frame.locator("#pay-upi").click()
    expect(frame.locator("#message")).to_contain_text("You can try again")
    frame.locator("#message").press("Escape")
    assert answer(screen)["error"]["code"] == "payment_aborted"
    expect(screen.locator("#here iframe")).to_have_count(0)


def test_another_window_may_hold_the_checkout(screen, context, open_checkout):
    with context.expect_page() as opened:
        open_checkout(redirectTarget="_blank")
    assert answer(screen) == {"redirect": True}
    expect(opened.value.locator("#pay-upi")).to_be_visible()
    opened.value.close()


def test_a_shops_own_page_leads_to_the_bank_and_the_bank_to_the_shop(base, screen, shop, open_checkout):
    bank = {"netbanking": {"channel": "link", "netbanking_bank_code": 3333}}
    body = {"payment_session_id": open_checkout.session_id, "payment_method": bank}
    with session() as http:
        headers = {"x-api-version": "2025-01-01"}
        made = http.post(f"{base}/cashfree/pg/orders/sessions", json=body, headers=headers).json()
    screen.goto(made["data"]["url"])
    expect(screen.locator("#amount")).to_have_text("₹1499.50")
    screen.locator("#bank-failure").click()
    screen.wait_for_url(f"{shop}/back?order=psv_1&a=1")
    screen.goto(made["data"]["url"])
    expect(screen.get_by_test_id("bank-over")).to_have_text("This attempt is over: FAILED.")
    screen.locator("#drop").click()
    screen.wait_for_url(f"{shop}/back?order=psv_1&a=1")


def test_a_silent_attempt_is_cancelled_by_the_payer(screen, control, open_checkout):
    open_checkout()
    screen.locator("[data-with='testtimeoutbank@gocash']").click()
    screen.locator("#pay-upi").click()
    screen.locator("#drop").click()
    expect(screen.locator("#message")).to_contain_text("You can try again")
    assert control.order("psv_1")["attempts"][0]["status"] == "USER_DROPPED"


def test_only_the_methods_that_the_order_names_are_shown(base, screen):
    with session() as http:
        order = {**ORDER, "order_id": "psv_2", "order_meta": {"payment_methods": "dc,nb"}}
        made = http.post(f"{base}/cashfree/pg/orders", json=order, headers=HEADERS).json()
    screen.goto(f"{base}/cashfree/pay/{made['payment_session_id']}")
    expect(screen.locator("#tab-card[open]")).to_be_visible()
    expect(screen.locator("#tab-upi")).to_have_count(0)
    expect(screen.locator("[data-with='4706131211212123']")).to_be_visible()
    expect(screen.locator("[data-with='4576238912771450']")).to_have_count(0)


def test_a_cashfree_without_a_mode_is_not_made(screen, shop):
    screen.goto(shop)
    assert screen.evaluate("() => { try { Cashfree({}); } catch (error) { return error.message; } }")
