"""List parameters of Razorpay's API: pages, and what is expanded.

Sources: Razorpay docs api/pagination, razorpay-python/tests/test_client_error.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway_simulator.base import Json
from gateway_simulator.razorpay.refusals import list_refusal

DEFAULT_COUNT = 10
MAX_COUNT = 100


class Dated(Protocol):
    @property
    def created_at(self) -> int: ...

    def entity(self) -> Json: ...


Record = TypeVar("Record", bound=Dated)


@dataclass(frozen=True)
class Page:
    count: int
    skip: int
    from_time: int
    to_time: int

    def cut(self, records: Iterable[Record]) -> list[Record]:
        """The newest first, by creation time; only these are written down: there may be very many."""
        chosen = [record for record in records if self.from_time <= record.created_at <= self.to_time]
        return chosen[::-1][self.skip : self.skip + self.count]


def page(parameters: Mapping[str, str]) -> Page:
    """Unknown parameters are ignored, as in `expand[]`."""
    count = number(parameters, "count", DEFAULT_COUNT)
    if count > MAX_COUNT:
        raise list_refusal("count", f"The count may not be greater than {MAX_COUNT}.")
    if count < 1:
        raise list_refusal("count", "The count must be at least 1.")
    return Page(
        count,
        number(parameters, "skip", 0),
        number(parameters, "from", 0),
        number(parameters, "to", 2**62),
    )


def number(parameters: Mapping[str, str], field: str, default: int | None = None) -> int:
    text = parameters.get(field)
    if text is None and default is not None:
        return default
    if text is None:
        raise list_refusal(field, f"The {field} field is required.")
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise list_refusal(field, f"The {field} must be an integer.")
    return int(text)


def expands(parameters: Mapping[str, str], wanted: str) -> bool:
    """`expand[]=payments`, `expand[]=payments.card`; the Node SDK writes `expand[expand]`."""
    return any(
        name.startswith("expand") and value.split(".")[0] == wanted for name, value in parameters.items()
    )
