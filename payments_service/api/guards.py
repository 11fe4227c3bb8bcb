"""Who may call: every route declares its guard, also one without a check (`open_to_all`)."""

from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from hmac import compare_digest
from typing import ParamSpec, TypeVar

from flask import abort, g, request

from payments_service import logs
from payments_service.api import services
from payments_service.api.callers import is_ours
from payments_service.domain.errors import Forbidden, Unauthorized
from payments_service.flows import key_uses
from payments_service.settings import KEY_PREFIX, ApiKey

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
View = Callable[Parameters, Result]

PERSONAL = "personal"
GUARD = "payments_guard"
"""The attribute by which a view tells its guard; a house test asks every route for it."""


def open_to_all(view: View[Parameters, Result]) -> View[Parameters, Result]:
    """The browser may call it; what it says is never believed."""
    setattr(view, GUARD, "open_to_all")
    return view


def gateway_credentials(view: View[Parameters, Result]) -> View[Parameters, Result]:
    """The gateway's signature over the raw body decides; the flow checks it before anything else."""
    setattr(view, GUARD, "gateway_credentials")
    return view


def browser_or_key(view: View[Parameters, Result]) -> View[Parameters, Result]:
    """Every caller may, and is believed more with an API key that may write. A wrong key is refused."""

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        g.api_key = _presented_key("write") if _brings_a_key() else None
        return view(*args, **kwargs)

    setattr(guarded, GUARD, "browser_or_key")
    return guarded


def _brings_a_key() -> bool:
    """Whether Authorization is meant for this service.

    One of the merchant's own pages may send what its site logs in by with every request. It cannot be a key:
    those stay on servers, whose requests name no origin.
    """
    given = request.headers.get("Authorization")
    settings, origin = services().settings, request.headers.get("Origin", "")
    is_from_a_page = origin in settings.frontend_urls or is_ours(origin, settings)
    return given is not None and (not is_from_a_page or KEY_PREFIX in given)


def key_with(scope: str) -> Callable[[View[Parameters, Result]], View[Parameters, Result]]:
    """The merchant's server alone, by an API key with this scope; without one nothing is looked at."""

    def guard(view: View[Parameters, Result]) -> View[Parameters, Result]:
        @wraps(view)
        def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            g.api_key = _presented_key(scope)
            return view(*args, **kwargs)

        setattr(guarded, GUARD, f"key_with {scope}")
        return guarded

    return guard


def may_see_people() -> bool:
    """Whether the key of this request may see names, e-mails and phones."""
    return PERSONAL in g.api_key.scopes


def must_see_people() -> None:
    """Raise Forbidden for a key that may not."""
    _must_have(g.api_key, PERSONAL)


def _presented_key(scope: str) -> ApiKey:
    """The key of the Authorization header, which has the scope.

    Raises Unauthorized, always in the same words, without a valid key, and Forbidden without the scope.
    """
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    digest = sha256(secret.strip().encode()).hexdigest()
    found = [key for key in services().settings.api_keys if compare_digest(key.digest, digest)]
    if scheme.lower() != "bearer" or not found:
        raise Unauthorized("A valid API key is required")
    logs.note(apiKey=found[0].name)
    _must_have(found[0], scope)
    key_uses.note(services().db, found[0].name, found[0].digest)
    return found[0]


def _must_have(key: ApiKey, scope: str) -> None:
    if scope not in key.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}", code="scope_missing")


def reader_of_metrics(view: View[Parameters, Result]) -> View[Parameters, Result]:
    """In production METRICS_TOKEN, or an API key that may read; what is measured tells of the business."""

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        settings = services().settings
        given = request.headers.get("Authorization", "")
        is_token = settings.metrics_token is not None and compare_digest(
            given.encode(), f"Bearer {settings.metrics_token}".encode()
        )
        if not (is_token or settings.is_development):
            if not given:
                raise Unauthorized("A valid API key is required")
            _presented_key("read")
        return view(*args, **kwargs)

    setattr(guarded, GUARD, "reader_of_metrics")
    return guarded


def development_only(view: View[Parameters, Result]) -> View[Parameters, Result]:
    """Not there in production."""

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if not services().settings.is_development:
            abort(404)
        return view(*args, **kwargs)

    setattr(guarded, GUARD, "development_only")
    return guarded
