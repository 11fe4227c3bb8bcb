"""An alarm is one row and one event while it is open, however many raise it."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from payments_service.domain.clock import Clock
from payments_service.flows.alerts import raise_alert
from payments_service.store import heartbeats
from payments_service.store.db import Database
from payments_service.store.tables import Alert, Outbox
from tests.support.event_samples import UNDELIVERED

THREADS = 8


@pytest.fixture
def told_db(db: Database) -> Database:
    db.destinations = ("merchant", "customer", "operator")
    return db


def raise_it(db: Database, subject: str = "merchant") -> bool:
    with db.begin() as session:
        return raise_alert(session, "event_undelivered", subject, UNDELIVERED, Clock())


def outbox_rows(db: Database) -> list[Outbox]:
    with db.read() as session:
        return list(session.scalars(select(Outbox)))


def test_an_alert_is_told_to_merchant_and_operator_under_one_id(told_db: Database) -> None:
    assert raise_it(told_db)
    rows = outbox_rows(told_db)
    assert sorted(row.destination for row in rows) == ["merchant", "operator"]
    assert len({row.event_id for row in rows}) == 1
    body = json.loads(rows[0].body)
    assert body["type"] == "ops.alert"
    assert (body["data"]["code"], body["data"]["detail"]) == ("event_undelivered", UNDELIVERED)


def test_the_same_trouble_is_told_once_while_it_is_open(told_db: Database) -> None:
    assert raise_it(told_db)
    assert not raise_it(told_db)
    assert raise_it(told_db, subject="operator")
    with told_db.begin() as session:
        session.execute(update(Alert).values(cleared_at=datetime.now(UTC)))
    assert raise_it(told_db)
    assert len(outbox_rows(told_db)) == 6


def test_many_who_raise_it_at_once_tell_it_once(told_db: Database) -> None:
    news: list[bool] = []
    threads = [threading.Thread(target=lambda: news.append(raise_it(told_db))) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(news) == [False] * (THREADS - 1) + [True]
    assert len(outbox_rows(told_db)) == 2


def test_nobody_is_told_whom_the_settings_do_not_name(db: Database) -> None:
    assert raise_it(db)
    assert outbox_rows(db) == []


def test_a_dismissal_by_a_clock_that_was_ahead_hides_no_trouble(told_db: Database) -> None:
    with told_db.begin() as session:
        moment = datetime.now(UTC) + timedelta(days=30)
        heartbeats.beat(session, f"{heartbeats.DISMISSED}event_undelivered merchant", moment)
    assert raise_it(told_db)


def test_a_dismissal_of_today_leaves_it_in_peace(told_db: Database) -> None:
    with told_db.begin() as session:
        heartbeats.beat(session, f"{heartbeats.DISMISSED}event_undelivered merchant", datetime.now(UTC))
    assert not raise_it(told_db)
