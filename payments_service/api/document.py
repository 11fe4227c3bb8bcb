"""The OpenAPI 3.1 document, made of the routes, their schemas and the events: `flask --app wsgi openapi`.

What is served and tested is the committed docs/openapi.json; a running service makes none.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_cls
from flask import Flask
from marshmallow import Schema, fields
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import Rule

from payments_service.api import answers, schemas
from payments_service.api.codes import CODES
from payments_service.api.described import DESCRIBED, HTML, Declared, Described
from payments_service.api.errors import PROBLEM
from payments_service.api.guards import GUARD
from payments_service.api.links import LINKS, Link
from payments_service.build import VERSION
from payments_service.gateways import GATEWAYS

DOCS = Path(__file__).parents[2] / "docs"
EVENTS = DOCS / "events.schema.json"
METHODS = ("get", "post", "put", "patch", "delete")
JSON = "application/json"
KEY_WITH = "key_with "
"""How the guard of a route for API keys begins; its scope follows."""
METRICS = "reader_of_metrics"

ABOUT = """Payments through several gateways behind one API.

Amounts are **rupees**, numbers with at most two decimals. `order.amount` and members whose name ends in
`Paise` are integers in paise. `id` is the payment's id here; `orderId` and `paymentId` are the ids that the
gateway gave to the order and to the payment. Every error has `error`, a sentence, and `code`, a word. With
`Accept: application/problem+json` an error is also a problem of RFC 9457. `Retry-After` says after how many
seconds the same request may be sent again. A member of a request that is not required may be null: that is
the same as leaving it out. Later versions may add members, codes and event types: ignore those that you do
not know."""

TAGS = {
    "Checkout": "Called by the buyer's browser, without a key.",
    "Merchant": "Called by the merchant's server, with an API key.",
    "Webhooks": "Called by gateways.",
    "Pages": "For people.",
    "Service": "For machines that watch the service.",
}
HEADERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Idempotency-Key": (
        "Quoted or bare.",
        {"type": "string", "minLength": 16, "maxLength": 257, "examples": ["order-1001-first-try"]},
    ),
}
REPLAYED = " The same request with the same key is carried out once and gets the same answer, for 24 hours."
PARAMETERS: Mapping[str, tuple[str, str]] = {
    "gateway": ("the gateway", GATEWAYS[0].name),
    "reference": ("orderId, paymentId or our id of the payment", answers.AN_ID),
    "payment_id": ("our id of the payment", answers.AN_ID),
    "refund_id": ("our id of the refund", answers.AN_ID),
    "event_id": ("the event's id", "evt_019c0f3e6a637d1c9a585f0c8f7b2d11"),
}
MEMBERS: Mapping[str, str] = {
    "CreateOrderSchema.gateway": "which gateway, in any case",
    "CreateOrderSchema.customer": "who pays; kept for the gateway, never shown on a page",
    "CustomerSchema.name": "in any script",
    "CustomerSchema.email": "where the confirmation goes",
    "CustomerSchema.phone": "ten digits that begin with 6 to 9; spaces, dashes, +91 and 0 are dropped",
    "description": "what is paid for, shown on the hosted page",
    "CreateOrderSchema.reference": "your order number; trusted, and paid once, with quote or API key only",
    "QuoteSchema.reference": "your order number: it is paid once",
    "userId": "your id of the buyer, told in events",
    "CreateOrderSchema.returnUrl": "where the payer lands, on an origin of FRONTEND_URL or BACKEND_URL",
    "CreateOrderSchema.quote": "a price that your server signed (POST /api/quote); no amount is needed then",
    "metadata": (
        "up to 15 pairs of texts, told in events, never sent to a gateway; "
        f"at most {schemas.MAX_METADATA_BYTES} bytes in all, as JSON in UTF-8"
    ),
    "QuoteSchema.expiresIn": "seconds until no order can be opened with it any more; an hour unless you say",
}
"""What members of requests are for: of one schema, or of any."""
ANSWER_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "X-Request-Id": {
        "description": "Under this id the service's log tells of the request; one that was sent is kept.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which another try makes sense.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Idempotency-Replayed": {
        "description": "true: the answer of the first request with this Idempotency-Key.",
        "schema": {"const": "true"},
    },
    "Location": {
        "description": "Where to go, or where what was made can be asked for.",
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": "How to show who asks.",
        "schema": {"const": "Bearer"},
    },
    "Content-Disposition": {
        "description": "Beside CSV: it is a file, and its name.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "What is left of each limit (draft-ietf-httpapi-ratelimit-headers-10).",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "The limits that this request was under.",
        "schema": {"type": "string"},
    },
}


def build(app: Flask) -> dict[str, Any]:
    """The document of all routes of the app."""
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    spec = APISpec(
        title="Payments service",
        version=VERSION,
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": ABOUT, "license": {"name": "MIT", "identifier": "MIT"}},
        servers=[{"url": "/", "description": "this service"}],
        tags=[{"name": name, "description": about} for name, about in TAGS.items()],
        security=[],
    )
    assert plugin.converter is not None  # noqa: S101 (made with the spec)
    plugin.converter.add_attribute_function(_own_fields)  # type: ignore[no-untyped-call]
    for name, scheme in _security_schemes().items():
        spec.components.security_scheme(name, scheme)
    for name, header in ANSWER_HEADERS.items():
        spec.components.header(name, dict(header))
    spec.components.schema("Error", schema=answers.ErrorSchema)
    spec.components.schema("Problem", schema=answers.ProblemSchema)
    for rule in sorted(app.url_map.iter_rules(), key=lambda one: one.rule):
        view = app.view_functions[rule.endpoint]
        entry = getattr(view, DESCRIBED, None)
        if isinstance(entry, Described):
            guard = getattr(view, GUARD)
            operations = {
                m: _operation(rule, m, entry, guard) for m in METHODS if m.upper() in (rule.methods or ())
            }
            spec.path(path=_path(rule), operations=operations)
    document = cast(dict[str, Any], json.loads(json.dumps(spec.to_dict())))
    _say_what_is_refused(document)
    _add_events(document)
    return document


def _say_what_is_refused(document: dict[str, Any]) -> None:
    """A member that is not known is refused from API keys alone; an answer may get further ones later."""
    components = document["components"]["schemas"]
    for schema in components.values():
        schema.pop("additionalProperties", None)
    for operations in document["paths"].values():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {}).get(JSON)
            if content and {} not in operation["security"]:
                components[content["schema"]["$ref"].rpartition("/")[2]]["additionalProperties"] = False


def as_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


# ── one operation ───────────────────────────────────────────────────────────────────────────────────


def _operation(rule: Rule, method: str, entry: Described, guard: str) -> dict[str, Any]:
    name = f"{rule.endpoint}_{method}".replace(".", "_").replace("__", "_")
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": entry.summary,
        "tags": [entry.tag],
        "security": _security(guard),
        "parameters": [*_path_parameters(rule), *_header_parameters(entry), *_query(entry)],
        "responses": {**_successes(entry, name), **_refusals(entry, guard, method)},
    }
    if entry.about:
        operation["description"] = entry.about
    if entry.takes is not None:
        content: dict[str, Any] = {"schema": _instance(entry.takes)}
        if entry.example:
            content["examples"] = {"example": {"value": dict(entry.example)}}
        operation["requestBody"] = {"required": not entry.may_be_empty, "content": {JSON: content}}
    return operation


def _path(rule: Rule) -> str:
    return re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", lambda found: "{" + found[1].strip("_") + "}", rule.rule)


def _path_parameters(rule: Rule) -> Iterator[dict[str, Any]]:
    for converter, name in re.findall(r"<(?:([a-z]+):)?([a-z_]+)>", rule.rule):
        about, example = PARAMETERS[name]
        schema: dict[str, Any] = {"type": "string", "minLength": 1, "examples": [example]}
        if converter == "uuid":
            schema |= {"format": "uuid"}
        elif name == "gateway":
            schema |= {"enum": list(dict.fromkeys(gateway.name for gateway in GATEWAYS))}
        yield {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _header_parameters(entry: Described) -> Iterator[dict[str, Any]]:
    for name in entry.headers:
        about, schema = HEADERS[name]
        is_needed = name in entry.needs
        yield {
            "name": name,
            "in": "header",
            "required": is_needed,
            "description": about + (REPLAYED if entry.replays else ""),
            "schema": dict(schema),
        }


def _query(entry: Described) -> Iterable[dict[str, Any]]:
    if entry.query is None:
        return ()
    return ({"in": "query", "schema": _instance(entry.query)},)


def _successes(entry: Described, operation: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for status, given in entry.gives.items():
        response: dict[str, Any] = {
            "description": HTTP_STATUS_CODES[status],
            "headers": _headers(entry, status),
        }
        if isinstance(given, str):
            response["content"] = {given: {"schema": {"type": "object" if given == JSON else "string"}}}
        elif isinstance(given, list | tuple):
            response["content"] = {JSON: {"schema": {"anyOf": [_instance(one) for one in given]}}}
        elif given is not None:
            response["content"] = {JSON: {"schema": _instance(cast(Declared, given))}}
        for media_type in entry.also.get(status, ()):
            response["content"][media_type] = {"schema": {"type": "string"}}
        if links := LINKS.get((operation, status)):
            response["links"] = {name: _link(link) for name, link in links.items()}
        found[str(status)] = response
    return found


def _link(link: Link) -> dict[str, Any]:
    return {
        "operationId": link.operation,
        "description": link.about,
        "parameters": dict(link.takes),
    }


def _headers(
    entry: Described, status: int, *, retries: bool = False, asks_who: bool = False
) -> dict[str, Any]:
    names = ["X-Request-Id"]
    if 300 <= status < 400 or status in (201, 202):
        names.append("Location")
    if status < 300 and entry.replays and "Idempotency-Key" in entry.headers:
        names.append("Idempotency-Replayed")
    if status in entry.also:
        names.append("Content-Disposition")
    if asks_who:
        names.append("WWW-Authenticate")
    if retries or status == 503:
        names.append("Retry-After")
    if 429 in entry.refuses:
        names += ["RateLimit", "RateLimit-Policy"]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _refusals(entry: Described, guard: str, method: str) -> dict[str, dict[str, Any]]:
    codes: dict[int, list[str]] = {}
    for status, names in (*_common(entry, guard, method), *entry.refuses.items()):
        codes.setdefault(status, []).extend(name for name in names if name not in codes.get(status, []))
    return {str(status): _refusal(entry, status, names) for status, names in sorted(codes.items())}


def _common(entry: Described, guard: str, method: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """What any route of this guard and method may refuse with."""
    if HTML in entry.gives.values() or entry.tag == "Pages":
        return
    if method != "get" and guard != "gateway_credentials":
        yield 400, ("invalid_json",)
    if method != "get":
        yield 413, ("body_too_large",)
    if guard.startswith(KEY_WITH) or guard in ("browser_or_key", METRICS):
        yield 401, ("unauthorized",)
        yield 403, ("scope_missing",)
    yield 500, ("internal_error",)
    if entry.uses_database:
        yield 503, ("store_unavailable", "not_migrated")


def _refusal(entry: Described, status: int, names: list[str]) -> dict[str, Any]:
    schema = {
        "allOf": [
            {"$ref": "#/components/schemas/Error"},
            {"type": "object", "properties": {"code": {"enum": list(names)}}},
        ]
    }
    examples = {
        name: {"value": {"success": False, "error": CODES[name].sentence, "code": name}} for name in names
    }
    return {
        "description": HTTP_STATUS_CODES[status] + ": " + ", ".join(f"`{name}`" for name in names),
        "headers": _headers(
            entry,
            status,
            retries=any(CODES[name].retry_after for name in names),
            asks_who="unauthorized" in names,
        ),
        "content": {
            JSON: {"schema": schema, "examples": examples},
            PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    }


# ── who may call ────────────────────────────────────────────────────────────────────────────────────


def _security_schemes() -> dict[str, dict[str, Any]]:
    schemes: dict[str, dict[str, Any]] = {
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of `flask --app wsgi api-key NAME`; a route names the scope that it needs.",
        },
        "metricsToken": {"type": "http", "scheme": "bearer", "description": "METRICS_TOKEN."},
    }
    for gateway in GATEWAYS:
        for header in gateway.webhook_headers:
            about = (
                f"The proof of a webhook of {gateway.name}; which one, is in the README and in .env.example."
            )
            schemes[f"{gateway.name}-{header}"] = {
                "type": "apiKey",
                "in": "header",
                "name": header,
                "description": about,
            }
    return schemes


def _security(guard: str) -> list[dict[str, list[str]]]:
    if guard.startswith(KEY_WITH):
        return [{"apiKey": [guard.removeprefix(KEY_WITH)]}]
    if guard == "browser_or_key":
        return [{}, {"apiKey": ["write"]}]
    if guard == METRICS:
        return [{"apiKey": ["read"]}, {"metricsToken": []}]
    if guard == "gateway_credentials":
        return [{name: []} for name in _security_schemes() if name not in ("apiKey", "metricsToken")]
    return [{}]


# ── schemas ─────────────────────────────────────────────────────────────────────────────────────────


def _instance(declared: Declared) -> Schema:
    return declared if isinstance(declared, Schema) else declared()


def _name(schema: Any) -> str:
    name = resolve_schema_cls(schema).__name__  # type: ignore[union-attr]
    return str(name).removesuffix("Schema")


def _own_fields(_self: Any, field: fields.Field[Any], **_: Any) -> dict[str, Any]:
    """What marshmallow's types do not tell of ours."""
    about = MEMBERS.get(f"{type(field.parent).__name__}.{field.name}") or MEMBERS.get(str(field.name))
    said = {"description": about} if about and "description" not in field.metadata else {}
    if isinstance(field, schemas.Amount):
        kinds = ["number", "string", "null"] if field.allow_none else ["number", "string"]
        return {
            "type": kinds,
            "description": "rupees, with at most two decimals",
            "examples": [499, "499.05"],
        }
    if isinstance(field, answers.Rupees):
        return {"type": ["number", "null"] if field.allow_none else "number"}
    if isinstance(field, fields.Constant):
        return {"const": field.constant}
    return said


# ── events out ──────────────────────────────────────────────────────────────────────────────────────


def _add_events(document: dict[str, Any]) -> None:
    """The merchant's own webhooks, from the schema that events are tested against."""
    pinned = _renamed(json.loads(EVENTS.read_text()))
    components = document["components"]["schemas"]
    for name, part in pinned["$defs"].items():
        components[_event_name(name)] = part
    envelope = {name: part for name, part in pinned.items() if name in ("type", "required", "properties")}
    components["Event"] = {**envelope, "description": pinned["description"]}
    document["webhooks"] = {
        one["$ref"].rpartition("/")[2].removeprefix("event."): _event(one["$ref"]) for one in pinned["oneOf"]
    }


def _event(reference: str) -> dict[str, Any]:
    event_type = reference.rpartition("/")[2].removeprefix("event.")
    headers = [
        {"name": name, "in": "header", "required": True, "description": about, "schema": {"type": "string"}}
        for name, about in (
            ("webhook-id", "the event's id, the same on every try"),
            ("webhook-timestamp", "the second of this try"),
            (
                "webhook-signature",
                "by the Standard Webhooks specification; several, separated by spaces, while a secret is "
                "changed",
            ),
        )
    ]
    body = {"allOf": [{"$ref": "#/components/schemas/Event"}, {"$ref": reference}]}
    return {
        "post": {
            "operationId": "event_" + event_type.replace(".", "_"),
            "summary": event_type,
            "description": "Sent to MERCHANT_WEBHOOK_URL, for 75 hours until it is answered 2xx.",
            "tags": ["Webhooks"],
            "parameters": headers,
            "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
            "responses": {
                "2XX": {"description": "You have it."},
                "default": {"description": "It is sent again later."},
            },
        }
    }


def _event_name(name: str) -> str:
    return f"event.{name}"


def _renamed(part: Any) -> Any:
    """The same schema, its definitions named as components."""
    if isinstance(part, list):
        return [_renamed(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {name: _renamed(value) for name, value in part.items()}
    if str(made.get("$ref", "")).startswith("#/$defs/"):
        made["$ref"] = "#/components/schemas/" + _event_name(made["$ref"].removeprefix("#/$defs/"))
    return made
