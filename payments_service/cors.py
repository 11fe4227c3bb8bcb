"""Which pages may call the checkout API: those on the merchant's own origins, and why another one may not."""

import logging
import re
from threading import Lock

from cachetools import TTLCache
from flask import Flask, Response, request
from flask_cors import CORS

from payments_service.api.callers import is_ours
from payments_service.settings import Settings

log = logging.getLogger(__name__)

PATHS, HEALTH = "/api/payment/", "/health"
"""A page may ask whether the service is awake before it shows its button."""
WARN_EVERY_SECONDS = 600
"""An origin that is not allowed is one log line in so long."""
MAX_WARNINGS = 100
"""Origins that are warned of in that time; a caller who makes more of them up fills no log."""
MAX_ORIGIN = 200


def register(app: Flask, settings: Settings) -> None:
    """Answers are looked at when the headers are on them: what runs after a request runs in reverse."""
    warned: TTLCache[str, None] = TTLCache(maxsize=MAX_WARNINGS, ttl=WARN_EVERY_SECONDS)
    lock = Lock()

    @app.after_request
    def look_at(response: Response) -> Response:
        if not request.path.startswith((PATHS, HEALTH)):
            return response
        response.vary.add("Origin")  # also where no origin was named: a cache must not mix these answers
        origin = request.headers.get("Origin", "")[:MAX_ORIGIN]
        if not origin or "Access-Control-Allow-Origin" in response.headers or is_ours(origin, settings):
            return response
        with lock:
            is_new = origin not in warned and warned.currsize < MAX_WARNINGS
            if is_new:
                warned[origin] = None
        if is_new:
            about = {"origin": origin, "FRONTEND_URL": settings.frontend_urls}
            log.warning(
                "The browser refuses a page: its origin is not in FRONTEND_URL", extra={"data": about}
            )
        return response

    origins = {"origins": [re.escape(url) + r"\Z" for url in settings.frontend_urls]}
    CORS(
        app,
        resources={PATHS + ".*": origins, HEALTH: origins},
        supports_credentials=True,
        methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"],
        allow_headers=["Content-Type", "Authorization", "Idempotency-Key"],
        expose_headers=["X-Request-Id", "Retry-After", "Idempotency-Replayed"],
        max_age=600,
        always_send=False,
        vary_header=False,
    )
