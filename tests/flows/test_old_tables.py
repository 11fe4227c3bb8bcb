"""A worker before a migration that was not run: it says so now and then, and works once it was run."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from payments_service import worker
from payments_service.domain.clock import REAL_TIME
from payments_service.domain.errors import NotMigrated, OldTables
from payments_service.flows import liveness
from payments_service.store import migrations
from payments_service.store.db import Database
from payments_service.worker import HEARTBEAT, Sweep

SWEEPS = [f"sweep {number}" for number in range(9)]


class Working:
    """A worker whose sweeps are counted when they begin, and when they end well."""

    def __init__(self, db: Database) -> None:
        self.db, self.stop = db, threading.Event()
        self.begun: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self._changed = threading.Condition()

    def sweep(self, name: str, work: Callable[[], int]) -> Sweep:
        def run() -> int:
            self._count(self.begun, name)
            work()
            self._count(self.done, name)
            return 0

        return Sweep(name, run, 3600 if name == HEARTBEAT else 0.01)

    def look(self) -> int:
        with self.db.read() as session:
            session.execute(text("SELECT 1 FROM payments"))
        return 0

    @contextmanager
    def run(self, **others: Callable[[], int]) -> Iterator[None]:
        of_lines = [self.sweep(name, self.look) for name in SWEEPS]
        beat = self.sweep(HEARTBEAT, lambda: liveness.beat(self.db, REAL_TIME))
        more = [self.sweep(name, work) for name, work in others.items()]
        thread = threading.Thread(target=worker.run, args=([beat, *of_lines, *more], self.stop))
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join(30)

    def wait_for(self, counted: Counter[str], name: str, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: counted[name] >= count, 30), name

    def _count(self, counted: Counter[str], name: str) -> None:
        with self._changed:
            counted[name] += 1
            self._changed.notify_all()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "NOT_MIGRATED_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(worker, "EVERY_SECONDS", 0.01)


def test_one_sweep_alone_looks_and_all_work_once_the_migration_was_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    db = Database(f"sqlite:///{tmp_path / 'payments.db'}")
    working = Working(db)
    with working.run():
        working.wait_for(working.begun, HEARTBEAT, 5)
        assert max(working.begun[name] for name in SWEEPS) <= 1, "only before it was known"
        said = [record for record in caplog.records if record.message == "Database not migrated"]
        assert len(said) == 1
        migrations.upgrade(db)
        for name in (HEARTBEAT, *SWEEPS):
            working.wait_for(working.done, name, 1)
    db.engine.dispose()


def test_a_table_that_one_sweep_lacks_holds_up_no_other(db: Database) -> None:
    working = Working(db)

    def lack() -> int:
        with db.read() as session:
            session.execute(text("SELECT 1 FROM lost"))
        return 0

    with working.run(lacking=lack):
        working.wait_for(working.begun, "lacking", 3)
        before = working.done[SWEEPS[0]]
        working.wait_for(working.done, SWEEPS[0], before + 3)


def test_a_lost_table_is_no_sign_of_an_old_version(db: Database) -> None:
    with pytest.raises(NotMigrated) as raised, db.read() as session:
        session.execute(text("SELECT 1 FROM lost"))
    assert not isinstance(raised.value, OldTables)
