"""The handbook has each alarm with what it means, what to look at and what to do, each metric, each drill."""

import re

from payments_service.domain.alarms import ALARMS
from payments_service.domain.states import AlertCode
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
    assert [line for line in TEXT.splitlines() if line.startswith("| ")][1:] == rows


def test_every_command_that_it_names_is_there() -> None:
    from payments_service import cli

    named = set(re.findall(r"flask --app wsgi ([a-z-]+)", TEXT))
    from flask import Flask

    app = Flask("commands")
    cli.register(app)
    assert named <= set(app.cli.commands)
