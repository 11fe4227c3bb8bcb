"""The history's seal: what was changed, removed, inserted or cut off is found."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, text

from payments_service.domain.payment import Actor
from payments_service.store import chain, history, payments, seal
from payments_service.store.db import Database
from payments_service.store.tables import Payment, PaymentEvent

KEYS = seal.keys_of(["the newest secret key", "the one before it"])


@pytest.fixture
def sealed(db: Database) -> Payment:
    """A payment with four rows, the first two by the older key, the last by the newest."""
    db.chain_keys = KEYS[1:]
    now = datetime.now(UTC)
    with db.begin() as session:
        payment = Payment(
            gateway="g", provider="g", mode="test", amount=100, currency="INR", status="initiated",
            customer_name="A", customer_email="a@b", customer_phone="9", return_url="http://x",
            expires_at=now,
        )  # fmt: skip
        session.add(payment)
        session.flush()
        for number in range(2):
            history.append(session, payment, "note", Actor("test", str(number)), "why", {"n": number})
    db.chain_keys = KEYS
    with db.begin() as session:
        payment = session.get_one(Payment, payment.id)
        for number in range(2, 4):
            history.append(session, payment, "note", Actor("test", str(number)), "why", {"n": number})
    return payment


def findings(db: Database, keys: seal.ChainKeys = KEYS) -> list[tuple[int | None, str]]:
    with db.read() as session:
        return [(one.sequence, one.what) for one in chain.verify(session, keys)]


def test_a_history_as_it_was_written_is_whole(db: Database, sealed: Payment) -> None:
    assert findings(db) == []
    assert (sealed.history_count, sealed.history_unchained) == (4, 0)


def test_a_payment_that_moves_while_it_is_looked_at_is_whole(db: Database, sealed: Payment) -> None:
    moved: list[str] = []

    def move(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT payments.") and not moved:
            moved.append(statement)
            with db.begin() as session:
                payment = payments.lock(session, sealed.id)
                history.append(session, payment, "note", Actor("test", "5"), "why", {})

    event.listen(db.engine, "after_cursor_execute", move)
    assert findings(db) == []
    assert moved
    assert findings(db) == []


def change(db: Database, *statements: str) -> None:
    """As one who may do everything to the database: without the triggers that guard it."""
    with db.engine.connect() as connection, connection.begin():
        if db.is_sqlite:
            for name in ("update", "delete", "replace"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS payment_events_no_{name}"))
        else:
            connection.execute(text("ALTER TABLE payment_events DISABLE TRIGGER USER"))
        for statement in statements:
            connection.execute(text(statement))


COPY = (
    "INSERT INTO payment_events (id, payment_id, sequence, kind, source, actor, reason, evidence, created_at,"
    " mac, mac_key) SELECT '00000000000000000000000000000001', payment_id, 5, kind, source, actor, reason,"
    " evidence, created_at, mac, mac_key FROM payment_events WHERE sequence = 4"
)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE payment_events SET reason = 'other' WHERE sequence = 2", 2),
        ("UPDATE payment_events SET actor = 'other' WHERE sequence = 4", 4),
        ("DELETE FROM payment_events WHERE sequence = 2", 2),
        ("DELETE FROM payment_events WHERE sequence = 4", None),
        ("UPDATE payment_events SET mac = NULL WHERE sequence = 4", None),
        (COPY, 5),
        ("UPDATE payments SET history_count = 3", None),
    ],
)
def test_what_was_done_to_it_is_found(
    db: Database, sealed: Payment, statement: str, found: int | None
) -> None:
    change(db, statement)
    assert [sequence for sequence, _ in findings(db)] == [found]


def test_a_key_that_is_gone_is_named(db: Database, sealed: Payment) -> None:
    [(sequence, what)] = findings(db, KEYS[:1])
    assert sequence == 1
    assert KEYS[1].name in what


@pytest.mark.parametrize("forget", [lambda db: setattr(db, "chain_keys", ())])
def test_rows_of_an_older_version_are_counted(
    db: Database, sealed: Payment, forget: Callable[[Database], None]
) -> None:
    forget(db)
    with db.begin() as session:
        payment = session.get_one(Payment, sealed.id)
        history.append(session, payment, "note", Actor("test", "old"), "why", {})
    assert findings(db) == []
    with db.read() as session:
        assert session.query(PaymentEvent).filter_by(mac=None).count() == 1
