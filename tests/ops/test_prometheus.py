"""The rules and the dashboard are those of the list of alarms; each rule fires, stays silent, and ends."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.prometheus import make
from payments_service import metrics
from payments_service.domain.alarms import ALARMS
from payments_service.store import gauges

GATEWAY, TO = '{gateway="razorpay",instance="a"}', '{destination="merchant",instance="a"}'
SERIES = {
    # alarm: series, what is just not trouble, what is, labels of the alarm
    "no_orders": ('payments_orders_missing{instance="a"}', 4, 5, {}),
    "orders_fail": (f"payments_orders_failing_ratio{GATEWAY}", 0.05, 0.06, {"gateway": "razorpay"}),
    "gateway_down": (
        'payments_alert_open{alarm="gateway_down",subject="razorpay",instance="a"}',
        0,
        1,
        {"subject": "razorpay"},
    ),
    "credentials_refused": (
        'payments_alert_open{alarm="credentials_refused",subject="razorpay",instance="a"}',
        0,
        1,
        {"subject": "razorpay"},
    ),
    "webhook_silence": (f"payments_paid_without_webhook{GATEWAY}", 4, 5, {"gateway": "razorpay"}),
    "webhooks_refused": (f"payments_webhooks_refused_seconds{GATEWAY}", 600, 601, {"gateway": "razorpay"}),
    "inbox_waits": (f"payments_inbox_oldest_seconds{GATEWAY}", 300, 301, {"gateway": "razorpay"}),
    "outbox_waits": (f"payments_outbox_oldest_seconds{TO}", 900, 901, {"destination": "merchant"}),
    "event_undelivered": (f"payments_outbox_dead{TO}", 0, 1, {"destination": "merchant"}),
    "outcome_unknown": (
        'payments_unknown_outcome_oldest_seconds{gateway="razorpay",kind="refund",instance="a"}',
        1800,
        1801,
        {"gateway": "razorpay", "kind": "refund"},
    ),
    "capture_window": (f"payments_capture_window_seconds{GATEWAY}", 43200, 43199, {"gateway": "razorpay"}),
    "dispute_opened": ('payments_alert_open{alarm="dispute_opened",subject="",instance="a"}', 0, 1, {}),
    "dispute_due": (f"payments_dispute_due_seconds{GATEWAY}", 172800, 172799, {"gateway": "razorpay"}),
    "review_waits": ('payments_review_oldest_seconds{instance="a"}', 86400, 86401, {}),
    "worker_silent": ('payments_worker_silent_seconds{instance="a"}', 180, 181, {}),
    "sweep_silent": (
        'payments_sweep_silent_seconds{sweep="outbox",instance="a"}',
        180,
        181,
        {"sweep": "outbox"},
    ),
    "history_broken": ('payments_history_broken{instance="a"}', 0, 1, {}),
    "database_away": ('payments_database_up{instance="a"}', 1, 0, {}),
}
"""Beside each there is a second process, `instance="b"`, that is well."""
LONG = 20
"""Minutes of each phase: longer than any rule waits."""


def test_every_alarm_has_its_rule_and_the_file_is_the_list() -> None:
    assert [alarm.code for alarm in ALARMS] == list(SERIES)
    assert make.RULES.read_text() == make.rules()
    assert make.DASHBOARD.read_text() == make.dashboard()


def test_every_measure_of_an_alarm_is_one_that_metrics_shows() -> None:
    shown = {*gauges.HELPS, "database_up"}
    assert {alarm.measure for alarm in ALARMS} <= shown


def test_every_query_of_the_dashboard_asks_for_what_metrics_shows() -> None:
    """By the names that a scrape can have, and by the labels of each."""
    counted = {sample.name for family in metrics.REGISTRY.collect() for sample in family.samples} | {
        name for family in metrics.REGISTRY.collect() for name in _names(family.name, family.type)
    }
    shown = counted | {f"payments_{name}" for name in (*gauges.HELPS, "database_up", "build_info")}
    queries = [
        target["expr"]
        for panel in json.loads(make.DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
    ]
    asked = {name for query in queries for name in re.findall(r"payments_\w+", query)}
    assert asked <= shown
    gauges_shown = {f"payments_{name}" for name in gauges.HELPS}
    assert gauges_shown <= asked, "a gauge that no panel shows"


def _names(name: str, kind: str) -> list[str]:
    ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(kind, [""])
    return [name + end for end in ends]


@pytest.mark.check
def test_each_rule_fires_stays_silent_and_ends(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "make check installs Debian's prometheus"
    shutil.copy(make.RULES, tmp_path / "rules.yml")
    cases = [_case(alarm.code, alarm.minutes, alarm.summary, alarm.urgency) for alarm in ALARMS]
    written = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "tests.yml").write_text(json.dumps(written))  # JSON is YAML
    ran = subprocess.run(
        [promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _case(code: str, minutes: int, summary: str, urgency: str) -> dict[str, object]:
    """Well for a while, then in trouble, then well again, all told by one of two processes."""
    series, well, trouble, labels = SERIES[code]
    other = series.replace('instance="a"', 'instance="b"')
    fired = {
        "exp_labels": {"severity": urgency, **labels},
        "exp_annotations": {"summary": summary, "runbook": f"docs/handbook.md#{code}"},
    }

    def at(minute: int, *alerts: object) -> dict[str, object]:
        return {"alertname": code, "eval_time": f"{minute}m", "exp_alerts": list(alerts)}

    return {
        "interval": "1m",
        "input_series": [
            {"series": series, "values": f"{well}x{LONG} {trouble}x{LONG} {well}x{LONG}"},
            {"series": other, "values": f"{well}x{3 * LONG + 3}"},
        ],
        "alert_rule_test": [
            at(LONG),
            at(LONG + 1),  # not long enough yet
            at(LONG + 2 + minutes, fired),
            at(2 * LONG, fired),
            at(2 * LONG + 4),
        ],
    }


@pytest.mark.check
def test_the_rules_are_rules() -> None:
    promtool = shutil.which("promtool")
    assert promtool
    ran = subprocess.run(
        [promtool, "check", "rules", str(make.RULES)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
    assert f"{len(ALARMS)} rules found" in ran.stdout
