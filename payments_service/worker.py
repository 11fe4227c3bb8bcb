"""The clock: sweeps that run beside each other until they are told to stop. It only calls flows."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from payments_service.domain.clock import Clock
from payments_service.domain.errors import StoreUnavailable
from payments_service.flows import liveness, monitors, reconcile, witnesses
from payments_service.flows.create_order import Urls
from payments_service.flows.deliver import Channels, deliver_due
from payments_service.gateways.base import Gateway
from payments_service.store.db import Database

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
MONITOR_EVERY_SECONDS = 60.0
BEAT_EVERY_SECONDS = 20.0
"""In real seconds, however fast waits pass: those who look for it know nothing of that."""
TROUBLE_PAUSE_SECONDS = 5.0
DELIVERIES = 20


@dataclass(frozen=True)
class Sweep:
    """One kind of work: `run` does what is due and says how much it was."""

    name: str
    run: Callable[[], int]
    every_seconds: float


def sweeps(
    db: Database, gateways: Sequence[Gateway], channels: Channels, urls: Urls, clock: Clock
) -> Iterator[Sweep]:
    """All sweeps. Each gateway has its own, so that one which hangs holds up no other."""
    yield Sweep("heartbeat", lambda: liveness.beat(db, clock), BEAT_EVERY_SECONDS)
    for gateway in gateways:
        yield from _of_gateway(db, gateway, urls, clock)
    yield Sweep("clock", lambda: witnesses.tell(db, clock), EVERY_SECONDS)
    yield Sweep("inbox", lambda: reconcile.sweep_inbox(db, gateways, clock), EVERY_SECONDS)
    yield Sweep("outbox", lambda: deliver_due(db, channels, clock, DELIVERIES), EVERY_SECONDS)
    yield Sweep("tidy", lambda: monitors.tidy(db, clock), MONITOR_EVERY_SECONDS)


def _of_gateway(db: Database, gateway: Gateway, urls: Urls, clock: Clock) -> Iterator[Sweep]:
    name = gateway.provider
    yield Sweep(f"payments {name}", lambda: reconcile.sweep_payments(db, gateway, clock), EVERY_SECONDS)
    yield Sweep(f"refunds {name}", lambda: reconcile.sweep_refunds(db, gateway, urls, clock), EVERY_SECONDS)
    yield Sweep(
        f"monitors {name}", lambda: monitors.watch(db, gateway, clock), MONITOR_EVERY_SECONDS / clock.scale
    )


def run(all_sweeps: Sequence[Sweep], stop: threading.Event) -> None:
    """Run until `stop` is set; what is being done is done to its end."""
    threads = [threading.Thread(target=_repeat, args=(sweep, stop), name=sweep.name) for sweep in all_sweeps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run_once(all_sweeps: Sequence[Sweep]) -> int:
    """Do all that is due now, and nothing else; how much it was."""
    done = 0
    for sweep in all_sweeps:
        while count := sweep.run():
            done += count
    return done


def _repeat(sweep: Sweep, stop: threading.Event) -> None:
    while not stop.is_set():
        count = 0
        pause = sweep.every_seconds
        try:
            count = sweep.run()
        except StoreUnavailable:
            pause = TROUBLE_PAUSE_SECONDS
        except Exception:
            log.exception("Sweep failed", extra={"data": {"sweep": sweep.name}})
            pause = TROUBLE_PAUSE_SECONDS
        if not count:
            stop.wait(pause)
