"""The app factory: the wired service behind its doors, with their manners."""

import logging
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import click
from flask import Flask, Request, Response, g, request
from flask.sessions import SessionInterface
from flask_compress import Compress
from werkzeug.middleware.proxy_fix import ProxyFix

from payments_service import commands, cors, https, logs, pages
from payments_service.api import (
    WebServices,
    errors,
    merchant,
    merchant_events,
    payments,
    quotes,
    services,
    watching,
    webhooks,
)
from payments_service.api.addresses import OneAddress
from payments_service.api.bodies import CHECKOUT_BYTES, ReadAway
from payments_service.api.json import DecimalJSONProvider
from payments_service.api.limits import Budgets
from payments_service.domain.errors import StoreUnavailable, WrongEncoding
from payments_service.services import wire
from payments_service.settings import Settings, SettingsError
from payments_service.settings.told import tell
from payments_service.store.db import Database

log = logging.getLogger(__name__)


class NoSessions(SessionInterface):
    """This service knows no sessions, so no request pays for one."""

    def open_session(self, app: Flask, request: Request) -> None:
        return None


class App(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view or hook is a coroutine, so no request asks each of them whether it is one."""
        return func


REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
LISTS = ("HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT_LANGUAGE", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
LIST_CHARACTERS = 1000
"""Such headers are taken apart letter by letter: of one as long as a server lets through no other request had
an answer for half a second."""


def create_app(settings: Settings | None = None) -> Flask:
    """The service as a Flask application. Raises SettingsError on a wrong environment."""
    settings = settings or Settings.from_environment()
    wired = wire(settings)
    app = App("payments_service", static_folder=None)
    app.json = DecimalJSONProvider(app)
    app.session_interface = NoSessions()
    app.config.update(MAX_CONTENT_LENGTH=CHECKOUT_BYTES, SECRET_KEY=settings.secret_key)
    app.extensions["payments_service"] = WebServices(**vars(wired), budgets=Budgets(app, settings))
    _surround(app, settings.trusted_proxy_hops)
    _doubt(wired.db)
    _add_manners(app, settings)
    errors.register(app)
    app.register_blueprint(payments.blueprint)
    app.register_blueprint(merchant.blueprint)
    app.register_blueprint(merchant_events.blueprint)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(quotes.blueprint)
    watching.register(app)
    pages.register(app)
    commands.register(app)
    if click.get_current_context(silent=True) is None:  # a command's own lines are its answer
        tell(settings, wired.gateways)
    return app


def _surround(app: Flask, hops: int) -> None:
    """What happens before Flask looks at a request and after it made its answer, the outermost last."""
    app.wsgi_app = OneAddress(app.wsgi_app)  # type: ignore[method-assign]
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.wsgi_app = ReadAway(app.wsgi_app)  # type: ignore[method-assign]


def _doubt(db: Database) -> None:
    """Look at the database once, so the log says what is wrong; raises SettingsError if it will never do.

    One that is away or not migrated may come, and requests ask again. Commands look when they need it.
    """
    if click.get_current_context(silent=True):
        return
    try:
        with db.read():
            pass
    except WrongEncoding as error:
        raise SettingsError({"DATABASE_URL": [error.message]}) from error
    except StoreUnavailable:
        pass
    finally:
        db.engine.dispose()  # a connection is nothing to share with a process that is forked from this one


def _add_manners(app: Flask, settings: Settings) -> None:
    """Request ids, CORS, compression, log lines: what every answer has in common."""
    Compress(app)
    cors.register(app, settings)

    @app.before_request
    def arrive() -> None:
        for name in LISTS:
            if len(text := request.environ.get(name, "")) > LIST_CHARACTERS:
                request.environ[name] = text[:LIST_CHARACTERS]
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        logs.request_id.set(g.request_id)
        watching.begin()

    https.register(app, settings)

    @app.teardown_request
    def forget(_error: BaseException | None) -> None:
        services().watch.glance()
        logs.request_id.set(None)

    @app.after_request
    def leave(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        if response.status_code == 503:
            response.headers.setdefault("Retry-After", str(errors.RETRY_SECONDS))
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response
