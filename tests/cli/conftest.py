import pytest
from flask import Flask

from tests.cli.running import Shop, shop_of
from tests.support.fake_gateway import FakeGateway


@pytest.fixture
def shop(app: Flask) -> Shop:
    return shop_of(app, FakeGateway())
