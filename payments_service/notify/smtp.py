"""One conversation with a mail server, by SMTP."""

import io
import smtplib
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from payments_service import net
from payments_service.net import CONNECT_SECONDS, Until, left
from payments_service.notify.answer import Answer, Verdict, printable, why
from payments_service.notify.letter import Letter


def send(url: str, letter: Letter, timeout: timedelta) -> Answer:
    """What `notify.mail` promises."""
    try:
        message, recipient = _message(letter)
    except (ValueError, IndexError, MessageError) as error:
        return Answer(Verdict.NEVER, type(error).__name__)
    began = time.monotonic()
    ends = began + timeout.total_seconds()
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
        return Answer(Verdict.NOT_NOW, why(error, time.monotonic() - began))


def _message(letter: Letter) -> tuple[EmailMessage, str]:
    """The e-mail, and its recipient on the wire. Raises what `Address` raises for what is not one address."""
    name, _, domain = letter.recipient.rpartition("@")
    recipient = Address(addr_spec=f"{name}@{domain.encode('idna').decode()}")
    message = EmailMessage()
    message["From"] = letter.sender
    message["To"] = recipient
    message["Subject"] = printable(letter.subject)
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
    timeout = min(CONNECT_SECONDS, left(ends))
    if is_tls:
        return _TlsSmtp(host, port, local_name, ends=ends, timeout=timeout, context=net.tls_context())
    return _Smtp(host, port, local_name, ends=ends, timeout=timeout)


def _introduce_ourselves(server: smtplib.SMTP, url: str) -> None:
    address = urlsplit(url)
    server.ehlo_or_helo_if_needed()
    # A server that offers no TLS may still have letters, as all mail servers do, but never a password.
    wants_tls = server.has_extn("starttls") or address.username
    if address.scheme == "smtp" and wants_tls and not _is_this_machine(address.hostname):
        server.starttls(context=net.tls_context())
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
            self.file = io.BufferedReader(Until(raw, self.sock, self._ends))
        return super().getreply()  # type: ignore[misc,no-any-return]


class _Smtp(_Patient, smtplib.SMTP):  # type: ignore[misc]
    pass


class _TlsSmtp(_Patient, smtplib.SMTP_SSL):  # type: ignore[misc]
    pass
