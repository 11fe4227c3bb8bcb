"""The address that a request is for, as it is written by people in dashboards and in pages."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SLASHES = re.compile("/{2,}")


class OneAddress:
    """WSGI middleware: a slash too many, doubled or at the end, is the same address.

    Gateways follow no redirect, nor does a browser's preflight: with one, no webhook would arrive whose
    address has such a slash in a dashboard, and no page could pay whose API address ends in one.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if "//" in path or path.endswith("/"):
            environ["PATH_INFO"] = SLASHES.sub("/", path).rstrip("/") or "/"
        return self._app(environ, start_response)
