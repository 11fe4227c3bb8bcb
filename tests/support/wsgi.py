"""What a house runs: the service as it is, but for three things that tests need.

The gateways may be asked more often: a test looks ten times a second, which no payer does; read budgets have
tests of their own (tests/gateways/test_bounds.py). A payment whose `asked_at` is FAR is not asked about, so
that a page shows the state that a test gave to the ledger. An event that is not as documented is written to
the log; the house reads it at its end.
"""

import logging
from datetime import UTC, datetime
from uuid import UUID

from payments_service.flows import asking
from payments_service.gateways import GATEWAYS
from payments_service.gateways.cashfree import CashfreeGateway
from payments_service.store import payments
from payments_service.store.db import Database
from tests.support import event_schema
from tests.support.unsynced import spare_the_disk

for gateway in GATEWAYS:
    gateway.reads_per_second = 500.0
CashfreeGateway.refund_reads_per_second = 500.0
event_schema.watch(lambda problem: logging.critical("%s: %s", event_schema.MARK, problem))

spare_the_disk()

FAR = datetime(2100, 1, 1, tzinfo=UTC)
_may_ask = asking.may_ask


def may_ask(db: Database, payment_id: UUID) -> bool:
    with db.read() as session:
        is_held_still = payments.by_id(session, payment_id).asked_at == FAR
    return not is_held_still and _may_ask(db, payment_id)


asking.may_ask = may_ask

from wsgi import app  # noqa: E402 (it makes the gateways)

__all__ = ["app"]
