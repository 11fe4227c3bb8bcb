"""Pretend payment gateways, for development and tests: their wire formats, their webhooks, their moods.

A Flask app of its own that shares no code with the rest of the package, so that each can check the other.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from gateway_simulator.base import Gateway
from gateway_simulator.cashfree import CashfreeSimulator
from gateway_simulator.control import Control
from gateway_simulator.deliveries import Deliveries
from gateway_simulator.faults import DropConnections, Faults, FaultyViews
from gateway_simulator.phonepe import PhonePeSimulator
from gateway_simulator.razorpay import RazorpaySimulator
from gateway_simulator.state import StateFile, StateFileError
from gateway_simulator.world import World

log = logging.getLogger(__name__)

DEFAULT_WEBHOOKS = "http://127.0.0.1:5000/api/webhook"
TICK_SECONDS = 0.5
# A further gateway is one more line here.
GATEWAYS = (RazorpaySimulator, PhonePeSimulator, CashfreeSimulator)


@dataclass(frozen=True)
class Simulator:
    """The moving parts behind the app; kept in app.extensions["simulator"]."""

    world: World
    deliveries: Deliveries
    gateways: dict[str, Gateway]
    state_file: StateFile | None = None

    def run_clock(self) -> None:
        """Ring the alarms that are due and keep the state file fresh, until the world stops."""
        while not self.world.stopping.wait(TICK_SECONDS):
            self.world.ring()
            if self.state_file:
                try:
                    self.state_file.save_if_due()
                except StateFileError as error:
                    # A full disk is no reason to stop the clock; the next tick tries again.
                    log.warning("%s", error)

    def stop(self) -> None:
        """End hanging requests and webhook senders; what was still said goes to the state file."""
        self.world.stopping.set()
        self.deliveries.stop()
        if self.state_file:
            self.state_file.save()


def create_simulator(
    webhooks: str = DEFAULT_WEBHOOKS,
    *,
    seed: int | None = None,
    backoff_seconds: float = 1.0,
    state: Path | None = None,
) -> Flask:
    """Webhooks go to `webhooks`/<gateway>; the n-th retry waits backoff_seconds × 2ⁿ⁻¹ of simulator time.

    With a `state` file it goes on where the simulator that wrote the file has stopped. Raises StateFileError.
    """
    world = World(seed)
    faults = Faults(world)
    deliveries = Deliveries(world, faults, webhooks, backoff_seconds)
    gateways: dict[str, Gateway] = {kind.name: kind(world, deliveries) for kind in GATEWAYS}
    shared = {"faults": faults, "deliveries": deliveries}
    state_file = StateFile(state, world, shared, gateways) if state else None
    if state_file:
        state_file.load()
        world.resume()
        # Now, so that a file that cannot be written is known at once, and the next start knows of this one.
        state_file.save()
        deliveries.resume()
    app = Flask(__name__, static_url_path="/_sim/static")
    app.url_map.strict_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["simulator"] = Simulator(world, deliveries, gateways, state_file)
    app.register_blueprint(Control(world, faults, deliveries, gateways).blueprint())
    for gateway in gateways.values():
        app.register_blueprint(FaultyViews(gateway, world, faults).blueprint())
    _answer_unknown_routes(app, gateways)
    app.wsgi_app = DropConnections(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _answer_unknown_routes(app: Flask, gateways: dict[str, Gateway]) -> None:
    def unknown_route(error: HTTPException) -> Response:
        for gateway in gateways.values():
            if request.path.startswith(gateway.base_path):
                return gateway.unknown_route(request.path)
        response = jsonify(error=error.description)
        response.status_code = error.code or 404
        return response

    app.register_error_handler(NotFound, unknown_route)
    app.register_error_handler(MethodNotAllowed, unknown_route)
