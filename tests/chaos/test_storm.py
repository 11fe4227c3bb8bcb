"""The storm of `make chaos`, small enough for every day; docs/reliability.md says what it proves."""

import os
from pathlib import Path

from tests.chaos.checker import judge, trail_of
from tests.chaos.storm import storm
from tests.chaos.town import Options

SMALL = Options(
    seed=int(os.environ.get("CHAOS_SEED", "7")),
    payments=20,
    processes=2,
    workers=1,
    fault_rate=0.1,
    timeout_rate=0.02,
    crash_every=50,
    settle_scale=60_000,
    kill_every=5.0,
)


def test_after_a_storm_everything_is_as_the_gateways_say(database_url: str, tmp_path: Path) -> None:
    outcome = storm(SMALL, tmp_path, database_url)
    broken = judge(outcome)
    trails = [trail_of(outcome, one.subject) for one in broken[:3]]
    assert not broken, "\n".join([*(f"{one.rule}: {one.subject}: {one.what}" for one in broken), *trails])
    assert outcome.crashes.total() + outcome.kills.total() > 0
    assert sum(row["status"] == "completed" for row in outcome.books["payments"]) > 5
