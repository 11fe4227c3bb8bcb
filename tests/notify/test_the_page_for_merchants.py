"""docs/events.md says what is so: its sample runs, its numbers are those of the code."""

import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from payments_service.flows.announce import EVENTS, REFUND_EVENTS, REVIEW
from payments_service.flows.deliver import WAITS
from payments_service.notify import Verdict, post
from tests.flows.delivering import SECRET

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text()


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


def test_every_type_is_named() -> None:
    table = set(re.findall(r"`([a-z]+\.[a-z]+)`", PAGE.split("## Take one in")[0]))
    assert {*EVENTS.values(), *REFUND_EVENTS.values(), REVIEW, "ops.alert"} <= table
    assert set(json.loads(block("json"))) == {"type", "timestamp", "data"}


def test_the_schedule_is_the_one_that_is_kept() -> None:
    hours = [round(wait.total_seconds() / 3600) for wait in WAITS[3:]]
    *most, last = map(str, hours)
    said = f"5 seconds, 5 minutes, 30 minutes, {', '.join(most)} and {last} hours"
    assert said in PAGE.replace(os.linesep, " ")
    assert [wait.total_seconds() for wait in WAITS[:3]] == [5, 300, 1800]
