"""`make run`: everything on this machine, ended together by Ctrl-C.

Settings come from the environment, then from `.env`, else from `.env.example`, which speaks to the simulator.
What lasts is in `.development/`: the database, what the simulator remembers, and the settings, so that
`flask --app wsgi …` works beside it as documents print it.
"""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from dotenv import dotenv_values, load_dotenv

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".development"
SETTINGS = FOLDER / "settings.env"
SECRET = re.compile("SECRET|PASS|SALT_KEY|API_KEYS|TOKEN")
PASSWORD = re.compile("://[^/]*@")
START_SECONDS = 60


def main() -> int:
    os.chdir(ROOT)
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("make run is running here already. Stop that one, or use another copy of this folder.")
            return 1
        return run()


def run() -> int:
    given = dict(os.environ)
    if "production" in (given.get("APP_ENV", "").strip(), (from_file(".env").get("APP_ENV") or "").strip()):
        print("APP_ENV is production here, and make run is for development: it would change that database.")
        print("Set APP_ENV=development, or put .env away.")
        return 1
    load_dotenv(ROOT / ".env" if (ROOT / ".env").exists() else ROOT / ".env.example")
    os.environ.setdefault("PORT", "5000")
    os.environ.setdefault("SIMULATOR_PORT", "8090")
    os.environ["APP_ENV"] = "development"
    port, simulator_port = os.environ["PORT"], os.environ["SIMULATOR_PORT"]
    os.environ.setdefault("RETURN_URL", f"http://127.0.0.1:{port}/payment-status")
    if subprocess.run(python("flask", "--app", "wsgi", "db", "upgrade"), check=False).returncode:
        return 1
    for name in ("PORT", "SIMULATOR_PORT"):
        if not os.environ[name].isdigit() or is_taken(int(os.environ[name])):
            print(f"Port {os.environ[name]} cannot be used. Choose another one: {name}=5055 make run")
            return 1
    leave_settings(given)
    webhooks = f"http://127.0.0.1:{port}/api/webhook"
    service = "gunicorn --log-level warning --bind"
    simulator = "gateway_simulator --state .development/simulator.json --port"
    commands = [
        python(*simulator.split(), simulator_port, "--webhooks", webhooks),
        python(*service.split(), f"127.0.0.1:{port}", "wsgi:app"),
        python("payments_service.worker"),
    ]
    # A session of their own each: Ctrl-C reaches us alone, and we end them in order.
    processes: list[subprocess.Popen[bytes]] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        for command in commands:
            processes.append(subprocess.Popen(command, start_new_session=True))
        if wait_until_ready(port, processes):
            print(welcome(port, simulator_port), flush=True)
            wait_for_first_end(processes)
    except KeyboardInterrupt:
        print("\nStopping")
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # pressed twice, it must not leave one of them behind
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait()
    print("One of the processes ended, so all were stopped", file=sys.stderr)
    return 1


def from_file(name: str) -> dict[str, str | None]:
    return dotenv_values(ROOT / name) if (ROOT / name).exists() else {}


def leave_settings(given: dict[str, str]) -> None:
    """For commands in another terminal. Secrets that this one was given are not written down: a command that
    needs one says so, and takes it from its own environment."""
    is_hidden = {name for name, value in given.items() if SECRET.search(name) or PASSWORD.search(value)}
    SETTINGS.unlink(missing_ok=True)
    if (ROOT / ".env").exists() or "DATABASE_URL" in is_hidden:
        return  # commands read .env themselves; and without its database a command must not begin at all
    names = [name for name in from_file(".env.example") if os.environ.get(name) and name not in is_hidden]
    lines = [f"{name}={quoted(os.environ[name])}\n" for name in (*names, "SIMULATOR_PORT")]
    with open(os.open(SETTINGS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("# Written by make run, for `flask --app wsgi ...` beside it.\n")
        file.writelines(lines)


def quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_ready(port: str, processes: list["subprocess.Popen[bytes]"]) -> bool:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends and all(process.poll() is None for process in processes):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return True
        except OSError:
            time.sleep(0.2)
    return False


def wait_for_first_end(processes: list["subprocess.Popen[bytes]"]) -> None:
    while all(process.poll() is None for process in processes):
        time.sleep(0.5)


def welcome(port: str, simulator_port: str) -> str:
    return f"""
  Ready. Open
    http://127.0.0.1:{port}/          the demo shop: pay for something
    http://127.0.0.1:{simulator_port}/          the simulator: what the gateways know, and what happens next
  Ctrl-C stops everything.
"""


if __name__ == "__main__":
    sys.exit(main())
