"""Each rule against what goes wrong elsewhere has its test, can be taken out, and stands in the docs."""

import pytest

from tests.house.rules import ROOT, Rule, all_rules
from tests.support.patching import patched

DOCUMENT = ROOT / "docs/reliability.md"


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.pain)
def test_the_rule_can_still_be_taken_out_and_its_test_is_there(rule: Rule) -> None:
    patched(ROOT / "payments_service", rule.without)
    _, _, name = rule.test.partition("::")
    assert any(f"def {name}(" in path.read_text() for path in (ROOT / "tests").rglob("*.py"))


def test_the_document_has_them_all() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.endswith("` |") and "`test_" in line]
    assert rows == [rule.row for rule in all_rules()]
