"""What wrk says is read, and runs are compared pair by pair."""

import socket
import subprocess
import sys
from contextlib import suppress
from xml.etree import ElementTree

import pytest

from tests.bench import report, wrk
from tests.bench.scenarios import Figure, Findings
from tests.support.ports import free_port, wait_for_port

TOLD = (
    'RESULT {"answered": 900, "refused": 3, "broken": 1, "timeouts": 2, "sent": 966, "seconds": 2.0,'
    ' "p50_ms": 1.5, "p99_ms": 9.0}'
)


def test_what_wrk_tells_is_read() -> None:
    load = wrk.read(f"Running 2s test\n  1 threads\n\n{TOLD}\n")
    assert load.acknowledged == 897
    assert load.errors == 6
    assert load.per_second == pytest.approx(448.5)


def test_a_wrk_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="unable to connect"):
        wrk.read("unable to connect to 127.0.0.1:1 Connection refused")


def test_a_request_is_whole() -> None:
    head, _, body = wrk.post("/x", b'{"a":1}', X_Event_Id="e").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert b"Content-Length: 7" in head
    assert b"X-Event-Id: e" in head
    assert body == b'{"a":1}'


def test_ratios_are_of_pairs() -> None:
    compared = report.ratio(Figure("x", "/s", ours=[10, 30, 20], theirs=[100, 100, 50]))
    assert compared is not None
    assert (compared.median, compared.least, compared.most) == (0.3, 0.1, 0.4)
    assert report.ratio(Figure("x", "", ours=[1], theirs=[0])) is None
    assert report.ratio(Figure("x", "ms", ours=[1])) is None


def test_table_and_picture_have_a_row_for_each_figure() -> None:
    findings = Findings()
    findings.figures += [
        Figure("webhooks & more", "/s", ours=[100.0, 110.0], theirs=[4000.0, 4100.0], must="0.30"),
        Figure("memory", "MiB", ours=[135.0]),
    ]
    assert "| webhooks & more | 4,050/s | 105/s | 0.0259 (0.025 to 0.0268) | 0.30 |" in report.table(findings)
    assert "| memory | – | 135 MiB | – | – |" in report.table(findings)
    drawn = ElementTree.fromstring(report.picture(findings))
    assert [node.text for node in drawn.iter() if node.text == "webhooks & more"] == ["webhooks & more"]


def test_bytes_come_whole_through_the_distance() -> None:
    far, sent = free_port(), bytes(range(256)) * 4096
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = listening.getsockname()[1]
        command = [sys.executable, "-m", "tests.bench.distance", "--listen", str(far), "--to", str(near)]
        process = subprocess.Popen([*command, "--ms", "2"])
        try:
            wait_for_port(far, process)
            with suppress(OSError):
                listening.settimeout(5)
                listening.accept()[0].close()  # the look whether it listens
            with socket.create_connection(("127.0.0.1", far), timeout=10) as line:
                other, _ = listening.accept()
                with other:
                    line.sendall(sent)
                    line.shutdown(socket.SHUT_WR)
                    got = b"".join(iter(lambda: other.recv(65536), b""))
        finally:
            process.terminate()
            process.wait(10)
    assert got == sent
