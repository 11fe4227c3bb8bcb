"""Comments and docstrings of both packages name who acts: the payer, the worker, a request, the gateway."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VAGUE = re.compile(r"(?<![a-z])(nobody|whoever|somebody|anybody|whatever)(?![a-z])", re.IGNORECASE)
KEPT = (
    "Somebody else has found out more about this order",  # an error message that callers are shown
    "nobody_answered",  # the name of an alarm in state files of the simulator
)


@pytest.mark.parametrize("package", ["payments_service", "gateway_simulator"])
def test_no_file_of_the_package_is_vague_about_who_acts(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    vague = []
    for path in files:
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            left = line
            for kept in KEPT:
                left = left.replace(kept, "")
            if found := VAGUE.search(left):
                vague.append(f"{path.relative_to(ROOT)}:{number}: {found[0]}")
    assert vague == []
