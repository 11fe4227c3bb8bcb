"""One gunicorn configuration: what the platform runs, what `make run` runs and what tests run is the same."""

import os
import re
import signal
import socket
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

import requests

from tests.support.house import ROOT, House, running_house
from tests.support.serving import gunicorn_settings

STARTS = ("Procfile", "deploy/development.py", "tests/support/house.py", "tests/chaos/town.py")
SERVING = re.compile("--(threads|timeout|keep-alive|worker-class|no-control-socket|config)")


def test_idle_connections_outlast_a_balancers() -> None:
    settings = gunicorn_settings()
    assert settings["keepalive"] > 90
    assert settings["worker_class"] == "gevent"


def test_nothing_that_starts_gunicorn_says_how_it_serves() -> None:
    for name in STARTS:
        text = (ROOT / name).read_text()
        assert "gunicorn" in text
        assert not [line for line in text.splitlines() if "gunicorn" in line and SERVING.search(line)], name


def test_a_service_that_was_reloaded_and_ends_leaves_no_files(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    with running_house(f"sqlite:///{tmp_path}/payments.db", tmp_path, TMPDIR=str(folder)) as house:
        assert house.service
        begun = house.log().count("Booting worker")
        house.service.send_signal(signal.SIGHUP)
        house.until(lambda: house.log().count("Booting worker"), lambda count: count > begun)
        assert house.get("/health").status_code == 200
        [counted] = _folders_of_counters(house.service.pid)
        assert counted.parent == (Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else folder)
        assert counted.stat().st_mode & 0o777 == 0o700
    assert not counted.exists()
    assert list(folder.iterdir()) == []


def _folders_of_counters(pid: int) -> set[Path]:
    """Of the files that a process has mapped."""
    mapped = Path(f"/proc/{pid}/maps").read_text()
    return {Path(found) for found in re.findall(r"(/\S+/payments-metrics-[^/\s]+)/", mapped)}


def test_a_connection_that_never_pauses_does_not_keep_the_others_waiting(sqlite_house: House) -> None:
    """All its requests are sent at once; another connection's is answered long before the last of them."""
    count, answers, begun = 3_000, bytearray(), Event()
    address = urlsplit(sqlite_house.url)
    request = f"GET /health HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=60) as greedy:

        def read() -> None:
            while answers.count(b"HTTP/1.1 200") < count:
                answers.extend(greedy.recv(1 << 20))
                begun.set()

        reader = Thread(target=read)
        reader.start()
        Thread(target=greedy.sendall, args=(request * count,)).start()
        assert begun.wait(60)
        assert requests.get(sqlite_house.url + "/health", timeout=60).status_code == 200
        answered = answers.count(b"HTTP/1.1 200")
        reader.join(60)
    assert answered < count / 2
    assert answers.count(b"HTTP/1.1 200") == count
