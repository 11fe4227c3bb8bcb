"""A test decides about a stored payment itself: locked, decided on in the block, written at its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from payments_service.domain.payment import PaymentRecord
from payments_service.store.db import Database
from payments_service.store.record import Names, load_one


@contextmanager
def deciding(db: Database, payment_id: UUID) -> Iterator[PaymentRecord]:
    with db.begin() as session:
        changes = load_one(session, payment_id, Names(disputes=True))
        yield changes.record
        changes.write()
