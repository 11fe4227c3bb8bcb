"""/docs: the OpenAPI document for people, rendered here, and a paragraph for every error code."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from flask import Blueprint, Response, render_template
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from payments_service.api import guards
from payments_service.api.codes import CODES
from payments_service.api.described import HTML, described
from payments_service.pages.security import add_headers
from payments_service.pages.words import Speech

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"
METHODS = ("get", "post", "put", "patch", "delete")
JSON = "application/json"

blueprint = Blueprint("docs", __name__, url_prefix="/docs", template_folder="templates")
blueprint.after_request(add_headers)


@dataclass(frozen=True)
class Member:
    """One member of a body, or one parameter; `name` with the names above it."""

    name: str
    kind: str
    need: str
    about: str


@dataclass(frozen=True)
class Reply:
    status: str
    phrase: str
    codes: tuple[str, ...]
    bodies: tuple[tuple[str, tuple[Member, ...]], ...]
    """Title and members of each body that it may have."""


@dataclass(frozen=True)
class Operation:
    anchor: str
    method: str
    path: str
    summary: str
    about: str
    who: str
    parameters: tuple[Member, ...]
    body: tuple[Member, ...]
    example: str
    replies: tuple[Reply, ...]


@blueprint.get("")
@guards.open_to_all
@described("This document, for people", tag="Pages", gives={200: HTML}, uses_database=False)
def api() -> ResponseReturnValue:
    found = _document()
    return render_template(
        "pages/docs.html",
        say=Speech("en", {}),
        about=_marked(found["info"]["description"]),
        groups=_groups(),
        events=list(found["webhooks"]),
    )


@blueprint.get("/errors")
@guards.open_to_all
@described("What every error code means", tag="Pages", gives={200: HTML}, uses_database=False)
def errors() -> ResponseReturnValue:
    return render_template(
        "pages/errors.html",
        say=Speech("en", {}),
        codes=[(name, code.sentence, _marked(code.about), code.retry_after) for name, code in CODES.items()],
        statuses=_statuses(),
    )


@blueprint.get("/openapi.json")
@guards.open_to_all
@described("This document, for programs", tag="Service", gives={200: "application/json"}, uses_database=False)
def openapi() -> ResponseReturnValue:
    return Response(_text(), mimetype=JSON)


@cache
def _text() -> str:
    return FILE.read_text(encoding="utf-8")


@cache
def _document() -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(_text()))


@cache
def _groups() -> tuple[tuple[str, str, tuple[Operation, ...]], ...]:
    """Name, words and operations of each tag that has some."""
    operations = list(_operations())
    found = (
        (tag["name"], tag["description"], tuple(one for name, one in operations if name == tag["name"]))
        for tag in _document()["tags"]
    )
    return tuple(group for group in found if group[2])


def _operations() -> Iterator[tuple[str, Operation]]:
    for path, methods in _document()["paths"].items():
        for method in METHODS:
            if told := methods.get(method):
                yield told["tags"][0], _operation(path, method, told)


def _operation(path: str, method: str, told: Mapping[str, Any]) -> Operation:
    content = told.get("requestBody", {}).get("content", {}).get(JSON, {})
    example = content.get("examples", {}).get("example", {}).get("value")
    return Operation(
        anchor=told["operationId"],
        method=method.upper(),
        path=path,
        summary=told["summary"],
        about=_marked(told.get("description", "")),
        who=_who(told["security"]),
        parameters=tuple(_parameters(told["parameters"])),
        body=tuple(_members(content.get("schema", {}))),
        example=json.dumps(example, indent=2, ensure_ascii=False) if example else "",
        replies=tuple(_reply(status, reply) for status, reply in sorted(told["responses"].items())),
    )


def _who(security: list[dict[str, list[str]]]) -> str:
    keys = [scopes for one in security for name, scopes in one.items() if name == "apiKey"]
    if keys:
        scope = f"an API key with the scope {' '.join(keys[0])}"
        return f"anyone, or {scope}" if {} in security else scope
    return "anyone" if {} in security else "a gateway, with its signature"


def _parameters(told: list[Mapping[str, Any]]) -> Iterator[Member]:
    for one in told:
        need = "required" if one.get("required") else "optional"
        yield Member(one["name"], f"{_kind(one['schema'])}, {one['in']}", need, one.get("description", ""))


def _reply(status: str, told: Mapping[str, Any]) -> Reply:
    schema = told.get("content", {}).get(JSON, {}).get("schema", {})
    codes = tuple(
        code
        for part in schema.get("allOf", ())
        for code in part.get("properties", {}).get("code", {}).get("enum", ())
    )
    bodies = () if codes else tuple(_bodies(schema))
    return Reply(status, told["description"].partition(":")[0], codes, bodies)


def _bodies(schema: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Member, ...]]]:
    for one in schema.get("anyOf", [schema] if schema else []):
        if members := tuple(_members(one)):
            several = "anyOf" in schema
            yield one["$ref"].rpartition("_")[2] if several else "", members


def _members(schema: Mapping[str, Any], above: str = "") -> Iterator[Member]:
    schema = _resolved(schema)
    needed = schema.get("required", ())
    for name, told in schema.get("properties", {}).items():
        rule = _resolved(told)
        need = "required" if name in needed else "optional"
        yield Member(above + name, _kind(rule), need, _about(rule))
        yield from _members(rule, f"{above}{name}.")


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if reference := schema.get("$ref"):
        return cast(Mapping[str, Any], _document()["components"]["schemas"][reference.rpartition("/")[2]])
    return schema


def _kind(rule: Mapping[str, Any]) -> str:
    kinds = rule.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    return f"{words}, {rule['format']}" if "format" in rule else words


def _about(rule: Mapping[str, Any]) -> str:
    parts = [rule.get("description", "")]
    if values := rule.get("enum"):
        parts.append("one of " + ", ".join(map(str, values)))
    for word, bound in (("minLength", "at least {} characters"), ("maxLength", "at most {} characters")):
        if word in rule:
            parts.append(bound.format(rule[word]))
    for word, bound in (("minimum", "at least {}"), ("maximum", "at most {}")):
        if word in rule:
            parts.append(bound.format(rule[word]))
    return "; ".join(filter(None, parts))


@cache
def _statuses() -> Mapping[str, str]:
    """With which statuses each code comes."""
    found: dict[str, set[str]] = {}
    for _, one in _operations():
        for reply in one.replies:
            for code in reply.codes:
                found.setdefault(code, set()).add(reply.status)
    return {code: ", ".join(sorted(statuses)) for code, statuses in found.items()}


def _marked(text: str) -> Markup:
    """`code` and **strong**, of our own words alone."""
    made = str(escape(text))
    for mark, tag in (("`", "code"), ("**", "strong")):
        pieces = made.split(mark)
        made = "".join(f"<{tag}>{piece}</{tag}>" if at % 2 else piece for at, piece in enumerate(pieces))
    return Markup(made.replace("\n\n", "</p><p>"))  # noqa: S704 (escaped above)
