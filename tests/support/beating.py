"""What a house runs where a test asks for how long the loop of its process stood still at most.

A greenlet wants to go on each hundredth of a second. GET /stall says what it had to wait for beyond that; the
first such call begins. One process: WEB_CONCURRENCY=1.
"""

from collections.abc import Iterable
from time import monotonic
from typing import Any

from gevent import sleep, spawn

from tests.support.wsgi import app

BEAT_SECONDS = 0.01


class Heart:
    def __init__(self, served: Any) -> None:
        self.served, self.longest, self.is_beating = served, 0.0, False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/stall":
            return self.served(environ, start_response)
        if not self.is_beating:
            self.is_beating = True
            spawn(self.beat)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(self.longest).encode()]

    def beat(self) -> None:
        last = monotonic()
        while True:
            sleep(BEAT_SECONDS)
            now = monotonic()
            self.longest, last = max(self.longest, now - last - BEAT_SECONDS), now


app.wsgi_app = Heart(app.wsgi_app)  # type: ignore[method-assign]

__all__ = ["app"]
