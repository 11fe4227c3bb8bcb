"""nginx before the service, by the very settings of deploy/nginx."""

import socket
import ssl
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.gateways.conftest import certificate
from tests.gateways.wire import Reply, wire
from tests.support import nginx_template as nginx
from tests.support.house import running_house

__all__ = ["certificate"]

pytestmark = pytest.mark.check


def test_nginx_takes_the_settings(certificate: Path, tmp_path: Path) -> None:
    settings = nginx.written(tmp_path, "127.0.0.1:5000", certificate)
    found = subprocess.run(
        [nginx.program(), "-t", "-c", str(settings), "-e", f"{tmp_path}/errors"],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert "test is successful" in found.stderr
    assert "[warn]" not in found.stderr


def test_a_slow_sender_reaches_the_service_only_when_it_is_done(certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate)
    with (
        wire(Reply.of({"ok": True})) as service,
        nginx.running(f"127.0.0.1:{service.port}", certificate) as (url, _, _),
        socket.create_connection(("localhost", urlsplit(url).port or 0)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as line,
    ):
        body = b"x" * 20
        head = f"POST /api/webhook/razorpay HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        line.sendall(f"{head}\r\n".encode())
        for byte in body[:-1]:
            line.sendall(bytes([byte]))
            time.sleep(0.05)
        assert service.requests == []
        line.sendall(body[-1:])
        assert line.recv(1000).startswith(b"HTTP/1.1 200")
    [request] = service.requests
    assert request.body == body
    assert request.headers["x-forwarded-proto"] == "https"


def test_the_service_behind_it_knows_who_calls_and_how(certificate: Path, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'payments.db'}"
    production = {
        "APP_ENV": "production",
        "ALLOW_TEST_MODE": "true",
        "SECRET_KEY": "a-secret-of-the-rehearsal",
        "REQUIRE_QUOTE": "false",
        "TRUSTED_PROXY_HOPS": "1",
    }
    with (
        running_house(database, tmp_path, **production) as house,
        nginx.running(urlsplit(house.url).netloc, certificate) as (url, plain, access),
        requests.Session() as browser,
    ):
        browser.trust_env, browser.verify = False, str(certificate)
        answer = browser.get(f"{url}/api/payment/status/razorpay/order_x?token=secret", timeout=20)
        assert answer.status_code == 404
        assert "Strict-Transport-Security" in answer.headers
        assert browser.get(f"{url}/health", timeout=20).json()["status"] == "ok"
        moved = browser.get(f"{plain}/pay/x", timeout=20, allow_redirects=False)
        assert (moved.status_code, moved.headers["Location"]) == (308, "https://localhost/pay/x")
        long = browser.post(f"{url}/api/payment/create-order", b"x" * 200_000, timeout=20)
        assert (long.status_code, long.json()["code"]) == (413, "body_too_large")
        logged = access.read_text()
    assert 'GET /api/payment/status/razorpay/order_x"' in logged
    assert "secret" not in logged


FAR, NEAR = "198.51.100.9", "203.0.113.7"
"""The second alone may send webhooks, in the test below."""


@pytest.mark.parametrize(
    ("hops", "said", "is_taken"),
    [
        (1, NEAR, False),
        (2, NEAR, True),
        (2, f"{FAR}, {NEAR}", True),
        (2, f"{NEAR}, {FAR}", False),
    ],
)
def test_a_caller_is_who_the_proxies_saw_and_not_who_it_says(
    certificate: Path, tmp_path: Path, hops: int, said: str, is_taken: bool
) -> None:
    """With one hop nginx alone is believed; with two also the proxy before it, like Cloudflare."""
    database = f"sqlite:///{tmp_path / 'payments.db'}"
    with (
        running_house(database, tmp_path, WEBHOOK_ALLOWED_IPS=NEAR, TRUSTED_PROXY_HOPS=str(hops)) as house,
        nginx.running(urlsplit(house.url).netloc, certificate) as (url, _, _),
        requests.Session() as caller,
    ):
        caller.trust_env, caller.verify = False, str(certificate)
        headers = {"X-Forwarded-For": said}
        answer = caller.post(f"{url}/api/webhook/razorpay", b"{}", headers=headers, timeout=20)
    assert (answer.status_code != 403) == is_taken, answer.text
