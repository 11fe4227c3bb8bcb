"""What a house runs: the service as it is, only that the gateways may be asked more often.

A test looks ten times a second, which no payer does; read budgets have tests of their own
(tests/gateways/test_bounds.py).
"""

from payments_service.gateways import GATEWAYS

for gateway in GATEWAYS:
    gateway.reads_per_second = 500.0

from wsgi import app  # noqa: E402 (it makes the gateways)

__all__ = ["app"]
