"""Does its test notice? Each rule of rules.toml is taken out of a scratch copy, and its test must turn red.

    python -m tests.house.rules [WORD …]

WORD chooses rules whose pain or rule has it. Below each stands why its test failed, for a reader to see that
it failed for the rule's sake. Exit code 1 when a test stayed green.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.support.patching import Patch, apply

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "images")
RED = 1
"""pytest's exit code: tests ran, and some failed."""


@dataclass(frozen=True)
class Rule:
    pain: str
    rule: str
    test: str
    """`file::name`, below tests."""
    without: tuple[Patch, ...]

    @property
    def row(self) -> str:
        return f"| {self.pain} | {self.rule} | `{self.test.partition('::')[2]}` |"


def all_rules() -> list[Rule]:
    said = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["rule"]
    return [Rule(**{**one, "without": tuple(Patch(**patch) for patch in one["without"])}) for one in said]


def main(words: list[str]) -> int:
    unnoticed = 0
    for rule in all_rules():
        if words and not any(word in rule.pain + rule.rule for word in words):
            continue
        code, why = run_without(rule)
        unnoticed += code != RED
        said = "red" if code == RED else f"NOT NOTICED ({code})"
        print(f"{said}: {rule.pain}", *why, sep="\n    ", flush=True)
    return 1 if unnoticed else 0


def run_without(rule: Rule) -> tuple[int, list[str]]:
    """pytest's exit code, and its words on the tests that failed."""
    with tempfile.TemporaryDirectory(prefix="payments-rule-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        apply(copy / "payments_service", rule.without)
        file, _, name = rule.test.partition("::")
        command = [sys.executable, "-m", "pytest", "-q", f"tests/{file}", "-k", name]
        wide = {**os.environ, "COLUMNS": "300"}
        ended = subprocess.run(command, cwd=copy, env=wide, capture_output=True, text=True, check=False)
        lines = (line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR")))
        whys = Counter(why for line in lines if (why := line.partition(" - ")[2]))
        return ended.returncode, [f"{count} × {why}" for why, count in whys.items()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
