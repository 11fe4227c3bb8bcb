"""Every page in every state and language: nothing for axe to find, nothing moves, nothing foreign is loaded.

axe-core is vendored in tests/fixtures/axe.
"""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.states import HOSTED, LANDING, SHOP, State, change, let_go, opened, order
from tests.support.browser import DESKTOP
from tests.support.house import House

AXE = (Path(__file__).parents[1] / "fixtures" / "axe" / "axe.min.js").read_text()
RUN_AXE = "axe.run(document, { iframes: false, resultTypes: ['violations'] })"
COLLECT_SHIFTS = """
  window.shifts = [];
  new PerformanceObserver((list) => list.getEntries().filter((shift) => !shift.hadRecentInput).forEach(
    (shift) => window.shifts.push(shift.sources.map((source) => String(source.node && source.node.id)).join())
  )).observe({ type: "layout-shift", buffered: true });
"""
SMALL_TARGETS = """[...document.querySelectorAll("a, button, summary, label:has(input[type=radio])")]
  .filter((target) => target.checkVisibility())
  .map((target) => [target.textContent.trim(), target.getBoundingClientRect()])
  .filter(([, box]) => box.width < 44 || box.height < 44).map(([text]) => text)"""

ALL = [
    *((state, "en") for state in (*HOSTED, *LANDING, *SHOP)),
    *(pytest.param(state, "hi", marks=pytest.mark.check) for state in (*HOSTED, *LANDING)),
]


@pytest.mark.parametrize(("state", "language"), ALL, ids=lambda value: getattr(value, "name", value))
def test_a_state_is_sound(
    page: Page, any_house: House, expected_complaints: list[str], state: State, language: str
) -> None:
    if state.name == "unknown":
        expected_complaints.append("404 (NOT FOUND)")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    page.add_init_script(COLLECT_SHIFTS)
    state.show(page, any_house, language)
    heading = page.get_by_role("heading", level=1)
    if language == "en":
        expect(heading).to_have_text(state.heading)
    expect(page.locator("html")).to_have_attribute("lang", language)
    assert axe_violations(page) == []
    assert page.evaluate("window.shifts") == []
    assert page.evaluate(SMALL_TARGETS) == []
    assert foreign(asked, any_house) == set()
    let_go()


@pytest.mark.parametrize("name", ["closed", "completed"])
def test_a_dark_screen_and_a_wide_one_are_as_legible(page: Page, any_house: House, name: str) -> None:
    [state] = [state for state in HOSTED if state.name == name]
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    state.show(page, any_house, "en")
    expect(page.get_by_role("heading", level=1)).to_have_text(state.heading)
    assert axe_violations(page) == []


LIGHT_ONLY = "<meta name='color-scheme' content='light'>"


@pytest.mark.parametrize("scheme", ["", LIGHT_ONLY])
def test_a_dark_page_stays_dark_behind_the_gateways_frame(page: Page, any_house: House, scheme: str) -> None:
    """Gateways' pages are light: the browser paints a white ground behind them in a frame that is dark."""
    frame = f"<!doctype html><html>{scheme}<body><button id='pay-upi'>Pay</button>"
    page.route("**/razorpay/pay?*", lambda route: route.fulfill(content_type="text/html", body=frame))
    page.emulate_media(color_scheme="dark")
    opened(page, any_house, "en")
    dimmed = [round(channel * 0.4) for channel in (0x17, 0x2A, 0x55)]  # our bill, under the checkout's shade
    assert color_at(page, 195, 200) == pytest.approx(dimmed, abs=2)


COLOR = """async image => {
  const picture = new Image();
  picture.src = "data:image/png;base64," + image;
  await picture.decode();
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  canvas.drawImage(picture, 0, 0);
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


def color_at(page: Page, x: int, y: int) -> list[int]:
    """What a person sees at one point, once nothing moves."""
    seen = page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1}, animations="disabled")
    blank = page.context.new_page()
    color: list[int] = blank.evaluate(COLOR, base64.b64encode(seen).decode())
    blank.close()
    return color


def test_a_page_that_arrives_in_pieces_is_not_seen_moving(page: Page, any_house: House) -> None:
    """As on a slow line, or where a busy browser stops reading: what was painted would be pushed on."""
    created = order(any_house)
    change(any_house, created["id"], status="failed")
    html = any_house.get(f"/pay/{created['id']}").text
    page.add_init_script(COLLECT_SHIFTS)
    with arriving_in_pieces(html.replace('"/pay/static', f'"{any_house.url}/pay/static')) as url:
        page.goto(url)
        expect(page.locator("#back")).to_be_visible()
        assert page.evaluate("window.shifts") == []


@contextmanager
def arriving_in_pieces(html: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            for line in html.splitlines(keepends=True):
                self.wfile.write(line.encode())
                self.wfile.flush()
                time.sleep(0.05)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_axe_would_find_something(page: Page, any_house: House) -> None:
    page.goto(f"{any_house.url}/payment-status")
    page.evaluate("document.documentElement.removeAttribute('lang')")
    assert [found["id"] for found in axe_violations(page)] == ["html-has-lang"]


def test_who_wants_less_motion_gets_none(page: Page, any_house: House) -> None:
    moving = "document.getAnimations().length"
    [opening] = [state for state in HOSTED if state.name == "preparing"]
    opening.show(page, any_house, "en")
    assert page.evaluate(moving) == 1
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == 0


def axe_violations(page: Page) -> list[dict[str, Any]]:
    page.evaluate(AXE)
    found = page.evaluate(RUN_AXE)["violations"]
    return [
        {"id": one["id"], "help": one["help"], "where": [node["html"][:120] for node in one["nodes"]]}
        for one in found
    ]


def foreign(asked: list[Request], house: House) -> set[str]:
    """Origins beyond the service and what stands in for the gateway."""
    parts = [urlsplit(request.url) for request in asked]
    origins = {f"{part.scheme}://{part.netloc}" for part in parts if part.scheme != "data"}
    return origins - {house.url, house.simulator_url}
