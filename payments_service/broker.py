"""Celery's broker, as the service and its tasks need it. Imported only when CELERY_BROKER_URL is set."""

import logging
import time
from collections.abc import Callable

from celery import Celery
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

TASK = "payments.sweep"
CONNECT_SECONDS = 1.0
"""A request that wakes a worker waits no longer for a broker that does not answer."""
PAUSE_SECONDS = 30.0
"""A broker that is away is left alone for so long: the sweeps do without it."""


def client(broker_url: str) -> Celery:
    """Celery as the service needs it: short waits, no results, nothing kept longer than it is of use."""
    made = Celery("payments", broker=broker_url, set_as_current=False)
    made.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_timeout=CONNECT_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # else a worker that is cut off for an hour ends for good
        broker_transport_options={
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": 5.0,
            "visibility_timeout": 600,
        },
    )
    return made


class Waker:
    """Sends the task for what a commit has left to do. Never raises, and never waits for long."""

    def __init__(self, broker_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._celery = client(broker_url)
        self._clock = clock
        self._quiet_until = 0.0

    def __call__(self, sweep: str) -> None:
        if self._clock() < self._quiet_until:
            return
        try:
            self._celery.send_task(TASK, (sweep,), retry=False, expires=PAUSE_SECONDS)
        except (OperationalError, OSError) as error:
            self._quiet_until = self._clock() + PAUSE_SECONDS
            about = {"error": type(error).__name__, "seconds": PAUSE_SECONDS}
            log.warning("Broker away; the sweeps do without it", extra={"data": about})
