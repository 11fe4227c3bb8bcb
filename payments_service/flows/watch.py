"""What a web process keeps an eye on, beside requests and in none of them: its calls, refused webhooks, the
worker, each of its sweeps, the database. That no worker is alive only a web process can notice, and it sends
that alarm itself; that the database is away, or takes nothing more, cannot even be stored, and is told by
mail."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from socket import gethostname
from threading import Event, Lock, Thread

from payments_service import notify
from payments_service.domain.alarms import REMINDED_EVERY
from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.errors import NotMigrated, PaymentsError, StoreUnavailable
from payments_service.domain.facts import ALERT
from payments_service.domain.states import AlertCode
from payments_service.flows import liveness
from payments_service.flows.alerts import fact_of_today, remind_of
from payments_service.flows.deliver import Channels, deliver_fact
from payments_service.gateways.base import Gateway
from payments_service.store import alerts, heartbeats, trouble
from payments_service.store.db import Database

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
"""A web process looks for itself whether database and worker live, and says so once in as long."""
AWAY_SECONDS = 60.0
"""A database that restarts is back sooner."""
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
        self._away_since: float | None = None
        self._told_away_at: float | None = None
        self._refused: set[str] = set()
        self._silent_since: datetime | None = None
        self._lock = Lock()
        self._idle = Event()
        self._idle.set()

    def webhook_refused(self, gateway: Gateway) -> None:
        """Remember it until the next look: a request with a wrong signature costs no transaction."""
        self._refused.add(gateway.provider)

    def glance(self) -> None:
        """After every request: see to it that there is a look each minute, and more often while the database
        is away. Never waits."""
        pause = EVERY_SECONDS if self._away_since is None else KNOWN_SECONDS
        if self._monotonic() - self._looked_at >= pause:
            self._look_beside()

    def last_known_silence(self) -> datetime | None:
        """The same from memory alone."""
        return self._silent_since

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
            if not self._is_young():
                liveness.tell_of_silent_sweeps(session, self._clock)
            alert = alerts.the_open(session, liveness.SILENT, heartbeats.WORKER) if since else None
            if alert:  # the worker, which reminds of all others, cannot
                remind_of(session, alert, self._clock)
        self._refused -= refused
        self._silent_since = since
        if since:
            self._say_so(since)
        if alert:
            deliver_fact(self._db, self._channels, self._clock, fact_of_today(alert, self._clock))

    def database_is_away(self, error: StoreUnavailable) -> None:
        """It did not take what a look had to write: tell by mail when that lasts, and daily."""
        now = self._monotonic()
        if self._away_since is None:
            self._away_since = now
        lately = self._told_away_at is not None and now - self._told_away_at < REMINDED_EVERY.total_seconds()
        if lately or now - self._away_since < AWAY_SECONDS:
            return
        kind, away = _kind(error), round(now - self._away_since)
        log.error("Database away", extra={"data": {"kind": kind, "seconds": away}})
        advice = (str(error),) if isinstance(error, NotMigrated) else ()
        if self._mail_of_database(kind, away, *advice):
            self._told_away_at = now

    def _database_is_back(self) -> None:
        if self._told_away_at is not None:
            log.warning("Database is back")
        self._away_since = self._told_away_at = None

    def _mail_of_database(self, kind: str, seconds: int, *advice: str) -> bool:
        """Whether it is told. Each process of a machine sends it under one id; mail programs show that once.

        Without mail the log has been told, which is all that can be done.
        """
        channels = self._channels
        if not (channels.smtp_url and channels.ops_email):
            return True
        day = self._clock.now().date().isoformat()
        lines = [
            f"The payments database does not do its work for {seconds} seconds: {kind}.",
            *advice,
            "Webhooks are answered 503 and come again; no order can be made.",
            f"A web process on {gethostname()} tells. What to do: docs/handbook.md, database_away.",
        ]
        letter = notify.Letter(
            message_id=f"{AlertCode.DATABASE_AWAY}.{gethostname()}.{day}",
            sender=channels.mail_from,
            recipient=channels.ops_email,
            subject=f"{channels.merchant_name}: {ALERT} {AlertCode.DATABASE_AWAY} {kind}",
            text="\n".join([*lines, ""]),
        )
        answer = notify.mail(channels.smtp_url, letter)
        about = {"alarm": AlertCode.DATABASE_AWAY, "answer": answer.reason}
        log.warning("Letter of the web process", extra={"data": about})
        return answer.verdict is notify.Verdict.DELIVERED

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
            self._database_is_back()
        except StoreUnavailable as error:
            log.warning("No look around", extra={"data": {"error": error.code}})
            self.database_is_away(error)
        except PaymentsError as error:
            log.warning("No look around", extra={"data": {"error": error.code}})
        except Exception:
            log.exception("Look around failed")
        finally:
            self._idle.set()


def _kind(error: StoreUnavailable) -> str:
    """Of trouble, by the database's own codes; `not_migrated` has none."""
    if error.__cause__ is None or isinstance(error, NotMigrated):
        return error.code
    return trouble.facts(error.__cause__)["kind"]
