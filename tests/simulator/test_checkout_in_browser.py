"""The stand-in for checkout.js in a real browser, on a shop of another origin."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.simulator.conftest import KEY_ID

# What a shop page does; the test's options come in by window.open_checkout.
SHOP = """<!doctype html><title>Shop</title><script src="%s/razorpay/v1/checkout.js"></script>
<script>
  window.seen = [];
  window.open_checkout = function (options) {
    options.handler = function (fields) { window.seen.push({ handler: fields }); };
    options.modal = { ondismiss: function () { window.seen.push({ dismissed: true }); } };
    window.checkout = new Razorpay(options);
    window.checkout.on("payment.failed", function (answer) { window.seen.push({ failed: answer.error }); });
    window.checkout.open();
  };
</script>"""


class Shop:
    """A merchant's site; keeps the forms that were posted to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.forms: list[dict[str, str]] = []


@pytest.fixture
def shop(base: str) -> Iterator[Shop]:
    made = Shop("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(SHOP % base)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            made.forms.append({name: values[0] for name, values in form.items()})
            self.answer("<!doctype html><title>Returned</title>")

        def answer(self, html: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(html)))
            self.end_headers()
            self.wfile.write(html.encode())

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
def page(screen: Page, shop: Shop) -> Page:
    screen.goto(shop.url)
    return screen


@pytest.fixture
def checkout(page: Page, new_order) -> Callable[..., FrameLocator]:
    order = new_order()

    def open_checkout(**changes) -> FrameLocator:
        options = {"key": KEY_ID, "amount": order["amount"], "currency": "INR", "name": "Acme Corp"}
        page.evaluate(
            "options => window.open_checkout(options)", {**options, "order_id": order["id"], **changes}
        )
        return page.frame_locator("[data-testid=razorpay-checkout-frame]")

    return open_checkout


def seen(page: Page, count: int) -> list[dict]:
    page.wait_for_function(f"window.seen.length >= {count}")
    return json.loads(page.evaluate("JSON.stringify(window.seen)"))


def overlay(page: Page):
    return page.get_by_test_id("razorpay-checkout-frame")


def test_paying_by_upi_calls_the_handler_with_a_valid_signature(page, checkout, client):
    frame = checkout(description="Shoes")
    expect(frame.locator("#amount")).to_have_text("₹500.00")
    frame.locator("#pay-upi").click()
    [answer] = seen(page, 1)
    assert client.utility.verify_payment_signature(answer["handler"]) is True
    expect(overlay(page)).to_have_count(0)
    payment = client.payment.fetch(answer["handler"]["razorpay_payment_id"])
    assert (payment["status"], payment["description"]) == ("captured", "Shoes")


def test_a_failure_is_told_and_leaves_room_for_another_try(page, checkout):
    frame = checkout()
    frame.locator("#upi-decline").click()
    [answer] = seen(page, 1)
    assert answer["failed"]["reason"] == "payment_failed"
    assert answer["failed"]["metadata"]["payment_id"].startswith("pay_")
    frame.locator("#tab-card summary").click()
    frame.locator("#pay-card").click()
    expect(frame.locator("#screen-otp .asks")).to_have_text("Visa •••• 1111")
    frame.locator("#otp").fill("123")
    frame.locator("#submit-otp").click()
    assert seen(page, 2)[1]["failed"]["reason"] == "invalid_otp"
    frame.locator("#tab-netbanking summary").click()
    frame.locator("#pay-netbanking").click()
    frame.locator("#bank-failure").click()
    assert seen(page, 3)[2]["failed"]["source"] == "bank"
    frame.locator("#tab-wallet summary").click()
    frame.locator("#pay-wallet").click()
    expect(frame.locator("#screen-bank .asks")).to_have_text("Ola Money")
    frame.locator("#bank-success").click()
    assert list(seen(page, 4)[3]) == ["handler"]


def test_without_retry_a_failure_closes_the_checkout(page, checkout):
    frame = checkout(retry={"enabled": False})
    frame.locator("#upi-decline").click()
    assert [next(iter(one)) for one in seen(page, 2)] == ["failed", "dismissed"]
    expect(overlay(page)).to_have_count(0)


def test_cancelling_tells_the_shop(page, checkout):
    checkout().locator("#close-checkout").click()
    assert seen(page, 1) == [{"dismissed": True}]
    expect(overlay(page)).to_have_count(0)


def test_the_shop_can_close_the_checkout_itself(page, checkout):
    expect(checkout().locator("#pay-upi")).to_be_visible()
    page.evaluate("window.checkout.close()")
    expect(overlay(page)).to_have_count(0)
    assert page.evaluate("window.seen") == []


def test_a_silent_bank_is_waited_for(page, checkout, control):
    frame = checkout()
    frame.locator("#upi-pending").click()
    expect(frame.locator("#message")).to_contain_text("Waiting for your bank")
    [order] = control.call("GET", "/orders")["orders"]
    control.move(order["orderId"], "success")
    [answer] = seen(page, 1)
    assert answer["handler"]["razorpay_payment_id"] == order["attempts"][0]["paymentId"]


def test_a_callback_url_gets_the_three_fields_by_form_post(page, checkout, client, shop):
    frame = checkout(callback_url=f"{shop.url}/return", redirect=True)
    frame.locator("#pay-upi").click()
    expect(page).to_have_title("Returned")
    [form] = shop.forms
    assert client.utility.verify_payment_signature(form) is True


def test_with_redirect_a_failure_is_posted_too(page, checkout, shop):
    frame = checkout(callback_url=f"{shop.url}/return", redirect=True)
    frame.locator("#upi-decline").click()
    expect(page).to_have_title("Returned")
    [form] = shop.forms
    assert form["error[code]"] == "BAD_REQUEST_ERROR"
    assert "razorpay_payment_id" not in form


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key": "rzp_live_other"}, "The api key provided is invalid"),
        ({"order_id": "order_nope"}, "The id provided does not exist"),
        ({"amount": 1}, "Your payment amount is different from your order amount."),
        ({"currency": None}, "The currency option is required."),
    ],
)
def test_wrong_options_are_complained_about_in_the_overlay(
    page, checkout, expected_complaints, changes, sentence
):
    frame = checkout(**changes)
    expect(frame.locator("#checkout-error")).to_contain_text(sentence)
    frame.locator("#close-checkout").click()
    assert seen(page, 1) == [{"dismissed": True}]
    expected_complaints.append("status of 40")


@pytest.mark.parametrize("name", [None, ""])
def test_without_a_name_it_warns_and_takes_the_payment(page, checkout, client, expected_complaints, name):
    """As on a public site: the documents call the option mandatory, the script does not insist."""
    expected_complaints.append("the option name")
    with page.expect_console_message(lambda message: message.type == "warning") as warned:
        frame = checkout(name=name)
    assert "name" in warned.value.text
    expect(frame.locator("#merchant-name")).to_have_text("Pay")
    frame.locator("#pay-upi").click()
    [answer] = seen(page, 1)
    assert client.utility.verify_payment_signature(answer["handler"]) is True


def test_a_upi_id_is_asked_for_only_where_the_account_still_may(page, checkout, control):
    frame = checkout()
    expect(frame.locator("#pay-upi")).to_be_visible()
    expect(frame.locator("#upi-id")).to_have_count(0)
    frame.locator("#close-checkout").click()
    control.call("POST", "/settings", {"razorpay": {"upi_collect": True}})
    frame = checkout()
    frame.locator("#upi-id").fill("failure@razorpay")
    frame.locator("#pay-upi").click()
    assert seen(page, 2)[1]["failed"]["reason"] == "payment_failed"


def test_a_missing_key_throws(page):
    assert (
        page.evaluate("(() => { try { new Razorpay({}) } catch (error) { return error.message } })()")
        == "No key passed"
    )
