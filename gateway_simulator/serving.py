"""Runs the simulator on a threaded werkzeug server, in the background of a process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from gateway_simulator import Simulator


class QuietRequestHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The control plane tells better than an access log what happened."""


@contextmanager
def serving(app: Flask, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Yields the address; port 0 takes a free one. On leaving, hanging requests end and webhooks stop."""
    server = make_server(host, port, app, threaded=True, request_handler=QuietRequestHandler)
    simulator: Simulator = app.extensions["simulator"]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    clock = threading.Thread(target=simulator.run_clock, name="clock", daemon=True)
    thread.start()
    clock.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        simulator.world.stopping.set()
        server.shutdown()
        thread.join()
        clock.join()
        simulator.stop()
