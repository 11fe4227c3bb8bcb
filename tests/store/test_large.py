"""On 100,000 analysed payments nothing that is done all the time reads a whole table, or more and more rows.

PostgreSQL counts what each table and index was read for: each piece of work is done for real, and then the
counts are looked at. So a statement is seen wherever it comes from, with the plan that it really had.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from payments_service.domain.clock import REAL_TIME
from payments_service.domain.money import Money
from payments_service.domain.payment import Actor
from payments_service.flows import (
    deliver,
    events,
    monitors,
    payment_list,
    reconcile,
    refund,
    show,
    status,
    webhook,
)
from payments_service.flows.create_order import Urls
from payments_service.flows.deliver import Channels
from payments_service.flows.measures import Measures
from payments_service.flows.payment_details import details
from payments_service.flows.payment_list import Filters
from payments_service.flows.refund_intent import Key
from payments_service.store import migrations
from payments_service.store import monitors as stored_monitors
from payments_service.store.db import Database
from payments_service.store.tables import Payment
from tests.bench import generator
from tests.flows.conftest import PRICE, buy
from tests.support.fake_gateway import GENUINE, FakeGateway
from tests.support.sweeping import sweep_payments

pytestmark = [pytest.mark.check, pytest.mark.timeout(1200)]

PAYMENTS = 100_000
BIG = (
    *("payments", "payment_orders", "payment_attempts", "payment_webhooks", "payment_events"),
    *("events", "outbox", "payment_references"),
)
MOST_ROWS = 2_000
"""That one piece of work may read of all big tables together: a page, not a share of them."""
MOST_ROWS_OF_A_WEEK = 4 * 7 * PAYMENTS // generator.DAYS
"""The same for what compares the last week with its limits, once a minute."""
OF_A_WEEK = ("monitors", "measures")


def deliver_all(db: Database) -> None:
    """To a receiver that is not there."""
    channels = Channels(merchant_name="x", webhook_url="http://127.0.0.1:9/")
    for line in deliver.lines(db, channels, REAL_TIME):
        line.run_out(20)


def last_webhook(db: Database, provider: str) -> None:
    """Of the day in which a refused one is news."""
    with db.read() as session:
        stored_monitors.last_webhook(session, provider, REAL_TIME.now() - timedelta(days=1))


@dataclass
class Large:
    db: Database
    gateway: FakeGateway
    made: int = 0

    def one(self, **which: str) -> Payment:
        """A payment from the middle of the past."""
        with self.db.read() as session:
            query = select(Payment).filter_by(**which)
            return session.scalars(query.order_by(Payment.created_at).limit(1)).one()

    def open(self) -> Payment:
        opened = buy(self.db, self.gateway)
        with self.db.read() as session:
            return session.get_one(Payment, opened.id)


@pytest.fixture(scope="module")
def large(postgres_database: Callable[[str], str]) -> Iterator[Large]:
    url = postgres_database("large")
    db, gateway = Database(url), FakeGateway()
    migrations.upgrade(db)
    db.destinations = ("merchant",)
    bought = buy(db, gateway)
    told = gateway.event(order=bought.order_id, status="completed", amount=PRICE.minor)
    webhook.receive(db, gateway, GENUINE, told)
    db.engine.dispose()
    generator.fill(url, bought.id, PAYMENTS)
    gateway.amount = PRICE  # of the copied orders, which it never made
    yield Large(db, gateway)
    db.engine.dispose()


Work = Callable[[Large], Callable[[], object]]
"""What is prepared, and then done while it is counted."""


def listed(**chosen: object) -> Work:
    return lambda large: lambda: payment_list.page(large.db, Filters(**chosen), 20)  # type: ignore[arg-type]


def deep(**chosen: object) -> Work:
    place = (datetime.now(UTC) - timedelta(days=300), UUID(int=0))
    return lambda large: lambda: payment_list.page(large.db, Filters(**chosen), 20, after=place)  # type: ignore[arg-type]


def found(text: str) -> Work:
    return lambda large: lambda: payment_list.find(large.db, text, 20, people=True, includes_labels=False)


def told(**chosen: object) -> Work:
    return lambda large: lambda: events.page(large.db, 20, **chosen)  # type: ignore[arg-type]


def of_a_payment(do: Callable[[Large, Payment], object]) -> Work:
    def prepare(large: Large) -> Callable[[], object]:
        payment = large.one(status="completed")
        return lambda: do(large, payment)

    return prepare


def a_webhook(large: Large) -> Callable[[], object]:
    opened = large.open()
    body = large.gateway.event(order=opened.order_id, status="completed", amount=PRICE.minor, payment="pay_w")
    return lambda: webhook.receive(large.db, large.gateway, GENUINE, body)


def a_refund(large: Large) -> Callable[[], object]:
    payment = large.open()
    large.gateway.paid("pay_r", PRICE)
    status.status(large.db, "fake", [large.gateway], str(payment.id), "request-1")
    actor = Actor("api", "shop")
    return lambda: refund.refund(
        large.db, large.gateway, payment.id, Money(100), "", actor, key=Key("key-of-this-refund", "")
    )


URLS = Urls("http://127.0.0.1:5000")
WORK: Mapping[str, Work] = {
    "first page": listed(),
    "page far back": deep(),
    "by status": deep(status="completed"),
    "by a rare status": listed(status="pending"),
    "by user": listed(user_id="u-7"),
    "by reference": listed(reference="ORDER-70000"),
    "by review": listed(review=True),
    "by gateway": deep(gateway="fake"),
    "by a gateway that has none": listed(gateway="phonepe"),
    "by mode": deep(mode="test"),
    "by a mode that has none": listed(mode="live"),
    "by time": listed(since=datetime.now(UTC) - timedelta(days=200)),
    "search for a mail": found("buyer7777"),
    "search for a phone": found("9000077777"),
    "search for a name": found("asha a"),
    "search for an order": found("order_L00000000777"),
    "search for the bank's number": found("600000077777"),
    "search for nothing that there is": found("zzzzzz"),
    "search for an id": of_a_payment(
        lambda large, payment: payment_list.find(
            large.db, str(payment.id), 20, people=False, includes_labels=False
        )
    ),
    "stream": told(),
    "stream by type": told(event_type="refund.failed"),
    "stream by payment": of_a_payment(
        lambda large, payment: events.page(large.db, 20, payment_id=payment.id)
    ),
    "stream of what was delivered": told(is_delivered=True),
    "stream of what was not": told(is_delivered=False),
    "one payment": of_a_payment(lambda large, payment: details(large.db, payment.id)),
    "look-up of an id that nothing has": lambda large: lambda: show.find(large.db, "evt_nothing"),
    "look-up of our id": of_a_payment(lambda large, payment: show.find(large.db, str(payment.id))),
    "one for a person on call": of_a_payment(lambda large, payment: show.dossier(large.db, payment.id)),
    "status by order": of_a_payment(
        lambda large, payment: status.status(
            large.db, "fake", [large.gateway], payment.order_id or "", "request-1"
        )
    ),
    "status by payment id": of_a_payment(
        lambda large, payment: status.status(
            large.db, "fake", [large.gateway], payment.transaction_id or "", "request-1"
        )
    ),
    "create-order": lambda large: large.open,
    "a webhook": a_webhook,
    "a refund": a_refund,
    "sweep of payments": lambda large: lambda: sweep_payments(large.db, large.gateway, REAL_TIME),
    "sweep of refunds": lambda large: (
        lambda: reconcile.sweep_refunds(large.db, large.gateway, URLS, REAL_TIME)
    ),
    "sweep of the inbox": lambda large: lambda: reconcile.sweep_inbox(large.db, large.gateway, REAL_TIME),
    "last webhook of a gateway": lambda large: lambda: last_webhook(large.db, "fake"),
    "last webhook of one that has none": lambda large: lambda: last_webhook(large.db, "phonepe"),
    "deliveries": lambda large: lambda: deliver_all(large.db),
    "monitors": lambda large: lambda: monitors.watch(large.db, large.gateway, REAL_TIME),
    "tidying": lambda large: lambda: monitors.tidy(large.db, REAL_TIME),
    "measures": lambda large: Measures(large.db).read,
}


@pytest.mark.parametrize("name", WORK)
def test_no_work_reads_a_whole_table_or_a_share_of_it(large: Large, name: str) -> None:
    do = WORK[name](large)
    before = rows_read(large.db)
    do()
    after = rows_read(large.db)
    read = {table: after[table] - before[table] for table in BIG if after[table] > before[table]}
    assert sum(read.values()) <= (MOST_ROWS_OF_A_WEEK if name in OF_A_WEEK else MOST_ROWS), read


def rows_read(db: Database) -> dict[str, int]:
    """Rows of each table that were read by going through it, and entries of its indexes, so far."""
    db.engine.dispose()  # a process of PostgreSQL that ends has told its counts
    query = """
        SELECT t.relname, t.seq_tup_read + coalesce(sum(i.idx_tup_read), 0)
        FROM pg_stat_user_tables t LEFT JOIN pg_stat_user_indexes i USING (relid)
        GROUP BY t.relname, t.seq_tup_read"""
    with db.engine.connect() as connection:
        return {name: int(rows) for name, rows in connection.exec_driver_sql(query)}
