"""Bodies: how long one may be, and that a client which sends all of a longer one can read why not."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from payments_service.admission import AT_ONCE
from payments_service.api import bodies
from tests.support.house import CUSTOMER, House

CREATE, VERIFY = "/api/payment/create-order", "/api/payment/verify-payment"
KIB, MIB = 1024, 1024 * 1024
MOST = {CREATE: 64 * KIB, VERIFY: 64 * KIB, "/api/webhook/razorpay": MIB, "/api/webhook/phonepe": MIB}
"""The longest body that each route takes."""
PHONEPE_V1 = {"X-VERIFY": "00###1"}


def in_pieces(length: int) -> Iterator[bytes]:
    for start in range(0, length, 50_000):
        yield b"x" * min(50_000, length - start)


def send(house: House, path: str, length: int, *, chunked: bool, **headers: str) -> tuple[int, str]:
    """All of a body first, then the answer, as simple clients do; its status and code."""
    connection = http.client.HTTPConnection(urlsplit(house.url).netloc, timeout=60)
    told = {} if chunked else {"Content-Length": str(length)}
    try:
        connection.request("POST", path, in_pieces(length), {**told, **headers}, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, str(json.loads(answer.read())["code"])
    finally:
        connection.close()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("path", "most"), MOST.items())
def test_one_byte_too_many_is_refused(sqlite_house: House, path: str, most: int, chunked: bool) -> None:
    assert send(sqlite_house, path, most, chunked=chunked)[0] in (400, 401)
    assert send(sqlite_house, path, most + 1, chunked=chunked) == (413, "body_too_large")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        *[(path, {}, (413, "body_too_large")) for path in MOST],
        ("/api/webhook/phonepe", PHONEPE_V1, (413, "body_too_large")),
        (CREATE, {"Authorization": "Bearer psk_wrong"}, (401, "unauthorized")),
        ("/api/webhook/stripe", {}, (404, "gateway_off")),
        ("/nothing", {}, (404, "not_found")),
        ("/health", {}, (405, "method_not_allowed")),
    ],
)
def test_a_client_that_sends_ten_megabytes_can_read_why_not(
    sqlite_house: House,
    path: str,
    headers: dict[str, str],
    expected: tuple[int, str],
    connection: str,
    chunked: bool,
) -> None:
    """A connection that goes on is read on by gunicorn itself; one that closes, as nginx has them, is not."""
    headers = {**headers, "Connection": connection}
    assert send(sqlite_house, path, 10 * MIB, chunked=chunked, **headers) == expected


def test_a_connection_goes_on_after_a_body_that_was_refused(sqlite_house: House) -> None:
    connection = http.client.HTTPConnection(urlsplit(sqlite_house.url).netloc, timeout=60)
    for body, status in ((b"x" * 3 * MIB, 413), (b"{}", 400)):
        connection.request("POST", CREATE, body)
        wire = connection.sock
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:1], connection.sock) == (status, b"{", wire)
    connection.close()


@pytest.mark.parametrize("breaks", ["zz\r\n", "5\r\n{}", "2;\r\n{}", "2\r\n{}xx"])
@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        (CREATE, "", (400, "bad_request")),
        (CREATE, "Authorization: Bearer psk_wrong\r\n", (401, "unauthorized")),
        ("/api/webhook/razorpay", "", (400, "bad_request")),
    ],
)
def test_a_body_that_breaks_off_is_the_clients_fault(
    sqlite_house: House, path: str, headers: str, expected: tuple[int, str], breaks: str
) -> None:
    before = sqlite_house.log().count("Unforeseen error")
    address = urlsplit(sqlite_house.url)
    request = f"POST {path} HTTP/1.1\r\nHost: shop\r\n{headers}Transfer-Encoding: chunked\r\n\r\n{breaks}"
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["code"]) == expected
    assert sqlite_house.log().count("Unforeseen error") == before


@contextmanager
def unfinished(house: House, count: int) -> Iterator[list[socket.socket]]:
    """Orders of which each says that a hundred bytes come, and sends one."""
    address = urlsplit(house.url)
    request = f"POST {CREATE} HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\n{{".encode()
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = socket.create_connection((address.hostname, address.port), timeout=120)
            opened.append(stack.enter_context(connection))
            connection.sendall(request)
        yield opened


def test_bodies_that_do_not_come_hold_no_place_of_another_order(sqlite_house: House) -> None:
    with unfinished(sqlite_house, AT_ONCE + 1):
        time.sleep(0.5)  # until all of them have arrived
        assert sqlite_house.create_order()["success"] is True


@pytest.mark.check
def test_a_body_that_does_not_come_is_given_up(sqlite_house: House) -> None:
    with unfinished(sqlite_house, 1) as [connection]:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["code"]) == (400, "bad_request")


def test_a_body_of_many_chunks_lets_the_others_have_their_turn(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(bodies.time, "sleep", pauses.append)
    chunked = {"wsgi.input": BytesIO(b"x" * 64 * KIB), "wsgi.input_terminated": True}
    with app.test_request_context(CREATE, method="POST", environ_overrides=chunked):
        assert len(bodies.raw_body()) == 64 * KIB
    assert len(pauses) >= 8


@pytest.mark.parametrize("name", ["Accept", "Accept-Language", "Access-Control-Request-Headers"])
def test_a_list_in_a_header_is_cut_before_it_is_taken_apart(app: Flask, name: str) -> None:
    with app.test_request_context("/nothing", headers={name: "a," * 100_000}):
        app.preprocess_request()
        assert len(request.headers[name]) == 1000


@pytest.mark.parametrize("path", [CREATE, VERIFY, "/api/webhook/razorpay"])
def test_a_body_shorter_than_it_says_is_no_body(sqlite_house: House, path: str) -> None:
    """What came is whole JSON by itself; what did not come may have said another thing."""
    whole = json.dumps({"amount": 499, "gateway": "razorpay", "customer": CUSTOMER})
    before = sqlite_house.log().count("Creating order")
    address = urlsplit(sqlite_house.url)
    request = f"POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 500\r\n\r\n{whole}"
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["code"]) == (400, "bad_request")
    assert sqlite_house.log().count("Creating order") == before


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("path", "headers"), [(CREATE, {}), ("/api/webhook/phonepe", {}), ("/api/webhook/phonepe", PHONEPE_V1)]
)
def test_long_bodies_cost_no_memory(
    sqlite_house: House, path: str, headers: dict[str, str], chunked: bool
) -> None:
    assert sqlite_house.service
    workers = children(sqlite_house.service.pid)
    assert workers
    before = [forget_peak(worker) for worker in workers]
    with ThreadPoolExecutor(20) as pool:
        answers = [
            pool.submit(send, sqlite_house, path, 10 * MIB, chunked=chunked, **headers) for _ in range(20)
        ]
        assert {answer.result() for answer in answers} == {(413, "body_too_large")}
    grown = [peak_kib(worker) - was for worker, was in zip(workers, before, strict=True)]
    assert max(grown) < 32 * KIB  # in KiB; eight threads that kept what they read would need 80 MiB


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def forget_peak(pid: int) -> int:
    """Let the kernel count the peak from now on; how many KiB that is."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak_kib(pid)


def peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":', '{"amount": 1, "a": ['])
def test_json_as_deep_as_fits_is_refused_as_such(client: FlaskClient, opening: str) -> None:
    raw = opening * (60 * KIB // len(opening))
    for path in (CREATE, VERIFY):
        answer = client.post(path, data=raw)
        assert (answer.status_code, answer.json and answer.json["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("scheme", ["standard", "sha256-fields"])
@pytest.mark.parametrize("headers", [{"X-Webhook-Signature": "00"}, {"X-Webhook-Timestamp": "1"}, PHONEPE_V1])
def test_json_100_000_deep_is_of_no_more_use_to_a_stranger(
    client: FlaskClient, scheme: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for gateway in client.application.extensions["payments_service"].gateways:
        if gateway.name == "cashfree":
            object.__setattr__(gateway.config, "webhook_scheme", scheme)
    for gateway_name in ("razorpay", "phonepe", "cashfree"):
        for raw in (b"[" * 100_000, b'{"response":' * 80_000, b'{"data":' * 8_000):
            answer = client.post(f"/api/webhook/{gateway_name}", data=raw, headers=headers)
            assert answer.status_code in (400, 401)


def test_a_body_of_the_longest_order_there_can_be_is_taken(client: FlaskClient) -> None:
    """The most metadata that is taken and a description, in characters that JSON writes in twelve bytes."""
    metadata = {f"{n:02d}": "😀" * 134 for n in range(15)}
    body = {"amount": 1, "gateway": "razorpay", "customer": CUSTOMER, "metadata": metadata}
    answer = client.post(CREATE, json={**body, "description": "😀" * 255})
    assert answer.json is not None
    assert answer.json["code"] == "gateway_unavailable"  # as far as the gateway, where nobody listens
