"""On SQLite, which counts nothing and has one writer, what the worker asks again and again reads few rows.

The sweeps run for real, with something due in each, and SQLite is asked how it answers every statement that
it got from them. A plan comes of the tables' shape alone: it is the same for ten payments and ten million.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, update

from payments_service import worker
from payments_service.domain.clock import REAL_TIME
from payments_service.domain.states import AlertCode
from payments_service.flows import liveness, webhook
from payments_service.flows.create_order import Urls
from payments_service.flows.deliver import Channels
from payments_service.store import gauges, migrations, monitors
from payments_service.store.db import Database
from payments_service.store.tables import Payment, PaymentWebhook, Refund
from tests.flows.conftest import buy
from tests.flows.refunding import Refunding
from tests.support.fake_gateway import GENUINE, FakeGateway

GROWING = (
    *("payments", "payment_orders", "payment_attempts", "payment_webhooks", "payment_events", "refunds"),
    *("events", "outbox", "payment_references", "idempotency_keys"),
)
OF_WHAT_WAITS = ("ix_payment_webhooks_due", "ix_payments_flagged", "ix_events_unnumbered")
"""Indexes that hold only the few rows that wait: they may be read from end to end."""
SHARED_BY_MANY = ("provider", "gateway", "mode", "destination")
"""Columns whose values a large part of all rows has: to search by one of them alone is no search."""
WHOLE = re.compile(rf"SCAN ({'|'.join(GROWING)})\b(?! USING (COVERING )?INDEX ({'|'.join(OF_WHAT_WAITS)})\b)")
SHARE = re.compile(rf"SEARCH ({'|'.join(GROWING)}) .*\(({'|'.join(SHARED_BY_MANY)})=\?\)")
URLS, NOWHERE = Urls("http://127.0.0.1:5000"), Channels("x", "http://127.0.0.1:9/")


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[Database, FakeGateway]]:
    """With a payment, a refund, an event of the gateway and one to the merchant that are due now."""
    db, gateway = Database(f"sqlite:///{tmp_path / 'payments.db'}"), FakeGateway()
    migrations.upgrade(db)
    Refunding.begin(db, gateway).send(100)
    buy(db, gateway)
    unknown = gateway.event(order="order_elsewhere", status="completed", amount=100, payment="pay_x")
    webhook.receive(db, gateway, GENUINE, unknown)
    with db.begin() as session:
        liveness.hear_of_refused_webhook(session, gateway, REAL_TIME)
        for due in (Payment.next_check_at, Refund.next_check_at, PaymentWebhook.next_try_at):
            session.execute(update(due.class_).values({due.key: REAL_TIME.now()}))
    yield db, gateway
    db.engine.dispose()


def test_no_sweep_reads_a_whole_table_or_a_gateways_share_of_it(busy: tuple[Database, FakeGateway]) -> None:
    db, gateway = busy
    with Statements(db) as seen:
        for sweep in worker.sweeps(db, [gateway], NOWHERE, URLS, REAL_TIME):
            sweep.run_out(2)
    claims = {found[1] for one in seen if (found := re.search(r"FROM (\w+)\s+WHERE .*next_\w+ <= ", one))}
    assert claims >= {"payments", "refunds", "payment_webhooks", "outbox"}
    assert not read_too_much(db, seen)


def test_neither_do_the_measures_nor_what_an_alarm_says_of_its_payments(
    busy: tuple[Database, FakeGateway],
) -> None:
    db, gateway = busy
    now = datetime.now(UTC)
    with Statements(db) as seen, db.read() as session:
        list(gauges.read(session, now, ["merchant"]))
        for code in (AlertCode.CAPTURE_WINDOW, AlertCode.INBOX_WAITS):
            monitors.affected(session, code, gateway.name, now)
        gauges.to_verify(session, now + timedelta(days=1), 20)
    assert not read_too_much(db, seen)


class Statements(list[str]):
    """What SQLite executes meanwhile, with its values, whichever way it is told."""

    def __init__(self, db: Database) -> None:
        super().__init__()
        self._engine = db.engine

    def __enter__(self) -> "Statements":
        self._engine.dispose()  # connections from before are not traced
        event.listen(self._engine, "connect", self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "connect", self._trace)
        self._engine.dispose()

    def _trace(self, connection: object, _record: object) -> None:
        connection.set_trace_callback(self.append)  # type: ignore[attr-defined]


def read_too_much(db: Database, statements: Statements) -> list[str]:
    """Each such statement, with its plan."""
    found = []
    with db.engine.connect() as connection:
        for one in dict.fromkeys(statements):
            if not one.startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
                continue
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}")]
            if any(SHARE.match(line) or (WHOLE.match(line) and not _ends_early(one, plan)) for line in plan):
                found.append("\n    ".join([one, *plan]))
    return found


def _ends_early(statement: str, plan: list[str]) -> bool:
    """It takes the first rows in the order of an index, and asks nothing of them."""
    is_sorted = any("USE TEMP B-TREE FOR ORDER BY" in line for line in plan)
    return "LIMIT" in statement and "WHERE" not in statement and not is_sorted
