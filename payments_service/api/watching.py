"""The doors for those who watch: /health, /ready and /metrics; and what is measured of every request."""

import logging
from datetime import UTC, datetime

from flask import Flask, Response, g, request
from flask.typing import ResponseReturnValue

from payments_service import logs, metrics
from payments_service.api import guards, services
from payments_service.api.answers import HealthSchema, NotReadySchema, ReadySchema, dumped
from payments_service.api.codes import CODES
from payments_service.api.described import described
from payments_service.flows.measures import HELPS
from payments_service.flows.readiness import readiness

CREATE, VERIFY = "/api/payment/create-order", "/api/payment/verify-payment"
WEBHOOK = "/api/webhook/<gateway>"
MAX_PATH = 200
"""Characters of an address in the log; ours are shorter."""
QUIET = frozenset({"/health", "/ready", "/metrics"})
"""Asked every few seconds by machines: their lines are DEBUG while all is well."""


def register(app: Flask) -> None:
    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/ready", view_func=ready)
    app.add_url_rule("/metrics", view_func=metrics_)
    app.after_request(_learn_answer)
    app.teardown_request(_end)


@guards.open_to_all
@described("Whether the process answers", tag="Service", gives={200: HealthSchema}, uses_database=False)
def health() -> ResponseReturnValue:
    """This process answers. It asks nothing and waits for nothing."""
    told = {"status": "ok", "message": "Payment service is running", "timestamp": datetime.now(UTC)}
    return dumped(HealthSchema(), told)


@guards.open_to_all
@described(
    "Whether requests can be served now",
    about="503 for the database or its tables alone; workers and gateways are told, and decide nothing.",
    tag="Service",
    gives={200: ReadySchema, 503: NotReadySchema},
    uses_database=False,
)
def ready() -> ResponseReturnValue:
    """503 only for the database or its tables; all else is told, and requests are still sent here."""
    house = services()
    found = readiness(house.db)
    silent_since = house.watch.last_known_silence()
    told = {
        "status": "ready" if found.is_ready else "not_ready",
        "database": found.database,
        "worker": f"silent since {silent_since.isoformat()}" if silent_since else "ok",
        "gateways": {gateway.provider: gateway.health.word() for gateway in house.gateways},
        "timestamp": datetime.now(UTC),
    }
    if found.is_ready:
        return dumped(ReadySchema(), told)
    code = "not_migrated" if found.database == "not_migrated" else "store_unavailable"
    logs.note(code=code)
    return dumped(NotReadySchema(), {**told, "error": CODES[code].sentence, "code": code}), 503


@guards.reader_of_metrics
@described(
    "Counters and gauges for Prometheus",
    about="In development without a key.",
    tag="Service",
    gives={200: "text/plain"},
    uses_database=False,
)
def metrics_() -> ResponseReturnValue:
    samples, is_up = services().measures.read()
    return Response(metrics.text(samples, HELPS, is_up), content_type=metrics.CONTENT_TYPE)


def begin() -> None:
    """A request has arrived; one log line tells how it ends, also when it fails."""
    logs.request_id.set(logs.masked_path(g.request_id))  # a caller may give what is a phone or a card
    g.unit = logs.begin(
        "Request",
        method=request.method,
        path=logs.masked_path(request.path[:MAX_PATH]),
        route=request.url_rule.rule if request.url_rule else None,
        bytesIn=request.content_length,
    )


def _learn_answer(response: Response) -> Response:
    """What was answered; the code of an error is in its body, and was noted where it was made."""
    if unit := g.get("unit"):
        is_known = "outcome" in unit.facts
        key = g.get("api_key")
        unit.note(
            status=response.status_code,
            bytesOut=response.content_length,
            apiKey=key.name if key else None,
            outcome=None if is_known else _outcome(response.status_code),
        )
    return response


def _end(error: BaseException | None) -> None:
    unit = g.pop("unit", None)
    if unit is None:
        return
    if error is not None:
        unit.note(outcome="crashed", error=type(error).__name__)
    status = unit.facts.get("status", 500)
    route = unit.facts.get("route")
    _count(unit, route, status)
    unit.level = logging.DEBUG if route in QUIET and status < 400 else logging.INFO
    logs.end(unit)


def _count(unit: logs.Unit, route: str | None, status: int) -> None:
    metrics.unit_ended(unit.seconds, unit.counts["roundTrips"], unit.counts["commits"])
    facts = unit.facts
    if facts["method"] == "OPTIONS":
        return  # a browser asks before its request, which is counted
    metrics.request_ended(route, status, unit.milliseconds() / 1000)
    gateway = facts.get("gateway")
    if gateway not in services().gateway_names() and gateway not in [g.provider for g in services().gateways]:
        return
    if route == CREATE:
        metrics.ORDERS.labels(gateway, "created" if status == 200 else facts.get("code", "other")).inc()
    elif route == VERIFY:
        outcome = facts.get("paymentStatus") if status == 200 else facts.get("code")
        metrics.VERIFICATIONS.labels(gateway, outcome or "other").inc()
    elif route == WEBHOOK:
        outcome = "not_stored" if status >= 500 else facts.get("outcome")
        metrics.webhook_ended(gateway, facts.get("kind"), outcome or "other")


def _outcome(status: int) -> str:
    return "ok" if status < 400 else "refused" if status < 500 else "failed"
