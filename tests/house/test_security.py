"""Every attack of docs/security.md names a test that is there."""

import re

from tests.support.house import ROOT

ROW = re.compile(r"\| .+ \| .+ \| `(test_\w+)` \|")
HEADINGS = ("| Attack | What stops it | Test |", "|---|---|---|")


def test_every_attack_names_a_test_that_is_there() -> None:
    tried, _, _ = (ROOT / "docs/security.md").read_text().partition("\n## Threat model\n")
    table = [line for line in tried.splitlines() if line.startswith("|")]
    rows = [line for line in table if line not in HEADINGS]
    named = [found[1] for line in rows if (found := ROW.fullmatch(line))]
    assert len(named) == len(rows) > 40
    written = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    assert [name for name in named if f"def {name}(" not in written] == []
