"""`make conformance` proves something as long as its sabotages fit the simulator."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SABOTAGES = sorted((ROOT / "tests" / "conformance" / "sabotages").glob("*.toml"))


@pytest.mark.parametrize("sdk", SABOTAGES, ids=lambda path: path.stem)
def test_what_a_sabotage_breaks_stands_once_in_the_simulator(sdk: Path) -> None:
    for sabotage in tomllib.loads(sdk.read_text())["sabotage"]:
        text = (ROOT / "gateway_simulator" / sabotage["file"]).read_text()
        assert text.count(sabotage["right"]) == 1, sabotage["what"]
