"""How gunicorn serves, here and everywhere: it reads this file from the folder that it is started in.

A worker is one process whose requests are greenlets: hundreds of them may wait for a gateway while others are
answered. gevent replaces blocking calls, which has to happen before any other module is imported.
"""

# ruff: noqa: E402
import gc

# All that is made until the workers are forked lives as long as they do: to look for garbage in it is a
# seventh of the start, and in a worker it would copy the memory that is shared.
gc.disable()

from gevent import getcurrent, monkey, sleep

monkey.patch_all()

import atexit
import fcntl
import os
import shutil
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR
from typing import Any

from gunicorn.workers.ggevent import GeventWorker

from payments_service import environment

environment.load(of_make_run=False)  # a `.env` says the port and the number of processes, too

# Files of a running service are in memory where the machine has such a folder: no disk that fills stops it.
memory = "/dev/shm"  # noqa: S108 (each file in it has a name of its own, and its mode is 0700)
worker_tmp_dir = memory if os.access(memory, os.W_OK | os.X_OK) else None

# The processes of one service share what they count; /metrics adds it up. A reload reads this file again.
OUR_FOLDER = "payments-metrics-"
if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=OUR_FOLDER, dir=worker_tmp_dir)
    own, first = os.environ["PROMETHEUS_MULTIPROC_DIR"], os.getpid()
    # Also of a start that is refused: a service that is started again and again would fill the memory.
    atexit.register(lambda: os.getpid() == first and shutil.rmtree(own, ignore_errors=True))

# SQLite, the default of development, has one writer: a second process would only wait for the first.
is_sqlite = (os.environ.get("DATABASE_URL") or "sqlite").startswith("sqlite")
processes = os.environ.get("WEB_CONCURRENCY") or ("1" if is_sqlite else "2")
if not processes.isdecimal() or not int(processes):
    print(f"WEB_CONCURRENCY: {processes!r} is no number of processes, of 1 or more", file=sys.stderr)
    sys.exit(3)  # by which gunicorn and systemd know that another try would end the same way


class Worker(GeventWorker):  # type: ignore[misc]
    """Ends as soon as its last request is answered: gunicorn's own waits for idle connections, too, which a
    proxy in front keeps open for a minute, and meanwhile no new version takes their place."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle: dict[Any, float] = {}
        """Connections without a request, and since when."""

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        getcurrent().connection = client
        super().handle(listener, client, addr)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """A body that does not come, or an answer that is not taken, ends the connection."""
        sock.settimeout(SILENCE_SECONDS)
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            sock.settimeout(None)

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """While the next request is waited for."""
        connection = getcurrent().connection
        self._idle[connection] = time.monotonic()
        try:
            with super().timeout_ctx():
                yield
        finally:
            del self._idle[connection]

    def notify(self) -> None:
        """Once a second, also while the last requests are answered."""
        super().notify()
        if not self.alive:
            for connection, since in self._idle.items():
                if time.monotonic() - since > IDLE_SECONDS and not has_spoken(connection):
                    with suppress(OSError):  # it has ended from the other side
                        connection.shutdown(SHUT_RDWR)


def has_spoken(connection: Any) -> bool:
    """Whether something has arrived that is not read yet."""
    nothing = bytes(4)
    return bool(fcntl.ioctl(connection, termios.FIONREAD, nothing) != nothing)


SILENCE_SECONDS = 30.0
"""Of a client, in the middle of a request; a thousand that say nothing would be all that a process serves."""
IDLE_SECONDS = 3.0
"""Of its connections a proxy takes the one that it used last: on these no request is on its way."""
bind = f"0.0.0.0:{os.environ.get('PORT') or 5000}"
worker_class = Worker
workers = int(processes)
worker_connections = 1000
# Headers that do not end are looked through again for each further byte: behind two proxies there are thirty.
limit_request_fields = 64
timeout = 60
# The longest request has as long: a create-order with its gateway and its database at their limits.
graceful_timeout = 45
# Only the proxies that TRUSTED_PROXY_HOPS counts say how a payer came, and no header says where we are.
forwarder_headers = ""
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
# Where a platform switches the access log on: what stands behind a question mark is not for a log.
access_log_format = "%(m)s %(U)s %(s)s %(b)s %(M)s"
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


def child_exit(_server: Any, worker: Any) -> None:
    """Forget what only a living process can say; what it has counted stays."""
    from payments_service import metrics

    metrics.process_ended(worker.pid)
