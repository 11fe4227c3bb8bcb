"""The simulator as its own process."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

import gateway_simulator as simulator
from gateway_simulator.__main__ import main
from tests.simulator.conftest import KEY_ID, KEY_SECRET
from tests.simulator.shop import refused

PACKAGE = Path(simulator.__file__).parent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_where_it_is_and_ends_quietly(number):
    command = [sys.executable, "-m", "gateway_simulator", "--port", "0", "--seed", "1"]
    root = PACKAGE.parent
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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "http"], "--port: 'http' is not a port: a number from 0 to 65535"),
        (["--port", "70000"], "--port: '70000' is not a port"),
        (["--port", "-1"], "--port: '-1' is not a port"),
        (["--webhooks", "localhost:5000"], "--webhooks: 'localhost:5000' is not an http or https address"),
        (["--webhooks", "http://"], "--webhooks: 'http://' is not an http or https address"),
        (["--seed", "x"], "--seed: invalid int value: 'x'"),
        (["--sead", "7"], "unrecognized arguments: --sead 7"),
        (["--stat", "file"], "unrecognized arguments: --stat file"),
    ],
)
def test_a_wrong_option_is_told_in_a_sentence(options, said):
    assert said in refused(*options)


def test_a_wrong_variable_is_told_as_a_wrong_option(monkeypatch):
    monkeypatch.setenv("SIMULATOR_PORT", "eighty")
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2


def test_a_port_that_is_taken_is_told(running):
    ended = start("--port", running.rpartition(":")[2])
    assert ended.returncode == 1
    assert "is in use by another program" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_help_explains_every_option_and_gives_examples(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    for words in ("--port PORT", "--host HOST", "--webhooks URL", "--seed N", "--state FILE", "examples:"):
        assert words in said


def start(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gateway_simulator", *options],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
