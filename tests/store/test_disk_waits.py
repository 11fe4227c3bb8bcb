"""SQLite waits for the disk in C: under gevent that must not stop the requests of the whole process."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
from gevent import monkey
monkey.patch_all()
thread = monkey.get_original("_thread", "get_ident")
from sqlalchemy import text
from payments_service.store.db import Database
from payments_service.store.wire import COMMIT, Statement

db = Database("sqlite:///{file}")
db._tables_are_known = True
told = []

def watch(driver):
    driver.set_trace_callback(lambda sql: told.append((sql.split()[0], thread())))

with db.begin() as session:
    session.execute(text("CREATE TABLE t (n INTEGER)"))
with db.begin() as session:
    watch(session.connection().connection.driver_connection)
    session.execute(text("INSERT INTO t VALUES (1)"))
with db.wire() as (wire, begin):
    wire.run([*begin, Statement("INSERT INTO t VALUES (2)", ()), COMMIT])
here = thread()
with db.read() as session:
    assert session.execute(text("SELECT count(*) FROM t")).scalar_one() == 2
print([(word, "here" if where == here else "beside") for word, where in told])
"""


def test_only_the_commit_of_a_writer_runs_beside_the_loop(tmp_path: Path) -> None:
    script = SCRIPT.format(file=tmp_path / "payments.db")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    told = eval(done.stdout)
    assert [where for word, where in told if word == "COMMIT"] == ["beside", "beside", "here"]
    assert {where for word, where in told if word != "COMMIT"} == {"here"}
