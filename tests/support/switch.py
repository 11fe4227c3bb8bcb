"""The endpoint of a database: a small TCP proxy of its own, which a test leads elsewhere or lets freeze."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port, wait_for_port

ROOT = Path(__file__).parents[2]


class Switch:
    def __init__(self, folder: Path, target: int, host: str = "127.0.0.1") -> None:
        self.host, self.port = host, free_port(host)
        self.target_file = folder / f"target-{self.port}"
        self.lead_to(target)
        command = [sys.executable, "-m", "tests.support.switch", host, str(self.port), str(self.target_file)]
        self.process = subprocess.Popen(command, cwd=ROOT)
        wait_for_port(self.port, self.process, host=host)

    def lead_to(self, port: int) -> None:
        """New connections go there; those that are open stay where they are."""
        fresh = self.target_file.with_suffix(".new")
        fresh.write_text(str(port))
        fresh.rename(self.target_file)

    def freeze(self) -> None:
        """The kernel still accepts connections and acknowledges what comes; no answer ever does."""
        os.kill(self.process.pid, signal.SIGSTOP)
        while self._state() != "T":  # the signal takes effect when the kernel comes to it
            time.sleep(0.001)

    def _state(self) -> str:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def wake(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running_switch(folder: Path, target: int, host: str = "127.0.0.1") -> Iterator[Switch]:
    """`host` is one of loopback: a machine that is told apart from others has an address of its own."""
    switch = Switch(folder, target, host)
    try:
        yield switch
    finally:
        switch.stop()


def _serve(host: str, port: int, target_file: Path) -> None:
    with socket.create_server((host, port), backlog=200) as listener:
        while True:
            here, _ = listener.accept()
            try:
                there = socket.create_connection(("127.0.0.1", int(target_file.read_text())), timeout=5)
            except OSError:
                here.close()
                continue
            there.settimeout(None)
            for pair in ((here, there), (there, here)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            end.close()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
