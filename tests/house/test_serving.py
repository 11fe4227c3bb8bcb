"""One gunicorn configuration: what the platform runs, what `make run` runs and what tests run is the same."""

import re
import runpy

from tests.support.house import ROOT

STARTS = ("Procfile", "deploy/development.py", "tests/support/house.py", "tests/chaos/town.py")
SERVING = re.compile("--(threads|timeout|keep-alive|worker-class|no-control-socket|config)")


def test_idle_connections_outlast_a_balancers() -> None:
    served = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    assert served["keepalive"] > 90
    assert served["threads"] == 8


def test_nothing_that_starts_gunicorn_says_how_it_serves() -> None:
    for name in STARTS:
        text = (ROOT / name).read_text()
        assert "gunicorn" in text
        assert not [line for line in text.splitlines() if "gunicorn" in line and SERVING.search(line)], name
