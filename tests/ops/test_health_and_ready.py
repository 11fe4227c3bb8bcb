"""/health answers at once whatever the database does; /ready is 503 for the database and its tables only."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, text

from payments_service.domain.errors import StoreUnavailable
from payments_service.store.db import Database

AT_ONCE_SECONDS = 0.5


def database(app: Flask) -> Database:
    found: Database = app.extensions["payments_service"].db
    return found


def test_health_asks_the_database_nothing(app: Flask, client: FlaskClient) -> None:
    asked: list[str] = []
    event.listen(database(app).engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    event.listen(database(app).engine.pool, "checkout", lambda *_: asked.append("a connection"))
    for _ in range(5):
        assert client.get("/health").json["status"] == "ok"  # type: ignore[index]
    assert asked == []


def test_health_answers_at_once_while_the_database_hangs(app: Flask, client: FlaskClient) -> None:
    released = threading.Event()

    @contextmanager
    def hang(*_: object) -> Iterator[None]:
        released.wait(30)
        raise StoreUnavailable("gone")
        yield

    db = database(app)
    db.begin = db.read = hang  # type: ignore[method-assign, assignment]
    watch = app.extensions["payments_service"].watch
    watch._looked_at -= 3600  # a look is due, and it hangs
    started = time.monotonic()
    for _ in range(20):
        assert client.get("/health").status_code == 200
    assert time.monotonic() - started < 20 * AT_ONCE_SECONDS
    assert not watch._idle.is_set(), "the look hangs beside the requests"
    released.set()


def test_ready_says_503_when_the_database_is_away(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def away() -> Iterator[None]:
        raise StoreUnavailable("gone")
        yield

    monkeypatch.setattr(database(app), "read", away)
    answer = client.get("/ready")
    assert answer.json is not None
    assert (answer.status_code, answer.json["status"]) == (503, "not_ready")
    assert answer.json["database"] == "unreachable"
    assert answer.json["code"] == "store_unavailable"
    assert answer.json["error"] == "The database cannot be reached"
    assert answer.headers["Retry-After"]
    assert client.get("/health").status_code == 200


def test_ready_says_503_when_the_tables_are_of_an_older_version(app: Flask, client: FlaskClient) -> None:
    well = client.get("/ready")
    assert (well.status_code, {"error", "code"} & set(well.json or {})) == (200, set())
    with database(app).engine.begin() as connection:
        connection.execute(text("UPDATE payments_service_version SET version_num = '0001'"))
    answer = client.get("/ready")
    assert answer.json is not None
    assert (answer.status_code, answer.json["database"]) == (503, "not_migrated")
    assert answer.json["code"] == "not_migrated"
    assert answer.json["error"] == "The database has not the tables of this version"


def test_what_is_not_the_databases_is_told_and_keeps_no_one_away(app: Flask, client: FlaskClient) -> None:
    [gateway, *_] = app.extensions["payments_service"].gateways
    gateway.health.failing = lambda _seconds: ["reads"]
    answer = client.get("/ready")
    assert answer.json is not None
    assert answer.status_code == 200
    assert answer.json["gateways"][gateway.provider] == "failing"
