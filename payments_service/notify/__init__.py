"""Who we tell: one signed POST or one e-mail, and what came back.

Nothing is tried again here, and nothing is written down: flows/deliver.py does both. The libraries of a
sending load with the first one: web workers import this package and send nothing.
"""

from datetime import timedelta

from payments_service.notify.answer import MAX_WORDS, Answer, Verdict, why
from payments_service.notify.letter import MAIL_TIMEOUT, Letter
from payments_service.notify.webhook import ping, post

__all__ = ["MAX_WORDS", "Answer", "Letter", "Verdict", "mail", "ping", "post", "why"]


def mail(url: str, letter: Letter, timeout: timedelta = MAIL_TIMEOUT) -> Answer:
    """Hand a letter to the mail server at `url` (smtp:// or smtps://, user and password percent-encoded).

    Encrypted where the server offers it; the password leaves this machine in no other way.
    """
    from payments_service.notify import smtp

    return smtp.send(url, letter, timeout)
