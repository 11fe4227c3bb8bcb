"""Who may call: every route declares its guard, and "anybody" is one that must be said aloud."""

from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from hmac import compare_digest
from typing import ParamSpec, TypeVar

from flask import abort, g, request

from payments_service.api import services
from payments_service.domain.errors import Forbidden, Unauthorized
from payments_service.flows import key_uses
from payments_service.settings import ApiKey

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
View = Callable[Parameters, Result]

PERSONAL = "personal"
GUARD = "payments_guard"
"""The attribute by which a view tells its guard; a house test asks every route for it."""


def anybody(view: View[Parameters, Result]) -> View[Parameters, Result]:
    """The browser may call it; what it says is never believed."""
    setattr(view, GUARD, "anybody")
    return view


def gateway_credentials(view: View[Parameters, Result]) -> View[Parameters, Result]:
    """The gateway's signature over the raw body decides; the flow checks it before anything else."""
    setattr(view, GUARD, "gateway_credentials")
    return view


def browser_or_key(view: View[Parameters, Result]) -> View[Parameters, Result]:
    """Anybody may call it, and is believed more with an API key that may write. A wrong key is refused."""

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        g.api_key = _presented_key("write") if "Authorization" in request.headers else None
        return view(*args, **kwargs)

    setattr(guarded, GUARD, "browser_or_key")
    return guarded


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
    _must_have(found[0], scope)
    key_uses.note(services().db, found[0].name, found[0].digest)
    return found[0]


def _must_have(key: ApiKey, scope: str) -> None:
    if scope not in key.scopes:
        raise Forbidden(f"This API key has not the scope {scope}", code="scope_missing")


def development_only(view: View[Parameters, Result]) -> View[Parameters, Result]:
    """Not there in production."""

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if not services().settings.is_development:
            abort(404)
        return view(*args, **kwargs)

    setattr(guarded, GUARD, "development_only")
    return guarded
