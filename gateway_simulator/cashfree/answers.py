"""What every call has in common: keys, the version, idempotency before it; errors and headers after it.

Sources: OpenAPI 2025-01-01; docs api-reference/payments/errors, idempotency, rate-limits.
"""

import hmac
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from flask import Response, request

from gateway_simulator.base import Json, WireError
from gateway_simulator.cashfree.books import Answer, Books
from gateway_simulator.cashfree.refusals import TROUBLE, key_reused, refusal, wrong_keys
from gateway_simulator.cashfree.telling import APP_ID, APP_SECRET
from gateway_simulator.cashfree.wire import VERSIONS, answer_text

View = Callable[..., Any]
ECHOED = ("x-request-id", "x-idempotency-key")
LIMITS = {
    "x-ratelimit-limit": "200",
    "x-ratelimit-remaining": "199",
    "x-ratelimit-retry": "0",
    "x-ratelimit-type": "app_id",
}
KEPT_SECONDS = 24 * 3600
TOO_MANY = {"x-ratelimit-remaining": "0", "x-ratelimit-retry": "2", "x-ratelimit-type": "ip"}


class Answers:
    def __init__(self, books: Books) -> None:
        self._books = books

    def answering(self, view: View, *, with_keys: bool = True) -> View:
        @wraps(view)
        def answer(**ids: str) -> Response:
            try:
                _check_headers(with_keys=with_keys)
                return (
                    self._once(view, ids)
                    if with_keys
                    else _response(200, answer_text(view(**ids), version()))
                )
            except WireError as error:
                return plain_response(error.status, error.body)

        return answer

    def trouble(self, status: int) -> Response:
        """A 429 counts as not asked; a 500 is kept under the key as any other answer is."""
        text = answer_text(TROUBLE[status], version())
        key = self._key()
        if status == 429:
            return _response(status, text, TOO_MANY)
        if key is None:
            return _response(status, text)
        try:
            return self._kept(key) or self._keep(key, status, text)
        except WireError as error:
            return plain_response(error.status, error.body)

    def _once(self, view: View, ids: Mapping[str, str]) -> Response:
        """The first answer under a key is kept, errors too, and given again to the same words."""
        key = self._key()
        if key is None:
            return _response(200, answer_text(view(**ids), version()))
        kept = self._kept(key)
        if kept:
            return kept
        try:
            status, text = 200, answer_text(view(**ids), version())
        except WireError as error:
            status, text = error.status, answer_text(error.body, version())
        return self._keep(key, status, text)

    def _keep(self, key: str, status: int, text: bytes) -> Response:
        self._books.answers[key] = Answer(_asked(), status, text, self._books.world.now())
        return _response(status, text)

    def _kept(self, key: str) -> Response | None:
        answer = self._books.answers.get(key)
        if answer is None or answer.at + KEPT_SECONDS < self._books.world.now():
            return None
        if answer.asked != _asked():
            raise key_reused()
        return _response(answer.status, answer.text, {"x-idempotency-replayed": "true"})

    def _key(self) -> str | None:
        """Only POSTs with the merchant's keys are remembered."""
        is_remembered = request.method == "POST" and "x-client-secret" in request.headers
        return request.headers.get("x-idempotency-key") if is_remembered else None


def plain_response(status: int, body: Json) -> Response:
    return _response(status, answer_text(body, version()))


def version() -> str:
    return request.headers.get("x-api-version", VERSIONS[-2])


def _asked() -> tuple[str, str, bytes]:
    return request.method, request.path, request.get_data()


def _check_headers(*, with_keys: bool) -> None:
    if with_keys:
        keys = (request.headers.get(name, "").encode() for name in ("x-client-id", "x-client-secret"))
        expected = (APP_ID.encode(), APP_SECRET.encode())
        if not all(map(hmac.compare_digest, keys, expected)):
            raise wrong_keys()
    if "x-api-version" not in request.headers:
        raise refusal("version is missing in header")
    if version() not in VERSIONS:
        raise refusal("version is invalid", "version_invalid")


def _response(status: int, text: bytes, headers: Mapping[str, str] | None = None) -> Response:
    response = Response(text, status, content_type="application/json")
    response.headers["x-api-version"] = version()
    response.headers["x-idempotency-replayed"] = "false"
    response.headers.update({**LIMITS, **(headers or {})})
    for name in ECHOED:
        if name in request.headers:
            response.headers[name] = request.headers[name]
    return response
