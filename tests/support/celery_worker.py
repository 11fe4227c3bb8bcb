"""A worker of Celery mode as a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.house import ROOT, House


@contextmanager
def celery(house: House, *options: str, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`variables` are those in which its environment differs from the house's."""
    command = [sys.executable, "-m", "celery", "--app", "payments_service.tasks", "worker", *options]
    with house.log_file.open("ab") as log:
        process = subprocess.Popen(
            [*command, "--loglevel", "WARNING"],
            cwd=ROOT,
            env=house.environment | variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
