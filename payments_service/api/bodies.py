"""How much a request may bring, and what becomes of the rest.

A body is refused by its length before anything of it is kept, and a view that does not want its body, because
the caller has no right to be there, never reads it. What is left over is then read away: a client that sends
all of its body before it looks for the answer would otherwise see a broken connection in its place.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from flask import current_app, request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

from payments_service.domain.errors import InvalidInput

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment

KIB = 1024
CHECKOUT_BYTES = 64 * KIB
"""The most that a route takes which does not say otherwise: every route that a browser calls."""
WEBHOOK_BYTES = 1024 * KIB
READ_AWAY_BYTES = 10 * 1024 * KIB
"""A longer body is not read to its end; its connection is closed by the server."""
PIECE_BYTES = 64 * KIB
CHUNKED_BYTES = 8 * KIB
"""Of a body in chunks so much is read at a time, with a pause after it: a chunk may be a single byte, and to
take a million of them apart without a pause would keep all other requests waiting."""
PAUSE_SECONDS = 0.001
"""Long enough for what waits on a socket, which a turn of no length at all lets wait."""
BROKEN = "The body breaks off, or breaks a rule of HTTP"


def json_body() -> object:
    """The body, read as JSON; InvalidInput for one that is none."""
    try:
        return current_app.json.loads(raw_body())
    except ValueError as error:
        raise InvalidInput("The body is not valid JSON", code="invalid_json") from error


def raw_body() -> bytes:
    """The body as it came; RequestEntityTooLarge when it is longer than this route takes.

    BadRequest for one that breaks off, or whose chunks are none: each server has exceptions of its own for
    that, and some have none for a body that is shorter than its Content-Length, whose order might be half of
    what was sent.
    """
    try:
        is_chunked = request.content_length is None and request.environ.get("wsgi.input_terminated")
        body = _of_chunks(request.environ["wsgi.input"]) if is_chunked else request.get_data()
    except HTTPException:
        raise
    except Exception as error:
        raise BadRequest(BROKEN) from error
    if len(body) < (request.content_length or 0):
        raise BadRequest(BROKEN)
    return body


def _of_chunks(stream: "InputStream") -> bytes:
    body, most = bytearray(), request.max_content_length or CHECKOUT_BYTES
    while len(body) <= most and (piece := stream.read(CHUNKED_BYTES)):
        body += piece
        time.sleep(PAUSE_SECONDS)
    if len(body) > most:
        raise RequestEntityTooLarge
    return bytes(body)


class ReadAway:
    """WSGI middleware: the answer starts when what no view has read was read and thrown away, in pieces."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        answer = self._app(environ, start_response)
        declared = _declared_bytes(environ)
        if environ.get("wsgi.input_terminated") and declared <= READ_AWAY_BYTES:
            _read_away(environ["wsgi.input"], is_chunked=not declared)
        return answer


def _declared_bytes(environ: "WSGIEnvironment") -> int:
    """By its Content-Length, which the server has checked; a chunked body declares nothing."""
    length = environ.get("CONTENT_LENGTH") or "0"
    return int(length) if length.isdecimal() else 0


def _read_away(body: "InputStream", *, is_chunked: bool) -> None:
    left = READ_AWAY_BYTES + 1  # the end of a chunked body is read as well
    # The client went away, or its chunks are none: the server closes the connection.
    with suppress(Exception):
        while left > 0 and (piece := body.read(CHUNKED_BYTES if is_chunked else PIECE_BYTES)):
            left -= len(piece)
            if is_chunked:
                time.sleep(PAUSE_SECONDS)
