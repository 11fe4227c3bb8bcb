"""Who may call: every route declares its guard, and "anybody" is one that must be said aloud."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import abort

from payments_service.api import services

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
View = Callable[Parameters, Result]

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


def development_only(view: View[Parameters, Result]) -> View[Parameters, Result]:
    """Not there in production."""

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if not services().settings.is_development:
            abort(404)
        return view(*args, **kwargs)

    setattr(guarded, GUARD, "development_only")
    return guarded
