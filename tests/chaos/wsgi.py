"""The service as the storm runs it: in a hurry, able to die between commits, with a door for refunds.

`flask --app tests.chaos.wsgi worker` is the worker of the same kind. Nothing of this is in the package.
"""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from payments_service import create_app, notify
from payments_service.api import payments as payments_door
from payments_service.api import request_id, services
from payments_service.domain.deadline import Deadline
from payments_service.domain.money import Money
from payments_service.domain.payment import Actor
from payments_service.flows import create_order, deliver, intent, reconcile, refund, verify
from payments_service.gateways import GATEWAYS
from payments_service.gateways.cashfree import CashfreeGateway
from payments_service.store import payments
from payments_service.store.db import Database


def hurry() -> None:
    """Every wait of the service in the same proportions, only shorter: budget < lease, answer < budget."""
    Deadline.READ_SECONDS = 2.0
    for gateway in GATEWAYS:
        gateway.reads_per_second = 500.0
    CashfreeGateway.refund_reads_per_second = 500.0
    call = timedelta(seconds=20)
    create_order.BUDGET_SECONDS = verify.BUDGET_SECONDS = refund.BUDGET_SECONDS = 6.0
    intent.BUDGET_SECONDS = 6.0
    intent.LEASE = create_order.LEASE = payments_door.LEASE = refund.LEASE = call
    reconcile.BUDGET_SECONDS, reconcile.LEASE = 3.0, timedelta(seconds=20)
    deliver.LEASE = timedelta(seconds=12)
    notify.post.__defaults__ = (timedelta(seconds=2),)


class CrashPoints:
    """kill -9 of this process right before or right after its n-th commit, n drawn anew for each process."""

    def __init__(self, seed: str, mean: int, folder: Path, role: str) -> None:
        self._seed, self._mean, self._folder, self._role = seed, mean, folder, role
        self._pid = 0
        self._left = 0
        self._is_before = False

    def due(self) -> bool:
        """Whether this commit is the last one."""
        if self._pid != os.getpid():
            self._be_born()
        self._left -= 1
        return self._left == 0 and not (self._folder / "calm").exists()

    @property
    def is_before(self) -> bool:
        return self._is_before

    def die(self) -> None:
        side = "before" if self._is_before else "after"
        _append(self._folder / "crashes", f"{self._role} {side}\n")
        os.kill(os.getpid(), signal.SIGKILL)

    def _be_born(self) -> None:
        """gunicorn's children have their commits counted for themselves, by the order of their births."""
        self._pid = os.getpid()
        dice = random.Random(
            f"{self._seed} {self._role} {_append(self._folder / f'births-{self._role}', '.')}"
        )
        self._left, self._is_before = dice.randint(1, 2 * self._mean), dice.random() < 0.5


def _append(path: Path, text: str) -> int:
    file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
    try:
        os.write(file, text.encode())
        return os.lseek(file, 0, os.SEEK_CUR)
    finally:
        os.close(file)


def wrap_begin(points: CrashPoints) -> None:
    begin = Database.begin

    @contextmanager
    def dangerous(self: Database) -> Iterator[Session]:
        is_due = points.due()
        with begin(self) as session:
            yield session
            if is_due and points.is_before:
                session.flush()
                points.die()
        if is_due:
            points.die()

    Database.begin = dangerous  # type: ignore[method-assign]


hurry()
if crash_every := int(os.environ.get("CHAOS_CRASH_EVERY", "0")):
    folder = Path(os.environ["CHAOS_FOLDER"])
    wrap_begin(CrashPoints(os.environ["CHAOS_SEED"], crash_every, folder, os.environ["CHAOS_ROLE"]))
app = create_app()


@app.post("/_chaos/refund/<uuid:payment_id>")
def refund_(payment_id: UUID) -> ResponseReturnValue:
    house, body = services(), request.get_json()
    with house.db.read() as session:
        provider = payments.by_id(session, payment_id).provider
    gateway = next(g for g in house.gateways if g.provider == provider)
    paise: Any = body.get("amountPaise")
    made = refund.refund(
        house.db,
        gateway,
        payment_id,
        Money(paise) if paise else None,
        "chaos",
        Actor("api", request_id()),
        transaction_id=body.get("paymentId"),
        webhook_url=house.urls.webhook(gateway.name),
    )
    return jsonify(id=str(made.id), status=made.status.value, amountPaise=made.amount.minor)
