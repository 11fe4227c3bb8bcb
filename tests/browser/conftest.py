"""The browser, for every test in this folder; and a house for those who do not mind the database."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.old_shop import OldShop, running_old_shop, stand_in_for_gateways
from tests.support.browser import browser, context, expected_complaints, page
from tests.support.house import House, running_house

__all__ = ["browser", "context", "expected_complaints", "page"]


@pytest.fixture(scope="session")
def old_shop() -> Iterator[OldShop]:
    with running_old_shop() as shop:
        yield shop


@pytest.fixture(scope="session")
def any_house(old_shop: OldShop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Service and simulator on SQLite; `old_shop` is the merchant's site that it knows."""
    folder = tmp_path_factory.mktemp("any-house")
    url = f"sqlite:///{folder / 'payments.db'}"
    with running_house(url, folder, FRONTEND_URL=old_shop.url) as house:
        old_shop.service_url = house.url
        yield house


@pytest.fixture
def old_page(page: Page, any_house: House) -> Page:
    """A browser for which the gateways' script addresses lead to the stand-ins."""
    stand_in_for_gateways(page, any_house)
    return page
