"""`make bench`: the service by its Procfile beside a peer in Express, on this machine's loopback.

python -m tests.bench [--quick] [--only webhooks] [--folder .development/bench]
python -m tests.bench --outages: what the worker does in an outage, in place of the rest
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.bench import report
from tests.bench.outages import OUTAGES
from tests.bench.scenarios import QUICK, SCENARIOS, Findings, Size
from tests.bench.servers import HERE, ROOT

NEEDED = ("wrk", "node")
RESULTS = ROOT / ".development" / "bench"


def main() -> int:
    arguments = _arguments()
    names = arguments.only or list(OUTAGES if arguments.outages else SCENARIOS)
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or not (OUTAGES.keys() >= set(names) or (HERE / "express" / "node_modules").is_dir()):
        print("make bench installs what this needs", *missing, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # all processes are ended on the way out
    size = QUICK if arguments.quick else Size()
    load_before = os.getloadavg()[0]
    findings = _measure(names, size, arguments.keep)
    _tell(findings, arguments.folder, report.circumstances((load_before, os.getloadavg()[0])))
    return 1 if findings.wrong else 0


def _measure(names: list[str], size: Size, keep: bool) -> Findings:
    findings = Findings()
    folder = Path(tempfile.mkdtemp(prefix="payments-bench-"))
    try:
        for name in names:
            began = time.monotonic()
            (SCENARIOS | OUTAGES)[name](size, folder / name, findings)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    finally:
        if keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return findings


def _tell(findings: Findings, folder: Path, circumstances: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    written = f"{report.table(findings)}\n\n{circumstances}\n{_check(findings)}\n"
    (folder / "table.md").write_text(written)
    (folder / "benchmark.svg").write_text(report.picture(findings))
    (folder / "results.json").write_text(json.dumps(asdict(findings), indent=1))
    print(written)
    print(f"Also in {folder}: table.md, benchmark.svg, results.json")


def _check(findings: Findings) -> str:
    if not findings.wrong:
        return f"Check: {findings.checked:,} acknowledged, each stored and applied exactly once"
    return "\n".join(["BROKEN:", *findings.wrong])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two to three minutes instead of fifteen")
    parser.add_argument("--outages", action="store_true", help="only what the worker does in an outage")
    every = [*SCENARIOS, *OUTAGES]
    parser.add_argument("--only", choices=every, action="append", help="may be repeated (all)")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".development" / "bench", help="for the results"
    )
    parser.add_argument("--keep", action="store_true", help="leave databases and logs where they are")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
