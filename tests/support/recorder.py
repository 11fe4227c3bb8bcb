"""docs/openapi.json as the judge of every answer that a test gets, and the list of what was ever answered."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from payments_service.gateways import GATEWAYS

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
UNSEEN = Path(__file__).parents[1] / "fixtures" / "openapi" / "unseen.txt"
NAMES = [gateway.name for gateway in GATEWAYS]
JSON, PROBLEM = "application/json", "application/problem+json"
METHODS = ("get", "post", "put", "patch", "delete")
OF_ANY_SITE = {
    *("cache-control", "connection", "content-encoding", "content-length", "content-type", "date", "server"),
    *("content-security-policy", "referrer-policy", "strict-transport-security", "transfer-encoding", "vary"),
    *("x-content-type-options", "x-frame-options"),
}
"""Headers that say nothing of this API, so that the document has none of them; nor has it those of CORS."""
STRICT = {
    name: {**schema, "additionalProperties": False} if "properties" in schema else schema
    for name, schema in DOCUMENT["components"]["schemas"].items()
}
"""The document promises no member to be the last; a test that gets one that is not declared says so."""

Answer = tuple[str, int, str]
"""`POST /api/quote`, 400, and the code of its error; no code for anything else."""


def _documented() -> Iterator[Answer]:
    for path, operations in DOCUMENT["paths"].items():
        for method in operations.keys() & set(METHODS):
            for status, response in operations[method]["responses"].items():
                for code in _codes(response) or [""]:
                    yield f"{method.upper()} {path}", int(status), code


def _codes(response: dict[str, Any]) -> list[str]:
    schema = response.get("content", {}).get(JSON, {}).get("schema", {})
    named = DOCUMENT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
    return [
        code
        for part in (*schema.get("allOf", ()), named)
        for code in part.get("properties", {}).get("code", {}).get("enum", ())
    ]


def operation_of(method: str, path: str) -> str | None:
    """`GET /pay/{payment_id}` for a request; None for one that the document does not name."""
    for template, operations in DOCUMENT["paths"].items():
        if method.lower() in operations and _pattern(template).fullmatch(path):
            return f"{method.upper()} {template}"
    return None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[a-z_]+\})", template)
    wild = {"{reference}": ".+", "{payment_id}": "[0-9a-fA-F-]{36}", "{refund_id}": "[0-9a-fA-F-]{36}"}
    return re.compile("".join(wild.get(p, "[^/]+") if p.startswith("{") else re.escape(p) for p in parts))


class Recorder:
    def __init__(self) -> None:
        self.seen: set[Answer] = set()
        self.problems: list[str] = []

    def see(
        self, method: str, path: str, status: int, headers: Mapping[str, str], media_type: str, body: bytes
    ) -> None:
        """Judge one answer. What it does not name at all (files, 405, the way to HTTPS) is left alone."""
        operation = operation_of(method, path)
        if operation is None or status in (308, 405, 501):
            return
        told = _json(body) if media_type in (JSON, PROBLEM) else None
        code = told.get("code", "") if isinstance(told, dict) and status >= 400 else ""
        self.seen.add((operation, status, code))
        if (operation, status, code) not in documented():
            self.problems.append(
                f"{operation} answered {status} {code}, which docs/openapi.json does not name"
            )
            return
        for wrong in (*_judge(operation, status, media_type, told), *_unnamed(operation, status, headers)):
            self.problems.append(f"{operation} {status} {code}: {wrong}")


def unseen(seen: set[Answer]) -> list[str]:
    """What the document names and no test has got, but for what unseen.txt leaves out."""
    left_out = set(UNSEEN.read_text().splitlines())
    return sorted(set(map(shown, documented() - seen)) - left_out)


def shown(answer: Answer) -> str:
    return " ".join(map(str, answer)).rstrip()


@cache
def documented() -> frozenset[Answer]:
    return frozenset(_documented())


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _judge(operation: str, status: int, media_type: str, told: Any) -> Iterator[str]:
    method, _, path = operation.partition(" ")
    content = DOCUMENT["paths"][path][method.lower()]["responses"][str(status)].get("content")
    if content is None:
        return
    if media_type not in content:
        yield f"is {media_type}, not {', '.join(content)}"
    elif media_type in (JSON, PROBLEM) and not _is_of_a_fake(told):
        for wrong in _validator(operation, status, media_type).iter_errors(told):
            yield f"{wrong.json_path}: {wrong.message}"


def _unnamed(operation: str, status: int, headers: Mapping[str, str]) -> Iterator[str]:
    method, _, path = operation.partition(" ")
    named = DOCUMENT["paths"][path][method.lower()]["responses"][str(status)].get("headers", {})
    known = OF_ANY_SITE | {name.lower() for name in named}
    for name in headers:
        if name.lower() not in known and not name.lower().startswith("access-control-"):
            yield f"the header {name} is not named"


def _is_of_a_fake(told: Any) -> bool:
    """A gateway by hand answers what a test declared; no document names that."""
    return isinstance(told, dict) and told.get("gateway", NAMES[0]) not in NAMES


@cache
def _validator(operation: str, status: int, media_type: str) -> Draft202012Validator:
    method, _, path = operation.partition(" ")
    content = DOCUMENT["paths"][path][method.lower()]["responses"][str(status)]["content"]
    return Draft202012Validator({**content[media_type]["schema"], "components": {"schemas": STRICT}})


RECORDER = Recorder()
