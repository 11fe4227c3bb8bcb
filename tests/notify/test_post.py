"""One signed POST: what it says, whom it trusts, and how long it waits."""

import base64
import hashlib
import hmac
import logging
import re
import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from payments_service import net, notify
from payments_service.notify import Answer, Verdict, post, webhook
from tests.gateways.wire import Reply, Request, Trouble, closed_port, full_port, wire
from tests.support.trickle import trickle

NEW, OLD = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (7, 8))
BODY = '{"type": "payment.completed", "data": {"metadata": {"course": "हिन्दी ₹"}}}'.encode()
OK = Reply(b"thanks")
SHORT = timedelta(seconds=0.5)
MARGIN_SECONDS = 1.5
REFUSED = "its certificate is refused"


def send(url: str, timeout: timedelta = timedelta(seconds=15)) -> Answer:
    return post(url, [NEW], "evt_1", BODY, timeout)


def sent(secrets: list[str]) -> Request:
    with wire(OK) as line:
        assert post(f"{line.url}/hook?shop=1", secrets, "evt_1", BODY).verdict is Verdict.DELIVERED
    [request] = line.requests
    return request


# ── what is sent ────────────────────────────────────────────────────────────────────────────────────


def test_the_body_goes_out_as_it_is_stored_with_its_headers() -> None:
    request = sent([NEW])
    assert (request.method, request.target, request.body) == ("POST", "/hook?shop=1", BODY)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "payments-service"
    assert request.headers["webhook-id"] == "evt_1"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60


def test_the_signature_is_the_one_of_the_specification() -> None:
    """Computed by hand: base64 of HMAC-SHA256 over id.timestamp.body, the key being the decoded secret."""
    request = sent([NEW])
    signed = b".".join((b"evt_1", request.headers["webhook-timestamp"].encode(), request.body))
    by_hand = base64.b64encode(hmac.new(bytes([7]) * 32, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{by_hand}"
    Webhook(NEW).verify(request.body, dict(request.headers))


def test_a_change_of_any_byte_is_noticed() -> None:
    request = sent([NEW])
    headers = dict(request.headers)
    for place, byte in enumerate(request.body):
        changed = request.body[:place] + bytes([byte ^ 1]) + request.body[place + 1 :]
        with pytest.raises((WebhookVerificationError, UnicodeDecodeError)):
            Webhook(NEW).verify(changed, headers)
    later = str(int(headers["webhook-timestamp"]) + 1)
    for name, value in (("webhook-id", "evt_2"), ("webhook-timestamp", later)):
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(request.body, {**headers, name: value})


def test_while_the_secret_changes_the_holder_of_either_can_verify() -> None:
    request = sent([NEW, OLD])
    assert len(request.headers["webhook-signature"].split()) == 2
    for secret in (NEW, OLD):
        Webhook(secret).verify(request.body, dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(request.body, dict(sent([OLD]).headers))


def test_neither_secret_nor_address_nor_body_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), wire(Reply(b"words of theirs", 500)) as line:
        answer = send(f"{line.url}/token-in-the-path")
    shown = caplog.text + repr(answer)
    for hidden in (NEW, NEW[6:], "token-in-the-path", "words of theirs", "payment.completed"):
        assert hidden not in shown


# ── what came back ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_says_delivered(status: int) -> None:
    with wire(Reply(b"", status)) as line:
        assert send(line.url) == Answer(Verdict.DELIVERED, f"HTTP {status}", status=status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(status: int) -> None:
    with wire(OK) as elsewhere, wire(Reply(b"", status, {"Location": elsewhere.url})) as line:
        answer = send(line.url)
    assert (answer.verdict, answer.reason) == (Verdict.NOT_NOW, f"HTTP {status}")
    assert len(line.requests) == 1
    assert elsewhere.requests == []


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_every_other_answer_is_tried_again(status: int) -> None:
    with wire(Reply(b"no\r\n\x1b[31m " + b"x" * 5000, status)) as line:
        answer = send(line.url)
    assert (answer.verdict, answer.status, answer.reason) == (Verdict.NOT_NOW, status, f"HTTP {status}")
    assert answer.words.startswith("no [31m xxx")
    assert len(answer.words) == notify.MAX_WORDS


@pytest.mark.parametrize("trouble", [Trouble.RESET, Trouble.RESET_UNREAD, b"", b"SSH-2.0-x\r\n\r\n"])
def test_no_answer_or_nonsense_is_tried_again(trouble: Trouble | bytes) -> None:
    with wire(trouble) as line:
        assert send(line.url).verdict is Verdict.NOT_NOW


def test_an_address_that_nobody_is_behind_is_tried_again() -> None:
    with closed_port() as url:
        assert send(url) == Answer(Verdict.NOT_NOW, "refuses to connect")
    for url in ("http://nobody.invalid/", f"http://{'x' * 70}.example/", "http://a..b/"):
        assert send(url).verdict is Verdict.NOT_NOW


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("999999", 86400),
        ("9" * 400, 86400),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_a_day_at_most(header: str, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert webhook._retry_after(header) == expected


def test_retry_after_comes_with_the_answer() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    with wire(Reply(b"", 503, {"Retry-After": soon})) as line:
        wait = send(line.url).retry_after
    assert wait is not None
    assert 90 < wait.total_seconds() <= 100


# ── time and trust ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Filler: ",
        b"HTTP/1.1 500 X\r\nContent-Length: 100000\r\n\r\n",
    ],
)
def test_a_server_that_trickles_has_the_same_time_in_all(first: bytes) -> None:
    with trickle(first) as port:
        started = time.monotonic()
        answer = send(f"http://127.0.0.1:{port}", SHORT)
    assert time.monotonic() - started < SHORT.total_seconds() + MARGIN_SECONDS
    assert answer.verdict is Verdict.NOT_NOW
    assert re.fullmatch(r"no answer after \d s", answer.reason) or first.startswith(b"HTTP/1.1 500")


def test_a_2xx_counts_though_its_body_never_ends() -> None:
    with trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n") as port:
        assert send(f"http://127.0.0.1:{port}", SHORT).verdict is Verdict.DELIVERED


def test_connecting_is_bounded_too() -> None:
    started = time.monotonic()
    with full_port() as url:
        assert send(url, SHORT).verdict is Verdict.NOT_NOW
    assert time.monotonic() - started < SHORT.total_seconds() + MARGIN_SECONDS


def test_a_server_that_cannot_prove_who_it_is_gets_no_request(
    self_signed: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wire(OK, tls=self_signed) as line:
        assert send(line.url) == Answer(Verdict.NOT_NOW, f"{REFUSED}: self-signed certificate")
        assert line.requests == []
        trusting = ssl.create_default_context(cafile=certificate)
        monkeypatch.setattr(net, "tls_context", lambda: trusting)
        assert send(line.url).verdict is Verdict.DELIVERED
        elsewhere = line.url.replace("localhost", "127.0.0.1")  # the certificate is of another name
        assert send(elsewhere).reason.startswith(f"{REFUSED}: IP address mismatch")


def test_no_proxy_of_the_environment_gets_to_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with wire(OK) as proxy, wire(OK) as line:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert send(line.url).verdict is Verdict.DELIVERED
    assert (len(line.requests), len(proxy.requests)) == (1, 0)
