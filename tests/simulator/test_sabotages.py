"""`make conformance` proves something as long as its sabotages fit the simulator."""

import tomllib
from pathlib import Path

import pytest

from tests.support.patching import Patch, patched

ROOT = Path(__file__).parents[2]
SABOTAGES = sorted((ROOT / "tests" / "conformance" / "sabotages").glob("*.toml"))


@pytest.mark.parametrize("sdk", SABOTAGES, ids=lambda path: path.stem)
def test_what_a_sabotage_breaks_stands_once_in_the_simulator(sdk: Path) -> None:
    for sabotage in tomllib.loads(sdk.read_text())["sabotage"]:
        del sabotage["what"]
        patched(ROOT / "gateway_simulator", [Patch(**sabotage)])
