"""Each type of event as the flows write it: as docs/events.schema.json has it, member by member."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import select

from payments_service.domain import decide
from payments_service.domain.clock import Clock
from payments_service.domain.money import Money
from payments_service.domain.news import DisputeSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, RefundStatus
from payments_service.flows import webhook
from payments_service.flows.alerts import raise_alert
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.tables import Outbox
from tests.flows.conftest import PRICE, buy
from tests.flows.refunding import Refunding
from tests.support.deciding import deciding
from tests.support.event_samples import UNDELIVERED
from tests.support.event_schema import SCHEMA, TYPES, problems
from tests.support.fake_gateway import GENUINE, FakeGateway

NOW = datetime.now(UTC)
FREE = ("metadata",)
"""Members whose own members are the merchant's."""


@pytest.fixture
def told(db: Database) -> dict[str, dict[str, Any]]:
    """One event of each type, made by the flows."""
    db.destinations = (outbox.MERCHANT,)
    for told_status in ("failed", "expired"):
        gateway = FakeGateway()
        opened = buy(db, gateway)
        event = gateway.event(order=opened.order_id, status=told_status, amount=PRICE.minor, attempt="none")
        webhook.receive(db, gateway, GENUINE, event)
    _hold(db, FakeGateway())
    _refund_dispute_and_review(db, FakeGateway())
    with db.begin() as session:
        raise_alert(session, "event_undelivered", "merchant", UNDELIVERED, Clock())
    with db.read() as session:
        rows = session.scalars(select(Outbox).order_by(Outbox.created_at, Outbox.id))
        return {row.type: json.loads(row.body) for row in rows}


def _hold(db: Database, gateway: FakeGateway) -> None:
    gateway.captures_automatically = False
    begun = Refunding(db, gateway, buy(db, gateway))
    gateway.held("pay_held", PRICE)
    gateway.attempts = (replace(gateway.attempts[0], capture_by=NOW + timedelta(days=3)),)
    begun.read_again()


def _refund_dispute_and_review(db: Database, gateway: FakeGateway) -> None:
    refunding = Refunding.begin(db, gateway)
    refunding.send(100)
    gateway.refund_status = RefundStatus.FAILED
    refunding.send(200)
    gateway.attempts += (gateway.attempt("pay_2", AttemptStatus.SUCCEEDED, PRICE),)
    refunding.read_again()
    opened = DisputeSnapshot("disp_1", "pay_1", "open", Money(100), False, False, True, NOW, respond_by=NOW)
    closed = replace(opened, is_closed=True, needs_answer=False, observed_at=datetime.now(UTC))
    for dispute in (opened, replace(closed, deducted=Money(40))):
        with deciding(db, refunding.payment.id) as known:
            decide.apply_dispute(known, dispute, Actor("webhook", "1"))


def places(members: dict[str, Any], *path: str) -> Iterator[tuple[str, ...]]:
    """The path of each object in the body whose members are pinned."""
    yield path
    for name, value in members.items():
        if isinstance(value, dict) and name not in FREE:
            yield from places(value, *path, name)


def at(body: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for name in path:
        body = body[name]
    return body


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_each_type_is_told_as_documented(told: dict[str, dict[str, Any]]) -> None:
    assert set(told) == set(TYPES)
    whole = Draft202012Validator(SCHEMA)
    for body in told.values():
        assert problems(body) == []
        assert whole.is_valid(body)
    assert told["payment.authorized"]["data"]["captureBy"] == (NOW + timedelta(days=3)).isoformat()


def test_a_member_that_is_dropped_renamed_or_added_is_noticed(told: dict[str, dict[str, Any]]) -> None:
    for body in told.values():
        for path in places(body):
            for name in (*at(body, path), None):
                for changed in changes(body, path, name):
                    assert problems(changed), (body["type"], path, name)


def changes(body: dict[str, Any], path: tuple[str, ...], name: str | None) -> Iterator[dict[str, Any]]:
    """The body with one member dropped, renamed or of another type; or, without a name, with one more."""
    changed = copy.deepcopy(body)
    members = at(changed, path)
    value = members.pop(name, "x") if name else "x"
    if name:
        yield copy.deepcopy(changed)
        members[name] = [value]
        yield copy.deepcopy(changed)
        del members[name]
    members[f"{name}_"] = value
    yield changed


def test_a_status_that_contradicts_the_type_is_noticed(told: dict[str, dict[str, Any]]) -> None:
    for event_type in ("payment.authorized", "payment.completed", "payment.failed", "payment.expired"):
        changed = copy.deepcopy(told[event_type])
        changed["data"]["status"] = "pending"
        assert problems(changed), event_type
    for event_type in ("refund.completed", "refund.failed"):
        changed = copy.deepcopy(told[event_type])
        changed["data"]["refund"]["status"] = "pending"
        assert problems(changed), event_type


def test_a_type_that_is_not_documented_is_noticed(told: dict[str, dict[str, Any]]) -> None:
    assert problems({**told["payment.completed"], "type": "payment.forgotten"}) == [
        "'payment.forgotten' is no type of docs/events.schema.json"
    ]
