"""A real mail server for tests; it accepts every letter, or refuses as told."""

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Event
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.ports import free_port

USER, PASSWORD = "shop@example.com", "p@ss:w/rd"  # what must be percent-encoded in a URL
ENCODED = "shop%40example.com:p%40ss%3Aw%2Frd"


@dataclass
class Mailbox:
    """What came, and what is answered to MAIL, RCPT and DATA instead of yes. With QUIT it hangs up on it."""

    answers: dict[str, str] = field(default_factory=dict)
    envelopes: list[Envelope] = field(default_factory=list)
    arrived: Event = field(default_factory=Event)
    logins: list[tuple[bytes, bytes, bool]] = field(default_factory=list)
    """User, password, and whether the line was encrypted."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"smtp://localhost:{self.port}"

    @property
    def url_with_password(self) -> str:
        return f"smtp://{ENCODED}@localhost:{self.port}"

    @property
    def letters(self) -> list[EmailMessage]:
        return [message_from_bytes(e.original_content or b"", policy=policy.default) for e in self.envelopes]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "DATA" not in self.answers:
            self.envelopes.append(envelope)
            self.arrived.set()
        return self.answers.get("DATA", "250 OK")

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "QUIT" in self.answers:
            server.transport.abort()  # whatever was to be said, nobody hears it
        return "221 Bye"

    def log_in(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, proof: Any
    ) -> AuthResult:
        assert isinstance(proof, LoginPassword)
        self.logins.append((proof.login, proof.password, session.ssl is not None))
        is_right = (proof.login, proof.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=is_right)  # else the server says 535


@contextlib.contextmanager
def mailbox(*, tls: ssl.SSLContext | None = None, at_once: bool = False, **answers: str) -> Iterator[Mailbox]:
    """`tls` is offered by STARTTLS, or spoken `at_once`; without it passwords are taken in the open."""
    box = Mailbox(answers, port=free_port())
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=box.port,
        ssl_context=tls if at_once else None,
        tls_context=None if at_once else tls,
        authenticator=box.log_in,
        auth_require_tls=False,
        ready_timeout=20,
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
