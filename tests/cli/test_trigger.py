"""`trigger`: the shop's own handler gets a genuine event, or one that is none, and what it does is judged."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select
from standardwebhooks import Webhook, WebhookVerificationError

from payments_service.cli.trigger import TYPES
from payments_service.store.tables import Outbox, Payment
from tests.cli.running import Shop, shop_of
from tests.flows.delivering import SECRET, channels
from tests.support.event_schema import TYPES as DOCUMENTED
from tests.support.event_schema import problems
from tests.support.fake_gateway import FakeGateway


@dataclass
class Handler:
    """A shop's server: checks signatures, keeps what it took, answers `status`."""

    url: str = ""
    answer: Callable[[bool], int] = lambda is_genuine: 204 if is_genuine else 400
    ids: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(body) for body in self.bodies]


@pytest.fixture
def handler() -> Iterator[Handler]:
    made = Handler()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                Webhook(SECRET).verify(body, dict(self.headers))
                is_genuine = True
            except WebhookVerificationError:
                is_genuine = False
            made.ids.append(self.headers["webhook-id"])
            made.bodies.append(body)
            self.send_response(made.answer(is_genuine))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Door)
    made.url = f"http://127.0.0.1:{server.server_port}/hooks"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def merchant(app: Flask, handler: Handler) -> Shop:
    shop = shop_of(app, FakeGateway())
    services = app.extensions["payments_service"]
    app.extensions["payments_service"] = replace(services, channels=channels(handler.url))
    return shop


@pytest.mark.parametrize("event_type", TYPES)
def test_every_type_is_sent_as_documented_signed_and_for_no_real_payment(
    merchant: Shop, handler: Handler, event_type: str
) -> None:
    said = merchant.says("trigger", event_type)
    assert "HTTP 204" in said
    assert "as it should be" in said
    [event] = handler.events
    assert (event["type"], problems(event)) == (event_type, [])
    assert handler.ids[0].startswith("evt_trigger_")
    data = event["data"]
    assert isinstance(data, dict)
    if event_type != "ops.alert":
        assert (data["mode"], data["orderId"].startswith("trigger_")) == ("test", True)
        assert data["reference"].startswith("TRIGGER-")
    with merchant.db.read() as session:
        for table in (Payment, Outbox):
            assert session.scalar(select(func.count()).select_from(table)) == 0


def test_every_documented_type_can_be_sent() -> None:
    assert set(TYPES) == set(DOCUMENTED)


def test_a_duplicate_has_the_same_id_and_body(merchant: Shop, handler: Handler) -> None:
    merchant.says("trigger", "payment.completed", "--duplicate")
    assert (len(handler.ids), len(set(handler.ids)), len(set(handler.bodies))) == (2, 1, 1)


@pytest.mark.parametrize("event_type", [one for one in TYPES if one != "ops.alert"])
def test_an_earlier_event_comes_after_the_later_one(
    merchant: Shop, handler: Handler, event_type: str
) -> None:
    merchant.says("trigger", event_type, "--reorder")
    later, earlier = (event["data"] for event in handler.events)
    assert isinstance(later, dict)
    assert isinstance(earlier, dict)
    assert (later["id"], later["sequence"] > earlier["sequence"]) == (earlier["id"], True)
    assert problems(handler.events[1]) == []
    assert len(set(handler.ids)) == 2


def test_a_bad_signature_must_be_refused(merchant: Shop, handler: Handler) -> None:
    assert "HTTP 400" in merchant.says("trigger", "payment.completed", "--bad-signature")
    handler.answer = lambda _: 204
    said = merchant.says("trigger", "payment.completed", "--bad-signature", exit_code=1)
    assert "does not do its duty: with a bad signature" in said


def test_a_handler_that_fails_or_is_away_ends_it_with_1(merchant: Shop, handler: Handler) -> None:
    handler.answer = lambda _: 500
    assert "HTTP 500" in merchant.says("trigger", "payment.completed", exit_code=1)
    services = merchant.app.extensions["payments_service"]
    merchant.app.extensions["payments_service"] = replace(
        services, channels=channels("http://127.0.0.1:9/hooks")
    )
    for more in ((), ("--bad-signature",)):
        assert "was not taken" in merchant.says("trigger", "payment.completed", *more, exit_code=1)


def test_it_is_refused_where_a_gateway_is_live(
    merchant: Shop, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeGateway, "mode", "live")
    assert "is live" in merchant.says("trigger", "payment.completed", exit_code=1)
    assert handler.ids == []


def test_it_says_what_is_missing(merchant: Shop) -> None:
    assert "has no sequence" in merchant.says("trigger", "ops.alert", "--reorder", exit_code=2)
    services = merchant.app.extensions["payments_service"]
    merchant.app.extensions["payments_service"] = replace(
        services, channels=replace(services.channels, webhook_url=None)
    )
    assert "MERCHANT_WEBHOOK_URL is not set" in merchant.says("trigger", "payment.completed", exit_code=1)


def test_the_page_names_the_command() -> None:
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    assert "flask --app wsgi trigger payment.completed" in page
