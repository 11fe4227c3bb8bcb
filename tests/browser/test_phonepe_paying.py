"""A person pays through PhonePe: the page opens it by itself, PhonePe takes its place and sends back."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.house import House, running_house

CHECKOUT_SCRIPT = "**/web/bundle/checkout.js"
ONLY_V1 = {
    "PHONEPE_CLIENT_ID": "",
    "PHONEPE_CLIENT_SECRET": "",
    "PHONEPE_CLIENT_VERSION": "",
    "PHONEPE_MERCHANT_ID": "SIMULATORV1",
    "PHONEPE_SALT_KEY": "simulator_phonepe_salt_key",
    "PHONEPE_SALT_INDEX": "1",
}


@pytest.fixture(scope="module")
def v1_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("v1")
    with running_house(f"sqlite:///{folder / 'payments.db'}", folder, **ONLY_V1) as house:
        yield house


def open_payment(page: Page, house: House, **order: Any) -> dict[str, Any]:
    """Our page, and without a click PhonePe's in its place."""
    created = house.create_order(gateway="phonepe", returnUrl=f"{house.url}/payment-status", **order)
    page.goto(created["order"]["paymentUrl"], wait_until="commit")
    return created


def expect_at_phonepe(page: Page, house: House) -> None:
    expect(page.locator("#success")).to_be_visible()
    assert page.url.startswith(f"{house.simulator_url}/phonepe/transact/")


def expect_status(page: Page, house: House, created: dict[str, Any], status: str) -> None:
    order_id = created["order"]["orderId"]
    expect(page.locator("#stage")).to_have_attribute("data-status", status)
    assert page.url.startswith(f"{house.url}/payment-status?")
    for name in ("orderId", "transactionId"):
        assert f"{name}={order_id}" in page.url
    assert house.status(order_id, "phonepe")["paymentStatus"] == status


def test_a_payer_pays_and_comes_back(page: Page, house: House) -> None:
    created = open_payment(page, house, amount=100.15)
    expect_at_phonepe(page, house)
    expect(page.locator("#amount")).to_have_text("₹100.15")
    page.locator("#success").click()
    expect_status(page, house, created, "completed")
    paid = house.status(created["id"], "phonepe")
    assert (paid["amount"], paid["status"], paid["method"]) == (100.15, "COMPLETED", "UPI_INTENT")


def test_after_a_declined_try_the_next_one_succeeds(page: Page, house: House) -> None:
    created = open_payment(page, house)
    page.locator("#failure").click()
    expect(page.locator("#message")).to_contain_text("You can try again")
    assert house.status(created["id"], "phonepe")["paymentStatus"] == "pending"
    page.locator("#success").click()
    expect_status(page, house, created, "completed")


def test_who_cancels_comes_back_and_reads_that_it_failed(page: Page, house: House) -> None:
    created = open_payment(page, house)
    page.locator("#cancel").click()
    expect_status(page, house, created, "failed")


def test_an_old_page_leaves_by_the_address_of_phonepe_itself(page: Page, house: House) -> None:
    created = house.create_order(gateway="phonepe", returnUrl=f"{house.url}/payment-status")
    page.goto(house.url)
    page.evaluate("url => { window.location.href = url }", created["order"]["redirectUrl"])
    page.locator("#success").click()
    expect_status(page, house, created, "completed")


@pytest.mark.parametrize("body", [None, "/* something else */"])
def test_a_script_that_is_blocked_or_another_keeps_nobody_from_paying(
    page: Page, house: House, expected_complaints: list[str], body: str | None
) -> None:
    def answer(route: Route) -> None:
        if body is None:
            route.abort()
        else:
            route.fulfill(content_type="text/javascript", body=body)

    page.route(CHECKOUT_SCRIPT, answer)
    created = open_payment(page, house)
    expect_at_phonepe(page, house)
    expected_complaints.append("ERR_FAILED")
    page.locator("#success").click()
    expect_status(page, house, created, "completed")


def test_a_slow_script_keeps_nobody_waiting_for_long(page: Page, house: House) -> None:
    page.clock.install()
    page.route(CHECKOUT_SCRIPT, lambda _: None)  # for ever
    open_payment(page, house)
    expect(page.locator("#heading")).to_have_text("One moment")
    page.clock.fast_forward(10_000)
    expect_at_phonepe(page, house)


def test_with_the_old_keys_a_payer_pays_and_comes_back(page: Page, v1_house: House) -> None:
    created = open_payment(page, v1_house, amount=100.15)
    expect_at_phonepe(page, v1_house)
    page.locator("#success").click()
    expect_status(page, v1_house, created, "completed")
    paid = v1_house.status(created["id"], "phonepe")
    assert (paid["amount"], paid["status"], paid["method"]) == (100.15, "COMPLETED", "UPI")


def test_with_the_old_keys_a_failure_is_the_end(page: Page, v1_house: House) -> None:
    created = open_payment(page, v1_house)
    page.locator("#failure").click()
    expect_status(page, v1_house, created, "failed")
