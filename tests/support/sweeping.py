"""One kind of the worker's work, alone and to its end; the worker itself runs all of them."""

from uuid import UUID

from sqlalchemy import update

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.flows import reconcile
from payments_service.flows.create_order import Urls
from payments_service.gateways.base import Gateway
from payments_service.store.db import Database
from payments_service.store.tables import Payment


def sweep_payments(db: Database, gateway: Gateway, clock: Clock = REAL_TIME) -> int:
    """Ask about the payments that are due at one gateway; how many there were."""
    line, *_ = reconcile.lines(db, gateway, Urls("http://127.0.0.1:5000"), clock)
    assert line.name == f"payments {gateway.provider}"
    return line.run_out(reconcile.BATCH)


def ask_now(db: Database, payment_id: UUID | None = None) -> None:
    """Make one payment due for the worker at once, or all that are watched."""
    which = Payment.id == payment_id if payment_id else Payment.next_check_at.is_not(None)
    with db.begin() as session:
        session.execute(update(Payment).where(which).values(next_check_at=REAL_TIME.now()))
