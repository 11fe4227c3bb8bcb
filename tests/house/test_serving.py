"""One gunicorn configuration: what the platform runs, what `make run` runs and what tests run is the same."""

import re
import subprocess
import sys

from tests.support.house import ROOT

STARTS = ("Procfile", "deploy/development.py", "tests/support/house.py", "tests/chaos/town.py")
SERVING = re.compile("--(threads|timeout|keep-alive|worker-class|no-control-socket|config)")


def test_idle_connections_outlast_a_balancers() -> None:
    """Read in a process of its own, whose blocking calls the file replaces."""
    read = (
        "import json, runpy; s = runpy.run_path('gunicorn.conf.py'); print(s['keepalive'], s['worker_class'])"
    )
    command = [sys.executable, "-c", read]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split()
    assert int(said[0]) > 90
    assert said[1] == "gevent"


def test_nothing_that_starts_gunicorn_says_how_it_serves() -> None:
    for name in STARTS:
        text = (ROOT / name).read_text()
        assert "gunicorn" in text
        assert not [line for line in text.splitlines() if "gunicorn" in line and SERVING.search(line)], name
