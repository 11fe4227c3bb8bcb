"""Who calls: addresses as proxies write them, and what counts as one caller."""

import pytest
from flask import Flask

from payments_service.api.callers import caller_address, caller_network


@pytest.mark.parametrize(
    ("written", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:50312", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:ffff::9]:443", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
    ],
)
def test_an_address_is_known_however_it_is_written(written: str, network: str) -> None:
    with Flask("x").test_request_context(environ_base={"REMOTE_ADDR": written}):
        address = caller_address()
    assert address is not None
    assert caller_network(address) == network


@pytest.mark.parametrize("written", ["", "unknown", "_hidden", "999.1.1.1", "203.0.113.7, 10.0.0.1", "[::1"])
def test_what_is_no_address_is_no_caller(written: str) -> None:
    with Flask("x").test_request_context(environ_base={"REMOTE_ADDR": written}):
        assert caller_address() is None
