"""The handbook has each alarm with what it means, what to look at and what to do, each metric, each drill."""

import re

from payments_service import metrics
from payments_service.domain.alarms import ALARMS
from payments_service.domain.errors import NotMigrated
from payments_service.domain.states import AlertCode
from payments_service.store import gauges, trouble
from tests.drill.drills import DRILLS
from tests.support.house import ROOT

TEXT = (ROOT / "docs/handbook.md").read_text()
PARTS = ("**Means**", "**Look at**", "**Do**")


def test_every_alarm_has_its_runbook_under_its_own_name() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", TEXT, re.M | re.S))
    assert list(sections) == [alarm.code for alarm in ALARMS]
    for code, section in sections.items():
        assert [part for part in PARTS if section.count(part) != 1] == [], code


def test_every_other_alert_is_named() -> None:
    others = set(AlertCode) - {alarm.code for alarm in ALARMS}
    assert [code for code in others if f"`{code}`" not in TEXT] == []


def test_every_alarm_is_drilled_and_the_table_says_so() -> None:
    assert {drill.alarm for drill in DRILLS} == {alarm.code for alarm in ALARMS}
    rows = [
        f"| {drill.fault} | `{drill.alarm}` | {', '.join(f'`{one}`' for one in drill.followers) or '–'} |"
        for drill in DRILLS
    ]
    table = TEXT.partition("## The drill\n")[2]
    assert [line for line in table.splitlines() if line.startswith("| ")][1:] == rows


def test_every_metric_stands_there_with_its_own_words() -> None:
    counted = {
        family.name + ("_total" if family.type == "counter" else ""): family.documentation
        for family in metrics.REGISTRY.collect()
    }
    known = {f"payments_{name}": about for name, about in gauges.HELPS.items()}
    rows = dict(re.findall(r"^\| `(payments_\w+)` \| (.*) \|$", TEXT, re.M))
    assert {**counted, **known}.items() <= rows.items()
    assert set(rows) - set(counted) - set(known) == {"payments_database_up", "payments_build_info"}


def test_every_kind_of_a_database_that_is_away_is_named() -> None:
    section = TEXT.partition("### database_away\n")[2].partition("\n## ")[0]
    tables = (*trouble.KINDS_OF_POSTGRES, *trouble.KINDS_OF_SQLITE, *trouble.WORDS_OF_A_REFUSED_CONNECTION)
    kinds = {kind for _, kind in tables} | {"pool used up", "other", NotMigrated.code}
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in section] == []


def test_every_command_that_it_names_is_there() -> None:
    from payments_service import cli

    named = set(re.findall(r"flask --app wsgi ([a-z-]+)", TEXT))
    from flask import Flask

    app = Flask("commands")
    cli.add_to(app.cli)
    assert named <= set(app.cli.commands)
