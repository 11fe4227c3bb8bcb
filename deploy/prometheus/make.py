"""Writes rules.yml and ../grafana/payments.json from the list of alarms: python -m deploy.prometheus.make

A test holds the files against the list. Prometheus names rules.yml among its `rule_files`; Grafana imports
the dashboard.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from payments_service.domain.alarms import ALARMS, Alarm

FOLDER = Path(__file__).parent
RULES = FOLDER / "rules.yml"
DASHBOARD = FOLDER.parent / "grafana" / "payments.json"
HEAD = """\
# Alarms of the payments service, made from payments_service/domain/alarms.py by deploy/prometheus/make.py.
# What to do about each: docs/handbook.md. Scrape /metrics of every web process each 15 to 60 seconds.
groups:
  - name: payments
    rules:
"""
NOTHING_TOLD = """\
      - alert: metrics_absent
        expr: "absent(payments_build_info)"
        for: 5m
        labels: {severity: page}
        annotations:
          summary: "No web process tells its metrics: none runs, or Prometheus does not reach any"
          runbook: docs/handbook.md#how-alarms-reach-you
"""
"""What Prometheus alone can notice."""
RANGE = "$__rate_interval"


def rules() -> str:
    return HEAD + "".join(map(_rule, ALARMS)) + NOTHING_TOLD


def _rule(alarm: Alarm) -> str:
    return (
        f"      - alert: {alarm.code}\n"
        f"        expr: {json.dumps(alarm.expression)}\n"
        f"        for: {alarm.minutes}m\n"
        f"        labels: {{severity: {alarm.urgency}}}\n"
        "        annotations:\n"
        f"          summary: {json.dumps(alarm.summary)}\n"
        f"          runbook: docs/handbook.md#{alarm.code}\n"
    )


# ── Grafana ─────────────────────────────────────────────────────────────────────────────────────────


def _of_buckets(name: str, by: str) -> str:
    return f"sum by (le, {by}) (rate(payments_{name}_seconds_bucket[{RANGE}]))"


PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    # title, unit, queries with their legends
    (
        "Alarms that are open",
        "none",
        (("max by (alarm, subject) (payments_alert_open)", "{{alarm}} {{subject}}"),),
    ),
    (
        "Orders a minute, by outcome",
        "opm",
        (
            (
                f"60 * sum by (gateway, outcome) (rate(payments_orders_total[{RANGE}]))",
                "{{gateway}} {{outcome}}",
            ),
        ),
    ),
    (
        "Orders that fail, part of five minutes",
        "percentunit",
        (("max by (gateway) (payments_orders_failing_ratio)", "{{gateway}}"),),
    ),
    (
        "Verifications a minute, by outcome",
        "opm",
        (
            (
                f"60 * sum by (gateway, outcome) (rate(payments_verifications_total[{RANGE}]))",
                "{{gateway}} {{outcome}}",
            ),
        ),
    ),
    (
        "Webhooks a minute, by family and outcome",
        "opm",
        (
            (
                f"60 * sum by (gateway, family, outcome) (rate(payments_webhooks_total[{RANGE}]))",
                "{{gateway}} {{family}} {{outcome}}",
            ),
        ),
    ),
    (
        "Webhook lag, median and slowest twentieth",
        "s",
        tuple(
            (
                f"histogram_quantile({part}, {_of_buckets('webhook_lag', 'gateway')})",
                f"{{{{gateway}}}} {part}",
            )
            for part in ("0.5", "0.95")
        ),
    ),
    (
        "Calls of gateways a minute, by verb and outcome",
        "opm",
        (
            (
                f"60 * sum by (gateway, verb, outcome) (rate(payments_gateway_calls_total[{RANGE}]))",
                "{{gateway}} {{verb}} {{outcome}}",
            ),
        ),
    ),
    (
        "Seconds of a gateway's call, slowest twentieth",
        "s",
        (
            (
                f"histogram_quantile(0.95, {_of_buckets('gateway_call', 'gateway')})",
                "{{gateway}}",
            ),
        ),
    ),
    (
        "Circuits and refused credentials",
        "none",
        (
            ("max by (gateway, calls) (payments_circuit_open)", "{{gateway}} {{calls}} open"),
            (
                f"60 * sum by (gateway) (rate(payments_gateway_refusals_total[{RANGE}]))",
                "{{gateway}} refused",
            ),
        ),
    ),
    ("Reads that are left", "none", (("min by (gateway) (payments_read_budget_left)", "{{gateway}}"),)),
    (
        "Requests a second, by route and status",
        "reqps",
        ((f"sum by (route, status) (rate(payments_requests_total[{RANGE}]))", "{{route}} {{status}}"),),
    ),
    (
        "Seconds of a request, slowest twentieth",
        "s",
        (
            (
                f"histogram_quantile(0.95, {_of_buckets('request_duration', 'group')})",
                "{{group}}",
            ),
        ),
    ),
    (
        "Where the time goes, seconds a second",
        "s",
        ((f"sum by (where) (rate(payments_time_seconds_total[{RANGE}]))", "{{where}}"),),
    ),
    (
        "Database: turns and commits a second",
        "ops",
        (
            (f"sum(rate(payments_database_turns_total[{RANGE}]))", "turns"),
            (f"sum(rate(payments_database_commits_total[{RANGE}]))", "commits"),
            ("min(payments_database_up)", "up"),
        ),
    ),
    (
        "Payments that have not ended",
        "none",
        (
            ("max by (gateway) (payments_open)", "{{gateway}} open"),
            ("max by (gateway) (payments_held_payments)", "{{gateway}} held"),
            ("max by (gateway, kind) (payments_unknown_outcomes)", "{{gateway}} {{kind}} unknown"),
            ("max by (gateway) (payments_refunds_open)", "{{gateway}} refunds"),
        ),
    ),
    (
        "Oldest of what waits",
        "s",
        (
            ("max by (gateway) (payments_open_oldest_seconds)", "{{gateway}} payment"),
            (
                "max by (gateway, kind) (payments_unknown_outcome_oldest_seconds)",
                "{{gateway}} {{kind}} unknown",
            ),
            ("max by (gateway) (payments_inbox_oldest_seconds)", "{{gateway}} inbox"),
            ("max by (destination) (payments_outbox_oldest_seconds)", "{{destination}} outbox"),
            ("max by (gateway) (payments_refunds_open_oldest_seconds)", "{{gateway}} refund"),
            ("max(payments_review_oldest_seconds)", "review"),
        ),
    ),
    (
        "Inbox and outbox",
        "none",
        (
            ("max by (gateway) (payments_inbox_waiting)", "{{gateway}} inbox"),
            ("max by (destination) (payments_outbox_waiting)", "{{destination}} waiting"),
            ("max by (destination) (payments_outbox_dead)", "{{destination}} dead"),
        ),
    ),
    (
        "What a person must answer",
        "none",
        (
            ("max by (reason) (payments_reviews_open)", "{{reason}}"),
            ("max by (gateway) (payments_disputes_open)", "{{gateway}} disputes"),
        ),
    ),
    (
        "Time that is left",
        "s",
        (
            ("min by (gateway) (payments_capture_window_seconds)", "{{gateway}} to capture"),
            ("min by (gateway) (payments_dispute_due_seconds)", "{{gateway}} to answer a dispute"),
        ),
    ),
    (
        "Signs of life",
        "s",
        (
            ("max(payments_worker_silent_seconds)", "worker"),
            ("max by (sweep) (payments_sweep_silent_seconds)", "{{sweep}}"),
        ),
    ),
    (
        "Webhooks that do not come, or are refused",
        "none",
        (
            ("max by (gateway) (payments_paid_without_webhook)", "{{gateway}} paid without webhook"),
            ("max by (gateway) (payments_webhooks_refused_seconds)", "{{gateway}} refused for seconds"),
        ),
    ),
    (
        "Orders of the last hour, and of that hour a week ago",
        "none",
        (
            ("max(payments_orders_last_hour)", "last hour"),
            ("max(payments_orders_hour_last_week)", "a week ago"),
            ("max(payments_orders_missing)", "missing"),
        ),
    ),
    (
        "History that was changed, and what runs",
        "none",
        (
            ("max(payments_history_broken)", "payments"),
            ("count by (version, commit, python) (payments_build_info)", "{{version}} {{commit}} {{python}}"),
        ),
    ),
)
WIDE, HIGH, COLUMNS = 8, 8, 3


def dashboard() -> str:
    made = {
        "title": "Payments service",
        "uid": "payments-service",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "tags": ["payments"],
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
        },
        "panels": list(_panels()),
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _panels() -> Iterator[dict[str, Any]]:
    for number, (title, unit, queries) in enumerate(PANELS):
        source = {"type": "prometheus", "uid": "${source}"}
        yield {
            "id": number + 1,
            "title": title,
            "type": "timeseries",
            "datasource": source,
            "gridPos": {
                "x": WIDE * (number % COLUMNS),
                "y": HIGH * (number // COLUMNS),
                "w": WIDE,
                "h": HIGH,
            },
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [
                {"refId": chr(65 + place), "datasource": source, "expr": query, "legendFormat": legend}
                for place, (query, legend) in enumerate(queries)
            ],
        }


if __name__ == "__main__":
    RULES.write_text(rules())
    DASHBOARD.write_text(dashboard())
