"""Idempotency keys: claimed by one atomic insert, taken over by generation."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from payments_service.store.db import changed_rows, insert_once
from payments_service.store.tables import IdempotencyKey

TRIES = 3


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
) -> IdempotencyKey | None:
    """The row of this key, locked: ours when its id is `row_id`, else of the request that came first.

    None when others let the key go and take it again and again while we look. Without `forget_before` no
    row is old, because the time is in doubt.
    """
    mine = (
        IdempotencyKey.endpoint == endpoint,
        IdempotencyKey.owner == owner,
        IdempotencyKey.key == key,
    )
    if forget_before is not None:
        is_old = IdempotencyKey.created_at < forget_before, IdempotencyKey.leased_until <= now
        session.execute(delete(IdempotencyKey).where(*mine, *is_old))
    query = select(IdempotencyKey).where(*mine).with_for_update()
    for _ in range(TRIES):
        insert_once(
            session,
            IdempotencyKey,
            ["endpoint", "owner", "key"],
            id=row_id,
            endpoint=endpoint,
            owner=owner,
            key=key,
            fingerprint=fingerprint,
            generation=1,
            leased_until=leased_until,
            created_at=now,
        )
        # The row that was in the way may be gone by now: its request came to nothing.
        row = session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
        if row is not None:
            return row
    return None


def write(session: Session, row_id: UUID, generation: int, **values: object) -> bool:
    """Change a row that is still its writer's; False when another request has taken it over."""
    mine = IdempotencyKey.id == row_id, IdempotencyKey.generation == generation
    return changed_rows(session, update(IdempotencyKey).where(*mine).values(**values)) == 1


def release(session: Session, row_id: UUID, generation: int) -> None:
    session.execute(
        delete(IdempotencyKey).where(IdempotencyKey.id == row_id, IdempotencyKey.generation == generation)
    )


def forget(session: Session, before: datetime) -> int:
    """Delete keys that are older than they are kept, and that no request has taken up since."""
    is_old = IdempotencyKey.created_at < before, IdempotencyKey.leased_until < before
    return changed_rows(session, delete(IdempotencyKey).where(*is_old))
