"""Heartbeats: one moment under each name."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from payments_service.store.db import insert_once
from payments_service.store.tables import Heartbeat

WORKER = "worker"
WATCH_BEGAN = "watch began"
"""When a service first looked for a worker here."""
REFUSED_SINCE = "webhooks refused: "
"""With the provider's name: since when, and no good one came after it."""
REFUSED_LAST = "webhooks refused last: "
"""With the provider's name: the newest of them."""
SWEEP = "sweep: "
"""With the sweep's name: when it last ended well."""
BROKEN = "history broken: "
"""With the payment's id: when its history was last found to be another than was written."""
VERIFIED = "history verified to"
"""When the payment was made whose history was verified last; after the newest one it begins anew."""
DISMISSED = "dismissed: "
"""With an alarm's code and subject: when a person said that it is known."""
TOLD = "told: "
"""With an alarm's code and subject: when it was last told, where it may come and go."""
LOOKED = "alarms looked"
"""When the alarms were last compared with their limits."""


def last(session: Session, name: str) -> datetime | None:
    row = session.get(Heartbeat, name)
    return row.at if row else None


def begin_once(session: Session, name: str, now: datetime) -> bool:
    """Whether the name is new; an older moment stays."""
    return insert_once(session, Heartbeat, ["name"], name=name, at=now)


def beat(session: Session, name: str, now: datetime) -> None:
    if not begin_once(session, name, now):
        session.execute(update(Heartbeat).where(Heartbeat.name == name).values(at=now))


def names(session: Session, beginning: str) -> list[str]:
    """Of all moments whose name begins so."""
    begun = Heartbeat.name.startswith(beginning, autoescape=True)
    return list(session.scalars(select(Heartbeat.name).where(begun)))


def count(session: Session, beginning: str) -> int:
    """How many names begin so."""
    begun = Heartbeat.name.startswith(beginning, autoescape=True)
    return session.execute(select(func.count()).where(begun)).scalar_one()


def moments(session: Session, beginning: str) -> dict[str, datetime]:
    """By the rest of each name that begins so."""
    found = session.scalars(select(Heartbeat).where(Heartbeat.name.startswith(beginning, autoescape=True)))
    return {row.name.removeprefix(beginning): row.at for row in found}


def oldest(session: Session, beginning: str, now: datetime, limit: int) -> list[str]:
    """Names that begin so, those of the oldest moments; a moment to come was written by a clock that leapt,
    and counts as the oldest."""
    begun = Heartbeat.name.startswith(beginning, autoescape=True)
    in_order = select(Heartbeat.name).where(begun).order_by(Heartbeat.at <= now, Heartbeat.at, Heartbeat.name)
    return list(session.scalars(in_order.limit(limit)))


def sweeps(session: Session) -> dict[str, datetime]:
    """By the sweep's name, when it last ended well."""
    return moments(session, SWEEP)


def silence_of_sweeps(session: Session, now: datetime) -> dict[str, float]:
    """Seconds since each sweep last ended well, up to a worker's last beat: a worker that is dead is an alarm
    of its own."""
    last_beat = last(session, WORKER)
    until = now if last_beat is None else min(now, last_beat)
    return {name: max(0.0, (until - at).total_seconds()) for name, at in sweeps(session).items()}


def forget_sweeps_but(session: Session, names: Collection[str], latest: datetime) -> None:
    """Sweeps that no worker runs any more, of a gateway that was switched off, say, are not missed.

    A moment after the latest was written by a clock that was ahead, and would hide a silence until then.
    """
    is_sweep = Heartbeat.name.startswith(SWEEP, autoescape=True)
    kept = [SWEEP + name for name in names]
    is_of_no_use = or_(Heartbeat.name.not_in(kept), Heartbeat.at > latest)
    session.execute(delete(Heartbeat).where(is_sweep, is_of_no_use))


def beat_again(session: Session, names: Collection[str], now: datetime) -> None:
    """The same moment for a few that are there."""
    session.execute(update(Heartbeat).where(Heartbeat.name.in_(names)).values(at=now))


def forget(session: Session, *names: str) -> None:
    """A few at most: each is a parameter of one statement."""
    session.execute(delete(Heartbeat).where(Heartbeat.name.in_(names)))
