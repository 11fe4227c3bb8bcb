"""The one HTTP client: time, trouble sorted by "did money move?", and what it must never do."""

import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from payments_service import net
from payments_service.domain import clock
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import (
    GatewayError,
    OutcomeUnknown,
    Rejected,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.gateways import http, transport
from payments_service.gateways.http import ErrorFacts, GatewaySession, decimal_json, reading_answer
from tests.gateways.wire import HTML, Answer, Reply, Request, Trouble, closed_port, full_port, wire

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OK = Reply(b'{"ok": true}')
MARGIN_SECONDS = 1.5


def read_error(status: int, body: Mapping[str, Any]) -> ErrorFacts:
    return ErrorFacts(
        body["code"], body["words"], unknown_id=body["code"] == "NO_SUCH", in_progress=status == 409
    )


@pytest.fixture
def session() -> Iterator[GatewaySession]:
    with GatewaySession("testpay", read_error, reads_per_second=1000) as made:
        yield made


def after_sending(method: str) -> type[GatewayError]:
    return Unavailable if method == "GET" else OutcomeUnknown


def seconds_of(call: Callable[[], object], error: type[GatewayError]) -> float:
    started = time.monotonic()
    with pytest.raises(GatewayError) as caught:
        call()
    assert type(caught.value) is error
    return time.monotonic() - started


def addresses_of(monkeypatch: pytest.MonkeyPatch, port: int | None, *addresses: str) -> None:
    """What the name of the host stands for; an address itself stands for itself."""

    def look_up(host: str, *_args: object, **_options: object) -> list[Any]:
        found = addresses if host == "localhost" else (host,)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize("status", [200, 201, 400, 404, 429, 500])
@pytest.mark.parametrize(("age", "is_heard"), [(None, True), ("0", True), ("300", False)])
def test_the_date_of_every_answer_that_is_not_from_a_cache_is_heard(
    session: GatewaySession, monkeypatch: pytest.MonkeyPatch, status: int, age: str | None, is_heard: bool
) -> None:
    monkeypatch.setattr(clock, "WATCH", clock.Watch())
    headers = {"Date": format_datetime(datetime.now(UTC)), **({"Age": age} if age else {})}
    with wire(Reply(b'{"code": "X", "words": "x"}', status, headers)) as line, suppress(GatewayError):
        session.get(line.url, timeout=Deadline(2))
    assert clock.WATCH.gateways_agree() is (True if is_heard else None)


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("trouble", [Trouble.HANG, Trouble.SLOW_HEAD, Trouble.SLOW_BODY])
def test_a_deadline_bounds_the_whole_call(session: GatewaySession, method: str, trouble: Trouble) -> None:
    with wire(trouble) as line:
        seconds = seconds_of(
            lambda: session.request(method, line.url, timeout=Deadline(0.5)), after_sending(method)
        )
    assert 0.3 < seconds < 0.5 + MARGIN_SECONDS


def test_connecting_and_reading_share_one_deadline() -> None:
    timeout = transport.timeout_within(Deadline(0.5)).clone()
    timeout.start_connect()
    time.sleep(0.2)
    assert timeout.read_timeout is not None
    assert timeout.read_timeout < 0.31  # what connecting has left of it
    patient = transport.timeout_within(Deadline(100))
    assert (patient.connect_timeout, patient._read) == (Deadline.CONNECT_SECONDS, Deadline.READ_SECONDS)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_many_addresses_of_a_host_share_one_deadline(
    session: GatewaySession, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A gateway that vanished behind four addresses costs as long as one behind a single one."""
    with full_port() as url:
        addresses_of(monkeypatch, urlsplit(url).port, *("127.0.0.1",) * 5)
        seconds = seconds_of(
            lambda: session.request(method, url.replace("127.0.0.1", "localhost"), timeout=Deadline(0.4)),
            Unavailable,
        )
    assert seconds < 0.4 + 0.5


@pytest.mark.parametrize("good", [0, 1, 2])
def test_any_address_of_a_host_that_answers_will_do(
    session: GatewaySession, monkeypatch: pytest.MonkeyPatch, good: int
) -> None:
    """One refuses, one is silent, one answers, in any order."""
    addresses = ["127.0.0.9", "127.0.0.8"]
    addresses.insert(good, "127.0.0.1")
    with wire(OK) as line, full_port("127.0.0.8", line.port):
        addresses_of(monkeypatch, line.port, *addresses)
        assert session.post(line.url, timeout=Deadline(1)).ok
        assert line.requests[0].headers["host"] == f"localhost:{line.port}"


def test_a_call_whose_time_is_up_is_not_sent(session: GatewaySession) -> None:
    with wire(OK) as line:
        for method in METHODS:
            seconds_of(
                lambda method=method: session.request(method, line.url, timeout=Deadline(0)), Unavailable
            )
        assert line.requests == []


def test_a_read_is_not_repeated_beyond_its_deadline(session: GatewaySession) -> None:
    with wire(Reply(HTML, 502)) as line:
        seconds = seconds_of(lambda: session.get(line.url, timeout=Deadline(0.1)), Unavailable)
        assert len(line.requests) == 1
    assert seconds < MARGIN_SECONDS


def test_a_slow_answer_that_comes_in_time_is_whole(session: GatewaySession) -> None:
    body = b'{"text": "%s"}' % (b"x" * 200_000)
    with wire(Reply(body)) as line:
        for _ in range(3):  # on one pooled line: the deadline of one call is not that of the next
            assert session.get(line.url, timeout=Deadline(5)).content == body
            time.sleep(0.05)


# ── where it failed ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("method", METHODS)
def test_what_was_never_sent_moved_no_money(session: GatewaySession, method: str) -> None:
    with closed_port() as refused, full_port() as full:
        for url in (refused, full):
            seconds_of(lambda url=url: session.request(method, url, timeout=Deadline(0.3)), Unavailable)


def test_a_name_that_does_not_resolve_moved_no_money(
    session: GatewaySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    seconds_of(lambda: session.post("https://api.testpay.invalid", timeout=Deadline(1)), Unavailable)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("trouble", [Trouble.RESET, Trouble.RESET_UNREAD, Trouble.HALF, b"", b"nonsense\r\n"])
def test_after_sending_only_a_read_is_sure_that_no_money_moved(
    session: GatewaySession, method: str, trouble: Answer
) -> None:
    with wire(trouble) as line:
        seconds_of(lambda: session.request(method, line.url, timeout=Deadline(5)), after_sending(method))
        if trouble is not Trouble.RESET_UNREAD:
            assert len(line.requests) == (http.READ_TRIES if method == "GET" else 1)


def test_a_pooled_line_that_has_died_meanwhile_costs_nothing(session: GatewaySession) -> None:
    with wire(OK.raw) as line:  # closed by the other end, without a word, after each answer
        for count in (1, 2, 3):
            assert session.post(line.url, timeout=Deadline(5)).ok
            assert len(line.requests) == count
            time.sleep(0.05)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("status", "code", "for_write", "for_read"),
    [
        (400, "BAD", Rejected, Rejected),
        (401, "BAD", Rejected, Rejected),
        (404, "BAD", Rejected, Rejected),
        (404, "NO_SUCH", UnknownAtGateway, UnknownAtGateway),
        (408, "BAD", OutcomeUnknown, Unavailable),
        (409, "BAD", OutcomeUnknown, Unavailable),
        (429, "BAD", Unavailable, Unavailable),
        (500, "BAD", OutcomeUnknown, Unavailable),
        (500, "NO_SUCH", OutcomeUnknown, Unavailable),
        (503, "BAD", OutcomeUnknown, Unavailable),
        (301, "BAD", OutcomeUnknown, Unavailable),
    ],
)
@pytest.mark.usefixtures("no_pauses")
def test_a_refusal_is_sorted_by_whether_money_may_have_moved(
    session: GatewaySession,
    method: str,
    status: int,
    code: str,
    for_write: type[GatewayError],
    for_read: type[GatewayError],
) -> None:
    with (
        wire(Reply.of({"code": code, "words": "w" * 5000}, status)) as line,
        pytest.raises(GatewayError) as caught,
    ):
        session.request(method, line.url, timeout=Deadline(5))
    assert type(caught.value) is (for_read if method == "GET" else for_write)
    assert (caught.value.gateway_code, caught.value.gateway_status) == (code, status)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("body", [HTML, b"", b"[]", b"{}", b'{"code": 1, "words": []}', b"[" * 200_000])
def test_a_refusal_that_cannot_be_read_is_still_a_refusal(session: GatewaySession, body: bytes) -> None:
    with wire(Reply(body, 403)) as line, pytest.raises(Rejected):
        session.post(line.url, timeout=Deadline(5))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(("7", 7), ("0", 0), ("86400", 86400), ("soon", None), ("-5", None), ("1.5", None), ("\xb2", None)),
        *(("9" * 400, None), ("", None), ("Wed, 21 Oct 2099 07:28:00 GMT", None)),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_limit_says_when_to_come_back_and_is_not_tried_again(
    session: GatewaySession, method: str, header: str, seconds: int | None
) -> None:
    with wire(Reply(b"{}", 429, {"Retry-After": header})) as line:
        with pytest.raises(Unavailable) as caught:
            session.request(method, line.url, timeout=Deadline(5))
        assert len(line.requests) == 1
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("trouble", [Trouble.RESET, Reply(HTML, 502), Reply(b"null")])
def test_a_post_that_changes_nothing_counts_as_a_read(session: GatewaySession, trouble: Answer) -> None:
    with wire(trouble) as line:
        with pytest.raises(Unavailable):
            session.post(line.url, timeout=Deadline(5), harmless=True)
        assert len(line.requests) == http.READ_TRIES


def test_a_read_that_fails_is_tried_again_after_a_pause(session: GatewaySession) -> None:
    moments: list[float] = []

    def answer(request: Request) -> Answer:
        moments.append(time.monotonic())
        return OK if len(moments) == http.READ_TRIES else Reply(HTML, 502)

    with wire(answer) as line:
        assert session.get(line.url, timeout=Deadline(10)).ok
    first, second = (after - before for before, after in pairwise(moments))
    assert first > 0.15
    assert second > 0.3


# ── what it must never do ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["elsewhere", "//", "http://[", "\xff", "ftp://x"])
def test_a_redirect_is_not_followed(session: GatewaySession, method: str, status: int, place: str) -> None:
    with wire(OK) as other, wire(Reply(b"{}", status, {"Location": place})) as line:
        if place == "elsewhere":
            line.answer = Reply(b"{}", status, {"Location": f"{other.url}/elsewhere"})
        with pytest.raises(after_sending(method)):
            session.request(method, f"{line.url}/x", timeout=Deadline(5), auth=("id", "secret"))
        assert other.requests == []
        assert {request.path for request in line.requests} == {"/x"}


def test_cookies_are_not_kept(session: GatewaySession) -> None:
    with wire(Reply(b"{}", headers={"Set-Cookie": "sid=1; Path=/"})) as line:
        for _ in range(2):
            session.get(line.url, timeout=Deadline(5))
        assert [request.headers.get("cookie") for request in line.requests] == [None, None]
    assert not session.cookies


def test_the_environment_changes_neither_credentials_nor_the_way(
    session: GatewaySession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login mallory password m\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with wire(OK) as line:
        assert session.get(line.url.replace("localhost", "127.0.0.1"), timeout=Deadline(5)).ok
        assert "authorization" not in line.requests[0].headers


def test_an_answer_without_end_is_not_swallowed_whole(
    session: GatewaySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 300_000)
    with wire(Trouble.TOO_LARGE) as line:
        assert seconds_of(lambda: session.post(line.url, timeout=Deadline(20)), OutcomeUnknown) < 5
    with wire(Reply(b" " * 300_000 + b"{}")) as line, pytest.raises(OutcomeUnknown):
        session.post(line.url, timeout=Deadline(5))
    with wire(Reply(b" " * 299_998 + b"{}")) as line:
        assert session.post(line.url, timeout=Deadline(5)).ok


def test_a_certificate_must_be_signed_by_somebody_known(
    session: GatewaySession, self_signed: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wire(OK, tls=self_signed) as line:
        for weakened in ({}, {"verify": False}, {"verify": str(certificate)}):
            with pytest.raises(Unavailable):
                session.post(line.url, timeout=Deadline(5), **weakened)
        assert line.requests == []
        monkeypatch.setattr(net, "tls_context", lambda: ssl.create_default_context(cafile=certificate))
        with GatewaySession("testpay", read_error, reads_per_second=1000) as trusting:
            assert trusting.post(line.url, timeout=Deadline(5)).ok
            with pytest.raises(Unavailable):
                trusting.post(line.url.replace("localhost", "127.0.0.1"), timeout=Deadline(5))


def test_root_certificates_are_loaded_once_and_not_for_each_line(
    self_signed: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(ssl.SSLContext):
        loads = 0

        def load_verify_locations(self, *args: Any, **options: Any) -> None:
            self.loads += 1
            super().load_verify_locations(*args, **options)

    context = Counting(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)
    monkeypatch.setattr(net, "tls_context", lambda: context)
    with (
        wire(OK.raw, tls=self_signed) as line,
        GatewaySession("testpay", read_error, reads_per_second=1000) as session,
    ):
        for _ in range(3):  # each on a line of its own
            assert session.post(line.url, timeout=Deadline(5)).ok
    assert context.loads == 1


def test_many_threads_share_one_session(session: GatewaySession) -> None:
    def echo(request: Request) -> Reply:
        return Reply(request.body, headers={"Set-Cookie": f"c={request.body.decode()}"})

    def ask(number: int) -> bool:
        text = f'{{"number": {number}}}'
        return session.post(line.url, data=text, timeout=Deadline(20)).text == text

    with wire(echo) as line, ThreadPoolExecutor(50) as pool:
        assert all(pool.map(ask, range(500)))
    assert set(Counter(request.body for request in line.requests).values()) == {1}


# ── what it says of a call, and what it reads ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [
        (OK, "ok", 200),
        (Reply(HTML, 502), "outcome_unknown", 502),
        (Trouble.RESET, "outcome_unknown", None),
        (Reply.of({}, 429), "gateway_unavailable", 429),
        (Reply.of({}, 400), "gateway_rejected", 400),
    ],
)
def test_each_call_leaves_one_line_of_facts_in_the_log(
    session: GatewaySession,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
    outcome: str,
    status: int | None,
) -> None:
    caplog.set_level(logging.DEBUG, "payments_service")
    with wire(answer) as line:
        private = {"data": "private", "headers": {"X-Key": "private"}}
        with suppress(GatewayError):
            session.post(f"{line.url}/v1/x?q=private", timeout=Deadline(5), **private)
    (record,) = [r for r in caplog.records if r.name.startswith("payments_service")]
    facts: dict[str, Any] = record.__dict__["data"]
    assert 0 <= facts.pop("milliseconds") < 5000
    if outcome != "ok":
        assert facts.pop("why")
        facts.pop("gatewayCode")
    expected = {
        "gateway": "testpay",
        "method": "POST",
        "path": "/v1/x",
        "status": status,
        "outcome": outcome,
        "try": 1,
        "urgency": "PAYER",
        "circuit": "closed",
    }
    assert expected.items() <= facts.items()
    where = {
        "verb",
        "arrived",
        "bytesIn",
        "bytesOut",
        "readsLeft",
        "retryAfterSeconds",
        "secondsLeft",
        "unit",
    }
    assert facts.keys() - expected.keys() - {"id", "pid", "host"} == where
    assert record.levelno == (logging.INFO if outcome == "ok" else logging.WARNING)
    assert "private" not in f"{record.getMessage()} {vars(record)}"


def why(caplog: pytest.LogCaptureFixture) -> str:
    [record] = [record for record in caplog.records if record.message == "Gateway call"]
    return str(record.__dict__["data"]["why"])


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Trouble.HANG, "timeout"),
        (Trouble.SLOW_BODY, "timeout"),
        (Trouble.RESET, "reset"),
        (Trouble.RESET_UNREAD, "reset"),
        (Trouble.HALF, "reset"),
        (b"", "reset"),
        (b"nonsense\r\n", "broken"),
    ],
)
def test_the_log_says_why_no_whole_answer_came(
    session: GatewaySession, caplog: pytest.LogCaptureFixture, trouble: Answer, reason: str
) -> None:
    with wire(trouble) as line, pytest.raises(OutcomeUnknown):
        session.post(f"{line.url}/x?token=private", timeout=Deadline(0.5))
    assert why(caplog) == f"The gateway did not give a whole answer (reason: {reason})"
    assert "private" not in caplog.text


@pytest.mark.parametrize(("port", "reason"), [(closed_port, "refused"), (full_port, "timeout")])
def test_the_log_says_why_a_gateway_could_not_be_reached(
    session: GatewaySession, caplog: pytest.LogCaptureFixture, port: Any, reason: str
) -> None:
    with port() as url, pytest.raises(Unavailable):
        session.post(url, timeout=Deadline(0.3))
    assert why(caplog) == f"The gateway could not be reached (reason: {reason})"


def test_the_log_tells_a_name_from_a_certificate_that_is_not_known(
    session: GatewaySession,
    caplog: pytest.LogCaptureFixture,
    self_signed: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with wire(OK, tls=self_signed) as line, pytest.raises(Unavailable):
        session.post(line.url, timeout=Deadline(5))
    assert why(caplog) == "The gateway could not be reached (reason: tls)"
    caplog.clear()

    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unavailable):
        session.post("https://api.testpay.invalid", timeout=Deadline(1))
    assert why(caplog) == "The gateway could not be reached (reason: dns)"


def test_the_log_has_the_gateways_own_words_without_personal_data(
    session: GatewaySession, caplog: pytest.LogCaptureFixture
) -> None:
    words = "Order amount less than minimum for order_9876543210 of asha@example.com, 9876543210"
    with wire(Reply.of({"code": "BAD", "words": words}, 400)) as line, pytest.raises(Rejected):
        session.post(line.url, timeout=Deadline(5))
    expected = "Order amount less than minimum for order_9876543210 of a***@example.com, ***3210"
    assert why(caplog) == f"testpay answered 400: {expected}"


@pytest.mark.usefixtures("no_pauses")
def test_the_session_learns_from_every_call(session: GatewaySession) -> None:
    with wire(Reply.of({"code": "NO", "words": ""}, 401)) as line:
        for answer in (Reply.of({"code": "NO", "words": ""}, 401), OK):
            line.answer = answer
            with suppress(Rejected):
                session.post(line.url, timeout=Deadline(5))
            assert session.health.credentials_refused(0) is (answer is not OK)
        line.answer = Reply(HTML, 502)
        for _ in range(2):
            with pytest.raises(Unavailable):
                session.get(line.url, timeout=Deadline(5))
    assert session.health.failing(0) == ["reads"]


@pytest.mark.usefixtures("no_pauses")
def test_each_try_of_a_read_leaves_its_own_line(
    session: GatewaySession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "payments_service")
    with wire(Reply(HTML, 502)) as line, pytest.raises(Unavailable):
        session.get(line.url, timeout=Deadline(5))
    assert [r.__dict__["data"]["try"] for r in caplog.records if hasattr(r, "data")] == [1, 2, 3]


def test_numbers_with_a_point_are_read_exactly(session: GatewaySession) -> None:
    with wire(Reply(b'{"amount": 170.10, "count": 2}')) as line:
        read = decimal_json(session.get(line.url, timeout=Deadline(5)))
    assert read == {"amount": Decimal("170.10"), "count": 2}
    assert str(read["amount"]) == "170.10"


@pytest.mark.parametrize(
    "error", [KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError]
)
def test_an_answer_without_its_members_is_as_good_as_none(error: type[Exception]) -> None:
    for of_write, meaning in ((True, OutcomeUnknown), (False, Unavailable)):
        with pytest.raises(meaning), reading_answer("testpay", of_write=of_write):
            raise error("customer@example.com")
    with pytest.raises(Rejected), reading_answer("testpay", of_write=True):
        raise Rejected("no")
