"""Who we tell: one signed POST or one e-mail, and what came back.

Nothing is tried again here, and nothing is written down: flows/deliver.py does both.
"""

from payments_service.notify.answer import MAX_WORDS, Answer, Verdict, why
from payments_service.notify.letter import Letter, mail
from payments_service.notify.webhook import ping, post

__all__ = ["MAX_WORDS", "Answer", "Letter", "Verdict", "mail", "ping", "post", "why"]
