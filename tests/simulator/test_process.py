"""The simulator as its own process."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

import payments_service.simulator as simulator
from tests.simulator.conftest import KEY_ID, KEY_SECRET

PACKAGE = Path(simulator.__file__).parent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_where_it_is_and_ends_quietly(number):
    command = [sys.executable, "-m", "payments_service.simulator", "--port", "0", "--seed", "1"]
    root = PACKAGE.parent.parent
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            greeting = [process.stdout.readline() for _ in range(6)]
            address = next(word for word in greeting[0].split() if word.startswith("http://"))
            assert f"RAZORPAY_KEY_ID = {KEY_ID}" in "".join(greeting)
            assert f"RAZORPAY_KEY_SECRET = {KEY_SECRET}" in "".join(greeting)
            assert f"razorpay: {address}/razorpay" in "".join(greeting)
            hang_on_purpose(address)
            process.send_signal(number)
            _, errors = process.communicate(timeout=5)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


def hang_on_purpose(address: str) -> None:
    """A call that would hang for 30 s must not delay the end."""
    fault = {"gateway": "razorpay", "on": "fetch", "kind": "timeout_before"}
    with requests.Session() as session:
        session.post(f"{address}/_sim/faults", json=fault)
        with pytest.raises(requests.Timeout):
            session.get(f"{address}/razorpay/v1/orders", auth=(KEY_ID, KEY_SECRET), timeout=0.2)
    time.sleep(0.05)
