from collections.abc import Iterator

import pytest
from flask import Flask

from tests.cli.running import Shop, shop_of
from tests.support.fake_gateway import FakeGateway
from tests.support.unsynced import waiting_for_the_disk


@pytest.fixture(autouse=True)
def _disk_as_in_production() -> Iterator[None]:
    """`doctor` looks whether a commit is on the disk before it is answered."""
    with waiting_for_the_disk():
        yield


@pytest.fixture
def shop(app: Flask) -> Shop:
    return shop_of(app, FakeGateway())
