"""Events to pull and to resend: a shop that was down gets each once, in order, and a cursor passes none."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from sqlalchemy import delete, select, update
from uuid6 import uuid7

from payments_service.domain.clock import REAL_TIME
from payments_service.domain.money import Money
from payments_service.flows import monitors
from payments_service.store import events, outbox
from payments_service.store.db import Database
from payments_service.store.tables import Event, Outbox
from tests.api.merchant_shop import MerchantShop, told
from tests.api.merchant_shop import shop as shop
from tests.support.event_samples import sample_data

EVENTS = "/api/events"


def pull(shop: MerchantShop, query: str = "", key: str = "reader") -> dict[str, Any]:
    answer = shop.get(f"{EVENTS}{query}", key)
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


def drain(shop: MerchantShop, cursor: str = "", limit: int = 3) -> tuple[list[dict[str, Any]], str]:
    """The loop that docs/server-side.md prints: every event behind a cursor, and the cursor to keep."""
    found = []
    while True:
        page = pull(shop, f"?limit={limit}&after={cursor}")
        found += page["events"]
        cursor = page["after"]
        if not page["hasMore"]:
            return found, cursor


def tell(
    db: Database, fact: str, *, payment_id: UUID | None = None, sequence: int = 1, now: datetime | None = None
) -> None:
    with db.begin() as session:
        put(session, fact, payment_id=payment_id, sequence=sequence, now=now)


def put(
    session: Any, fact: str, *, payment_id: UUID | None = None, sequence: int = 1, now: datetime | None = None
) -> None:
    outbox.put(
        session,
        [],
        fact=fact,
        event_type="payment.completed",
        payment_id=payment_id,
        data=sample_data("payment.completed", id=str(payment_id or uuid7()), sequence=sequence),
        now=now or datetime.now(UTC),
    )


def facts(shop: MerchantShop, found: list[dict[str, Any]]) -> list[str]:
    with shop.db.read() as session:
        by_id = {row.event_id: row.fact for row in session.scalars(select(Event))}
    return [by_id[one["id"]] for one in found]


def test_events_are_there_to_pull_without_any_destination(shop: MerchantShop) -> None:
    payment_id = shop.paid()
    page = pull(shop)
    [event] = page["events"]
    assert (event["type"], event["data"]["id"], event["deliveries"]) == (
        "payment.completed",
        payment_id,
        [],
    )
    assert (page["hasMore"], bool(page["after"])) == (False, True)
    again = pull(shop, f"?after={page['after']}")
    assert (again["events"], again["after"]) == ([], page["after"])


def test_what_is_pulled_is_what_the_webhook_gets(shop: MerchantShop) -> None:
    shop.db.destinations = (outbox.MERCHANT,)
    shop.paid()
    [event] = pull(shop)["events"]
    with shop.db.read() as session:
        [row] = session.scalars(select(Outbox))
    body = json.loads(row.body)
    assert row.event_id == event["id"] == events.id_of(row.fact)
    assert {name: event[name] for name in body} == json.loads(row.body)
    [delivery] = event["deliveries"]
    assert (delivery["destination"], delivery["state"], delivery["attempts"]) == ("merchant", "pending", 0)


def test_a_shop_that_was_down_for_29_days_gets_every_event_once_and_in_order(shop: MerchantShop) -> None:
    tell(shop.db, "before")
    _, cursor = drain(shop)
    expected = [f"fact-{number}" for number in range(10)]
    for fact in expected:
        tell(shop.db, fact)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=29), tick=True):
        found, cursor = drain(shop, cursor)
        assert facts(shop, found) == expected
        assert drain(shop, cursor) == ([], cursor)


def test_a_cursor_passes_no_event_whose_transaction_may_still_commit(shop: MerchantShop) -> None:
    """The older of two commits last; on SQLite, which has one writer, it only begins first."""
    if shop.db.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    with shop.db.begin() as older:
        put(older, "begun first, committed last")
        older.flush()
        tell(shop.db, "begun last, committed first")
        found, cursor = drain(shop)
        assert facts(shop, found) == ["begun last, committed first"]
    found, _ = drain(shop, cursor)
    assert facts(shop, found) == ["begun first, committed last"]


def test_a_live_cursor_loses_nothing_while_writers_commit_out_of_order(shop: MerchantShop) -> None:
    writers, each = 6, 15
    is_over = threading.Event()

    def write(writer: int) -> None:
        payment_id = uuid7()
        for number in range(each):
            with shop.db.begin() as session:
                for part in "ab":
                    fact = f"{writer}-{number:03}{part}"
                    put(session, fact, payment_id=payment_id, sequence=number * 2 + (1 if part == "a" else 2))

    def read(_: int) -> list[str]:
        found, cursor = [], ""
        while True:
            was_over = is_over.is_set()
            page = pull(shop, f"?limit=20&after={cursor}")
            found += page["events"]
            cursor = page["after"]
            if was_over and not page["hasMore"]:
                return facts(shop, found)

    with ThreadPoolExecutor(writers + 2) as pool:
        readers = [pool.submit(read, number) for number in range(2)]
        list(pool.map(write, range(writers)))
        is_over.set()
        seen = [reader.result(60) for reader in readers]
    assert seen[0] == seen[1]
    assert len(seen[0]) == len(set(seen[0])) == writers * each * 2
    for writer in range(writers):
        mine = [fact for fact in seen[0] if fact.startswith(f"{writer}-")]
        assert mine == sorted(mine)


def test_a_payments_own_events_stay_in_order_though_two_clocks_differ(shop: MerchantShop) -> None:
    payment_id, now = uuid7(), datetime.now(UTC)
    tell(shop.db, "first", payment_id=payment_id, sequence=1, now=now + timedelta(minutes=5))
    tell(shop.db, "second", payment_id=payment_id, sequence=2, now=now)
    tell(shop.db, "of another payment", now=now + timedelta(minutes=1))
    found, _ = drain(shop)
    assert facts(shop, found) == ["of another payment", "first", "second"]


def test_a_fact_is_an_event_once_and_its_id_is_a_function_of_it(shop: MerchantShop) -> None:
    for _ in range(2):
        tell(shop.db, "the same")
    [event] = pull(shop)["events"]
    assert event["id"] == events.id_of("the same")
    assert event["id"] != events.id_of("another")


def test_filters_choose_and_the_cursor_goes_on_behind_them(shop: MerchantShop) -> None:
    shop.db.destinations = (outbox.MERCHANT,)
    first, second = shop.paid(), shop.paid(transaction_id="pay_2")
    shop.gateway.paid("pay_1", Money(49900))
    shop.post(f"/api/payment/{first}/refunds", {"amount": 1}, Idempotency_Key="refund-of-order-1001")
    with shop.db.begin() as session:
        delivered = {"state": outbox.DELIVERED, "delivered_at": datetime.now(UTC)}
        session.execute(update(Outbox).where(Outbox.payment_id == UUID(second)).values(**delivered))

    def types(query: str) -> list[tuple[str, str]]:
        return [(one["type"], one["data"]["id"]) for one in pull(shop, query)["events"]]

    completed, refunded = "payment.completed", "refund.completed"
    assert types("") == [(completed, first), (completed, second), (refunded, first)]
    assert types(f"?type={refunded}") == [(refunded, first)]
    assert types(f"?payment={first}") == [(completed, first), (refunded, first)]
    assert types("?delivered=true") == [(completed, second)]
    assert types("?delivered=false") == [(completed, first), (refunded, first)]
    page = pull(shop, f"?type={completed}&limit=1")
    assert page["hasMore"] is True
    assert types(f"?type={completed}&after={page['after']}") == [(completed, second)]


def test_a_page_by_delivery_looks_at_so_many_events_and_the_loop_still_finds_them_all(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK", 3)
    shop.db.destinations = (outbox.MERCHANT,)
    all_of_them = [shop.paid(transaction_id=f"pay_{number}") for number in range(11)]
    missing = [all_of_them[number] for number in (0, 1, 2, 9)]
    with shop.db.begin() as session:
        told = Outbox.payment_id.not_in([UUID(one) for one in missing])
        session.execute(update(Outbox).where(told).values(state=outbox.DELIVERED))
    found, pages, cursor = [], [], ""
    while not pages or pages[-1]["hasMore"]:
        pages.append(pull(shop, f"?delivered=false&limit=2&after={cursor}"))
        found += [one["data"]["id"] for one in pages[-1]["events"]]
        cursor = pages[-1]["after"]
    assert found == missing
    assert [len(page["events"]) for page in pages] == [2, 1, 0, 1]
    assert pull(shop, f"?delivered=false&after={cursor}")["events"] == []


@pytest.mark.parametrize(
    "query", ["limit=0", "payment=1", "delivered=perhaps", "typ=a", "type=payment.paid", "limit=1&limit=2"]
)
def test_a_wrong_filter_is_refused(shop: MerchantShop, query: str) -> None:
    answer = shop.get(f"{EVENTS}?{query}", "reader")
    assert answer.status_code == 400
    assert list(answer.json["details"]) == [query.partition("=")[0]]


@pytest.mark.parametrize(
    "cursor", ["nonsense", "MTpldnRfMQ", "%F0%9F%92%B0", "OTk5OTk5OTk5OTk5OTk5OTk5OTk6eA"]
)
def test_a_cursor_of_another_database_is_refused_and_not_taken_for_a_place(
    shop: MerchantShop, cursor: str
) -> None:
    """After a restore other events stand at the same positions."""
    tell(shop.db, "one")
    assert told(shop.get(f"{EVENTS}?after={cursor}", "reader")) == (400, "invalid_cursor")


def test_what_a_process_of_the_version_before_wrote_is_in_the_stream_too(shop: MerchantShop) -> None:
    """During a rolling restart it writes deliveries without events."""
    shop.db.destinations = (outbox.MERCHANT, outbox.CUSTOMER)
    shop.paid()
    with shop.db.begin() as session:
        session.execute(delete(Event))
        [row, *_] = session.scalars(select(Outbox).where(Outbox.destination == outbox.MERCHANT))
    assert pull(shop)["events"] == []
    for _ in range(2):
        monitors.tidy(shop.db, REAL_TIME)
    [event] = pull(shop)["events"]
    assert (event["id"], len(event["deliveries"])) == (row.event_id, 2)


def test_what_the_version_before_wrote_is_taken_in_chunks_of_which_none_is_left(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.db.destinations = (outbox.MERCHANT, outbox.CUSTOMER)
    told = [shop.paid() for _ in range(4)]
    since = REAL_TIME.now() - timedelta(hours=1)
    monkeypatch.setattr(events, "ADOPTED_AT_ONCE", 1)
    with shop.db.begin() as session:
        session.execute(delete(Event))
        assert events.adopt(session, since) == 1
    monitors.tidy(shop.db, REAL_TIME)
    assert len(pull(shop)["events"]) == len(told)


# ── resend ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_event_is_told_again_under_the_same_id(shop: MerchantShop) -> None:
    shop.db.destinations = (outbox.MERCHANT,)
    shop.paid()
    [event] = pull(shop)["events"]
    with shop.db.begin() as session:
        session.execute(update(Outbox).values(state=outbox.DEAD, attempts=10, error="HTTP 500"))
    answer = shop.post(f"{EVENTS}/{event['id']}/resend", None, "writer")
    assert answer.status_code == 200, answer.text
    [delivery] = answer.json["event"]["deliveries"]
    assert (answer.json["event"]["id"], delivery["state"], delivery["attempts"]) == (
        event["id"],
        "pending",
        0,
    )


def test_an_event_from_before_there_was_a_webhook_can_be_told_too(shop: MerchantShop) -> None:
    shop.paid()
    [event] = pull(shop)["events"]
    path = f"{EVENTS}/{event['id']}/resend"
    assert told(shop.post(path, None, "writer")) == (409, "no_destination")
    shop.db.destinations = (outbox.MERCHANT,)
    for _ in range(2):
        assert len(shop.post(path, None, "writer").json["event"]["deliveries"]) == 1
    with shop.db.read() as session:
        [row] = session.scalars(select(Outbox))
    assert (row.event_id, row.state, row.fact) == (event["id"], "pending", row.fact)


def test_an_event_that_is_not_there_is_404(shop: MerchantShop) -> None:
    for name in ("evt_none", "%00", "%ED%A0%80", events.id_of("another")):
        assert told(shop.post(f"{EVENTS}/{name}/resend", None, "writer")) == (404, "not_found")
