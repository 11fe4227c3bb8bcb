"""What a newer OpenAPI document takes away from those who build on an older one."""

from collections.abc import Iterator
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
BOUNDS = {"maxLength": 1, "maximum": 1, "maxItems": 1, "minLength": -1, "minimum": -1, "minItems": -1}
"""Of a request: a bound may move outwards only; the sign says which way that is."""
JSON = "application/json"
Schema = dict[str, Any]


def narrowed(old: Schema, new: Schema) -> list[str]:
    """One line each, beginning with the operation (or the event) and the member that it is about."""
    return [*_operations(old, new), *_events(old, new)]


def _operations(old: Schema, new: Schema) -> Iterator[str]:
    for path, methods in old["paths"].items():
        for method in methods.keys() & set(METHODS):
            name = f"{method.upper()} {path}"
            there = new["paths"].get(path, {}).get(method)
            if there is None:
                yield f"{name}: removed"
                continue
            yield from _parameters(name, methods[method], there)
            yield from _taken(name, _body(methods[method]), _body(there), old, new)
            yield from _given(name, methods[method]["responses"], there["responses"], old, new)


def _events(old: Schema, new: Schema) -> Iterator[str]:
    for event, told in old.get("webhooks", {}).items():
        there = new.get("webhooks", {}).get(event)
        if there is None:
            yield f"event {event}: removed"
            continue
        yield from _members(
            f"event {event}", _body(told["post"]), _body(there["post"]), old, new, is_taken=False
        )


def _parameters(name: str, old: Schema, new: Schema) -> Iterator[str]:
    known = {one.get("name"): one for one in new["parameters"]}
    before = {one.get("name"): one for one in old["parameters"]}
    for parameter, one in before.items():
        if parameter not in known:
            yield f"{name} {parameter}: removed"
        else:
            yield from _bounds(f"{name} {parameter}", one["schema"], known[parameter]["schema"])
    for parameter, one in known.items():
        if one.get("required") and not before.get(parameter, {}).get("required"):
            yield f"{name} {parameter}: required now"


def _taken(name: str, before: Schema, now: Schema, old: Schema, new: Schema) -> Iterator[str]:
    yield from _members(name, before, now, old, new, is_taken=True)


def _given(name: str, before: Schema, now: Schema, old: Schema, new: Schema) -> Iterator[str]:
    for status, response in before.items():
        if status not in now:
            if status < "300":
                yield f"{name} {status}: removed"
            continue
        schemas = [one.get("content", {}).get(JSON, {}).get("schema", {}) for one in (response, now[status])]
        if status < "300":
            yield from _members(f"{name} {status}", schemas[0], schemas[1], old, new, is_taken=False)


def _members(
    name: str, before: Schema, now: Schema, old: Schema, new: Schema, *, is_taken: bool
) -> Iterator[str]:
    """Of what is taken, none may go or be required anew; of what is given, none may go or be optional."""
    before, now = _whole(before, old), _whole(now, new)
    variants = before.get("anyOf")
    if variants:
        for one, other in zip(variants, now.get("anyOf", []), strict=False):
            yield from _members(name, one, other, old, new, is_taken=is_taken)
        if len(now.get("anyOf", [])) < len(variants):
            yield f"{name}: has fewer forms"
        return
    for member, rule in before.get("properties", {}).items():
        there = now.get("properties", {}).get(member)
        if there is None:
            yield f"{name} {member}: removed"
            continue
        kinds, others = _kinds(_whole(rule, old)), _kinds(_whole(there, new))
        if (is_taken and not kinds <= others) or (not is_taken and not others <= kinds):
            yield f"{name} {member}: was {'/'.join(sorted(kinds))}, is {'/'.join(sorted(others))}"
        if is_taken:
            yield from _bounds(f"{name} {member}", _whole(rule, old), _whole(there, new))
        elif member in before.get("required", ()) and member not in now.get("required", ()):
            yield f"{name} {member}: is not always there any more"
        yield from _members(f"{name} {member}", rule, there, old, new, is_taken=is_taken)
    if is_taken:
        for member in set(now.get("required", ())) - set(before.get("required", ())):
            yield f"{name} {member}: required now"


def _bounds(name: str, before: Schema, now: Schema) -> Iterator[str]:
    for word, sign in BOUNDS.items():
        if word in now and (word not in before or sign * now[word] < sign * before[word]):
            yield f"{name}: {word} is {now[word]}"
    if "enum" in now and not set(before.get("enum", [object()])) <= set(now["enum"]):
        yield f"{name}: takes fewer values"


def _kinds(rule: Schema) -> set[str]:
    kinds = rule.get("type", "any")
    return set(kinds) if isinstance(kinds, list) else {kinds}


def _body(operation: Schema) -> Schema:
    body: Schema = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema", {})
    return body


def _whole(schema: Schema, document: Schema) -> Schema:
    """Without references, and its parts as one."""
    if reference := schema.get("$ref"):
        found = document["components"]["schemas"][reference.rpartition("/")[2]]
        schema = {**found, **{name: part for name, part in schema.items() if name != "$ref"}}
        if "properties" in found and schema["properties"] is not found["properties"]:
            schema["properties"] = {**found["properties"], **schema["properties"]}
        return _whole(schema, document)
    if "allOf" not in schema or "if" in (schema["allOf"] or [{}])[0]:
        return schema
    parts = [_whole(part, document) for part in schema["allOf"]]
    return {
        "type": "object",
        "required": [name for part in parts for name in part.get("required", ())],
        "properties": {name: rule for part in parts for name, rule in part.get("properties", {}).items()},
    }
