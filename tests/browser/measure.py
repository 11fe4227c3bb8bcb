"""How heavy /pay/{id} is, by the browser's own account: `.venv/bin/python -m tests.browser.measure`.

A phone's processor and connection are imitated by DevTools (four times slower, slow 3G and slow 4G as
DevTools and Lighthouse define them). Prints the table of docs/performance.md. Service, simulator and browser
share this machine, so that the numbers are its, not a phone's: good for comparing one version with the next.
"""

import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.states import order
from tests.support.browser import FLAGS, PHONE, find_chromium
from tests.support.house import House, running_house

RUNS = 5
CPU_SLOWDOWN = 4
OBSERVE = """
  window.longTasks = []; window.shift = 0;
  const watch = (type, hear) => new PerformanceObserver((list) => list.getEntries().forEach(hear))
    .observe({ type, buffered: true });
  watch("longtask", (task) => window.longTasks.push([task.startTime, task.duration]));
  watch("layout-shift", (one) => { window.shift += one.value; });
  new MutationObserver(() => {
    const button = document.getElementById("pay");
    if (!window.usable && button && !button.disabled) { window.usable = performance.now(); }
  }).observe(document, { attributes: true, childList: true, subtree: true });
"""
READ = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0].startTime;
  const loaded = performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd;
  const ends = window.longTasks.map(([start, duration]) => start + duration);
  const busyUntil = ends.filter((end) => end > paint);
  return {
    paint, interactive: Math.max(paint, loaded, ...busyUntil), usable: window.usable, shift: window.shift,
    blocked: window.longTasks.reduce((sum, [, duration]) => sum + Math.max(0, duration - 50), 0),
  };
}"""


@dataclass(frozen=True)
class Profile:
    name: str
    kilobits_per_second: float
    round_trip_milliseconds: float


PROFILES = (
    Profile("slow 3G", 400, 2000),
    Profile("slow 4G", 1475, 562.5),
    Profile("no limit", -1, 0),
)


def main() -> None:
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=flags)
        print(f"Chromium {browser.version}, {RUNS} runs each, medians")
        with running_house(f"sqlite:///{folder}/payments.db", Path(folder)) as house:
            for language in ("en", "hi"):
                for profile in PROFILES:
                    show(profile, language, [visit(browser, house, profile, language) for _ in range(RUNS)])
        browser.close()


def visit(browser: Browser, house: House, profile: Profile, language: str) -> dict[str, float]:
    """A first visit with an empty cache, until the gateway's checkout is there."""
    context = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    created = order(house)
    page.add_init_script(OBSERVE)
    received = slow_down(page, profile)
    page.goto(f"{created['order']['paymentUrl']}?lang={language}", wait_until="commit", timeout=90_000)
    expect(page.locator(".razorpay-checkout-frame")).to_be_attached(timeout=90_000)
    numbers: dict[str, float] = page.evaluate(READ)
    numbers["opened"] = page.evaluate("performance.now()")
    ours = [entry for entry in received.values() if entry["url"].startswith(f"{house.url}/pay/")]
    numbers["requests"] = len(ours)
    numbers["wire"] = sum(entry["wire"] for entry in ours)
    numbers["size"] = sum(entry["size"] for entry in ours)
    context.close()
    return numbers


def slow_down(page: Page, profile: Profile) -> dict[str, dict[str, Any]]:
    """Imitate the phone; returns what the network will have brought, by request."""
    received: dict[str, dict[str, Any]] = {}
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": CPU_SLOWDOWN})
    bytes_per_second = profile.kilobits_per_second * 1000 / 8 if profile.kilobits_per_second > 0 else -1
    limits = {"downloadThroughput": bytes_per_second, "uploadThroughput": bytes_per_second}
    latency = {"offline": False, "latency": profile.round_trip_milliseconds}
    devtools.send("Network.emulateNetworkConditions", {**latency, **limits})

    def begin(event: dict[str, Any]) -> None:
        received[event["requestId"]] = {"url": event["request"]["url"], "wire": 0, "size": 0}

    def grow(event: dict[str, Any]) -> None:
        received[event["requestId"]]["size"] += event["dataLength"]

    def finish(event: dict[str, Any]) -> None:
        received[event["requestId"]]["wire"] = event["encodedDataLength"]

    devtools.on("Network.requestWillBeSent", begin)
    devtools.on("Network.dataReceived", grow)
    devtools.on("Network.loadingFinished", finish)
    return received


def show(profile: Profile, language: str, runs: list[dict[str, float]]) -> None:
    middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    times = [f"{middle[name] / 1000:.2f} s" for name in ("paint", "interactive", "usable", "opened")]
    cells = [profile.name, language, *times, f"{middle['blocked']:.0f} ms", f"{middle['shift']:.3f}"]
    cells += [f"{middle['requests']:.0f}", f"{middle['wire']:.0f}", f"{middle['size']:.0f}"]
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
