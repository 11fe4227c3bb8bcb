"""Variables that look like settings of this service and are none: it would go without them in silence."""

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from itertools import zip_longest

from payments_service.gateways import GATEWAYS

OUR_PREFIXES = ("MERCHANT_", *sorted({f"{gateway.name.upper()}_" for gateway in GATEWAYS}))
LONG_ENOUGH = 8
"""Shorter names of ours are one edit away from variables of other programs (PORT and SORT)."""


def misspelt(given: Iterable[str], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each variable that is meant for this service and unknown to it, with the nearest known name."""
    long_names = [name for name in known if len(name) >= LONG_ENOUGH]
    for name in sorted(set(given) - set(known)):
        near = [known_name for known_name in long_names if is_one_edit_away(name, known_name)]
        if not near and name.startswith(OUR_PREFIXES):
            near = get_close_matches(name, known, n=1, cutoff=0.0)
        if near:
            yield name, near[0]


def is_one_edit_away(given: str, name: str) -> bool:
    """Whether one letter too many, missing or wrong, or two that changed places, is the difference."""
    if given == name:
        return False
    same = next(place for place, (a, b) in enumerate(zip_longest(given, name)) if a != b)
    a, b = given[same:], name[same:]
    swapped = a[:2] == b[:2][::-1] and a[2:] == b[2:]
    return swapped or a[1:] == b or a == b[1:] or a[1:] == b[1:]
