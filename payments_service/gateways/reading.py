"""Reading what a gateway says: each item of a list on its own, so that an odd one hides nothing."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeVar

from cachetools import TTLCache

from payments_service.domain.errors import BudgetUsedUp, MoneyUnreadable, Unavailable
from payments_service.domain.news import LONGEST_ID
from payments_service.gateways.signatures import sha256_hex

log = logging.getLogger(__name__)

SAYS_NOTHING = ("", "null", "na", "n/a")
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What reading an answer or an event raises when a member is missing or is not what was promised."""


class Undecided(ValueError):
    """What cannot be read is what decides: money may have come."""


Read = TypeVar("Read")
_LOGGED: TTLCache[str, None] = TTLCache(maxsize=1000, ttl=24 * 3600)
"""Items that were told of: the same one comes with every poll."""


def each(
    provider: str,
    items: Iterable[Any],
    read: Callable[[Any], Read],
    *,
    decides: Callable[[Mapping[str, Any]], bool],
) -> Iterator[Read]:
    """Every item of a list that can be read; one that cannot is left out and logged once.

    Raises Undecided when the item `decides`: leaving it out would change what is believed.
    """
    for item in items:
        try:
            yield read(item)
        except UNREADABLE as error:
            if isinstance(item, Mapping) and decides(item):
                raise Undecided(f"an item that decides ({type(error).__name__})") from error
            digest = sha256_hex(repr(item).encode("utf-8", "surrogatepass"))
            if digest not in _LOGGED:
                _LOGGED[digest] = None
                about = {"gateway": provider, "error": type(error).__name__, "itemDigest": digest[:16]}
                log.warning("An item of the gateway's answer cannot be read", extra={"data": about})


@contextmanager
def deciding(says_money: bool) -> Iterator[None]:
    """Around what is read of an order that may say that it is paid.

    Undecided where its own members cannot be read then, and MoneyUnreadable where its payments cannot be
    asked for.
    """
    try:
        yield
    except Unavailable as error:
        if says_money and not isinstance(error, BudgetUsedUp):
            code, status = error.gateway_code, error.gateway_status
            raise MoneyUnreadable(error.message, gateway_code=code, gateway_status=status) from error
        raise
    except UNREADABLE as error:
        if says_money:
            raise Undecided(f"an order that is paid ({type(error).__name__})") from error
        raise


def whole(value: Any) -> int:
    """A whole number of minor units, also as text or 50000.0; an error of UNREADABLE for anything else."""
    if isinstance(value, Decimal | float) and value % 1 == 0 and -(2**53) < value < 2**53:
        value = int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if type(value) is not int:
        raise TypeError(f"not a whole number: {type(value).__name__}")
    if abs(value) >= 10**18:
        raise ValueError("a number too large for an amount")
    return value


def whole_or_none(value: Any) -> int | None:
    """A sum beside the facts: that it is missing or strange must not hide them."""
    try:
        return whole(value)
    except UNREADABLE:
        return None


def text(value: Any) -> str:
    """A word that decides; TypeError or ValueError for what is none."""
    if not isinstance(value, str):
        raise TypeError(f"not a text: {type(value).__name__}")
    if not value:
        raise ValueError("an empty text")
    return value


def event_id(header: str | None, raw_body: bytes) -> str:
    """What tells an event from others: the gateway's header, which nothing signs, else the body's digest."""
    return text_or_none(header) or sha256_hex(raw_body)


def text_or_none(value: Any) -> str | None:
    """A decorating text: a value that is no text, or says nothing, is as good as missing."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > LONGEST_ID or value.strip().lower() in SAYS_NOTHING:
        return None
    return value if "\0" not in value and value.isprintable() else None
