"""Pictures of every state, for docs/images: `.venv/bin/python -m tests.browser.screenshots [name …]`.

As a phone shows them when the machine's font is Roboto, with Noto Sans Devanagari (`fc-match system-ui`).
"""

import base64
import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.states import HOSTED, LANDING, SHOP, State, let_go, without_script
from tests.support.browser import DESKTOP, FLAGS, PHONE, find_chromium
from tests.support.house import ROOT, House, running_house

IMAGES = ROOT / "docs" / "images"
WEBP_QUALITY = 70
LIGHT, DARK = "light", "dark"
IN_THE_DARK = ("opened", "declined", "closed", "completed")


def main(wanted: list[str]) -> None:
    IMAGES.mkdir(exist_ok=True)
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=flags)
        with running_house(f"sqlite:///{folder}/payments.db", Path(folder)) as house:
            for state in (*HOSTED, *LANDING, *SHOP):
                if not wanted or state.name in wanted:
                    take_all(browser, house, state)
            if not wanted or "no-script" in wanted:
                plain = State("no-script", "Ready to pay", without_script)
                take(browser, house, plain, "phone-en", java_script_enabled=False)
            if not wanted or "dark" in wanted:
                for state in (s for s in HOSTED if s.name in IN_THE_DARK):
                    take(browser, house, state, "phone-dark", color_scheme=DARK)
        browser.close()


def take_all(browser: Browser, house: House, state: State) -> None:
    take(browser, house, state, "phone-en")
    if state not in SHOP:
        take(browser, house, state, "phone-hi")
    take(browser, house, state, "desktop-en")


def take(browser: Browser, house: House, state: State, kind: str, **options: object) -> None:
    size = DESKTOP if kind.startswith("desktop") else PHONE
    language = "hi" if kind.endswith("hi") else "en"
    settings = {"locale": "en-IN", "color_scheme": LIGHT, "reduced_motion": "reduce", **options}
    context = browser.new_context(viewport=size, **settings)  # type: ignore[arg-type]
    page = context.new_page()
    state.show(page, house, language)
    if language == "en":
        expect(page.get_by_role("heading", level=1)).to_have_text(state.heading)
    save(page, IMAGES / f"{state.name}-{kind}.webp")
    let_go()
    context.close()


def save(page: Page, path: Path) -> None:
    page.evaluate("document.fonts.ready")
    devtools = page.context.new_cdp_session(page)
    options = {"format": "webp", "quality": WEBP_QUALITY}
    path.write_bytes(base64.b64decode(devtools.send("Page.captureScreenshot", options)["data"]))
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1:])
