"""Keeps what the simulator knows in a file, for a merchant who wants it there again after a restart.

The file is JSON (plain.py says how it is to be read): data alone, nothing in it is ever run.
"""

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from gateway_simulator.base import Gateway
from gateway_simulator.plain import OURS, rows_of, value_of
from gateway_simulator.world import World

log = logging.getLogger(__name__)

FORMAT = "payments_service simulator, state 3"
BEGINNING = f'{{"format": "{FORMAT}", "rows": '.encode()
# Formats 1 and 2 were pickles, which may run code when they are loaded.
OLD_BEGINNING = b"state of the payments_service simulator, format "
# Saving takes longer the more there is to save; it may take one part in so many of the time.
RESTS_PER_SAVE = 10


class StateFileError(Exception):
    """A sentence about a file that cannot be used."""


class StateFile:
    """Everything but the moving parts (locks, threads, sockets), which are found again by their names."""

    def __init__(
        self,
        path: Path,
        world: World,
        shared: Mapping[str, Any],
        gateways: Mapping[str, Gateway],
    ) -> None:
        """`shared`: what else lives beside the gateways, by the name that the file has for it."""
        self._path = path
        self._world = world
        self._shared: dict[str, Any] = {"world": world, **shared}
        self._gateways = gateways
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
        if written.startswith(OLD_BEGINNING):
            self._set_aside()
            return
        if not written.startswith(BEGINNING):
            raise StateFileError(f"{self._path} is not a state file of this version of the simulator")
        try:
            with self._world.lock:
                parts = self._parts()
                self._put_back(parts, value_of(json.loads(written)["rows"], parts))
        except Exception as error:
            raise StateFileError(f"{self._path} is damaged, or of another version: {error}") from error

    def save(self) -> None:
        """Write the file, which is whole at every moment. Raises StateFileError."""
        started = time.monotonic()
        with self._world.lock:
            changes = self._world.changes
            rows = self._rows()
        beside = self._path.with_name(self._path.name + ".new")
        try:
            with beside.open("wb") as file:
                file.write(BEGINNING + json.dumps(rows).encode() + b"}\n")
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

    def _parts(self) -> dict[str, Any]:
        """The living objects by name; looked up every time, since a reset of the books makes new ones."""
        parts = dict(self._shared)
        for name, gateway in self._gateways.items():
            parts[name] = gateway.books
        for name, books in list(parts.items()):
            parts |= _shelves(name, books, parts)
        return parts

    def _rows(self) -> list[Any]:
        parts = self._parts()
        try:
            return rows_of({name: _state(part) for name, part in parts.items()}, parts)
        except TypeError as error:
            raise StateFileError(f"{self._path} cannot be written: {error}") from error

    def _put_back(self, parts: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]]) -> None:
        for name, state in states.items():
            if unknown := state.keys() - _state(parts[name]).keys():
                raise ValueError(f"{name} has no {min(unknown)}")
        for name, state in states.items():
            vars(parts[name]).update(state)

    def _set_aside(self) -> None:
        aside = self._path.with_name(self._path.name + ".old")
        try:
            os.replace(self._path, aside)
        except OSError as error:
            raise StateFileError(f"{self._path} cannot be set aside: {error.strerror}") from error
        log.warning("%s is of an old version: set aside as %s, starting empty", self._path, aside.name)


def _state(part: Any) -> dict[str, Any]:
    state: dict[str, Any] = part.state() if hasattr(part, "state") else vars(part)
    return state


def _shelves(name: str, books: Any, known: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What books are divided into (refunds, settlements …): objects of ours that are no records."""
    parts = {id(part) for part in known.values()}
    for attribute, value in _state(books).items():
        is_ours = type(value).__module__.startswith(OURS)
        if is_ours and not is_dataclass(value) and id(value) not in parts:
            yield f"{name}.{attribute}", value
