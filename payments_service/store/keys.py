"""Idempotency keys: claimed by one atomic insert, taken over by generation."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from payments_service.store.db import changed_rows
from payments_service.store.tables import IdempotencyKey
from payments_service.store.wire import COMMIT, Statement, Table, Wire, wire_in

TRIES = 3


@dataclass
class Key:
    id: UUID
    fingerprint: str
    payment_id: UUID | None
    generation: int
    leased_until: datetime
    answer: bytes | None


KEYS = Table("idempotency_keys", Key)


def claim(
    session: Session,
    row_id: UUID,
    *,
    endpoint: str,
    owner: str,
    key: str,
    fingerprint: str,
    leased_until: datetime,
    now: datetime,
    forget_before: datetime | None,
) -> Key | None:
    """The row of this key, locked: ours when its id is `row_id`, else of the request that came first.

    None when others let the key go and take it again and again while we look. Without `forget_before` no
    row is old, because the time is in doubt.
    """
    wire = wire_in(session)
    mine = (endpoint, owner, key)
    is_mine = "endpoint = %s AND owner = %s AND key = %s"
    forget = f"DELETE FROM idempotency_keys WHERE {is_mine} AND created_at < %s AND leased_until <= %s"
    insert = (
        "INSERT INTO idempotency_keys"
        " (id, endpoint, owner, key, fingerprint, generation, leased_until, created_at)"
        " VALUES (%s, %s, %s, %s, %s, 1, %s, %s) ON CONFLICT (endpoint, owner, key) DO NOTHING"
    )
    values = (wire.value(row_id), *mine, fingerprint, wire.value(leased_until), wire.value(now))
    statements = [
        Statement(insert, values),
        Statement(f"SELECT {KEYS.selected} FROM idempotency_keys WHERE {is_mine}{wire.lock}", mine),
    ]
    if forget_before is not None:
        old = (*mine, wire.value(forget_before), wire.value(now))
        statements.insert(0, Statement(forget, old))
    for _ in range(TRIES):
        # The row that was in the way may be gone by now: its request came to nothing.
        found = wire.read(KEYS, wire.run(statements)[-1])
        if found:
            row: Key = found[0]
            return row
    return None


def write(session: Session, row_id: UUID, held: int, *, commits: bool = False, **values: object) -> bool:
    """Change a row whose generation is still `held`; False when another request has taken it over.

    With `commits` the transaction ends in the same turn.
    """
    wire = wire_in(session)
    change = changing(wire, row_id, held, **values)
    return bool(wire.run([change, COMMIT] if commits else [change])[0])


def changing(wire: Wire, row_id: UUID, held: int, **values: object) -> Statement:
    """The same, for a turn that is needed anyway: without a row another request has taken it over."""
    changes = ", ".join(f"{name} = %s" for name in values)
    sql = f"UPDATE idempotency_keys SET {changes} WHERE id = %s AND generation = %s RETURNING id"
    return Statement(sql, (*map(wire.value, values.values()), wire.value(row_id), held))


def release(session: Session, row_id: UUID, generation: int) -> None:
    session.execute(
        delete(IdempotencyKey).where(IdempotencyKey.id == row_id, IdempotencyKey.generation == generation)
    )


def forget(session: Session, before: datetime) -> int:
    """Delete keys that are older than they are kept, and that no request has taken up since."""
    is_old = IdempotencyKey.created_at < before, IdempotencyKey.leased_until < before
    return changed_rows(session, delete(IdempotencyKey).where(*is_old))
