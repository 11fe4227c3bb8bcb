"""`flask resend`: an operator has events told again, under the same ids."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import update

from payments_service.domain.clock import Clock
from payments_service.store import outbox
from payments_service.store.tables import Outbox
from tests.flows.delivering import Telling, channels, deliver_due
from tests.gateways.wire import Reply, Wire, wire

LONG_AGO = datetime.now(UTC) - timedelta(days=9)


@pytest.fixture
def telling(app: Flask) -> Telling:
    return Telling(app.extensions["payments_service"].db)


@pytest.fixture
def line() -> Iterator[Wire]:
    with wire(Reply(b"")) as made:
        yield made


def resend(app: Flask, *arguments: str) -> Result:
    with app.app_context():
        return app.test_cli_runner().invoke(args=["resend", *arguments])


def deliver(telling: Telling, line: Wire) -> list[str]:
    """The ids that went out."""
    before = len(line.requests)
    deliver_due(telling.db, channels(line.url), Clock(), 100)
    return [request.headers["webhook-id"] for request in line.requests[before:]]


def bury(telling: Telling, event_id: str) -> None:
    with telling.db.begin() as session:
        values = {"state": outbox.DEAD, "attempts": 10, "error": "HTTP 500"}
        session.execute(update(Outbox).where(Outbox.event_id == event_id).values(**values))


def test_one_event_is_told_again_under_its_id(app: Flask, telling: Telling, line: Wire) -> None:
    telling.tell(count=2)
    first, second = deliver(telling, line)
    result = resend(app, second)
    assert result.exit_code == 0, result.output
    assert second in result.output
    assert first not in result.output
    assert "1 to merchant" in result.output
    assert deliver(telling, line) == [second]
    assert line.requests[-1].body == line.requests[1].body


def test_the_dead_are_told_again_with_a_schedule_from_its_start(
    app: Flask, telling: Telling, line: Wire
) -> None:
    telling.tell(count=3)
    sent = deliver(telling, line)
    bury(telling, sent[1])
    assert deliver(telling, line) == []
    assert "1 to merchant" in resend(app, "--dead").output
    [row] = telling.rows("pending")
    assert (row.event_id, row.attempts) == (sent[1], 0)
    assert deliver(telling, line) == [sent[1]]


def test_everything_since_a_moment_is_told_again(app: Flask, telling: Telling, line: Wire) -> None:
    telling.tell(now=LONG_AGO)
    telling.tell(count=2)
    old, *new = (row.event_id for row in telling.rows())
    deliver(telling, line)
    assert "2 to merchant" in resend(app, "--since", (LONG_AGO + timedelta(hours=1)).isoformat()).output
    assert sorted(deliver(telling, line)) == sorted(new)
    assert "3 to merchant" in resend(app, "--since", LONG_AGO.date().isoformat()).output
    assert sorted(deliver(telling, line)) == sorted([old, *new])
    bury(telling, old)
    since = (LONG_AGO - timedelta(days=1)).isoformat()
    assert "1 to merchant" in resend(app, "--dead", "--since", since).output
    assert deliver(telling, line) == [old]


def test_people_are_written_to_again_only_when_that_is_asked_for(app: Flask, telling: Telling) -> None:
    telling.tell(outbox.MERCHANT, outbox.CUSTOMER)
    with telling.db.begin() as session:
        session.execute(update(Outbox).values(state=outbox.DELIVERED))
    event_id = telling.rows()[0].event_id
    resend(app, event_id)
    assert [row.destination for row in telling.rows("pending")] == ["merchant"]
    resend(app, event_id, "--to", "customer")
    assert len(telling.rows("pending")) == 2


def test_a_try_that_is_under_way_no_longer_counts(app: Flask, telling: Telling) -> None:
    telling.tell()
    with telling.db.begin() as session:
        [claimed] = outbox.claim(session, outbox.MERCHANT, datetime.now(UTC), datetime.now(UTC))
        assert claimed is not None
    resend(app, claimed.event_id)
    with telling.db.begin() as session:
        assert not outbox.write_back(session, claimed, state=outbox.DEAD)
    assert telling.row().state == "pending"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Give either EVENT_ID, or"),
        (("evt_1", "--dead"), "Give either EVENT_ID, or"),
        (("--since", "yesterday"), "must look like 2026-01-31"),
        (("evt_nobody",), "No event evt_nobody to merchant"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    app: Flask, telling: Telling, line: Wire, arguments: tuple[str, ...], says: str
) -> None:
    telling.tell()
    deliver(telling, line)
    result = resend(app, *arguments)
    assert result.exit_code != 0
    assert says in result.output
    assert telling.row().state == "delivered"
