"""Runs one official SDK's suite: its environment, a simulator process, pytest, and the numbers."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SDKS = ("razorpay", "phonepe", "cashfree")
START_SECONDS = 20
SUITE_SECONDS = 300


def run(sdk: str, project: Path, *pytest_options: str) -> dict[str, Any]:
    """Run one SDK's suite and return its numbers."""
    python = environment(sdk)
    with tempfile.TemporaryDirectory() as folder, simulator(project) as url:
        report = Path(folder, "report.json")
        variables = {**os.environ, "SIMULATOR_URL": url, "CONFORMANCE_REPORT": str(report)}
        command = [str(python), "-m", "pytest", "-c", HERE / "pytest.ini", "--confcutdir", HERE, "-q"]
        suites = sorted(HERE.glob(f"suite_{sdk}*.py"))
        ended = subprocess.run(
            [*command, *pytest_options, *suites], env=variables, timeout=SUITE_SECONDS, check=False
        )
        if not report.exists():
            return {"offered": [], "exercised": [], "tests": 0, "failed": 0, "exit": ended.returncode or 1}
        numbers: dict[str, Any] = json.loads(report.read_text())
        return numbers


def environment(sdk: str) -> Path:
    """The SDK's own virtual environment, made where it is missing or older than what it should hold."""
    venv, wanted = ROOT / ".venv" / f"conformance-{sdk}", HERE / f"{sdk}.txt"
    stamp = venv / ".installed"
    if not stamp.exists() or stamp.stat().st_mtime < wanted.stat().st_mtime:
        subprocess.run(["sh", ROOT / "deploy" / "install.sh", venv, wanted], cwd=ROOT, check=True)
        stamp.touch()
    return venv / "bin" / "python"


@contextmanager
def simulator(project: Path) -> Iterator[str]:
    """The simulator of a copy of the project, in a process of its own; its webhooks go nowhere."""
    sys.path.insert(0, str(ROOT))
    from tests.support.ports import free_port

    port = free_port()
    command = [sys.executable, "-m", "gateway_simulator", "--port", str(port)]
    nowhere = ["--webhooks", "http://127.0.0.1:9/api/webhook"]
    with subprocess.Popen([*command, *nowhere], cwd=project, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until_up(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_until_up(url: str, process: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"{url}/_sim/health", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the simulator did not start (exit code {process.poll()})")
