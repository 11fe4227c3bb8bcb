"""docs/simulator.md is true: every command in it is run, and what it says comes of it does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway_simulator import GATEWAYS
from gateway_simulator.control import VERBS
from gateway_simulator.faults import API_KINDS, OPERATIONS, WEBHOOK_KINDS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "simulator.md").read_text()
TOUR = re.findall(r"^```sh\n(.*?)^```", TEXT, re.M | re.S)
# what is written as code in a sentence or a table
SAID = set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", TEXT, flags=re.M | re.S)))
# curl that fails on a refusal, and remembers what it was told
PRELUDE = """set -eu -o pipefail
curl() { command curl -sS --noproxy '*' --max-time 20 --fail-with-body "$@" | tee "$TOLD"; }
told() { grep -qF -- "$1" "$TOLD" || { echo "not told: $1" >&2; cat "$TOLD" >&2; exit 1; }; }
"""


def script(base: str, receiver: str) -> str:
    """The whole tour as one session, because later steps use the ids of earlier ones."""
    lines = "".join(TOUR).splitlines()
    quoted = [re.sub(r"^# → (.*)$", lambda m: "told '" + m[1] + "'", line) for line in lines]
    text = "\n".join(quoted).replace("http://127.0.0.1:8090", base)
    return PRELUDE + text.replace("http://127.0.0.1:5000/api/webhook", receiver)


def test_every_command_of_the_tour_does_what_it_says(base, receiver, tmp_path):
    assert len(TOUR) >= 9
    ended = subprocess.run(
        ["bash", "-c", script(base, receiver.url)],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TOLD": str(tmp_path / "told")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert receiver.received


def test_the_tour_goes_through_the_whole_control_plane():
    for path in ("settings", "orders", "deliveries", "refunds", "faults", "faults/storm", "clock", "settle"):
        assert f"/_sim/{path}" in "".join(TOUR), path


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda gateway: gateway.name)
def test_what_a_gateway_offers_stands_in_the_document(gateway):
    assert f"`{gateway.api_base}" in TEXT or f"8090{gateway.api_base}" in TEXT
    assert set(gateway.choices) <= SAID
    for name, value in gateway.credentials.items():
        if not name.startswith("("):
            assert value in TEXT, name


def test_verbs_and_faults_stand_in_the_document():
    assert {*VERBS, *API_KINDS, *WEBHOOK_KINDS, *OPERATIONS} <= SAID


def test_the_options_are_those_of_the_help():
    ended = subprocess.run(
        [sys.executable, "-m", "gateway_simulator", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for option in set(re.findall(r"--[a-z]+", TEXT)):
        assert option in ended.stdout, option
    for option in re.findall(r"^  (--[a-z]+)", ended.stdout, re.M):
        assert option in TEXT, option


def test_the_picture_is_there():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", TEXT):
        assert (ROOT / "docs" / path).stat().st_size < 150_000
