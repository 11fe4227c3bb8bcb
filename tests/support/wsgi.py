"""What a house runs: the service as it is, only that the gateways may be asked more often.

A test looks ten times a second, which no payer does; read budgets have tests of their own
(tests/gateways/test_bounds.py). An event that is not as documented is written to the log; the house reads it
at its end.
"""

import logging

from payments_service.gateways import GATEWAYS
from tests.support import event_schema

for gateway in GATEWAYS:
    gateway.reads_per_second = 500.0
event_schema.watch(lambda problem: logging.critical("%s: %s", event_schema.MARK, problem))

from wsgi import app  # noqa: E402 (it makes the gateways)

__all__ = ["app"]
