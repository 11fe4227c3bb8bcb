"""Do the suites notice? Breaks a scratch copy of the simulator in one place after the other; all must go red.

    python tests/conformance/sabotage.py [razorpay] [phonepe] [cashfree]

What is said wrongly stands in sabotages/<sdk>.toml: `right` is once in the function, or in the file where no
function holds it. Prints a table; exit code 1 when a suite stayed green. The copies are thrown away.
"""

import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from running import HERE, ROOT, SDKS, run

sys.path.insert(0, str(ROOT))
from tests.support.patching import Patch, apply


def main() -> int:
    wanted = sys.argv[1:] or list(SDKS)
    unnoticed = 0
    print("| SDK | sabotage | tests that failed |", "|---|---|---|", sep="\n", flush=True)
    for sdk in wanted:
        for sabotage in tomllib.loads((HERE / "sabotages" / f"{sdk}.toml").read_text())["sabotage"]:
            what = sabotage.pop("what")
            failed = tests_that_fail(sdk, Patch(**sabotage))
            unnoticed += not failed
            print(f"| {sdk} | {what} | {failed or 'NONE'} |", flush=True)
    return 1 if unnoticed else 0


def tests_that_fail(sdk: str, patch: Patch) -> int:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / "gateway_simulator", copy / "gateway_simulator")
        apply(copy / "gateway_simulator", [patch])
        report = run(sdk, copy, "--no-header", "--tb=no", "-rN")
        failed: int = report["failed"]
        return failed


if __name__ == "__main__":
    sys.exit(main())
