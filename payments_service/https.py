"""In production a browser that came without encryption is sent on, and is told to come encrypted for a year.

Only where the scheme is known: an encrypted request may look plain behind a proxy that says nothing, and
would be sent round for ever. Gateways follow no redirect and balancers' probes are plain: let through.
"""

from flask import Flask, Response, redirect, request
from flask.typing import ResponseReturnValue

from payments_service.api.webhooks import PATHS as WEBHOOKS
from payments_service.settings import Settings

PLAIN_TOO = ("/health", "/ready", "/metrics", WEBHOOKS)
STRICT = "max-age=31536000"


def register(app: Flask, settings: Settings) -> None:
    if settings.is_development:
        return
    hops, home = settings.trusted_proxy_hops, settings.backend_url

    @app.before_request
    def come_encrypted() -> ResponseReturnValue | None:
        said = request.headers.get("X-Forwarded-Proto", "")
        is_known = 0 < hops <= len([one for one in said.split(",") if one.strip()])
        if is_known and request.scheme == "http" and home.startswith("https://") and _is_for_browsers():
            return redirect(home + request.full_path.removesuffix("?"), 308)
        return None

    @app.after_request
    def stay_encrypted(response: Response) -> Response:
        if request.scheme == "https" and _is_for_browsers():
            response.headers["Strict-Transport-Security"] = STRICT
        return response


def _is_for_browsers() -> bool:
    return not request.path.startswith(PLAIN_TOO)
