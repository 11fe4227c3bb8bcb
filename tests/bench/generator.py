"""A large database in minutes: copies of one paid payment with all that belongs to it, each a bit different.

Of a hundred payments ninety are paid, the others expired or failed; a few of the newest are open. Each has
three webhooks, and as many rows of history as the one that it is a copy of; every fiftieth that is paid gave
something back. They were made one after the other in the last 400 days.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from psycopg import Connection, connect
from sqlalchemy.engine import make_url

from payments_service.store.tables import Base

DAYS = 400
WEBHOOKS = 3
STEP = 100_000
"""Payments of one transaction."""
USERS = 50_000

NUMBERS = """(SELECT n, at, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') AS stamp,
  CASE WHEN n % 100 < 90 THEN 'completed' WHEN n % 10 = 9 AND n > {total} * 0.998 THEN 'pending'
       WHEN n % 100 < 96 THEN 'expired' ELSE 'failed' END AS state
  FROM (SELECT n, '{now}'::timestamptz - ({total} - n) * interval '{seconds} seconds' AS at
        FROM generate_series({first}, {last}) AS n) AS moments) AS numbers"""
"""The number of each payment, when it was made, how its ids begin, and its state."""
PAID = "state = 'completed'"
AT = "at"
ORDER_ID, TRANSACTION_ID = "'order_L' || lpad(n::text, 13, '0')", "'pay_L' || lpad(n::text, 13, '0')"
TIMES = {"created_at": AT, "updated_at": f"{AT} + interval '40 seconds'"}

Columns = Mapping[str, str]
"""What differs in a copy: SQL of what NUMBERS tells of each payment."""


def _id(kind: str) -> str:
    """Of its kind and number, and in the order of time as all our ids are."""
    digits = f"md5('{kind}' || n)"
    return f"(stamp || '7' || substr({digits}, 1, 3) || '8' || substr({digits}, 4, 15))::uuid"


PAYMENT = _id("payment")


def fill(database_url: str, template: UUID, payments: int) -> None:
    """Put so many payments beside the one that is copied, which must be paid; analysed in the end."""
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    now = datetime.now(UTC).replace(microsecond=0)
    seconds = DAYS * 86400 / payments
    with connect(url, autocommit=True) as connection:
        connection.execute(
            "SET session_replication_role = replica"
        )  # no trigger, no foreign key: it is right
        with _without_indexes(connection):
            for first in range(1, payments + 1, STEP):
                last = min(first + STEP - 1, payments)
                numbers = NUMBERS.format(total=payments, now=now, seconds=seconds, first=first, last=last)
                for statement in _statements(template):
                    connection.execute(statement.replace("{numbers}", numbers).encode())
        connection.execute("VACUUM ANALYZE")


def _statements(template: UUID) -> Iterator[str]:
    of_payment = f"payment_id = '{template}'"
    order = f"SELECT id FROM payment_orders WHERE {of_payment}"
    yield _copies("payments", f"id = '{template}'", _payment())
    yield _copies("payment_orders", of_payment, {**_child("order"), **TIMES, **_order()})
    attempt = {"id": _id("attempt"), "order_id": _id("order"), "transaction_id": TRANSACTION_ID, **TIMES}
    attempt["bank_reference"] = "lpad((600000000000 + n)::text, 12, '0')"
    yield _copies("payment_attempts", f"order_id IN ({order})", attempt, PAID)
    webhook = {
        "id": _id("webhook' || k || '"),
        "payment_id": PAYMENT,
        "order_id": ORDER_ID,
        "event_id": "'evt_L' || n || '_' || k",
        "created_at": AT,
    }
    times = f" CROSS JOIN generate_series(1, {WEBHOOKS}) AS k"
    yield _copies("payment_webhooks", of_payment, webhook, also=times)
    history = {
        "id": _id("history' || source.sequence || '"),
        "payment_id": PAYMENT,
        "created_at": AT,
    }
    yield _copies("payment_events", of_payment, history)
    yield _copies("events", of_payment, _event(), PAID)
    yield _new("outbox", "events", of_payment, _delivery(), PAID)
    yield _new("refunds", "payments", f"id = '{template}'", _refund(), f"{PAID} AND n % 50 = 0")
    reference = {
        "reference": "'ORDER-' || n",
        "paid_by": f"CASE WHEN {PAID} THEN {PAYMENT} END",
        "created_at": AT,
    }
    yield _new("payment_references", "payments", f"id = '{template}'", reference, "n % 2 = 0")


def _payment() -> Columns:
    return {
        "id": PAYMENT,
        "order_id": ORDER_ID,
        "transaction_id": f"CASE WHEN {PAID} THEN {TRANSACTION_ID} END",
        "user_id": f"'u-' || n % {USERS}",
        "status": "state",
        "customer_name": "'Asha ' || md5(n::text)",
        "customer_email": "'buyer' || n || '@example.com'",
        "customer_phone": "'9' || lpad(n::text, 9, '0')",
        "reference": "'ORDER-' || n",
        "price_verified": "n % 2 = 0",
        "review": "CASE WHEN n % 5000 = 7 THEN 'amount_mismatch' END",
        "expires_at": f"{AT} + interval '15 minutes'",
        "completed_at": f"CASE WHEN {PAID} THEN {AT} + interval '40 seconds' END",
        "next_check_at": f"CASE WHEN state = 'pending' THEN {AT} + interval '30 days' END",
        **TIMES,
    }


def _order() -> Columns:
    return {"wire_id": "'psv_L' || lpad(n::text, 13, '0')", "gateway_order_id": ORDER_ID}


def _event() -> Columns:
    return {
        "id": _id("event"),
        "event_id": "'evt_' || md5('event' || n)",
        "fact": f"'payment.completed:' || {PAYMENT}",
        "payment_id": PAYMENT,
        "position": "n + 1000",
        "created_at": AT,
    }


def _delivery() -> Columns:
    return {
        **{name: value for name, value in _event().items() if name != "position"},
        "id": _id("delivery"),
        "type": "source.type",
        "destination": "'merchant'",
        "body": "source.body",
        "state": "'delivered'",
        "attempts": "1",
        "generation": "1",
        "next_try_at": AT,
        "delivered_at": AT,
    }


def _refund() -> Columns:
    return {
        "id": _id("refund"),
        "payment_id": PAYMENT,
        "attempt_id": _id("attempt"),
        "provider": "source.provider",
        "refund_id": "'psr_L' || lpad(n::text, 13, '0')",
        "gateway_refund_id": "'rfnd_L' || lpad(n::text, 13, '0')",
        "bank_reference": "lpad((700000000000 + n)::text, 12, '0')",
        "generation": "1",
        "amount": "10000",
        "currency": "'INR'",
        "status": "'completed'",
        **TIMES,
    }


def _child(kind: str) -> Columns:
    return {"id": _id(kind), "payment_id": PAYMENT}


def _copies(table: str, which: str, differing: Columns, condition: str = "true", *, also: str = "") -> str:
    """Every row of the payment that is copied, as often as there are numbers."""
    names = [column.name for column in Base.metadata.tables[table].columns]
    values = {name: differing.get(name, f"source.{name}") for name in names}
    return _insert(table, table, which, values, condition, also)


def _new(table: str, source: str, which: str, values: Columns, condition: str) -> str:
    """A row for each number, where the payment that is copied has none."""
    return _insert(table, source, which, values, condition, "")


def _insert(table: str, source: str, which: str, values: Columns, condition: str, also: str) -> str:
    return (
        f"WITH source AS (SELECT * FROM {source} WHERE {which})"
        f" INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())}"
        f" FROM source CROSS JOIN {{numbers}}{also} WHERE {condition}"
    )


@contextmanager
def _without_indexes(connection: "Connection[tuple[str, ...]]") -> Iterator[None]:
    """Indexes that only serve queries are made once at the end, which is faster."""
    query = """SELECT indexname, indexdef FROM pg_indexes
               WHERE schemaname = 'public' AND indexdef NOT LIKE 'CREATE UNIQUE%'"""
    found = connection.execute(query).fetchall()
    for name, _ in found:
        connection.execute(f'DROP INDEX "{name}"'.encode())
    yield
    connection.execute("SET maintenance_work_mem = '512MB'")
    for _, definition in found:
        connection.execute(definition.encode())
