"""docs/events.md says what is so: its sample runs, its numbers are those of the code."""

import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from werkzeug.serving import make_server

from payments_service.domain.facts import EVENTS, REFUND_EVENTS, REVIEW
from payments_service.domain.states import AlertCode, ReviewReason
from payments_service.flows.deliver import WAITS
from payments_service.notify import Verdict, post
from tests.flows.delivering import SECRET
from tests.support.event_schema import SCHEMA, TYPES, problems

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text()

HELD = SCHEMA["$defs"]["payment.authorized"]["properties"]["data"]
ONLY_AUTHORIZED = {**HELD, "properties": {name: HELD["properties"][name] for name in HELD["required"]}}


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    return str(found)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The sample's names, and the address where it is served."""
    monkeypatch.setenv("MERCHANT_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))
    names: dict[str, Any] = {"__name__": "shop"}
    exec(block("python"), names)  # the merchant's server, as the page has it
    server = make_server("127.0.0.1", 0, names["app"])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield {**names, "url": f"http://127.0.0.1:{server.port}/hooks/payments"}
    server.shutdown()
    thread.join()
    server.server_close()
    names["db"].close()


def test_the_sample_takes_each_event_in_once_and_refuses_what_is_forged(shop: dict[str, Any]) -> None:
    body = block("json").encode()
    for _ in range(2):
        assert post(shop["url"], [SECRET], "evt_1", body).status == 204
    assert post(shop["url"], [SECRET], "evt_2", body).verdict is Verdict.DELIVERED
    forged = SECRET.replace("A", "B")
    assert post(shop["url"], [forged], "evt_3", body).status == 400
    assert shop["db"].execute("SELECT id, body FROM events").fetchall() == [("evt_1", body), ("evt_2", body)]


def table(heading: str, column: str) -> dict[str, str]:
    """A table below the heading: what its first column names, with the rest of the row."""
    [section] = re.findall(rf"^###? {re.escape(heading)}\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
    [rows] = re.findall(rf"^\| `?{column}`? \|.*\n\|[-|]+\n((?:\|.*\n)+)", section, re.M)
    named = (re.match(r"\| ((?:`[^`]+`)(?:, `[^`]+`)*) \| (.*) \|$", row) for row in rows.splitlines())
    return {name: row[2] for row in named if row for name in code(row[1])}


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_type_is_explained_and_pinned() -> None:
    explained = table("The types", "type")
    written = {
        *EVENTS.values(),
        *REFUND_EVENTS.values(),
        REVIEW,
        "dispute.opened",
        "dispute.closed",
        "ops.alert",
    }
    assert set(explained) == set(TYPES) == written
    assert problems(json.loads(block("json"))) == []


@pytest.mark.parametrize(
    ("heading", "pinned"),
    [
        ("The payment", SCHEMA["$defs"]["payment"]),
        ("`captureBy`", ONLY_AUTHORIZED),
        ("`refund`", SCHEMA["$defs"]["refund"]),
        ("`dispute`", SCHEMA["$defs"]["dispute"]),
        ("`review`", SCHEMA["$defs"]["review"]),
        ("`ops.alert`", SCHEMA["$defs"]["alert"]),
    ],
)
def test_every_member_is_explained_with_whether_it_may_be_null(heading: str, pinned: dict[str, Any]) -> None:
    explained = table(heading, "Member")
    assert list(explained) == list(pinned["properties"]) == pinned["required"]
    for name, rule in pinned["properties"].items():
        may_be_null = Draft202012Validator({**rule, "$defs": SCHEMA["$defs"]}).is_valid(None)
        assert ("or null |" in explained[name]) is may_be_null, name


@pytest.mark.parametrize(
    ("heading", "pinned", "word", "members", "known"),
    [
        (
            "`review`",
            SCHEMA["$defs"]["review"],
            "reason",
            "evidence",
            {reason.value for reason in ReviewReason},
        ),
        ("`ops.alert`", SCHEMA["$defs"]["alert"], "code", "detail", None),
    ],
)
def test_every_reason_and_code_is_explained_with_what_comes_with_it(
    heading: str, pinned: dict[str, Any], word: str, members: str, known: set[str] | None
) -> None:
    explained = {name: code(row.rpartition("|")[2]) for name, row in table(heading, word).items()}
    assert set(explained) == set(pinned["properties"][word]["enum"])
    assert known in (None, set(explained))
    for case in pinned["allOf"]:
        rule = case["if"]["properties"][word]
        evidence = case["then"]["properties"][members]
        for name in rule.get("enum", [rule.get("const")]):
            assert explained.pop(name) == list(evidence["properties"]) == evidence["required"]
    assert explained == {}


def test_every_alert_that_the_service_raises_is_explained() -> None:
    # A dispute is told by an event of its own; that the database is away, by a letter of the web process.
    raised = set(AlertCode) - {AlertCode.DISPUTE_OPENED, AlertCode.DATABASE_AWAY}
    assert raised == set(table("`ops.alert`", "code"))


def test_the_schedule_is_the_one_that_is_kept() -> None:
    hours = [round(wait.total_seconds() / 3600) for wait in WAITS[3:]]
    *most, last = map(str, hours)
    said = f"5 seconds, 5 minutes, 30 minutes, {', '.join(most)} and {last} hours"
    assert said in PAGE.replace(os.linesep, " ")
    assert [wait.total_seconds() for wait in WAITS[:3]] == [5, 300, 1800]
