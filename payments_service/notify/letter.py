"""One e-mail as it is handed over."""

from dataclasses import dataclass, field
from datetime import timedelta

MAIL_TIMEOUT = timedelta(seconds=30)
"""For one letter: mail servers think longer than web servers, and nothing waits for it."""


@dataclass(frozen=True)
class Letter:
    """An e-mail in plain text. `sender` is an address or `Name <address>`; `recipient` one address."""

    message_id: str
    sender: str
    recipient: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
