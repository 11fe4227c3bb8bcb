"""Razorpay's pages as a person uses them: by keyboard, with the shop's options, and with a way back."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.simulator.conftest import KEY_ID

SHOP = """<!doctype html><title>Shop</title><script src="%s/razorpay/v1/checkout.js"></script>
<button id="buy">Buy</button>
<script>
  window.seen = [];
  window.open_checkout = function (options) {
    options.handler = function (fields) { window.seen.push("handler"); };
    options.modal = options.modal || {};
    options.modal.ondismiss = function () { window.seen.push("dismissed"); };
    window.checkout = Razorpay(options).on("payment.failed", function (answer) {
      window.seen.push(answer.error.reason);
    });
    window.checkout.open();
  };
</script>"""


@pytest.fixture
def shop(base: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A merchant's site, and what came back to it."""
    returned: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if self.path.startswith("/back"):
                returned.append({name: values[0] for name, values in query.items()})
            self.answer(SHOP % base if self.path == "/" else f"<title>{urlsplit(self.path).path}</title>")

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            returned.append({name: values[0] for name, values in form.items()})
            self.answer("<title>posted</title>")

        def answer(self, html: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(html)))
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_port}", returned
        server.shutdown()
        thread.join()


@pytest.fixture
def page(screen: Page, shop) -> Page:
    screen.goto(shop[0])
    return screen


@pytest.fixture
def checkout(page: Page, new_order) -> Callable[..., FrameLocator]:
    def open_checkout(**changes) -> FrameLocator:
        order = new_order()
        options = {"key": KEY_ID, "amount": order["amount"], "currency": "INR", "name": "Acme Corp"}
        page.evaluate(
            "options => window.open_checkout(options)", {**options, "order_id": order["id"], **changes}
        )
        frame = page.frame_locator("[data-testid=razorpay-checkout-frame]")
        # The page is inert until its script listens; the frame takes the focus once it is loaded.
        expect(frame.locator("body:not([inert])")).to_be_visible()
        expect(overlay(page)).to_be_focused()
        return frame

    return open_checkout


def seen(page: Page, count: int) -> list[str]:
    page.wait_for_function(f"window.seen.length >= {count}")
    return json.loads(page.evaluate("JSON.stringify(window.seen)"))


def overlay(page: Page):
    return page.get_by_test_id("razorpay-checkout-frame")


def test_a_card_is_paid_by_keyboard_alone(page, checkout, client):
    frame = checkout()
    frame.locator("#tab-card summary").press("Enter")
    expect(frame.locator("#tab-upi")).not_to_have_attribute("open", "")
    frame.locator("#card-cvv").press("Enter")
    expect(frame.locator("#otp")).to_be_focused()
    page.keyboard.type("1234")
    page.keyboard.press("Enter")
    assert seen(page, 1) == ["handler"]
    [payment] = client.payment.all()["items"]
    assert (payment["method"], payment["status"]) == ("card", "captured")


def test_a_bank_is_answered_by_keyboard(page, checkout):
    frame = checkout(prefill={"method": "netbanking"})
    expect(frame.locator("#tab-upi")).not_to_have_attribute("open", "")
    frame.locator("#pay-netbanking").press("Enter")
    expect(frame.locator("#bank-success")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert seen(page, 1) == ["gateway_technical_error"]
    expect(frame.locator("#message")).to_be_focused()


def test_cancelling_on_the_banks_page_fails_the_attempt_only(page, checkout):
    frame = checkout(prefill={"method": "wallet"})
    frame.locator("#pay-wallet").click()
    frame.locator("#bank-cancel").click()
    assert seen(page, 1) == ["payment_cancelled"]
    expect(frame.locator("#pay-wallet")).to_be_visible()
    frame.locator("#tab-card summary").click()
    frame.locator("#pay-card").click()
    frame.locator("#otp-cancel").click()
    assert seen(page, 2) == ["payment_cancelled"] * 2


def test_leaving_the_bank_means_waiting_for_it(page, checkout, control):
    frame = checkout(prefill={"method": "netbanking"})
    frame.locator("#pay-netbanking").click()
    frame.locator("#bank-pending").click()
    expect(frame.locator("#message")).to_contain_text("Waiting for your bank")
    [order] = control.call("GET", "/orders")["orders"]
    control.move(order["orderId"], "failure")
    assert seen(page, 1) == ["gateway_technical_error"]


def test_escape_closes_unless_the_shop_says_no(page, checkout):
    checkout().locator("#pay-upi").focus()
    page.keyboard.press("Escape")
    assert seen(page, 1) == ["dismissed"]
    checkout(modal={"escape": False}).locator("#pay-upi").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(overlay(page)).to_be_visible()
    assert seen(page, 1) == ["dismissed"]


def test_the_backdrop_closes_only_where_the_shop_says_so(page, checkout):
    checkout()
    page.mouse.click(190, 20)
    expect(overlay(page)).to_be_visible()
    page.evaluate("window.checkout.close()")
    checkout(modal={"backdropclose": True})
    page.mouse.click(190, 20)
    assert seen(page, 1) == ["dismissed"]


def test_closing_can_ask_for_a_confirmation(page, checkout):
    answers = ["dismiss", "accept"]
    page.on("dialog", lambda dialog: getattr(dialog, answers.pop(0))())
    frame = checkout(modal={"confirm_close": True})
    frame.locator("#close-checkout").click()
    expect(overlay(page)).to_be_visible()
    frame.locator("#close-checkout").click()
    assert seen(page, 1) == ["dismissed"]


def test_the_back_button_can_close_it(page, checkout):
    checkout(modal={"handleback": True})
    page.go_back()
    assert seen(page, 1) == ["dismissed"]
    expect(page).to_have_title("Shop")


def test_after_its_time_it_closes(page, checkout):
    page.clock.install()
    checkout(timeout=300)
    page.clock.fast_forward("04:50")
    expect(overlay(page)).to_be_visible()
    page.clock.fast_forward("00:15")
    assert seen(page, 1) == ["dismissed"]
    expect(overlay(page)).to_have_count(0)


def test_the_focus_returns_to_where_it_was(page, checkout):
    page.locator("#buy").focus()
    checkout().locator("#close-checkout").click()
    expect(page.locator("#buy")).to_be_focused()


def test_what_is_prefilled_shown_and_coloured_is_the_shops(page, checkout, client):
    frame = checkout(
        prefill={"name": "Gaurav Kumar", "email": "g@example.com", "contact": "+919876543210"},
        readonly={"contact": True},
        hidden={"email": True},
        theme={"color": "#0c7a43", "backdrop_color": "rgb(1, 2, 3)"},
        notes={"address": "Bengaluru"},
    )
    expect(frame.locator("#card-name")).to_have_value("Gaurav Kumar")
    frame.locator("#contact-details summary").click()
    expect(frame.locator("#contact")).not_to_be_editable()
    expect(frame.locator("#email")).to_have_count(0)
    expect(frame.locator("header")).to_have_css("background-color", "rgb(12, 122, 67)")
    expect(overlay(page)).to_have_css("background-color", "rgb(1, 2, 3)")
    frame.locator("#pay-upi").click()
    seen(page, 1)
    [payment] = client.payment.all()["items"]
    assert (payment["contact"], payment["notes"]) == ("+919876543210", {"address": "Bengaluru"})


def test_what_the_payer_types_is_told_to_the_shop(page, checkout, client):
    frame = checkout()
    frame.locator("#contact-details summary").click()
    frame.locator("#contact").fill("+911234567890")
    frame.locator("#email").fill("payer@example.com")
    frame.locator("#pay-upi").click()
    seen(page, 1)
    [payment] = client.payment.all()["items"]
    assert (payment["contact"], payment["email"]) == ("+911234567890", "payer@example.com")


def test_wrong_input_says_so_and_costs_no_attempt(page, checkout, client, control, expected_complaints):
    control.call("POST", "/settings", {"razorpay": {"upi_collect": True}})
    frame = checkout()
    frame.locator("#upi-id").fill("nobody@nowhere")
    frame.locator("#pay-upi").click()
    expect(frame.locator("#message")).to_contain_text("Invalid UPI ID")
    assert client.payment.all()["count"] == 0
    expected_complaints.append("status of 400")


def test_a_hosted_page_posts_the_way_back(page, base, shop, client, new_order):
    url, returned = shop
    fields = {"key_id": KEY_ID, "order_id": new_order()["id"], "name": "Acme", "callback_url": f"{url}/back"}
    page.evaluate(
        """([address, fields]) => {
          const form = Object.assign(document.createElement("form"), { method: "post", action: address });
          for (const name in fields) {
            form.append(Object.assign(document.createElement("input"), { name, value: fields[name] }));
          }
          document.body.append(form);
          form.submit();
        }""",
        [f"{base}/razorpay/v1/checkout/embedded", fields],
    )
    page.locator("#pay-upi").click()
    expect(page).to_have_title("posted")
    assert client.utility.verify_payment_signature(returned[0]) is True


def test_a_payment_link_leads_back_with_a_signature(page, shop, client):
    url, returned = shop
    link = client.payment_link.create(
        {"amount": 50000, "callback_url": f"{url}/back", "callback_method": "get", "reference_id": "TS1"}
    )
    page.goto(link["short_url"])
    expect(page.locator("#amount")).to_have_text("₹500.00")
    page.locator("#pay-upi").click()
    expect(page).to_have_title("/back")
    [fields] = returned
    named = {name.replace("razorpay_payment_link", "payment_link"): text for name, text in fields.items()}
    assert client.utility.verify_payment_link_signature(named) is True
    assert named["payment_link_status"] == "paid"


def test_cancelling_a_hosted_page_leads_to_the_cart(page, base, shop, new_order):
    url, _ = shop
    form = {"key_id": KEY_ID, "order_id": new_order()["id"], "callback_url": f"{url}/back"}
    page.set_content(
        f'<form method="post" action="{base}/razorpay/v1/checkout/embedded">'
        + "".join(f'<input name="{n}" value="{v}">' for n, v in {**form, "cancel_url": f"{url}/cart"}.items())
        + "<button>Go</button></form>"
    )
    page.get_by_role("button").click()
    page.locator("#close-checkout").click()
    expect(page).to_have_title("/cart")
