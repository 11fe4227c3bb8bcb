"""The processes that are measured and those beside them, on free ports of loopback, and what they use."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.support.environment import only
from tests.support.ports import free_port, wait_for_port, wait_for_silence
from tests.support.postgres import new_node

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
KEY_ID = "rzp_test_benchmark"
KEY_SECRET = "benchmark_razorpay_key_secret"
WEBHOOK_SECRET = "benchmark_razorpay_webhook_secret"
START_SECONDS = 60
END_SECONDS = 5
MEBIBYTE = 1024 * 1024
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """One command with all its processes."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    start_seconds: float = 0.0
    """From the command to its first 200."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Of the processes that run now."""
        return sum(sum(map(int, stat[11:13])) for _, stat in _group(self.process.pid)) / TICKS_PER_SECOND

    def memory_mib(self) -> float:
        """Proportional set size: what processes share is counted once."""
        return sum(_pss(pid) for pid, _ in _group(self.process.pid)) / MEBIBYTE

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.port:
            wait_for_silence(self.port)


@dataclass
class Peak:
    """The most memory that a server used while it was watched."""

    server: Server
    every_seconds: float = 0.25
    mib: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Peak":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self.every_seconds):
            self.mib = max(self.mib, self.server.memory_mib())


# ── what is started ─────────────────────────────────────────────────────────────────────────────────


@contextmanager
def gateway(folder: Path) -> Iterator[Server]:
    port = free_port()
    with _running("gateway", ["node", HERE / "gateway.js"], folder, port, PORT=str(port)) as server:
        wait_for_port(port, server.process, START_SECONDS)
        yield server


def set_delay(of_gateway: Server, milliseconds: int) -> None:
    requests.put(f"{of_gateway.url}/_bench", json={"delayMs": milliseconds}, timeout=10).raise_for_status()


def set_known(of_gateway: Server, beginning: str) -> None:
    """Orders whose ids begin so are open there, though it made none of them."""
    requests.put(f"{of_gateway.url}/_bench", json={"known": beginning}, timeout=10).raise_for_status()


def times_asked(of_gateway: Server, order_id: str = "") -> int:
    """How often it was asked about any order, or about one."""
    answer = requests.get(f"{of_gateway.url}/_bench/asked/{order_id}", timeout=10)
    answer.raise_for_status()
    return int(answer.json()["times"])


@contextmanager
def receiver(folder: Path, delay_ms: int) -> Iterator[Server]:
    """A merchant's application that takes every event so late."""
    port = free_port()
    with _running("receiver", ["node", HERE / "receiver.js"], folder, port, PORT=str(port)) as server:
        wait_for_port(port, server.process, START_SECONDS)
        set_delay(server, delay_ms)
        yield server


def events_taken(by: Server, event_id: str = "") -> int:
    """How many events it has taken, or how often one."""
    return _events_at(by, event_id)["times" if event_id else "taken"]


def events_taken_again(by: Server) -> int:
    return _events_at(by, "")["again"]


def _events_at(receiver: Server, event_id: str) -> dict[str, int]:
    answer = requests.get(f"{receiver.url}/_bench/{event_id}", timeout=10)
    answer.raise_for_status()
    found: dict[str, int] = answer.json()
    return found


def orders_at(of_gateway: Server) -> list[dict[str, Any]]:
    answer = requests.get(f"{of_gateway.url}/_bench/orders", timeout=60)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


@contextmanager
def express(folder: Path, gateway_port: int) -> Iterator[Server]:
    port = free_port()
    settings = {
        "PORT": str(port),
        "NODE_ENV": "production",
        "GATEWAY_URL": f"http://127.0.0.1:{gateway_port}",
        "KEY_ID": KEY_ID,
        "KEY_SECRET": KEY_SECRET,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    with _running("express", ["node", HERE / "express" / "server.js"], folder, port, **settings) as server:
        _wait_for_health(server)
        yield server


def service_settings(database_url: str, port: int, gateway_port: int) -> dict[str, str]:
    """Production's, on test credentials and loopback. What such a rehearsal needs stands here alone."""
    return {
        "APP_ENV": "production",
        "ALLOW_TEST_MODE": "true",
        "ORDER_LIMITS": "off",
        "REQUIRE_QUOTE": "false",
        "PORT": str(port),
        "DATABASE_URL": database_url,
        "SECRET_KEY": "benchmark-secret-key-of-no-worth",
        "FRONTEND_URL": "http://127.0.0.1:3000",
        "BACKEND_URL": f"http://127.0.0.1:{port}",
        "MERCHANT_NAME": "Benchmark",
        **only("razorpay"),
        "RAZORPAY_KEY_ID": KEY_ID,
        "RAZORPAY_KEY_SECRET": KEY_SECRET,
        "RAZORPAY_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "RAZORPAY_API_URL": f"http://127.0.0.1:{gateway_port}",
    }


@contextmanager
def service(folder: Path, database_url: str, gateway_port: int, **more: str) -> Iterator[Server]:
    """The Procfile's own web command, kept to loopback; a SQLite file has one web process."""
    port = free_port()
    settings = {**service_settings(database_url, port, gateway_port), **more}
    if database_url.startswith("sqlite"):
        settings["WEB_CONCURRENCY"] = "1"
    with _running("service", procfile("web"), folder, port, **settings) as server:
        _wait_for_health(server)
        yield server


@contextmanager
def worker(folder: Path, database_url: str, gateway_port: int, **more: str) -> Iterator[Server]:
    settings = {**service_settings(database_url, free_port(), gateway_port), **more}
    with _running("worker", procfile("worker"), folder, 0, **settings) as server:
        yield server


def migrate(database_url: str) -> None:
    environment = {**_inherited(), **service_settings(database_url, 5000, 5001)}
    done = subprocess.run(procfile("release"), cwd=ROOT, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the database could not be migrated: {done.stderr.decode()[-1000:]}")


def procfile(role: str) -> list[str]:
    """The command of one line of the Procfile."""
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line)
    return ["sh", "-c", "exec " + lines[role].replace("0.0.0.0", "127.0.0.1")]


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """A migrated, empty database that keeps what it has committed, as in production."""
    if kind == "sqlite":
        url = f"sqlite:///{folder / 'payments.db'}"
        migrate(url)
        yield url
        return
    with new_node() as node:
        node.start(keeps_commits=True)
        migrate(node.url)
        yield node.url


@contextmanager
def far_away(folder: Path, database_url: str, milliseconds: float) -> Iterator[str]:
    """The URL of the same PostgreSQL behind a network that takes so long, to and fro."""
    near, far = database_url.rpartition(":")[2].partition("/")[0], free_port()
    command = [
        sys.executable,
        "-m",
        "tests.bench.distance",
        "--listen",
        far,
        "--to",
        near,
        "--ms",
        milliseconds,
    ]
    with _running("distance", command, folder, far) as server:
        wait_for_port(far, server.process, START_SECONDS)
        yield database_url.replace(f":{near}/", f":{far}/")


# ── processes ───────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _running(name: str, command: list[Any], folder: Path, port: int, **settings: str) -> Iterator[Server]:
    with (folder / f"{name}.log").open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={**_inherited(), **settings},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = Server(name, port, process)
    try:
        yield server
    finally:
        server.end()


def _inherited() -> Mapping[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _wait_for_health(server: Server) -> None:
    began = time.monotonic()
    while not _is_well(server.port):
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.name} ended with {server.process.returncode}")
        if time.monotonic() - began > START_SECONDS:
            raise TimeoutError(f"{server.name} gives no answer after {START_SECONDS} s")
        time.sleep(0.005)
    server.start_seconds = time.monotonic() - began


def _is_well(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _group(leader: int) -> Iterator[tuple[int, list[str]]]:
    """Every process that the leader started, with its /proc stat behind the name."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            stat = path.read_text().rpartition(")")[2].split()
            if int(stat[2]) == leader:
                yield int(path.parent.name), stat


def _pss(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
