"""A certificate, as the tests of gateways have it."""

from tests.gateways.conftest import certificate, self_signed

__all__ = ["certificate", "self_signed"]
