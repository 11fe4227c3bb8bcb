"""Code, pages and documents say who acts, and name things in the field's own words."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VAGUE = "nobody whoever somebody anybody whatever"
"""Who acts has a name: the payer, the worker, a request, the gateway."""
OTHER_THINGS = "bell bells trail trails radar quarantine quarantined ledger ledgers"
"""The field says actor, history, monitors, review."""
PAYOUTS = "settle settles settled settling unsettled"
"""What a gateway does when it transfers money to the merchant, which is nothing that the service decides."""
SPEAKS_OF_PAYOUTS = ("gateway_simulator", "docs/simulator.md")
KEPT = (
    *("verify-ledger", "verify_ledger"),  # a command
    "is_unsettled",  # an argument of the worker's schedule
    "nobody_answered",  # an alarm in the simulator's state files
    '"reconAPIType": "LEDGER"',  # Cashfree's own word
)
READ = {
    *(".py", ".js", ".html", ".css", ".mako"),
    *(".md", ".json", ".yml", ".yaml", ".sh", ".service", ".socket", ".template"),
}
NAME_OF_A_TEST = re.compile(r"`test_\w+`")


@pytest.mark.parametrize("folder", ["payments_service", "gateway_simulator", "docs", "deploy", "."])
def test_no_file_uses_a_word_that_hides_who_acts_or_means_another_thing(folder: str) -> None:
    files = list(_files(folder))
    assert files
    found = []
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        banned = _pattern(VAGUE, OTHER_THINGS, "" if name.startswith(SPEAKS_OF_PAYOUTS) else PAYOUTS)
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            left = NAME_OF_A_TEST.sub("", line)
            for kept in KEPT:
                left = left.replace(kept, "")
            found += [f"{name}:{number}: {word}" for word in banned.findall(left)]
    assert found == []


def _files(folder: str) -> Iterator[Path]:
    """Those of a folder with all below it; of the root its own documents alone."""
    below = (ROOT / folder).rglob("*") if folder != "." else ROOT.glob("*.md")
    return (path for path in sorted(below) if path.suffix in READ)


def _pattern(*words: str) -> re.Pattern[str]:
    """As a word of its own, also between underscores: `quarantined_and_left`."""
    return re.compile(rf"(?<![a-z])({'|'.join(' '.join(words).split())})(?![a-z])", re.IGNORECASE)


def test_a_banned_word_is_seen_wherever_it_stands() -> None:
    banned = _pattern(VAGUE, OTHER_THINGS, PAYOUTS)
    assert banned.findall("Nobody, /demo/trail/1, _has_settled, a ledger.") == [
        "Nobody",
        "trail",
        "settled",
        "ledger",
    ]
    assert banned.findall("trailing settlement, a bellow") == []
