"""Every page in every state and language: nothing for axe to find, nothing moves, nothing foreign is loaded.

axe-core is vendored in tests/fixtures/axe.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.states import HOSTED, LANDING, SHOP, State, let_go
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

SPOKEN = [(state, language) for state in (*HOSTED, *LANDING) for language in ("en", "hi")]
ALL = [*SPOKEN, *[(state, "en") for state in SHOP]]


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
