"""The system's PgBouncer before a PostgreSQL of the tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from tests.support.ports import free_port, wait_for_port

SETTINGS = """
[databases]
* = host=127.0.0.1 port={target} user=payments
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
unix_socket_dir =
logfile = {folder}/log
{more}
"""


@contextmanager
def running_pgbouncer(server: str, *more: str) -> Iterator[str]:
    """The URL of its database, with further lines of its settings. It refuses to run as root."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program, "PgBouncer is missing; `make check` installs it or says how"
    address, port = make_url(server), free_port()
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="payments-pgbouncer-") as folder:
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(
            SETTINGS.format(target=address.port, port=port, folder=folder, more="\n".join(more))
        )
        if user:
            shutil.chown(folder, user)
        process = subprocess.Popen([program, "--quiet", str(settings)], user=user)
        try:
            wait_for_port(port, process)
            yield address.set(port=port).render_as_string(hide_password=False)
        finally:
            process.kill()
            process.wait()
