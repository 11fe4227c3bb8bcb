"""One POST, signed by the Standard Webhooks specification 1.0 (standardwebhooks.com), and one GET of an
address that expects calls. Neither follows a redirect, neither knows a proxy."""

import http.client
import io
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from payments_service import net
from payments_service.domain.clock import utc_now
from payments_service.net import CONNECT_SECONDS, Until, left
from payments_service.notify.answer import MAX_WORDS, Answer, Verdict, printable, why

POST_TIMEOUT = timedelta(seconds=15)
"""For one delivery, from the receiver's name to its answer."""
LONGEST_WAIT = timedelta(days=1)
"""What a receiver's Retry-After may ask for."""


def post(
    url: str, secrets: Sequence[str], message_id: str, body: bytes, timeout: timedelta = POST_TIMEOUT
) -> Answer:
    """POST a JSON body, signed with every secret (the newest first). `timeout` is for all of it."""
    from standardwebhooks import Webhook

    now = utc_now()
    signatures = [Webhook(secret).sign(message_id, now, body.decode()) for secret in secrets]
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return _exchange("POST", url, headers, body, timeout.total_seconds())


def ping(url: str, seconds: float) -> Answer:
    """GET an address that expects to be called; what it answers beyond its status decides nothing."""
    return _exchange("GET", url, {}, None, seconds)


def _exchange(method: str, url: str, headers: dict[str, str], body: bytes | None, seconds: float) -> Answer:
    address = urlsplit(url)
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    headers = {**headers, "user-agent": "payments-service", "connection": "close"}
    ends = time.monotonic() + seconds
    line = _http_connection(address.scheme, address.hostname or "", address.port, ends)
    try:
        line.connect()
        line.sock.settimeout(left(ends))
        line.request(method, target, body, headers)
        with line.getresponse() as response:
            return _read(response)
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: no such host can be
        return Answer(Verdict.NOT_NOW, why(error, seconds + time.monotonic() - ends))
    finally:
        line.close()


def _http_connection(scheme: str, host: str, port: int | None, ends: float) -> http.client.HTTPConnection:
    connect_seconds = min(CONNECT_SECONDS, left(ends))
    line: http.client.HTTPConnection
    if scheme == "https":
        line = http.client.HTTPSConnection(host, port, timeout=connect_seconds, context=net.tls_context())
    else:
        line = http.client.HTTPConnection(host, port, timeout=connect_seconds)
    line.response_class = partial(_Response, ends=ends)  # type: ignore[assignment]
    return line


def _read(response: http.client.HTTPResponse) -> Answer:
    reason = f"HTTP {response.status}"
    if 200 <= response.status < 300:
        return Answer(Verdict.DELIVERED, reason, status=response.status)
    words = b""
    with suppress(OSError, http.client.HTTPException):
        words = response.read(4 * MAX_WORDS)  # as many as that many characters may take
    return Answer(
        Verdict.NOT_NOW,
        reason,
        words=printable(words.decode(errors="replace"))[:MAX_WORDS],
        status=response.status,
        retry_after=_retry_after(response.getheader("retry-after", "")),
    )


def _retry_after(text: str) -> timedelta | None:
    """Seconds, or the date when they are over; None for anything else."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=int(text)) if len(text) < 9 else LONGEST_WAIT
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - utc_now()
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, ends: float, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(Until(self.fp.detach(), sock, ends))
