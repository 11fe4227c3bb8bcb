"""Trouble on demand: lost answers, reset connections, refusals, and webhooks that go wrong."""

import hashlib
import os
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import Blueprint, Response, make_response, request

from gateway_simulator.base import BadInputError, Gateway, Route, WireError
from gateway_simulator.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

OPERATIONS = ("create_order", "fetch", "capture", "refund", "token")
# The value is the default of `seconds`; None: the kind takes no time.
API_KINDS: dict[str, float | None] = {
    "timeout_before": 30.0,
    "timeout_after": 30.0,
    "reset_before": None,
    "reset_after": None,
    "429": None,
    "500": None,
    "html502": None,
    "slow": 3.0,
}
WEBHOOK_KINDS: dict[str, float | None] = {
    "duplicate": None,
    "reorder": None,
    "delay": 5.0,
    "drop": None,
    "corrupt_signature": None,
    "old_secret": None,
}
HTML_502 = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    "<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)
_DROP = "simulator.drop_connection"


@dataclass
class Fault:
    gateway: str
    on: str
    kind: str
    count: int
    seconds: float | None
    remaining: int


@dataclass
class Storm:
    """Bad luck with a probability, for every call and webhook that it covers, the same for the same seed.

    Whether the n-th call of an operation is hit, and by what, depends on nothing but the seed, the gateway,
    the operation and n: not on threads, and not on how many calls of another kind came in between.
    """

    seed: int
    rate: float
    kinds: tuple[str, ...]
    gateways: tuple[str, ...]
    on: tuple[str, ...]
    seconds: float | None
    # "gateway operation" → how many it has seen
    seen: dict[str, int] = field(default_factory=dict)
    hits: int = 0

    def strike(self, gateway: str, on: str) -> Fault | None:
        """The fault for the next call of this operation; to be asked once for each."""
        kinds = [kind for kind in kinds_on(on) if kind in self.kinds]
        if gateway not in self.gateways or on not in self.on or not kinds:
            return None
        operation = f"{gateway} {on}"
        self.seen[operation] = self.seen.get(operation, 0) + 1
        luck, choice = _dice(f"{self.seed} {operation} {self.seen[operation]}")
        if luck >= self.rate:
            return None
        self.hits += 1
        kind = kinds[int(choice * len(kinds))]
        usual = kinds_on(on)[kind]
        seconds = usual if usual is None or self.seconds is None else self.seconds
        return Fault(gateway, on, kind, 1, seconds, 0)


def kinds_on(on: str) -> dict[str, float | None]:
    return WEBHOOK_KINDS if on == "webhook" else API_KINDS


def _dice(what: str) -> tuple[float, float]:
    """Two numbers from 0 to below 1 that cannot be guessed and that the same text gives again."""
    digest = hashlib.sha256(what.encode()).digest()
    first, second = (int.from_bytes(digest[at : at + 6], "big") / 2**48 for at in (0, 6))
    return first, second


class Faults:
    """The faults that are set, oldest first, each fires `count` times; then the storms."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._faults: list[Fault] = []
        self._storms: list[Storm] = []
        # gateway → operation → kind → how often
        self._counts: dict[str, dict[str, dict[str, int]]] = {}

    def add(self, gateway: Gateway, on: str, kind: str, count: int, seconds: float | None) -> Fault:
        """Raises BadInputError when the gateway has no such operation, or the operation no such kind."""
        kinds = kinds_on(on)
        if on != "webhook" and on not in gateway.operations:
            known = ", ".join([*sorted(gateway.operations), "webhook"])
            raise BadInputError("on", f"{gateway.name} knows these operations: {known}")
        if kind not in kinds:
            raise BadInputError("kind", f"on {on} these kinds exist: {', '.join(kinds)}")
        fault = Fault(gateway.name, on, kind, count, kinds[kind] if seconds is None else seconds, count)
        with self._world.lock:
            self._faults.append(fault)
        return fault

    def add_storm(self, storm: Storm) -> None:
        with self._world.lock:
            self._storms.append(storm)

    def all(self) -> list[Fault]:
        with self._world.lock:
            return list(self._faults)

    def storms(self) -> list[Storm]:
        with self._world.lock:
            return list(self._storms)

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """How often what happened since the last reset."""
        with self._world.lock:
            return {
                gateway: {on: dict(kinds) for on, kinds in operations.items()}
                for gateway, operations in self._counts.items()
            }

    def clear(self) -> None:
        """No more faults; what happened stays counted."""
        with self._world.lock:
            self._faults.clear()
            self._storms.clear()

    def reset(self) -> None:
        with self._world.lock:
            self.clear()
            self._counts.clear()

    def take(self, gateway: str, on: str | None) -> Fault | None:
        """The next fault for this operation, now used once more."""
        if on is None:
            return None
        with self._world.lock:
            fault = self._set_for(gateway, on)
            # Every storm is asked about every call, so that none loses count.
            struck = [storm.strike(gateway, on) for storm in self._storms]
            fault = fault or next(filter(None, struck), None)
            if fault:
                kinds = self._counts.setdefault(gateway, {}).setdefault(on, {})
                kinds[fault.kind] = kinds.get(fault.kind, 0) + 1
            return fault

    def _set_for(self, gateway: str, on: str) -> Fault | None:
        for fault in self._faults:
            if (fault.gateway, fault.on) == (gateway, on) and fault.remaining > 0:
                fault.remaining -= 1
                return fault
        return None


class FaultyViews:
    """Runs a gateway's views: the fault that is due, the world's lock, and the gateway's refusals."""

    def __init__(self, gateway: Gateway, world: World, faults: Faults) -> None:
        self._gateway = gateway
        self._world = world
        self._faults = faults

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint(self._gateway.name, __name__, url_prefix=self._gateway.base_path)
        for number, route in enumerate(self._gateway.routes()):
            blueprint.add_url_rule(
                route.path,
                endpoint=f"{number}_{getattr(route.view, '__name__', 'view')}",
                view_func=self._view(route),
                methods=[route.http_method],
            )
        return blueprint

    def _view(self, route: Route) -> Callable[..., Response]:
        def view(**ids: str) -> Response:
            fault = self._faults.take(self._gateway.name, route.operation)
            if fault is None:
                return self._answer(route, ids)
            return self._answer_with(fault, route, ids)

        return view

    def _answer_with(self, fault: Fault, route: Route, ids: dict[str, str]) -> Response:
        seconds = fault.seconds or 0.0
        match fault.kind:
            case "timeout_before":
                self._world.sleep(seconds)
                return drop_connection()
            case "reset_before":
                return drop_connection()
            case "429" | "500":
                return self._gateway.trouble(int(fault.kind))
            case "html502":
                return Response(HTML_502, 502, content_type="text/html")
            case "slow":
                return self._answer(route, ids, wait_seconds=seconds)
        self._answer(route, ids)
        # An answer that never comes; the timeout differs from the reset only in how long it does not come.
        self._world.sleep(seconds)
        return drop_connection()

    def _answer(self, route: Route, ids: dict[str, str], wait_seconds: float = 0.0) -> Response:
        try:
            with route.in_flight() if route.in_flight else nullcontext():
                self._world.sleep(wait_seconds)
                with self._world.lock:
                    self._world.ring()
                    self._world.touch()
                    return make_response(route.view(**ids))
        except WireError as refusal:
            return refusal.response()


def drop_connection() -> Response:
    """Marks this request: the middleware resets its connection instead of answering."""
    # Read to the end: a client that is reset while still sending does not see a reset.
    request.get_data()
    request.environ[_DROP] = True
    return Response(status=500)


class DropConnections:
    """WSGI middleware that resets the TCP connection of marked requests."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        body = self._app(environ, start_response)
        if not environ.get(_DROP):
            return body
        reset_connection(environ.get("werkzeug.socket"))
        # werkzeug takes this for a client that went away, and keeps quiet about it.
        raise ConnectionResetError


def reset_connection(connection: socket.socket | None) -> None:
    """Send a TCP RST now: linger 0, then close.

    The handler still holds buffered files on the descriptor, so a plain close() would only take effect later,
    after an orderly FIN. The descriptor is therefore pointed at a finished socket pair, on which the
    handler's own clean-up finds an ordinary end of file.
    """
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.dup2(ours.fileno(), connection.fileno())
