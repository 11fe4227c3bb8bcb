"""How gunicorn serves, here and everywhere: it reads this file from the folder that it is started in.

A worker is one process whose requests are greenlets: hundreds of them may wait for a gateway while others are
answered. gevent replaces blocking calls, which has to happen before any other module is imported.
"""

# ruff: noqa: E402
import gc

# All that is made until the workers are forked lives as long as they do: to look for garbage in it is a
# seventh of the start, and in a worker it would copy the memory that is shared.
gc.disable()

from gevent import monkey, sleep

monkey.patch_all()

import os
import shutil
import tempfile
from typing import Any

from payments_service import environment

environment.load(of_make_run=False)  # a `.env` says the port and the number of processes, too

# Files of a running service are in memory where the machine has such a folder: no disk that fills stops it.
memory = "/dev/shm"  # noqa: S108 (each file in it has a name of its own, and its mode is 0700)
worker_tmp_dir = memory if os.access(memory, os.W_OK | os.X_OK) else None

# The processes of one service share what they count; /metrics adds it up. A reload reads this file again.
OUR_FOLDER = "payments-metrics-"
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=OUR_FOLDER, dir=worker_tmp_dir)

is_sqlite = os.environ.get("DATABASE_URL", "").startswith("sqlite")
bind = f"0.0.0.0:{os.environ.get('PORT') or 5000}"
worker_class = "gevent"
# SQLite has one writer, so a second process would only wait for the first.
workers = int(os.environ.get("WEB_CONCURRENCY") or (1 if is_sqlite else 2))
worker_connections = 1000
timeout = 60
# Workers are forked from a process that has imported everything, and share its memory.
preload_app = True
# Longer than a balancer keeps an idle connection (nginx, AWS 60 s; others up to 90 s): where this side ends
# it first, a request that is already on its way meets a closed connection, and the payer gets a 502.
keepalive = 95
control_socket_disable = True


def pre_fork(_server: Any, _worker: Any) -> None:
    gc.freeze()


def post_fork(_server: Any, _worker: Any) -> None:
    gc.enable()


def post_worker_init(worker: Any) -> None:
    """What an earlier process has taken in and not brought to its end is done by this one.

    A process whose wait for PostgreSQL would stop all its requests does not start.
    """
    from psycopg import waiting

    if waiting.wait is getattr(waiting, "wait_c", None):
        raise RuntimeError(
            "psycopg waits in C, which stops every other request: it was imported before gevent replaced"
            " blocking calls, or PSYCOPG_WAIT_FUNC says so"
        )
    worker.wsgi.extensions["payments_service"].follow_ups.begin()


def post_request(_worker: Any, _request: Any, _environ: Any, _response: Any) -> None:
    """The others have their turn. A connection on which the next request has already arrived waits for
    nothing, and would be served alone for as long as it goes on."""
    sleep(0)


def on_exit(_server: Any) -> None:
    """A service that ends leaves nothing in the machine's folders."""
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    if os.path.basename(folder).startswith(OUR_FOLDER):
        shutil.rmtree(folder, ignore_errors=True)


def child_exit(_server: Any, worker: Any) -> None:
    """Forget what only a living process can say; what it has counted stays."""
    from payments_service import metrics

    metrics.process_ended(worker.pid)
