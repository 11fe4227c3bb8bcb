"""The storms of `make chaos`, one after the other, and one table.

python -m tests.chaos --seed 7 --seed 8 --payments 2000 --database sqlite --database postgresql
"""

import argparse
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.chaos.checker import Broken, Facts, judge, trail_of
from tests.chaos.storm import Outcome, storm
from tests.chaos.town import Options
from tests.support.postgres import running_postgres

DATABASES = ("sqlite", "postgresql")
SHOWN = 10
COLUMNS = (
    "database",
    "seed",
    "payments",
    "orders",
    "refunds",
    "webhooks",
    "told",
    "tries",
    "faults",
    "kill -9",
    "between commits",
    "storm",
    "all ended in",
    "broken rules",
)


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _end)
    outcomes = []
    for database in arguments.database or DATABASES:
        for seed in arguments.seed or (7, 8, 9):
            options = replace(_options(arguments), seed=seed, database=database)
            outcomes.append(run(options, keep=arguments.keep))
            _print_outcome(*outcomes[-1])
    print(table(outcomes))
    return 1 if any(broken for _, broken in outcomes) else 0


def _end(*_: object) -> None:
    """All processes of the storm are ended on the way out."""
    sys.exit(2)


def run(options: Options, *, keep: bool = False) -> tuple[Outcome, list[Broken]]:
    """One storm and its judgement, in a folder that goes away unless it is wanted."""
    folder = Path(tempfile.mkdtemp(prefix="payments-chaos-"))
    try:
        with database_of(options.database, folder) as url:
            outcome = storm(options, folder, url)
        broken = judge(outcome)
    except BaseException:
        keep = True
        raise
    finally:
        if keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return outcome, broken


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'payments.db'}"
        return
    with running_postgres() as url:
        yield url


def table(outcomes: list[tuple[Outcome, list[Broken]]]) -> str:
    rows = [_row(outcome, broken) for outcome, broken in outcomes]
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    faults: Counter[str] = Counter()
    stories: Counter[str] = Counter()
    for outcome, _ in outcomes:
        faults += faults_by_kind(outcome)
        stories += Counter(row["status"] for row in outcome.books["payments"])
    lines += ["", "Faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items()))]
    lines += ["Ends: " + ", ".join(f"{status} {count}" for status, count in sorted(stories.items()))]
    return "\n".join(lines)


def faults_by_kind(outcome: Outcome) -> Counter[str]:
    found: Counter[str] = Counter()
    for operations in outcome.faults.values():
        for on, kinds in operations.items():
            for kind, count in kinds.items():
                found[f"{'webhook ' if on == 'webhook' else ''}{kind}"] += count
    return found


def _row(outcome: Outcome, broken: list[Broken]) -> tuple[object, ...]:
    facts = Facts(outcome)
    return (
        outcome.options.database,
        outcome.options.seed,
        len(outcome.books["payments"]),
        len(facts.orders),
        len(outcome.books["refunds"]),
        len(outcome.deliveries),
        len(outcome.books["outbox"]),
        len(outcome.told),
        faults_by_kind(outcome).total(),
        outcome.kills.total(),
        outcome.crashes.total(),
        f"{outcome.storm_seconds:.0f} s",
        f"{outcome.settle_seconds:.0f} s",
        len(broken),
    )


def _print_outcome(outcome: Outcome, broken: list[Broken]) -> None:
    print(table([(outcome, broken)]), flush=True)
    print_broken(outcome, broken)


def print_broken(outcome: Outcome, broken: list[Broken]) -> None:
    for rule, count in Counter(one.rule for one in broken).items():
        print(f"BROKEN {count} times: {rule}")
    for one in broken[:SHOWN]:
        print(f"  {one.rule}: {one.subject}: {one.what}")
        print(trail_of(outcome, one.subject), flush=True)


def _options(arguments: argparse.Namespace) -> Options:
    given = {name: getattr(arguments, name) for name in NUMBERS if getattr(arguments, name) is not None}
    return replace(Options(payments=2000), **given)


NUMBERS = {
    "payments": int,
    "threads": int,
    "processes": int,
    "workers": int,
    "storm_scale": int,
    "settle_scale": int,
    "fault_rate": float,
    "timeout_rate": float,
    "slow_rate": float,
    "webhook_rate": float,
    "bad_merchant": float,
    "crash_every": int,
    "kill_every": float,
    "settle_seconds": float,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, action="append", help="may be repeated (7, 8, 9)")
    parser.add_argument("--database", choices=DATABASES, action="append", help="may be repeated (both)")
    parser.add_argument("--keep", action="store_true", help="leave database and logs where they are")
    for name, kind in NUMBERS.items():
        default = 2000 if name == "payments" else getattr(Options(), name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"({default})")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:
        traceback.print_exc()
        sys.exit(2)
