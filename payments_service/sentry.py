"""Unforeseen errors go to Sentry where SENTRY_DSN is set; its client is loaded only then.

What leaves is made anew from what is known to be harmless: class and place of an error, code and ids.
Messages of errors may quote values, local variables hold secrets, and requests personal data: none is taken.
"""

import logging
from typing import Any

from payments_service import logs

EVENT = ("event_id", "timestamp", "platform", "level", "logger", "release", "environment", "server_name")
FRAME = ("filename", "function", "module", "lineno", "in_app")
FACTS = (
    "code",
    "error",
    "gateway",
    "id",
    "kind",
    "method",
    "outcome",
    "provider",
    "route",
    "sweep",
    "alertId",
)
"""Members of a line that are ids and words of our own."""


def start(dsn: str | None, environment: str) -> None:
    """From now on lines of level ERROR are told; nothing happens without a DSN."""
    if dsn is None:
        return
    import sentry_sdk
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[LoggingIntegration(level=None, event_level=logging.ERROR)],
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        before_send=scrubbed,  # type: ignore[arg-type]
        shutdown_timeout=2,
    )


def scrubbed(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
    """The event, made anew of what may leave."""
    record = hint.get("log_record")
    data = getattr(record, "data", {}) if record is not None else {}
    facts = {name: logs.masked_words(str(data[name])) for name in FACTS if data.get(name) is not None}
    made = {name: event[name] for name in EVENT if name in event}
    # A sentence with its values filled in may hold any of them; the sentence itself stands in our code.
    sentence = str(record.msg) if record is not None else "Error"
    made["logentry"] = {"message": logs.masked_words(sentence)}
    made["tags"] = {**facts, "requestId": logs.request_id.get() or ""}
    errors = event.get("exception", {}).get("values", [])
    if errors:
        made["exception"] = {"values": [_error(error) for error in errors]}
    return made


def _error(error: dict[str, Any]) -> dict[str, Any]:
    frames = (error.get("stacktrace") or {}).get("frames", [])
    kept = [{name: frame[name] for name in FRAME if name in frame} for frame in frames]
    return {
        "type": error.get("type"),
        "module": error.get("module"),
        "value": "",
        "stacktrace": {"frames": kept},
    }
