"""python -m gateway_simulator --port 8090 --webhooks http://127.0.0.1:5000/api/webhook"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask

from gateway_simulator import DEFAULT_WEBHOOKS, Simulator, create_simulator
from gateway_simulator.serving import serving
from gateway_simulator.state import StateFileError

DEFAULT_PORT = 8090
WRONG_OPTION = 2
DESCRIPTION = """\
Pretend Razorpay, PhonePe (both generations) and Cashfree in one process: their APIs, their pay pages, their
signed webhooks. Nothing here moves money, and nothing leaves this machine but the webhooks.

A merchant's code is pointed at the addresses that are printed at the start, with the credentials beside
them. What customer, bank and dashboard do next is said to the control plane, /_sim, or clicked on the page
that the address itself shows."""
EPILOG = """\
examples:
  python -m gateway_simulator
  python -m gateway_simulator --webhooks http://127.0.0.1:3000/hooks --seed 7
  python -m gateway_simulator --state simulator.state
  curl -X POST http://127.0.0.1:8090/_sim/orders/ORDER_ID/success

More: docs/simulator.md"""


def main(command_line: Sequence[str] | None = None) -> int:
    arguments = _arguments(command_line)
    stop = threading.Event()
    try:
        app = create_simulator(arguments.webhooks, seed=arguments.seed, state=arguments.state)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        with serving(app, arguments.host, arguments.port) as address:
            print(_greeting(app, address, arguments.webhooks), flush=True)
            stop.wait()
    except StateFileError as error:
        print(f"The simulator cannot use its state file: {error}", file=sys.stderr)
        return WRONG_OPTION
    return 0


def _arguments(command_line: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m gateway_simulator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port",
        type=_port,
        # argparse sends a text through `type`, so a wrong variable is told as a wrong option
        default=os.environ.get("SIMULATOR_PORT") or str(DEFAULT_PORT),
        help=f"where to listen; 0 takes a free one (default: SIMULATOR_PORT, else {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on; every caller who reaches it can do everything (default: %(default)s)",
    )
    parser.add_argument(
        "--webhooks",
        type=_address,
        default=DEFAULT_WEBHOOKS,
        metavar="URL",
        help="where webhooks go; each gateway adds /<its name> (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the same ids on every run")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep everything in this file, and go on there after a restart",
    )
    return parser.parse_args(command_line)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 0 to 65535")
    return int(text)


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http or https address")
    return text


def _greeting(app: Flask, address: str, webhooks: str) -> str:
    simulator: Simulator = app.extensions["simulator"]
    lines = [
        f"Gateway simulator on {address} (control plane {address}/_sim, webhooks to {webhooks}/<gateway>)"
    ]
    for gateway in simulator.gateways.values():
        lines.append(f"  {gateway.name}: {address}{gateway.api_base}")
        lines += [f"    {name} = {value}" for name, value in gateway.credentials.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
