"""The check after each run: what was acknowledged is stored, and applied exactly once."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Engine, func, select

from payments_service.store.tables import Payment, PaymentAttempt, PaymentEvent, PaymentOrder, PaymentWebhook
from tests.bench.wrk import Load

SETTLE_SECONDS = 60
QUIET_SECONDS = 0.7


def judge_webhooks(engine: Engine, run: str, load: Load) -> list[str]:
    """What is wrong with the webhooks of one run, in sentences; nothing when all is right.

    One that was under way when the run ended may be stored without being acknowledged.
    """
    mine = PaymentWebhook.event_id.startswith(f"evt_{run}_", autoescape=True)
    of_run = select(Payment.id).where(Payment.order_id.startswith(f"order_{run}", autoescape=True))
    rows = select(PaymentWebhook.payment_id, PaymentWebhook.outcome).where(mine)
    with engine.connect() as connection:
        stored = connection.execute(rows).all()
        paid = set(
            connection.scalars(
                select(Payment.id).where(
                    Payment.order_id.startswith(f"order_{run}", autoescape=True),
                    Payment.status == "completed",
                    Payment.completed_at.is_not(None),
                )
            )
        )
        completions = dict(
            connection.execute(
                select(PaymentEvent.payment_id, func.count())
                .where(PaymentEvent.kind == "status", PaymentEvent.to_status == "completed")
                .where(PaymentEvent.payment_id.in_(of_run))
                .group_by(PaymentEvent.payment_id)
            ).all()
        )
        attempts = dict(
            connection.execute(
                select(PaymentOrder.payment_id, func.count())
                .join(PaymentAttempt, PaymentAttempt.order_id == PaymentOrder.id)
                .where(PaymentOrder.payment_id.in_(of_run))
                .group_by(PaymentOrder.payment_id)
            ).all()
        )
    told = Counter(row.payment_id for row in stored)
    return [
        *_amount_to("webhooks", len(stored), load),
        *_each("not applied", [row.payment_id for row in stored if row.outcome != "applied"]),
        *_each("told of more than once", [one for one, times in told.items() if times > 1]),
        *_each("stored and not completed", told.keys() - paid),
        *_each("completed without a webhook", paid - told.keys()),
        *_each("not completed once in the history", [one for one in told if completions.get(one) != 1]),
        *_each("without exactly one attempt", [one for one in told if attempts.get(one) != 1]),
    ]


def judge_orders(
    engine: Engine, load: Load, before: int, at_gateway: Iterable[Mapping[str, Any]]
) -> list[str]:
    """The same of create-order, `before` payments having been there when the run began."""
    with engine.connect() as connection:
        found = connection.execute(
            select(PaymentOrder.wire_id, PaymentOrder.gateway_order_id, PaymentOrder.payment_id).where(
                PaymentOrder.status == "open"
            )
        ).all()
    known = {(row.wire_id, row.gateway_order_id) for row in found}
    made = {(order["receipt"], order["id"]) for order in at_gateway}
    orders_of = Counter(row.payment_id for row in found)
    return [
        *_amount_to("orders", len(found) - before, load),
        *_each("payments with more than one order", [one for one, times in orders_of.items() if times > 1]),
        *_each("orders at the gateway that are unknown here", () if load.errors else made - known),
        *_each("orders here that the gateway did not make", known - made),
    ]


def count_orders(engine: Engine) -> int:
    with engine.connect() as connection:
        query = select(func.count()).select_from(PaymentOrder).where(PaymentOrder.status == "open")
        return connection.scalar(query) or 0


def settle(engine: Engine) -> None:
    """Until nothing more is written: what was under way when a run ended is brought to its end."""
    ends = time.monotonic() + SETTLE_SECONDS
    seen, before = _written(engine), None
    while seen != before and time.monotonic() < ends:
        time.sleep(QUIET_SECONDS)
        seen, before = _written(engine), seen


def _written(engine: Engine) -> tuple[int, ...]:
    with engine.connect() as connection:
        counts = (
            select(func.count()).select_from(table) for table in (PaymentWebhook, PaymentOrder, PaymentEvent)
        )
        return tuple(connection.scalar(count) or 0 for count in counts)


def _amount_to(what: str, stored: int, load: Load) -> Iterator[str]:
    if stored < load.acknowledged:
        yield f"{load.acknowledged - stored} {what} were acknowledged and are not stored"
    if stored > load.sent:
        yield f"{stored - load.sent} {what} more are stored than were sent"


def _each(what: str, found: Collection[object]) -> list[str]:
    return [f"{what}: {len(found)}, one is {next(iter(found))}"] if found else []
