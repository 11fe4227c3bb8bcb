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
        expect(screen.get_by_test_id("success")).to_be_enabled()
    return str(url)


def open_v1(screen: Page, shop: Shop, phonepe: Client, mode: str) -> None:
    made = phonepe.v1_pay(redirectUrl=f"{shop.url}/back?order=1", redirectMode=mode).json()
    url = made["data"]["instrumentResponse"]["redirectInfo"]["url"]
    screen.goto(shop.url)
    screen.evaluate("url => window.location.assign(url)", url)
    expect(screen.get_by_test_id("success")).to_be_enabled()


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
