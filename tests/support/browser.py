"""A real Chromium for tests, as a phone; whatever its console complains about fails the test."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.conftest import count_use

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ON_MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
PATIENCE_MILLISECONDS = 30_000  # on a machine that is busy with other things
expect.set_options(timeout=PATIENCE_MILLISECONDS)
FLAGS = [
    # One process for a page and its frames, as on small phones. With two, a key that closes its frame is not
    # acknowledged now and then, and Playwright waits for that without an end.
    "--disable-site-isolation-trials",
    "--disable-features=IsolateOrigins,site-per-process",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = (
    "The browser tests need Chromium. Debian, Ubuntu: sudo apt install chromium · "
    "macOS: brew install --cask chromium. Or name another one: CHROMIUM=/path/to/chrome"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module: two Playwrights in one thread do not get along."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=find_chromium(), args=flags)
        yield started
        started.close()


@pytest.fixture
def expected_complaints() -> list[str]:
    """Parts of what the console may complain of in this test: Chromium tells every 4xx, in its own time."""
    return []


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport=PHONE, locale="en-IN")  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, expected_complaints: list[str]) -> Iterator[Page]:
    """A phone's screen; breaches of the Content-Security-Policy are among what its console complains of."""
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MILLISECONDS)
    opened.on("console", listen)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    count_use("chromium")
    surprises = [text for text in complaints if not any(part in text for part in expected_complaints)]
    if surprises:
        pytest.fail(f"The browser's console: {surprises}")


def find_chromium() -> str | None:
    """The browser that CHROMIUM names, else the system's; None lets Playwright take its own."""
    if named := os.environ.get("CHROMIUM"):
        return shutil.which(named) or pytest.fail(f"CHROMIUM={named} is not a program. {MISSING}")
    return next(filter(None, map(shutil.which, (*NAMES, ON_MACOS))), None)
