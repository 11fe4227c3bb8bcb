"""Who we tell: one signed POST or one e-mail, and what came back.

Nothing is tried again here, and nothing is written down: flows/deliver.py does both. A POST is signed by
the Standard Webhooks specification 1.0 (standardwebhooks.com), follows no redirect and knows no proxy.
"""

import http.client
import io
import smtplib
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parsedate_to_datetime
from enum import StrEnum
from functools import cache, partial
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi
from standardwebhooks import Webhook

from payments_service.domain.clock import utc_now

CONNECT_SECONDS = 5.0
"""For each address that a name has; everything after it shares the caller's seconds."""
MAX_WORDS = 200
LONGEST_WAIT = timedelta(days=1)


class Verdict(StrEnum):
    DELIVERED = "delivered"
    NOT_NOW = "not_now"
    """It failed, or its outcome is unknown: to be sent again, under the same id."""
    NEVER = "never"
    """The same words would be refused again."""


@dataclass(frozen=True)
class Answer:
    verdict: Verdict
    reason: str
    """A status or the class of an error; may be logged."""
    words: str = field(default="", repr=False)
    """How the body of a bad answer began; kept beside the event, never logged."""
    status: int | None = None
    retry_after: timedelta | None = None
    """How long the other side asks to be left alone, a day at most."""


@dataclass(frozen=True)
class Letter:
    """An e-mail in plain text. `sender` is an address or `Name <address>`; `recipient` one address."""

    message_id: str
    sender: str
    recipient: str = field(repr=False)
    subject: str
    text: str = field(repr=False)


def post(
    url: str, secrets: Sequence[str], message_id: str, body: bytes, timeout: timedelta = timedelta(seconds=15)
) -> Answer:
    """POST a JSON body, signed with every secret (the newest first). `timeout` is for all of it."""
    now = utc_now()
    signatures = [Webhook(secret).sign(message_id, now, body.decode()) for secret in secrets]
    headers = {
        "content-type": "application/json",
        "user-agent": "payments-service",
        "connection": "close",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    address = urlsplit(url)
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    ends = time.monotonic() + timeout.total_seconds()
    line = _http_connection(address.scheme, address.hostname or "", address.port, ends)
    try:
        line.connect()
        line.sock.settimeout(_left(ends))
        line.request("POST", target, body, headers)
        with line.getresponse() as response:
            return _read(response)
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: no such host can be
        return Answer(Verdict.NOT_NOW, type(error).__name__)
    finally:
        line.close()


def ping(url: str, seconds: float) -> Answer:
    """GET an address that expects to be called; what it answers beyond its status is not read."""
    address = urlsplit(url)
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    ends = time.monotonic() + seconds
    line = _http_connection(address.scheme, address.hostname or "", address.port, ends)
    try:
        line.connect()
        line.sock.settimeout(_left(ends))
        line.request("GET", target, headers={"user-agent": "payments-service", "connection": "close"})
        with line.getresponse() as response:
            return _read(response)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(Verdict.NOT_NOW, type(error).__name__)
    finally:
        line.close()


def mail(url: str, letter: Letter, timeout: timedelta = timedelta(seconds=30)) -> Answer:
    """Hand a letter to the mail server at `url` (smtp:// or smtps://, user and password percent-encoded).

    Encrypted where the server offers it; the password leaves this machine in no other way.
    """
    try:
        message, recipient = _message(letter)
    except (ValueError, IndexError, MessageError) as error:
        return Answer(Verdict.NEVER, type(error).__name__)
    ends = time.monotonic() + timeout.total_seconds()
    try:
        with _closing(_smtp_connection(url, message["From"].addresses[0].domain, ends)) as server:
            _introduce_ourselves(server, url)
            server.send_message(message, to_addrs=[recipient])
            return Answer(Verdict.DELIVERED, "SMTP 250", status=250)
    except smtplib.SMTPRecipientsRefused as error:
        [(code, _)] = error.recipients.values()
        return _refused(code)
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        return _refused(error.smtp_code)
    except smtplib.SMTPResponseException as error:  # greeting, log-in: the letter itself was not judged
        return Answer(Verdict.NOT_NOW, f"SMTP {error.smtp_code}", status=error.smtp_code)
    except (OSError, ValueError) as error:
        return Answer(Verdict.NOT_NOW, type(error).__name__)


# ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────


def _http_connection(scheme: str, host: str, port: int | None, ends: float) -> http.client.HTTPConnection:
    connect_seconds = min(CONNECT_SECONDS, _left(ends))
    line: http.client.HTTPConnection
    if scheme == "https":
        line = http.client.HTTPSConnection(host, port, timeout=connect_seconds, context=_tls_context())
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
        words=_printable(words.decode(errors="replace"))[:MAX_WORDS],
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


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# ── SMTP ────────────────────────────────────────────────────────────────────────────────────────────


def _message(letter: Letter) -> tuple[EmailMessage, str]:
    """The e-mail, and its recipient on the wire. Raises what `Address` raises for what is not one address."""
    name, _, domain = letter.recipient.rpartition("@")
    recipient = Address(addr_spec=f"{name}@{domain.encode('idna').decode()}")
    message = EmailMessage()
    message["From"] = letter.sender
    message["To"] = recipient
    message["Subject"] = _printable(letter.subject)
    message["Date"] = format_datetime(datetime.now(UTC))
    # The same on every try, so that a mail program shows a letter once that came twice.
    message["Message-ID"] = f"<{letter.message_id}@{message['From'].addresses[0].domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message, recipient.addr_spec


def _smtp_connection(url: str, local_name: str, ends: float) -> smtplib.SMTP:
    address = urlsplit(url)
    host, is_tls = address.hostname or "", address.scheme == "smtps"
    port = address.port or (465 if is_tls else 587)
    timeout = min(CONNECT_SECONDS, _left(ends))
    if is_tls:
        return _TlsSmtp(host, port, local_name, ends=ends, timeout=timeout, context=_tls_context())
    return _Smtp(host, port, local_name, ends=ends, timeout=timeout)


def _introduce_ourselves(server: smtplib.SMTP, url: str) -> None:
    address = urlsplit(url)
    server.ehlo_or_helo_if_needed()
    # A server that offers no TLS may still have letters, as all mail servers do, but never a password.
    wants_tls = server.has_extn("starttls") or address.username
    if address.scheme == "smtp" and wants_tls and not _is_this_machine(address.hostname):
        server.starttls(context=_tls_context())
        server.ehlo()
    if address.username:
        server.login(unquote(address.username), unquote(address.password or ""))


def _refused(code: int) -> Answer:
    verdict = Verdict.NEVER if 500 <= code < 600 else Verdict.NOT_NOW
    return Answer(verdict, f"SMTP {code}", status=code)


class _closing:
    """Ends the conversation politely if that is possible: what was accepted stays accepted."""

    def __init__(self, server: smtplib.SMTP) -> None:
        self.server = server

    def __enter__(self) -> smtplib.SMTP:
        return self.server

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.server.quit()
        self.server.close()


def _is_this_machine(host: str | None) -> bool:
    return host in ("127.0.0.1", "localhost", "::1")


# ── time and trust ──────────────────────────────────────────────────────────────────────────────────


class _Until(io.RawIOBase):
    """What a socket receives until one moment for all of it; left alone, each byte has its own timeout."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, ends: float) -> None:
        self._raw, self._sock, self._ends = raw, sock, ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        self._sock.settimeout(_left(self._ends))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, ends: float, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Until(self.fp.detach(), sock, ends))


class _Patient:
    """Reads every reply of a mail server until one moment for all of them."""

    file: io.BufferedReader | None
    sock: socket.socket

    def __init__(self, *args: Any, ends: float, **options: Any) -> None:
        self._ends = ends
        super().__init__(*args, **options)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:  # at first, and again once the line is encrypted
            raw = self.sock.makefile("rb", buffering=0)
            self.file = io.BufferedReader(_Until(raw, self.sock, self._ends))
        return super().getreply()  # type: ignore[misc,no-any-return]


class _Smtp(_Patient, smtplib.SMTP):  # type: ignore[misc]
    pass


class _TlsSmtp(_Patient, smtplib.SMTP_SSL):  # type: ignore[misc]
    pass


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time is left")
    return left


@cache
def _tls_context() -> ssl.SSLContext:
    """Trusts what this machine trusts (SSL_CERT_FILE can name more), and the common roots."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
