"""That an API key was used: written down once an hour and process, and never in a request's way."""

import logging
from threading import Lock

from cachetools import TTLCache

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.errors import StoreUnavailable
from payments_service.store import key_uses
from payments_service.store.db import Database

log = logging.getLogger(__name__)

EVERY_SECONDS = 3600
"""The use of an API key is written down once in so long, not for each request."""

_noted: TTLCache[tuple[str, str, str], None] = TTLCache(maxsize=1_000, ttl=EVERY_SECONDS)
_lock = Lock()


def note(db: Database, name: str, digest: str, clock: Clock = REAL_TIME) -> None:
    """Note the use of a genuine key, unless this process did within the hour."""
    key = (db.url, name, digest)
    with _lock:
        if key in _noted:
            return
        _noted[key] = None
    try:
        with db.begin() as session:
            key_uses.beat(session, name, digest, clock.now())
    except StoreUnavailable as error:
        log.warning("Use of a key not noted", extra={"data": {"key": name, "error": error.code}})
