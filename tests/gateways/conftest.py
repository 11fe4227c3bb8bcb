"""Helpers of the gateway tests: cases that a contract's subclass lists, and no waiting between tries."""

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.gateways.contract")

CASES = ("write", "read", "order_word", "attempt_word", "refund_word", "event_name", "paise")
"""Arguments of contract tests; the test's class lists their values in the attribute of that name."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument in CASES:
        if argument in metafunc.fixturenames and metafunc.cls is not None:
            metafunc.parametrize(argument, list(getattr(metafunc.cls, f"{argument}s")))


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tries of a read follow each other at once."""
    monkeypatch.setattr("payments_service.gateways.http.random.uniform", lambda _low, _high: 0.0)
    yield
