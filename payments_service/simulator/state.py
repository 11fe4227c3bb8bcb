"""Keeps what the simulator knows in a file, for who wants it there again after a restart.

The file is a pickle of nothing but our own records and plain values; any other one is refused.
"""

import io
import os
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from payments_service.simulator.base import Gateway
from payments_service.simulator.deliveries import Deliveries
from payments_service.simulator.faults import Faults
from payments_service.simulator.world import World

HEADER = b"state of the payments_service simulator, format 2\n"
# Saving takes longer the more there is to save; it may take one part in so many of the time.
RESTS_PER_SAVE = 10
OURS = "payments_service.simulator."
# getattr: how a method of ours, set as an alarm, is found again
BUILT_IN = ("getattr", "object", "int", "float", "str", "bytes", "bytearray", "range")
CONTAINERS = ("list", "tuple", "dict", "set", "frozenset")
PLAIN = frozenset(
    [
        *(("builtins", name) for name in BUILT_IN + CONTAINERS),
        *(("collections", name) for name in ("defaultdict", "OrderedDict", "Counter", "deque")),
        *(("datetime", name) for name in ("datetime", "date", "timedelta", "timezone")),
        *(("functools", "partial"), ("random", "Random"), ("decimal", "Decimal"), ("uuid", "UUID")),
    ]
)


class StateFileError(Exception):
    """A sentence about a file that cannot be used."""


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
        self._saved_changes = -1
        self._rests_until = 0.0

    def load(self) -> None:
        """Nothing happens where there is no file yet. Raises StateFileError for what is no file of ours."""
        try:
            written = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateFileError(f"{self._path} cannot be read: {error.strerror}") from error
        if not written.startswith(HEADER):
            raise StateFileError(f"{self._path} is not a state file of this version of the simulator")
        try:
            states = _Reader(written[len(HEADER) :], self._parts).load()
            with self._world.lock:
                for name, state in states.items():
                    vars(self._parts[name]).update(state)
        except Exception as error:
            raise StateFileError(f"{self._path} is damaged, or of another version: {error}") from error

    def save(self) -> None:
        """Write the file, which is whole at every moment. Raises StateFileError."""
        started = time.monotonic()
        with self._world.lock:
            changes = self._world.changes
            written = _written({name: _state(part) for name, part in self._parts.items()}, self._parts)
        beside = self._path.with_name(self._path.name + ".new")
        try:
            with beside.open("wb") as file:
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._path)
        except OSError as error:
            raise StateFileError(f"{self._path} cannot be written: {error.strerror}") from error
        self._saved_changes = changes
        self._rests_until = time.monotonic() + RESTS_PER_SAVE * (time.monotonic() - started)

    def save_if_due(self) -> None:
        """Save what changed, but never so often that the simulator does little else."""
        if self._world.changes != self._saved_changes and time.monotonic() >= self._rests_until:
            self.save()


def _state(part: Any) -> dict[str, Any]:
    state: dict[str, Any] = part.state() if hasattr(part, "state") else vars(part)
    return state


def part_named(name: str) -> Any:
    """Stands in the file for a moving part; the reader puts the living one in its place."""
    raise pickle.UnpicklingError(f"{name} is not a value")


def _written(states: dict[str, Any], parts: Mapping[str, Any]) -> bytes:
    names = {id(part): name for name, part in parts.items()}
    buffer = io.BytesIO(HEADER)
    buffer.seek(0, io.SEEK_END)
    pickler = pickle.Pickler(buffer)
    # By type, and not by persistent_id, which would be asked about every single object.
    pickler.dispatch_table = dict.fromkeys(
        (type(part) for part in parts.values()), lambda part: (part_named, (names[id(part)],))
    )
    pickler.dump(states)
    return buffer.getvalue()


class _Reader(pickle.Unpickler):
    def __init__(self, written: bytes, parts: Mapping[str, Any]) -> None:
        super().__init__(io.BytesIO(written))
        self._parts = parts

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, part_named.__name__):
            return self._parts.__getitem__
        if module.startswith(OURS) or (module, name) in PLAIN:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")
