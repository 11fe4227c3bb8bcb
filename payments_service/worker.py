"""The clock: sweeps that run beside each other until they are told to stop. It only calls flows.

`python -m payments_service.worker` is the worker without Flask, of which it makes no use; the command
`flask --app wsgi worker` does the same in twelve megabytes more.
"""

import logging
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from payments_service import environment
from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.errors import NotMigrated, OldTables, StoreUnavailable
from payments_service.flows import deliver, liveness, monitors, reconcile, witnesses
from payments_service.flows.beats import Beats
from payments_service.flows.create_order import Urls
from payments_service.flows.deliver import Channels
from payments_service.flows.lines import Line
from payments_service.gateways.base import Gateway
from payments_service.services import Services, wire
from payments_service.settings import Settings, SettingsError
from payments_service.settings.told import tell
from payments_service.store.db import Database

log = logging.getLogger(__name__)

HEARTBEAT = "heartbeat"
"""The sweep that always writes: while the tables are old it alone looks whether they still are."""
EVERY_SECONDS = 1.0
"""Each line of due rows is looked at."""
MONITOR_EVERY_SECONDS = 60.0
"""Alarms and tidying up."""
BEAT_EVERY_SECONDS = 20.0
"""In real seconds, however fast waits pass: those who look for it know nothing of that."""
TROUBLE_PAUSE_SECONDS = 5.0
"""After a sweep that crashed or a database that is away."""
NOT_MIGRATED_PAUSE_SECONDS = 20.0
"""After a sweep that lacks a table: a person has to run the migration first."""
LOOK_SECONDS = 0.2
"""How soon a worker notices that it is to end."""
LAST_SECONDS = 7.0
"""How long a worker that is told to end waits for what is under way; the rest is left to its lease."""


@dataclass(frozen=True)
class Sweep:
    """One kind of work: `run` begins what is due and says how much it was."""

    name: str
    run: Callable[[], int]
    every_seconds: float
    line: Line[Any] | None = None
    """What is still under way after `run`; else all of it has ended."""
    gateway: Gateway | None = None
    """The one whose payments it is about."""

    def run_out(self, most: float = math.inf) -> int:
        """Do what is due to its end, or for so many runs; how much it was."""
        done, runs = 0, 0
        while runs < most:
            was_busy = self.line is not None and self.line.busy
            count = self.run()
            done, runs = done + count, runs + 1
            if not count and not was_busy:
                break  # nothing was under way either, which might have left more to do
            if not count and self.line:
                self.line.wait(EVERY_SECONDS)
        if self.line:
            self.line.wait()
            self.line.raise_error()
        return done


@dataclass(frozen=True)
class Done:
    """What became of sweeps that were done once."""

    count: int
    """Of the sweeps that ended well."""
    failed: tuple[str, ...]
    """Names of the others; the log says why."""


def sweeps(
    db: Database,
    gateways: Sequence[Gateway],
    channels: Channels,
    urls: Urls,
    clock: Clock,
    stop: threading.Event | None = None,
) -> Iterator[Sweep]:
    """All sweeps. Each gateway and each destination has its own, so that one which hangs holds up no other.

    `stop` is looked at between two rows, too.
    """
    yield Sweep(HEARTBEAT, lambda: liveness.beat(db, clock), BEAT_EVERY_SECONDS)
    for gateway in gateways:
        yield from map(_of_line, reconcile.lines(db, gateway, urls, clock, stop))
        yield _monitors(db, gateway, clock)
    yield Sweep("clock", lambda: witnesses.tell(db, clock), EVERY_SECONDS)
    yield from map(_of_line, deliver.lines(db, channels, clock, stop))
    configured = {gateway.provider for gateway in gateways}
    missing = "missing gateways"
    yield Sweep(missing, lambda: monitors.miss_gateways(db, configured, clock), MONITOR_EVERY_SECONDS)
    yield Sweep("tidy", lambda: monitors.tidy(db, clock), MONITOR_EVERY_SECONDS)


def _of_line(line: Line[Any]) -> Sweep:
    return Sweep(line.name, line.run, EVERY_SECONDS, line, line.gateway)


def _monitors(db: Database, gateway: Gateway, clock: Clock) -> Sweep:
    every_seconds = MONITOR_EVERY_SECONDS / clock.scale
    name = f"monitors {gateway.provider}"
    return Sweep(name, lambda: monitors.watch(db, gateway, clock), every_seconds, gateway=gateway)


def watched(services: Services, clock: Clock, stop: threading.Event | None = None) -> list[Sweep]:
    """All sweeps of this service, each of which says after a run that it is alive."""
    beats = Beats(services.db, clock, services.settings.heartbeat_url)
    found = sweeps(services.db, services.gateways, services.channels, services.urls, clock, stop)
    return [replace(sweep, run=beats.watched(sweep.name, sweep.run, sweep.gateway)) for sweep in found]


def serve(services: Services, clock: Clock = REAL_TIME) -> None:
    """Work until SIGTERM or Ctrl-C."""
    stop = threading.Event()
    tell(services.settings, services.gateways)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    run(watched(services, clock, stop), stop)


def run(all_sweeps: Sequence[Sweep], stop: threading.Event) -> None:
    """Run until `stop` is set, and a few seconds more for what is under way."""
    tables_are_old = threading.Event()
    threads = [
        threading.Thread(target=_repeat, args=(sweep, stop, tables_are_old), name=sweep.name, daemon=True)
        for sweep in all_sweeps
    ]
    for thread in threads:
        thread.start()
    while not stop.is_set():  # waiting for it would hold a lock that a signal's handler wants in this thread
        time.sleep(LOOK_SECONDS)
    ends = time.monotonic() + LAST_SECONDS
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    late = [thread.name for thread in threads if thread.is_alive()]
    lines = (sweep.line for sweep in all_sweeps if sweep.line)
    late += [line.name for line in lines if not line.wait(max(0.0, ends - time.monotonic()))]
    if late:
        log.warning("Left to its lease", extra={"data": {"sweeps": late}})


def once(services: Services, clock: Clock = REAL_TIME) -> Done:
    """What cron does each minute: all that is due now, and a sign of life of each sweep that ended well."""
    beats = Beats(services.db, clock, services.settings.heartbeat_url)
    found = sweeps(services.db, services.gateways, services.channels, services.urls, clock)
    measured = [replace(sweep, run=beats.measured(sweep.name, sweep.run, sweep.gateway)) for sweep in found]
    try:
        return run_once(measured, beats.ended)
    finally:
        beats.wait()


def run_once(all_sweeps: Sequence[Sweep], ended: Callable[[str], None] = lambda _: None) -> Done:
    """Do all that is due now, and nothing else; one sweep that fails holds up no other.

    `ended` is told of each that ended well. Raises StoreUnavailable when the database was away for all.
    """
    count, failed, away = 0, list[str](), None
    for sweep in all_sweeps:
        try:
            count += sweep.run_out()
            ended(sweep.name)
        except OldTables:
            raise
        except Exception as error:
            away = error if isinstance(error, StoreUnavailable) else away
            log.exception("Sweep failed", extra={"data": {"sweep": sweep.name}})
            failed.append(sweep.name)
            if sweep.line:
                sweep.line.wait(LAST_SECONDS)
    if away is not None and len(failed) == len(all_sweeps):
        raise away
    return Done(count, tuple(failed))


def _repeat(sweep: Sweep, stop: threading.Event, tables_are_old: threading.Event) -> None:
    while not stop.is_set():
        if tables_are_old.is_set() and sweep.name != HEARTBEAT:
            stop.wait(EVERY_SECONDS)
            continue
        count = 0
        pause = sweep.every_seconds
        try:
            count = sweep.run()
            if sweep.name == HEARTBEAT:
                tables_are_old.clear()
        except NotMigrated as error:
            pause = NOT_MIGRATED_PAUSE_SECONDS
            if isinstance(error, OldTables):
                tables_are_old.set()
        except StoreUnavailable:
            pause = TROUBLE_PAUSE_SECONDS
        except Exception:
            log.exception("Sweep failed", extra={"data": {"sweep": sweep.name}})
            pause = TROUBLE_PAUSE_SECONDS
        if not count:
            stop.wait(pause)


if __name__ == "__main__":
    environment.load(of_make_run=True)
    try:
        serve(wire(Settings.from_environment()))
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(3)
