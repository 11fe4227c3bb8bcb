"""Lists, searches, look-ups and the stream are answered from indexes: no plan reads a whole table."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.store import events, inbox, lookup, monitors, payment_pages, record, search
from payments_service.store.db import Database
from payments_service.store.payment_pages import Filters
from payments_service.store.postgres import _numbered, driver_of
from payments_service.store.tables import Payment, PaymentOrder
from payments_service.store.wire import wire_in
from tests.bench.work import Copies, webhooks
from tests.flows.conftest import buy
from tests.support.fake_gateway import FakeGateway

BIG = (
    *("payments", "payment_orders", "payment_attempts", "payment_webhooks"),
    *("refunds", "events", "outbox"),
)
PLACE = (datetime(2026, 1, 1, tzinfo=UTC), uuid7())
ASKED: dict[str, Callable[[Session], object]] = {
    "first page": lambda s: payment_pages.page(s, Filters(), 20),
    "page behind a cursor": lambda s: payment_pages.page(s, Filters(), 20, after=PLACE),
    "page before a cursor": lambda s: payment_pages.page(s, Filters(), 20, before=PLACE),
    "by status": lambda s: payment_pages.page(s, Filters(status="completed"), 20, after=PLACE),
    "by user": lambda s: payment_pages.page(s, Filters(user_id="u-7"), 20),
    "by gateway": lambda s: payment_pages.page(s, Filters(gateway="phonepe"), 20, after=PLACE),
    "by mode": lambda s: payment_pages.page(s, Filters(mode="live"), 20),
    "by reference": lambda s: payment_pages.page(s, Filters(reference="ORDER-1"), 20),
    "by review": lambda s: payment_pages.page(s, Filters(review=True), 20),
    "by time": lambda s: payment_pages.page(s, Filters(since=PLACE[0]), 20),
    "search": lambda s: search.beginning_with(
        s, "0199", 20, people=True, phone="0199", includes_labels=False
    ),
    "any id": lambda s: lookup.behind(s, "order_1"),
    "our id": lambda s: lookup.behind(s, str(uuid7())),
    "stream": lambda s: events.page(s, 5, 20, destination="merchant", delivered="delivered"),
    "stream by type": lambda s: events.page(
        s, 5, 20, event_type="payment.completed", destination="merchant", delivered="delivered"
    ),
    "stream by payment": lambda s: events.page(
        s, 5, 20, payment_id=uuid7(), destination="merchant", delivered="delivered"
    ),
    "what is not numbered": events.has_unnumbered,
    "last webhook": lambda s: monitors.last_webhook(s, "razorpay", PLACE[0]),
}


@pytest.mark.parametrize("asked", ASKED)
def test_no_question_of_the_merchants_server_reads_a_whole_table(db: Database, asked: str) -> None:
    for statement, values in statements(db, ASKED[asked]):
        plan = plan_of(db, statement, values)
        whole = [line for line in plan if reads_a_whole_table(line)]
        assert not whole, "\n".join([statement, *plan])


def test_events_that_are_due_are_found_by_an_index_that_holds_no_others(db: Database) -> None:
    """Any other one leads through all that ever came."""
    asked = statements(db, lambda s: inbox.claim_due(s, "razorpay", PLACE[0], PLACE[0], 20))
    [claim] = [(statement, values) for statement, values in asked if "payment_webhooks" in statement]
    plan = "\n".join(plan_of(db, *claim))
    assert set(re.findall(r"ix_payment_webhooks\w+", plan)) == {"ix_payment_webhooks_due"}, plan


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_one_payment_is_found_by_index_where_rows_are_not_counted_yet(db: Database) -> None:
    """PostgreSQL plans once for a prepared statement, and counts rows some minutes after the first came."""
    made = buy(db, FakeGateway())
    with db.engine.begin() as connection:
        copies = Copies(connection, [(event, uuid7()) for event in webhooks("plan", 2_000)])
        copies.write(
            Payment, Payment.id == made.id, lambda event, new: {"id": new, "order_id": event.order_id}
        )
        copies.write(
            PaymentOrder,
            PaymentOrder.payment_id == made.id,
            lambda event, new: {
                "id": uuid7(),
                "payment_id": new,
                "wire_id": f"w{event.order_id}",
                "gateway_order_id": event.order_id,
            },
        )
    with db.begin() as session:
        wire, known = wire_in(session), record.load_one(session, made.id).record
        chosen = record._chosen(wire, [made.id])
        asked = [
            record._making_references(wire, chosen),
            *record._locking(chosen, wire.lock),
            *record.children_of(chosen.sql, (chosen.value,)),
            wire.update(record.PAYMENTS, [known.payment]),
            wire.update(record.ORDERS, known.orders),
        ]
        driver = driver_of(session.connection())
        driver.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        for number, one in enumerate(asked):
            driver.execute(b"PREPARE plan_%d AS %b" % (number, _numbered(one.sql)))
            marks = ", ".join(["%s"] * len(one.values))
            execute = f"EXPLAIN EXECUTE plan_{number}({marks})"
            plan = [row[0] for row in psycopg.ClientCursor(driver).execute(execute, one.values)]
            whole = [line for line in plan if re.search("Seq Scan on (payments|payment_orders)", line)]
            assert not whole, "\n".join([one.sql, *plan])


def statements(db: Database, ask: Callable[[Session], object]) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []
    engine: Engine = db.engine

    def note(_c: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        seen.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    with db.read() as session:
        ask(session)
    event.remove(engine, "before_cursor_execute", note)
    return [(statement, values) for statement, values in seen if statement.startswith(("SELECT", "WITH"))]


def plan_of(db: Database, statement: str, values: Any) -> list[str]:
    with db.engine.connect() as connection:
        if db.is_sqlite:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            return [row[3] for row in rows]
        # An empty table is read whole for free: forbidden, the planner does it only where no index serves.
        connection.execute(text("SET enable_seqscan = off"))
        return [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values)]


def reads_a_whole_table(line: str) -> bool:
    """A plan's line that goes through all rows, in an index or not, and stops at no limit or bound."""
    if "Seq Scan" in line:
        return True
    return bool(re.fullmatch(rf"SCAN ({'|'.join(BIG)})", line))
