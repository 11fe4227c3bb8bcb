"""The rules and the dashboard are those of the list of alarms; each rule fires, stays silent, and ends."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

from deploy.prometheus import make
from payments_service import build, metrics
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


def test_every_query_asks_for_what_metrics_shows_by_labels_that_it_has() -> None:
    """The dashboard's and the rules': names of a scrape, labels to sum, to choose and to show by."""
    targets = [
        target for panel in json.loads(make.DASHBOARD.read_text())["panels"] for target in panel["targets"]
    ]
    rules = re.findall(r'expr: "(.*)"$', make.RULES.read_text(), re.M)
    shown, asked = labels_shown(), set()
    assert len(rules) == len(ALARMS) + 1
    for query in [target["expr"] for target in targets] + [rule.replace("\\", "") for rule in rules]:
        [name] = re.findall(r"payments_\w+", query)
        assert name in shown, query
        asked.add(name)
        assert labels_of(query) <= shown[name], query
    for target in targets:
        legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert legend <= labels_of(target["expr"]), target
    assert {f"payments_{name}" for name in gauges.HELPS} <= asked, "a gauge that no panel shows"


def labels_of(query: str) -> set[str]:
    """Those that it sums by, and those that it chooses by."""
    summed = {label for found in re.findall(r"\bby \(([^)]*)\)", query) for label in found.split(", ")}
    return summed | set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query))


def labels_shown() -> dict[str, set[str]]:
    """Each name of a scrape with the labels of its series."""
    shown = {"payments_database_up": set[str](), "payments_build_info": {"version", "commit", "python"}}
    for family in set(metrics.REGISTRY._names_to_collectors.values()):
        assert isinstance(family, Counter | Gauge | Histogram)
        ends = {Counter: ("_total",), Histogram: ("_bucket", "_sum", "_count")}.get(type(family), ("",))
        for end in ends:
            labels = set(family._labelnames) | ({"le"} if end == "_bucket" else set())
            shown[f"{family._name}{end}"] = labels
    return shown | labels_of_gauges()


def labels_of_gauges() -> dict[str, set[str]]:
    """As the functions that measure name them: the samples themselves depend on what the database has."""
    shown = {f"payments_{name}": set[str]() for name in gauges.HELPS}
    for function in ast.walk(ast.parse(Path(gauges.__file__).read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        labels = {call.args[0].value for call in calls if ast.unparse(call.func) == "_of"}  # type: ignore[attr-defined]
        pairs = [node.elts for node in ast.walk(function) if isinstance(node, ast.Tuple)]
        labels |= {pair[0].value for pair in pairs if len(pair) == 2 and isinstance(pair[0], ast.Constant)}
        for call in calls:
            if ast.unparse(call.func) == "Sample":
                shown[f"payments_{call.args[0].value}"] |= labels  # type: ignore[attr-defined]
    return shown


def test_the_labels_of_what_runs_are_those_of_a_scrape() -> None:
    [line] = [one for one in metrics.text([], {}, True).decode().splitlines() if "build_info{" in one]
    assert set(re.findall(r'(\w+)="', line)) == labels_shown()["payments_build_info"]
    assert f'version="{build.VERSION}"' in line


@pytest.mark.check
def test_each_rule_fires_stays_silent_and_ends(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "make check installs Debian's prometheus"
    shutil.copy(make.RULES, tmp_path / "rules.yml")
    cases = [_case(alarm.code, alarm.minutes, alarm.summary, alarm.urgency) for alarm in ALARMS]
    cases.append(_nothing_told())
    written = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "tests.yml").write_text(json.dumps(written))  # JSON is YAML
    ran = subprocess.run(
        [promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _nothing_told() -> dict[str, object]:
    """One process tells its metrics, and ends."""
    summary = "No web process tells its metrics: none runs, or Prometheus does not reach any"
    runbook = "docs/handbook.md#how-alarms-reach-you"
    fired = {
        "exp_labels": {"severity": "page"},
        "exp_annotations": {"summary": summary, "runbook": runbook},
    }
    return {
        "interval": "1m",
        "input_series": [{"series": 'payments_build_info{instance="a"}', "values": f"1x{LONG} stale"}],
        "alert_rule_test": [
            {"alertname": "metrics_absent", "eval_time": f"{LONG}m", "exp_alerts": []},
            {"alertname": "metrics_absent", "eval_time": f"{LONG + 8}m", "exp_alerts": [fired]},
        ],
    }


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
    assert f"{len(ALARMS) + 1} rules found" in ran.stdout
