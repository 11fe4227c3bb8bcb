"""One shape for every error: `error` for people, `code` for programs, `details` by field.

A caller that asks for `application/problem+json` gets the members of RFC 9457 beside them.
"""

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from payments_service import logs
from payments_service.api import services
from payments_service.api.codes import CODES
from payments_service.domain.errors import PaymentsError, Unauthorized

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
RETRY_SECONDS = 5
"""When what is away is worth another try, unless the error itself knows better."""
RETRIED = frozenset(name for name, code in CODES.items() if code.retry_after)


def register(app: Flask) -> None:
    app.register_error_handler(PaymentsError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unforeseen)


def _ours(error: Exception) -> Response:
    assert isinstance(error, PaymentsError)  # noqa: S101 (registered for this class)
    extra = dict(error.extra)
    explanation = getattr(error, "explanation", None)
    if explanation and services().settings.is_development:
        extra["details"] = explanation
    log.info("Refused", extra={"data": {"status": error.http_status, "code": error.code}})
    response = _body(error.http_status, error.message, error.code, extra)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    if extra.get("retryable", error.code in RETRIED):
        seconds = getattr(error, "retry_after_seconds", None) or RETRY_SECONDS
        response.headers["Retry-After"] = str(seconds)
    return response


def _http(error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for this class)
    status = error.code or 500
    extra: dict[str, Any] = {}
    title = HTTP_STATUS_CODES[status]
    if status == 404:
        extra["message"] = f"Endpoint {request.method} {request.path} does not exist"
    elif status == 400:
        title = error.description or title
    elif status == 413:
        title = f"The body is larger than {(request.max_content_length or 0) // 1024} KiB"
    logs.note(code=title_code(status))
    response = _body(status, title, title_code(status), extra)
    for name, value in error.get_headers():  # Allow, Retry-After
        if name.lower() != "content-type":
            response.headers.setdefault(name, value)
    return response


def _unforeseen(error: Exception) -> Response:
    log.error("Unforeseen error", exc_info=error)
    logs.note(outcome="crashed", code="internal_error", error=type(error).__name__)
    return _body(500, "Internal server error", "internal_error", {})


def title_code(status: int) -> str:
    """405 → method_not_allowed, by the names of the HTTP standard."""
    known = {400: "bad_request", 413: "body_too_large"}
    return known.get(status) or HTTP_STATUS_CODES[status].lower().replace(" ", "_").replace("-", "_")


def _body(status: int, sentence: str, code: str, extra: Mapping[str, Any]) -> Response:
    told = {"success": False, "error": sentence, "code": code, **extra}
    if _wants_problem():
        response = jsonify(_problem(told) | {"status": status})
        response.mimetype = PROBLEM
    else:
        response = jsonify(told)
    response.status_code = status
    response.vary.add("Accept")
    return response


def _wants_problem() -> bool:
    """Only where it is named: a wildcard is no wish for it."""
    return any(kind.lower() == PROBLEM and quality > 0 for kind, quality in request.accept_mimetypes)


def _problem(told: Mapping[str, Any]) -> dict[str, Any]:
    """With the members of RFC 9457, whose `status` is a number; `instance` has this request's id."""
    members = {"gatewayStatus" if name == "status" else name: value for name, value in told.items()}
    return members | {
        "type": f"{services().settings.backend_url}/docs/errors#{told['code']}",
        "title": str(told["code"]).replace("_", " ").capitalize(),
        "detail": told["error"],
        "instance": f"{quote(request.path)}#{g.get('request_id', '')}",
    }
