"""The gauges of the database for `/metrics`: asked at most every few seconds, and never waited for
twice."""

import math
import time
from collections.abc import Callable, Sequence
from threading import Lock

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.errors import PaymentsError
from payments_service.store import gauges
from payments_service.store.db import Database
from payments_service.store.gauges import HELPS, Sample

__all__ = ["HELPS", "Measures"]

KNOWN_SECONDS = 5.0
"""/metrics asks the database no more often, however many scrape it."""


class Measures:
    """Of one process. While one scrape asks a database that hangs, others are told that it is away."""

    def __init__(
        self, db: Database, clock: Clock = REAL_TIME, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._db, self._clock, self._monotonic = db, clock, monotonic
        self._asking = Lock()
        self._asked_at = -math.inf
        self._known: Sequence[Sample] = ()
        self._is_up = False

    def read(self) -> tuple[Sequence[Sample], bool]:
        """The samples, and whether the database has told them; () while it is away."""
        if not self._asking.acquire(blocking=False):
            return (self._known, self._is_up) if self._is_fresh() else ((), False)
        try:
            if not self._is_fresh():
                self._known, self._is_up = self._ask()
                self._asked_at = self._monotonic()
            return self._known, self._is_up
        finally:
            self._asking.release()

    def _is_fresh(self) -> bool:
        return self._monotonic() - self._asked_at < KNOWN_SECONDS

    def _ask(self) -> tuple[Sequence[Sample], bool]:
        try:
            with self._db.read() as session:
                told = session.policy.destinations
                return tuple(gauges.read(session, self._clock.now(), told)), True
        except PaymentsError:
            return (), False
