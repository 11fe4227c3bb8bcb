"""docs/events.schema.json as the judge of events: what is wrong with one, and a watch over all of them."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from payments_service.domain.payment import Fact
from payments_service.store import outbox

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "events.schema.json").read_text())
TYPES = tuple(one["$ref"].removeprefix("#/$defs/") for one in SCHEMA["oneOf"])
MARK = "Event is not as documented"
"""What the log of a process says before each problem."""


def _judge(event_type: str) -> Draft202012Validator:
    """The schema for this type alone, so that its complaints name members and not alternatives."""
    without_choice = {name: part for name, part in SCHEMA.items() if name != "oneOf"}
    return Draft202012Validator({**without_choice, "$ref": f"#/$defs/{event_type}"})


JUDGES = {event_type: _judge(event_type) for event_type in TYPES}


def problems(body: dict[str, Any]) -> list[str]:
    """Where and why the event differs from the schema; empty for one that is as documented."""
    judge = JUDGES.get(str(body.get("type")))
    if judge is None:
        return [f"{body.get('type')!r} is no type of docs/events.schema.json"]
    return [f"{body['type']} {wrong.json_path}: {wrong.message}" for wrong in judge.iter_errors(body)]


def watch(report: Callable[[str], None]) -> None:
    """From now on, report each problem of each event that this process writes, also of one told to no one."""
    put, rows_of = outbox.put, outbox.rows_of

    def look(event_type: str, now: datetime, data: Any) -> None:
        body = {"type": event_type, "timestamp": now.isoformat(), "data": data}
        for problem in problems(json.loads(json.dumps(body))):
            report(problem)

    def watched(session: Any, destinations: Any, **event: Any) -> None:
        look(event["event_type"], event["now"], event["data"])
        put(session, destinations, **event)

    def watched_rows(fact: Fact) -> Any:
        look(fact.type, fact.created_at, fact.data)
        return rows_of(fact)

    outbox.put, outbox.rows_of = watched, watched_rows
