"""Strange values for answers and events, and the promise that what is made of them can be kept."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import pytest
from hypothesis import strategies as st

WRONG = (None, [], {"x": 1}, "\0", "\ud800", -(2**62), 10**30, 1.5, True)

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


A_SEVENTH_OR_ALL = pytest.mark.parametrize(
    "step", [pytest.param(7, id="a seventh"), pytest.param(1, id="all", marks=pytest.mark.check)]
)
"""Of the strange values that a test goes through, ten for each member: each kind has its turn, and
`make check` takes them all."""


def with_one_strange_member(value: Any) -> Iterator[Any]:
    """The value again and again, each time with one member missing or wrong, at any depth."""
    for path in paths(value):
        yield replaced(value, path, None, missing=True)
        for wrong in WRONG:
            yield replaced(value, path, wrong)


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for key, member in members:
        yield (*above, key)
        yield from paths(member, (*above, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any, *, missing: bool = False) -> Any:
    changed = copy.deepcopy(value)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    if missing:
        del holder[path[-1]]
    else:
        holder[path[-1]] = new
    return changed


def assert_storable(value: Any) -> None:
    """Everything in a value that came from a gateway is of a kind that both databases take."""
    match value:
        case None | bool() | Enum() | datetime():
            pass
        case int():
            assert type(value) is int
        case str():
            assert "\0" not in value.encode().decode()
        case Mapping():
            for member in value.values():
                assert_storable(member)
        case tuple():
            for member in value:
                assert_storable(member)
        case _:
            assert dataclasses.is_dataclass(value), f"{value!r} must not leave a gateway"
            for field in dataclasses.fields(value):
                assert_storable(getattr(value, field.name))
