"""`lost`: orders that a restored database does not know, found by their ids or by the log."""

from pathlib import Path

import pytest

from payments_service.domain.errors import Unavailable, UnknownAtGateway
from tests.cli.running import Shop

OURS = "psv_0123456789abcdefghijklmn"


def log_of(folder: Path, *lines: str) -> str:
    path = folder / "service.log"
    path.write_text("\n".join(lines))
    return str(path)


def test_an_order_that_is_known_is_not_asked_about(shop: Shop) -> None:
    bought = shop.buy()
    shop.gateway.calls.clear()
    assert "1 orders named, 0 unknown here, 0 of these were paid." in shop.says("lost", str(bought.order_id))
    assert shop.gateway.calls == []


def test_an_unknown_order_that_was_paid_is_printed_and_ends_with_1(shop: Shop) -> None:
    shop.buy()
    shop.pays("pay_77")
    shop.gateway.orders[f"G{OURS}"] = next(iter(shop.gateway.orders.values()))
    said = shop.says("lost", OURS, exit_code=1)
    [row] = [line for line in said.splitlines() if OURS in line]
    assert row.split()[1:3] == ["fake", "completed"]
    assert "pay_77" in row
    assert "₹499" in row
    assert "1 unknown here, 1 of these were paid." in said


def test_one_that_no_gateway_knows_is_counted_and_no_more(shop: Shop) -> None:
    shop.gateway.fetch_error = UnknownAtGateway("fake knows no such order")
    said = shop.says("lost", OURS)
    assert OURS not in said
    assert "1 unknown here, 0 of these were paid." in said


def test_one_that_could_not_be_asked_about_ends_with_1(shop: Shop) -> None:
    shop.gateway.fetch_error = Unavailable("The gateway could not be reached (reason: dns)")
    assert "fake could not be asked: The gateway" in shop.says("lost", OURS, exit_code=1)


@pytest.mark.parametrize(
    "line",
    [
        f'[2026-01-31T17:10:00.000Z] [INFO] Gateway call {{"gateway": "fake", "path": "/orders/{OURS}"}}',
        f'[2026-01-31T17:10:00.000Z] [INFO] Gateway call {{"gateway":"fake","path":"/orders/{OURS}"}}',
        f'{{"time":"2026-01-31T17:10:00.000Z","message":"Order","gateway":"fake","orderId":"{OURS}"}}',
        f'{{"time": "2026-01-31T17:10:00.000Z", "message": "Order", "gateway": "fake", "orderId": "{OURS}"}}',
    ],
)
def test_the_log_names_orders_in_both_formats(shop: Shop, tmp_path: Path, line: str) -> None:
    shop.gateway.fetch_error = UnknownAtGateway("fake knows no such order")
    said = shop.says("lost", "--log", log_of(tmp_path, "nothing", line, line))
    assert "1 orders named, 1 unknown here" in said
    assert shop.gateway.calls == ["fetch_payment"]


def test_only_the_gateway_that_the_line_names_is_asked(shop: Shop, tmp_path: Path) -> None:
    log = log_of(tmp_path, f'[INFO] Order {{"gateway":"another","orderId":"{OURS}"}}')
    assert "1 unknown here" in shop.says("lost", "--log", log)
    assert shop.gateway.calls == []


def test_without_orders_and_log_it_says_what_it_needs(shop: Shop) -> None:
    assert "Give order ids, or a log" in shop.says("lost", exit_code=2)
