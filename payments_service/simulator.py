"""python -m payments_service.simulator: the door to `gateway_simulator`, where it is installed."""

import sys

from gateway_simulator.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
