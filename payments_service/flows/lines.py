"""Rows that are due at one gateway or receiver, worked off several beside each other.

Each row is claimed when its work begins, under a lease of its own. A row whose work fails in a way that is
not foreseen is logged, and holds up no other. A place whose calls fail one after the other is left alone
for a while; then one row is the trial, until one goes well. Between two rows a line looks whether it is to
stop. What a place is like is known to one process only, and forgotten with it.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Condition, Event, Lock, Thread
from typing import Generic, TypeVar

from payments_service import logs, metrics
from payments_service.domain.errors import BudgetUsedUp, GatewayError, StoreUnavailable, Unavailable
from payments_service.gateways.base import Gateway
from payments_service.store.db import Database

log = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 3
LEFT_ALONE_SECONDS = 10.0
"""How long a place that keeps failing is not asked; also between two trials."""
QUICK_SECONDS = 2.0
"""A row that takes no longer lets one more begin beside it; a slower receiver gets no more at once."""
AT_ONCE_ON_SQLITE = 4
TURN_SECONDS = 5.0
"""After so long a run ends though more is due, so that its worker can say that it lives."""
LOOK_SECONDS = 1.0
"""While rows are under way, new ones are looked for this often."""
GATHER_SECONDS = 0.25
"""Rows that end within this time are followed by one claim."""

Row = TypeVar("Row")


class Place:
    """A gateway or a receiver: how many rows it takes at once, and whether it answers."""

    def __init__(
        self,
        most: int,
        monotonic: Callable[[], float] = time.monotonic,
        quick_seconds: float = QUICK_SECONDS,
    ) -> None:
        self._most, self._monotonic, self._quick_seconds = most, monotonic, quick_seconds
        self._lock = Lock()
        self._at_once = 1
        self._failures = 0
        self._trial_at = -math.inf

    def room(self, busy: int) -> int:
        """How many rows may begin beside the `busy` ones: none while it is left alone, then a trial."""
        with self._lock:
            if self._failures < FAILURES_IN_A_ROW:
                return max(0, self._at_once - busy)
            now = self._monotonic()
            if now < self._trial_at:
                return 0
            self._trial_at = now + LEFT_ALONE_SECONDS
            return 1

    def not_needed(self) -> None:
        """Nothing was due: the trial is for another line."""
        with self._lock:
            self._trial_at = min(self._trial_at, self._monotonic())

    def learn(self, is_well: bool | None, seconds: float) -> None:
        """How a row went that took so long; None where it does not show how the place does."""
        with self._lock:
            if is_well is None:
                return
            if is_well:
                if self._failures >= FAILURES_IN_A_ROW:
                    log.warning("Answers again", extra={"data": logs.within()})
                self._failures = 0
                self._at_once = min(self._most, self._at_once + (seconds <= self._quick_seconds))
                return
            self._failures += 1
            self._at_once = max(1, self._at_once // 2)
            if self._failures >= FAILURES_IN_A_ROW:
                self._trial_at = self._monotonic() + LEFT_ALONE_SECONDS
            if self._failures == FAILURES_IN_A_ROW:
                log.warning("Left alone for a while", extra={"data": logs.within()})


def place(db: Database, most: int, quick_seconds: float = QUICK_SECONDS) -> Place:
    """SQLite has one writer: more rows at once would only wait for each other, and let web processes wait."""
    return Place(min(most, AT_ONCE_ON_SQLITE) if db.is_sqlite else most, quick_seconds=quick_seconds)


def about(gateway: Gateway | None) -> dict[str, str]:
    """For the log's lines of a unit of work."""
    return {"gateway": gateway.name, "mode": gateway.mode} if gateway else {}


def is_well(error: GatewayError) -> bool | None:
    """Whether a gateway that ends a question like this does its work."""
    if isinstance(error, BudgetUsedUp) or error.gateway_status == 429:
        return None
    return not isinstance(error, Unavailable)


@dataclass
class Line(Generic[Row]):
    """One kind of rows at one place."""

    name: str
    place: Place
    claim: Callable[[int], Sequence[Row]]
    """At most so many rows that are due, leased from now on."""
    work: Callable[[Row], bool | None]
    """Do what is due for one; whether its place did its part, None where it was not asked."""
    stop: Event = field(default_factory=Event)
    most: float = math.inf
    """Rows of this line that may be under way at once, where its place takes more."""
    gateway: Gateway | None = None
    """Where its rows are asked about; None for those of a receiver."""
    claim_longest_due: Callable[[int], Sequence[Row]] | None = None
    """The same as `claim`, in the order in which they became due; None where that is the order of `claim`."""
    _busy: int = field(default=0, init=False)
    _trouble: StoreUnavailable | None = field(default=None, init=False)
    """The database did not take what a row has become: its run ends."""
    _failure: Exception | None = field(default=None, init=False)
    """What a row has failed with since this was asked last; its run goes on."""
    _any_went_well: bool = field(default=False, init=False)
    """Of the rows that ended since this was asked last."""
    _some_fail: bool = field(default=False, init=False)
    """Rows have failed, and since then something has always been due."""
    _is_turn_of_longest_due: bool = field(default=False, init=False)
    _changed: Condition = field(default_factory=Condition, init=False)

    @property
    def busy(self) -> int:
        """Rows that are under way."""
        return self._busy

    def run(self, limit: float = math.inf) -> int:
        """Begin what is due, as far as there is room for it; how many rows. Does not wait for their end.

        Raises what the rows have failed with since the last run, where none of them went well, or where the
        database is to blame.
        """
        begun, ends = 0, time.monotonic() + TURN_SECONDS
        while begun < limit and time.monotonic() < ends and not self.stop.is_set() and not self._trouble:
            free = min(self.most - self._busy, limit - begun)
            room = int(min(self.place.room(self._busy), free)) if free > 0 else 0
            rows = self._claim(room) if room else ()
            if room and not rows:
                self.place.not_needed()
                self._some_fail = False
            if not rows and (room or not self._busy):
                break  # nothing is due, or the place is left alone
            for row in rows:
                self._begin(row)
            begun += len(rows)
            self._gather()
        self.raise_error()
        return begun

    def run_out(self, limit: float = math.inf) -> int:
        """Do what is due, at most `limit` rows, to its end; how many rows."""
        done = 0
        while done < limit:
            was_busy = self._busy
            begun = self.run(limit - done)
            done += begun
            if not begun and not was_busy:
                break
            self._gather()
        self.wait()
        self.raise_error()
        return done

    def wait(self, seconds: float | None = None) -> bool:
        """Whether all that is under way has ended, after so long at most."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, seconds)

    def raise_error(self) -> None:
        """What rows have failed with since this was asked last, unless one went well: then the line works."""
        with self._changed:
            error = self._trouble or (None if self._any_went_well else self._failure)
            self._trouble, self._failure, self._any_went_well = None, None, False
        if error is not None:
            raise error

    def _claim(self, room: int) -> Sequence[Row]:
        """Rows that always fail may come first each time, so every second turn is for what waits longest."""
        if self.claim_longest_due is None or not self._some_fail:
            return self.claim(room)
        self._is_turn_of_longest_due = not self._is_turn_of_longest_due
        return (self.claim_longest_due if self._is_turn_of_longest_due else self.claim)(room)

    def _gather(self) -> None:
        """Until a quarter of what is under way has ended, or the first of it a moment ago."""
        with self._changed:
            before = self._busy
            if before and self._changed.wait_for(lambda: self._busy < before, LOOK_SECONDS):
                self._changed.wait_for(lambda: self._busy <= before * 3 // 4, GATHER_SECONDS)

    def _begin(self, row: Row) -> None:
        with self._changed:
            self._busy += 1
        # A daemon: when the process has to end, a row that hangs is left to its lease.
        thread = Thread(target=self._do, args=(row,), name=self.name, daemon=True)
        try:
            thread.start()
        except BaseException:  # the machine has no thread left: a row that never began must not take up room
            self._end()
            raise

    def _end(self) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def _do(self, row: Row) -> None:
        try:
            self._work(row)
            self._any_went_well = True
        except StoreUnavailable as error:
            self._trouble, self._some_fail = error, True
        except Exception as error:
            self._failure, self._some_fail = error, True
        finally:
            self._end()

    def _work(self, row: Row) -> None:
        began, well = time.monotonic(), None
        with logs.unit("Row", quiet=True, sweep=self.name, **about(self.gateway)) as unit:
            try:
                well = self.work(row)
            except StoreUnavailable:
                raise
            except Exception:
                about_row = {"sweep": self.name, "id": str(getattr(row, "id", ""))}
                log.exception("Row failed", extra={"data": about_row})
                raise
            finally:
                metrics.unit_ended(unit.seconds, unit.counts["roundTrips"], unit.counts["commits"])
                self.place.learn(well, time.monotonic() - began)
