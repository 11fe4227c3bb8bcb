"""What the OpenAPI document says of a route, declared beside the route.

    @blueprint.post("/quote")
    @guards.key_with("write")
    @described("Make a quote", takes=QuoteSchema, gives={200: QuoteMade}, refuses={400: (…,)})

Who may call, bodies that are too long or no JSON, an internal error and a database that is away need not be
said: document.py adds them, by the route's guard and method. Every code must stand in codes.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from marshmallow import Schema

Declared = type[Schema] | Schema
View = TypeVar("View", bound=Callable[..., Any])

DESCRIBED = "payments_described"
HTML = "text/html"


@dataclass(frozen=True)
class Described:
    summary: str
    about: str = ""
    tag: str = "Merchant"
    takes: Declared | None = None
    """The body, JSON."""
    query: Declared | None = None
    headers: Sequence[str] = ()
    """Request headers, explained in document.HEADERS."""
    gives: Mapping[int, Declared | Sequence[Declared] | str | None] = field(default_factory=dict)
    """By status: a schema, several of which one fits, another media type (HTML), or nothing (a redirect)."""
    refuses: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """By status: the codes of this route."""
    example: Mapping[str, Any] | None = None
    """A body that it takes."""
    needs: Sequence[str] = ()
    """Of `headers`, those that must be sent."""
    also: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """By status: other media types that `Accept` can choose."""
    replays: bool = True
    """The first answer under an Idempotency-Key is given again, unchanged."""
    may_be_empty: bool = False
    """The body may be left out."""
    uses_database: bool = True


def described(summary: str, **more: Any) -> Callable[[View], View]:
    """The route is in the document; the rest as in `Described`."""
    entry = Described(summary, **more)

    def decorate(view: View) -> View:
        setattr(view, DESCRIBED, entry)
        return view

    return decorate


def undescribed(why: str) -> Callable[[View], View]:
    """The route is no part of the API: `why` says so."""

    def decorate(view: View) -> View:
        setattr(view, DESCRIBED, why)
        return view

    return decorate
