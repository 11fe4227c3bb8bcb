"""`make conformance`: the gateways' official SDKs against the simulator, over real HTTP, and a table of it.

    python tests/conformance [razorpay] [phonepe] [cashfree] [--simulator FOLDER] [--verbose]

Each SDK has an environment of its own, because their pins contradict each other. `--simulator` takes the
simulator from another copy of the project (how `sabotage.py` shows that the suites notice).
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from running import HERE, ROOT, SDKS, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/conformance", description=__doc__)
    parser.add_argument("sdks", nargs="*", choices=[*SDKS, []], metavar="SDK")
    parser.add_argument("--simulator", type=Path, default=ROOT, help="the project whose simulator is tried")
    parser.add_argument("--verbose", action="store_true", help="list the calls that were not made")
    options = parser.parse_args()
    reports = {sdk: run(sdk, options.simulator) for sdk in options.sdks or SDKS}
    print("\n".join(table(reports)))
    if options.verbose:
        for sdk, report in reports.items():
            print(f"{sdk}: not made:", ", ".join(set(report["offered"]) - set(report["exercised"])) or "none")
    return 0 if all(report["exit"] == 0 for report in reports.values()) else 1


def table(reports: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield "| SDK | calls it offers in our domain | calls made | tests | passed |"
    yield "|---|---|---|---|---|"
    for sdk, report in reports.items():
        name = (HERE / f"{sdk}.txt").read_text().splitlines()[0]
        passed = report["tests"] - report["failed"] if report["tests"] else 0
        numbers = (len(report["offered"]), len(report["exercised"]), report["tests"], passed)
        yield f"| {name} | " + " | ".join(str(number) for number in numbers) + " |"


if __name__ == "__main__":
    sys.exit(main())
