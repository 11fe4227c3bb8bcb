"""docs/openapi.json: made of the routes, complete, never narrower than the last released one."""

import copy
import hmac
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator

from payments_service import create_app
from payments_service.api import document
from payments_service.api.codes import CODES
from payments_service.api.described import DESCRIBED, Described
from payments_service.api.errors import title_code
from payments_service.settings import Settings
from tests.api.test_quotes import API_KEYS, WISH
from tests.support.environment import environment
from tests.support.narrowing import narrowed
from tests.support.recorder import DOCUMENT, METHODS

ROOT = Path(__file__).parents[2]
RELEASED: dict[str, Any] = json.loads((ROOT / "tests" / "fixtures" / "openapi" / "released.json").read_text())
UNRELEASED = (ROOT / "CHANGELOG.md").read_text().partition("## Unreleased")[2].partition("\n## ")[0]
TITLES = {title_code(status) for status in (400, 404, 405, 413)}
NEVER_ALONE = {"conflict", "forbidden"}
"""Codes of classes whose instances all name one of their own."""


# ── as the routes are ───────────────────────────────────────────────────────────────────────────────


def test_the_committed_document_is_as_the_routes_are(app: Flask) -> None:
    made = document.as_text(document.build(app))
    assert (ROOT / "docs" / "openapi.json").read_text() == made, "flask --app wsgi openapi writes it"


def test_every_route_is_described_or_says_why_not(app: Flask) -> None:
    silent = [
        r.rule for r in app.url_map.iter_rules() if not hasattr(app.view_functions[r.endpoint], DESCRIBED)
    ]
    assert silent == []


def test_only_routes_for_people_in_development_and_files_are_left_out(app: Flask) -> None:
    left_out = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if not isinstance(getattr(app.view_functions[rule.endpoint], DESCRIBED), Described)
    }
    assert {rule.split("/")[1] for rule in left_out} <= {"", "payment-status", "demo", "pay"}


def test_every_code_that_is_raised_has_a_paragraph_and_no_other_has() -> None:
    files = [path for path in (ROOT / "payments_service").rglob("*.py") if path.name != "codes.py"]
    text = "\n".join(path.read_text() for path in files)
    raised = set(re.findall(r'\bcode ?= ?"([a-z_]+)"', text)) - NEVER_ALONE
    assert raised | TITLES <= set(CODES)
    assert [code for code in CODES if f'"{code}"' not in text and code not in TITLES] == []


def test_every_code_stands_on_the_page_of_errors(app: Flask) -> None:
    html = app.test_client().get("/docs/errors").text
    assert set(re.findall(r'<section id="([a-z_]+)"', html)) == set(CODES)


def test_every_schema_and_example_is_one(app: Flask) -> None:
    """The document's own parts are JSON Schemas, and each example is as its schema has it."""
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for name, content in examples():
        judge = Draft202012Validator({**content["schema"], "components": DOCUMENT["components"]})
        for example in content.get("examples", {}).values():
            assert list(judge.iter_errors(example["value"])) == [], name


def examples() -> Iterator[tuple[str, Any]]:
    for path, operations in DOCUMENT["paths"].items():
        for method in operations.keys() & set(METHODS):
            bodies = [operations[method].get("requestBody", {}), *operations[method]["responses"].values()]
            for body in bodies:
                if content := body.get("content", {}).get("application/json"):
                    yield f"{method} {path}", content


def test_the_merchants_server_is_promised_every_member_of_an_answer() -> None:
    """A client that is generated from the document need not ask of each member whether it is there."""
    promised = [
        response["content"]["application/json"]["schema"]
        for operations in DOCUMENT["paths"].values()
        for operation in operations.values()
        if operation["tags"] == ["Merchant"]
        for status, response in operation["responses"].items()
        if status < "300"
    ]
    assert optional_members(promised) == {"Payment customer", "PaymentDetail customer"}


def optional_members(part: Any) -> set[str]:
    """Of all schemas that are named within, by the schema's name."""
    found, names = set(), re.findall(r'"#/components/schemas/(\w+)"', json.dumps(part))
    for name in names:
        schema = DOCUMENT["components"]["schemas"][name]
        optional = schema["properties"].keys() - set(schema["required"])
        found |= {f"{name.removesuffix('Out')} {member}" for member in optional}
        found |= optional_members(schema["properties"])
    return found


# ── never narrower ──────────────────────────────────────────────────────────────────────────────────


def test_nothing_released_is_taken_away_unless_the_changelog_names_it() -> None:
    assert [line for line in narrowed(RELEASED, DOCUMENT) if line.partition(":")[0] not in UNRELEASED] == []


CREATE = "/api/payment/create-order"


def changed(change: str) -> list[str]:
    new = copy.deepcopy(DOCUMENT)
    post, schemas = new["paths"][CREATE]["post"], new["components"]["schemas"]
    exec(change, {"new": new, "post": post, "schemas": schemas})
    return [line.partition(":")[0] for line in narrowed(DOCUMENT, new)]


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ("del new['paths']['/health']", "GET /health"),
        ("del schemas['CreateOrder']['properties']['userId']", f"POST {CREATE} userId"),
        ("schemas['CreateOrder']['required'].append('userId')", f"POST {CREATE} userId"),
        (
            "schemas['CreateOrder']['properties']['description']['maxLength'] = 9",
            f"POST {CREATE} description",
        ),
        ("schemas['CreateOrder']['properties']['amount']['type'] = ['number']", f"POST {CREATE} amount"),
        ("schemas['Customer']['required'].append('city')", f"POST {CREATE} customer city"),
        (
            "del schemas['Status']['properties']['method']",
            "GET /api/payment/status/{gateway}/{reference} 200 method",
        ),
        (
            "schemas['Status']['required'].remove('method')",
            "GET /api/payment/status/{gateway}/{reference} 200 method",
        ),
        (
            "schemas['Status']['properties']['amount']['type'] = 'string'",
            "GET /api/payment/status/{gateway}/{reference} 200 amount",
        ),
        ("del new['webhooks']['ops.alert']", "event ops.alert"),
        ("del schemas['event.payment']['properties']['method']", "event payment.completed data method"),
        ("del post['responses']['200']", f"POST {CREATE} 200"),
        ("post['parameters'].clear()", f"POST {CREATE} Idempotency-Key"),
        ("post['parameters'][0]['required'] = True", f"POST {CREATE} Idempotency-Key"),
    ],
)
def test_what_is_taken_away_is_found(change: str, about: str) -> None:
    assert about in changed(change)


@pytest.mark.parametrize(
    "change",
    [
        "schemas['Status']['properties']['more'] = {'type': 'string'}",
        "schemas['CreateOrder']['properties']['more'] = {'type': 'string'}",
        "schemas['CreateOrder']['properties']['description']['maxLength'] = 999",
        "new['paths']['/new'] = {}",
        "post['responses']['418'] = {}",
    ],
)
def test_what_is_added_is_no_trouble(change: str) -> None:
    assert changed(change) == []


# ── what every route has in common ──────────────────────────────────────────────────────────────────

SCOPES = {"shop": "read+write+refund+personal", "reader": "read", "writer": "write"}
KEYS = {**API_KEYS, "writer": "psk_writer"}
FILLED = {
    "{gateway}": "razorpay",
    "{reference}": "order_1",
    "{payment_id}": "019c0f3e-6a63-7d1c-9a58-5f0c8f7b2d11",
    "{refund_id}": "019c0f3e-6a63-7d1c-9a58-5f0c8f7b2d12",
    "{event_id}": f"evt_{'0' * 32}",
}


def operations() -> list[tuple[str, str]]:
    return [
        (method.upper(), path)
        for path, methods in DOCUMENT["paths"].items()
        for method in sorted(methods.keys() & set(METHODS))
    ]


def with_code(code: str) -> list[Any]:
    """The routes that are documented with it."""
    return [
        pytest.param(method, path, id=f"{method} {path}")
        for method, path in sorted(operations())
        if f'"{code}"' in json.dumps(DOCUMENT["paths"][path][method.lower()]["responses"])
    ]


@pytest.fixture
def keyed(database_url: str) -> Iterator[Flask]:
    app = made(database_url)
    yield app
    app.extensions["payments_service"].db.engine.dispose()


def made(database_url: str) -> Flask:
    """The service with a key that may do everything, and one that may read."""
    entries = ",".join(
        f"{name}:{scopes}:{sha256(KEYS[name].encode()).hexdigest()}" for name, scopes in SCOPES.items()
    )
    variables = environment(database_url=database_url, simulator_port=9, API_KEYS=entries)
    return create_app(Settings.from_environment(variables))


def ask(app: Flask, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
    for name, value in FILLED.items():
        path = path.replace(name, value)
    usual = {"Authorization": f"Bearer {API_KEYS['shop']}", "Idempotency-Key": "key-of-sixteen-or-more"}
    headers = {**usual, **more.pop("headers", {})}
    given = {"data": body} if isinstance(body, bytes) else {"json": body}
    answer = app.test_client().open(
        path, method=method, headers=headers, **(given if body is not None else {})
    )
    return answer.status_code, (answer.json or {}).get("code", "") if answer.is_json else ""


GOOD = {
    CREATE: {
        "amount": 499,
        "gateway": "razorpay",
        "customer": {"name": "A", "email": "a@example.com", "phone": "9876543210"},
    },
    "/api/payment/verify-payment": {
        "gateway": "razorpay",
        "orderId": "o",
        "paymentId": "p",
        "signature": "s",
    },
    "/api/quote": WISH,
    "/api/payment/search": {"query": "ORDER-1001"},
}


@pytest.mark.parametrize(("method", "path"), with_code("internal_error"))
def test_a_fault_of_ours_is_told_as_one(keyed: Flask, method: str, path: str) -> None:
    break_route(keyed, method, path)
    assert ask(keyed, method, path) == (500, "internal_error")


def break_route(app: Flask, method: str, path: str) -> None:
    [endpoint] = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if document._path(rule) == path and method in (rule.methods or ())
    }

    def broken(**_: Any) -> None:
        raise RuntimeError("a fault")

    app.view_functions[endpoint] = broken  # type: ignore[assignment]


@pytest.mark.parametrize(("method", "path"), [one for one in operations() if one[1].startswith("/pay/")])
def test_a_payers_page_tells_trouble_as_a_page(keyed: Flask, tmp_path: Path, method: str, path: str) -> None:
    assert ask(keyed, method, path)[0] == 404
    break_route(keyed, method, path)
    assert ask(keyed, method, path)[0] == 500
    app = made(f"sqlite:///{tmp_path / 'empty.db'}")
    assert ask(app, method, path)[0] == 503
    app.extensions["payments_service"].db.engine.dispose()


@pytest.mark.parametrize(("method", "path"), with_code("not_migrated"))
def test_a_database_of_another_version_is_told(tmp_path: Path, method: str, path: str) -> None:
    app = made(f"sqlite:///{tmp_path / 'empty.db'}")
    assert ask(app, method, path, good_body(path), headers=good_headers(path)) == (503, "not_migrated")
    app.extensions["payments_service"].db.engine.dispose()


@pytest.mark.parametrize(("method", "path"), with_code("store_unavailable"))
def test_a_database_that_is_away_is_told(tmp_path: Path, method: str, path: str) -> None:
    app = made("postgresql://nobody@127.0.0.1:9/none")
    assert ask(app, method, path, good_body(path), headers=good_headers(path)) == (503, "store_unavailable")
    app.extensions["payments_service"].db.engine.dispose()


def good_body(path: str) -> Any:
    return b"{}" if "/webhook/" in path else GOOD.get(path)


def good_headers(path: str) -> dict[str, str]:
    if "/webhook/" not in path:
        return {}
    secret = b"simulator_razorpay_webhook_secret"
    return {"X-Razorpay-Signature": hmac.digest(secret, b"{}", "sha256").hex()}


@pytest.mark.parametrize(("method", "path"), with_code("invalid_json"))
def test_a_body_that_is_no_json_is_told(keyed: Flask, method: str, path: str) -> None:
    for body in (b"{", b"\xff", b"NaN("):
        assert ask(keyed, method, path, body) == (400, "invalid_json")


@pytest.mark.parametrize(("method", "path"), with_code("body_too_large"))
def test_a_body_that_is_too_long_is_told(keyed: Flask, method: str, path: str) -> None:
    assert ask(keyed, method, path, b" " * 1_100_000) == (413, "body_too_large")


@pytest.mark.parametrize(("method", "path"), with_code("unauthorized"))
def test_a_wrong_key_is_told(keyed: Flask, method: str, path: str) -> None:
    wrong = {"Authorization": "Bearer psk_wrong"}
    assert ask(as_in_production(keyed), method, path, GOOD.get(path), headers=wrong) == (401, "unauthorized")


@pytest.mark.parametrize(("method", "path"), with_code("scope_missing"))
def test_a_key_without_the_scope_is_told(keyed: Flask, method: str, path: str) -> None:
    words = json.dumps(DOCUMENT["paths"][path][method.lower()]["security"])
    name = "writer" if '"apiKey": ["read"]' in words else "reader"
    app = as_in_production(keyed)
    assert ask(app, method, path, GOOD.get(path), headers=bearer(name)) == (403, "scope_missing")


def as_in_production(app: Flask) -> Flask:
    """What development shows without a key needs one."""
    services = app.extensions["payments_service"]
    settings = replace(services.settings, env="production")
    app.extensions["payments_service"] = replace(services, settings=settings)
    return app


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


def with_header(name: str) -> list[Any]:
    """The routes that take it."""
    return [
        pytest.param(method, path, id=f"{method} {path}")
        for method, path in sorted(operations())
        if name in [one["name"] for one in DOCUMENT["paths"][path][method.lower()]["parameters"]]
    ]


@pytest.mark.parametrize(("method", "path"), with_header("Idempotency-Key"))
def test_an_idempotency_key_that_is_too_short_is_told(keyed: Flask, method: str, path: str) -> None:
    short = {"Idempotency-Key": "short"}
    assert ask(keyed, method, path, GOOD.get(path, {}), headers=short) == (400, "validation_error")


@pytest.mark.parametrize(("method", "path"), with_code("unknown_field"))
def test_a_member_that_is_not_known_is_told(keyed: Flask, method: str, path: str) -> None:
    if method == "GET":
        assert ask(keyed, method, f"{path}?refrence=1") == (400, "unknown_field")
    else:
        assert ask(keyed, method, path, {**GOOD.get(path, {}), "refrence": 1}) == (400, "unknown_field")


@pytest.mark.parametrize(("method", "path"), with_code("invalid_address"))
def test_an_address_that_is_no_text_is_told(keyed: Flask, method: str, path: str) -> None:
    assert ask(keyed, method, f"{path}?x=%ED%A0%80") == (400, "invalid_address")
