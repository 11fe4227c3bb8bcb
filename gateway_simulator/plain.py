"""Records and values as plain JSON and back, exactly: one object in two places is one object again.

The JSON is a list of rows, and the first row is the value itself. A row is a kind and its contents. In the
contents texts, numbers, true, false and null mean themselves, and [7] means what row 7 describes. A reader
makes nothing but the kinds below and the simulator's own dataclasses, and runs no constructor: a text cannot
name anything else.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, partial
from random import Random
from types import MethodType
from typing import Any
from uuid import UUID

Cell = Any
"""A text, a number, true, false, null, or [number of a row]."""
Row = list[Any]
OURS = "gateway_simulator."
THEMSELVES = frozenset((str, int, float, bool, type(None)))
FACTORIES: dict[str, Callable[[], Any]] = {kind.__name__: kind for kind in (list, dict, set, int)}


def rows_of(value: Any, parts: Mapping[str, Any]) -> list[Row]:
    """The rows of a container or record. `parts`: living objects, which are only named.

    Raises TypeError for a value of another kind.
    """
    return _Writer(parts).rows(value)


def value_of(rows: list[Row], parts: Mapping[str, Any]) -> Any:
    """The value again. Raises ValueError or another ordinary error when the rows are not what was written."""
    return _Reader(rows, parts).read()


def records() -> dict[str, type]:
    """Every dataclass and enum of the simulator, by the name that a row has for it."""
    modules = [module for name, module in sys.modules.copy().items() if name.startswith(OURS)]
    return {
        _name_of(kind): kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and _is_record(kind)
    }


def _is_record(kind: type) -> bool:
    return is_dataclass(kind) or issubclass(kind, Enum)


@cache
def _name_of(kind: type) -> str:
    """Has a dot, which the name of no other kind has."""
    return f"{kind.__module__.removeprefix(OURS)}.{kind.__qualname__}"


@cache
def _fields(kind: type) -> tuple["Field[Any]", ...]:
    return fields(kind)


@cache
def _names(kind: type) -> frozenset[str]:
    return frozenset(field.name for field in _fields(kind))


@cache
def _is_frozen(kind: type) -> bool:
    frozen: bool = kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return frozen


# ── to rows ─────────────────────────────────────────────────────────────────────────────────────────


class _Writer:
    def __init__(self, parts: Mapping[str, Any]) -> None:
        self._names = {id(part): name for name, part in parts.items()}
        self._numbers: dict[int, int] = {}
        # Keeps all things alive until the end, for an id may be given again once its thing is gone.
        self._things: list[Any] = []

    def rows(self, value: Any) -> list[Row]:
        self._cell(value)
        return [self._row(thing) for thing in self._things]  # a row may add things, whose rows then follow

    def _cell(self, value: Any) -> Cell:
        if type(value) in THEMSELVES:
            return value
        number = self._numbers.setdefault(id(value), len(self._things))
        if number == len(self._things):
            self._things.append(value)
        return [number]

    def _cells(self, values: Iterable[Any]) -> list[Cell]:
        return [value if type(value) in THEMSELVES else self._cell(value) for value in values]

    def _row(self, thing: Any) -> Row:
        kind = type(thing)
        if id(thing) in self._names:
            return ["part", self._names[id(thing)]]
        if kind in (list, tuple):
            return [kind.__name__, *self._cells(thing)]
        if kind in (set, frozenset):
            return [kind.__name__, *self._cells(sorted(thing, key=repr))]
        if kind is dict:
            return ["dict", *self._pairs(thing)]
        if kind.__module__.startswith(OURS):
            return self._record(kind, thing)
        return self._other(kind, thing)

    def _pairs(self, thing: dict[Any, Any]) -> list[Cell]:
        return self._cells(each for pair in thing.items() for each in pair)

    def _record(self, kind: type, thing: Any) -> Row:
        if isinstance(thing, Enum):
            return [_name_of(kind), thing.name]
        given = vars(thing)
        if not is_dataclass(kind) or given.keys() != _names(kind):
            raise TypeError(f"{_name_of(kind)} is not a record whose fields are all there is to it")
        return [_name_of(kind), dict(zip(given, self._cells(given.values()), strict=True))]

    def _other(self, kind: type, thing: Any) -> Row:
        if kind is bytes:
            return ["bytes", thing.decode("latin-1")]
        if kind is defaultdict:
            return ["defaultdict", _factory_name(thing), *self._pairs(thing)]
        if kind is range:
            return ["range", thing.start, thing.stop, thing.step]
        if kind is MethodType and not thing.__name__.startswith("_"):
            return ["method", self._cell(thing.__self__), thing.__name__]
        if kind is partial:
            return ["partial", *self._cells((thing.func, thing.args)), *self._pairs(thing.keywords)]
        if kind is Random:
            version, numbers, gauss = thing.getstate()
            return ["Random", version, list(numbers), gauss]
        if kind in (Decimal, UUID):
            return [kind.__name__, str(thing)]
        if kind in (datetime, date):
            return [kind.__name__, thing.isoformat()]
        if kind is timedelta:
            return ["timedelta", thing.days, thing.seconds, thing.microseconds]
        raise TypeError(f"a {kind.__module__}.{kind.__qualname__} cannot be written down")


def _factory_name(thing: "defaultdict[Any, Any]") -> str:
    return next(name for name, factory in FACTORIES.items() if factory is thing.default_factory)


# ── from rows ───────────────────────────────────────────────────────────────────────────────────────


class _Reader:
    """Makes what can change empty first and fills it later, since it may be found again inside itself."""

    def __init__(self, rows: list[Row], parts: Mapping[str, Any]) -> None:
        self._rows = rows
        self._parts = parts
        self._records = records()
        self._made: dict[int, Any] = {}

    def read(self) -> Any:
        for number, row in enumerate(self._rows):
            if (empty := self._empty(row)) is not None:
                self._made[number] = empty
        filled = list(self._made.items())
        # Records first: a dict or set may have to know what its keys are equal to.
        for number, thing in sorted(filled, key=lambda item: isinstance(item[1], dict | list | set)):
            self._fill(thing, self._rows[number])
        return self._value([0])

    def _empty(self, row: Row) -> Any:
        """None for what cannot be changed later, and is made at once with all that it holds."""
        kind = row[0]
        if kind in ("list", "dict", "set"):
            return FACTORIES[kind]()
        if kind == "defaultdict":
            return defaultdict(FACTORIES[row[1]])
        if kind == "Random":
            return Random()  # noqa: S311
        known = self._records.get(kind)
        return object.__new__(known) if known and is_dataclass(known) and not _is_frozen(known) else None

    def _fill(self, thing: Any, row: Row) -> None:
        kind, *contents = row
        if kind == "list":
            thing.extend(map(self._value, contents))
        elif kind == "set":
            thing.update(map(self._value, contents))
        elif kind in ("dict", "defaultdict"):
            thing.update(self._pairs(contents[kind == "defaultdict" :]))
        elif kind == "Random":
            version, numbers, gauss = contents
            thing.setstate((version, tuple(numbers), gauss))
        else:
            self._fill_record(thing, contents[0])

    def _pairs(self, contents: list[Cell]) -> Iterator[tuple[Any, Any]]:
        return zip(map(self._value, contents[::2]), map(self._value, contents[1::2]), strict=True)

    def _fill_record(self, thing: Any, given: dict[str, Cell]) -> None:
        """A field that came later than the file has its default; anything else must fit."""
        kind: type = type(thing)
        if unknown := given.keys() - _names(kind):
            raise ValueError(f"{_name_of(kind)} has no {min(unknown)}")
        for field in _fields(kind):
            value = self._value(given[field.name]) if field.name in given else _default(field)
            object.__setattr__(thing, field.name, value)

    def _value(self, cell: Cell) -> Any:
        if type(cell) in THEMSELVES:
            return cell
        [number] = cell
        if number not in self._made:
            self._made[number] = self._whole(self._rows[number])
        return self._made[number]

    def _whole(self, row: Row) -> Any:
        kind, *contents = row
        if kind in ("tuple", "frozenset"):
            return (tuple if kind == "tuple" else frozenset)(map(self._value, contents))
        if (known := self._records.get(kind)) is not None:
            return self._frozen(known, contents[0])
        if kind == "part":
            return self._parts[contents[0]]
        if kind == "method":
            return self._method(*contents)
        if kind == "partial":
            method, args = map(self._value, contents[:2])
            return partial(_method_checked(method), *args, **dict(self._pairs(contents[2:])))
        return _SIMPLE[kind](*contents)

    def _frozen(self, kind: type, given: Any) -> Any:
        if issubclass(kind, Enum):
            return kind[given]
        thing = object.__new__(kind)
        self._fill_record(thing, given)
        return thing

    def _method(self, owner: Cell, name: str) -> Any:
        """Only of a living part: what a record can do is not for a text to say."""
        part = self._value(owner)
        method = _method_checked(getattr(part, name))
        is_living = any(part is living for living in self._parts.values())
        if not is_living or name.startswith("_") or method.__self__ is not part:
            raise ValueError(f"{name} is not a method of a part")
        return method


_SIMPLE: dict[str, Callable[..., Any]] = {
    "bytes": lambda text: text.encode("latin-1"),
    "range": range,
    "Decimal": Decimal,
    "UUID": UUID,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "timedelta": timedelta,
}


def _method_checked(value: Any) -> Any:
    if not isinstance(value, MethodType):
        raise ValueError("it calls what is no method of a part")  # noqa: TRY004
    return value


def _default(field: "Field[Any]") -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    raise ValueError(f"a record lacks its {field.name}")
