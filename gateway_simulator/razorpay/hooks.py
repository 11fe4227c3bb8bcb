"""Webhook addresses that a merchant registers through the API, beside the one the simulator is started with.

Sources: the requests of Razorpay's own plugins to /v1/webhooks, razorpay-python/documents/webhook.
"""

from dataclasses import dataclass

from gateway_simulator.base import Json
from gateway_simulator.razorpay.books import Books


@dataclass
class Hook:
    id: str
    url: str
    secret: str | None
    alert_email: str | None
    events: tuple[str, ...]
    active: bool
    created_at: int
    updated_at: int

    def entity(self) -> Json:
        """`events` is a map here; only the partners' /v2 has a list."""
        return {
            "id": self.id,
            "entity": "webhook",
            "url": self.url,
            "alert_email": self.alert_email,
            "secret_exists": self.secret is not None,
            "active": self.active,
            "events": dict.fromkeys(self.events, True),
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


class Hooks:
    def __init__(self, books: Books) -> None:
        self._books = books
        self.all: dict[str, Hook] = {}

    def wanting(self, event: str) -> list[Hook]:
        return [hook for hook in self.all.values() if hook.active and event in hook.events]

    def add(self, url: str, secret: str | None, alert_email: str | None, events: tuple[str, ...]) -> Hook:
        now = self._books.now()
        hook = Hook(self._books.world.random_text(14), url, secret, alert_email, events, True, now, now)
        self.all[hook.id] = hook
        return hook
