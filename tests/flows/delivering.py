"""What the tests of delivery say in one word: a fact to tell, the rows, and a clock that is set by hand."""

import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from uuid6 import uuid7

from payments_service.domain.clock import Clock
from payments_service.flows import deliver
from payments_service.flows.deliver import Channels
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.tables import Alert, Outbox, Payment
from tests.support.event_samples import sample_data

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
AFTER_THE_LEASE = timedelta(minutes=3)


@dataclass
class HandClock:
    """Time passes when a test says so."""

    moment: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.moment)

    def advance(self, wait: timedelta) -> None:
        self.moment += wait


@dataclass
class Telling:
    """A ledger whose changes are told."""

    db: Database

    def tell(
        self,
        *to: str,
        event: str = "payment.completed",
        payment_id: UUID | None = None,
        now: datetime | None = None,
        count: int = 1,
    ) -> None:
        with self.db.begin() as session:
            for number in range(count):
                outbox.put(
                    session,
                    to or (outbox.MERCHANT,),
                    fact=f"{event}:{uuid7()}",
                    event_type=event,
                    payment_id=payment_id,
                    data=sample_data(event, id=str(payment_id or uuid7()), sequence=number + 1),
                    now=now or datetime.now(UTC),
                )

    def rows(self, *states: str) -> list[Outbox]:
        with self.db.read() as session:
            query = select(Outbox).order_by(Outbox.created_at, Outbox.id)
            return list(session.scalars(query.where(Outbox.state.in_(states)) if states else query))

    def row(self) -> Outbox:
        [row] = self.rows()
        return row

    def alerts(self) -> list[tuple[str, str]]:
        with self.db.read() as session:
            return [(alert.code, alert.subject) for alert in session.scalars(select(Alert))]

    def payment(self, **fields: object) -> UUID:
        """A completed payment."""
        known = {"gateway": "fake", "provider": "fake", "mode": "live", "currency": "INR", "amount": 12499900}
        customer = {
            "customer_name": "Dilip",
            "customer_email": "dilip@example.com",
            "customer_phone": "9876543210",
        }
        rest = {"return_url": "https://shop.example", "status": "completed", "transaction_id": "pay_1"}
        payment = Payment(expires_at=datetime.now(UTC), **{**known, **customer, **rest, **fields})
        with self.db.begin() as session:
            session.add(payment)
            session.flush()
            return payment.id


def deliver_due(db: Database, channels: Channels, clock: Clock, limit: int) -> int:
    """Send what is due, at most `limit` rows to each destination, beside each other; how many."""
    with ThreadPoolExecutor(max(1, len(channels.destinations))) as beside:
        return sum(beside.map(lambda line: line.run_out(limit), deliver.lines(db, channels, clock)))


def channels(
    url: str | None = None, smtp_url: str | None = None, secrets: Sequence[str] = (SECRET,)
) -> Channels:
    return Channels(
        merchant_name="Asha's Courses",
        webhook_url=url,
        webhook_secrets=tuple(secrets) if url else (),
        smtp_url=smtp_url,
        mail_from="pay@shop.example.com",
        ops_email="ops@shop.example.com" if smtp_url else None,
    )
