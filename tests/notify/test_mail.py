"""One e-mail: what it says, who may read the password, and what a refusal means."""

import logging
import smtplib
import socket
import ssl
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from payments_service import net
from payments_service.notify import Answer, Letter, Verdict, mail, smtp
from tests.support.mailbox import ENCODED, PASSWORD, USER, mailbox
from tests.support.trickle import trickle

LETTER = Letter(
    message_id="evt_1.customer",
    sender="Asha's Courses <pay@shop.example.com>",
    recipient="dilip@example.com",
    subject="Payment of ₹499 received",
    text="₹499 have arrived.\n.\nThank you\n",
)
SHORT = timedelta(seconds=0.5)
MARGIN_SECONDS = 1.5
DELIVERED = Answer(Verdict.DELIVERED, "SMTP 250", status=250)


@pytest.fixture
def over_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail server counts as one on another machine."""
    monkeypatch.setattr(smtp, "_is_this_machine", lambda _host: False)


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's certificate counts as a good one."""
    context = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(net, "tls_context", lambda: context)


# ── the letter ──────────────────────────────────────────────────────────────────────────────────────


def test_a_letter_arrives_as_it_was_written() -> None:
    with mailbox() as box:
        assert mail(box.url, LETTER) == DELIVERED
    [letter] = box.letters
    assert (letter["From"], letter["To"]) == (LETTER.sender, LETTER.recipient)
    assert letter["Subject"] == LETTER.subject
    assert letter["Message-ID"] == "<evt_1.customer@shop.example.com>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_content_type() == "text/plain"
    assert letter.get_content().replace("\r\n", "\n") == LETTER.text
    assert box.envelopes[0].mail_from == "pay@shop.example.com"
    assert box.envelopes[0].rcpt_tos == ["dilip@example.com"]


@pytest.mark.parametrize(
    "recipient",
    [
        "dilip@example.com, eve@example.com",
        "dilip@example.com\r\nBcc: eve@example.com",
        "dilip@example.com\nBcc: eve@example.com",
        "dilip@example.com> RCPT TO:<eve@example.com",
        "Dilip <dilip@example.com>",
        "दिलीप@example.com",
        "dilip",
        "@",
        "",
    ],
)
def test_what_is_not_one_address_gets_no_letter(recipient: str) -> None:
    with mailbox() as box:
        assert mail(box.url, replace(LETTER, recipient=recipient)).verdict is Verdict.NEVER
    assert box.envelopes == []


def test_a_subject_cannot_bring_headers_along() -> None:
    with mailbox() as box:
        subject = "Paid\r\nBcc: eve@example.com\r\n\r\nLook here"
        assert mail(box.url, replace(LETTER, subject=subject)) == DELIVERED
    [letter] = box.letters
    assert letter["Subject"] == "Paid Bcc: eve@example.com Look here"
    assert letter["Bcc"] is None
    assert box.envelopes[0].rcpt_tos == ["dilip@example.com"]


def test_an_address_with_a_domain_of_another_script_is_written_as_dns_has_it() -> None:
    with mailbox() as box:
        assert mail(box.url, replace(LETTER, recipient="dilip@bücher.example")) == DELIVERED
    assert box.envelopes[0].rcpt_tos == ["dilip@xn--bcher-kva.example"]


# ── what came back ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("word", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(("code", "verdict"), [(451, Verdict.NOT_NOW), (550, Verdict.NEVER)])
def test_a_refusal_is_final_when_the_server_says_so(word: str, code: int, verdict: Verdict) -> None:
    with mailbox(**{word: f"{code} dilip@example.com is nobody here"}) as box:
        assert mail(box.url, LETTER) == Answer(verdict, f"SMTP {code}", status=code)


def test_a_letter_that_was_accepted_stays_delivered_whatever_follows() -> None:
    with mailbox(QUIT="") as box:
        assert mail(box.url, LETTER) == DELIVERED


def test_a_server_that_is_not_there_or_does_not_let_us_in_is_tried_again(over_the_network: None) -> None:
    with mailbox() as box:
        pass
    assert mail(box.url, LETTER) == Answer(Verdict.NOT_NOW, "refuses to connect")
    with trickle(b"554 not you\r\n") as port:
        assert mail(f"smtp://localhost:{port}", LETTER) == Answer(Verdict.NOT_NOW, "SMTP 554", status=554)
    assert mail("smtp://nobody.invalid", LETTER).verdict is Verdict.NOT_NOW


@pytest.mark.parametrize("first", [b"", b"220 ", b"220 hello\r\n250-"])
def test_a_server_that_trickles_has_the_same_time_in_all(first: bytes) -> None:
    started = time.monotonic()
    with trickle(first) as port:
        answer = mail(f"smtp://127.0.0.1:{port}", LETTER, SHORT)
        seconds = time.monotonic() - started
    assert answer.verdict is Verdict.NOT_NOW
    assert seconds < SHORT.total_seconds() + MARGIN_SECONDS


# ── who may read it ─────────────────────────────────────────────────────────────────────────────────


def test_on_this_machine_the_password_needs_no_encryption() -> None:
    with mailbox() as box:
        assert mail(box.url_with_password, LETTER) == DELIVERED
    assert box.logins == [(USER.encode(), PASSWORD.encode(), False)]


def test_over_the_network_a_password_never_travels_in_the_open(over_the_network: None) -> None:
    with mailbox() as box:
        assert mail(box.url_with_password, LETTER) == Answer(Verdict.NOT_NOW, "SMTPNotSupportedError")
        assert (box.logins, box.envelopes) == ([], [])
        assert mail(box.url, LETTER) == DELIVERED


def test_starttls_is_used_where_it_is_offered(
    over_the_network: None, trusted: None, self_signed: ssl.SSLContext
) -> None:
    with mailbox(tls=self_signed) as box:
        assert mail(box.url_with_password, LETTER) == DELIVERED
        assert mail(box.url, LETTER) == DELIVERED
    assert box.logins == [(USER.encode(), PASSWORD.encode(), True)]


def test_smtps_is_encrypted_from_the_start(trusted: None, self_signed: ssl.SSLContext) -> None:
    with mailbox(tls=self_signed, at_once=True) as box:
        assert mail(f"smtps://{ENCODED}@localhost:{box.port}", LETTER) == DELIVERED
    assert len(box.envelopes) == len(box.logins) == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_a_server_that_cannot_prove_who_it_is_gets_neither_password_nor_letter(
    over_the_network: None, self_signed: ssl.SSLContext, at_once: bool
) -> None:
    with mailbox(tls=self_signed, at_once=at_once) as box:
        url = box.url_with_password.replace("smtp:", "smtps:" if at_once else "smtp:")
        assert mail(url, LETTER) == Answer(
            Verdict.NOT_NOW, "its certificate is refused: self-signed certificate"
        )
    assert (box.logins, box.envelopes) == ([], [])


def test_a_wrong_password_is_tried_again_and_shown_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "payments_service"), mailbox() as box:
        answer = mail(f"smtp://me:not-the-password@localhost:{box.port}", LETTER)
    assert answer == Answer(Verdict.NOT_NOW, "SMTP 535", status=535)
    assert "not-the-password" not in caplog.text + repr(answer)
    assert LETTER.recipient not in repr(LETTER)


def test_the_line_is_closed_after_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[socket.socket] = []
    original = smtplib.SMTP.connect

    def connect(self: smtplib.SMTP, *args: object, **options: object) -> tuple[int, bytes]:
        answer = original(self, *args, **options)  # type: ignore[arg-type]
        assert self.sock is not None
        lines.append(self.sock)
        return answer

    monkeypatch.setattr(smtplib.SMTP, "connect", connect)
    with mailbox(RCPT="550 no") as box:
        mail(box.url, LETTER)
    assert [line.fileno() for line in lines] == [-1]
