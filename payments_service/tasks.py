"""Celery mode: the worker's sweeps as tasks, on as many machines as wanted.

    celery --app payments_service.tasks worker --beat

Beat sends every sweep in its turn, and the service wakes one when a commit has left work for it. What Celery
loses, doubles or drops does no harm: rows in the database are the truth, and the next sweep finds them.
"""

import sys

from celery import Celery

from payments_service import broker, environment, worker
from payments_service.domain.clock import REAL_TIME
from payments_service.services import wire
from payments_service.settings import Settings, SettingsError
from payments_service.settings.told import tell
from payments_service.worker import Sweep

BATCHES = 20
"""A task gives its place to others after so many runs of its sweep; the next beat goes on."""


def tasks(made: Celery, sweeps: list[Sweep]) -> Celery:
    """Teach Celery the sweeps, and beat when to send them."""

    @made.task(name=broker.TASK)  # type: ignore[untyped-decorator]
    def run(name: str) -> None:
        """A sweep; or all of a kind, such as `outbox`."""
        for sweep in sweeps:
            if sweep.name == name or sweep.name.startswith(f"{name} "):
                sweep.run_out(BATCHES)

    made.conf.update(
        beat_scheduler="celery.beat:Scheduler",  # in memory: nothing of it is worth a file
        beat_schedule={
            sweep.name: {
                "task": broker.TASK,
                "schedule": sweep.every_seconds,
                "args": (sweep.name,),
                "options": {"expires": max(5.0, 2 * sweep.every_seconds)},
            }
            for sweep in sweeps
        },
    )
    return made


def from_environment() -> Celery:
    """Raises SettingsError when CELERY_BROKER_URL, or anything else, is missing."""
    house = wire(Settings.from_environment())
    tell(house.settings, house.gateways)
    made = broker.client(house.settings.celery_broker_url or "")
    return tasks(made, worker.watched(house, REAL_TIME))


environment.load(of_make_run=True)
try:
    app = from_environment()
except SettingsError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
