"""Counters of this process, and of all processes of one gunicorn where PROMETHEUS_MULTIPROC_DIR names a
folder.

The folder must be named before this module is imported. Every label has a bounded set of values: a name that
comes from outside is never one. What the database knows is no counter: store/gauges.py, read when asked.
"""

import os
import platform
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from payments_service import build, counter_files

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""OpenTelemetry's advice for http.server.request.duration (semantic conventions 1.23)."""
CALL_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LAG_SECONDS = (1.0, 5.0, 30.0, 60.0, 300.0, 3600.0)
GROUPS = (
    ("/api/webhook/", "webhook"),
    ("/api/payment/", "checkout"),
    ("/api/", "merchant"),
    ("/pay/", "page"),
)
"""By how a route begins; any other is `other`."""
TYPICAL = frozenset({200, 201, 202, 303, 400, 401, 402, 403, 404, 409, 413, 422, 429, 500, 503})
"""Statuses that are counted as they are; of others only the class is."""
FAMILIES = frozenset({"payment", "refund", "dispute"})

counter_files.keep_to_the_space_there_is()
REGISTRY = CollectorRegistry()


def _counter(name: str, about: str, *labels: str) -> Counter:
    return Counter(name, about, labels, registry=REGISTRY, namespace="payments")


REQUESTS = _counter("requests", "Requests answered, by route and status; no preflights.", "route", "status")
DURATIONS = Histogram(
    "request_duration_seconds",
    "Seconds a request took, by group of routes.",
    ["group"],
    registry=REGISTRY,
    namespace="payments",
    buckets=SECONDS,
)
ORDERS = _counter(
    "orders", "Answers of create-order: created, or the code of the error.", "gateway", "outcome"
)
VERIFICATIONS = _counter(
    "verifications",
    "Answers of verify-payment: completed, authorized, or the code of the error.",
    "gateway",
    "outcome",
)
WEBHOOKS = _counter(
    "webhooks", "Webhooks by gateway, family of the type, and outcome.", "gateway", "family", "outcome"
)
LAG = Histogram(
    "webhook_lag_seconds",
    "Seconds from what a webhook tells to its arrival.",
    ["gateway"],
    registry=REGISTRY,
    namespace="payments",
    buckets=LAG_SECONDS,
)
CALLS = _counter(
    "gateway_calls",
    "Calls of a gateway's verbs by web processes: ok, or the code of the error.",
    "gateway",
    "verb",
    "outcome",
)
CALL_DURATIONS = Histogram(
    "gateway_call_seconds",
    "Seconds a web process's call of a verb took, with its retries.",
    ["gateway"],
    registry=REGISTRY,
    namespace="payments",
    buckets=CALL_SECONDS,
)
REFUSALS = _counter(
    "gateway_refusals", "Answers to web processes that refuse our credentials (401, 403).", "gateway"
)
CIRCUITS = Gauge(
    "circuit_open",
    "1 while a web process does not ask this gateway after too many failures.",
    ["gateway", "calls"],
    registry=REGISTRY,
    namespace="payments",
    multiprocess_mode="livemax",
)
READS_LEFT = Gauge(
    "read_budget_left",
    "Reads of a gateway, or of what has its own limit there, that may be made now, by the web process that "
    "asked last.",
    ["gateway"],
    registry=REGISTRY,
    namespace="payments",
    multiprocess_mode="livemostrecent",
)
SPENT = _counter(
    "time_seconds", "Seconds of web processes at the database, a gateway, locks and the pool.", "where"
)
TURNS = _counter("database_turns", "Round trips of web processes to the database.")
COMMITS = _counter("database_commits", "Transactions that web processes committed.")


class Sample(Protocol):
    """One value of a gauge that the database knows."""

    @property
    def measure(self) -> str: ...
    @property
    def labels(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def value(self) -> float: ...


@cache
def _child(family: Any, *labels: str) -> Any:
    """Of a family that every request counts in: finding the child takes longer than counting."""
    return family.labels(*labels)


@cache
def group_of(route: str) -> str:
    return next((group for start, group in GROUPS if route.startswith(start)), "other")


def request_ended(route: str | None, status: int, seconds: float) -> None:
    """Count an answer; `route` is the rule, None where no rule fits."""
    rule = route or "none"
    word = str(status) if status in TYPICAL else f"{status // 100}xx"
    _child(REQUESTS, rule, word).inc()
    _child(DURATIONS, group_of(rule)).observe(seconds)


def webhook_ended(gateway: str, kind: str | None, outcome: str) -> None:
    """Count a webhook; `kind` is what it is to us, and any that is none of `FAMILIES` is `other`."""
    _child(WEBHOOKS, gateway, kind if kind in FAMILIES else "other", outcome).inc()


def unit_ended(seconds: dict[str, float], turns: int, commits: int) -> None:
    """Add up where the time of a unit of work went."""
    for where, spent in seconds.items():
        if spent:
            _child(SPENT, where).inc(spent)
    if turns:
        TURNS.inc(turns)
        COMMITS.inc(commits)


def process_ended(pid: int) -> None:
    """Forget what only a living process can say; what it has counted stays. For gunicorn's `child_exit`."""
    if FOLDER in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


def text(samples: Iterable[Sample], helps: dict[str, str], database_is_up: bool) -> bytes:
    """All that is counted, by every process here, and the gauges, in Prometheus' text format."""
    registry = CollectorRegistry()
    if os.path.isdir(os.environ.get(FOLDER, "")):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_Ours())
    registry.register(_Gauges(samples, helps, database_is_up))
    return generate_latest(registry)


class _Ours(Collector):
    """The counters of this process, without the moments at which each began, which no dashboard reads."""

    def collect(self) -> Iterator[Metric]:
        for family in REGISTRY.collect():
            family.samples = [one for one in family.samples if not one.name.endswith("_created")]
            yield family


class _Gauges(Collector):
    def __init__(self, samples: Iterable[Sample], helps: dict[str, str], database_is_up: bool) -> None:
        self._samples, self._helps, self._is_up = list(samples), helps, database_is_up

    def collect(self) -> Iterator[Metric]:
        yield _gauge(
            "database_up", "1 when the database answered this question.", [((), 1.0 if self._is_up else 0.0)]
        )
        runs = {"python": platform.python_version(), "version": build.VERSION, "commit": build.COMMIT}
        yield _gauge("build_info", "What runs.", [(tuple(runs.items()), 1.0)])
        for measure, about in self._helps.items():
            found = [(one.labels, one.value) for one in self._samples if one.measure == measure]
            if found:
                yield _gauge(measure, about, found)


def _gauge(name: str, about: str, values: list[tuple[tuple[tuple[str, str], ...], float]]) -> Metric:
    family = GaugeMetricFamily(f"payments_{name}", about)
    for labels, value in values:
        family.add_sample(family.name, dict(labels), value)
    return family
