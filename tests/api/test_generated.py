"""Requests made up from docs/openapi.json: whatever comes, the answer is one that the document names."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from payments_service.domain.deadline import Deadline
from payments_service.domain.news import Checkout, NewOrder
from payments_service.gateways.razorpay import RazorpayGateway
from payments_service.store import migrations
from tests.api.test_document import CREATE, GOOD, made, operations
from tests.api.test_quotes import API_KEYS
from tests.support.fake_gateway import FakeGateway

CASES, MANY_CASES = 25, 500
SUCCESSES = {CREATE: {200}, "/api/quote": {200}}
"""What must have been among the answers."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]
PLAIN = {"Accept-Encoding": "identity"}
KEY = {"Authorization": f"Bearer {API_KEYS['shop']}"}


class Standing(FakeGateway):
    """Stands for a real one, so that orders come to be."""

    name = provider = "razorpay"
    answer_fields = RazorpayGateway.answer_fields

    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        return replace(super().create_order(order, deadline), fields={"razorpayKey": "rzp_test_simulator"})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    app = made(f"sqlite:///{tmp_path_factory.mktemp('generated') / 'payments.db'}")
    services = app.extensions["payments_service"]
    migrations.upgrade(services.db)
    app.extensions["payments_service"] = replace(services, gateways=(Standing(),))
    yield app
    services.db.engine.dispose()


def try_out(app: Flask, method: str, path: str, cases: int) -> None:
    document = schemathesis.openapi.from_wsgi("/docs/openapi.json", app)
    operation = document[path][method]
    needs_key = [{"apiKey"}] == [set(one) for one in operation.definition.raw["security"]]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=cases == CASES,
        suppress_health_check=QUIET,
        phases=[Phase.generate],
    )
    def one_after_another(case: Any) -> None:
        for body in (case.body, mended(case.body, GOOD[path])) if path in GOOD else (case.body,):
            case.body = body
            answer = case.call(headers={**PLAIN, **(KEY if needs_key else {})})
            seen.add(answer.status_code)
            case.validate_response(answer, checks=CHECKS)

    seen: set[int] = set()
    one_after_another()
    assert seen & SUCCESSES.get(path, seen)


def mended(body: Any, good: dict[str, Any]) -> Any:
    """Made good where it must be, so that the rest of it is looked at, too."""
    return {**body, **good} if isinstance(body, dict) else good


@pytest.mark.parametrize(("method", "path"), operations(), ids=str)
def test_whatever_comes_the_answer_is_a_documented_one(service: Flask, method: str, path: str) -> None:
    try_out(service, method, path, CASES)


@pytest.mark.check
@pytest.mark.parametrize(("method", "path"), operations(), ids=str)
def test_whatever_comes_many_times(service: Flask, method: str, path: str) -> None:
    try_out(service, method, path, MANY_CASES)


def test_the_document_is_valid() -> None:
    text = (Path(__file__).parents[2] / "docs" / "openapi.json").read_text()
    schemathesis.openapi.from_file(text).validate()
