"""Lists, searches, look-ups and the stream are answered from indexes: no plan reads a whole table."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session
from uuid6 import uuid7

from payments_service.store import events, inbox, lookup, monitors, payment_pages, search
from payments_service.store.db import Database
from payments_service.store.payment_pages import Filters

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
