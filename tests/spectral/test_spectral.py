"""docs/openapi.json as Spectral sees it, by its own rules and OWASP's; what it may find stands in a file."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "openapi.json"
SPECTRAL = HERE / "node_modules" / ".bin" / "spectral"
EXCEPTIONS = tomllib.loads((HERE / "exceptions.toml").read_text())["exception"]
ERROR = 0
"""Spectral's number for it; a warning is 1."""

pytestmark = pytest.mark.check


def findings(document: Path) -> list[dict[str, Any]]:
    assert SPECTRAL.exists(), "make check installs Spectral: npm ci --prefix tests/spectral"
    command = [SPECTRAL, "lint", "--format", "json", "--quiet", "--ruleset", HERE / "rules.yaml", document]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.startswith("["), done.stderr[-1000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_there_is_nothing_but_what_a_reason_was_given_for() -> None:
    found = findings(DOCUMENT)
    codes = {one["code"] for one in found}
    excepted = {one["rule"] for one in EXCEPTIONS if len(one["reason"]) > len("because")}
    assert [f"{one['code']}: {one['message']}" for one in found if one["code"] not in excepted] == []
    assert excepted - codes == set()
    own = [one for one in found if one["severity"] == ERROR and not one["code"].startswith("owasp:")]
    assert own == []


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    document = json.loads(DOCUMENT.read_text())
    refund = "/api/payment/{payment_id}/refunds/{refund_id}"
    document["paths"] = {path: document["paths"][path] for path in ("/health", refund)}
    document["paths"][refund]["get"]["operationId"] = "health_get"
    document["paths"][refund]["get"]["parameters"] = []
    spoilt = tmp_path / "openapi.json"
    spoilt.write_text(json.dumps(document))
    codes = {one["code"] for one in findings(spoilt)}
    assert {"path-params", "operation-operationId-unique"} <= codes
