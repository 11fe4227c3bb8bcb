"""What can be said of the database at one look, also when its tables are not there yet: for `doctor`."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from payments_service.domain.errors import StoreUnavailable
from payments_service.store import revision, trouble
from payments_service.store.db import Database
from payments_service.store.postgres import driver_of

MOUNTS = Path("/proc/mounts")
PASSING_FILESYSTEMS = ("tmpfs", "ramfs", "overlay", "overlayfs")
"""What such a file system holds is gone with the machine, or with the container."""
SHARED_FILESYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs")
"""SQLite's locks are not kept there by every machine."""
UNSAFE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""Settings of PostgreSQL under which a commit that was acknowledged may be lost."""
POSTGRES = text(
    "SELECT current_setting('server_version'), current_setting('server_encoding'), pg_is_in_recovery(),"
    " current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),"
    " pg_backend_pid(), clock_timestamp()"
)
FULL = 2
"""PRAGMA synchronous: a commit is on the disk before it is answered."""


@dataclass(frozen=True)
class Condition:
    product: str
    revision: str | None
    """Of the tables; None where there are none."""
    encoding: str
    is_primary: bool
    unsafe: tuple[str, ...]
    """Why a commit that was acknowledged may be lost; empty where it may not."""
    has_pooler: bool = False
    """Another program speaks for the server: its answers name another connection than the line does."""
    now: datetime | None = None
    """What time it is there; None for a file."""
    free_bytes: int | None = None
    """On the disk of the file; None for a server."""

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why payments must not be kept here, each in a few words."""
        found = list(self.unsafe)
        if not self.is_primary:
            found.append("it is a standby")
        if self.encoding.upper().replace("-", "") != "UTF8":
            found.append(f"its encoding is {self.encoding}")
        return tuple(found)


def look(database: Database) -> Condition:
    """Raises StoreUnavailable with the kind of trouble (`trouble.facts`), and WrongEncoding."""
    options = {"payments_read_only": True}
    try:
        with database.engine.connect().execution_options(**options) as connection:
            return _of_file(connection, database) if database.is_sqlite else _of_server(connection)
    except (DBAPIError, PoolTimeout) as error:
        raise StoreUnavailable(trouble.facts(error)["kind"]) from error


def _of_server(connection: Connection) -> Condition:
    version, encoding, is_standby, *safety, process, now = connection.execute(POSTGRES).one()
    told = dict(zip(UNSAFE, safety, strict=True))
    return Condition(
        product=f"PostgreSQL {version}",
        revision=revision.current(connection),
        encoding=encoding,
        is_primary=not is_standby,
        unsafe=tuple(f"{name} is {told[name]}" for name, bad in UNSAFE.items() if told[name] == bad),
        has_pooler=driver_of(connection).info.backend_pid != process,
        now=now.astimezone(UTC),
    )


def _of_file(connection: Connection, database: Database) -> Condition:
    path = Path(database.engine.url.database or "").resolve()
    unsafe = []
    if connection.exec_driver_sql("PRAGMA synchronous").scalar() != FULL:
        unsafe.append("synchronous is not FULL")
    kind = _filesystem(path)
    if kind in PASSING_FILESYSTEMS:
        unsafe.append(f"the file is on {kind}, which is empty after a restart")
    if kind in SHARED_FILESYSTEMS:
        unsafe.append(f"the file is on {kind}, where SQLite's locks do not hold")
    version = connection.exec_driver_sql("SELECT sqlite_version()").scalar()
    return Condition(
        product=f"SQLite {version}",
        revision=revision.current(connection),
        encoding=str(connection.exec_driver_sql("PRAGMA encoding").scalar()),
        is_primary=True,
        unsafe=tuple(unsafe),
        free_bytes=shutil.disk_usage(path.parent).free,
    )


def _filesystem(path: Path) -> str | None:
    """The kind that the kernel names for the folder; None where it names none."""
    try:
        lines = [line.split() for line in MOUNTS.read_text().splitlines()]
    except OSError:
        return None
    around = [(place, kind) for _, place, kind, *_ in lines if path.is_relative_to(place)]
    return max(around, key=lambda found: len(found[0]))[1] if around else None
