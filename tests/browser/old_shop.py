"""A merchant's site of another origin, with pages written for the original design; and the gateways' scripts.

The scripts' official addresses answer with the simulator's stand-ins. This is done over DevTools and for
those addresses alone: Playwright's own routes would also answer every CORS preflight in the service's place.
"""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from playwright.sync_api import CDPSession, Page

from tests.support.house import House

Answers = dict[str, tuple[str, str]]
"""Media type and text by address."""
PAGES = Path(__file__).parent / "old_pages"
SERVICE_IN_PAGES = "http://localhost:5000"
SCRIPTS = {
    "https://checkout.razorpay.com/v1/checkout.js": "/razorpay/v1/checkout.js",
    "https://mercury.phonepe.com/web/bundle/checkout.js": ("/phonepe/apis/pg-sandbox/web/bundle/checkout.js"),
    "https://sdk.cashfree.com/js/v3/cashfree.js": "/cashfree/pg/cashfree.js",
}


class OldShop:
    """Serves old_pages/ and whatever a test adds, each with the service's address put in."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.url_nobody_knows = f"http://localhost:{port}"
        """The same pages from an origin that is not on the service's list."""
        self.service_url = SERVICE_IN_PAGES
        self.pages = {f"/{path.name}": path.read_text() for path in PAGES.glob("*.html")}
        self.pages["/payment-status"] = self.pages["/payment-status.html"]

    def html(self, path: str) -> str | None:
        page = self.pages.get(urlsplit(path).path)
        return page.replace(SERVICE_IN_PAGES, self.service_url) if page is not None else None


@contextmanager
def running_old_shop() -> Iterator[OldShop]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            html = shop.html(self.path)
            body = (html or "").encode()
            self.send_response(404 if html is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        shop = OldShop(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield shop
        server.shutdown()
        thread.join()


def stand_in_for_gateways(page: Page, house: House, more: Answers | None = None) -> None:
    """From now on the gateways' script addresses answer with the stand-ins; and `more` as it says."""
    answer_in_place_of(page, {url: _stand_in(house, path) for url, path in SCRIPTS.items()} | (more or {}))


def answer_in_place_of(page: Page, answers: Answers) -> None:
    """These addresses, and no other, answer with a media type and a text of ours, whatever their query."""
    devtools = page.context.new_cdp_session(page)
    devtools.on("Fetch.requestPaused", partial(_answer, devtools, answers))
    patterns = [{"urlPattern": url + rest} for url in answers for rest in ("", "\\?*")]
    devtools.send("Fetch.enable", {"patterns": patterns})


def _stand_in(house: House, path: str) -> tuple[str, str]:
    """A stand-in finds its pay page beside its own address; it must not look for it at the gateway's."""
    url = house.simulator_url + path
    script = requests.get(url, timeout=20)
    script.raise_for_status()
    return "text/javascript", script.text.replace("document.currentScript.src", f'"{url}"')


def _answer(devtools: CDPSession, answers: Answers, event: dict[str, Any]) -> None:
    media_type, text = answers[event["request"]["url"].partition("?")[0]]
    answer = {
        "requestId": event["requestId"],
        "responseCode": 200,
        "responseHeaders": [{"name": "Content-Type", "value": f"{media_type}; charset=utf-8"}],
        "body": base64.b64encode(text.encode()).decode(),
    }
    devtools.send("Fetch.fulfillRequest", answer)
