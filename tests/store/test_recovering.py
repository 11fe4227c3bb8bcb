"""A SQLite file after a `kill -9`: who opens it first recovers it, and the others wait for that."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from payments_service.store import sqlite
from payments_service.store.db import Database

KILLED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE kept (id INTEGER)")
db.commit()
os._exit(9)
"""
RECOVERING = """
import fcntl, sys
with open(sys.argv[1] + "-shm", "r+b") as shared:
    fcntl.lockf(shared, fcntl.LOCK_SH, 1, 128)  # it is open
    fcntl.lockf(shared, fcntl.LOCK_EX, 8, 120)  # and its index is being written anew
    shared.write(bytes(136))
    shared.flush()
    print("recovering", flush=True)
    sys.stdin.readline()
"""
"""Holds the locks of a recovery, and leaves the index as one finds it. Source: "WAL-mode File Format",
sqlite.org/walformat.html."""


def test_who_opens_a_file_while_another_process_recovers_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "payments.db"
    subprocess.run([sys.executable, "-c", KILLED, file], check=False)
    command, waits = [sys.executable, "-c", RECOVERING, file], []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as recovering:
        assert recovering.stdout is not None
        assert recovering.stdout.readline() == b"recovering\n"

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            recovering.communicate(b"enough\n")

        monkeypatch.setattr(sqlite, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
        database = Database(f"sqlite:///{file}")
        with database.engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM kept")).scalar_one() == 0
    assert len(waits) == 1
    database.engine.dispose()
