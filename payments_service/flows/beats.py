"""Signs of life of the worker's sweeps, and one to the outside.

A sweep that hangs, or fails again and again, shows by its last success alone; that nothing at all runs any
more, only an address outside can tell, which misses its call (HEARTBEAT_URL).
"""

import logging
import math
import time
from collections.abc import Callable
from threading import Lock, Thread

from payments_service import logs, metrics, notify
from payments_service.domain.clock import LEAP, Clock
from payments_service.flows.lines import about
from payments_service.gateways.base import Gateway
from payments_service.store import heartbeats
from payments_service.store.db import Database

log = logging.getLogger(__name__)

WRITTEN_EVERY_SECONDS = 20.0
"""The last success of each sweep; `sweep_silent` allows three of its intervals."""
CALLED_EVERY_SECONDS = 60.0
"""HEARTBEAT_URL: outside monitors count in minutes."""
PATIENCE_SECONDS = 10.0
"""For the answer of HEARTBEAT_URL; the sweeps go on meanwhile."""


class Beats:
    """Of one worker process: the last success of each sweep, written down by whichever ends well next."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        heartbeat_url: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db, self._clock, self._url, self._monotonic = db, clock, heartbeat_url, monotonic
        self._lock = Lock()
        self._names: set[str] = set()
        self._ended: set[str] = set()
        """Sweeps that ended well since this was last written down."""
        self._written_at = self._called_at = -math.inf
        self._taken_at = -math.inf
        """When the database last took it."""
        self._caller: Thread | None = None

    def watched(self, name: str, run: Callable[[], int], gateway: Gateway | None = None) -> Callable[[], int]:
        """The same sweep: as a unit of work with its line, and missed when it does not end well."""
        run = self.measured(name, run, gateway)

        def watched() -> int:
            count = run()
            self._note(name)
            return count

        return watched

    def measured(
        self, name: str, run: Callable[[], int], gateway: Gateway | None = None
    ) -> Callable[[], int]:
        """The same sweep as a unit of work with its line. That it ended well, `ended` is to be told."""
        self._names.add(name)

        def measured() -> int:
            with logs.unit("Sweep", quiet=True, sweep=name, **about(gateway)) as unit:
                try:
                    count = run()
                    unit.note(batch=count, outcome="done")
                finally:
                    metrics.unit_ended(unit.seconds, unit.counts["roundTrips"], unit.counts["commits"])
            return count

        return measured

    def ended(self, name: str) -> None:
        """Write down that a sweep ended well, for a process that does each sweep once.

        Such a process is new each minute. If it gave each sweep its time anew, none would ever be missed.
        """
        with self._db.begin() as session:
            heartbeats.forget_sweeps_but(session, self._names, self._clock.now() + LEAP)
            for one in sorted(self._names - heartbeats.sweeps(session).keys()):
                heartbeats.begin_once(session, heartbeats.SWEEP + one, self._clock.now())
            heartbeats.beat(session, heartbeats.SWEEP + name, self._clock.now())
        self._call(self._monotonic())

    def wait(self) -> None:
        """Until HEARTBEAT_URL was called, or cannot be: a process that ends ends its threads, too."""
        if self._caller is not None:
            self._caller.join(PATIENCE_SECONDS)

    def _note(self, name: str) -> None:
        now = self._monotonic()
        with self._lock:
            self._ended.add(name)
            if now - self._written_at < WRITTEN_EVERY_SECONDS:
                return
            self._written_at, ended = now, self._ended
            self._ended = set()
        with self._db.begin() as session:
            if now - self._taken_at > 3 * WRITTEN_EVERY_SECONDS:
                # A new worker, or a database that was away: each sweep has its time from now on.
                heartbeats.forget_sweeps_but(session, self._names, self._clock.now() + LEAP)
                ended = ended | self._names
            for one in sorted(ended):
                heartbeats.beat(session, heartbeats.SWEEP + one, self._clock.now())
        self._taken_at = now
        self._call(now)

    def _call(self, now: float) -> None:
        """The database has just taken something, so the service can do its work: say so outside."""
        if self._url is None or now - self._called_at < CALLED_EVERY_SECONDS:
            return
        self._called_at = now
        self._caller = Thread(target=self._ping, args=(self._url,), name="heartbeat", daemon=True)
        self._caller.start()

    def _ping(self, url: str) -> None:
        answer = notify.ping(url, PATIENCE_SECONDS)
        if answer.verdict is not notify.Verdict.DELIVERED:
            log.warning("Heartbeat not taken", extra={"data": {"answer": answer.reason}})
