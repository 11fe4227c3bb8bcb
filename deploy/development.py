"""`make run`: everything on this machine, ended together by Ctrl-C.

Settings come from the environment, then from `.env`, else from `.env.example`, which speaks to the simulator.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from dotenv import load_dotenv

ROOT = Path(__file__).parents[1]
START_SECONDS = 60


def main() -> int:
    os.chdir(ROOT)
    os.environ.setdefault("PORT", "5000")
    os.environ.setdefault("SIMULATOR_PORT", "8090")
    load_dotenv(ROOT / ".env" if (ROOT / ".env").exists() else ROOT / ".env.example")
    os.environ["APP_ENV"] = "development"
    port, simulator_port = os.environ["PORT"], os.environ["SIMULATOR_PORT"]
    os.environ.setdefault("RETURN_URL", f"http://127.0.0.1:{port}/payment-status")
    if subprocess.run(python("flask", "--app", "wsgi", "db", "upgrade"), check=False).returncode:
        return 1
    for name in ("PORT", "SIMULATOR_PORT"):
        if not os.environ[name].isdigit() or is_taken(int(os.environ[name])):
            print(f"Port {os.environ[name]} cannot be used. Choose another one: {name}=5055 make run")
            return 1
    webhooks = f"http://127.0.0.1:{port}/api/webhook"
    service = "gunicorn --no-control-socket --workers 2 --threads 8 --log-level warning --bind"
    commands = [
        python("payments_service.simulator", "--port", simulator_port, "--webhooks", webhooks),
        python(*service.split(), f"127.0.0.1:{port}", "wsgi:app"),
        python("flask", "--app", "wsgi", "worker"),
    ]
    # A session of their own each: Ctrl-C reaches us alone, and we end them in order.
    processes = [subprocess.Popen(command, start_new_session=True) for command in commands]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if wait_until_ready(port, processes):
            print(welcome(port, simulator_port), flush=True)
            wait_for_first_end(processes)
    except KeyboardInterrupt:
        print("\nStopping")
        return 0
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait()
    print("One of the processes ended, so all were stopped", file=sys.stderr)
    return 1


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
