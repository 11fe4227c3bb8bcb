"""--state FILE: what the simulator knows outlives the process, however it ends."""

import errno
import json
import os
import pickle
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway_simulator import Simulator, create_simulator
from gateway_simulator.serving import serving
from gateway_simulator.state import StateFileError
from tests.simulator.shop import GATEWAYS, end, process, refused, shop_at

ENDS = [signal.SIGTERM, signal.SIGKILL]
NOWHERE = "http://127.0.0.1:9/hooks"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "simulator.state"


def wait_for_save(file: Path) -> None:
    """Until it was saved after now; what a kill can take is what came after the last save."""
    before, ends = file.stat().st_mtime_ns, time.monotonic() + 10
    while file.stat().st_mtime_ns == before and time.monotonic() < ends:
        time.sleep(0.02)
    time.sleep(0.05)


@pytest.mark.parametrize("number", ENDS)
def test_everything_is_there_again_after_a_restart(file, receiver, number):
    with process("--state", str(file), "--webhooks", receiver.url) as (running, base), shop_at(base) as shop:
        orders = [shop.order(gateway, f"psv_{gateway}") for gateway in GATEWAYS]
        for order_id in orders:
            shop.control("POST", f"orders/{order_id}/success")
            shop.control("POST", f"orders/{order_id}/dashboard-refund", {"amountPaise": 10000})
        shop.control("POST", "clock", {"advance_seconds": 86400})
        shop.control("POST", "settings", {"razorpay": {"unique_receipts": True}})
        shop.control("POST", "faults", {"gateway": "razorpay", "on": "fetch", "kind": "500", "count": 3})
        shop.control("POST", "faults/storm", {"seed": 7, "rate": 0.5, "gateways": ["cashfree"]})
        shop.control("GET", "deliveries?wait=10")
        if number == signal.SIGKILL:
            wait_for_save(file)
        before = {path: shop.control("GET", path) for path in ("orders", "faults", "settings", "deliveries")}
        assert before["orders"]["total"] == 3
        end(running, number)
    with process("--state", str(file), "--webhooks", receiver.url) as (running, base), shop_at(base) as shop:
        assert {path: shop.control("GET", path) for path in before} == before
        assert 86400 <= shop.control("GET", "health")["now"] - time.time() + 5 <= 86410
        # and it goes on: old orders take another refund, a known receipt is refused, what waits is sent
        shop.control("DELETE", "faults")
        for order_id in orders:
            shop.control("POST", f"orders/{order_id}/dashboard-refund")
        shop.control("POST", "clock", {"advance_seconds": 5 * 86400})
        assert shop.ask("razorpay", "psv_razorpay").status_code == 400
        for order_id in orders:
            sent = shop.control("GET", f"deliveries?wait=10&orderId={order_id}")["events"]
            assert {event["state"] for event in sent} == {"delivered"}


@pytest.mark.parametrize(("number", "starts"), [(signal.SIGTERM, 2), (signal.SIGKILL, 3)])
def test_ids_go_on_and_are_never_told_twice(file, number, starts):
    told: list[str] = []
    for _ in range(starts):
        with process("--state", str(file), "--seed", "7", "--webhooks", NOWHERE) as (running, base):
            with shop_at(base) as shop:
                told += [shop.order("razorpay", "ours") for _ in range(3)]
            end(running, number)  # a kill comes before the next save
    assert len(set(told)) == 3 * starts


class Slow(BaseHTTPRequestHandler):
    """Takes a webhook, and has not answered before the test says so."""

    taken: list[str]
    may_answer: threading.Event

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append(self.headers["x-razorpay-event-id"])
        self.may_answer.wait(10)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("number", ENDS)
def test_a_webhook_that_was_being_sent_is_sent_again(file, number):
    Slow.taken, Slow.may_answer = [], threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        webhooks = f"http://127.0.0.1:{server.server_port}"
        with process("--state", str(file), "--webhooks", webhooks) as (running, base), shop_at(base) as shop:
            order_id = shop.order("razorpay", "ours")
            shop.control("POST", f"orders/{order_id}/failure")
            wait_for_save(file)
            assert len(Slow.taken) == 1
            end(running, number)
        Slow.may_answer.set()
        with process("--state", str(file), "--webhooks", webhooks) as (_, base), shop_at(base) as shop:
            [event] = shop.control("GET", "deliveries?wait=10")["events"]
        server.shutdown()
    assert event["state"] == "delivered"
    assert Slow.taken == [event["eventId"]] * 2


def test_a_webhook_that_waits_for_its_next_try_gets_it_after_a_restart(file, receiver):
    with process("--state", str(file), "--webhooks", NOWHERE) as (running, base), shop_at(base) as shop:
        order_id = shop.order("cashfree", "ours")
        shop.control("POST", f"orders/{order_id}/success")
        [event] = shop.control("GET", f"deliveries?wait=10&orderId={order_id}")["events"]
        assert (event["state"], event["tries"]) == ("waiting", 1)
        end(running, signal.SIGTERM)
    with process("--state", str(file), "--webhooks", receiver.url) as (_, base), shop_at(base) as shop:
        shop.control("POST", "clock", {"advance_seconds": 3600})
        [event] = shop.control("GET", "deliveries?wait=10")["events"]
        assert (event["state"], event["tries"]) == ("delivered", 2)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"hello\n", pickle.dumps({"world": {}}), bytes(range(256))],
    ids=["empty", "text", "pickle", "bytes"],
)
def test_a_file_that_is_not_ours_is_refused_in_one_sentence_and_left_alone(file, content):
    file.write_bytes(content)
    said = refused("--state", str(file))
    assert said == (
        "The simulator cannot use its state file: "
        f"{file} is not a state file of this version of the simulator\n"
    )
    assert file.read_bytes() == content


def rows_in(file: Path) -> list[list[object]]:
    rows: list[list[object]] = json.loads(file.read_bytes())["rows"]
    return rows


def write_rows(file: Path, rows: object) -> bytes:
    beginning = file.read_bytes().partition(b"[")[0]
    file.write_bytes(beginning + json.dumps(rows).encode() + b"}")
    return file.read_bytes()


DAMAGED = {
    "no rows": [],
    "no list": {"rows": 1},
    "a part of another program": [["dict", "casino", [1]], ["dict"]],
    "an attribute that no part has": [["dict", "world", [1]], ["dict", "lock", None]],
    "a row that is not there": [["dict", "world", [7]]],
    "a row of itself": [["dict", "world", [1]], ["tuple", [1]]],
    "a kind that is not there": [["dict", "world", [1]], ["Path", "/etc/passwd"]],
    "half a pair": [["dict", "world"]],
    "a field that no such record has": [
        ["dict", "faults", [1]],
        ["dict", "_faults", [2]],
        ["faults.Fault", {"gateway": "razorpay", "price": 1}],
    ],
    "a record without its fields": [
        ["dict", "faults", [1]],
        ["dict", "_faults", [2]],
        ["faults.Fault", {"gateway": "razorpay"}],
    ],
}


@pytest.mark.parametrize("rows", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_in_one_sentence_and_left_alone(file, rows):
    create_simulator(state=file)
    written = write_rows(file, rows)
    said = refused("--state", str(file))
    assert said.startswith(
        f"The simulator cannot use its state file: {file} is damaged, or of another version"
    )
    assert said.count("\n") == 1
    assert file.read_bytes() == written


MAKE = ["partial", [4], [5]]
CODE = {
    "a function by its dotted name": ["os.mkdir", {"path": "made"}],
    "a function of the package": ["state.os.mkdir", {"path": "made"}],
    "a class of the simulator that is no record": ["state.StateFile", {"_path": "made"}],
    "a class of the service": ["payments_service.store.db.Database", {}],
    "a built-in": ["eval", "1"],
    "an import": ["part", "os"],
    "a function of a part": ["method", [7], "__init__"],
    "a function of a function": ["method", [8], "__call__"],
    "a method of a value": ["method", [9], "write_bytes"],
    "a value of a part": ["method", [7], "lock"],
}


@pytest.mark.parametrize("code", CODE.values(), ids=CODE)
def test_code_in_a_file_is_not_run(file, tmp_path, monkeypatch, code):
    """As an alarm that has rung long ago: what it calls would be called at once."""
    monkeypatch.chdir(tmp_path)
    create_simulator(state=file)
    alarms = [["dict", "world", [1]], ["dict", "_alarms", [2]], ["list", [3]], ["tuple", 0.0, 1, [10]]]
    values = [code, ["tuple", "made"], ["dict"], ["part", "world"], ["method", [7], "at"], ["bytes", "made"]]
    write_rows(file, [*alarms, *values, MAKE])
    assert "is damaged, or of another version" in refused("--state", str(file))
    assert {path.name for path in tmp_path.iterdir()} == {file.name}


class Intruder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_old_version_is_set_aside_with_a_line_and_not_loaded(file, tmp_path, caplog, version):
    """Those were pickles: loading one can run what it names."""
    old = b"state of the payments_service simulator, format %d\n" % version
    old += pickle.dumps({"world": Intruder(tmp_path / "made")})
    file.write_bytes(old)
    create_simulator(state=file)
    aside = file.with_name(file.name + ".old")
    assert aside.read_bytes() == old
    assert f"{file} is of an old version: set aside as {aside.name}, starting empty" in caplog.text
    assert rows_in(file)
    assert not (tmp_path / "made").exists()


def test_a_file_from_before_a_part_knew_another_is_still_read(file):
    """Once the parts of the books asked for each other by way of the books alone."""
    create_simulator(state=file)
    rows = rows_in(file)
    assert any("_settlements" in row for row in rows)
    for row in rows:
        if "_settlements" in row:
            at = row.index("_settlements")
            del row[at : at + 2]
    write_rows(file, rows)
    books = create_simulator(state=file).extensions["simulator"].gateways["razorpay"].books
    assert books.refunds._settlements is books.settlements
    assert any("_settlements" in row for row in rows_in(file))


def test_a_file_that_was_cut_short_is_refused(file):
    create_simulator(state=file)
    file.write_bytes(file.read_bytes()[:-20])
    assert "is damaged" in refused("--state", str(file))


def test_a_place_where_nothing_can_be_written_is_told_at_the_start(tmp_path):
    assert "cannot be written: No such file or directory" in refused("--state", str(tmp_path / "x" / "y"))
    assert "cannot be read: Is a directory" in refused("--state", str(tmp_path))


def test_the_file_is_whole_at_every_moment(file, monkeypatch):
    """Also when the process ends, or the disk is full, in the middle of writing."""
    file.with_name(file.name + ".new").write_bytes(b"what a killed process had half written")
    simulator: Simulator = create_simulator(state=file).extensions["simulator"]
    assert simulator.state_file is not None
    before = file.read_bytes()
    simulator.world.advance(60)

    def half_way(_: int) -> None:
        assert file.read_bytes() == before
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", half_way)
    with pytest.raises(StateFileError, match="cannot be written: No space left on device"):
        simulator.state_file.save()
    assert file.read_bytes() == before
    monkeypatch.undo()
    simulator.state_file.save()
    assert file.read_bytes() != before


def test_a_disk_that_fails_later_does_not_stop_the_clock(tmp_path, caplog):
    folder = tmp_path / "folder"
    folder.mkdir()
    app = create_simulator(state=folder / "file")
    simulator: Simulator = app.extensions["simulator"]
    with serving(app) as base, shop_at(base) as shop:
        (folder / "file").unlink()
        folder.rmdir()
        shop.order("razorpay", "ours")
        rang = threading.Event()
        time.sleep(1.2)  # more than two ticks
        simulator.world.at(simulator.world.now(), rang.set)
        assert rang.wait(10)
        assert "cannot be written" in caplog.text
        folder.mkdir()
    assert (folder / "file").exists()


class Clock:
    """time, for a machine on which writing takes a second."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_saving_a_lot_rests_long_enough_to_let_the_simulator_work(file, monkeypatch):
    simulator: Simulator = create_simulator(state=file).extensions["simulator"]
    assert simulator.state_file is not None
    clock, saves = Clock(), []

    def fsync(_: int) -> None:
        clock.now += 1
        saves.append(clock.now)

    monkeypatch.setattr("gateway_simulator.state.time", clock)
    monkeypatch.setattr(os, "fsync", fsync)
    simulator.state_file.save()
    for _ in range(9):
        clock.now += 1
        simulator.world.touch()
        simulator.state_file.save_if_due()
    assert len(saves) == 1
    clock.now += 1.1
    simulator.state_file.save_if_due()
    simulator.state_file.save_if_due()
    assert len(saves) == 2


def test_nothing_is_written_while_nothing_changes(file):
    simulator: Simulator = create_simulator(state=file).extensions["simulator"]
    assert simulator.state_file is not None
    written = file.stat().st_mtime_ns
    time.sleep(0.02)
    simulator.state_file.save_if_due()
    assert file.stat().st_mtime_ns == written
