"""A merchant who takes every event."""

from collections.abc import Iterator

import pytest

from tests.gateways.wire import Reply, Wire, wire


@pytest.fixture
def merchant() -> Iterator[Wire]:
    with wire(Reply(b"")) as listening:
        yield listening
