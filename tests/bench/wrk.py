"""The load: files of prepared HTTP requests, and wrk, which sends them."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("load.lua")
ANSWER_SECONDS = 30
"""How long one answer may take until it counts as none."""
MARK = "RESULT "


@dataclass(frozen=True)
class Load:
    """What came of one run."""

    answered: int
    refused: int
    """Answered with something else than 2xx or 3xx."""
    broken: int
    timeouts: int
    sent: int
    """Those that were under way when the run ended are among them."""
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def acknowledged(self) -> int:
        return self.answered - self.refused

    @property
    def errors(self) -> int:
        return self.refused + self.broken + self.timeouts

    @property
    def per_second(self) -> float:
        return self.acknowledged / self.seconds


def post(path: str, body: bytes, **headers: str) -> bytes:
    """A whole request, as it goes over the wire."""
    about = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in about.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for request in requests:
            file.write(b"%d\n%b" % (len(request), request))


def run(port: int, requests: Path, connections: int, seconds: float) -> Load:
    """Send for so long. Raises RuntimeError where wrk could not do its work."""
    command: list[Any] = ["wrk", "-t", 1, "-c", connections, "-d", f"{seconds:.0f}s"]
    command += ["--timeout", f"{ANSWER_SECONDS}s", "-s", SCRIPT, f"http://127.0.0.1:{port}", "--", requests]
    patience = seconds + 2 * ANSWER_SECONDS
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=patience, check=False
    )
    return read(done.stdout + done.stderr)


def read(output: str) -> Load:
    told = [line for line in output.splitlines() if line.startswith(MARK)]
    if not told:
        raise RuntimeError(f"wrk told no result: {output[-500:]}")
    return Load(**json.loads(told[0].removeprefix(MARK)))
