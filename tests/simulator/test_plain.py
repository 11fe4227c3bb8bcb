"""What the state file keeps comes back exactly, for every record that the simulator has or will have."""

import json
import math
import operator
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from werkzeug.datastructures import MultiDict

from gateway_simulator import GATEWAYS, create_simulator
from gateway_simulator.deliveries import Deliveries
from gateway_simulator.faults import Fault, Faults
from gateway_simulator.plain import records, rows_of, value_of
from gateway_simulator.serving import serving
from gateway_simulator.state import StateFile
from gateway_simulator.world import World
from tests.simulator.shop import GATEWAYS as NAMES
from tests.simulator.shop import shop_at

VALUES = [
    *(None, True, False, 0, 1, -(10**30), 0.1, -0.0, 1e300, math.inf, "", "₹ अ \ud800 \x00", "[7]"),
    *(b"", b'{"a": "\xe2\x82\xb9"}\xff', [], [1, [2.0, "3"]], (), (1, (2,)), set(), {1, "a", (2, "b")}),
    *(frozenset({"upi"}), {}, {"a": {"b": [None]}}, {1: "one", (1, 2): "two", None: 0}, range(200, 300, 7)),
    *(Decimal("10.10"), Decimal("NaN"), UUID(int=7), date(2026, 1, 31), timedelta(days=-1, microseconds=3)),
    *(datetime(2026, 1, 31, 18, 0, 0, 5, tzinfo=UTC), datetime(2026, 1, 31)),  # noqa: DTZ001
    datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=5, minutes=30))),
]


def again(value: Any, parts: dict[str, Any] | None = None) -> Any:
    """Through JSON, as in the file."""
    return value_of(json.loads(json.dumps(rows_of(value, parts or {}))), parts or {})


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if is_dataclass(one):
        assert vars(one).keys() == vars(other).keys()
        for name in vars(one):
            assert_same(vars(one)[name], vars(other)[name])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif isinstance(one, dict):
        assert_same(list(one.items()), list(other.items()))
    else:
        assert repr(one) == repr(other) or one == other


@pytest.mark.parametrize("value", VALUES)
def test_a_value_comes_back_exactly(value: Any) -> None:
    assert_same(again([value]), [value])


@pytest.mark.parametrize("name", sorted(records()))
def test_every_record_comes_back_exactly_whatever_its_fields_hold(name: str) -> None:
    kind = records()[name]
    if issubclass(kind, Enum):
        assert all(again(member) is member for member in kind)
        return
    record = object.__new__(kind)
    for number, field in enumerate(fields(kind)):
        object.__setattr__(record, field.name, VALUES[number % len(VALUES)])
    assert_same(again(record), record)


def test_the_records_of_every_gateway_are_among_them() -> None:
    for gateway in GATEWAYS:
        assert {f"{gateway.name}.records.Order", f"{gateway.name}.books.Settings"} <= records().keys()


def test_one_object_in_two_places_is_one_again_also_inside_itself() -> None:
    fault = Fault("razorpay", "fetch", "500", 1, None, 1)
    ring: list[Any] = [fault]
    ring.append(ring)
    shared = again({"first": fault, "second": (fault, ring)})
    assert shared["first"] is shared["second"][0] is shared["second"][1][0]
    assert shared["second"][1][1] is shared["second"][1]


def test_a_long_chain_of_records_is_no_trouble() -> None:
    chain: list[Any] = []
    for _ in range(10_000):
        chain = [chain]
    depth = 0
    chain = again(chain)
    while chain:
        chain, depth = chain[0], depth + 1
    assert depth == 10_000


def test_random_numbers_go_on_where_they_were() -> None:
    source = Random(7)
    source.gauss(0, 1)
    copy = again(source)
    assert [copy.gauss(0, 1), copy.random()] == [source.gauss(0, 1), source.random()]


def test_a_defaultdict_goes_on_making_what_it_made() -> None:
    lists = again(defaultdict(list, {"a": [1]}))
    lists["b"].append(2)
    assert lists == {"a": [1], "b": [2]}


def test_an_alarm_calls_the_living_part() -> None:
    world = World(7)
    alarm = again(partial(world.advance, seconds=5), {"world": world})
    alarm()
    assert world.ahead_seconds() == 5
    refunds: Any = create_simulator().extensions["simulator"].gateways["razorpay"].books.refunds
    alarm = again(partial(refunds.finish_pending, "rfnd_1", processed=True), {"refunds": refunds})
    assert (alarm.func, alarm.args, alarm.keywords) == (
        refunds.finish_pending,
        ("rfnd_1",),
        {"processed": True},
    )


def test_a_field_that_came_after_the_file_has_its_default() -> None:
    rows = rows_of([Fault("razorpay", "fetch", "500", 1, None, 1)], {})
    with pytest.raises(ValueError, match="lacks its remaining"):
        value_of([rows[0], [rows[1][0], {k: v for k, v in rows[1][1].items() if k != "remaining"}]], {})
    storm = ["faults.Storm", {"seed": 1, "rate": 0.5, "kinds": [2], "gateways": [2], "on": [2], "seconds": 1}]
    [read] = value_of([["list", [1]], storm, ["tuple"]], {})
    assert (read.seen, read.hits) == ({}, 0)


@dataclass
class Stranger:
    amount: int


@pytest.mark.parametrize(
    "value",
    [Stranger(1), operator.add, len, Path("x"), object(), OrderedDict(), MultiDict(), World.at, int, print],
    ids=lambda value: type(value).__name__,
)
def test_what_could_not_be_read_again_is_not_written(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"cannot be written down|not a method of a part"):
        again([value])


def test_a_record_that_has_more_than_its_fields_is_not_written() -> None:
    fault = Fault("razorpay", "fetch", "500", 1, None, 1)
    fault.more = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"faults\.Fault is not a record"):
        rows_of(fault, {})


def test_all_that_a_busy_simulator_knows_is_written_again_as_it_was_read(
    tmp_path: Path, receiver: Any
) -> None:
    app = create_simulator(receiver.url, seed=7, state=tmp_path / "busy")
    with serving(app) as base, shop_at(base) as shop:
        shop.control("POST", "faults", {"gateway": "razorpay", "on": "fetch", "kind": "500", "count": 3})
        shop.control(
            "POST", "faults/storm", {"seed": 7, "rate": 0.1, "gateways": ["cashfree"], "on": ["capture"]}
        )
        for gateway in NAMES:
            paid, failed, _ = (shop.order(gateway, f"psv_{gateway}{number}") for number in range(3))
            shop.control("POST", f"orders/{paid}/success")
            shop.control("POST", f"orders/{paid}/dashboard-refund", {"amountPaise": 10000})
            shop.control("POST", f"orders/{failed}/failure")
        shop.control("POST", f"orders/{paid}/dispute")
        shop.control("POST", "settle")
        shop.control("GET", "deliveries?wait=10")
    copied = a_copy(tmp_path / "busy", tmp_path / "copy")
    assert copied.read_bytes() == (tmp_path / "busy").read_bytes()
    assert len(copied.read_bytes()) > 50_000


def a_copy(file: Path, copy: Path) -> Path:
    """Loaded into other objects and saved from there, with nothing in between."""
    world = World(1)
    faults = Faults(world)
    deliveries = Deliveries(world, faults, "http://127.0.0.1:9", 1)
    gateways = {kind.name: kind(world, deliveries) for kind in GATEWAYS}
    shared = {"faults": faults, "deliveries": deliveries}
    StateFile(file, world, shared, gateways).load()
    StateFile(copy, world, shared, gateways).save()
    return copy
