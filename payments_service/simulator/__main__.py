"""python -m payments_service.simulator --port 8090 --webhooks http://127.0.0.1:5000/api/webhook"""

import argparse
import os
import signal
import threading
from pathlib import Path

from flask import Flask

from payments_service.simulator import DEFAULT_WEBHOOKS, Simulator, create_simulator
from payments_service.simulator.serving import serving

DEFAULT_PORT = 8090


def main() -> None:
    arguments = _arguments()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    app = create_simulator(arguments.webhooks, seed=arguments.seed, state=arguments.state)
    with serving(app, arguments.host, arguments.port) as address:
        print(_greeting(app, address, arguments.webhooks), flush=True)
        stop.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m payments_service.simulator", description="Pretend gateways."
    )
    port = int(os.environ.get("SIMULATOR_PORT") or DEFAULT_PORT)
    parser.add_argument("--port", type=int, default=port, help=f"default SIMULATOR_PORT, else {DEFAULT_PORT}")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--webhooks", default=DEFAULT_WEBHOOKS, help="each gateway adds /<its name>")
    parser.add_argument("--seed", type=int, help="the same ids on every run")
    parser.add_argument("--state", type=Path, help="a file: go on after a restart where it stopped")
    return parser.parse_args()


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
    main()
