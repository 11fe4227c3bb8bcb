"""What a web process keeps an eye on, beside requests and in none of them: its calls, refused webhooks, the
worker. That no worker is alive only a web process can notice, and it sends that one alarm itself."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Event, Lock, Thread

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.errors import PaymentsError
from payments_service.flows import liveness
from payments_service.flows.alerts import fact
from payments_service.flows.deliver import Channels, deliver_fact
from payments_service.gateways.base import Gateway
from payments_service.store import alerts, heartbeats
from payments_service.store.db import Database

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
KNOWN_SECONDS = 10.0
"""How old a look may be that a question about the worker is answered from."""
PATIENCE_SECONDS = 0.25
"""How long such a question waits for a new look; a database that hangs is not waited for."""


class Watch:
    """One for each process. It looks around in a thread of its own, and never twice at the same time."""

    def __init__(
        self,
        db: Database,
        gateways: Sequence[Gateway],
        channels: Channels,
        clock: Clock = REAL_TIME,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db, self._gateways, self._channels = db, gateways, channels
        self._clock, self._monotonic = clock, monotonic
        self._began = monotonic()
        self._looked_at = self._began
        self._has_looked = False
        self._said_at: float | None = None
        self._refused: set[str] = set()
        self._silent_since: datetime | None = None
        self._lock = Lock()
        self._idle = Event()
        self._idle.set()

    def webhook_refused(self, gateway: Gateway) -> None:
        """Remember it until the next look: what strangers send costs no transaction."""
        self._refused.add(gateway.provider)

    def glance(self) -> None:
        """After every request: see to it that there is a look each minute. Never waits."""
        if self._monotonic() - self._looked_at >= EVERY_SECONDS:
            self._look_beside()

    def worker_silent_since(self) -> datetime | None:
        """None while a worker lives, as of a few seconds ago; from memory where the store does not answer."""
        is_old = not self._has_looked or self._monotonic() - self._looked_at >= KNOWN_SECONDS
        if is_old and self._look_beside():
            self._idle.wait(PATIENCE_SECONDS)
        return self._silent_since

    def look(self) -> None:
        """Raise what is new. Raises StoreUnavailable, and then what was noticed is kept for the next look."""
        refused = set(self._refused)
        with self._db.begin() as session:
            for gateway in self._gateways:
                liveness.hear_of_calls(session, gateway, self._clock)
                if gateway.provider in refused:
                    liveness.hear_of_refused_webhook(session, gateway, self._clock)
            since = None if self._is_young() else liveness.worker_silent_since(session, self._clock)
            if since:
                liveness.tell_of_silence(session, since, self._clock)
            alert = alerts.the_open(session, liveness.SILENT, heartbeats.WORKER) if since else None
        self._refused -= refused
        self._silent_since = since
        if since:
            self._say_so(since)
        if alert:
            deliver_fact(self._db, self._channels, self._clock, fact(alert.id))

    def _is_young(self) -> bool:
        """After an outage of all of it the worker may still be starting."""
        return self._monotonic() - self._began < liveness.WORKER_SILENT.total_seconds()

    def _say_so(self, since: datetime) -> None:
        now = self._monotonic()
        if self._said_at is None or now - self._said_at >= EVERY_SECONDS:
            self._said_at = now
            log.error("No worker is alive", extra={"data": {"since": since.isoformat()}})

    def _look_beside(self) -> bool:
        """Whether a look has begun; False while another one lasts."""
        with self._lock:
            if not self._idle.is_set():
                return False
            self._idle.clear()
            self._looked_at = self._monotonic()
            self._has_looked = True
        Thread(target=self._look_and_tell, name="watch", daemon=True).start()
        return True

    def _look_and_tell(self) -> None:
        try:
            self.look()
        except PaymentsError as error:
            log.warning("No look around", extra={"data": {"error": error.code}})
        except Exception:
            log.exception("Look around failed")
        finally:
            self._idle.set()
