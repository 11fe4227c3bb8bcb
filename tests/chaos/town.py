"""All processes of a storm: service, workers, simulator, a merchant's app; started, killed, started again."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.chaos.books import is_migrated
from tests.support.environment import environment
from tests.support.ports import free_port, is_open, wait_for_port, wait_for_silence

ROOT = Path(__file__).parents[2]
API_KEY = "psk_chaos_merchant_server_key_0123456789"
MERCHANT_SECRET = "whsec_Y2hhb3MtbWVyY2hhbnQtc2VjcmV0LTAxMjM0NTY3ODk="
V1 = {
    "PHONEPE_MERCHANT_ID": "SIMULATORV1",
    "PHONEPE_SALT_KEY": "simulator_phonepe_salt_key",
    "PHONEPE_SALT_INDEX": "1",
}
NO_V2 = {"PHONEPE_CLIENT_ID": "", "PHONEPE_CLIENT_SECRET": "", "PHONEPE_CLIENT_VERSION": ""}
START_SECONDS = 60
SWEEP_SECONDS = 0.2


@dataclass
class Options:
    """How hard it storms. Rates are probabilities of each call, webhook or delivery."""

    seed: int = 7
    payments: int = 60
    threads: int = 12
    database: str = "sqlite"
    root: Path = ROOT
    """Whose package is run: a scratch copy under sabotage."""
    processes: int = 3
    workers: int = 2
    storm_scale: int = 60
    settle_scale: int = 20_000
    fault_rate: float = 0.06
    timeout_rate: float = 0.01
    slow_rate: float = 0.01
    webhook_rate: float = 0.25
    bad_merchant: float = 0.25
    crash_every: int = 150
    """Commits between two crashes of a process, in the mean; 0: never."""
    kill_every: float = 8.0
    """Seconds between two kills from outside, in the mean; 0: never."""
    settle_seconds: float = 600.0
    stories: tuple[str, ...] = ()
    """Only these; all when empty."""
    gateways: tuple[str, ...] = ("razorpay", "phonepe", "cashfree")


@dataclass
class Town:
    options: Options
    folder: Path
    database_url: str
    port: int = field(default_factory=free_port)
    simulator_port: int = field(default_factory=free_port)
    merchant_port: int = field(default_factory=free_port)
    kills: Counter[str] = field(default_factory=Counter)
    v1_only: bool = True
    """Whether new orders at PhonePe are of its first generation."""
    scale: int = 60
    crash_every: int = 0
    _running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def simulator_url(self) -> str:
        return f"http://127.0.0.1:{self.simulator_port}"

    @property
    def log_file(self) -> Path:
        return self.folder / "service.log"

    @property
    def merchant_log(self) -> Path:
        return self.folder / "merchant.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        """Settings of the service, without what a process needs of ours."""
        digest = hashlib.sha256(API_KEY.encode()).hexdigest()
        return environment(
            database_url=self.database_url,
            port=self.port,
            simulator_port=self.simulator_port,
            BACKEND_URL=self.url,
            MERCHANT_WEBHOOK_URL=f"http://127.0.0.1:{self.merchant_port}/hooks",
            MERCHANT_WEBHOOK_SECRET=MERCHANT_SECRET,
            API_KEYS=f"shop:read+write:{digest}",
            **V1,
        )

    def start(self) -> None:
        webhooks = ["--webhooks", f"{self.url}/api/webhook", "--seed", str(self.options.seed)]
        simulator = ["gateway_simulator", "--port", str(self.simulator_port), *webhooks]
        self._start("simulator", simulator)
        merchant = ["--port", str(self.merchant_port), "--seed", str(self.options.seed)]
        merchant += ["--log", str(self.merchant_log), "--bad", str(self.options.bad_merchant)]
        self._start("merchant", ["tests.chaos.merchant", *merchant])
        self._start_service()
        if not is_migrated(self.database_url):
            self._migrate()
        self.start_workers(self.scale)
        wait_for_port(self.port, self._running["service"], START_SECONDS)
        wait_for_port(self.simulator_port, self._running["simulator"], START_SECONDS)
        wait_for_port(self.merchant_port, self._running["merchant"], START_SECONDS)

    def start_service(self) -> None:
        with self._lock:
            self._start_service()
            wait_for_port(self.port, self._running["service"], START_SECONDS)

    def _start_service(self) -> None:
        gunicorn = ["gunicorn", "--preload", "--backlog", "256"]
        gunicorn += ["--workers", str(self.options.processes), "--bind", f"127.0.0.1:{self.port}"]
        more = NO_V2 if self.v1_only else {}
        self._start("service", [*gunicorn, "tests.chaos.wsgi:app"], **more)

    def start_worker(self, number: int) -> None:
        command = ["flask", "--app", "tests.chaos.wsgi", "worker", "--time-scale", str(self.scale)]
        self._start(f"worker{number}", command)

    def kill_service(self) -> None:
        """kill -9 of gunicorn and all its processes, and a new one."""
        with self._lock:
            self._end("service", signal.SIGKILL)
            wait_for_silence(self.port)
            self.start_service()

    def kill_worker(self, number: int) -> None:
        with self._lock:
            self._end(f"worker{number}", signal.SIGKILL)
            self.start_worker(number)

    def crash_no_more(self) -> None:
        (self.folder / "calm").touch()

    def stop_workers(self) -> None:
        """As a kill: while none runs, nobody holds a lease."""
        with self._lock:
            for number in range(self.options.workers):
                self._end(f"worker{number}", signal.SIGKILL)

    def start_workers(self, scale: int) -> None:
        with self._lock:
            self.scale = scale
            for number in range(self.options.workers):
                self.start_worker(number)

    def tend(self) -> None:
        """Start again what killed itself; gunicorn does so for its own."""
        with self._lock:
            for name, process in list(self._running.items()):
                if process.poll() is None:
                    continue
                if name.startswith("worker"):
                    self.start_worker(int(name.removeprefix("worker")))
                elif name == "service":
                    wait_for_silence(self.port)
                    self.start_service()
                else:
                    raise RuntimeError(f"{name} ended with {process.returncode}")

    def crashes(self) -> Counter[str]:
        path = self.folder / "crashes"
        return Counter(path.read_text().splitlines()) if path.exists() else Counter()

    def stop(self) -> None:
        with self._lock:
            for name in list(self._running):
                self._end(name, signal.SIGTERM)

    # ── processes ───────────────────────────────────────────────────────────────────────────────

    def _inherited(self) -> dict[str, str]:
        keep = ("PATH", "HOME", "LANG", "TMPDIR")
        return {k: v for k, v in os.environ.items() if k in keep} | {"PYTHONPATH": str(self.options.root)}

    def _migrate(self) -> None:
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
        env = {**self._inherited(), **self.environment}
        done = subprocess.run(command, cwd=self.options.root, env=env, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"db upgrade failed: {done.stderr.decode()[-2000:]}")

    def _start(self, name: str, module: list[str], **more: str) -> None:
        chaos = {
            "CHAOS_CRASH_EVERY": str(self.crash_every),
            "CHAOS_SEED": str(self.options.seed),
            "CHAOS_FOLDER": str(self.folder),
            "CHAOS_ROLE": name.rstrip("0123456789"),
        }
        env = {**self._inherited(), **self.environment, **chaos, **more}
        quiet = name in ("simulator",)
        with (self.folder / f"{name}.out" if quiet else self.log_file).open("ab") as output:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=self.options.root,
                env=env,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _end(self, name: str, number: signal.Signals) -> None:
        process = self._running.pop(name, None)
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Killer(threading.Thread):
    """kill -9 of service or worker at random moments, and a hand for those that killed themselves."""

    def __init__(self, town: Town) -> None:
        super().__init__(name="killer")
        self._town = town
        self._dice = random.Random(f"{town.options.seed} kills")
        self._stop_ = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        mean = self._town.options.kill_every
        due = time.monotonic() + (self._dice.uniform(0.5, 1.5) * mean if mean else 1e9)
        try:
            while not self._stop_.wait(SWEEP_SECONDS):
                self._town.tend()
                if time.monotonic() >= due:
                    self._kill()
                    due = time.monotonic() + self._dice.uniform(0.5, 1.5) * mean
        except BaseException as error:  # told by whoever joins
            self.error = error

    def _kill(self) -> None:
        if self._dice.random() < 0.4:
            self._town.kill_service()
            self._town.kills["service"] += 1
        elif self._town.options.workers:
            self._town.kill_worker(self._dice.randrange(self._town.options.workers))
            self._town.kills["worker"] += 1

    def end(self) -> None:
        self._stop_.set()
        self.join()
        if self.error:
            raise RuntimeError("the storm's own process keeper failed") from self.error


@contextmanager
def running_town(options: Options, folder: Path, database_url: str) -> Iterator[Town]:
    town = Town(options, folder, database_url, scale=options.storm_scale, crash_every=options.crash_every)
    try:
        town.start()
        yield town
    finally:
        town.stop()


def simulate(town: Town, method: str, path: str, body: object = None) -> requests.Response:
    return requests.request(method, f"{town.simulator_url}/_sim/{path}", json=body, timeout=120)


__all__ = ["Killer", "Options", "Town", "is_open", "running_town", "simulate"]
