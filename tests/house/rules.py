"""Does its test notice? Each rule of rules.toml is taken out of a scratch copy, and its test must turn red.

    python -m tests.house.rules [WORD …]

WORD chooses rules whose pain or rule has it. Exit code 1 when a test stayed green.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.support.patching import Patch

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
        code = run_without(rule)
        unnoticed += code != RED
        print(f"{'red' if code == RED else f'NOT NOTICED ({code})'}: {rule.pain}", flush=True)
    return 1 if unnoticed else 0


def run_without(rule: Rule) -> int:
    with tempfile.TemporaryDirectory(prefix="payments-rule-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        for patch in rule.without:
            patch.apply(copy / "payments_service")
        file, _, name = rule.test.partition("::")
        command = [sys.executable, "-m", "pytest", "-q", f"tests/{file}", "-k", name]
        return subprocess.run(command, cwd=copy, capture_output=True, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
