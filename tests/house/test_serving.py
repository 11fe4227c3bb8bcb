"""One gunicorn configuration: what the platform runs, what `make run` runs and what tests run is the same."""

import hashlib
import hmac
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import requests

from payments_service.store.payments import lock
from tests.api.merchant_shop import entries, secret
from tests.bench import work
from tests.support.environment import environment
from tests.support.house import ROOT, House, running_house
from tests.support.ports import free_port
from tests.support.serving import gunicorn_settings

MEMORY = Path("/dev/shm")
GRACE_SECONDS = int(gunicorn_settings()["graceful_timeout"])
STARTS = ("Procfile", "deploy/development.py", "tests/support/house.py", "tests/chaos/town.py")
SERVING = re.compile("--(threads|timeout|keep-alive|worker-class|no-control-socket|config)")


def test_idle_connections_outlast_a_balancers() -> None:
    assert gunicorn_settings()["keepalive"] > 90


def test_a_dotenv_says_how_many_processes_serve_and_where(tmp_path: Path) -> None:
    (tmp_path / "payments_service").mkdir()
    for name in ("gunicorn.conf.py", "payments_service/environment.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".env").write_text("PORT=7001\nDATABASE_URL=sqlite:///payments.db\n")
    settings = gunicorn_settings(tmp_path, LANG="C.UTF-8")
    assert (settings["bind"], settings["workers"]) == ("0.0.0.0:7001", 1)
    assert gunicorn_settings(tmp_path, PORT="7002", WEB_CONCURRENCY="3")["workers"] == 3
    (tmp_path / ".env").unlink()
    assert gunicorn_settings(tmp_path, DATABASE_URL="")["workers"] == 1, "SQLite is the default"
    assert gunicorn_settings(tmp_path, DATABASE_URL="postgresql://db/payments")["workers"] == 2
    with pytest.raises(subprocess.CalledProcessError) as refused:
        gunicorn_settings(tmp_path, WEB_CONCURRENCY="0")
    assert (refused.value.returncode, refused.value.stderr.count("WEB_CONCURRENCY")) == (3, 1)


def test_nothing_that_starts_gunicorn_says_how_it_serves() -> None:
    for name in STARTS:
        text = (ROOT / name).read_text()
        assert "gunicorn" in text
        assert not [line for line in text.splitlines() if "gunicorn" in line and SERVING.search(line)], name


def test_a_process_that_would_wait_for_postgresql_in_c_does_not_start(tmp_path: Path) -> None:
    settings = environment(database_url=f"sqlite:///{tmp_path}/payments.db", port=(port := free_port()))
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "wsgi:app"]
    env = {"PATH": os.environ["PATH"], **settings, "PSYCOPG_WAIT_FUNC": "wait_c"}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert "RuntimeError: psycopg waits in C, which stops every other request" in ended.stderr


def test_a_service_that_was_reloaded_and_ends_leaves_nothing_in_the_temporary_folder(tmp_path: Path) -> None:
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


def test_a_start_that_is_refused_leaves_nothing_either(tmp_path: Path) -> None:
    """A host tries it again and again."""
    before = set(MEMORY.glob("payments-metrics-*")) | set(tmp_path.iterdir())
    settings = environment(database_url=f"sqlite:///{tmp_path}/payments.db", BACKEND_URL="nothing")
    env = {"PATH": os.environ["PATH"], **settings, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{free_port()}", "wsgi:app"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr.count("BACKEND_URL:")) == (3, 1), ended.stderr
    left = set(MEMORY.glob("payments-metrics-*")) | set(tmp_path.iterdir())
    assert not [one for one in left - before if owner_is_gone(one)]


def owner_is_gone(folder: Path) -> bool:
    """Other tests' services have such folders, too, while they run."""
    return not any(str(folder) in maps for maps in map(_mapped_by, Path("/proc").glob("[0-9]*")))


def _mapped_by(process: Path) -> str:
    try:
        return (process / "maps").read_text()
    except OSError:
        return ""


def test_a_service_that_is_told_to_end_waits_for_requests_and_for_no_idle_connection(tmp_path: Path) -> None:
    """A proxy keeps connections open for a minute; no new version takes their place until they are closed."""
    with running_house(f"sqlite:///{tmp_path}/payments.db", tmp_path) as house, requests.Session() as proxy:
        assert house.service
        assert proxy.get(f"{house.url}/health", timeout=60).status_code == 200
        slow = {"gateway": "razorpay", "on": "create_order", "kind": "slow", "seconds": 3, "count": 1}
        house.simulate("faults", slow)
        with ThreadPoolExecutor(1) as pool:
            order = pool.submit(house.create_order)
            house.until(house.log, lambda log: "Creating order" in log)
            house.service.send_signal(signal.SIGTERM)
            assert order.result(60)["success"] is True
        assert house.service.wait(GRACE_SECONDS / 2) == 0


def test_no_header_of_a_caller_says_where_the_service_is(sqlite_house: House) -> None:
    """One that passes a proxy on the same machine, as some pass any header."""
    for headers in ({"SCRIPT_NAME": "/x"}, {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "off"}):
        answer = requests.get(f"{sqlite_house.url}/health", headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text


def test_an_access_log_has_no_query_and_no_page(tmp_path: Path) -> None:
    """Some hosts switch it on; what stands behind a question mark is personal."""
    log = tmp_path / "access.log"
    arguments = {"GUNICORN_CMD_ARGS": f"--access-logfile {log}"}
    with running_house(f"sqlite:///{tmp_path}/payments.db", tmp_path, **arguments) as house:
        address = f"{house.url}/health?phone=9876543210"
        requests.get(address, headers={"Referer": f"{house.url}/?email=asha@example.com"}, timeout=60)
        house.until(log.read_text, lambda text: "GET /health 200" in text)
    assert "9876543210" not in log.read_text()
    assert "asha" not in log.read_text()


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


HELD_SECONDS, LONGEST_STALL = 6.0, 4.0
"""No measure of speed: a loaded machine stays far below the second, and a loop that waits itself for what is
held comes to the first."""


BY_KIND = pytest.mark.parametrize(
    "database_kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.check)]
)


@BY_KIND
def test_the_loop_stands_still_for_nothing_while_all_doors_are_busy_and_a_row_is_held(
    database_url: str, tmp_path: Path
) -> None:
    """Webhooks, create-orders and exports, while another process holds one payment's row, or on SQLite the
    writer's place."""
    with merchants_house(database_url, tmp_path, payments=1_500) as (house, events), house.database() as db:
        requests.get(house.url + "/stall", timeout=60)
        with db.begin() as session, ThreadPoolExecutor(16) as pool:
            lock(session, UUID(house.status(events[0].order_id)["id"]))
            free_at = time.monotonic() + HELD_SECONDS
            work_done = [pool.submit(tell, house, events[number:200:8]) for number in range(8)]
            work_done += [pool.submit(buy, house, 10) for _ in range(4)]
            work_done += [pool.submit(export, house, bytearray()) for _ in range(2)]
            time.sleep(max(0.0, free_at - time.monotonic()))
            session.rollback()
            for one in work_done:
                assert one.result() > 0
        stall = float(requests.get(house.url + "/stall", timeout=60).text)
    print(f"the loop stood still for {1000 * stall:.0f} ms at most")
    assert stall < LONGEST_STALL


@BY_KIND
def test_an_export_that_is_read_at_once_does_not_keep_the_others_waiting(
    database_url: str, tmp_path: Path
) -> None:
    told = bytearray()
    with merchants_house(database_url, tmp_path, payments=5_000) as (house, _), ThreadPoolExecutor(1) as pool:
        lines = pool.submit(export, house, told)
        house.until(lambda: len(told), lambda length: length > 0)
        assert house.get("/health").status_code == 200
        told_then = len(told)
        assert lines.result() > 5_000
    assert told_then < len(told) / 2


@contextmanager
def merchants_house(
    url: str, folder: Path, *, payments: int
) -> Iterator[tuple[House, Sequence[work.Webhook]]]:
    """One process whose loop is watched, and so many payments that wait for these webhooks."""
    variables = {"WEB_CONCURRENCY": "1", "API_KEYS": entries()}
    with running_house(url, folder, app="tests.support.beating", **variables) as house:
        events = work.webhooks("stall", payments)
        with house.database() as db:
            work.await_payment(db.engine, UUID(house.create_order()["id"]), events)
        yield house, events


def tell(house: House, events: Sequence[work.Webhook]) -> int:
    """How many of them were kept; one that waits for too long is refused, and counts as busy, too."""
    kept = 0
    with requests.Session() as http:
        for event in events:
            body = event.body()
            signature = hmac.new(house.environment["RAZORPAY_WEBHOOK_SECRET"].encode(), body, hashlib.sha256)
            headers = {"X-Razorpay-Signature": signature.hexdigest(), "x-razorpay-event-id": event.event_id}
            answer = http.post(house.url + work.WEBHOOK, body, headers=headers, timeout=60)
            kept += answer.status_code == 200
    return kept


def buy(house: House, count: int) -> int:
    with requests.Session() as http:
        bodies = (work.order_body(number) for number in range(count))
        answers = [http.post(house.url + work.CREATE_ORDER, json=body, timeout=60) for body in bodies]
    return sum(answer.status_code == 200 for answer in answers)


def export(house: House, told: bytearray) -> int:
    """Read it as fast as it comes; how many lines it has."""
    headers = {
        "Authorization": f"Bearer {secret('reader')}",
        "Accept": "text/csv",
        "Accept-Encoding": "identity",
    }
    with requests.get(house.url + "/api/payment", headers=headers, timeout=60, stream=True) as answer:
        assert answer.status_code == 200, answer.text
        for piece in answer.iter_content(1 << 16):
            told += piece
    return told.count(b"\n")
