"""Keeps what the simulator knows in a file, for who wants it there again after a restart.

The file is a pickle: it is read by the simulator that wrote it, and is not for files from elsewhere.
"""

import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from payments_service.simulator.base import Gateway
from payments_service.simulator.deliveries import Deliveries
from payments_service.simulator.faults import Faults
from payments_service.simulator.world import World


class StateFile:
    """Everything but the moving parts (locks, threads, sockets), which are found again by their names."""

    def __init__(
        self,
        path: Path,
        world: World,
        faults: Faults,
        deliveries: Deliveries,
        gateways: Mapping[str, Gateway],
    ) -> None:
        self._path = path
        self._world = world
        self._parts: dict[str, Any] = {"world": world, "faults": faults, "deliveries": deliveries}
        self._parts |= {f"books of {name}": gateway.books for name, gateway in gateways.items()}
        self._written = b""

    def load(self) -> None:
        """Nothing happens where there is no file yet. Raises UnpicklingError for what is no file of ours."""
        if not self._path.exists():
            return
        self._written = self._path.read_bytes()
        with self._world.lock:
            for name, state in _Reader(self._written, self._parts).load().items():
                vars(self._parts[name]).update(state)

    def save(self) -> None:
        """Write the file if anything changed; it is whole at every moment."""
        with self._world.lock:
            written = _written({name: self._state(part) for name, part in self._parts.items()}, self._parts)
        if written != self._written:
            beside = self._path.with_name(self._path.name + ".new")
            beside.write_bytes(written)
            os.replace(beside, self._path)
            self._written = written

    @staticmethod
    def _state(part: Any) -> dict[str, Any]:
        state: dict[str, Any] = part.state() if hasattr(part, "state") else vars(part)
        return state


def _written(state: dict[str, Any], parts: Mapping[str, Any]) -> bytes:
    names = {id(part): name for name, part in parts.items()}
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer)
    pickler.persistent_id = lambda thing: names.get(id(thing))  # type: ignore[method-assign]
    pickler.dump(state)
    return buffer.getvalue()


class _Reader(pickle.Unpickler):
    def __init__(self, written: bytes, parts: Mapping[str, Any]) -> None:
        super().__init__(io.BytesIO(written))
        self._parts = parts

    def persistent_load(self, name: Any) -> Any:
        return self._parts[name]
