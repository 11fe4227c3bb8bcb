"""PhonePe's pay page and the stand-in for its checkout.js in a real browser, from another origin."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Page, expect

from tests.simulator.phonepe_client import ORDER, Client, phonepe_client, x_verify

HTML = """<!doctype html><title>Shop</title><link rel="icon" href="data:,">
<script src="%s/phonepe/apis/pg-sandbox/web/bundle/checkout.js"></script>
<script>
  window.seen = [];
  window.open_checkout = function (url, type) {
    var callback = function (word) { window.seen.push(word); };
    PhonePeCheckout.transact(type ? { tokenUrl: url, type: type, callback: callback } : { tokenUrl: url });
  };
</script>"""


@dataclass
class Shop:
    url: str = ""
    returns: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """How the payer came back: by which method, to which path, with which form."""


@pytest.fixture
def shop(base: str) -> Iterator[Shop]:
    made = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer("")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def answer(self, form: str) -> None:
            if self.path.startswith("/back"):
                made.returns.append((self.command, self.path, dict(parse_qsl(form))))
            html = (HTML % base).encode()
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
        made.url = f"http://localhost:{server.server_port}"
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def phonepe(base: str) -> Iterator[Client]:
    with phonepe_client(base) as client:
        yield client


def open_v2(screen: Page, shop: Shop, phonepe: Client, kind: str = "", **more: Any) -> str:
    urls = {"redirectUrl": f"{shop.url}/back?order=1"}
    url = phonepe.pay(paymentFlow={**ORDER["paymentFlow"], "merchantUrls": urls}, **more).json()[
        "redirectUrl"
    ]
    screen.goto(shop.url)
    screen.evaluate("([url, kind]) => window.open_checkout(url, kind)", [url, kind])
    if not kind:
        expect(screen.locator("body.phonepe:not([inert])")).to_be_visible()  # what is inert takes no focus
    return str(url)


def open_v1(screen: Page, shop: Shop, phonepe: Client, mode: str) -> None:
    made = phonepe.v1_pay(redirectUrl=f"{shop.url}/back?order=1", redirectMode=mode).json()
    url = made["data"]["instrumentResponse"]["redirectInfo"]["url"]
    screen.goto(shop.url)
    screen.evaluate("url => window.location.assign(url)", url)
    expect(screen.locator("body.phonepe:not([inert])")).to_be_visible()


def words(page: Page) -> list[str]:
    page.wait_for_function("window.seen.length >= 1")
    seen: list[str] = json.loads(page.evaluate("JSON.stringify(window.seen)"))
    return seen


def test_a_payer_succeeds_and_comes_back_by_get(screen, shop, phonepe):
    open_v2(screen, shop, phonepe)
    expect(screen.locator("#amount")).to_have_text("₹499.50")
    screen.locator("#success").click()
    screen.wait_for_url(f"{shop.url}/back?order=1")
    assert shop.returns == [("GET", "/back?order=1", {})]
    assert phonepe.status()["state"] == "COMPLETED"


def test_after_a_failure_another_method_succeeds(screen, shop, phonepe):
    open_v2(screen, shop, phonepe)
    screen.locator("#failure").click()
    expect(screen.locator("#message")).to_contain_text("You can try again")
    screen.locator("#method").select_option("card")
    screen.locator("#success").click()
    screen.wait_for_url(f"{shop.url}/back?order=1")
    modes = [attempt["paymentMode"] for attempt in phonepe.status(details="true")["paymentDetails"]]
    assert modes == ["UPI_INTENT", "CARD"]


def test_without_retries_a_failure_sends_the_payer_back(screen, shop, phonepe):
    open_v2(screen, shop, phonepe, disablePaymentRetry=True)
    screen.locator("#failure").click()
    screen.wait_for_url(f"{shop.url}/back?order=1")
    assert phonepe.status()["state"] == "FAILED"


def test_a_silent_bank_keeps_the_payer_until_it_speaks(screen, shop, phonepe, control):
    open_v2(screen, shop, phonepe)
    screen.locator("#pending").click()
    expect(screen.locator("#message")).to_contain_text("Waiting for your bank")
    assert phonepe.status()["state"] == "PENDING"
    control.move("psv_1", "success")
    screen.wait_for_url(f"{shop.url}/back?order=1")


def test_who_cancels_goes_back_with_an_order_that_failed(screen, shop, phonepe):
    open_v2(screen, shop, phonepe)
    screen.locator("#cancel").click()
    screen.wait_for_url(f"{shop.url}/back?order=1")
    assert phonepe.status()["detailedErrorCode"] == "ORDER_CANCELLED_BY_USER"


@pytest.mark.parametrize(("button", "word"), [("success", "CONCLUDED"), ("cancel", "USER_CANCEL")])
def test_inside_the_shop_the_callback_gets_one_of_two_words(screen, shop, phonepe, button, word):
    open_v2(screen, shop, phonepe, "IFRAME")
    screen.frame_locator("[data-testid=phonepe-checkout-frame]").locator(f"#{button}").click()
    assert words(screen) == [word]
    expect(screen.get_by_test_id("phonepe-checkout-frame")).to_have_count(0)
    assert shop.returns == []


def test_the_shop_can_close_the_page_itself(screen, shop, phonepe):
    open_v2(screen, shop, phonepe, "IFRAME")
    expect(screen.get_by_test_id("phonepe-checkout-frame")).to_have_count(1)
    screen.evaluate("window.PhonePeCheckout.closePage()")
    expect(screen.get_by_test_id("phonepe-checkout-frame")).to_have_count(0)


def test_a_page_that_is_opened_from_nowhere_is_refused(screen, shop, phonepe, expected_complaints):
    """As by a shop that sends no Referer; PhonePe lets only registered websites in."""
    url = open_v2(screen, shop, phonepe)
    screen.goto(url)
    expect(screen.get_by_test_id("checkout-error")).to_contain_text("INTERNAL_SECURITY_BLOCK_1")
    expected_complaints.append("400 (BAD REQUEST)")


def test_an_order_that_is_over_shows_a_way_back(screen, shop, phonepe, control, expected_complaints):
    url = open_v2(screen, shop, phonepe)
    control.move("psv_1", "success")
    screen.goto(shop.url)
    screen.evaluate("url => window.location.assign(url)", url)
    expect(screen.get_by_test_id("checkout-error")).to_contain_text("COMPLETED")
    screen.locator("#leave").click()
    screen.wait_for_url(f"{shop.url}/back?order=1")
    expected_complaints.append("400 (BAD REQUEST)")


def status_of(phonepe: Client) -> tuple[str, list[tuple[str, str]]]:
    status = phonepe.status(details="true")
    return status["state"], [(one["paymentMode"], one["state"]) for one in status["paymentDetails"]]


@pytest.mark.parametrize(
    ("app", "answer", "state", "attempt"),
    [
        ("app-1", "approve", "COMPLETED", "COMPLETED"),
        ("app-2", "decline", "PENDING", "FAILED"),
        ("app-3", "ignore", "PENDING", "PENDING"),
    ],
)
def test_a_payer_answers_in_the_upi_app(screen, shop, phonepe, app, answer, state, attempt):
    open_v2(screen, shop, phonepe)
    screen.get_by_test_id(app).click()
    screen.get_by_test_id(answer).click()
    if answer == "approve":
        screen.wait_for_url(f"{shop.url}/back?order=1")
    else:
        expect(screen.locator("#message")).to_contain_text("try again" if attempt == "FAILED" else "Waiting")
    assert status_of(phonepe) == (state, [("UPI_INTENT", attempt)])


@pytest.fixture
def with_collect(control):
    control.call("POST", "/settings", {"phonepe": {"upi_collect": True}})


def test_upi_collect_is_no_longer_offered(screen, shop, phonepe):
    open_v2(screen, shop, phonepe)
    expect(screen.get_by_test_id("part-upi")).to_be_visible()
    expect(screen.get_by_test_id("part-upi_id")).to_have_count(0)
    expect(screen.locator("#method option", has_text="upi_collect")).to_have_count(0)


@pytest.mark.usefixtures("with_collect")
def test_a_payer_types_a_upi_id(screen, shop, phonepe):
    open_v2(screen, shop, phonepe)
    screen.get_by_test_id("part-upi_id").click()
    for upi_id in ("failed@ybl", "success@ybl"):
        screen.get_by_test_id("upi-id").fill(upi_id)
        screen.get_by_test_id("pay-upi_id").click()
        if upi_id == "failed@ybl":
            expect(screen.locator("#message")).to_contain_text("You can try again")
    screen.wait_for_url(f"{shop.url}/back?order=1")
    assert status_of(phonepe) == ("COMPLETED", [("UPI_COLLECT", "FAILED"), ("UPI_COLLECT", "COMPLETED")])


def pay_by_card(screen: Page, number: str, expiry: str, cvv: str, otp: str) -> None:
    screen.get_by_test_id("card-number").fill(number)
    screen.get_by_test_id("card-expiry").fill(expiry)
    screen.get_by_test_id("card-cvv").fill(cvv)
    screen.get_by_test_id("pay-card").click()
    screen.get_by_test_id("otp").fill(otp)
    screen.get_by_test_id("confirm-otp").click()


def test_a_payer_pays_by_one_of_the_sandboxs_cards(screen, shop, phonepe):
    open_v2(screen, shop, phonepe)
    screen.get_by_test_id("part-card").click()
    for wrong in (
        ("4242 4242 4242 4242", "12/27", "936", "000000"),
        ("4242 4242 4242 4242", "12/27", "935", "123456"),
        ("4111 1111 1111 1111", "12/27", "936", "123456"),
    ):
        pay_by_card(screen, *wrong)
        expect(screen.locator("#message")).to_contain_text("You can try again")
    pay_by_card(screen, "4208 5851 9011 6667", "06/2027", "508", "123456")
    screen.wait_for_url(f"{shop.url}/back?order=1")
    state, attempts = status_of(phonepe)
    assert (state, attempts) == ("COMPLETED", [("CARD", "FAILED")] * 3 + [("CARD", "COMPLETED")])


@pytest.mark.parametrize(("password", "state"), [("test", "COMPLETED"), ("wrong", "PENDING")])
def test_a_payer_logs_in_at_the_bank(screen, shop, phonepe, password, state):
    open_v2(screen, shop, phonepe)
    screen.get_by_test_id("part-netbanking").click()
    screen.get_by_test_id("pay-netbanking").click()
    screen.get_by_test_id("bank-user").fill("test")
    screen.get_by_test_id("bank-password").fill(password)
    screen.get_by_test_id("confirm-bank").click()
    if state == "COMPLETED":
        screen.wait_for_url(f"{shop.url}/back?order=1")
    else:
        expect(screen.locator("#message")).to_contain_text("You can try again")
    assert status_of(phonepe)[0] == state


@pytest.mark.usefixtures("with_collect")
def test_the_keyboard_is_enough(screen, shop, phonepe):
    open_v2(screen, shop, phonepe)
    screen.get_by_test_id("part-upi_id").focus()
    screen.keyboard.press("Enter")
    screen.keyboard.press("Tab")
    expect(screen.get_by_test_id("upi-id")).to_be_focused()
    screen.keyboard.type("failed@ybl")
    screen.keyboard.press("Enter")
    expect(screen.locator("#message")).to_be_focused()
    screen.get_by_test_id("part-card").focus()
    screen.keyboard.press("Enter")
    for text in ("4242424242424242", "12/27", "936"):
        screen.keyboard.press("Tab")
        screen.keyboard.type(text)
    screen.keyboard.press("Enter")
    expect(screen.get_by_test_id("otp")).to_be_focused()
    screen.keyboard.type("123456")
    screen.keyboard.press("Enter")
    screen.wait_for_url(f"{shop.url}/back?order=1")


@pytest.mark.usefixtures("with_collect")
def test_the_page_offers_what_the_order_was_made_for(screen, shop, phonepe):
    modes = {"disabledPaymentModes": [{"type": "CARD"}, {"type": "UPI_INTENT"}]}
    flow = {"type": "PG_CHECKOUT", "merchantUrls": {"redirectUrl": f"{shop.url}/back"}}
    url = phonepe.pay(paymentFlow={**flow, "paymentModeConfig": modes}).json()["redirectUrl"]
    screen.goto(shop.url)
    screen.evaluate("url => window.location.assign(url)", url)
    expect(screen.get_by_test_id("upi-id")).to_be_visible()
    for part, is_there in (("upi", 0), ("card", 0), ("upi_id", 1), ("netbanking", 1)):
        expect(screen.get_by_test_id(f"part-{part}")).to_have_count(is_there)
    assert screen.locator("#method option", has_text="card").count() == 0


@pytest.mark.usefixtures("with_collect")
def test_nothing_of_a_phones_page_is_out_of_reach(screen, shop, phonepe):
    screen.set_viewport_size({"width": 320, "height": 640})
    open_v2(screen, shop, phonepe)
    for part in ("upi", "upi_id", "card", "netbanking"):
        screen.get_by_test_id(f"part-{part}").click()
        assert screen.evaluate("document.documentElement.scrollWidth") <= 320
    low = "[...document.querySelectorAll('button')].filter(b => b.offsetParent && b.offsetHeight < 44).length"
    assert screen.evaluate(low) == 0


def test_v1_sends_the_payer_back_by_get_where_that_was_asked_for(screen, shop, phonepe):
    open_v1(screen, shop, phonepe, "REDIRECT")
    screen.locator("#success").click()
    screen.wait_for_url(f"{shop.url}/back?order=1")
    assert shop.returns == [("GET", "/back?order=1", {})]


@pytest.mark.parametrize(("button", "code"), [("success", "PAYMENT_SUCCESS"), ("cancel", "PAYMENT_ERROR")])
def test_v1_sends_the_payer_back_with_a_signed_form_where_that_was_asked_for(
    screen, shop, phonepe, button, code
):
    open_v1(screen, shop, phonepe, "POST")
    screen.locator(f"#{button}").click()
    screen.wait_for_url(f"{shop.url}/back?order=1")
    [(method, _, form)] = shop.returns
    checksum = form.pop("checksum")
    assert (method, form["code"], form["transactionId"], form["amount"]) == ("POST", code, "psv_1", "49950")
    assert ("providerReferenceId" in form) is (code == "PAYMENT_SUCCESS")
    assert [form[f"param{number}"] for number in range(1, 21)] == ["na"] * 20
    assert checksum == x_verify("".join(form.values()))
